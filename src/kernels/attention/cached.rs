//! Attention of new tokens to the cached tokens and to each other.
//!
//! The kernel computes the same operations for a query as [`super::cpu`], in the same order. So the
//! results are the same to the bit.

use super::cpu;
use super::heads::{Heads, Layout};
use super::layer_cache::{LayerCache, SequenceCache};
use crate::kernels::cpu::simd::{exp, max, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::cpu::weighted_rows::add_weighted;
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;

/// The kernel of [`super::AttentionCached`].
pub(super) fn attention<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    cache: &mut LayerCache,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let layout = Layout::new(*qkv.shape(), heads);
    let Layout { n, width, c, .. } = layout;
    let m = heads.block;
    let (qkv, tape) = qkv.split_tape();
    let was_empty = cache.len() == 0;
    cache.append(slice(&qkv), layout);
    if was_empty && m > 1 {
        // All tokens are in `qkv`.
        return Ok(cpu::attention(qkv, heads, None)?.put_tape(tape));
    }
    let mut y = vec![0.0; n * c];
    let new = slice(&qkv).chunks_exact(m * width);
    for ((sequence, qkv), y) in cache.sequences().zip(new).zip(y.chunks_exact_mut(m * c)) {
        attend(sequence, qkv, layout, y);
    }
    Ok(matrix((n, c), y).put_tape(tape))
}

/// Writes the results (m, C) for the last m tokens of a sequence, given their rows (m, width).
fn attend(sequence: &SequenceCache, qkv: &[f32], layout: Layout, y: &mut [f32]) {
    let Layout { c, hs, heads, .. } = layout;
    let kv = layout.kv();
    let window = heads.window.unwrap_or(sequence.len());
    let mut scores = vec![0.0; sequence.len()];
    let mut query = vec![0.0; hs];
    let tokens = sequence.len() - y.len() / c..;
    let rows = y.chunks_exact_mut(c).zip(qkv.chunks_exact(layout.width));
    for ((y, row), token) in rows.zip(tokens) {
        let first = (token + 1).saturating_sub(window);
        let scores = &mut scores[..=token - first];
        for (head, y) in y.chunks_exact_mut(hs).enumerate() {
            let column = heads.kv_of(head) * hs;
            query.copy_from_slice(&row[head * hs..][..hs]);
            let query = CachedQuery {
                query: &mut query,
                scale: layout.scale,
                keys: sequence.keys(column, first),
                values: sequence.values(column, first, kv),
                slope: heads.slope(head),
            };
            vectorized(
                #[inline(always)]
                || query.attend(y, scores),
            );
        }
    }
}

/// A query of one head, and the keys and values of the tokens that it sees. It belongs to the last.
struct CachedQuery<'a> {
    /// (hs)
    query: &'a mut [f32],
    /// The factor of scores.
    scale: f32,
    /// (hs, tokens), and the distance of rows.
    keys: (&'a [f32], usize),
    /// (tokens, hs), and the distance of rows.
    values: (&'a [f32], usize),
    /// The ALiBi slope.
    slope: f32,
}

impl CachedQuery<'_> {
    /// Writes the result (hs). `scores` (tokens) is a buffer.
    #[inline(always)]
    fn attend(self, y: &mut [f32], scores: &mut [f32]) {
        let (keys, key_stride) = self.keys;
        let (values, value_stride) = self.values;
        self.query.iter_mut().for_each(|q| *q *= self.scale);
        scores.fill(0.0);
        add_weighted(scores, self.query, keys, key_stride);
        if self.slope > 0.0 {
            let distances = (0..scores.len()).rev();
            let each = scores.iter_mut().zip(distances);
            each.for_each(|(score, distance)| *score -= self.slope * distance as f32);
        }
        let largest = max(scores);
        scores.iter_mut().for_each(|s| *s = exp(*s - largest));
        // In the order of the keys, as in the other kernel.
        let inverse = 1.0 / scores.iter().fold(0.0, |sum, s| sum + s);
        y.fill(0.0);
        add_weighted(y, scores, values, value_stride);
        y.iter_mut().for_each(|y| *y *= inverse);
    }
}
