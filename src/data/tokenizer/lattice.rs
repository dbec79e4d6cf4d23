//! Segmentations of a word under a unigram model, drawn in proportion to their probabilities to the
//! power `alpha` (Kudo 2018, sections 3.1 and 3.3).

use crate::random::unit;
use rand_core::RngCore;
use std::collections::HashMap;
use tokenizers::models::unigram::{Lattice, Unigram};

/// The pieces of a model by their text.
#[derive(Debug)]
pub(super) struct Pieces {
    by_text: HashMap<String, (u32, f64)>,
    /// Bytes of the longest.
    longest: usize,
    /// The first token of the models that are trained here.
    unknown: (u32, f64),
    alpha: f64,
    nbest: Option<usize>,
}

/// All segmentations of a word, or the best of them.
#[derive(Debug)]
pub(super) enum Segmentations {
    All(Vec<Vec<Step>>),
    /// With the sum of the weights up to each.
    Best(Vec<(f64, Vec<u32>)>),
}

/// A piece that ends somewhere in a word.
#[derive(Debug)]
pub(super) struct Step {
    from: usize,
    token: u32,
    /// Probability that a drawn segmentation that comes to the end of the piece came by it or by one
    /// of those before it in the list.
    up_to: f64,
}

impl Pieces {
    /// `nbest` is how many segmentations there are to draw from; `None` is all.
    pub(super) fn new(model: &Unigram, alpha: f64, nbest: Option<usize>) -> Self {
        let by_text: HashMap<_, _> = model
            .iter()
            .zip(0..)
            .map(|((piece, score), id)| (piece.clone(), (id, *score)))
            .collect();
        Self {
            longest: by_text.keys().map(String::len).max().unwrap_or(0),
            by_text,
            // As the library has it, ten below the least likely piece.
            unknown: (0, model.min_score - 10.0),
            alpha,
            nbest,
        }
    }

    pub(super) fn segmentations(&self, word: &str) -> Segmentations {
        match self.nbest {
            None => Segmentations::All(self.all(word)),
            Some(n) => Segmentations::Best(self.best(word, n)),
        }
    }

    /// Calls `visit` with the beginning, the end, the token and the score of each piece in a word.
    fn each_in(&self, word: &str, mut visit: impl FnMut(usize, usize, u32, f64)) {
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

    /// Forward filtering: the pieces that end at each byte, with the probability of each.
    fn all(&self, word: &str) -> Vec<Vec<Step>> {
        let mut ending: Vec<Vec<Step>> = Vec::new();
        ending.resize_with(word.len() + 1, Vec::new);
        self.each_in(word, |from, to, token, score| {
            ending[to].push(Step {
                from,
                token,
                up_to: self.alpha * score,
            });
        });
        // Logarithm of the summed weights of all segmentations of the word up to a byte.
        let mut total = vec![0.0; word.len() + 1];
        for to in 1..ending.len() {
            let steps = &mut ending[to];
            steps
                .iter_mut()
                .for_each(|step| step.up_to += total[step.from]);
            let largest = steps.iter().map(|step| step.up_to).fold(f64::MIN, f64::max);
            let mut sum = 0.0;
            for step in steps.iter_mut() {
                sum += (step.up_to - largest).exp();
                step.up_to = sum;
            }
            steps.iter_mut().for_each(|step| step.up_to /= sum);
            total[to] = largest + sum.ln();
        }
        ending
    }

    fn best(&self, word: &str, n: usize) -> Vec<(f64, Vec<u32>)> {
        // The library's two extra numbers stand for the beginning and the end.
        let vocab_size = self.by_text.len();
        let mut lattice = Lattice::from(word, vocab_size + 1, vocab_size + 2);
        self.each_in(word, |from, to, token, score| {
            lattice.insert(from, to - from, score, token as usize);
        });
        let entry = |piece: &String| *self.by_text.get(piece).unwrap_or(&self.unknown);
        let best: Vec<(f64, Vec<u32>)> = lattice
            .nbest_tokens(n)
            .iter()
            .map(|pieces| {
                let score: f64 = pieces.iter().map(|piece| entry(piece).1).sum();
                (score, pieces.iter().map(|piece| entry(piece).0).collect())
            })
            .collect();
        let largest = best.first().map_or(0.0, |(score, _)| *score);
        let mut sum = 0.0;
        let weighted = best.into_iter().map(|(score, tokens)| {
            sum += (self.alpha * (score - largest)).exp();
            (sum, tokens)
        });
        weighted.collect()
    }
}

impl Segmentations {
    /// Appends the tokens of a segmentation to `out`.
    pub(super) fn draw(&self, rng: &mut impl RngCore, out: &mut Vec<u32>) {
        match self {
            Self::All(ending) => {
                let first = out.len();
                let mut at = ending.len() - 1;
                while at > 0 {
                    let steps = &ending[at];
                    let drawn = unit(rng);
                    let found = steps.iter().position(|step| drawn < step.up_to);
                    // Rounding may leave the last a hair below one.
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
                let found = weighted.iter().position(|(up_to, _)| drawn < *up_to);
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
        let pieces = [
            ("?", 0.0),
            ("a", -1.0),
            ("b", -2.0),
            ("ab", -1.5),
            ("bb", -2.5),
        ];
        let pieces = pieces.map(|(piece, score)| (piece.to_owned(), score));
        Unigram::from(pieces.to_vec(), Some(0), false).unwrap()
    }

    /// How often each segmentation of `abb` comes in many draws.
    fn shares(alpha: f64, nbest: Option<usize>) -> BTreeMap<Vec<u32>, f64> {
        const DRAWS: u32 = 40_000;
        let segmentations = Pieces::new(&model(), alpha, nbest).segmentations("abb");
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
            // a b b, a bb, ab b.
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
    fn what_is_unknown_is_one_token_a_character() {
        let mut tokens = Vec::new();
        let mut rng = Stream::new(1, "lattice test").at(0);
        Pieces::new(&model(), 0.5, None)
            .segmentations("aéb")
            .draw(&mut rng, &mut tokens);
        assert_eq!(tokens, [1, 0, 2]);
    }
}
