use super::arithmetic::{flush_denormal, linear_combination};
use super::rule::{OptimizerRule, StepSettings};
use crate::kernels::cpu::simd::vectorized;
use crate::kernels::{DeviceError, Matrix, UpdateRule};
use crate::spec;
use dfdx::prelude::*;

/// Lion (Chen et al. 2023, algorithm 2), with decoupled weight decay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lion {
    lr: f32,
    betas: [f32; 2],
    weight_decay: f32,
    gradient_scale: f32,
}

impl OptimizerRule<1> for Lion {
    const STATE_NAMES: [&'static str; 1] = ["lion.m"];

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self {
        Self {
            lr: settings.lr,
            betas: config.betas.map(|beta| beta as f32),
            weight_decay: settings.weight_decay,
            gradient_scale: settings.gradient_scale,
        }
    }
}

impl UpdateRule<1> for Lion {
    fn cpu(&self, _: (usize, usize), p: &mut [f32], g: &[f32], [m]: [&mut [f32]; 1]) {
        vectorized(
            #[inline(always)]
            || self.pass(p, g, m),
        );
    }

    fn reference<D: Device<f32>>(
        &self,
        p: &mut Matrix<D>,
        g: &Matrix<D>,
        [m]: [&mut Matrix<D>; 1],
    ) -> Result<(), DeviceError<D>> {
        let [beta1, beta2] = self.betas;
        let g = g.clone().try_mul(self.gradient_scale)?;
        // dfdx has no sign function. The product of a normal number with the largest float is
        // beyond 1 or -1, and 0 stays 0.
        let sign = linear_combination(beta1, m, 1.0 - beta1, &g)?
            .try_mul(f32::MAX)?
            .try_clamp(-1.0, 1.0)?;
        *m = linear_combination(beta2, m, 1.0 - beta2, &g)?;
        let kept = p.clone().try_mul(1.0 - self.lr * self.weight_decay)?;
        *p = kept.try_sub(sign.try_mul(self.lr)?)?;
        Ok(())
    }
}

impl Lion {
    #[inline(always)]
    fn pass(&self, p: &mut [f32], g: &[f32], m: &mut [f32]) {
        let [beta1, beta2] = self.betas;
        let keep = 1.0 - self.lr * self.weight_decay;
        let (lr, scale) = (self.lr, self.gradient_scale);
        for ((p, &g), m) in p.iter_mut().zip(g).zip(m) {
            let g = g * scale;
            *p = *p * keep - sign(*m * beta1 + g * (1.0 - beta1)) * lr;
            *m = flush_denormal(*m * beta2 + g * (1.0 - beta2));
        }
    }
}

/// 1, -1 or 0 (`f32::signum` has no 0). NaN stays NaN.
#[inline(always)]
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
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
        let rule = Lion {
            lr: 0.01,
            betas: [0.9, 0.99],
            weight_decay: 0.5,
            gradient_scale: 0.5,
        };
        check_against_formula(
            |_| rule,
            |p, g, [m], _| {
                let g = 0.5 * g;
                let interpolated: f64 = 0.9 * *m + 0.1 * g;
                *p -= 0.01 * (interpolated.signum() + 0.5 * *p);
                *m = 0.99 * *m + 0.01 * g;
            },
        );
    }

    #[test]
    fn the_sign_of_zero_is_zero_and_of_nan_is_nan() {
        assert_eq!([2.0, -0.5, 0.0].map(sign), [1.0, -1.0, 0.0]);
        assert!(sign(f32::NAN).is_nan());
    }

    #[test]
    fn the_loss_falls() {
        assert_loss_falls(OptimizerKind::Lion, 3e-3);
    }
}
