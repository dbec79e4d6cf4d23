use super::arithmetic::{flush_denormal, linear_combination};
use super::rule::{OptimizerRule, StepSettings};
use crate::kernels::cpu::simd::vectorized;
use crate::kernels::{DeviceError, Matrix, UpdateRule};
use crate::spec;
use dfdx::prelude::*;

/// Stochastic gradient descent with momentum μ and decoupled weight decay: `v = μ v + g; p -= lr v`, and with
/// Nesterov momentum `p -= lr (g + μ v)`. This is the form of `torch.optim.SGD`; in that of Sutskever et al. 2013
/// (section 2), the velocity includes the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sgd {
    lr: f32,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
    gradient_scale: f32,
}

impl OptimizerRule<1> for Sgd {
    const STATE_NAMES: [&'static str; 1] = ["sgd.velocity"];

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self {
        Self {
            lr: settings.lr,
            momentum: config.momentum as f32,
            nesterov: config.nesterov,
            weight_decay: settings.weight_decay,
            gradient_scale: settings.gradient_scale,
        }
    }
}

impl UpdateRule<1> for Sgd {
    fn cpu(&self, _: (usize, usize), p: &mut [f32], g: &[f32], [v]: [&mut [f32]; 1]) {
        let momentum = self.momentum;
        match self.nesterov {
            false => vectorized(
                #[inline(always)]
                || self.pass(p, g, v, |_, v| v),
            ),
            true => vectorized(
                #[inline(always)]
                || self.pass(p, g, v, |g, v| g + momentum * v),
            ),
        }
    }

    fn reference<D: Device<f32>>(
        &self,
        p: &mut Matrix<D>,
        g: &Matrix<D>,
        [v]: [&mut Matrix<D>; 1],
    ) -> Result<(), DeviceError<D>> {
        let g = g.clone().try_mul(self.gradient_scale)?;
        *v = linear_combination(self.momentum, v, 1.0, &g)?;
        let direction = match self.nesterov {
            true => linear_combination(self.momentum, v, 1.0, &g)?,
            false => v.clone(),
        };
        let kept = p.clone().try_mul(1.0 - self.lr * self.weight_decay)?;
        *p = kept.try_sub(direction.try_mul(self.lr)?)?;
        Ok(())
    }
}

impl Sgd {
    /// One pass over a parameter. `direction` is computed from the gradient and the velocity.
    #[inline(always)]
    fn pass(&self, p: &mut [f32], g: &[f32], v: &mut [f32], direction: impl Fn(f32, f32) -> f32) {
        let keep = 1.0 - self.lr * self.weight_decay;
        let (lr, momentum, scale) = (self.lr, self.momentum, self.gradient_scale);
        for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
            let g = g * scale;
            *v = flush_denormal(*v * momentum + g);
            *p = *p * keep - direction(g, *v) * lr;
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
        for nesterov in [false, true] {
            let rule = Sgd {
                lr: 0.1,
                momentum: 0.9,
                nesterov,
                weight_decay: 0.01,
                gradient_scale: 2.0,
            };
            check_against_formula(
                |_| rule,
                |p, g, [v], _| {
                    let g = 2.0 * g;
                    *v = 0.9 * *v + g;
                    let direction = if nesterov { g + 0.9 * *v } else { *v };
                    *p = *p * (1.0 - 0.1 * 0.01) - 0.1 * direction;
                },
            );
        }
    }

    #[test]
    fn the_loss_falls() {
        assert_loss_falls(OptimizerKind::Sgd, 0.3);
    }
}
