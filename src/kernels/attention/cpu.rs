//! Attention without a matrix of scores (T, T), forward and backward.
//!
//! The kernel takes one (sequence, head) at a time, and of it one block of queries at a time. Only
//! the scores of a block are in memory: (T, [`QUERIES`]). The backward pass computes the scores
//! again, from each query's largest score and sum of exponentials, which are stored (Dao et al.
//! 2022, section 3.1). Where a sequence is a single block, its scores are few, and they are stored
//! for the backward pass instead.

use super::heads::{Heads, Layout, QUERIES};
use super::query_block::{QueryBlock, Statistics, score_elements};
use crate::kernels::cpu::matmul::Accumulate;
use crate::kernels::cpu::simd::{Kernel, run};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::dropout::Dropout;
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;
use std::mem::take;

/// The kernel of [`super::Attention`].
pub(super) fn attention<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split_tape();
    let layout = Layout::new(*qkv.shape(), heads);
    let (sequences, vectors) = (layout.n / heads.block, layout.vectors());
    let mut statistics = vec![Statistics::default(); sequences * heads.count * vectors];
    let mut y = Vec::with_capacity(layout.n * layout.c);
    let scores = layout.n * heads.stored_scores();
    let mut stored =
        (T::OWNS_TAPE && dropout.is_none() && scores > 0).then(|| Vec::with_capacity(scores));
    run(Forward {
        layout,
        qkv: slice(&qkv),
        dropout,
        y: &mut y,
        statistics: &mut statistics,
        stored: stored.as_mut(),
    });
    let y = matrix((layout.n, layout.c), y);
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        run(Backward {
            layout,
            qkv: slice(&qkv),
            statistics: &statistics,
            stored: stored.as_mut(),
            dropout,
            gy: &gy,
            g_qkv: gradients.get_or_alloc_mut(&qkv)?,
        });
        Ok(())
    });
    Ok(y.put_tape(tape))
}

struct Forward<'a> {
    layout: Layout,
    /// (N, width)
    qkv: &'a [f32],
    dropout: Option<Dropout>,
    /// Empty at first. Becomes (N, C).
    y: &'a mut Vec<f32>,
    /// (B, nh, T / LANES)
    statistics: &'a mut [Statistics],
    /// Empty at first. Becomes the scores (B, nh, T, width) after [`QueryBlock::softmax`], if they are to be
    /// stored.
    stored: Option<&'a mut Vec<f32>>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let layout = self.layout;
        let Layout {
            width,
            c,
            hs,
            scale,
            ..
        } = layout;
        let (t, vectors) = (layout.heads.block, layout.vectors());
        let mut scores = vec![0.0; score_elements(t)];
        let mut q_t = vec![0.0; hs * QUERIES];
        for (sequence, head, number) in layout.sequence_heads() {
            // Zeroed just before it is written, while it is in the cache.
            self.y.resize((sequence + 1) * t * c, 0.0);
            let [q, k, v] = layout.qkv_starts(sequence, head).map(|at| &self.qkv[at..]);
            let y = &mut self.y[layout.output_start(sequence, head)..];
            let scores = match &mut self.stored {
                Some(stored) => {
                    let start = stored.len();
                    stored.resize(start + score_elements(t), 0.0);
                    &mut stored[start..]
                }
                None => scores.as_mut_slice(),
            };
            for block in QueryBlock::all(layout.heads, head) {
                let statistics = &mut self.statistics[block.statistics_range(number * vectors)];
                let q_t = &mut q_t[..hs * block.width];
                block.transpose(q_t, q, width, scale);
                block.compute_scores::<WIDE>(scores, (k, width), q_t);
                block.softmax(scores, statistics);
                if let Some(dropout) = self.dropout {
                    let first = number * t + block.queries.start;
                    block.apply_dropout(dropout, scores, first, t);
                }
                block.product_to_queries::<WIDE>(
                    (y, c),
                    Accumulate::Overwrite,
                    scores,
                    (v, width),
                    hs,
                );
                let inverses = statistics.iter().flat_map(|vector| vector.inverse_sum);
                for (query, inverse) in block.queries.zip(inverses) {
                    y[query * c..][..hs].iter_mut().for_each(|y| *y *= inverse);
                }
            }
        }
    }
}

struct Backward<'a> {
    layout: Layout,
    /// (N, width)
    qkv: &'a [f32],
    /// (B, nh, T / LANES)
    statistics: &'a [Statistics],
    /// What [`Forward`] stored (B, nh, T, width).
    stored: Option<&'a mut Vec<f32>>,
    dropout: Option<Dropout>,
    /// (N, C)
    gy: &'a [f32],
    /// (N, width), to which the gradient is added.
    g_qkv: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// With P the probabilities, D the factors of dropout and gP = gy Vᵀ ∘ D:
    /// gV = (P ∘ D)ᵀ gy; gS = P ∘ (gP - rowsum(P ∘ gP)) scale; gQ = gS K; gK = gSᵀ Q.
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let layout = self.layout;
        let Layout {
            width,
            c,
            hs,
            scale,
            ..
        } = layout;
        let (t, vectors) = (layout.heads.block, layout.vectors());
        let (mut p, mut gp) = (vec![0.0; score_elements(t)], vec![0.0; score_elements(t)]);
        let mut kept = vec![0.0; if self.dropout.is_some() { p.len() } else { 0 }];
        let (mut q_t, mut gy_t) = (vec![0.0; hs * QUERIES], vec![0.0; hs * QUERIES]);
        for (sequence, head, number) in layout.sequence_heads() {
            let [q_at, k_at, v_at] = layout.qkv_starts(sequence, head);
            let [q, k, v] = [q_at, k_at, v_at].map(|at| (&self.qkv[at..], width));
            let gy = &self.gy[layout.output_start(sequence, head)..];
            let (p, is_stored) = match &mut self.stored {
                Some(stored) => (&mut stored[number * score_elements(t)..], true),
                None => (p.as_mut_slice(), false),
            };
            for block in QueryBlock::all(layout.heads, head) {
                let statistics = &self.statistics[block.statistics_range(number * vectors)];
                let (q_t, gy_t) = (&mut q_t[..hs * block.width], &mut gy_t[..hs * block.width]);
                if !is_stored {
                    block.transpose(q_t, q.0, width, scale);
                    block.compute_scores::<WIDE>(p, k, q_t);
                    block.recompute_exponentials(p, statistics);
                }
                block.divide_by_sums(p, statistics);
                block.transpose(gy_t, gy, c, 1.0);
                block.compute_scores::<WIDE>(&mut gp, v, gy_t);
                let p_dropped: &[f32] = match self.dropout {
                    Some(dropout) => {
                        let first = number * t + block.queries.start;
                        kept.copy_from_slice(p);
                        block.apply_dropout(dropout, &mut kept, first, t);
                        block.apply_dropout(dropout, &mut gp, first, t);
                        &kept
                    }
                    None => p,
                };
                let g_v = (&mut self.g_qkv[v_at..], width);
                block.add_product_to_keys::<WIDE>(g_v, p_dropped, (gy, c), hs);
                block.softmax_backward(p, &mut gp, scale);
                let g_q = (&mut self.g_qkv[q_at..], width);
                block.product_to_queries::<WIDE>(g_q, Accumulate::Add, &gp, k, hs);
                let g_k = (&mut self.g_qkv[k_at..], width);
                block.add_product_to_keys::<WIDE>(g_k, &gp, q, hs);
            }
        }
    }
}
