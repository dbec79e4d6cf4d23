//! The rules as kernels, each one pass over the parameter and its state.

use super::{AdamW, GradientSum, Lion, RmsProp, Sgd};
use crate::kernels::Matrix;
use crate::kernels::cpu::simd::{add, sum_of, vectorized};
use crate::kernels::cpu::storage::{slice, slice_mut};
use dfdx::prelude::*;

/// Elements whose squares are summed in single precision before they go to the double sum.
const CHUNK: usize = 4096;

/// See [`crate::kernels::Backend::sum_gradients`].
pub(in crate::kernels) fn sum(shards: Vec<Matrix<Cpu>>) -> GradientSum<Cpu> {
    let mut shards = shards.into_iter();
    let mut total = shards.next().expect("a batch has at least one shard");
    let others: Vec<Matrix<Cpu>> = shards.collect();
    let mut squared = 0.0f64;
    vectorized(
        #[inline(always)]
        || {
            for (i, total) in slice_mut(&mut total).chunks_mut(CHUNK).enumerate() {
                for other in &others {
                    let other = &slice(other)[i * CHUNK..][..total.len()];
                    add(total, other);
                }
                squared += f64::from(sum_of(total, |x| x * x));
            }
        },
    );
    GradientSum {
        gradient: total,
        squared_norm: squared,
    }
}

/// 0 for a denormal number. The moments of a row whose gradient stays 0 (that of a rare token)
/// decay into denormal numbers and never out of them, and each costs a hundred cycles a step.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// See [`crate::kernels::Backend::adamw`].
pub(in crate::kernels) fn adamw(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    (m, v): (&mut Matrix<Cpu>, &mut Matrix<Cpu>),
    step: &AdamW,
) {
    let (p, g) = (slice_mut(parameter), slice(gradient));
    let (m, v) = (slice_mut(m), slice_mut(v));
    match step.l2 {
        0.0 => vectorized(
            #[inline(always)]
            || adamw_pass(p, g, m, v, step, |g, _| g),
        ),
        l2 => vectorized(
            #[inline(always)]
            || adamw_pass(p, g, m, v, step, |g, p| g + l2 * p),
        ),
    }
}

#[inline(always)]
fn adamw_pass(
    p: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    step: &AdamW,
    regularised: impl Fn(f32, f32) -> f32,
) {
    let [b1, b2] = step.betas;
    let keep = 1.0 - step.lr * step.weight_decay;
    let rate = step.lr / step.bias_corrections[0];
    let second = 1.0 / step.bias_corrections[1];
    let (scale, eps) = (step.gradient_scale, step.eps);
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = regularised(g * scale, *p);
        *m = flushed(*m * b1 + g * (1.0 - b1));
        *v = flushed(*v * b2 + g * g * (1.0 - b2));
        *p = *p * keep - *m * rate / ((*v * second).sqrt() + eps);
    }
}

/// See [`crate::kernels::Backend::sgd`].
pub(in crate::kernels) fn sgd(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    velocity: &mut Matrix<Cpu>,
    step: &Sgd,
) {
    let (p, g, v) = (slice_mut(parameter), slice(gradient), slice_mut(velocity));
    let momentum = step.momentum;
    match step.nesterov {
        false => vectorized(
            #[inline(always)]
            || sgd_pass(p, g, v, step, |_, v| v),
        ),
        true => vectorized(
            #[inline(always)]
            || sgd_pass(p, g, v, step, |g, v| g + momentum * v),
        ),
    }
}

#[inline(always)]
fn sgd_pass(
    p: &mut [f32],
    g: &[f32],
    v: &mut [f32],
    step: &Sgd,
    direction: impl Fn(f32, f32) -> f32,
) {
    let keep = 1.0 - step.lr * step.weight_decay;
    let (lr, momentum, scale) = (step.lr, step.momentum, step.gradient_scale);
    for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
        let g = g * scale;
        *v = flushed(*v * momentum + g);
        *p = *p * keep - direction(g, *v) * lr;
    }
}

/// See [`crate::kernels::Backend::rmsprop`].
pub(in crate::kernels) fn rmsprop(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    v: &mut Matrix<Cpu>,
    step: &RmsProp,
) {
    #[inline(always)]
    fn pass(p: &mut [f32], g: &[f32], v: &mut [f32], step: &RmsProp) {
        let (lr, alpha, scale) = (step.lr, step.alpha, step.gradient_scale);
        for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
            let g = g * scale + step.l2 * *p;
            *v = flushed(*v * alpha + g * g * (1.0 - alpha));
            *p -= g * lr / (v.sqrt() + step.eps);
        }
    }
    let (p, g, v) = (slice_mut(parameter), slice(gradient), slice_mut(v));
    vectorized(
        #[inline(always)]
        || pass(p, g, v, step),
    );
}

/// See [`crate::kernels::Backend::lion`].
pub(in crate::kernels) fn lion(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    m: &mut Matrix<Cpu>,
    step: &Lion,
) {
    #[inline(always)]
    fn pass(p: &mut [f32], g: &[f32], m: &mut [f32], step: &Lion) {
        let [b1, b2] = step.betas;
        let keep = 1.0 - step.lr * step.weight_decay;
        let (lr, scale) = (step.lr, step.gradient_scale);
        for ((p, &g), m) in p.iter_mut().zip(g).zip(m) {
            let g = g * scale;
            *p = *p * keep - sign(*m * b1 + g * (1.0 - b1)) * lr;
            *m = flushed(*m * b2 + g * (1.0 - b2));
        }
    }
    let (p, g, m) = (slice_mut(parameter), slice(gradient), slice_mut(m));
    vectorized(
        #[inline(always)]
        || pass(p, g, m, step),
    );
}

/// Of 0, 0; and a NaN stays one.
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

/// See [`crate::kernels::Backend::average`].
pub(in crate::kernels) fn average(mean: &mut Matrix<Cpu>, value: &Matrix<Cpu>, weight: f32) {
    #[inline(always)]
    fn pass(mean: &mut [f32], value: &[f32], weight: f32) {
        for (mean, &value) in mean.iter_mut().zip(value) {
            *mean += (value - *mean) * weight;
        }
    }
    let (mean, value) = (slice_mut(mean), slice(value));
    vectorized(
        #[inline(always)]
        || pass(mean, value, weight),
    );
}
