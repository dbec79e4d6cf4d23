use super::Tokens;
use std::ops::Range;

/// An interpolated n-gram model, by counting: what follows the last `order - 1` tokens, smoothed
/// towards what follows the last `order - 2`, and so on down to a uniform guess.
///
/// With h the context, c(h w) the count of the token w after it, c(h) the sum of these and T(h) the
/// number of different tokens after it,
///
/// P(w | h) = (c(h w) + T(h) P(w | h')) / (c(h) + T(h)), h' being h without its first token
///
/// (Witten & Bell 1991, method C; Chen & Goodman 1998, section 2.5). It needs no constant to be
/// tuned and is defined for every context, where the discounts of Kneser-Ney are not for the low
/// orders of a small alphabet.
#[derive(Debug, Clone, PartialEq)]
pub struct Ngram {
    vocab_size: usize,
    /// Bits of a token in a key.
    bits: u32,
    /// The counts of one token, of two, up to `order`.
    tables: Vec<Table>,
}

/// The counts of all sequences of one length.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table {
    /// The sequences that occur, in ascending order: the earlier a token, the higher its bits, so
    /// that all that follows one context stands together.
    keys: Vec<u128>,
    /// Sum of the counts up to and including each key, so that a range has its sum at once.
    sums: Vec<u64>,
}

/// Keys that are sorted at a time. Memory follows the number of different sequences, and not the
/// length of the text.
const AT_A_TIME: usize = 1 << 20;

impl Ngram {
    /// Longest sequence: five tokens of 25 bits fit a key.
    pub const MAX_ORDER: usize = 5;

    /// Counts the sequences of up to `order` tokens.
    ///
    /// # Panics
    /// If `order` is not from 1 to [`Self::MAX_ORDER`].
    pub fn count(
        tokens: impl Iterator<Item = usize> + Clone,
        order: usize,
        vocab_size: usize,
    ) -> Self {
        assert!((1..=Self::MAX_ORDER).contains(&order), "validated before");
        let bits = (vocab_size.max(2) - 1).ilog2() + 1;
        let tables = (1..=order as u32).map(|length| {
            let mut table = Table::default();
            let mut keys = Vec::with_capacity(AT_A_TIME);
            let mut key = 0u128;
            for (i, token) in tokens.clone().enumerate() {
                key = (key << bits | token as u128) & mask(length * bits);
                if i + 1 < length as usize {
                    continue;
                }
                keys.push(key);
                if keys.len() == AT_A_TIME {
                    table = table.with(&mut keys);
                }
            }
            table.with(&mut keys)
        });
        Self {
            vocab_size,
            bits,
            tables: tables.collect(),
        }
    }

    /// Number of counts that are kept.
    pub fn size(&self) -> usize {
        self.tables.iter().map(|table| table.keys.len()).sum()
    }

    pub fn order(&self) -> usize {
        self.tables.len()
    }

    /// Probability of `token` after `context`, of which only the last `order - 1` tokens count.
    pub fn probability(&self, context: &[usize], token: usize) -> f64 {
        let mut p = 1.0 / self.vocab_size as f64;
        for (table, after) in self.after(context) {
            let kinds = after.len() as f64;
            let key = table.keys[after.start] & !mask(self.bits) | token as u128;
            let found = table.keys[after.clone()].binary_search(&key);
            let count = found.map_or(0, |at| table.sum(after.start + at..after.start + at + 1));
            p = (count as f64 + kinds * p) / (table.sum(after) as f64 + kinds);
        }
        p
    }

    /// Mean cross-entropy of `val`, in nats a token, which goes on after `train`: each token after all
    /// the context that the model can use, as a count has no window that it could be cut off by.
    pub fn loss(&self, train: &Tokens, val: &Tokens) -> f64 {
        let context = train.len().min(self.order() - 1);
        let before = train.len() - context..train.len();
        let before = before.map(|i| train.get(i));
        let tokens: Vec<usize> = before.chain(val.iter()).collect();
        let places = context..tokens.len();
        let nats = places.map(|i| -self.probability(&tokens[..i], tokens[i]).ln());
        nats.sum::<f64>() / val.len() as f64
    }

    /// Probabilities (V) of every token after `context`.
    pub fn distribution(&self, context: &[usize]) -> Vec<f64> {
        let mut p = vec![1.0 / self.vocab_size as f64; self.vocab_size];
        for (table, after) in self.after(context) {
            let kinds = after.len() as f64;
            let total = table.sum(after.clone()) as f64 + kinds;
            p.iter_mut().for_each(|p| *p *= kinds / total);
            for at in after {
                let token = (table.keys[at] & mask(self.bits)) as usize;
                p[token] += table.sum(at..at + 1) as f64 / total;
            }
        }
        p
    }

    /// What follows the last 0, 1, ... tokens of a context: tables, each with the range of its keys.
    /// Where one is empty, so are all of longer contexts.
    fn after<'a>(
        &'a self,
        context: &'a [usize],
    ) -> impl Iterator<Item = (&'a Table, Range<usize>)> {
        let tables = self.tables.iter().zip(0..=context.len());
        let ranges = tables.map(|(table, length)| {
            let last = &context[context.len() - length..];
            let key = last
                .iter()
                .fold(0, |key, &token| key << self.bits | token as u128);
            let below = |bound: u128| {
                table
                    .keys
                    .partition_point(|&other| other < bound << self.bits)
            };
            (table, below(key)..below(key + 1))
        });
        ranges.take_while(|(_, range)| !range.is_empty())
    }

    /// The sequences of `length` tokens that occur, one after another, and how often each does.
    pub fn counts(&self, length: usize) -> (Vec<u32>, Vec<u64>) {
        let table = &self.tables[length - 1];
        let token = |key: u128, at: usize| {
            (key >> (self.bits as usize * (length - 1 - at)) & mask(self.bits)) as u32
        };
        let sequence = |&key: &u128| (0..length).map(move |at| token(key, at));
        let counts = (0..table.keys.len()).map(|at| table.sum(at..at + 1));
        (
            table.keys.iter().flat_map(sequence).collect(),
            counts.collect(),
        )
    }
}

fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

impl Table {
    /// Sum of the counts of a range of keys.
    fn sum(&self, range: Range<usize>) -> u64 {
        let up_to = |end: usize| end.checked_sub(1).map_or(0, |last| self.sums[last]);
        up_to(range.end) - up_to(range.start)
    }

    /// The table with an occurrence more of each of `keys`, which is emptied.
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

    /// 0 1 0 1 2 0
    fn model(order: usize) -> Ngram {
        Ngram::count([0, 1, 0, 1, 2, 0].into_iter(), order, 3)
    }

    #[test]
    fn one_token_is_its_share_and_a_guess() {
        // c(0) = 3 of 6, three kinds.
        let expected = (3.0 + 3.0 / 3.0) / (6.0 + 3.0);
        assert!((model(1).probability(&[1, 1], 0) - expected).abs() < 1e-12);
    }

    #[test]
    fn longer_contexts_are_smoothed_by_shorter_ones() {
        let unigram = |token| model(1).probability(&[], token);
        // After 1: 0 once, 2 once.
        let after_1 = |token, count: f64| (count + 2.0 * unigram(token)) / 4.0;
        assert!((model(2).probability(&[1], 0) - after_1(0, 1.0)).abs() < 1e-12);
        assert!((model(2).probability(&[1], 1) - after_1(1, 0.0)).abs() < 1e-12);
        // After 0 1: 0 once, 2 once. After 2 1: nothing ever.
        let after_01 = (1.0 + 2.0 * after_1(2, 1.0)) / 4.0;
        assert!((model(3).probability(&[2, 0, 1], 2) - after_01).abs() < 1e-12);
        assert_eq!(
            model(3).probability(&[2, 1], 2),
            model(2).probability(&[1], 2)
        );
    }

    #[test]
    fn probabilities_add_up_and_agree() {
        let text = (0..3000).map(|i: usize| (i * i / 7 + i / 3) % 11);
        for order in 1..=Ngram::MAX_ORDER {
            let model = Ngram::count(text.clone(), order, 13);
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
    fn counting_in_pieces_is_counting_at_once() {
        let mut keys: Vec<u128> = (0..1000).map(|i| i * i % 97).collect();
        let mut halves = [keys[..300].to_vec(), keys[300..].to_vec()];
        let pieces = halves.iter_mut().fold(Table::default(), Table::with);
        let whole = Table::default().with(&mut keys);
        assert_eq!(pieces, whole);
        assert_eq!(whole.sum(0..whole.keys.len()), 1000);
    }

    #[test]
    fn counts_can_be_read_back() {
        let (sequences, counts) = model(2).counts(2);
        assert_eq!(sequences, [0, 1, 1, 0, 1, 2, 2, 0]);
        assert_eq!(counts, [2, 1, 1, 1]);
        assert_eq!(model(2).size(), 3 + 4);
        let large = Ngram::count([999_999, 0, 999_999].into_iter(), 5, 1_000_000);
        assert_eq!(large.counts(3), (vec![999_999, 0, 999_999], vec![1]));
        assert_eq!(large.counts(5), (vec![], vec![]));
    }
}
