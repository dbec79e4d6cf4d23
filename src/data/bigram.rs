//! The best bigram that counting gives: a reference line for the trained one.

use super::Tokens;
use std::collections::HashMap;

/// Mean loss on the validation split, in nats a token, of the bigram whose probabilities are the
/// counts of the training split plus one. Each validation token is predicted from the one before it,
/// the first from the last of the training split.
///
/// Only pairs that the validation split has are counted, so memory does not grow with the square of
/// the vocabulary. `None` for an empty split.
pub(super) fn count_loss(train: &Tokens, val: &Tokens, vocab_size: usize) -> Option<f64> {
    if train.is_empty() || val.is_empty() {
        return None;
    }
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
    Some(nats / val.len() as f64)
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
    use super::super::tokens::Width;
    use super::*;

    #[test]
    fn counts_are_smoothed_by_one() {
        // Pairs: 0 1, 1 0, 0 1, 1 2, 2 0. Scored: 0 1 and 1 1, of 3 tokens.
        let train = Tokens::of(&[0, 1, 0, 1, 2, 0], Width::Two);
        let val = Tokens::of(&[1, 1], Width::Two);
        let expected = -((3.0f64 / 5.0).ln() + (1.0f64 / 5.0).ln()) / 2.0;
        let loss = count_loss(&train, &val, 3).unwrap();
        assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
        assert_eq!(count_loss(&train, &Tokens::of(&[], Width::Two), 3), None);
    }
}
