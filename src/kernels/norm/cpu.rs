//! Forward and backward over rows, for every kind of norm, [`LANES`] rows at a time.

use super::kinds::{RowStatistics, gradient, with_constant};
use crate::kernels::cpu::simd::{LANES, Lanes, sum_each, vectorized};
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
                for (x, y) in x.chunks(LANES * c).zip(y.chunks_mut(LANES * c)) {
                    let rows = with_constant(
                        kind,
                        #[inline(always)]
                        |kind| RowStatistics::of_rows(x, c, kind),
                    );
                    let pairs = x.chunks_exact(c).zip(y.chunks_exact_mut(c));
                    for ((x, y), row) in pairs.zip(rows) {
                        match bias {
                            None => write_scaled(y, x, row, gain),
                            Some(bias) => write_scaled_with_bias(y, x, row, gain, bias),
                        }
                        statistics.push(row);
                    }
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
        vectorized(
            #[inline(always)]
            || {
                let rows = (x.chunks(LANES * c))
                    .zip(gy.chunks(LANES * c))
                    .zip(gx.chunks_mut(LANES * c));
                for (((x, gy), gx), statistics) in rows.zip(statistics.chunks(LANES)) {
                    let rows = Rows {
                        x,
                        gy,
                        statistics,
                        means: &gradient_means((x, gy, gain), statistics),
                    };
                    with_constant(
                        kind,
                        #[inline(always)]
                        |kind| rows.add_gradients(kind, gx, gain, (g_gain, g_bias)),
                    );
                }
            },
        );
    }
}

/// The means of h and of h x̂ over each of up to [`LANES`] rows: see [`gradient`].
#[inline(always)]
fn gradient_means(
    (x, gy, gain): (&[f32], &[f32], &[f32]),
    statistics: &[RowStatistics],
) -> [(f32, f32); LANES] {
    let c = gain.len();
    let (mut sums_h, mut sums_hx) = ([[0.0; LANES]; LANES], [[0.0; LANES]; LANES]);
    let rows = x.chunks_exact(c).zip(gy.chunks_exact(c)).zip(statistics);
    for (((x, gy), &row), sums) in rows.zip(sums_h.iter_mut().zip(&mut sums_hx)) {
        let (mut h_lanes, mut hx_lanes) = ([0.0; LANES], [0.0; LANES]);
        for columns in Columns::all(c) {
            let (x, gy, gain) = (columns.of(x), columns.of(gy), columns.of(gain));
            for i in 0..LANES {
                let h = gy[i] * gain[i];
                h_lanes[i] += h;
                hx_lanes[i] += h * ((x[i] - row.mean) * row.inverse);
            }
        }
        (*sums.0, *sums.1) = (h_lanes, hx_lanes);
    }
    let (sums_h, sums_hx) = (sum_each(&sums_h), sum_each(&sums_hx));
    from_fn(|row| (sums_h[row] / c as f32, sums_hx[row] / c as f32))
}

/// Up to [`LANES`] rows of the backward pass.
struct Rows<'a> {
    /// (rows, C)
    x: &'a [f32],
    /// (rows, C)
    gy: &'a [f32],
    statistics: &'a [RowStatistics],
    /// Those of [`gradient_means`].
    means: &'a [(f32, f32); LANES],
}

impl Rows<'_> {
    /// Adds to the gradients of x (rows, C), of the gain (C), and of the bias (C), which may be empty. Takes a
    /// vector of columns at a time, so that the gradients of gain and bias stay in registers.
    #[inline(always)]
    fn add_gradients(
        self,
        kind: Norm,
        gx: &mut [f32],
        gain: &[f32],
        (g_gain, g_bias): (&mut [f32], &mut [f32]),
    ) {
        let c = gain.len();
        for columns in Columns::all(c) {
            let gains = columns.of(gain);
            let mut g_gains = columns.of(g_gain);
            let mut g_biases = match g_bias.is_empty() {
                true => [0.0; LANES],
                false => columns.of(g_bias),
            };
            let rows = (self.x.chunks_exact(c))
                .zip(self.gy.chunks_exact(c))
                .zip(gx.chunks_exact_mut(c));
            let statistics = self.statistics.iter().zip(self.means);
            for (((x, gy), gx), (row, &means)) in rows.zip(statistics) {
                let (x, gy, mut gradients) = (columns.of(x), columns.of(gy), columns.of(gx));
                for i in 0..LANES {
                    let normalized = (x[i] - row.mean) * row.inverse;
                    let h = gy[i] * gains[i];
                    gradients[i] += gradient(kind, (h, normalized), means, row.inverse);
                    g_gains[i] += gy[i] * normalized;
                    g_biases[i] += gy[i];
                }
                columns.write(gx, gradients);
            }
            columns.write(g_gain, g_gains);
            if !g_bias.is_empty() {
                columns.write(g_bias, g_biases);
            }
        }
    }
}

/// The columns of a row from this one on: [`LANES`] of them, or fewer at the end of the row.
#[derive(Clone, Copy)]
struct Columns(usize);

impl Columns {
    /// All columns of a row of `c` elements.
    #[inline(always)]
    fn all(c: usize) -> impl Iterator<Item = Self> {
        (0..c).step_by(LANES).map(Self)
    }

    /// These columns of a row, followed by zeros.
    #[inline(always)]
    fn of(self, row: &[f32]) -> Lanes {
        let row = &row[self.0..];
        row.first_chunk().copied().unwrap_or_else(|| {
            let mut lanes = [0.0; LANES];
            lanes[..row.len()].copy_from_slice(row);
            lanes
        })
    }

    /// Writes these columns of a row.
    #[inline(always)]
    fn write(self, row: &mut [f32], lanes: Lanes) {
        let row = &mut row[self.0..];
        match row.first_chunk_mut() {
            Some(row) => *row = lanes,
            None => row.copy_from_slice(&lanes[..row.len()]),
        }
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
