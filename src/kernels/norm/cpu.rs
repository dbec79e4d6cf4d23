//! Forward and backward over rows, for every kind of norm.

use super::kinds::{RowStatistics, add_row_gradient};
use crate::kernels::cpu::simd::{LANES, Lanes, add, sum_lanes, vectorized};
use crate::kernels::cpu::storage::{matrix, slice, vec_from_writer};
use crate::kernels::matrix::Matrix;
use crate::spec::Norm;
use dfdx::prelude::*;
use std::array::from_fn;
use std::mem::{MaybeUninit, take};

/// The kernel of [`super::Norm`].
pub(super) fn norm<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    kind: Norm,
    gain: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let (n, c) = *x.shape();
    let mut statistics = Vec::with_capacity(n);
    let forward = Forward {
        x: slice(&x),
        kind,
        gain: slice(gain),
        bias: bias.map(slice),
    };
    assert!(
        forward.gain.len() == c && forward.bias.is_none_or(|bias| bias.len() == c),
        "a gain and a bias for each column"
    );
    // SAFETY: `Forward` writes each of the n rows of c elements.
    let y = unsafe { vec_from_writer(n * c, |y| forward.run(y, &mut statistics)) };
    let y = matrix((n, c), y);
    let (y_ghost, gain, bias) = (y.ghost(), gain.clone(), bias.cloned());
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        let mut g_gain = take(&mut **gradients.get_or_alloc_mut(&gain)?);
        let mut g_bias = match &bias {
            Some(bias) => take(&mut **gradients.get_or_alloc_mut(bias)?),
            None => Vec::new(),
        };
        let gx = gradients.get_or_alloc_mut(&x)?;
        let backward = Backward {
            x: slice(&x),
            kind,
            gain: slice(&gain),
            statistics: &statistics,
            gy: &gy,
        };
        backward.run(gx, &mut g_gain, &mut g_bias);
        **gradients.get_or_alloc_mut(&gain)? = g_gain;
        if let Some(bias) = &bias {
            **gradients.get_or_alloc_mut(bias)? = g_bias;
        }
        Ok(())
    });
    Ok(y.put_tape(tape))
}

struct Forward<'a> {
    /// (N, C)
    x: &'a [f32],
    kind: Norm,
    /// (C)
    gain: &'a [f32],
    /// (C)
    bias: Option<&'a [f32]>,
}

impl Forward<'_> {
    /// Writes each row of `y` (N, C), and appends its statistics.
    fn run(self, y: &mut [MaybeUninit<f32>], statistics: &mut Vec<RowStatistics>) {
        let Self {
            x,
            kind,
            gain,
            bias,
        } = self;
        let c = gain.len();
        vectorized(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                    let row = RowStatistics::of(x, kind);
                    match bias {
                        None => write_scaled(y, x, row, gain),
                        Some(bias) => write_scaled_with_bias(y, x, row, gain, bias),
                    }
                    statistics.push(row);
                }
            },
        );
    }
}

/// Writes `(x - mean) inverse gain` to a row.
#[inline(always)]
fn write_scaled(y: &mut [MaybeUninit<f32>], x: &[f32], row: RowStatistics, gain: &[f32]) {
    for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
        y.write((x - row.mean) * row.inverse * g);
    }
}

/// Writes `(x - mean) inverse gain + bias` to a row.
#[inline(always)]
fn write_scaled_with_bias(
    y: &mut [MaybeUninit<f32>],
    x: &[f32],
    row: RowStatistics,
    gain: &[f32],
    bias: &[f32],
) {
    for (((y, &x), &g), &b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
        y.write((x - row.mean) * row.inverse * g + b);
    }
}

/// Normalizes a row in place and multiplies it by the gain.
#[inline(always)]
pub(in crate::kernels) fn scale_row(x: &mut [f32], row: RowStatistics, gain: &[f32]) {
    for (x, &g) in x.iter_mut().zip(gain) {
        *x = (*x - row.mean) * row.inverse * g;
    }
}

struct Backward<'a> {
    /// (N, C)
    x: &'a [f32],
    kind: Norm,
    /// (C)
    gain: &'a [f32],
    /// (N)
    statistics: &'a [RowStatistics],
    /// (N, C)
    gy: &'a [f32],
}

impl Backward<'_> {
    /// Adds to the gradients of x (N, C), of the gain (C), and of the bias (C), which is empty
    /// where there is no bias.
    fn run(self, gx: &mut [f32], g_gain: &mut [f32], g_bias: &mut [f32]) {
        let Self {
            x,
            kind,
            gain,
            statistics,
            gy,
        } = self;
        let c = gain.len();
        let (mut normalized, mut h) = (vec![0.0; c], vec![0.0; c]);
        let (normalized, h) = (normalized.as_mut_slice(), h.as_mut_slice());
        vectorized(
            #[inline(always)]
            || {
                let rows = (x.chunks_exact(c))
                    .zip(gy.chunks_exact(c))
                    .zip(gx.chunks_exact_mut(c));
                for (((x, gy), gx), &row) in rows.zip(statistics) {
                    backward_row(
                        (x, gy, gx),
                        kind,
                        gain,
                        row,
                        (g_gain, g_bias),
                        (normalized, h),
                    );
                }
            },
        );
    }
}

/// The backward pass of one row: `(x, gy, gx)`, the gradients of gain and bias, of which the latter
/// may be empty, and buffers for x̂, the normalized row, and for h = gy * gain.
#[inline(always)]
pub(in crate::kernels) fn backward_row(
    (x, gy, gx): (&[f32], &[f32], &mut [f32]),
    kind: Norm,
    gain: &[f32],
    row: RowStatistics,
    (g_gain, g_bias): (&mut [f32], &mut [f32]),
    (normalized, h): (&mut [f32], &mut [f32]),
) {
    let sums = recompute_row((x, gy, gain), row, (normalized, h));
    add_row_gradient(gx, kind, (h, normalized), sums, row.inverse);
    add_products(g_gain, gy, normalized);
    add(g_bias, gy);
}

/// Writes x̂ and h of a row. Returns the sums of h and of h x̂. One pass over a narrow row is
/// faster than four.
#[inline(always)]
fn recompute_row(
    (x, gy, gain): (&[f32], &[f32], &[f32]),
    row: RowStatistics,
    (normalized, h): (&mut [f32], &mut [f32]),
) -> (f32, f32) {
    let (mut sums_h, mut sums_hx) = ([0.0; LANES], [0.0; LANES]);
    let mut lanes = |x: Lanes, gy: Lanes, gain: Lanes| -> (Lanes, Lanes) {
        let normalized: Lanes = from_fn(|i| (x[i] - row.mean) * row.inverse);
        let h: Lanes = from_fn(|i| gy[i] * gain[i]);
        for i in 0..LANES {
            sums_h[i] += h[i];
            sums_hx[i] += h[i] * normalized[i];
        }
        (normalized, h)
    };
    let ((xs, x), (gys, gy), (gains, gain)) = (x.as_chunks(), gy.as_chunks(), gain.as_chunks());
    let ((normalizeds, normalized), (hs, h)) = (normalized.as_chunks_mut(), h.as_chunks_mut());
    let written = normalizeds.iter_mut().zip(hs);
    for (((x, gy), gain), (normalized, h)) in xs.iter().zip(gys).zip(gains).zip(written) {
        (*normalized, *h) = lanes(*x, *gy, *gain);
    }
    if !x.is_empty() {
        let rest = lanes(padded(x), padded(gy), padded(gain));
        normalized.copy_from_slice(&rest.0[..x.len()]);
        h.copy_from_slice(&rest.1[..x.len()]);
    }
    (sum_lanes(sums_h), sum_lanes(sums_hx))
}

/// The last elements of a row, padded with zeros.
#[inline(always)]
fn padded(rest: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
}

/// `sums += x y`, element by element.
#[inline(always)]
fn add_products(sums: &mut [f32], x: &[f32], y: &[f32]) {
    for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
        *sum += x * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small enough for Miri, under which the other tests of this operation take minutes.
    #[test]
    fn every_element_is_written() {
        let vector = |values: &[f32]| matrix((1, values.len()), values.to_vec());
        let (gain, bias) = (vector(&[1.0, 2.0, 3.0]), vector(&[0.5, 0.0, -0.5]));
        let x = matrix((2, 3), vec![1.0, 2.0, 3.0, 3.0, 2.0, 1.0]);
        let normalized = 1.0 / (2.0f32 / 3.0 + 1e-5).sqrt();
        for (bias, [b0, b2]) in [(None, [0.0, 0.0]), (Some(&bias), [0.5, -0.5])] {
            let y = norm(x.clone(), Norm::Layernorm, &gain, bias).unwrap();
            let (first, last) = (normalized, 3.0 * normalized);
            let expected = [b0 - first, 0.0, b2 + last, b0 + first, 0.0, b2 - last];
            for (y, expected) in slice(&y).iter().zip(expected) {
                assert!((y - expected).abs() < 1e-5, "{y} {expected}");
            }
        }
    }
}
