//! The best bigram that counting gives: a reference line for the trained one.

use super::{Ngram, Tokens};
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
    let falling_back = Ngram::count(train.iter(), 2, vocab_size).loss(train, val);
    Some(falling_back.min(plus_one_loss(train, val, vocab_size)))
}

/// The loss of the counts plus one, of splits that are not empty.
fn plus_one_loss(train: &Tokens, val: &Tokens, vocab_size: usize) -> f64 {
    let before_val = train.get(train.len() - 1);
    let mut pairs: HashMap<(usize, usize), u64> = HashMap::new();
    each_pair(before_val, val, |pair| {
        pairs.insert(pair, 0);
    });
    let mut singles = vec![0u64; vocab_size];
    let first = train.get(0);
    let mut begun = false;
    each_pair(first, train, |pair| {
        // The first token has none before it; it is handed over as its own successor.
        if std::mem::replace(&mut begun, true) {
            singles[pair.0] += 1;
            if let Some(count) = pairs.get_mut(&pair) {
                *count += 1;
            }
        }
    });
    let mut nats = 0.0;
    each_pair(before_val, val, |pair| {
        let count = pairs[&pair] + 1;
        let total = singles[pair.0] + vocab_size as u64;
        nats += (total as f64 / count as f64).ln();
    });
    nats / val.len() as f64
}

/// Calls `visit` with each token and the one before it.
fn each_pair(mut before: usize, tokens: &Tokens, mut visit: impl FnMut((usize, usize))) {
    for i in 0..tokens.len() {
        let token = tokens.get(i);
        visit((before, token));
        before = token;
    }
}

#[cfg(test)]
mod tests {
    use super::super::token_file::Width;
    use super::*;

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
}
