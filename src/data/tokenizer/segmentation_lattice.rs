//! Segmentations of a word under a unigram model. They are drawn in proportion to their probability
//! to the power of `alpha` (Kudo 2018, sections 3.1 and 3.3).

use crate::random::unit;
use rand_core::RngCore;
use std::collections::HashMap;
use tokenizers::models::unigram::{Lattice, Unigram};

/// The tokens of a unigram model and the parameters of the draws.
#[derive(Debug)]
pub(super) struct SegmentationModel {
    /// Number and score of each token. A score is a log probability.
    by_text: HashMap<String, (u32, f64)>,
    /// Length of the longest token in bytes.
    longest: usize,
    /// Number and score of the unknown token. It is the first token of a model that is trained here.
    unknown: (u32, f64),
    alpha: f64,
    nbest: Option<usize>,
}

/// The segmentations of a word.
#[derive(Debug)]
pub(super) enum Segmentations {
    /// All segmentations, as a lattice: for each byte position, the tokens that end there.
    All(Vec<Vec<Step>>),
    /// The most probable segmentations. The number is the cumulative weight up to and including
    /// each.
    Best(Vec<(f64, Vec<u32>)>),
}

/// A token that ends at a given position in a word.
#[derive(Debug)]
pub(super) struct Step {
    /// Start of the token in bytes.
    from: usize,
    token: u32,
    /// Cumulative probability: among the segmentations with a boundary at the end of the token, the
    /// share in which the last token is this one or an earlier one in the list.
    cumulative: f64,
}

impl SegmentationModel {
    /// Draws are made from the `nbest` most probable segmentations of a word, or from all if it is
    /// `None`.
    pub(super) fn new(model: &Unigram, alpha: f64, nbest: Option<usize>) -> Self {
        let by_text: HashMap<_, _> = model
            .iter()
            .zip(0..)
            .map(|((token, score), id)| (token.clone(), (id, *score)))
            .collect();
        Self {
            longest: by_text.keys().map(String::len).max().unwrap_or(0),
            by_text,
            // The score that the library uses.
            unknown: (0, model.min_score - 10.0),
            alpha,
            nbest,
        }
    }

    /// The segmentations of a word to draw from.
    pub(super) fn segmentations(&self, word: &str) -> Segmentations {
        match self.nbest {
            None => Segmentations::All(self.all(word)),
            Some(n) => Segmentations::Best(self.best(word, n)),
        }
    }

    /// Calls `visit` with the start, the end, the number and the score of each token in a word. A
    /// character without a token is visited as the unknown token.
    fn each_token(&self, word: &str, mut visit: impl FnMut(usize, usize, u32, f64)) {
        for (from, character) in word.char_indices() {
            let mut single = false;
            let rest = &word[from..];
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
            for length in ends.take_while(|&length| length <= self.longest) {
                if let Some(&(token, score)) = self.by_text.get(&rest[..length]) {
                    single |= length == character.len_utf8();
                    visit(from, from + length, token, score);
                }
            }
            if !single {
                let (token, score) = self.unknown;
                visit(from, from + character.len_utf8(), token, score);
            }
        }
    }

    /// Forward filtering: the tokens that end at each byte position, with cumulative probabilities.
    fn all(&self, word: &str) -> Vec<Vec<Step>> {
        let mut ending: Vec<Vec<Step>> = Vec::new();
        ending.resize_with(word.len() + 1, Vec::new);
        self.each_token(word, |from, to, token, score| {
            ending[to].push(Step {
                from,
                token,
                cumulative: self.alpha * score,
            });
        });
        // For each position, the log of the total weight of all segmentations of the word up to it.
        let mut total = vec![0.0; word.len() + 1];
        for to in 1..ending.len() {
            let steps = &mut ending[to];
            steps
                .iter_mut()
                .for_each(|step| step.cumulative += total[step.from]);
            let largest = steps
                .iter()
                .map(|step| step.cumulative)
                .fold(f64::MIN, f64::max);
            let mut sum = 0.0;
            for step in steps.iter_mut() {
                sum += libm::exp(step.cumulative - largest);
                step.cumulative = sum;
            }
            steps.iter_mut().for_each(|step| step.cumulative /= sum);
            total[to] = largest + libm::log(sum);
        }
        ending
    }

    /// The `n` most probable segmentations, with cumulative weights.
    fn best(&self, word: &str, n: usize) -> Vec<(f64, Vec<u32>)> {
        // The library needs two numbers outside the vocabulary for the start and the end of a word.
        let vocab_size = self.by_text.len();
        let mut lattice = Lattice::from(word, vocab_size + 1, vocab_size + 2);
        self.each_token(word, |from, to, token, score| {
            lattice.insert(from, to - from, score, token as usize);
        });
        let entry = |token: &String| *self.by_text.get(token).unwrap_or(&self.unknown);
        let best: Vec<(f64, Vec<u32>)> = lattice
            .nbest_tokens(n)
            .iter()
            .map(|tokens| {
                let score: f64 = tokens.iter().map(|token| entry(token).1).sum();
                (score, tokens.iter().map(|token| entry(token).0).collect())
            })
            .collect();
        let largest = best.first().map_or(0.0, |(score, _)| *score);
        let mut sum = 0.0;
        let weighted = best.into_iter().map(|(score, tokens)| {
            sum += libm::exp(self.alpha * (score - largest));
            (sum, tokens)
        });
        weighted.collect()
    }
}

impl Segmentations {
    /// Draws a segmentation and appends its tokens to `out`.
    pub(super) fn draw(&self, rng: &mut impl RngCore, out: &mut Vec<u32>) {
        match self {
            Self::All(ending) => {
                let first = out.len();
                let mut at = ending.len() - 1;
                while at > 0 {
                    let steps = &ending[at];
                    let drawn = unit(rng);
                    let found = steps.iter().position(|step| drawn < step.cumulative);
                    // Rounding may leave the last cumulative probability slightly below 1.
                    let step = &steps[found.unwrap_or(steps.len() - 1)];
                    out.push(step.token);
                    at = step.from;
                }
                out[first..].reverse();
            }
            Self::Best(weighted) => {
                let Some((sum, _)) = weighted.last() else {
                    return;
                };
                let drawn = unit(rng) * sum;
                let found = weighted
                    .iter()
                    .position(|(cumulative, _)| drawn < *cumulative);
                out.extend(&weighted[found.unwrap_or(weighted.len() - 1)].1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use std::collections::BTreeMap;

    fn model() -> Unigram {
        let tokens = [
            ("?", 0.0),
            ("a", -1.0),
            ("b", -2.0),
            ("ab", -1.5),
            ("bb", -2.5),
        ];
        let tokens = tokens.map(|(token, score)| (token.to_owned(), score));
        Unigram::from(tokens.to_vec(), Some(0), false).unwrap()
    }

    /// The share of each segmentation of `abb` in many draws.
    fn shares(alpha: f64, nbest: Option<usize>) -> BTreeMap<Vec<u32>, f64> {
        const DRAWS: u32 = 40_000;
        let segmentations = SegmentationModel::new(&model(), alpha, nbest).segmentations("abb");
        let mut rng = Stream::new(1, "lattice test").at(0);
        let mut shares = BTreeMap::new();
        for _ in 0..DRAWS {
            let mut tokens = Vec::new();
            segmentations.draw(&mut rng, &mut tokens);
            *shares.entry(tokens).or_default() += 1.0 / f64::from(DRAWS);
        }
        shares
    }

    #[test]
    fn segmentations_are_drawn_in_proportion_to_a_power_of_their_probability() {
        for alpha in [0.0, 0.1, 0.7, 1.0] {
            // The segmentations are a b b, a bb, and ab b.
            let scores = [
                (vec![1, 2, 2], -5.0),
                (vec![1, 4], -3.5),
                (vec![3, 2], -3.5),
            ];
            for n in 1..=3 {
                let mut kept = scores.to_vec();
                kept.sort_by(|a, b| f64::total_cmp(&b.1, &a.1));
                kept.truncate(n);
                let found = shares(alpha, Some(n));
                assert_eq!(found.len(), n, "{found:?}");
                if n != 1 {
                    close(&kept, alpha, &found);
                }
            }
            close(&scores, alpha, &shares(alpha, None));
        }
    }

    fn close(scores: &[(Vec<u32>, f64)], alpha: f64, found: &BTreeMap<Vec<u32>, f64>) {
        let sum: f64 = scores.iter().map(|(_, score)| (alpha * score).exp()).sum();
        for (tokens, score) in scores {
            let (want, got) = ((alpha * score).exp() / sum, found[tokens]);
            assert!(
                (want - got).abs() < 0.012,
                "{tokens:?}: {want} {got} at {alpha}"
            );
        }
    }

    #[test]
    fn each_unknown_character_is_one_unknown_token() {
        let mut tokens = Vec::new();
        let mut rng = Stream::new(1, "lattice test").at(0);
        SegmentationModel::new(&model(), 0.5, None)
            .segmentations("aéb")
            .draw(&mut rng, &mut tokens);
        assert_eq!(tokens, [1, 0, 2]);
    }
}
