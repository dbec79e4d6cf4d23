//! A block of the queries of one (sequence, head), and what is done with its scores.
//!
//! They are transposed, a row a key and a lane a query, so that the softmax works on whole vectors
//! with nothing to add up across lanes.

use super::Heads;
use crate::kernels::Dropout;
use crate::kernels::cpu::matmul::Into;
use crate::kernels::cpu::simd::{LANES, Lanes, exp};
use crate::kernels::cpu::tile::{Left, product, tile_rows};
use std::ops::Range;

/// Queries in a block. Scores of 256 x 64 are 64 KiB, which stays in the second-level cache.
pub(super) const QUERIES: usize = 64;

/// Of the scores of a vector of queries, what is kept for the way back.
#[derive(Clone, Copy, Default)]
pub(super) struct Statistics {
    largest: Lanes,
    /// Of `exp(score - largest)`.
    pub(super) inverse_sum: Lanes,
}

/// A block of queries, of T.
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    /// Keys that a query of the block sees, and a few that are no longer seen.
    keys: Range<usize>,
    window: usize,
    /// What a score is lowered by for each token of distance.
    slope: f32,
    /// A row of the transposed scores: the queries, rounded up to whole vectors.
    pub(super) width: usize,
}

impl Block {
    #[inline(always)]
    pub(super) fn all(heads: Heads, head: usize) -> impl Iterator<Item = Self> {
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
    pub(super) fn transpose(&self, dst: &mut [f32], rows: &[f32], stride: usize, scale: f32) {
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
    pub(super) fn scores<const WIDE: bool>(
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
    pub(super) fn to_queries<const WIDE: bool>(
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
    pub(super) fn to_keys<const WIDE: bool>(
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
    pub(super) fn vectors_of(&self, first: usize) -> Range<usize> {
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

    /// The softmax of [`Self::softmax`] again, from what it left, divided.
    #[inline(always)]
    pub(super) fn softmax_again(&self, scores: &mut [f32], statistics: &[Statistics]) {
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

    /// Drops scores; query `i` of key `k` has number `(first + i) * t + k`, `first` being the
    /// number of the block's first query.
    #[inline(always)]
    pub(super) fn drop_scores(&self, dropout: Dropout, scores: &mut [f32], first: usize, t: usize) {
        for (i, keys) in self.vectors() {
            for key in keys {
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
