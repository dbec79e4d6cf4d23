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
        let mean = match has_mean(kind) {
            true => sum(row) / n,
            false => 0.0,
        };
        let magnitude = sum_of(row, |x| magnitude(kind, x - mean)) / n;
        let inverse = inverse(kind, magnitude);
        Self { mean, inverse }
    }

    /// [`Self::of`] each of up to [`LANES`] rows of `c` elements. For each row that is missing, it has no
    /// meaning.
    #[inline(always)]
    pub(super) fn of_rows(rows: &[f32], c: usize, kind: Norm) -> [Self; LANES] {
        let n = c as f32;
        let means = match has_mean(kind) {
            true => sums_of_rows(rows, c, |_, x| x).map(|sum| sum / n),
            false => [0.0; LANES],
        };
        let magnitudes = sums_of_rows(rows, c, |row, x| magnitude(kind, x - means[row]));
        let inverses = magnitudes.map(|sum| inverse(kind, sum / n));
        from_fn(|row| Self {
            mean: means[row],
            inverse: inverses[row],
        })
    }
}

/// Calls `work` with the kind as a constant, so that the compiler makes loops for each kind. `work` is
/// `#[inline(always)]`.
#[inline(always)]
pub(super) fn with_constant<R>(kind: Norm, work: impl FnOnce(Norm) -> R) -> R {
    match kind {
        Norm::Layernorm => work(Norm::Layernorm),
        Norm::Rmsnorm => work(Norm::Rmsnorm),
        Norm::None => work(Norm::None),
    }
}

/// Whether the mean of a row is subtracted.
#[inline(always)]
fn has_mean(kind: Norm) -> bool {
    match kind {
        Norm::Layernorm => true,
        Norm::Rmsnorm | Norm::None => false,
    }
}

/// The magnitude of an element, whose mean over a row decides the scale.
#[inline(always)]
fn magnitude(kind: Norm, x: f32) -> f32 {
    match kind {
        Norm::Layernorm | Norm::Rmsnorm => x * x,
        Norm::None => 0.0,
    }
}

/// The factor that normalizes a row, from the mean of [`magnitude`].
#[inline(always)]
fn inverse(kind: Norm, magnitude: f32) -> f32 {
    match kind {
        Norm::Layernorm | Norm::Rmsnorm => 1.0 / (magnitude + EPSILON).sqrt(),
        Norm::None => 1.0,
    }
}

/// The gradient of an element. x̂ is the normalized row and h = gy * gain. The means are
/// those of h and of h x̂ over the row.
#[inline(always)]
pub(in crate::kernels) fn gradient(
    kind: Norm,
    (h, normalized): (f32, f32),
    (mean_h, mean_hx): (f32, f32),
    inverse: f32,
) -> f32 {
    match kind {
        Norm::Layernorm => (h - mean_h - normalized * mean_hx) * inverse,
        Norm::Rmsnorm => (h - normalized * mean_hx) * inverse,
        Norm::None => h * inverse,
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
