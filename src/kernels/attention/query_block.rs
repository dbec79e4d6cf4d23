//! A block of the queries of one (sequence, head), and the operations on its scores.
//!
//! Scores are transposed: each row belongs to a key, each lane of a vector to a query. So the
//! softmax works on whole vectors, and adds nothing up across lanes.

use super::heads::{Heads, QUERIES};
use crate::kernels::cpu::matmul::Accumulate;
use crate::kernels::cpu::simd::{LANES, Lanes, exp};
use crate::kernels::cpu::tile::{Lhs, product, tile_rows};
use crate::kernels::cpu::transpose::transpose;
use crate::kernels::dropout::Dropout;
use std::ops::Range;

/// Elements of the scores of a block, for sequences of `t` tokens.
pub(super) fn score_elements(t: usize) -> usize {
    t * QUERIES.min(t.next_multiple_of(LANES))
}

/// Statistics of the scores of a vector of queries, which the backward pass needs.
#[derive(Clone, Copy, Default)]
pub(super) struct Statistics {
    /// The largest score.
    largest: Lanes,
    /// One over the sum of `exp(score - largest)`.
    pub(super) inverse_sum: Lanes,
}

/// A block of the queries of a sequence.
pub(super) struct QueryBlock {
    pub(super) queries: Range<usize>,
    /// The keys that a query of the block sees, and a few earlier ones.
    keys: Range<usize>,
    /// The number of keys that a query sees.
    window: usize,
    /// The ALiBi slope.
    slope: f32,
    /// Elements of a row of the transposed scores: the queries, rounded up to whole vectors.
    pub(super) width: usize,
}

impl QueryBlock {
    /// The blocks of a sequence, one after another.
    #[inline(always)]
    pub(super) fn all(heads: Heads, head: usize) -> impl Iterator<Item = Self> {
        let t = heads.block;
        let window = heads.window.unwrap_or(t);
        let slope = heads.slope(head);
        (0..t).step_by(QUERIES).map(move |first| {
            let queries = first..(first + QUERIES).min(t);
            let width = queries.len().next_multiple_of(LANES);
            // Begins at a multiple of LANES, so that the rows of a tile have their first queries in
            // one vector.
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

    /// The first query of the block that sees a key, counted within the block.
    #[inline(always)]
    fn first_query_for(&self, key: usize) -> usize {
        key.saturating_sub(self.queries.start)
    }

    /// Writes the block's rows as columns, times `scale`. From `rows` (T, hs), which are `stride`
    /// apart, to `dst` (hs, width). Columns without a query are zeros.
    #[inline(always)]
    pub(super) fn transpose(&self, dst: &mut [f32], rows: &[f32], stride: usize, scale: f32) {
        let (count, hs) = (self.queries.len(), dst.len() / self.width);
        let rows = &rows[self.queries.start * stride..];
        transpose(dst, self.width, rows, stride, count, hs);
        for dst in dst.chunks_exact_mut(self.width) {
            let (queries, padding) = dst.split_at_mut(count);
            queries.iter_mut().for_each(|x| *x *= scale);
            padding.fill(0.0);
        }
    }

    /// Writes the scores (T, width): the product of keys (T, hs), whose rows are `stride` apart,
    /// and transposed queries (hs, width). Writes the rows of the block's keys, and in them no
    /// vector whose queries all come before the key.
    #[inline(always)]
    pub(super) fn compute_scores<const WIDE: bool>(
        &self,
        scores: &mut [f32],
        (keys, stride): (&[f32], usize),
        queries: &[f32],
    ) {
        let width = self.width;
        let hs = queries.len() / width;
        let first = self.keys.start;
        let dst = (&mut scores[first * width..], width);
        let keys = Lhs::rows(&keys[first * stride..], stride);
        product::<WIDE>(
            dst,
            Accumulate::Overwrite,
            keys,
            (queries, width),
            self.keys.len(),
            |i| {
                (
                    self.first_query_for(first + i) / LANES * LANES..width,
                    0..hs,
                )
            },
        );
    }

    /// The product of transposed scores (T, width)ᵀ and rows of keys or values (T, hs), to the
    /// block's rows of `dst` (T, hs).
    #[inline(always)]
    pub(super) fn product_to_queries<const WIDE: bool>(
        &self,
        (dst, dst_stride): (&mut [f32], usize),
        accumulate: Accumulate,
        scores: &[f32],
        (rows, stride): (&[f32], usize),
        hs: usize,
    ) {
        let dst = (&mut dst[self.queries.start * dst_stride..], dst_stride);
        let lhs = Lhs::transposed(scores, self.width);
        let (first, keys) = (self.queries.start, &self.keys);
        product::<WIDE>(
            dst,
            accumulate,
            lhs,
            (rows, stride),
            self.queries.len(),
            |i| {
                let end = (first + i + tile_rows(WIDE)).min(keys.end);
                (0..hs, keys.start..end)
            },
        );
    }

    /// Adds the product of scores (T, width) and the block's rows (T, hs) to the rows of its keys
    /// in `dst` (T, hs).
    #[inline(always)]
    pub(super) fn add_product_to_keys<const WIDE: bool>(
        &self,
        (dst, dst_stride): (&mut [f32], usize),
        scores: &[f32],
        (rows, stride): (&[f32], usize),
        hs: usize,
    ) {
        let first = self.keys.start;
        let dst = (&mut dst[first * dst_stride..], dst_stride);
        let rows = (&rows[self.queries.start * stride..], stride);
        let lhs = Lhs::rows(&scores[first * self.width..], self.width);
        product::<WIDE>(dst, Accumulate::Add, lhs, rows, self.keys.len(), |i| {
            (0..hs, self.first_query_for(first + i)..self.queries.len())
        });
    }

    /// The vectors of queries. Each comes with its first query, counted within the block, and with
    /// the keys up to its last query.
    #[inline(always)]
    fn vectors(&self) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let (first, keys) = (self.queries.start, self.keys.clone());
        (0..self.width)
            .step_by(LANES)
            .map(move |i| (i, keys.start..(first + i + LANES).min(keys.end)))
    }

    /// Indices of the block's statistics, if `first` is the index of the first of its (sequence,
    /// head).
    #[inline(always)]
    pub(super) fn statistics_range(&self, first: usize) -> Range<usize> {
        let first = first + self.queries.start / LANES;
        first..first + self.width / LANES
    }

    /// The scores of a key for the vector of queries that begins with `i`.
    #[inline(always)]
    fn at<'a>(&self, scores: &'a mut [f32], key: usize, i: usize) -> &'a mut Lanes {
        let start = key * self.width + i;
        match scores[start..start + LANES].first_chunk_mut() {
            Some(lanes) => lanes,
            None => unreachable!("a slice of as many elements as there are lanes"),
        }
    }

    /// Applies ALiBi, the causal mask and the window.
    #[inline(always)]
    fn mask(&self, scores: &mut [f32]) {
        if self.slope > 0.0 {
            self.apply_alibi(scores);
        }
        for (i, keys) in self.vectors() {
            let first = self.queries.start + i;
            for earlier in 1..keys.end.saturating_sub(first) {
                mask_lanes(self.at(scores, first + earlier, i), 0..earlier);
            }
        }
        if self.window < self.queries.end {
            self.apply_window(scores);
        }
    }

    /// Lowers each score by the slope times the distance of query and key.
    #[inline(always)]
    fn apply_alibi(&self, scores: &mut [f32]) {
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

    /// Writes negative infinity where a key lies before a query's window. Lanes without a query are
    /// left as they are: if all their scores were infinite, the softmax would make NaN of them.
    #[inline(always)]
    fn apply_window(&self, scores: &mut [f32]) {
        for (i, keys) in self.vectors() {
            let queries = LANES.min(self.queries.len() - i);
            for key in keys {
                let first_outside = (key + self.window).saturating_sub(self.queries.start + i);
                if first_outside < queries {
                    mask_lanes(self.at(scores, key, i), first_outside..queries);
                }
            }
        }
    }

    /// Softmax over the keys, without the division by the sum: scores become `exp(score -
    /// largest)`. Writes the largest score and the inverse of the sum to `statistics`.
    #[inline(always)]
    pub(super) fn softmax(&self, scores: &mut [f32], statistics: &mut [Statistics]) {
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

    /// The scores that [`Self::softmax`] leaves, from its statistics.
    #[inline(always)]
    pub(super) fn recompute_exponentials(&self, scores: &mut [f32], statistics: &[Statistics]) {
        self.mask(scores);
        for ((i, keys), statistics) in self.vectors().zip(statistics) {
            for key in keys {
                let scores = self.at(scores, key, i);
                for (score, largest) in scores.iter_mut().zip(statistics.largest) {
                    *score = exp(*score - largest);
                }
            }
        }
    }

    /// Makes probabilities of the scores that [`Self::softmax`] leaves.
    #[inline(always)]
    pub(super) fn divide_by_sums(&self, scores: &mut [f32], statistics: &[Statistics]) {
        for ((i, keys), statistics) in self.vectors().zip(statistics) {
            for key in keys {
                let scores = self.at(scores, key, i);
                for (score, inverse_sum) in scores.iter_mut().zip(statistics.inverse_sum) {
                    *score *= inverse_sum;
                }
            }
        }
    }

    /// Replaces the gradient of the probabilities by the gradient of the scores before scaling:
    /// `p ∘ (gp - sum over keys of p ∘ gp) scale`.
    #[inline(always)]
    pub(super) fn softmax_backward(&self, p: &mut [f32], gp: &mut [f32], scale: f32) {
        for (i, keys) in self.vectors() {
            let mut inner = [0.0f32; LANES];
            for key in keys.clone() {
                let (p, gp) = (*self.at(p, key, i), *self.at(gp, key, i));
                for lane in 0..LANES {
                    inner[lane] = p[lane].mul_add(gp[lane], inner[lane]);
                }
            }
            for key in keys {
                let (p, gp) = (*self.at(p, key, i), self.at(gp, key, i));
                for lane in 0..LANES {
                    gp[lane] = p[lane] * (gp[lane] - inner[lane]) * scale;
                }
            }
        }
    }

    /// Applies dropout to scores. The score of query `i` and key `k` has index `(first + i) * t +
    /// k`, where `first` is the number of the block's first query in the whole matrix.
    #[inline(always)]
    pub(super) fn apply_dropout(
        &self,
        dropout: Dropout,
        scores: &mut [f32],
        first: usize,
        t: usize,
    ) {
        for (i, keys) in self.vectors() {
            for key in keys {
                dropout.apply_strided((first + i) * t + key, t, self.at(scores, key, i));
            }
        }
    }
}

/// Writes negative infinity to some lanes. Compares all lanes, which needs no branch.
#[inline(always)]
fn mask_lanes(scores: &mut Lanes, lanes: Range<usize>) {
    for (lane, score) in scores.iter_mut().enumerate() {
        if lanes.contains(&lane) {
            *score = f32::NEG_INFINITY;
        }
    }
}
