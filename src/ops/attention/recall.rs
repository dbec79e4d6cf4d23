//! Attention of new tokens that also see those before them, whose keys and values are remembered.
//!
//! The kernel does for a query what [`super::cpu`] does for it among all the others of its
//! sequence, in the same order, and so comes to the same bits.

use super::{Heads, cpu};
use crate::ops::Matrix;
use crate::ops::simd::{exp, max, vectorized};
use crate::ops::storage::{matrix, slice};
use crate::ops::weighted::add_weighted;
use dfdx::prelude::*;

/// Keys and values of the tokens so far: of several sequences, as many tokens of each.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    sequences: Vec<Remembered>,
}

/// One sequence.
#[derive(Debug, Clone, Default)]
struct Remembered {
    len: usize,
    /// Tokens that there is room for.
    room: usize,
    /// (nh, hs, room): keys lie in columns, as the product with a query reads them.
    keys: Vec<f32>,
    /// (room, C)
    values: Vec<f32>,
}

impl Memory {
    /// Room for this many tokens at first, and for twice as many whenever it is full.
    const ROOM: usize = 64;

    /// The memory of one sequence for several that begin with it; nothing where there are as many
    /// already.
    pub fn repeat(&mut self, sequences: usize) {
        let last = self.sequences.last().cloned().unwrap_or_default();
        self.sequences.resize(sequences, last);
    }
}

impl Remembered {
    /// Takes in the keys and values of `m` rows (query, key, value) of a sequence.
    fn append(&mut self, qkv: &[f32], c: usize) {
        let m = qkv.len() / (3 * c);
        if self.len + m > self.room {
            self.grow((self.len + m).next_multiple_of(Memory::ROOM), c);
        }
        for row in qkv.chunks_exact(3 * c) {
            let keys = self.keys.chunks_exact_mut(self.room);
            keys.zip(&row[c..2 * c])
                .for_each(|(of_column, &key)| of_column[self.len] = key);
            self.values[self.len * c..][..c].copy_from_slice(&row[2 * c..]);
            self.len += 1;
        }
    }

    fn grow(&mut self, needed: usize, c: usize) {
        let room = needed.max(2 * self.room);
        let mut keys = vec![0.0; c * room];
        if self.room > 0 {
            let old = self.keys.chunks_exact(self.room);
            for (new, old) in keys.chunks_exact_mut(room).zip(old) {
                new[..self.len].copy_from_slice(&old[..self.len]);
            }
        }
        self.keys = keys;
        self.values.resize(room * c, 0.0);
        self.room = room;
    }
}

/// See [`crate::ops::Backend::attention_recalling`].
pub(in crate::ops) fn attention(
    qkv: &Matrix<Cpu>,
    heads: Heads,
    memory: &mut Memory,
) -> Result<Matrix<Cpu>, CpuError> {
    let (n, c3) = *qkv.shape();
    let (c, m) = (c3 / 3, heads.block);
    memory.sequences.resize_with(n / m, Remembered::default);
    let new = slice(qkv).chunks_exact(m * c3);
    let mut before = 0;
    for (sequence, qkv) in memory.sequences.iter_mut().zip(new.clone()) {
        before = sequence.len;
        sequence.append(qkv, c);
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
        sequence.attend(qkv, heads.count, y);
    }
    Ok(matrix((n, c), y))
}

impl Remembered {
    /// Writes into `y` (m, C) what the queries of the last m tokens find, given their rows (m, 3C).
    fn attend(&self, qkv: &[f32], heads: usize, y: &mut [f32]) {
        let c = self.values.len() / self.room;
        let hs = c / heads;
        let first = self.len - y.len() / c;
        let mut scores = vec![0.0; self.len];
        let mut query = vec![0.0; hs];
        for ((y, qkv), i) in y
            .chunks_exact_mut(c)
            .zip(qkv.chunks_exact(3 * c))
            .zip(first..)
        {
            for head in 0..heads {
                let columns = head * hs..(head + 1) * hs;
                let keys = &self.keys[columns.start * self.room..];
                let values = &self.values[columns.start..];
                let (scores, query) = (&mut scores[..=i], &mut query[..]);
                query.copy_from_slice(&qkv[columns.clone()]);
                let y = &mut y[columns];
                vectorized(
                    #[inline(always)]
                    || find(y, query, (keys, self.room), (values, c), scores),
                );
            }
        }
    }
}

/// What one query finds: as many keys, in columns `room` long, and values, in rows `c` apart, as
/// there are scores to be written.
#[inline(always)]
fn find(
    y: &mut [f32],
    query: &mut [f32],
    (keys, room): (&[f32], usize),
    (values, c): (&[f32], usize),
    scores: &mut [f32],
) {
    let scale = 1.0 / (query.len() as f32).sqrt();
    query.iter_mut().for_each(|q| *q *= scale);
    scores.fill(0.0);
    add_weighted(scores, query, keys, room);
    let largest = max(scores);
    scores.iter_mut().for_each(|s| *s = exp(*s - largest));
    // In the order of the keys, as in the other kernel.
    let inverse = 1.0 / scores.iter().fold(0.0, |sum, s| sum + s);
    y.fill(0.0);
    add_weighted(y, scores, values, c);
    y.iter_mut().for_each(|y| *y *= inverse);
}
