//! The two directions of a play: a [`Writer`] draws each choice and writes its words, a [`Reader`]
//! finds the words and tells which choice they are.

use super::NotAPlay;
use crate::random::below;
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;
use std::ops::Range;

/// What the stage speaks through.
pub(super) trait Voice {
    type Error;

    /// Words that leave no choice.
    fn say(&mut self, words: &str) -> Result<(), Self::Error>;

    /// One of the alternatives, each with its weight and its first words, which are said. No
    /// alternative's words begin with another's.
    fn choose<T: AsRef<str>>(&mut self, alternatives: &[(u32, T)]) -> Result<usize, Self::Error>;
}

/// Draws a play.
pub(super) struct Writer<'a> {
    rng: ChaCha8Rng,
    text: &'a mut String,
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

impl Voice for Writer<'_> {
    type Error = Infallible;

    fn say(&mut self, words: &str) -> Result<(), Infallible> {
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
        self.say(alternatives[chosen].1.as_ref())?;
        Ok(chosen)
    }
}

/// Reads a play back, and counts the bits of the choices that lie in a part of the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Where the next words begin.
    pub(super) at: usize,
    counted: Range<usize>,
    pub(super) bits: f64,
}

impl<'a> Reader<'a> {
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

impl Voice for Reader<'_> {
    type Error = NotAPlay;

    fn say(&mut self, words: &str) -> Result<(), NotAPlay> {
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

fn total<T>(alternatives: &[(u32, T)]) -> u64 {
    alternatives
        .iter()
        .map(|&(weight, _)| u64::from(weight))
        .sum()
}

/// -log2 of the probability of an alternative.
fn bits<T>(alternatives: &[(u32, T)], chosen: usize) -> f64 {
    (total(alternatives) as f64 / f64::from(alternatives[chosen].0)).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn alternatives_are_drawn_as_often_as_their_weights_say() {
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
