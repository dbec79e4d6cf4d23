//! The kinds of norm. A new kind is a variant of [`spec::Norm`] and an arm in each function here.

use crate::kernels::cpu::simd::{LANES, sum, sum_of, sums_of_rows};
use crate::kernels::matrix::{DeviceError, Matrix};
use crate::spec::Norm;
use dfdx::prelude::*;
use std::array::from_fn;

/// Added to the variance (LayerNorm) or the mean square (RMSNorm) under the root.
const EPSILON: f32 = 1e-5;

/// A row is normalized to `(x - mean) * inverse`. The backward pass needs no more than these two.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct RowStatistics {
    pub(super) mean: f32,
    pub(in crate::kernels) inverse: f32,
}

impl RowStatistics {
    /// The statistics of a row (C).
    #[inline(always)]
    pub(in crate::kernels) fn of(row: &[f32], kind: Norm) -> Self {
        let n = row.len() as f32;
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

    /// [`Self::of`] each of up to [`LANES`] rows of `c` elements. For each row that is missing, it has no
    /// meaning.
    #[inline(always)]
    pub(super) fn of_rows(rows: &[f32], c: usize, kind: Norm) -> [Self; LANES] {
        let n = c as f32;
        let (means, mean_squares) = match kind {
            Norm::Layernorm => {
                let means = sums_of_rows(rows, c, |_, x| x).map(|sum| sum / n);
                let deviations = |row: usize, x: f32| (x - means[row]) * (x - means[row]);
                (means, sums_of_rows(rows, c, deviations).map(|sum| sum / n))
            }
            Norm::Rmsnorm => {
                let squares = sums_of_rows(rows, c, |_, x| x * x);
                ([0.0; LANES], squares.map(|sum| sum / n))
            }
            Norm::None => ([0.0; LANES], [1.0 - EPSILON; LANES]),
        };
        let inverses = mean_squares.map(inverse_root);
        from_fn(|row| Self {
            mean: means[row],
            inverse: inverses[row],
        })
    }
}

/// One over the root of a mean square.
#[inline(always)]
fn inverse_root(mean_square: f32) -> f32 {
    1.0 / (mean_square + EPSILON).sqrt()
}

/// The gradient of an element is `(h - mean_h - x̂ mean_hx) inverse`, where x̂ is the normalized row and h =
/// gy * gain. Returns `(mean_h, mean_hx)` from the sums of h and of h x̂ over a row of `c` elements.
#[inline(always)]
pub(super) fn gradient_means(kind: Norm, sums: (f32, f32), c: usize) -> (f32, f32) {
    let (mean_h, mean_hx) = (sums.0 / c as f32, sums.1 / c as f32);
    match kind {
        Norm::Layernorm => (mean_h, mean_hx),
        Norm::Rmsnorm => (0.0, mean_hx),
        Norm::None => (0.0, 0.0),
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
