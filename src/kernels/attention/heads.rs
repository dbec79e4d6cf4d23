//! Shapes and options of attention.

use crate::kernels::cpu::simd::LANES;

/// Queries whose scores are computed together. Scores of 256 x 64 take 64 KiB, which fits in the second-level cache.
pub(super) const QUERIES: usize = 64;

/// How the rows and columns of a matrix of queries, keys and values are read, and which tokens see
/// which. The columns (width) are the queries of all heads, then the keys, then the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Number of query heads.
    pub count: usize,
    /// Number of key heads, and of value heads. It divides `count`: neighbouring query heads share
    /// a key head and a value head.
    pub kv_count: usize,
    /// Tokens in a sequence (T). It divides the number of rows N. A token sees itself and the
    /// tokens before it in its sequence.
    pub block: usize,
    /// Position of the first of these tokens: the number of tokens of the sequence that are cached.
    pub first: usize,
    /// The number of tokens that a token sees, itself and the nearest before it. `None` means all.
    pub window: Option<usize>,
    /// Whether scores are lowered in proportion to the distance (ALiBi, Press et al. 2022).
    pub alibi: bool,
}

impl Heads {
    /// Multi-head attention over whole sequences of `block` tokens, without the other options.
    pub fn new(count: usize, block: usize) -> Self {
        Self {
            count,
            kv_count: count,
            block,
            first: 0,
            window: None,
            alibi: false,
        }
    }

    /// Scores that training keeps of each row for the backward pass, if there is no dropout.
    pub fn stored_scores(&self) -> usize {
        match self.block <= QUERIES {
            true => self.count * self.block.next_multiple_of(LANES),
            false => 0,
        }
    }

    /// The key head that a query head reads.
    pub(in crate::kernels) fn kv_of(&self, head: usize) -> usize {
        head / (self.count / self.kv_count)
    }

    /// Columns of a head, of `width` columns in all.
    pub(in crate::kernels) fn head_size(&self, width: usize) -> usize {
        width / (self.count + 2 * self.kv_count)
    }

    /// The ALiBi slope: a score is lowered by it for each token of distance. For a number of heads
    /// n that is a power of two, the slopes are powers of 2 from 2^-8/n to 2^-8. For another number
    /// they are the slopes of the next lower power of two, and then every other slope of the next
    /// higher (Press et al. 2022, section 3, and the authors' code).
    pub(super) fn slope(&self, head: usize) -> f32 {
        if !self.alibi {
            return 0.0;
        }
        let lower = 1 << self.count.ilog2();
        let exponent = match head < lower {
            true => 8.0 * (head + 1) as f32 / lower as f32,
            false => 4.0 * (2 * (head - lower) + 1) as f32 / lower as f32,
        };
        libm::exp2f(-exponent)
    }
}

/// The shapes of one call.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Rows of all sequences.
    pub(super) n: usize,
    /// Columns of queries, keys and values together.
    pub(super) width: usize,
    /// Columns of the output.
    pub(super) c: usize,
    pub(super) heads: Heads,
    /// Columns of a head.
    pub(super) hs: usize,
    /// The factor of scores: 1/√hs.
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

    /// Columns of keys, and also of values.
    pub(super) fn kv(&self) -> usize {
        self.heads.kv_count * self.hs
    }

    /// Index of the first output element of a (sequence, head).
    #[inline]
    pub(super) fn output_start(&self, sequence: usize, head: usize) -> usize {
        sequence * self.heads.block * self.c + head * self.hs
    }

    /// Indices of the first query, key and value element of a (sequence, head).
    #[inline]
    pub(super) fn qkv_starts(&self, sequence: usize, head: usize) -> [usize; 3] {
        let Heads {
            count, kv_count, ..
        } = self.heads;
        let shared = self.heads.kv_of(head);
        let first = sequence * self.heads.block * self.width;
        [head, count + shared, count + kv_count + shared].map(|head| first + head * self.hs)
    }

    /// Every (sequence, head), each with its number.
    #[inline]
    pub(super) fn sequence_heads(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let count = self.heads.count;
        (0..self.n / self.heads.block * count)
            .map(move |number| (number / count, number % count, number))
    }

    /// Vectors of [`LANES`] queries in a (sequence, head).
    #[inline]
    pub(super) fn vectors(&self) -> usize {
        self.heads.block.div_ceil(LANES)
    }
}
