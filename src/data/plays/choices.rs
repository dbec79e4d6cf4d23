//! Making choices in two directions: a [`Writer`] draws each choice and writes its words, and a
//! [`Reader`] recognizes each choice by its words.

use crate::random::below;
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;
use std::ops::Range;
use thiserror::Error;

/// The position from which a text is not one that [`super::generate`] could have written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the text is not a generated play from byte {offset} on")]
pub struct NotAPlay {
    pub offset: usize,
}

/// Makes the choices of a play, and passes on its text.
pub(super) trait Choices {
    type Error;

    /// Passes on text without a choice.
    fn write(&mut self, words: &str) -> Result<(), Self::Error>;

    /// Chooses one of the alternatives, each with its weight and its first words, and passes on these
    /// words. No alternative may start with the words of another one. Returns the index of the
    /// choice.
    fn choose<T: AsRef<str>>(&mut self, alternatives: &[(u32, T)]) -> Result<usize, Self::Error>;
}

/// Draws the choices of a play at random and writes its text.
pub(super) struct Writer<'a> {
    rng: ChaCha8Rng,
    text: &'a mut String,
    /// Sum of -log2 of the probability of each choice.
    pub(super) bits: f64,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `text`.
    pub(super) fn new(rng: ChaCha8Rng, text: &'a mut String) -> Self {
        Self {
            rng,
            text,
            bits: 0.0,
        }
    }
}

impl Choices for Writer<'_> {
    type Error = Infallible;

    fn write(&mut self, words: &str) -> Result<(), Infallible> {
        self.text.push_str(words);
        Ok(())
    }

    fn choose<T: AsRef<str>>(&mut self, alternatives: &[(u32, T)]) -> Result<usize, Infallible> {
        let mut left = below(&mut self.rng, total(alternatives));
        let mut chosen = 0;
        while left >= u64::from(alternatives[chosen].0) {
            left -= u64::from(alternatives[chosen].0);
            chosen += 1;
        }
        self.bits += bits(alternatives, chosen);
        self.write(alternatives[chosen].1.as_ref())?;
        Ok(chosen)
    }
}

/// Reads a play back, and adds up the bits of the choices in a range of the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Position of the next words.
    pub(super) at: usize,
    /// The range in which choices are counted.
    counted: Range<usize>,
    /// Sum of -log2 of the probability of each choice.
    pub(super) bits: f64,
}

impl<'a> Reader<'a> {
    /// A reader that starts at the position `at`, and counts the choices inside the range `counted`.
    pub(super) fn new(text: &'a str, at: usize, counted: Range<usize>) -> Self {
        Self {
            text,
            at,
            counted,
            bits: 0.0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
}

impl Choices for Reader<'_> {
    type Error = NotAPlay;

    fn write(&mut self, words: &str) -> Result<(), NotAPlay> {
        if !self.rest().starts_with(words) {
            return Err(NotAPlay { offset: self.at });
        }
        self.at += words.len();
        Ok(())
    }

    fn choose<T: AsRef<str>>(&mut self, alternatives: &[(u32, T)]) -> Result<usize, NotAPlay> {
        let rest = self.rest();
        let chosen = alternatives
            .iter()
            .position(|(_, words)| rest.starts_with(words.as_ref()))
            .ok_or(NotAPlay { offset: self.at })?;
        let end = self.at + alternatives[chosen].1.as_ref().len();
        if self.at >= self.counted.start && end <= self.counted.end {
            self.bits += bits(alternatives, chosen);
        }
        self.at = end;
        Ok(chosen)
    }
}

/// Sum of the weights.
fn total<T>(alternatives: &[(u32, T)]) -> u64 {
    alternatives
        .iter()
        .map(|&(weight, _)| u64::from(weight))
        .sum()
}

/// -log2 of the probability of an alternative.
fn bits<T>(alternatives: &[(u32, T)], chosen: usize) -> f64 {
    libm::log2(total(alternatives) as f64 / f64::from(alternatives[chosen].0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn alternatives_are_drawn_in_proportion_to_their_weights() {
        let alternatives = [(1, "one "), (2, "two "), (5, "five ")];
        let mut text = String::new();
        let mut writer = Writer::new(Stream::new(1, "voice").at(0), &mut text);
        let mut counts = [0u32; 3];
        for _ in 0..8000 {
            let Ok(chosen) = writer.choose(&alternatives);
            counts[chosen] += 1;
        }
        let bits = writer.bits;
        for (count, (weight, words)) in counts.into_iter().zip(alternatives) {
            assert!(count.abs_diff(weight * 1000) < 150, "{counts:?}");
            assert_eq!(text.matches(words).count(), count as usize);
        }
        let expected: f64 = counts
            .into_iter()
            .zip(alternatives)
            .map(|(count, (weight, _))| f64::from(count) * (8.0 / f64::from(weight)).log2())
            .sum();
        assert!((bits - expected).abs() < 1e-6, "{bits} {expected}");
    }
}
