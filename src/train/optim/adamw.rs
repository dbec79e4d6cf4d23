use super::arithmetic::{flush_denormal, linear_combination};
use super::rule::{OptimizerRule, StepSettings};
use crate::kernels::cpu::simd::vectorized;
use crate::kernels::{DeviceError, Matrix, UpdateRule};
use crate::spec;
use dfdx::prelude::*;

/// AdamW (Loshchilov & Hutter 2019, algorithm 2). With `l2` instead of `weight_decay` it is Adam
/// with L2 regularization (the same algorithm, the terms in the other color).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct AdamW {
    lr: f32,
    betas: [f32; 2],
    eps: f32,
    weight_decay: f32,
    l2: f32,
    gradient_scale: f32,
    /// `1 - beta^t` for each beta at step t, counted from 1.
    bias_corrections: [f32; 2],
}

impl OptimizerRule<2> for AdamW {
    const STATE_NAMES: [&'static str; 2] = ["adam.m", "adam.v"];

    fn new(config: &spec::Optimizer, settings: &StepSettings) -> Self {
        let bias_correction = |beta: f64| (1.0 - libm::pow(beta, settings.step as f64)) as f32;
        Self {
            lr: settings.lr,
            betas: config.betas.map(|beta| beta as f32),
            eps: config.eps as f32,
            weight_decay: settings.weight_decay,
            l2: settings.l2,
            gradient_scale: settings.gradient_scale,
            bias_corrections: config.betas.map(bias_correction),
        }
    }
}

impl UpdateRule<2> for AdamW {
    fn cpu(&self, _: (usize, usize), p: &mut [f32], g: &[f32], [m, v]: [&mut [f32]; 2]) {
        match self.l2 {
            0.0 => vectorized(
                #[inline(always)]
                || self.pass(p, g, m, v, |g, _| g),
            ),
            l2 => vectorized(
                #[inline(always)]
                || self.pass(p, g, m, v, |g, p| g + l2 * p),
            ),
        }
    }

    fn reference<D: Device<f32>>(
        &self,
        p: &mut Matrix<D>,
        g: &Matrix<D>,
        [m, v]: [&mut Matrix<D>; 2],
    ) -> Result<(), DeviceError<D>> {
        let [beta1, beta2] = self.betas;
        let g = linear_combination(self.gradient_scale, g, self.l2, p)?;
        *m = linear_combination(beta1, m, 1.0 - beta1, &g)?;
        *v = linear_combination(beta2, v, 1.0 - beta2, &g.try_square()?)?;
        let denominator = v
            .clone()
            .try_mul(1.0 / self.bias_corrections[1])?
            .try_sqrt()?
            .try_add(self.eps)?;
        let update = m
            .clone()
            .try_mul(self.lr / self.bias_corrections[0])?
            .try_div(denominator)?;
        let kept = p.clone().try_mul(1.0 - self.lr * self.weight_decay)?;
        *p = kept.try_sub(update)?;
        Ok(())
    }
}

impl AdamW {
    /// One pass over a parameter. `regularize` adds the L2 term to an element of the gradient.
    #[inline(always)]
    fn pass(
        &self,
        p: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        regularize: impl Fn(f32, f32) -> f32,
    ) {
        let [beta1, beta2] = self.betas;
        let keep = 1.0 - self.lr * self.weight_decay;
        let rate = self.lr / self.bias_corrections[0];
        let second = 1.0 / self.bias_corrections[1];
        let (scale, eps) = (self.gradient_scale, self.eps);
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = regularize(g * scale, *p);
            *m = flush_denormal(*m * beta1 + g * (1.0 - beta1));
            *v = flush_denormal(*v * beta2 + g * g * (1.0 - beta2));
            *p = *p * keep - *m * rate / ((*v * second).sqrt() + eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::matrices;
    use crate::kernels::{Backend, CpuBackend};
    use crate::spec::OptimizerKind;
    use crate::train::optim::testing::{SHAPE, check_against_formula};
    use crate::train::testing::assert_loss_falls;

    #[test]
    fn each_element_follows_the_formula() {
        for (weight_decay, l2) in [(0.1f32, 0.0f32), (0.0, 0.3), (0.0, 0.0)] {
            let rule = |t: i32| AdamW {
                lr: 0.01,
                betas: [0.9, 0.99],
                eps: 1e-8,
                weight_decay,
                l2,
                gradient_scale: 0.5,
                bias_corrections: [1.0 - 0.9f32.powi(t), 1.0 - 0.99f32.powi(t)],
            };
            check_against_formula(rule, |p, g, [m, v], t| {
                let g = 0.5 * g + f64::from(l2) * *p;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.99 * *v + 0.01 * g * g;
                let corrected_m = *m / (1.0 - 0.9f64.powi(t));
                let corrected_v = *v / (1.0 - 0.99f64.powi(t));
                *p -= 0.01 * f64::from(weight_decay) * *p;
                *p -= 0.01 * corrected_m / (corrected_v.sqrt() + 1e-8);
            });
        }
    }

    #[test]
    fn bias_corrections_and_l2_come_from_the_settings() {
        let config = spec::Optimizer {
            betas: [0.5, 0.75],
            ..spec::Optimizer::default()
        };
        let settings = StepSettings {
            lr: 0.1,
            weight_decay: 0.0,
            l2: 0.2,
            gradient_scale: 1.0,
            step: 2,
            shape: SHAPE,
        };
        let rule = AdamW::new(&config, &settings);
        assert_eq!(rule.bias_corrections, [0.75, 0.4375]);
        assert_eq!((rule.l2, rule.weight_decay), (0.2, 0.0));
    }

    #[test]
    fn moments_without_gradient_decay_to_zero_and_not_to_denormal_numbers() {
        let rule = AdamW {
            lr: 0.01,
            betas: [0.5, 0.5],
            eps: 1e-8,
            weight_decay: 0.0,
            l2: 0.0,
            gradient_scale: 1.0,
            bias_corrections: [1.0; 2],
        };
        let [mut p, m, v] = matrices(10, &[SHAPE; 3]).try_into().unwrap();
        let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&SHAPE);
        let mut moments = [m, v.square()];
        for _ in 0..150 {
            CpuBackend::update(&rule, &mut p, &zeros, &mut moments).unwrap();
        }
        assert_eq!(
            moments.map(|moment| moment.as_vec()),
            [zeros.as_vec(), zeros.as_vec()]
        );
    }

    #[test]
    fn the_loss_falls() {
        assert_loss_falls(OptimizerKind::Adamw, 1e-2);
        assert_loss_falls(OptimizerKind::Adam, 1e-2);
    }
}
