//! The best bigram that counting gives: a reference line for the trained one.

use super::Tokens;
use std::collections::HashMap;

/// Mean loss on the validation split, in nats a token, of the better of two bigrams that are counted
/// on the training split: one whose counts are those plus one, which is good where there are few
/// tokens, and one that falls back on single tokens, which is good where there are many. Each
/// validation token is predicted from the one before it, the first from the last of the training split.
///
/// Only pairs that occur are counted, so memory does not grow with the square of the vocabulary. `None`
/// for an empty split.
pub(super) fn count_loss(train: &Tokens, val: &Tokens, vocab_size: usize) -> Option<f64> {
    if train.is_empty() || val.is_empty() {
        return None;
    }
    let counts = Counts::of(train, vocab_size);
    let before_val = train.get(train.len() - 1);
    let (mut plus_one, mut interpolated) = (0.0, 0.0);
    each_pair(before_val, val, 0, |pair| {
        plus_one -= counts.plus_one(pair).ln();
        interpolated -= counts.interpolated(pair).ln();
    });
    Some(f64::min(plus_one, interpolated) / val.len() as f64)
}

/// What occurs in a text, and how often.
struct Counts {
    tokens: usize,
    /// Different tokens.
    kinds: usize,
    /// Of each token.
    singles: Vec<u64>,
    pairs: HashMap<(usize, usize), u64>,
    /// Of each token, how often another comes after it, and how many different ones do.
    before: Vec<(u64, u64)>,
}

impl Counts {
    fn of(tokens: &Tokens, vocab_size: usize) -> Self {
        let mut counts = Self {
            tokens: tokens.len(),
            kinds: 0,
            singles: vec![0; vocab_size],
            pairs: HashMap::new(),
            before: vec![(0, 0); vocab_size],
        };
        let first = tokens.get(0);
        counts.singles[first] += 1;
        each_pair(first, tokens, 1, |pair| {
            let count = counts.pairs.entry(pair).or_default();
            *count += 1;
            let (times, kinds) = &mut counts.before[pair.0];
            *times += 1;
            *kinds += u64::from(*count == 1);
            counts.singles[pair.1] += 1;
        });
        counts.kinds = counts.singles.iter().filter(|count| **count > 0).count();
        counts
    }

    fn pair(&self, pair: (usize, usize)) -> f64 {
        self.pairs.get(&pair).copied().unwrap_or_default() as f64
    }

    /// Probability of the second of a pair after the first, each pair having occurred once more.
    fn plus_one(&self, pair: (usize, usize)) -> f64 {
        let (times, _) = self.before[pair.0];
        (self.pair(pair) + 1.0) / (times as f64 + self.singles.len() as f64)
    }

    /// The same, smoothed as [`crate::model::Ngram`] is (Witten & Bell 1991, method C).
    fn interpolated(&self, pair: (usize, usize)) -> f64 {
        let uniform = 1.0 / self.singles.len() as f64;
        let kinds = self.kinds as f64;
        let single = (self.singles[pair.1] as f64 + kinds * uniform) / (self.tokens as f64 + kinds);
        let (times, kinds) = self.before[pair.0];
        match kinds as f64 {
            0.0 => single,
            kinds => (self.pair(pair) + kinds * single) / (times as f64 + kinds),
        }
    }
}

/// Calls `visit` with each token from the `first` on and the one before it.
fn each_pair(
    mut before: usize,
    tokens: &Tokens,
    first: usize,
    mut visit: impl FnMut((usize, usize)),
) {
    for i in first..tokens.len() {
        let token = tokens.get(i);
        visit((before, token));
        before = token;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::Width;
    use super::*;
    use crate::model::Ngram;

    fn of(tokens: &[u32]) -> Tokens {
        Tokens::of(tokens, Width::Two)
    }

    #[test]
    fn the_better_smoothing_counts() {
        // Pairs: 0 1, 1 0, 0 1, 1 2, 2 0.
        let train = of(&[0, 1, 0, 1, 2, 0]);
        let loss = |val: &[u32]| count_loss(&train, &of(val), 3).unwrap();
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        // 0 2 and 2 2 never occurred: one more of each gives them the most.
        near(
            loss(&[2, 2]),
            -((1.0f64 / 5.0).ln() + (1.0f64 / 4.0).ln()) / 2.0,
        );
        // 0 1 did, and 1 is frequent: falling back on that gives them more.
        let single = (2.0 + 1.0) / (6.0 + 3.0);
        let (one, two) = ((2.0 + single) / (2.0 + 1.0), 2.0 * single / (2.0 + 2.0));
        near(loss(&[1, 1]), -(f64::ln(one) + f64::ln(two)) / 2.0);
        assert_eq!(count_loss(&train, &of(&[]), 3), None);
    }

    #[test]
    fn falling_back_is_what_an_ngram_does() {
        let text = [0, 1, 0, 1, 2, 0, 3, 3, 1, 0, 2];
        let counts = Counts::of(&of(&text), 5);
        let ngram = Ngram::count(text.iter().map(|&token| token as usize), 2, 5);
        for first in 0..5 {
            for second in 0..5 {
                let (got, want) = (
                    counts.interpolated((first, second)),
                    ngram.probability(&[first], second),
                );
                assert!((got - want).abs() < 1e-12, "{got} {want}");
            }
        }
    }
}
