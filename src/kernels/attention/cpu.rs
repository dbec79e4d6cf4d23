//! One (sequence, head) at a time, one block of queries at a time against the keys up to its end:
//! T x [`QUERIES`] scores are all that is ever there of the T x T matrix. The way back makes them
//! again from the largest score and the sum of each query, which are kept (Dao et al. 2022, section
//! 3.1).

use super::Heads;
use super::block::{Block, QUERIES, Statistics};
use crate::kernels::cpu::matmul::Into;
use crate::kernels::cpu::simd::{Kernel, LANES, run};
use crate::kernels::cpu::storage::{filled, matrix, slice};
use crate::kernels::{Dropout, Matrix};
use dfdx::prelude::*;
use std::mem::take;

/// Shapes, and what the scores are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) n: usize,
    /// Columns of queries, keys and values, and of what comes out.
    pub(super) width: usize,
    pub(super) c: usize,
    pub(super) heads: Heads,
    pub(super) hs: usize,
    pub(super) scale: f32,
}

impl Layout {
    pub(super) fn new((n, width): (usize, usize), heads: Heads) -> Self {
        let hs = heads.head_size(width);
        Self {
            n,
            width,
            c: heads.count * hs,
            heads,
            hs,
            scale: 1.0 / (hs as f32).sqrt(),
        }
    }

    /// Columns of keys, and of values.
    pub(super) fn kv(&self) -> usize {
        self.heads.kv_count * self.hs
    }

    /// Index of a (sequence, head)'s first element in rows of what comes out.
    fn start(&self, sequence: usize, head: usize) -> usize {
        sequence * self.heads.block * self.c + head * self.hs
    }

    /// Indices of a (sequence, head)'s first query, key and value.
    fn parts(&self, sequence: usize, head: usize) -> [usize; 3] {
        let Heads {
            count, kv_count, ..
        } = self.heads;
        let shared = self.heads.kv_of(head);
        let first = sequence * self.heads.block * self.width;
        [head, count + shared, count + kv_count + shared].map(|head| first + head * self.hs)
    }

    /// Each sequence, head, and number of the two.
    fn each(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let count = self.heads.count;
        (0..self.n / self.heads.block * count)
            .map(move |number| (number / count, number % count, number))
    }

    /// Vectors of queries of a (sequence, head).
    fn vectors(&self) -> usize {
        self.heads.block.div_ceil(LANES)
    }

    /// Elements of the scores of a block.
    fn size(&self) -> usize {
        self.heads.block * QUERIES.min(self.heads.block.next_multiple_of(LANES))
    }
}

/// See [`crate::kernels::Backend::attention`].
pub(in crate::kernels) fn attention<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    dropout: Option<Dropout>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split_tape();
    let layout = Layout::new(*qkv.shape(), heads);
    let (sequences, vectors) = (layout.n / heads.block, layout.vectors());
    let mut statistics = vec![Statistics::default(); sequences * heads.count * vectors];
    // SAFETY: `Forward` overwrites the columns of every head in every row.
    let y = unsafe {
        filled(layout.n * layout.c, |y| {
            run(Forward {
                layout,
                qkv: slice(&qkv),
                dropout,
                y,
                statistics: &mut statistics,
            });
        })
    };
    let y = matrix((layout.n, layout.c), y);
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        run(Backward {
            layout,
            qkv: slice(&qkv),
            statistics: &statistics,
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
    /// (N, C)
    y: &'a mut [f32],
    /// (B, nh, T / LANES)
    statistics: &'a mut [Statistics],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let layout = self.layout;
        let Layout {
            width,
            c,
            hs,
            scale,
            ..
        } = layout;
        let (t, vectors) = (layout.heads.block, layout.vectors());
        let mut scores = vec![0.0; layout.size()];
        let mut q_t = vec![0.0; hs * QUERIES];
        for (sequence, head, number) in layout.each() {
            let [q, k, v] = layout.parts(sequence, head).map(|part| &self.qkv[part..]);
            let y = &mut self.y[layout.start(sequence, head)..];
            for block in Block::all(layout.heads, head) {
                let statistics = &mut self.statistics[block.vectors_of(number * vectors)];
                let q_t = &mut q_t[..hs * block.width];
                block.transpose(q_t, q, width, scale);
                block.scores::<WIDE>(&mut scores, (k, width), q_t);
                block.softmax(&mut scores, statistics);
                if let Some(dropout) = self.dropout {
                    let first = number * t + block.queries.start;
                    block.drop_scores(dropout, &mut scores, first, t);
                }
                block.to_queries::<WIDE>((y, c), Into::Overwrite, &scores, (v, width), hs);
                let inverses = statistics.iter().flat_map(|each| each.inverse_sum);
                for (query, inverse) in block.queries.zip(inverses) {
                    y[query * c..][..hs].iter_mut().for_each(|y| *y *= inverse);
                }
            }
        }
    }
}

struct Backward<'a> {
    layout: Layout,
    qkv: &'a [f32],
    statistics: &'a [Statistics],
    dropout: Option<Dropout>,
    gy: &'a [f32],
    g_qkv: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// With P the probabilities, D the dropout's factors and gP = gy Vᵀ ∘ D:
    /// gV = (P ∘ D)ᵀ gy; gS = P ∘ (gP - rowsum(P ∘ gP)) scale; gQ = gS K; gK = gSᵀ Q.
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let layout = self.layout;
        let Layout {
            width,
            c,
            hs,
            scale,
            ..
        } = layout;
        let (t, vectors) = (layout.heads.block, layout.vectors());
        let (mut p, mut gp) = (vec![0.0; layout.size()], vec![0.0; layout.size()]);
        let mut kept = vec![0.0; if self.dropout.is_some() { p.len() } else { 0 }];
        let (mut q_t, mut gy_t) = (vec![0.0; hs * QUERIES], vec![0.0; hs * QUERIES]);
        for (sequence, head, number) in layout.each() {
            let [q_at, k_at, v_at] = layout.parts(sequence, head);
            let [q, k, v] = [q_at, k_at, v_at].map(|at| (&self.qkv[at..], width));
            let gy = &self.gy[layout.start(sequence, head)..];
            for block in Block::all(layout.heads, head) {
                let statistics = &self.statistics[block.vectors_of(number * vectors)];
                let (q_t, gy_t) = (&mut q_t[..hs * block.width], &mut gy_t[..hs * block.width]);
                block.transpose(q_t, q.0, width, scale);
                block.transpose(gy_t, gy, c, 1.0);
                block.scores::<WIDE>(&mut p, k, q_t);
                block.softmax_again(&mut p, statistics);
                block.scores::<WIDE>(&mut gp, v, gy_t);
                let p_dropped: &[f32] = match self.dropout {
                    Some(dropout) => {
                        let first = number * t + block.queries.start;
                        kept.copy_from_slice(&p);
                        block.drop_scores(dropout, &mut kept, first, t);
                        block.drop_scores(dropout, &mut gp, first, t);
                        &kept
                    }
                    None => &p,
                };
                let g_v = (&mut self.g_qkv[v_at..], width);
                block.to_keys::<WIDE>(g_v, p_dropped, (gy, c), hs);
                block.softmax_backward(&mut p, &mut gp, scale);
                let g_q = (&mut self.g_qkv[q_at..], width);
                block.to_queries::<WIDE>(g_q, Into::Add, &gp, k, hs);
                let g_k = (&mut self.g_qkv[k_at..], width);
                block.to_keys::<WIDE>(g_k, &gp, q, hs);
            }
        }
    }
}
