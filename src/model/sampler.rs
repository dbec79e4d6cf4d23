//! Sampling: the choice of the next token from its logits and a random number.

use crate::spec::Sample;

/// The next token, by inverse transform sampling with `drawn`, a uniform random number in [0, 1).
///
/// The cumulative distribution is over tokens by descending logit. Tokens with equal logits are in
/// the order of their ids. `logits` (V) are those of every token, and `seen` are the tokens of the text
/// so far. The settings of `sample` apply in this order: repetition penalty, temperature, `top_k`,
/// `top_p`, `min_p`. Each one acts on the tokens that the one before it kept.
pub(super) fn pick(logits: &[f32], seen: &[usize], sample: &Sample, drawn: f64) -> usize {
    let logits = penalized(logits, seen, sample.repetition_penalty);
    let greedy = sample.temperature == 0.0;
    let order = most_likely_first(&logits, if greedy { Some(1) } else { sample.top_k });
    let largest = f64::from(logits[order[0]]);
    if greedy {
        return order[0];
    }
    let temperature = f64::from(sample.temperature);
    let weight = |&token: &usize| libm::exp((f64::from(logits[token]) - largest) / temperature);
    let mut weights: Vec<f64> = order.iter().map(weight).collect();
    weights.truncate(nucleus(&weights, f64::from(sample.top_p)));
    // The weight of the most likely token is 1, so `min_p` is a bound on the weights themselves.
    let least = f64::from(sample.min_p);
    weights.truncate(weights.partition_point(|weight| *weight >= least).max(1));
    let mut left = drawn * weights.iter().sum::<f64>();
    for (&token, weight) in order.iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    order[0]
}

/// The logits (V), with lower ones for the tokens in `seen` (Keskar et al. 2019, section 4.1).
fn penalized(logits: &[f32], seen: &[usize], penalty: f32) -> Vec<f32> {
    let mut penalized = logits.to_vec();
    if penalty != 1.0 {
        for &token in seen {
            // This reads the original logit, so a token that occurs twice is penalized once.
            let logit = logits[token];
            penalized[token] = if logit > 0.0 {
                logit / penalty
            } else {
                logit * penalty
            };
        }
    }
    penalized
}

/// The `k` tokens with the largest logits, or all tokens, in descending order.
fn most_likely_first(logits: &[f32], k: Option<usize>) -> Vec<usize> {
    let before = |&a: &usize, &b: &usize| logits[b].total_cmp(&logits[a]).then(a.cmp(&b));
    let mut order: Vec<usize> = (0..logits.len()).collect();
    if let Some(k @ 1..) = k
        && k < order.len()
    {
        // Selection is linear in the vocabulary, so only the selected tokens have to be sorted.
        order.select_nth_unstable_by(k - 1, before);
        order.truncate(k);
    }
    order.sort_unstable_by(before);
    order
}

/// The smallest number of leading weights whose sum is at least `top_p` of the sum of all weights
/// (Holtzman et al. 2020, section 3.1).
fn nucleus(weights: &[f64], top_p: f64) -> usize {
    if top_p >= 1.0 {
        return weights.len();
    }
    let wanted = top_p * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let short = weights.iter().take_while(|weight| {
        sum += **weight;
        sum < wanted
    });
    short.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings that keep all tokens and their probabilities.
    fn all() -> Sample {
        Sample {
            temperature: 1.0,
            top_k: None,
            ..Sample::default()
        }
    }

    /// The tokens drawn for 1000 evenly spaced numbers, in order.
    fn drawn(logits: &[f32], seen: &[usize], sample: &Sample) -> Vec<usize> {
        (0..1000)
            .map(|i| pick(logits, seen, sample, f64::from(i) / 1000.0))
            .collect()
    }

    fn distinct(logits: &[f32], seen: &[usize], sample: &Sample) -> Vec<usize> {
        let mut tokens = drawn(logits, seen, sample);
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The logits of tokens with these probabilities.
    fn logits(probabilities: &[f32]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn temperature_zero_takes_the_most_likely_token() {
        let greedy = Sample {
            temperature: 0.0,
            ..all()
        };
        assert_eq!(pick(&[0.0, 2.0, 2.0, 1.0], &[], &greedy, 0.99), 1);
        let penalty = Sample {
            repetition_penalty: 1.5,
            ..greedy
        };
        assert_eq!(pick(&[0.0, 2.0, 2.0, 1.0], &[1, 1], &penalty, 0.99), 2);
    }

    #[test]
    fn tokens_are_drawn_in_proportion_to_their_probabilities() {
        let ones = drawn(&[0.0, 3f32.ln()], &[], &all());
        let ones = ones.iter().filter(|&&token| token == 1).count();
        assert!((749..=751).contains(&ones), "{ones}");
    }

    #[test]
    fn each_setting_keeps_the_tokens_that_it_should() {
        let likely = logits(&[0.1, 0.4, 0.05, 0.3, 0.15]);
        let left = |sample: Sample| distinct(&likely, &[], &sample);
        assert_eq!(left(all()), [0, 1, 2, 3, 4]);
        assert_eq!(
            left(Sample {
                top_k: Some(2),
                ..all()
            }),
            [1, 3]
        );
        assert_eq!(
            left(Sample {
                top_k: Some(9),
                ..all()
            }),
            [0, 1, 2, 3, 4]
        );
        for (top_p, tokens) in [
            (0.01, &[1][..]),
            (0.39, &[1]),
            (0.6, &[1, 3]),
            (0.8, &[1, 3, 4]),
        ] {
            assert_eq!(left(Sample { top_p, ..all() }), tokens, "{top_p}");
        }
        for (min_p, tokens) in [(0.2, &[0, 1, 3, 4][..]), (0.5, &[1, 3]), (1.0, &[1])] {
            assert_eq!(left(Sample { min_p, ..all() }), tokens, "{min_p}");
        }
        // Of the two tokens that top_k keeps, the first has probability 4/7.
        let both = Sample {
            top_k: Some(2),
            top_p: 0.56,
            ..all()
        };
        assert_eq!(left(both), [1]);
    }

    #[test]
    fn a_token_that_occurs_twice_is_penalized_once() {
        let sample = Sample {
            repetition_penalty: 2.0,
            ..all()
        };
        assert_eq!(
            penalized(&[3.0, -1.0, 5.0], &[0, 1, 1, 0], 2.0),
            [1.5, -2.0, 5.0]
        );
        let shares = |seen: &[usize]| {
            let tokens = drawn(&[1.0, 1.0], seen, &sample);
            tokens.iter().filter(|&&token| token == 0).count()
        };
        assert!(shares(&[0]) < shares(&[]) && shares(&[]) < shares(&[1]));
    }

    #[test]
    fn logits_that_are_not_finite_still_give_a_token() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(
                drawn(&[0.0, bad, 1.0], &[1], &all())
                    .iter()
                    .all(|&token| token < 3)
            );
        }
    }
}
