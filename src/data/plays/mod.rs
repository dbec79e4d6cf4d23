//! `builtin:plays`: small plays in verse, whose entropy is known.
//!
//! A play is a sequence of weighted choices, and each choice is made by the words that it writes:
//! whatever the alternatives, none begins with another. So the text tells every choice that was
//! made, no choice hides another, and the sum of -log2 of their probabilities is what the text
//! costs under the distribution that it was drawn from. No model can do better on average.
//!
//! The text has something to learn at each range: spelling, words of a skewed vocabulary, metre and
//! agreement within a verse, rhyme across a couplet, an answer in the words of its question, the
//! name that closes a stage direction, and the cast, the place and the title across a whole play.
//!
//! [`stage`] runs the grammar and knows neither direction: with a [`Writer`] it draws a play, with a
//! [`Reader`] it reads one back. Weights are integers and random numbers are drawn as integers, so
//! the text is the same on every platform.

mod choices;
mod grammar;
mod stage;

use crate::random::Stream;
use choices::{Reader, Writer};
use std::ops::Range;
use thiserror::Error;

/// Raised when the same seed begins to give another text.
pub const VERSION: u32 = 1;

/// A text and what it costs under the distribution that it was drawn from.
#[derive(Debug, Clone)]
pub struct Plays {
    pub text: String,
    /// Sum of -log2 of the probability of each choice.
    pub bits: f64,
}

/// Where a text stops being one that [`generate`] could have written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a play from byte {offset} on")]
pub struct NotAPlay {
    pub offset: usize,
}

/// Writes whole plays, until there are at least `bytes` bytes of them.
pub fn generate(seed: u64, bytes: u64) -> Plays {
    let stream = Stream::new(seed, "plays");
    let mut plays = Plays {
        text: String::new(),
        bits: 0.0,
    };
    for number in 0.. {
        if plays.text.len() as u64 >= bytes {
            break;
        }
        let mut writer = Writer::new(stream.at(number), &mut plays.text);
        match stage::play(&mut writer) {
            Ok(()) => plays.bits += writer.bits,
            Err(never) => match never {},
        }
    }
    plays
}

/// Entropy of the source over a part of its text, in bits per byte, read off the text alone.
///
/// A choice counts where its first byte and its last both lie in the range. One that crosses a
/// boundary is partly told by the bytes outside, and not counted at all: the floor may be too low by
/// the bits of one choice at each end (a ten-thousandth over 100 kB), and is never too high.
pub fn floor_bits_per_byte(text: &str, range: Range<usize>) -> Result<f64, NotAPlay> {
    Ok(read_back(text, range.clone())? / range.len() as f64)
}

/// The bits of the choices that lie in a part of the text.
fn read_back(text: &str, range: Range<usize>) -> Result<f64, NotAPlay> {
    let mut bits = 0.0;
    let mut start = 0;
    while start < text.len() {
        let mut reader = Reader::new(text, start, range.clone());
        stage::play(&mut reader)?;
        bits += reader.bits;
        start = reader.at;
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_text_of_a_seed_never_changes() {
        let text = generate(1, 100_000).text;
        insta::assert_snapshot!(&text[..2000]);
        assert_eq!(
            crate::hash::sha256(text.as_bytes()),
            "7d2462e96fc07309f78f3a4a9af9eaaeb3e72027cc26357884a415c5f15813f9"
        );
    }

    #[test]
    fn every_choice_is_read_back_from_the_text() {
        for seed in 0..20 {
            let plays = generate(seed, 50_000);
            let read = read_back(&plays.text, 0..plays.text.len()).unwrap();
            assert!(
                (read - plays.bits).abs() <= 1e-9 * plays.bits,
                "seed {seed}: wrote {} bits, read {read}",
                plays.bits
            );
        }
    }

    /// Weights as `grammar.txt` has them, added up by hand.
    #[test]
    fn a_choice_costs_its_share_of_the_weights() {
        let text = generate(1, 1000).text;
        assert!(text.starts_with("The Comedy of the Golden "));
        let bits = |range| read_back(&text, range).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(bits(4..10), (37.0f64 / 8.0).log2());
        // "golden" ranks second: 10000 / 9 of the sum of 10000 / (rank + 8).
        let sum: u32 = (0..grammar::grammar().rule("adjective").heads.len() as u32)
            .map(|rank| 10_000 / (rank + 8))
            .sum();
        close(bits(11..24), (f64::from(sum) / 1111.0).log2());
        // Words that leave no choice cost nothing, nor does a choice that is cut.
        close(bits(0..10), bits(4..10));
        close(bits(0..9), 0.0);
    }

    #[test]
    fn a_changed_text_is_no_play_or_costs_something_else() {
        let plays = generate(3, 20_000);
        let at = plays.text.find("Persons").unwrap();
        let changed = plays.text.replacen("Persons", "Parsons", 1);
        assert_eq!(
            read_back(&changed, 0..changed.len()),
            Err(NotAPlay { offset: at })
        );
        let cut = &plays.text[..plays.text.len() - 1];
        assert!(read_back(cut, 0..cut.len()).is_err());
    }

    #[test]
    fn parts_of_a_text_add_up_to_the_whole() {
        let Plays { text, bits } = generate(7, 30_000);
        for cut in [1, 1000, 12_345, text.len() - 1] {
            let parts =
                read_back(&text, 0..cut).unwrap() + read_back(&text, cut..text.len()).unwrap();
            assert!(parts <= bits + 1e-6, "cut at {cut}: {parts} > {bits}");
            assert!(parts > bits - 16.0, "cut at {cut}: {parts} << {bits}");
        }
    }

    #[test]
    fn plays_are_plain_ascii_with_a_small_alphabet() {
        let Plays { text, bits } = generate(1, 1_000_000);
        let alphabet: BTreeSet<char> = text.chars().collect();
        assert!(text.is_ascii());
        assert!(
            (55..=75).contains(&alphabet.len()),
            "{}: {alphabet:?}",
            alphabet.len()
        );
        let floor = bits / text.len() as f64;
        assert!((0.5..0.6).contains(&floor), "{floor}");
    }
}
