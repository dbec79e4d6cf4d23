//! The keys and values of earlier tokens, for one attention layer.

use super::heads::Layout;

/// Keys and values of the tokens so far, of one or more sequences that have equally many tokens.
/// Empty at first.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    sequences: Vec<SequenceCache>,
}

/// Keys and values of one sequence.
#[derive(Debug, Clone, Default)]
pub(super) struct SequenceCache {
    /// Cached tokens.
    len: usize,
    /// Tokens that fit into the allocated memory.
    capacity: usize,
    /// (kv, hs, capacity): a column per token, as the product with a query reads them.
    keys: Vec<f32>,
    /// (capacity, kv hs): a row per token.
    values: Vec<f32>,
}

impl LayerCache {
    /// Copies the cache of one sequence for several that begin with it. Does nothing if there are
    /// as many already.
    pub fn repeat(&mut self, sequences: usize) {
        if sequences > self.sequences.len() {
            let last = self.sequences.last().cloned().unwrap_or_default();
            self.sequences.resize(sequences, last);
        }
    }

    /// The number of cached tokens of each sequence.
    pub(super) fn len(&self) -> usize {
        self.sequences.first().map_or(0, |sequence| sequence.len)
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = &SequenceCache> {
        self.sequences.iter()
    }

    /// Appends the keys and values in rows (N, width) of new tokens, `heads.block` of each
    /// sequence.
    pub(super) fn append(&mut self, qkv: &[f32], layout: Layout) {
        let m = layout.heads.block;
        self.sequences
            .resize_with(layout.n / m, SequenceCache::default);
        let new = qkv.chunks_exact(m * layout.width);
        for (sequence, qkv) in self.sequences.iter_mut().zip(new) {
            debug_assert_eq!(sequence.len, layout.heads.first, "cached tokens come first");
            sequence.append(qkv, layout);
        }
    }
}

impl SequenceCache {
    /// The first capacity. It doubles whenever the cache is full.
    const INITIAL_CAPACITY: usize = 64;

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Keys (hs, tokens) of the key head whose first column is `column`, from token `first` on.
    /// Returns the elements and the distance of rows.
    pub(super) fn keys(&self, column: usize, first: usize) -> (&[f32], usize) {
        (&self.keys[column * self.capacity + first..], self.capacity)
    }

    /// Values (tokens, hs) of the value head whose first column is `column`, from token `first` on.
    /// Returns the elements and the distance of rows.
    pub(super) fn values(&self, column: usize, first: usize, kv: usize) -> (&[f32], usize) {
        (&self.values[first * kv + column..], kv)
    }

    /// Rows (T, width) of all cached tokens, with zeros instead of queries.
    pub(super) fn rows_without_queries(&self, layout: Layout) -> Vec<f32> {
        let kv = layout.kv();
        let mut rows = vec![0.0; self.len * layout.width];
        for (token, row) in rows.chunks_exact_mut(layout.width).enumerate() {
            let (keys, values) = row[layout.c..].split_at_mut(kv);
            let columns = self.keys.chunks_exact(self.capacity);
            keys.iter_mut()
                .zip(columns)
                .for_each(|(key, column)| *key = column[token]);
            values.copy_from_slice(&self.values[token * kv..][..kv]);
        }
        rows
    }

    /// Appends the keys and values in rows (m, width).
    fn append(&mut self, qkv: &[f32], layout: Layout) {
        let (m, kv) = (qkv.len() / layout.width, layout.kv());
        if self.len + m > self.capacity {
            self.grow((self.len + m).next_multiple_of(Self::INITIAL_CAPACITY), kv);
        }
        for row in qkv.chunks_exact(layout.width) {
            let (keys, values) = row[layout.c..].split_at(kv);
            let columns = self.keys.chunks_exact_mut(self.capacity);
            columns
                .zip(keys)
                .for_each(|(column, &key)| column[self.len] = key);
            self.values[self.len * kv..][..kv].copy_from_slice(values);
            self.len += 1;
        }
    }

    /// Enlarges the capacity to at least `needed` tokens.
    fn grow(&mut self, needed: usize, kv: usize) {
        let capacity = needed.max(2 * self.capacity);
        let mut keys = vec![0.0; kv * capacity];
        if self.capacity > 0 {
            let old = self.keys.chunks_exact(self.capacity);
            for (new, old) in keys.chunks_exact_mut(capacity).zip(old) {
                new[..self.len].copy_from_slice(&old[..self.len]);
            }
        }
        self.keys = keys;
        self.values.resize(capacity * kv, 0.0);
        self.capacity = capacity;
    }
}
