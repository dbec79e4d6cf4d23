//! One (sequence, head) at a time, one block of queries at a time against the keys up to its end:
//! scores of a block of [`BLOCK`] x T are all that is ever there of the T x T matrix. The way back
//! makes them again from the log of the softmax's sum, kept for each query (Dao et al. 2022,
//! section 3.1).

use super::Heads;
use crate::ops::simd::{LANES, exp, max, sum, sum_of2, vectorized};
use crate::ops::storage::{filled, matrix, slice};
use crate::ops::tile::{Left, Sum, add_product, transpose};
use crate::ops::{Dropout, Matrix};
use dfdx::prelude::*;
use std::mem::take;
use std::ops::Range;

/// Queries in a block. Scores of 64 x 256 are 64 KiB, which stays in the second-level cache.
const BLOCK: usize = 64;

/// Queries whose scores are made together, so that no more than a corner of the masked half is made.
const STRIP: usize = 16;

/// Shapes, and what the scores are multiplied by.
#[derive(Clone, Copy)]
struct Layout {
    n: usize,
    c: usize,
    heads: Heads,
    hs: usize,
    scale: f32,
}

impl Layout {
    fn new((n, c3): (usize, usize), heads: Heads) -> Self {
        let c = c3 / 3;
        let hs = c / heads.count;
        Self {
            n,
            c,
            heads,
            hs,
            scale: 1.0 / (hs as f32).sqrt(),
        }
    }

    /// Index of a (sequence, head)'s first element in rows of `width`.
    fn start(&self, sequence: usize, head: usize, width: usize) -> usize {
        sequence * self.heads.block * width + head * self.hs
    }

    /// Calls `f` for each (sequence, head) and its number.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        for sequence in 0..self.n / self.heads.block {
            for head in 0..self.heads.count {
                f(sequence, head, sequence * self.heads.count + head);
            }
        }
    }

    /// Blocks of queries.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let t = self.heads.block;
        (0..t)
            .step_by(BLOCK)
            .map(move |start| start..(start + BLOCK).min(t))
    }
}

/// See [`crate::ops::Backend::attention`].
pub(in crate::ops) fn attention<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split_tape();
    let layout = Layout::new(*qkv.shape(), heads);
    let mut log_sums = vec![0.0; layout.n * heads.count];
    // SAFETY: `forward` overwrites the columns of every head in every row.
    let y = unsafe {
        filled(layout.n * layout.c, |y| {
            forward(layout, slice(&qkv), dropout, y, &mut log_sums);
        })
    };
    let y = matrix((layout.n, layout.c), y);
    let y_kept = y.clone();
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_kept)?);
        let g_qkv = gradients.get_or_alloc_mut(&qkv)?;
        backward(
            layout,
            slice(&qkv),
            slice(&y_kept),
            &log_sums,
            dropout,
            &gy,
            g_qkv,
        );
        Ok(())
    });
    Ok(y.put_tape(tape))
}

fn forward(
    layout: Layout,
    qkv: &[f32],
    dropout: Option<Dropout>,
    y: &mut [f32],
    log_sums: &mut [f32],
) {
    let Layout { c, hs, heads, .. } = layout;
    let t = heads.block;
    let mut scores = vec![0.0; BLOCK.min(t) * t];
    let mut k_t = vec![0.0; hs * t];
    layout.each(|sequence, head, number| {
        let qkv = &qkv[layout.start(sequence, head, 3 * c)..];
        let y = &mut y[layout.start(sequence, head, c)..];
        vectorized(
            #[inline(always)]
            || {
                transpose(&mut k_t, &qkv[c..], 3 * c, t, hs);
                for rows in layout.blocks() {
                    let (m, seen) = (rows.len(), rows.end);
                    let p = &mut scores[..m * seen];
                    let q = (&qkv[rows.start * 3 * c..], 3 * c);
                    triangle(p, q, (&k_t, t), hs, rows.start, m);
                    let log_sums = &mut log_sums[number * t..][rows.clone()];
                    softmax(p, seen, rows.start, layout.scale, log_sums);
                    if let Some(dropout) = dropout {
                        drop_scores(dropout, number * t + rows.start, t, p, seen);
                    }
                    let y = &mut y[rows.start * c..];
                    (0..m).for_each(|i| y[i * c..][..hs].fill(0.0));
                    let seen_only = Sum::Upto { first: rows.start };
                    let v = (&qkv[2 * c..], 3 * c);
                    add_product((y, c), Left::rows(p, seen), v, (m, hs), seen_only);
                }
            },
        );
    });
}

/// `a b` of m rows of `a` and T columns of `b` (hs, T), as far as a causal mask lets it be seen:
/// m rows of `first + m`, of which row i is right up to column `first + i` and a little beyond.
#[inline(always)]
fn triangle(
    dst: &mut [f32],
    (a, a_stride): (&[f32], usize),
    (b, t): (&[f32], usize),
    hs: usize,
    first: usize,
    m: usize,
) {
    let seen = first + m;
    dst.fill(0.0);
    for start in (0..m).step_by(STRIP) {
        let rows = STRIP.min(m - start);
        let dst = (&mut dst[start * seen..], seen);
        let a = Left::rows(&a[start * a_stride..], a_stride);
        add_product(dst, a, (b, t), (rows, first + start + rows), Sum::All(hs));
    }
}

/// Softmax of each row of scores over the keys up to its own, in place; zeros after. Row `i` is of
/// query `first + i`.
#[inline(always)]
fn softmax(scores: &mut [f32], seen: usize, first: usize, scale: f32, log_sums: &mut [f32]) {
    for ((i, row), log_sum) in scores.chunks_exact_mut(seen).enumerate().zip(log_sums) {
        let row = masked(row, first + i + 1);
        let largest = max(row) * scale;
        for s in row.iter_mut() {
            *s = exp(*s * scale - largest);
        }
        let total = sum(row);
        let inverse = 1.0 / total;
        row.iter_mut().for_each(|p| *p *= inverse);
        *log_sum = largest + total.ln();
    }
}

/// A row of scores with those after the `own` first at negative infinity, as far as whole vectors of
/// the others reach, and zero after. The exponential of either is zero, and a row that is worked
/// through in whole vectors has no slow end.
#[inline(always)]
fn masked(row: &mut [f32], own: usize) -> &mut [f32] {
    let reach = whole_vectors(own, row.len());
    row[own..reach].fill(f32::NEG_INFINITY);
    row[reach..].fill(0.0);
    &mut row[..reach]
}

/// The `own` first of `seen` columns, rounded up to whole vectors.
#[inline(always)]
fn whole_vectors(own: usize, seen: usize) -> usize {
    own.next_multiple_of(LANES).min(seen)
}

/// The softmax of [`softmax`] again, from the sums it left.
#[inline(always)]
fn softmax_again(scores: &mut [f32], seen: usize, first: usize, scale: f32, log_sums: &[f32]) {
    for ((i, row), &log_sum) in scores.chunks_exact_mut(seen).enumerate().zip(log_sums) {
        for s in masked(row, first + i + 1) {
            *s = exp(*s * scale - log_sum);
        }
    }
}

/// Drops probabilities of queries numbered from `first` on, in rows of `t` of which `seen` are there.
fn drop_scores(dropout: Dropout, first: usize, t: usize, p: &mut [f32], seen: usize) {
    for (i, row) in p.chunks_exact_mut(seen).enumerate() {
        dropout.apply((first + i) * t, row);
    }
}

/// With P the probabilities, D the dropout's factors and gP = gy Vᵀ ∘ D:
/// gV = (P ∘ D)ᵀ gy; gS = P ∘ (gP - rowsum(gy ∘ y)) scale; gQ = gS K; gK = gSᵀ Q.
fn backward(
    layout: Layout,
    qkv: &[f32],
    y: &[f32],
    log_sums: &[f32],
    dropout: Option<Dropout>,
    gy: &[f32],
    g_qkv: &mut [f32],
) {
    let Layout {
        c,
        hs,
        heads,
        scale,
        ..
    } = layout;
    let t = heads.block;
    let size = BLOCK.min(t) * t;
    let (mut scores, mut g_scores, mut kept) = (vec![0.0; size], vec![0.0; size], Vec::new());
    let (mut k_t, mut v_t) = (vec![0.0; hs * t], vec![0.0; hs * t]);
    layout.each(|sequence, head, number| {
        let start = layout.start(sequence, head, 3 * c);
        let (qkv, g_qkv) = (&qkv[start..], &mut g_qkv[start..]);
        let start = layout.start(sequence, head, c);
        let (y, gy) = (&y[start..], &gy[start..]);
        vectorized(
            #[inline(always)]
            || {
                transpose(&mut k_t, &qkv[c..], 3 * c, t, hs);
                transpose(&mut v_t, &qkv[2 * c..], 3 * c, t, hs);
                for rows in layout.blocks() {
                    let (m, seen, first) = (rows.len(), rows.end, rows.start);
                    let (p, gp) = (&mut scores[..m * seen], &mut g_scores[..m * seen]);
                    let q = (&qkv[first * 3 * c..], 3 * c);
                    let gy = (&gy[first * c..], c);

                    triangle(p, q, (&k_t, t), hs, first, m);
                    softmax_again(p, seen, first, scale, &log_sums[number * t..][rows.clone()]);
                    triangle(gp, gy, (&v_t, t), hs, first, m);
                    let p_dropped: &[f32] = match dropout {
                        Some(dropout) => {
                            kept.clear();
                            kept.extend_from_slice(p);
                            drop_scores(dropout, number * t + first, t, &mut kept, seen);
                            drop_scores(dropout, number * t + first, t, gp, seen);
                            &kept
                        }
                        None => p,
                    };
                    let seeing = Sum::From { first, k: m };
                    let p_t = Left::transposed(p_dropped, seen);
                    add_product((&mut g_qkv[2 * c..], 3 * c), p_t, gy, (seen, hs), seeing);
                    softmax_backward(p, gp, seen, first, scale, &y[first * c..], gy.0, c, hs);
                    let g_q = (&mut g_qkv[first * 3 * c..], 3 * c);
                    let k = (&qkv[c..], 3 * c);
                    add_product(g_q, Left::rows(gp, seen), k, (m, hs), Sum::Upto { first });
                    let g_k = (&mut g_qkv[c..], 3 * c);
                    add_product(g_k, Left::transposed(gp, seen), q, (seen, hs), seeing);
                }
            },
        );
    });
}

/// Turns the gradient of the probabilities into that of the unscaled scores, in place.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "five slices with their strides, in one hot loop"
)]
fn softmax_backward(
    p: &[f32],
    gp: &mut [f32],
    seen: usize,
    first: usize,
    scale: f32,
    y: &[f32],
    gy: &[f32],
    c: usize,
    hs: usize,
) {
    let rows = p.chunks_exact(seen).zip(gp.chunks_exact_mut(seen));
    for (i, (p, gp)) in rows.enumerate() {
        let inner = sum_of2(&y[i * c..][..hs], &gy[i * c..][..hs], |y, g| y * g);
        // Where p is zero, so is the gradient.
        let (gp, later) = gp.split_at_mut(whole_vectors(first + i + 1, seen));
        for (g, &p) in gp.iter_mut().zip(p) {
            *g = p * (*g - inner) * scale;
        }
        later.fill(0.0);
    }
}
