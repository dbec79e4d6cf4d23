use super::{EPSILON, Normalization};
use crate::kernels::Matrix;
use crate::kernels::cpu::simd::{LANES, Lanes, add, sum, sum_lanes, sum_of, vectorized};
use crate::kernels::cpu::storage::{filled, matrix, slice};
use dfdx::prelude::*;
use std::array::from_fn;
use std::mem::take;

/// Mean (0 for RMSNorm) and reciprocal scale of a row: all that is kept for the way back.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct RowStatistics {
    mean: f32,
    inverse: f32,
}

impl RowStatistics {
    #[inline(always)]
    pub(in crate::kernels) fn of(row: &[f32], kind: Normalization) -> Self {
        let n = row.len() as f32;
        let (mean, square) = match kind {
            Normalization::Layer => {
                let mean = sum(row) / n;
                (mean, sum_of(row, |x| (x - mean) * (x - mean)) / n)
            }
            Normalization::Rms => (0.0, sum_of(row, |x| x * x) / n),
        };
        Self {
            mean,
            inverse: 1.0 / (square + EPSILON).sqrt(),
        }
    }
}

/// See [`crate::kernels::Backend::norm`].
pub(in crate::kernels) fn norm<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    kind: Normalization,
    gain: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let (n, c) = *x.shape();
    let mut statistics = Vec::with_capacity(n);
    // SAFETY: `forward` writes each of the n rows of c elements.
    let y = unsafe {
        filled(n * c, |y| {
            forward(
                slice(&x),
                kind,
                slice(gain),
                bias.map(slice),
                y,
                &mut statistics,
            );
        })
    };
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
        backward(
            slice(&x),
            kind,
            slice(&gain),
            &statistics,
            &gy,
            gx,
            &mut g_gain,
            &mut g_bias,
        );
        **gradients.get_or_alloc_mut(&gain)? = g_gain;
        if let Some(bias) = &bias {
            **gradients.get_or_alloc_mut(bias)? = g_bias;
        }
        Ok(())
    });
    Ok(y.put_tape(tape))
}

fn forward(
    x: &[f32],
    kind: Normalization,
    gain: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    statistics: &mut Vec<RowStatistics>,
) {
    let c = gain.len();
    vectorized(
        #[inline(always)]
        || {
            for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
                let row = RowStatistics::of(x, kind);
                scale_row(y, x, row, gain);
                if let Some(bias) = bias {
                    add(y, bias);
                }
                statistics.push(row);
            }
        },
    );
}

#[inline(always)]
pub(in crate::kernels) fn scale_row(y: &mut [f32], x: &[f32], row: RowStatistics, gain: &[f32]) {
    for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
        *y = (x - row.mean) * row.inverse * g;
    }
}

/// With x̂ the normalised row and h = gy * gain:
/// gx = (h - mean(h) - x̂ mean(h x̂)) / σ, the term mean(h) for LayerNorm alone.
#[expect(
    clippy::too_many_arguments,
    reason = "the three gradients are written in one pass over the rows"
)]
fn backward(
    x: &[f32],
    kind: Normalization,
    gain: &[f32],
    statistics: &[RowStatistics],
    gy: &[f32],
    gx: &mut [f32],
    g_gain: &mut [f32],
    g_bias: &mut [f32],
) {
    let c = gain.len();
    let mut normalized = vec![0.0; c];
    let mut h = vec![0.0; c];
    let (normalized, h) = (normalized.as_mut_slice(), h.as_mut_slice());
    vectorized(
        #[inline(always)]
        || {
            let rows = x
                .chunks_exact(c)
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

/// Of one row: x, gy and gx; the gradients of gain and bias, the latter empty where there is none;
/// and room for x̂ and h.
#[inline(always)]
pub(in crate::kernels) fn backward_row(
    (x, gy, gx): (&[f32], &[f32], &mut [f32]),
    kind: Normalization,
    gain: &[f32],
    row: RowStatistics,
    (g_gain, g_bias): (&mut [f32], &mut [f32]),
    (normalized, h): (&mut [f32], &mut [f32]),
) {
    let n = gain.len() as f32;
    let (sum_h, sum_hx) = normalize_again((x, gy, gain), row, (normalized, h));
    let mean_h = match kind {
        Normalization::Layer => sum_h / n,
        Normalization::Rms => 0.0,
    };
    add_row_gradient(gx, h, normalized, mean_h, sum_hx / n, row.inverse);
    add_products(g_gain, gy, normalized);
    add(g_bias, gy);
}

/// x̂ and h of a row, and the sums of h and of h x̂, in one pass: a narrow row is not worth four.
#[inline(always)]
fn normalize_again(
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

/// The last elements of a row, and zeros.
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

#[inline(always)]
fn add_row_gradient(
    gx: &mut [f32],
    h: &[f32],
    normalized: &[f32],
    mean_h: f32,
    mean_hx: f32,
    inverse: f32,
) {
    for ((gx, &h), &x) in gx.iter_mut().zip(h).zip(normalized) {
        *gx += (h - mean_h - x * mean_hx) * inverse;
    }
}
