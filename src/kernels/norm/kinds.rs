//! The kinds of norm. A new kind is a variant of [`spec::Norm`] and an arm in each function here.

use crate::kernels::cpu::simd::{sum, sum_of};
use crate::kernels::matrix::{DeviceError, Matrix};
use crate::spec::Norm;
use dfdx::prelude::*;

/// Added to the variance (LayerNorm) or the mean square (RMSNorm) under the root.
const EPSILON: f32 = 1e-5;

/// A row is normalized to `(x - mean) * inverse`. The backward pass needs no more than these two.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct RowStatistics {
    pub(super) mean: f32,
    pub(super) inverse: f32,
}

impl RowStatistics {
    /// The statistics of a row (C).
    #[inline(always)]
    pub(in crate::kernels) fn of(row: &[f32], kind: Norm) -> Self {
        let n = row.len() as f32;
        let inverse_root = |mean_square: f32| 1.0 / (mean_square + EPSILON).sqrt();
        match kind {
            Norm::Layernorm => {
                let mean = sum(row) / n;
                let variance = sum_of(row, |x| (x - mean) * (x - mean)) / n;
                Self {
                    mean,
                    inverse: inverse_root(variance),
                }
            }
            Norm::Rmsnorm => Self {
                mean: 0.0,
                inverse: inverse_root(sum_of(row, |x| x * x) / n),
            },
            Norm::None => Self {
                mean: 0.0,
                inverse: 1.0,
            },
        }
    }
}

/// Adds the gradient of a row to `gx`, where x̂ is the normalized row and h = gy * gain. `sums` are
/// the sums of h and of h x̂.
#[inline(always)]
pub(super) fn add_row_gradient(
    gx: &mut [f32],
    kind: Norm,
    (h, normalized): (&[f32], &[f32]),
    sums: (f32, f32),
    inverse: f32,
) {
    let n = h.len() as f32;
    let (mean_h, mean_hx) = (sums.0 / n, sums.1 / n);
    let row = (gx, h, normalized);
    match kind {
        Norm::Layernorm => add_each(row, |h, x| (h - mean_h - x * mean_hx) * inverse),
        Norm::Rmsnorm => add_each(row, |h, x| (h - x * mean_hx) * inverse),
        Norm::None => add_each(row, |h, _| h * inverse),
    }
}

/// `gx += f(h, x̂)`, element by element.
#[inline(always)]
fn add_each((gx, h, normalized): (&mut [f32], &[f32], &[f32]), f: impl Fn(f32, f32) -> f32) {
    for ((gx, &h), &x) in gx.iter_mut().zip(h).zip(normalized) {
        *gx += f(h, x);
    }
}

/// The normalized rows of (N, C), before the gain, composed of dfdx's own operations.
pub(super) fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    kind: Norm,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    match kind {
        Norm::Layernorm => x.try_normalize::<Axis<1>>(EPSILON),
        Norm::Rmsnorm => {
            let shape = *x.shape();
            let mean_square = x
                .with_empty_tape()
                .try_square()?
                .try_mean::<(usize,), Axis<1>>()?;
            let rms = mean_square.try_add(EPSILON)?.try_sqrt()?;
            x.try_div(rms.try_broadcast_like::<_, Axis<1>>(&shape)?)
        }
        Norm::None => Ok(x),
    }
}
