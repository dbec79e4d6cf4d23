use super::{AdamW, GradientSum, Sgd};
use crate::ops::Matrix;
use crate::ops::simd::{sum_of, vectorized};
use crate::ops::storage::{slice, slice_mut};
use dfdx::prelude::*;

/// Elements whose squares are summed in single precision before they go to the double sum.
const CHUNK: usize = 4096;

/// See [`crate::ops::Backend::sum_gradients`].
pub(in crate::ops) fn sum(shards: Vec<Matrix<Cpu>>) -> GradientSum<Cpu> {
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
                    total.iter_mut().zip(other).for_each(|(t, o)| *t += o);
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

/// See [`crate::ops::Backend::adamw`].
pub(in crate::ops) fn adamw(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    (m, v): (&mut Matrix<Cpu>, &mut Matrix<Cpu>),
    step: &AdamW,
) {
    let (p, g) = (slice_mut(parameter), slice(gradient));
    let (m, v) = (slice_mut(m), slice_mut(v));
    let [b1, b2] = step.betas;
    let keep = 1.0 - step.lr * step.weight_decay;
    let rate = step.lr / step.bias_corrections[0];
    let second = 1.0 / step.bias_corrections[1];
    vectorized(
        #[inline(always)]
        || {
            for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                let g = g * step.gradient_scale;
                *m = *m * b1 + g * (1.0 - b1);
                *v = *v * b2 + g * g * (1.0 - b2);
                *p = *p * keep - *m * rate / ((*v * second).sqrt() + step.eps);
            }
        },
    );
}

/// See [`crate::ops::Backend::sgd`].
pub(in crate::ops) fn sgd(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    velocity: &mut Matrix<Cpu>,
    step: &Sgd,
) {
    let (p, g, v) = (slice_mut(parameter), slice(gradient), slice_mut(velocity));
    let keep = 1.0 - step.lr * step.weight_decay;
    vectorized(
        #[inline(always)]
        || {
            for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
                *v = *v * step.momentum + g * step.gradient_scale;
                *p = *p * keep - *v * step.lr;
            }
        },
    );
}
