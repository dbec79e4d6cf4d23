//! `builtin:plays`: a generator of small plays in verse whose entropy is known.
//!
//! A play is a sequence of weighted choices. Each choice writes words, and no alternative starts with
//! the words of another alternative. The text therefore shows every choice, and the sum of -log2 of
//! the probabilities of the choices is the information content of the text. On average, no model
//! can predict the text with fewer bits.
//!
//! The text has regularities of every length: spelling, words with a skewed distribution, metre and
//! agreement within a verse, rhymes across a couplet, answers that repeat the words of a question,
//! stage directions that end with the name they start with, and a cast, places and a title that stay
//! the same through a play.
//!
//! [`play`] runs the grammar in both directions: it draws a play with a [`Writer`] and reads one back
//! with a [`Reader`]. Weights and random numbers are integers, so the text is the same on every
//! platform.

mod choices;
mod grammar;
mod play;
mod slot;

use crate::random::Stream;
pub use choices::NotAPlay;
use choices::{Reader, Writer};
use std::ops::Range;

/// Version of the text. It is raised when the same seed gives another text.
pub const VERSION: u32 = 1;

/// A generated text and its information content.
#[derive(Debug, Clone)]
pub struct Plays {
    pub text: String,
    /// Sum of -log2 of the probability of each choice.
    pub bits: f64,
}

/// Generates whole plays until the text has at least `bytes` bytes.
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
        match play::run(&mut writer) {
            Ok(()) => plays.bits += writer.bits,
            Err(never) => match never {},
        }
    }
    plays
}

/// Entropy of a range of a generated text in bits per byte: a lower bound for every model. It is
/// computed from the text alone.
///
/// A choice is counted if all of its bytes are in the range. A choice that crosses an end of the
/// range is not counted, because the bytes outside may reveal it. The bound may therefore be too low
/// by the bits of one choice at each end, which is a relative error of 1/10,000 for 100 kB. It is
/// never too high.
pub fn floor_bits_per_byte(text: &str, range: Range<usize>) -> Result<f64, NotAPlay> {
    Ok(read_back(text, range.clone())? / range.len() as f64)
}

/// Sum of the bits of the choices inside a range of the text.
fn read_back(text: &str, range: Range<usize>) -> Result<f64, NotAPlay> {
    let mut bits = 0.0;
    let mut start = 0;
    while start < text.len() {
        let mut reader = Reader::new(text, start, range.clone());
        play::run(&mut reader)?;
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

    /// The expected weights are added up by hand from `grammar.txt`.
    #[test]
    fn the_bits_of_a_choice_follow_from_its_weight() {
        let text = generate(1, 1000).text;
        assert!(text.starts_with("The Comedy of the Golden "));
        let bits = |range| read_back(&text, range).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(bits(4..10), (37.0f64 / 8.0).log2());
        // "golden" has rank 1 and the weight 10000 / 9.
        let sum: u32 = (0..grammar::grammar().rule("adjective").heads.len() as u32)
            .map(|rank| 10_000 / (rank + 8))
            .sum();
        close(bits(11..24), (f64::from(sum) / 1111.0).log2());
        // Text without a choice has no bits. A choice that is cut is not counted.
        close(bits(0..10), bits(4..10));
        close(bits(0..9), 0.0);
    }

    #[test]
    fn a_changed_text_cannot_be_read_back() {
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
    fn the_bits_of_two_parts_add_up_to_the_bits_of_the_text() {
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
