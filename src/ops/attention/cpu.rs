//! One (sequence, head) at a time, one block of queries at a time against the keys up to its end.
//! The scores of a block are transposed, a row a key and a lane a query, so that the softmax works
//! on whole vectors with nothing to add up across lanes; T x [`QUERIES`] of them are all that is
//! ever there of the T x T matrix. The way back makes them again from the largest score and the sum
//! of each query, which are kept (Dao et al. 2022, section 3.1).

use super::Heads;
use crate::ops::matmul::Into;
use crate::ops::simd::{Kernel, LANES, Lanes, exp, run};
use crate::ops::storage::{filled, matrix, slice};
use crate::ops::tile::{Left, product, tile_rows};
use crate::ops::{Dropout, Matrix};
use dfdx::prelude::*;
use std::mem::take;
use std::ops::Range;

/// Queries in a block. Scores of 256 x 64 are 64 KiB, which stays in the second-level cache.
const QUERIES: usize = 64;

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
        let shared = head / (count / kv_count);
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

/// Of the scores of a vector of queries, what is kept for the way back.
#[derive(Clone, Copy, Default)]
struct Statistics {
    largest: Lanes,
    /// Of `exp(score - largest)`.
    inverse_sum: Lanes,
}

/// A block of queries, of T.
struct Block {
    queries: Range<usize>,
    /// Keys that a query of the block sees, and a few that are no longer seen.
    keys: Range<usize>,
    window: usize,
    /// What a score is lowered by for each token of distance.
    slope: f32,
    /// A row of the transposed scores: the queries, rounded up to whole vectors.
    width: usize,
}

impl Block {
    #[inline(always)]
    fn all(heads: Heads, head: usize) -> impl Iterator<Item = Self> {
        let t = heads.block;
        let window = heads.window.unwrap_or(t);
        let slope = heads.slope(head);
        (0..t).step_by(QUERIES).map(move |first| {
            let queries = first..(first + QUERIES).min(t);
            let width = queries.len().next_multiple_of(LANES);
            // From a whole vector on, so that the rows of a tile are seen from within one.
            let keys = (first + 1).saturating_sub(window) / LANES * LANES..queries.end;
            Self {
                queries,
                keys,
                window,
                slope,
                width,
            }
        })
    }

    /// The first query of the block that sees a key.
    #[inline(always)]
    fn seeing(&self, key: usize) -> usize {
        key.saturating_sub(self.queries.start)
    }

    /// Rows of the queries as columns, times `scale`: (T, hs) of rows `stride` apart to
    /// (hs, width), with zeros where there is no query.
    #[inline(always)]
    fn transpose(&self, dst: &mut [f32], rows: &[f32], stride: usize, scale: f32) {
        for (d, dst) in dst.chunks_exact_mut(self.width).enumerate() {
            let (queries, none) = dst.split_at_mut(self.queries.len());
            let column = rows[self.queries.start * stride + d..]
                .iter()
                .step_by(stride);
            queries
                .iter_mut()
                .zip(column)
                .for_each(|(dst, x)| *dst = x * scale);
            none.fill(0.0);
        }
    }

    /// `keys queries`: (T, hs) of rows `stride` apart, and (hs, width), to (T, width), of the rows
    /// that are seen. Where a key comes after every query of a vector, nothing is written.
    #[inline(always)]
    fn scores<const WIDE: bool>(
        &self,
        scores: &mut [f32],
        (keys, stride): (&[f32], usize),
        queries: &[f32],
    ) {
        let width = self.width;
        let hs = queries.len() / width;
        let first = self.keys.start;
        let dst = (&mut scores[first * width..], width);
        let keys = Left::rows(&keys[first * stride..], stride);
        product::<WIDE>(
            dst,
            Into::Overwrite,
            keys,
            (queries, width),
            self.keys.len(),
            |i| (self.seeing(first + i) / LANES * LANES..width, 0..hs),
        );
    }

    /// Adds the products of scores and rows of keys to rows of queries:
    /// (T, width)ᵀ (T, hs) to (T, hs).
    #[inline(always)]
    fn to_queries<const WIDE: bool>(
        &self,
        (dst, dst_stride): (&mut [f32], usize),
        into: Into,
        scores: &[f32],
        (rows, stride): (&[f32], usize),
        hs: usize,
    ) {
        let dst = (&mut dst[self.queries.start * dst_stride..], dst_stride);
        let left = Left::transposed(scores, self.width);
        let (first, keys) = (self.queries.start, &self.keys);
        product::<WIDE>(dst, into, left, (rows, stride), self.queries.len(), |i| {
            let end = (first + i + tile_rows(WIDE)).min(keys.end);
            (0..hs, keys.start..end)
        });
    }

    /// Adds the products of scores and rows of queries to rows of keys:
    /// (T, width) (T, hs) to (T, hs).
    #[inline(always)]
    fn to_keys<const WIDE: bool>(
        &self,
        (dst, dst_stride): (&mut [f32], usize),
        scores: &[f32],
        (rows, stride): (&[f32], usize),
        hs: usize,
    ) {
        let first = self.keys.start;
        let dst = (&mut dst[first * dst_stride..], dst_stride);
        let rows = (&rows[self.queries.start * stride..], stride);
        let left = Left::rows(&scores[first * self.width..], self.width);
        product::<WIDE>(dst, Into::Add, left, rows, self.keys.len(), |i| {
            (0..hs, self.seeing(first + i)..self.queries.len())
        });
    }

    /// The vectors of queries: the first, and the keys that one of the block's sees and that do not
    /// come after all of the vector's.
    #[inline(always)]
    fn vectors(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let (first, keys) = (self.queries.start, self.keys.clone());
        (0..self.width)
            .step_by(LANES)
            .map(move |i| (i, keys.start..(first + i + LANES).min(keys.end)))
    }

    /// Numbers of the block's vectors, if the first of the (sequence, head) has number `first`.
    #[inline(always)]
    fn vectors_of(&self, first: usize) -> Range<usize> {
        let first = first + self.queries.start / LANES;
        first..first + self.width / LANES
    }

    /// The scores of a key, for the vector of queries from `i` on.
    #[inline(always)]
    fn at<'a>(&self, scores: &'a mut [f32], key: usize, i: usize) -> &'a mut Lanes {
        let start = key * self.width + i;
        match scores[start..start + LANES].first_chunk_mut() {
            Some(lanes) => lanes,
            None => unreachable!("a slice of as many elements as there are lanes"),
        }
    }

    /// Lowers scores by distance, and puts negative infinity where a query does not see a key.
    #[inline(always)]
    fn mask(&self, scores: &mut [f32]) {
        if self.slope > 0.0 {
            self.lower(scores);
        }
        for (i, keys) in self.vectors() {
            let first = self.queries.start + i;
            for earlier in 1..keys.end.saturating_sub(first) {
                blind(self.at(scores, first + earlier, i), 0..earlier);
            }
        }
        if self.window < self.queries.end {
            self.forget(scores);
        }
    }

    #[inline(always)]
    fn lower(&self, scores: &mut [f32]) {
        for (i, keys) in self.vectors() {
            let first = (self.queries.start + i) as f32;
            for key in keys {
                let scores = self.at(scores, key, i);
                for (lane, score) in scores.iter_mut().enumerate() {
                    *score -= self.slope * (first + lane as f32 - key as f32);
                }
            }
        }
    }

    /// Puts negative infinity where a key has left a query's window. Lanes without a query are left
    /// alone: there, it would make a row of nothing but infinities.
    #[inline(always)]
    fn forget(&self, scores: &mut [f32]) {
        for (i, keys) in self.vectors() {
            let queries = LANES.min(self.queries.len() - i);
            for key in keys {
                let seeing = (key + self.window).saturating_sub(self.queries.start + i);
                if seeing < queries {
                    blind(self.at(scores, key, i), seeing..queries);
                }
            }
        }
    }

    /// Softmax over the keys but for the division by the sum: a query's scores become
    /// `exp(score - largest)`. Both go into `statistics`.
    #[inline(always)]
    fn softmax(&self, scores: &mut [f32], statistics: &mut [Statistics]) {
        self.mask(scores);
        for ((i, keys), statistics) in self.vectors().zip(statistics) {
            let mut largest = [f32::NEG_INFINITY; LANES];
            for key in keys.clone() {
                let scores = self.at(scores, key, i);
                for (largest, &s) in largest.iter_mut().zip(&*scores) {
                    *largest = if s > *largest { s } else { *largest };
                }
            }
            let mut sum = [0.0; LANES];
            for key in keys {
                let scores = self.at(scores, key, i);
                for lane in 0..LANES {
                    scores[lane] = exp(scores[lane] - largest[lane]);
                    sum[lane] += scores[lane];
                }
            }
            let inverse_sum = sum.map(|sum| 1.0 / sum);
            *statistics = Statistics {
                largest,
                inverse_sum,
            };
        }
    }

    /// The softmax of [`Self::softmax`] again, from what it left, divided.
    #[inline(always)]
    fn softmax_again(&self, scores: &mut [f32], statistics: &[Statistics]) {
        self.mask(scores);
        for ((i, keys), statistics) in self.vectors().zip(statistics) {
            let &Statistics {
                largest,
                inverse_sum,
            } = statistics;
            for key in keys {
                let scores = self.at(scores, key, i);
                for lane in 0..LANES {
                    scores[lane] = exp(scores[lane] - largest[lane]) * inverse_sum[lane];
                }
            }
        }
    }

    /// Turns the gradient of the probabilities into that of the scores before they were scaled, in
    /// place: `p ∘ (gp - sum over keys of p ∘ gp) scale`.
    #[inline(always)]
    fn softmax_backward(&self, p: &mut [f32], gp: &mut [f32], scale: f32) {
        for (i, keys) in self.vectors() {
            let mut inner = [0.0f32; LANES];
            for key in keys.clone() {
                let (p, gp) = (*self.at(p, key, i), *self.at(gp, key, i));
                for lane in 0..LANES {
                    inner[lane] = p[lane].mul_add(gp[lane], inner[lane]);
                }
            }
            for key in keys.clone() {
                let (p, gp) = (*self.at(p, key, i), self.at(gp, key, i));
                for lane in 0..LANES {
                    gp[lane] = p[lane] * (gp[lane] - inner[lane]) * scale;
                }
            }
        }
    }

    /// Drops scores; query `i` of key `k` has number `(first + i) * t + k`, `first` being the
    /// number of the block's first query.
    #[inline(always)]
    fn drop_scores(&self, dropout: Dropout, scores: &mut [f32], first: usize, t: usize) {
        for (i, keys) in self.vectors() {
            for key in keys.clone() {
                dropout.apply_strided((first + i) * t + key, t, self.at(scores, key, i));
            }
        }
    }
}

/// Puts negative infinity into some lanes, by a comparison of all of them.
#[inline(always)]
fn blind(scores: &mut Lanes, lanes: Range<usize>) {
    for (lane, score) in scores.iter_mut().enumerate() {
        if lanes.contains(&lane) {
            *score = f32::NEG_INFINITY;
        }
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
