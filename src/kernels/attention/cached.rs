//! Attention of new tokens that also see those before them, whose keys and values are remembered.
//!
//! The kernel does for a query what [`super::cpu`] does for it among all the others of its
//! sequence, in the same order, and so comes to the same bits.

use super::Heads;
use super::cpu::{self, Layout};
use crate::kernels::Matrix;
use crate::kernels::cpu::simd::{exp, max, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::cpu::weighted_rows::add_weighted;
use dfdx::prelude::*;

/// Keys and values of the tokens so far: of several sequences, as many tokens of each.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    sequences: Vec<SequenceCache>,
}

/// One sequence.
#[derive(Debug, Clone, Default)]
struct SequenceCache {
    len: usize,
    /// Tokens that there is room for.
    room: usize,
    /// (kv, hs, room): keys lie in columns, as the product with a query reads them.
    keys: Vec<f32>,
    /// (room, kv hs)
    values: Vec<f32>,
}

impl LayerCache {
    /// Room for this many tokens at first, and for twice as many whenever it is full.
    const ROOM: usize = 64;

    /// The memory of one sequence for several that begin with it; nothing where there are as many
    /// already.
    pub fn repeat(&mut self, sequences: usize) {
        if sequences > self.sequences.len() {
            let last = self.sequences.last().cloned().unwrap_or_default();
            self.sequences.resize(sequences, last);
        }
    }
}

impl SequenceCache {
    /// Takes in the keys and values (m, kv hs) at the end of `m` rows of a sequence.
    fn append(&mut self, qkv: &[f32], layout: Layout) {
        let (m, kv) = (qkv.len() / layout.width, layout.kv());
        if self.len + m > self.room {
            self.grow((self.len + m).next_multiple_of(LayerCache::ROOM), kv);
        }
        for row in qkv.chunks_exact(layout.width) {
            let (keys, values) = row[layout.c..].split_at(kv);
            let columns = self.keys.chunks_exact_mut(self.room);
            columns
                .zip(keys)
                .for_each(|(column, &key)| column[self.len] = key);
            self.values[self.len * kv..][..kv].copy_from_slice(values);
            self.len += 1;
        }
    }

    fn grow(&mut self, needed: usize, kv: usize) {
        let room = needed.max(2 * self.room);
        let mut keys = vec![0.0; kv * room];
        if self.room > 0 {
            let old = self.keys.chunks_exact(self.room);
            for (new, old) in keys.chunks_exact_mut(room).zip(old) {
                new[..self.len].copy_from_slice(&old[..self.len]);
            }
        }
        self.keys = keys;
        self.values.resize(room * kv, 0.0);
        self.room = room;
    }
}

/// See [`crate::kernels::Backend::attention_cached`].
pub(in crate::kernels) fn attention(
    qkv: &Matrix<Cpu>,
    heads: Heads,
    memory: &mut LayerCache,
) -> Result<Matrix<Cpu>, CpuError> {
    let layout = Layout::new(*qkv.shape(), heads);
    let Layout { n, width, c, .. } = layout;
    let m = heads.block;
    memory.sequences.resize_with(n / m, SequenceCache::default);
    let new = slice(qkv).chunks_exact(m * width);
    let mut before = 0;
    for (sequence, qkv) in memory.sequences.iter_mut().zip(new.clone()) {
        before = sequence.len;
        debug_assert_eq!(before, heads.first, "what is remembered came first");
        sequence.append(qkv, layout);
    }
    if before == 0 && m > 1 {
        // All there is to see is at hand.
        return cpu::attention(qkv.clone(), heads, None);
    }
    let mut y = vec![0.0; n * c];
    for ((sequence, qkv), y) in memory
        .sequences
        .iter()
        .zip(new)
        .zip(y.chunks_exact_mut(m * c))
    {
        sequence.attend(qkv, layout, y);
    }
    Ok(matrix((n, c), y))
}

impl SequenceCache {
    /// Writes into `y` (m, C) what the queries of the last m tokens find, given their rows (m, width).
    fn attend(&self, qkv: &[f32], layout: Layout, y: &mut [f32]) {
        let Layout { c, hs, heads, .. } = layout;
        let kv = layout.kv();
        let window = heads.window.unwrap_or(self.len);
        let mut scores = vec![0.0; self.len];
        let mut query = vec![0.0; hs];
        let tokens = self.len - y.len() / c..;
        let rows = y.chunks_exact_mut(c).zip(qkv.chunks_exact(layout.width));
        for ((y, row), token) in rows.zip(tokens) {
            let first = (token + 1).saturating_sub(window);
            let scores = &mut scores[..=token - first];
            for (head, y) in y.chunks_exact_mut(hs).enumerate() {
                let shared = heads.kv_of(head) * hs;
                query.copy_from_slice(&row[head * hs..][..hs]);
                let find = Find {
                    query: &mut query,
                    scale: layout.scale,
                    keys: (&self.keys[shared * self.room + first..], self.room),
                    values: (&self.values[first * kv + shared..], kv),
                    slope: heads.slope(head),
                };
                vectorized(
                    #[inline(always)]
                    || find.run(y, scores),
                );
            }
        }
    }
}

/// One query, and the tokens it sees, of which it is the last.
struct Find<'a> {
    /// (hs)
    query: &'a mut [f32],
    scale: f32,
    /// Columns so far apart.
    keys: (&'a [f32], usize),
    /// Rows so far apart.
    values: (&'a [f32], usize),
    /// What a score is lowered by for each token of distance.
    slope: f32,
}

impl Find<'_> {
    /// Writes what is found into `y` (hs); there are as many `scores` as tokens are seen.
    #[inline(always)]
    fn run(self, y: &mut [f32], scores: &mut [f32]) {
        let (keys, room) = self.keys;
        let (values, kv) = self.values;
        self.query.iter_mut().for_each(|q| *q *= self.scale);
        scores.fill(0.0);
        add_weighted(scores, self.query, keys, room);
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
        add_weighted(y, scores, values, kv);
        y.iter_mut().for_each(|y| *y *= inverse);
    }
}
