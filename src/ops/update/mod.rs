//! What an optimizer does to one parameter.

pub(super) mod cpu;

use super::{Fault, Matrix};
use dfdx::prelude::*;

/// One step of AdamW (Loshchilov & Hutter 2019, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub lr: f32,
    pub betas: [f32; 2],
    pub eps: f32,
    /// Decoupled: the parameter is multiplied by `1 - lr * weight_decay` first.
    pub weight_decay: f32,
    /// What the gradient is multiplied by first (clipping).
    pub gradient_scale: f32,
    /// `1 - beta^t` for each beta, t counting from 1.
    pub bias_corrections: [f32; 2],
}

/// One step of SGD with momentum (PyTorch's form: v = μv + g; p -= lr v), decay decoupled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    pub lr: f32,
    pub momentum: f32,
    pub weight_decay: f32,
    pub gradient_scale: f32,
}

/// A parameter's gradient over a whole batch.
#[derive(Debug)]
pub struct GradientSum<D: Device<f32>> {
    pub gradient: Matrix<D>,
    pub squared_norm: f64,
}

/// [`super::Backend::sum_gradients`] composed of dfdx's own operations.
pub fn reference_sum<D: Device<f32>>(shards: Vec<Matrix<D>>) -> Result<GradientSum<D>, Fault<D>> {
    let mut shards = shards.into_iter();
    let first = shards.next().expect("a batch has at least one shard");
    let sum = shards.try_fold(first, |sum, shard| sum.try_add(shard))?;
    let squared = sum.clone().try_square()?.try_sum::<Rank0, _>()?.as_vec()[0];
    Ok(GradientSum {
        gradient: sum,
        squared_norm: f64::from(squared),
    })
}

/// [`super::Backend::adamw`] composed of dfdx's own operations.
pub fn reference_adamw<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    (m, v): (&mut Matrix<D>, &mut Matrix<D>),
    step: &AdamW,
) -> Result<(), Fault<D>> {
    let [b1, b2] = step.betas;
    let g = gradient.clone().try_mul(step.gradient_scale)?;
    *m = m
        .clone()
        .try_mul(b1)?
        .try_add(g.clone().try_mul(1.0 - b1)?)?;
    *v = v
        .clone()
        .try_mul(b2)?
        .try_add(g.try_square()?.try_mul(1.0 - b2)?)?;
    let denominator = v
        .clone()
        .try_mul(1.0 / step.bias_corrections[1])?
        .try_sqrt()?
        .try_add(step.eps)?;
    let update = m
        .clone()
        .try_mul(step.lr / step.bias_corrections[0])?
        .try_div(denominator)?;
    *parameter = parameter
        .clone()
        .try_mul(1.0 - step.lr * step.weight_decay)?
        .try_sub(update)?;
    Ok(())
}

/// [`super::Backend::sgd`] composed of dfdx's own operations.
pub fn reference_sgd<D: Device<f32>>(
    parameter: &mut Matrix<D>,
    gradient: &Matrix<D>,
    velocity: &mut Matrix<D>,
    step: &Sgd,
) -> Result<(), Fault<D>> {
    let g = gradient.clone().try_mul(step.gradient_scale)?;
    *velocity = velocity.clone().try_mul(step.momentum)?.try_add(g)?;
    *parameter = parameter
        .clone()
        .try_mul(1.0 - step.lr * step.weight_decay)?
        .try_sub(velocity.clone().try_mul(step.lr)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, matrices};
    use crate::ops::{Backend, Fused};

    #[test]
    fn adamw_agrees_with_the_reference_over_several_steps() {
        let [p, m, v, g] = [0, 1, 2, 3].map(|i| matrices(10 + i, &[(7, 19)]).remove(0));
        let zeros: Matrix<Cpu> = Cpu::default().zeros_like(&(7, 19));
        let (mut a, mut b) = (
            [p.clone(), zeros.clone(), zeros.clone()],
            [p, zeros.clone(), zeros],
        );
        for (t, gradient) in [m, v, g].iter().enumerate() {
            let power = t as i32 + 1;
            let step = AdamW {
                lr: 0.01,
                betas: [0.9, 0.99],
                eps: 1e-8,
                weight_decay: 0.1,
                gradient_scale: 0.5,
                bias_corrections: [1.0 - 0.9f32.powi(power), 1.0 - 0.99f32.powi(power)],
            };
            let [p, m, v] = &mut a;
            reference_adamw(p, gradient, (m, v), &step).unwrap();
            let [p, m, v] = &mut b;
            Fused::adamw(p, gradient, (m, v), &step).unwrap();
        }
        a.iter().zip(&b).for_each(|(a, b)| assert_close(a, b, 1e-6));
    }

    #[test]
    fn sgd_agrees_with_the_reference() {
        let mut x = matrices(20, &[(3, 5), (3, 5), (3, 5)]);
        let step = Sgd {
            lr: 0.1,
            momentum: 0.9,
            weight_decay: 0.01,
            gradient_scale: 2.0,
        };
        let (mut p, g, mut v) = (x.remove(0), x.remove(0), x.remove(0));
        let (mut p2, mut v2) = (p.clone(), v.clone());
        reference_sgd(&mut p, &g, &mut v, &step).unwrap();
        Fused::sgd(&mut p2, &g, &mut v2, &step).unwrap();
        assert_close(&p, &p2, 1e-6);
        assert_close(&v, &v2, 1e-6);
    }

    #[test]
    fn gradients_of_shards_are_summed_with_their_norm() {
        let shards = matrices(30, &[(3, 50), (3, 50), (3, 50)]);
        let a = reference_sum(shards.clone()).unwrap();
        let b = Fused::sum_gradients(shards).unwrap();
        assert_close(&a.gradient, &b.gradient, 1e-6);
        assert!((a.squared_norm - b.squared_norm).abs() < 1e-5 * a.squared_norm);
    }
}
