//! The loss of the best counted bigram, as a reference for trained models.

use super::{DataError, NgramCounts, Tokens};
use std::collections::HashMap;

/// Mean loss on the validation split, in nats per token, of the better of two bigram models that
/// are counted on the training split:
/// - add-one smoothing, which is good for a small vocabulary;
/// - interpolation with single tokens ([`NgramCounts`]), which is good for a large vocabulary.
///
/// Each validation token is predicted from the token before it. The token before the first is the
/// last token of the training split. The result is `None` if a split is empty.
pub(super) fn bigram_baseline_loss(
    train: &Tokens,
    val: &Tokens,
    vocab_size: usize,
) -> Result<Option<f64>, DataError> {
    if train.is_empty() || val.is_empty() {
        return Ok(None);
    }
    let interpolated = NgramCounts::count(train.iter(), 2, vocab_size)?.loss(train, val);
    Ok(Some(interpolated.min(add_one_loss(train, val, vocab_size))))
}

/// The loss of add-one smoothing, for splits that are not empty.
///
/// Only the pairs of the validation split are counted, so memory does not grow with the square of
/// the vocabulary.
fn add_one_loss(train: &Tokens, val: &Tokens, vocab_size: usize) -> f64 {
    let before_val = train.get(train.len() - 1);
    let mut pairs: HashMap<(usize, usize), u64> = HashMap::new();
    each_pair(before_val, val, |pair| {
        pairs.insert(pair, 0);
    });
    let mut singles = vec![0u64; vocab_size];
    let first = train.get(0);
    let mut begun = false;
    each_pair(first, train, |pair| {
        // The first token has no predecessor. Its pair is made up and is not counted.
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
        nats += libm::log(total as f64 / count as f64);
    });
    nats / val.len() as f64
}

/// Calls `visit` with each token and its predecessor. `before` is the predecessor of the first.
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

    fn tokens(ids: &[u32]) -> Tokens {
        Tokens::of(ids, Width::Two)
    }

    #[test]
    fn the_smaller_of_both_losses_is_returned() {
        // Pairs: 0 1, 1 0, 0 1, 1 2, 2 0.
        let train = tokens(&[0, 1, 0, 1, 2, 0]);
        let loss = |val: &[u32]| {
            let loss = bigram_baseline_loss(&train, &tokens(val), 3);
            loss.unwrap().unwrap()
        };
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        // The pairs 0 2 and 2 2 do not occur. Add-one smoothing gives them more probability.
        near(
            loss(&[2, 2]),
            -((1.0f64 / 5.0).ln() + (1.0f64 / 4.0).ln()) / 2.0,
        );
        // The pair 0 1 occurs and 1 is frequent. Interpolation gives them more probability.
        let single = (2.0 + 1.0) / (6.0 + 3.0);
        let (one, two) = ((2.0 + single) / (2.0 + 1.0), 2.0 * single / (2.0 + 2.0));
        near(loss(&[1, 1]), -(f64::ln(one) + f64::ln(two)) / 2.0);
    }

    #[test]
    fn an_empty_split_has_no_loss() {
        let train = tokens(&[0, 1]);
        let empty = bigram_baseline_loss(&train, &tokens(&[]), 3);
        assert_eq!(empty.unwrap(), None);
    }
}
