use super::arithmetic::{flush_denormal, linear_combination};
use super::rule::{OptimizerRule, StepSettings};
use crate::kernels::cpu::simd::vectorized;
use crate::kernels::{DeviceError, Matrix, UpdateRule};
use crate::spec;
use dfdx::prelude::*;

/// RMSprop (Tieleman & Hinton 2012) with L2 regularization:
/// `v = α v + (1 - α) g²; p -= lr g / (√v + ε)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RmsProp {
    lr: f32,
    alpha: f32,
    eps: f32,
    l2: f32,
    gradient_scale: f32,
}

impl OptimizerRule<1> for RmsProp {
    const STATE_NAMES: [&'static str; 1] = ["rmsprop.v"];

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self {
        Self {
            lr: settings.lr,
            alpha: config.alpha as f32,
            eps: config.eps as f32,
            l2: settings.l2,
            gradient_scale: settings.gradient_scale,
        }
    }
}

impl UpdateRule<1> for RmsProp {
    fn cpu(&self, _: (usize, usize), p: &mut [f32], g: &[f32], [v]: [&mut [f32]; 1]) {
        vectorized(
            #[inline(always)]
            || self.pass(p, g, v),
        );
    }

    fn reference<D: Device<f32>>(
        &self,
        p: &mut Matrix<D>,
        g: &Matrix<D>,
        [v]: [&mut Matrix<D>; 1],
    ) -> Result<(), DeviceError<D>> {
        let g = linear_combination(self.gradient_scale, g, self.l2, p)?;
        *v = linear_combination(self.alpha, v, 1.0 - self.alpha, &g.clone().try_square()?)?;
        let denominator = v.clone().try_sqrt()?.try_add(self.eps)?;
        let update = g.try_mul(self.lr)?.try_div(denominator)?;
        *p = p.clone().try_sub(update)?;
        Ok(())
    }
}

impl RmsProp {
    #[inline(always)]
    fn pass(&self, p: &mut [f32], g: &[f32], v: &mut [f32]) {
        let (lr, alpha, eps) = (self.lr, self.alpha, self.eps);
        let (scale, l2) = (self.gradient_scale, self.l2);
        for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
            let g = g * scale + l2 * *p;
            *v = flush_denormal(*v * alpha + g * g * (1.0 - alpha));
            *p -= g * lr / (v.sqrt() + eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::OptimizerKind;
    use crate::train::optim::testing::check_against_formula;
    use crate::train::testing::assert_loss_falls;

    #[test]
    fn each_element_follows_the_formula() {
        let rule = RmsProp {
            lr: 0.01,
            alpha: 0.9,
            eps: 1e-6,
            l2: 0.2,
            gradient_scale: 0.5,
        };
        check_against_formula(
            |_| rule,
            |p, g, [v], _| {
                let g = 0.5 * g + 0.2 * *p;
                *v = 0.9 * *v + 0.1 * g * g;
                *p -= 0.01 * g / (v.sqrt() + 1e-6);
            },
        );
    }

    #[test]
    fn the_loss_falls() {
        assert_loss_falls(OptimizerKind::Rmsprop, 3e-3);
    }
}
