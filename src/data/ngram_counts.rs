//! Counts of token sequences, and the interpolated n-gram model that they define.
//!
//! The counts are part of the data module because preparing a corpus needs them: the loss of a
//! counted bigram is stored in the description of every corpus, as a reference for trained models.
//! A run with `model.kind: ngram` uses the same counts as its model.

use super::{DataError, Tokens};
use std::ops::Range;

/// An interpolated n-gram language model. It predicts the next token from the last `order - 1`
/// tokens by counting, and smooths each estimate with the estimate for a shorter context, down to
/// a uniform distribution.
///
/// Let h be the context, c(h w) the number of times that the token w follows it, c(h) the sum of
/// these numbers, and T(h) the number of different tokens that follow it. Then
///
/// P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h)), where h' is h without its first token
///
/// (Witten & Bell 1991, method C; Chen & Goodman 1998, section 2.5). This smoothing has no
/// parameter to tune and is defined for every context. Kneser-Ney smoothing is not: its discounts
/// are undefined for the low orders of a small vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramCounts {
    vocab_size: usize,
    /// Number of bits that a token takes in a key.
    token_bits: u32,
    /// One table for each sequence length: `tables[0]` counts single tokens, `tables[1]` pairs.
    tables: Vec<Table>,
}

/// The counts of all sequences of one length.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table {
    /// The sequences that occur, in ascending order. The first token of a sequence has the highest
    /// bits of its key, so all sequences that continue one context are adjacent.
    keys: Vec<u128>,
    /// Cumulative counts: `sums[i]` is the sum of the counts of `keys[..=i]`. The sum over a range
    /// of keys is therefore a difference of two entries.
    sums: Vec<u64>,
}

/// Number of keys that are sorted at once. Memory grows with the number of different sequences and
/// not with the length of the text.
const KEYS_PER_SORT: usize = 1 << 20;

/// Number of bits that a sequence may take in a key. One bit of the `u128` stays free, so that the
/// upper end of a range of keys can be represented.
const KEY_BITS: u32 = u128::BITS - 1;

impl NgramCounts {
    /// Largest supported order.
    pub const MAX_ORDER: usize = 5;

    /// Counts the sequences of 1 to `order` tokens.
    ///
    /// # Errors
    /// [`DataError::VocabTooLargeForOrder`] if `order` tokens do not fit into a key. A vocabulary
    /// of up to 2^25 tokens fits with every order.
    ///
    /// # Panics
    /// If `order` is not between 1 and [`Self::MAX_ORDER`].
    pub fn count(
        tokens: impl Iterator<Item = usize> + Clone,
        order: usize,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        assert!(
            (1..=Self::MAX_ORDER).contains(&order),
            "the configuration is validated before a run starts"
        );
        let token_bits = (vocab_size.max(2) - 1).ilog2() + 1;
        if token_bits * order as u32 > KEY_BITS {
            return Err(DataError::VocabTooLargeForOrder {
                vocab_size,
                order,
                possible: (KEY_BITS / token_bits) as usize,
            });
        }
        let tables = (1..=order as u32).map(|length| {
            let mut table = Table::default();
            let mut keys = Vec::with_capacity(KEYS_PER_SORT);
            let mut key = 0u128;
            for (i, token) in tokens.clone().enumerate() {
                key = (key << token_bits | token as u128) & low_bits(length * token_bits);
                if i + 1 < length as usize {
                    continue;
                }
                keys.push(key);
                if keys.len() == KEYS_PER_SORT {
                    table = table.with(&mut keys);
                }
            }
            table.with(&mut keys)
        });
        Ok(Self {
            vocab_size,
            token_bits,
            tables: tables.collect(),
        })
    }

    /// Number of different sequences, which is the number of stored counts.
    pub fn size(&self) -> usize {
        self.tables.iter().map(|table| table.keys.len()).sum()
    }

    /// Length of the longest counted sequence.
    pub fn order(&self) -> usize {
        self.tables.len()
    }

    /// Probability of `token` after `context`. Only the last `order - 1` tokens of the context are
    /// used.
    pub fn probability(&self, context: &[usize], token: usize) -> f64 {
        let mut p = 1.0 / self.vocab_size as f64;
        for (table, continuations) in self.continuations(context) {
            let distinct = continuations.len() as f64;
            let key = table.keys[continuations.start] & !low_bits(self.token_bits) | token as u128;
            let found = table.keys[continuations.clone()].binary_search(&key);
            let count = found.map_or(0, |at| {
                table.sum(continuations.start + at..continuations.start + at + 1)
            });
            p = (count as f64 + distinct * p) / (table.sum(continuations) as f64 + distinct);
        }
        p
    }

    /// Mean cross-entropy of `val` in nats per token. The text of `val` continues the text of
    /// `train`, so the first tokens of `val` have the last tokens of `train` as their context. Every
    /// token is predicted from the longest context that the model can use.
    pub fn loss(&self, train: &Tokens, val: &Tokens) -> f64 {
        let context = train.len().min(self.order() - 1);
        let before = train.len() - context..train.len();
        let before = before.map(|i| train.get(i));
        let tokens: Vec<usize> = before.chain(val.iter()).collect();
        let positions = context..tokens.len();
        let nats = positions.map(|i| -libm::log(self.probability(&tokens[..i], tokens[i])));
        nats.sum::<f64>() / val.len() as f64
    }

    /// Probabilities (V) of all tokens after `context`.
    pub fn distribution(&self, context: &[usize]) -> Vec<f64> {
        let mut p = vec![1.0 / self.vocab_size as f64; self.vocab_size];
        for (table, continuations) in self.continuations(context) {
            let distinct = continuations.len() as f64;
            let total = table.sum(continuations.clone()) as f64 + distinct;
            p.iter_mut().for_each(|p| *p *= distinct / total);
            for at in continuations {
                let token = (table.keys[at] & low_bits(self.token_bits)) as usize;
                p[token] += table.sum(at..at + 1) as f64 / total;
            }
        }
        p
    }

    /// The sequences that continue the last 0, 1, 2, ... tokens of a context: for each length, the
    /// table and the range of its keys. The iterator ends at the first empty range, because all
    /// ranges for longer contexts are empty as well.
    fn continuations<'a>(
        &'a self,
        context: &'a [usize],
    ) -> impl Iterator<Item = (&'a Table, Range<usize>)> {
        let tables = self.tables.iter().zip(0..=context.len());
        let ranges = tables.map(|(table, length)| {
            let last = &context[context.len() - length..];
            let key = last
                .iter()
                .fold(0, |key, &token| key << self.token_bits | token as u128);
            let first_at_or_above = |bound: u128| {
                table
                    .keys
                    .partition_point(|&other| other < bound << self.token_bits)
            };
            (table, first_at_or_above(key)..first_at_or_above(key + 1))
        });
        ranges.take_while(|(_, range)| !range.is_empty())
    }

    /// The sequences of `length` tokens that occur, one after another in one list, and the count of
    /// each.
    pub fn counts(&self, length: usize) -> (Vec<u32>, Vec<u64>) {
        let table = &self.tables[length - 1];
        let token = |key: u128, at: usize| {
            (key >> (self.token_bits as usize * (length - 1 - at)) & low_bits(self.token_bits))
                as u32
        };
        let sequence = |&key: &u128| (0..length).map(move |at| token(key, at));
        let counts = (0..table.keys.len()).map(|at| table.sum(at..at + 1));
        (
            table.keys.iter().flat_map(sequence).collect(),
            counts.collect(),
        )
    }
}

/// A mask of the `bits` lowest bits.
fn low_bits(bits: u32) -> u128 {
    (1 << bits) - 1
}

impl Table {
    /// Sum of the counts of a range of keys.
    fn sum(&self, range: Range<usize>) -> u64 {
        let up_to = |end: usize| end.checked_sub(1).map_or(0, |last| self.sums[last]);
        up_to(range.end) - up_to(range.start)
    }

    /// The table in which each of `keys` is counted once more. `keys` is emptied.
    fn with(self, keys: &mut Vec<u128>) -> Self {
        keys.sort_unstable();
        let mut merged = Self::default();
        let mut add = |key: u128, count: u64| {
            let sum = merged.sums.last().copied().unwrap_or(0) + count;
            if merged.keys.last() == Some(&key) {
                merged.sums.pop();
            } else {
                merged.keys.push(key);
            }
            merged.sums.push(sum);
        };
        let mut new = keys.drain(..).peekable();
        for (at, &key) in self.keys.iter().enumerate() {
            while let Some(smaller) = new.next_if(|&new| new < key) {
                add(smaller, 1);
            }
            add(key, self.sum(at..at + 1));
        }
        new.for_each(|key| add(key, 1));
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of the text 0 1 0 1 2 0.
    fn model(order: usize) -> NgramCounts {
        NgramCounts::count([0, 1, 0, 1, 2, 0].into_iter(), order, 3).unwrap()
    }

    #[test]
    fn a_unigram_is_smoothed_with_the_uniform_distribution() {
        // c(0) = 3 of 6 tokens, of which 3 are different.
        let expected = (3.0 + 3.0 / 3.0) / (6.0 + 3.0);
        assert!((model(1).probability(&[1, 1], 0) - expected).abs() < 1e-12);
    }

    #[test]
    fn a_longer_context_is_smoothed_with_the_shorter_one() {
        let unigram = |token| model(1).probability(&[], token);
        // After 1, the tokens 0 and 2 occur once each.
        let after_1 = |token, count: f64| (count + 2.0 * unigram(token)) / 4.0;
        assert!((model(2).probability(&[1], 0) - after_1(0, 1.0)).abs() < 1e-12);
        assert!((model(2).probability(&[1], 1) - after_1(1, 0.0)).abs() < 1e-12);
        // After 0 1, the tokens 0 and 2 occur once each. The sequence 2 1 does not occur.
        let after_01 = (1.0 + 2.0 * after_1(2, 1.0)) / 4.0;
        assert!((model(3).probability(&[2, 0, 1], 2) - after_01).abs() < 1e-12);
        assert_eq!(
            model(3).probability(&[2, 1], 2),
            model(2).probability(&[1], 2)
        );
    }

    #[test]
    fn probabilities_sum_to_one_and_agree_with_the_distribution() {
        let text = (0..3000).map(|i: usize| (i * i / 7 + i / 3) % 11);
        for order in 1..=NgramCounts::MAX_ORDER {
            let model = NgramCounts::count(text.clone(), order, 13).unwrap();
            for context in [&[][..], &[3], &[12, 12, 12, 12], &[1, 2, 3, 4], &[5, 0]] {
                let all = model.distribution(context);
                assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for (token, p) in all.into_iter().enumerate() {
                    assert!((p - model.probability(context, token)).abs() < 1e-15 && p > 0.0);
                }
            }
        }
    }

    #[test]
    fn counting_in_parts_equals_counting_at_once() {
        let mut keys: Vec<u128> = (0..1000).map(|i| i * i % 97).collect();
        let mut parts = [keys[..300].to_vec(), keys[300..].to_vec()];
        let merged = parts.iter_mut().fold(Table::default(), Table::with);
        let whole = Table::default().with(&mut keys);
        assert_eq!(merged, whole);
        assert_eq!(whole.sum(0..whole.keys.len()), 1000);
    }

    #[test]
    fn counts_can_be_read_back() {
        let (sequences, counts) = model(2).counts(2);
        assert_eq!(sequences, [0, 1, 1, 0, 1, 2, 2, 0]);
        assert_eq!(counts, [2, 1, 1, 1]);
        assert_eq!(model(2).size(), 3 + 4);
        let large = NgramCounts::count([999_999, 0, 999_999].into_iter(), 5, 1_000_000).unwrap();
        assert_eq!(large.counts(3), (vec![999_999, 0, 999_999], vec![1]));
        assert_eq!(large.counts(5), (vec![], vec![]));
    }

    #[test]
    fn a_key_that_is_too_small_for_the_vocabulary_is_an_error() {
        let count = |order, vocab_size: usize| {
            let last = vocab_size - 1;
            NgramCounts::count([last, 0, last, 0, last].into_iter(), order, vocab_size)
        };
        // 25 bits x 5 and 32 bits x 3 fit into 127 bits.
        for (order, vocab_size) in [(5, 1 << 25), (3, 1 << 32)] {
            let model = count(order, vocab_size).unwrap();
            let last = vocab_size - 1;
            // After `last`, the token 0 occurs twice and no other token does.
            assert_eq!(model.probability(&[last], 0), {
                let pairs = NgramCounts::count([last, 0, last, 0, last].into_iter(), 2, vocab_size);
                pairs.unwrap().probability(&[last], 0)
            });
            assert!(model.probability(&[0, last], 0) > 0.5);
            assert!(model.probability(&[last, last], last) < 0.5);
            assert_eq!(model.counts(2).1, [2, 2]);
        }
        for (order, vocab_size, possible) in [(5, (1 << 25) + 1, 4), (4, 1 << 32, 3)] {
            assert_eq!(
                count(order, vocab_size).unwrap_err().to_string(),
                format!(
                    "an n-gram model of order {order} cannot count a vocabulary of {vocab_size} \
                     tokens; set model.order to at most {possible}, or use a smaller vocabulary"
                )
            );
        }
    }
}
