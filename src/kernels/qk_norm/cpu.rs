//! RMSNorm of each head's row, in place of the queries and keys.

use crate::kernels::attention::Heads;
use crate::kernels::cpu::simd::{sum, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::matrix::Matrix;
use crate::kernels::norm::kinds::{RowStatistics, gradient};
use crate::spec::Norm;
use dfdx::prelude::*;
use std::mem::take;

/// The kernel of [`super::QkNorm`].
pub(super) fn qk_norm<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    [q_gain, k_gain]: [&Matrix<Cpu>; 2],
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split_tape();
    let mut y = slice(&qkv).to_vec();
    forward(&mut y, qkv.shape().1, heads, [slice(q_gain), slice(k_gain)]);
    let y = matrix(*qkv.shape(), y);
    let y_ghost = y.ghost();
    let (q_gain, k_gain) = (q_gain.clone(), k_gain.clone());
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        let mut g_q_gain = take(&mut **gradients.get_or_alloc_mut(&q_gain)?);
        let mut g_k_gain = take(&mut **gradients.get_or_alloc_mut(&k_gain)?);
        let backward = Backward {
            x: slice(&qkv),
            width: qkv.shape().1,
            heads,
            gains: [slice(&q_gain), slice(&k_gain)],
            gy: &gy,
        };
        let gx = gradients.get_or_alloc_mut(&qkv)?;
        backward.run(gx, [&mut g_q_gain, &mut g_k_gain]);
        **gradients.get_or_alloc_mut(&q_gain)? = g_q_gain;
        **gradients.get_or_alloc_mut(&k_gain)? = g_k_gain;
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// Normalizes the queries and keys of rows (N, width) in place.
fn forward(x: &mut [f32], width: usize, heads: Heads, gains: [&[f32]; 2]) {
    let hs = heads.head_size(width);
    let (q_end, k_end) = (heads.count * hs, (heads.count + heads.kv_count) * hs);
    vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(width) {
                for (part, gain) in [0..q_end, q_end..k_end].into_iter().zip(gains) {
                    for head in row[part].chunks_exact_mut(hs) {
                        let inverse = RowStatistics::of(head, Norm::Rmsnorm).inverse;
                        for (x, &gain) in head.iter_mut().zip(gain) {
                            *x = *x * inverse * gain;
                        }
                    }
                }
            }
        },
    );
}

struct Backward<'a> {
    /// (N, width)
    x: &'a [f32],
    width: usize,
    heads: Heads,
    /// Of queries and of keys: (hs) each.
    gains: [&'a [f32]; 2],
    /// (N, width)
    gy: &'a [f32],
}

impl Backward<'_> {
    /// Adds to the gradients of x (N, width) and of the gains (hs). The statistics of a head are
    /// computed again, which takes less time than storing them.
    fn run(self, gx: &mut [f32], g_gains: [&mut [f32]; 2]) {
        let Self {
            x,
            width,
            heads,
            gains,
            gy,
        } = self;
        let hs = heads.head_size(width);
        let (q_end, k_end) = (heads.count * hs, (heads.count + heads.kv_count) * hs);
        let mut buffers = [(); 3].map(|()| vec![0.0; hs]);
        let [g_q_gain, g_k_gain] = g_gains;
        vectorized(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(width).zip(gy.chunks_exact(width));
                for ((x, gy), gx) in rows.zip(gx.chunks_exact_mut(width)) {
                    for start in (0..k_end).step_by(hs) {
                        let head = start..start + hs;
                        let (gain, g_gain) = match start < q_end {
                            true => (gains[0], &mut *g_q_gain),
                            false => (gains[1], &mut *g_k_gain),
                        };
                        let row = (&x[head.clone()], &gy[head.clone()], &mut gx[head]);
                        backward_row(row, gain, g_gain, &mut buffers);
                    }
                    for (gx, gy) in gx[k_end..].iter_mut().zip(&gy[k_end..]) {
                        *gx += gy;
                    }
                }
            },
        );
    }
}

/// The backward pass of one row: `(x, gy, gx)`, the gradient of the gain, and buffers of the size of the row.
#[inline(always)]
fn backward_row(
    (x, gy, gx): (&[f32], &[f32], &mut [f32]),
    gain: &[f32],
    g_gain: &mut [f32],
    [normalized, h, products]: &mut [Vec<f32>; 3],
) {
    let inverse = RowStatistics::of(x, Norm::Rmsnorm).inverse;
    for (normalized, x) in normalized.iter_mut().zip(x) {
        *normalized = x * inverse;
    }
    for ((h, gy), gain) in h.iter_mut().zip(gy).zip(gain) {
        *h = gy * gain;
    }
    for ((product, h), normalized) in products.iter_mut().zip(&*h).zip(&*normalized) {
        *product = h * normalized;
    }
    let means = (0.0, sum(products) / x.len() as f32);
    for ((gx, &h), &normalized) in gx.iter_mut().zip(&*h).zip(&*normalized) {
        *gx += gradient(Norm::Rmsnorm, (h, normalized), means, inverse);
    }
    for ((g_gain, gy), normalized) in g_gain.iter_mut().zip(gy).zip(&*normalized) {
        *g_gain += gy * normalized;
    }
}
