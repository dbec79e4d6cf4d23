use super::blocks::attention::AttentionCache;

/// The key-value cache of all blocks: the keys and values of the tokens that were computed before.
#[derive(Debug, Clone)]
pub(super) struct KvCache {
    /// Number of cached tokens of each sequence.
    len: usize,
    layers: Vec<AttentionCache>,
}

impl KvCache {
    /// An empty cache for a model of `n_layer` blocks.
    pub(super) fn new(n_layer: usize) -> Self {
        Self {
            len: 0,
            layers: vec![AttentionCache::default(); n_layer],
        }
    }

    /// Number of cached tokens of each sequence.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The cache of block `i`.
    pub(super) fn layer(&mut self, i: usize) -> &mut AttentionCache {
        &mut self.layers[i]
    }

    /// Counts `tokens` more tokens, once all blocks have added them to their caches.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Copies the cache of one sequence for `sequences` sequences that begin with the same tokens. Does
    /// nothing if the cache has this many sequences already.
    pub(super) fn repeat(&mut self, sequences: usize) {
        let layers = self.layers.iter_mut();
        layers.for_each(|layer| layer.repeat(sequences));
    }
}
