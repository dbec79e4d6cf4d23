//! The unigram language model tokenizer of SentencePiece.

use super::pre_tokenizer;
use super::vocabulary::UNKNOWN;
use crate::data::DataError;
use crate::spec::TokenizerKind;
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as Pipeline};

/// A regular expression for words with the space before them, for runs of spaces, and for runs of
/// line breaks. The length of a word is limited to [`LONGEST_WORD`], because the size of a segmentation lattice grows
/// with the square of the length.
pub(super) const WORDS: &str = r" ?[^ \n]{1,64}| {1,16}|\n{1,16}";

/// Step between the scores that the trainer gives to characters that are in none of the kept
/// tokens.
const SCORE_STEP: f64 = 0.0001;

/// A pipeline with `vocab_size` tokens, trained on a text.
pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    let mut pipeline = Pipeline::new(Unigram::default());
    // Spaces become `▁`. No space is added at the start of a text, so decoding returns the text.
    let spaces = Metaspace::new('▁', PrependScheme::Never, false);
    pipeline.with_pre_tokenizer(Some(Sequence::new(vec![
        pre_tokenizer::regex_split(WORDS)?.into(),
        spaces.clone().into(),
    ])));
    pipeline.with_decoder(Some(spaces));

    let words = TrainingWords::new(pre_tokenizer::count_words(&pipeline, text)?);
    let model = words.train(vocab_size)?;
    let size = model.iter().count();
    if size != vocab_size {
        return Err(words.wrong_size(vocab_size, size));
    }
    pipeline.with_model(with_fixed_order(&model)?);
    Ok(pipeline)
}

/// The words that the trainer receives, with their numbers of occurrences.
struct TrainingWords {
    counts: Vec<(String, u32)>,
    /// All characters of the text.
    characters: BTreeSet<char>,
}

impl TrainingWords {
    fn new(mut counts: BTreeMap<String, u64>) -> Self {
        // U+FFFD is in the vocabulary already, as the unknown token.
        counts.retain(|word, _| !word.contains(UNKNOWN));
        let characters = counts.keys().flat_map(|word| word.chars()).collect();
        // The counts fit into 32 bits: `count_words` limits the length of the text.
        let counts = counts.into_iter().map(|(word, n)| (word, n as u32));
        Self {
            counts: sample_longest(counts.collect()),
            characters,
        }
    }

    /// A model with `vocab_size` tokens, or of another size if no such model can be trained.
    fn train(&self, vocab_size: usize) -> Result<Unigram, DataError> {
        // The unknown token and one token of several characters: with less room, the trainer would
        // never end. A text without such a token gives a smaller model.
        let vocab_size = vocab_size.max(self.characters.len() + 2);
        let unknown = UNKNOWN.to_string();
        let trainer = UnigramTrainer::builder()
            .vocab_size(vocab_size as u32)
            .special_tokens(vec![AddedToken::from(unknown.clone(), false)])
            .unk_token(Some(unknown))
            .initial_alphabet(self.characters.iter().copied().collect())
            .show_progress(false)
            .build()
            .map_err(DataError::tokenizer)?;
        // With several threads, the trainer would add floating-point numbers in the order in which they
        // finish.
        let one_thread = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(DataError::tokenizer)?;
        let mut model = Unigram::default();
        one_thread
            .install(|| trainer.do_train(self.counts.clone(), &mut model))
            .map_err(DataError::tokenizer)?;
        Ok(model)
    }

    /// The error for a model that has `found` tokens and not `asked`. It names a size that is possible.
    fn wrong_size(&self, asked: usize, found: usize) -> DataError {
        let kind = TokenizerKind::Unigram;
        if found > asked {
            return DataError::VocabTooSmall {
                kind,
                asked,
                needed: found,
            };
        }
        // The trainer removes tokens until it is below the size that it was asked for, so with a smaller
        // size it may end with fewer tokens again.
        let mut possible = found;
        while let Ok(model) = self.train(possible) {
            let found = model.iter().count();
            if found == possible {
                break;
            }
            possible = found;
        }
        DataError::VocabTooLarge {
            kind,
            asked,
            possible,
        }
    }
}

/// Length of the longest words of [`WORDS`] without spaces, in characters.
const LONGEST_WORD: usize = 64;

/// Number of different words of [`LONGEST_WORD`] characters that the trainer receives. The time of the
/// trainer grows with the length of all different words. A text with spaces repeats most of its words,
/// and a text without spaces, which is cut into words of this length, repeats none.
const MAX_LONGEST_WORDS: usize = 2000;

/// Keeps all words but the longest, and of these an evenly spaced sample.
fn sample_longest(mut words: Vec<(String, u32)>) -> Vec<(String, u32)> {
    let is_longest = |word: &str| word.chars().nth(LONGEST_WORD - 1).is_some();
    let longest = words.iter().filter(|(word, _)| is_longest(word)).count();
    let step = longest.div_ceil(MAX_LONGEST_WORDS).max(1);
    let mut position = 0_usize;
    words.retain(|(word, _)| {
        if !is_longest(word) {
            return true;
        }
        position += 1;
        position.is_multiple_of(step)
    });
    words
}

/// Makes the model independent of the order of the trainer's hash maps. The trainer gives a score to
/// each character without one, in steps of [`SCORE_STEP`] and in the random order of a map. This
/// function gives the same scores to the same characters in the order of the code points, and
/// orders tokens of equal score by their text.
fn with_fixed_order(model: &Unigram) -> Result<Unigram, DataError> {
    let mut tokens: Vec<(String, f64)> = model.iter().cloned().collect();
    let unknown = tokens.remove(0);
    let lowest = tokens.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    // The positions of the characters with such a score: the trainer's sequence of scores is followed
    // until no character has the next score.
    let mut given = Vec::new();
    let mut penalty = 0.0;
    loop {
        let score = lowest + penalty;
        let one_character =
            |(token, its): &(String, f64)| *its == score && token.chars().nth(1).is_none();
        let before = given.len();
        given.extend((0..tokens.len()).filter(|&i| one_character(&tokens[i])));
        if given.len() == before {
            break;
        }
        penalty += SCORE_STEP;
    }
    let mut characters: Vec<String> = given.iter().map(|&i| tokens[i].0.clone()).collect();
    characters.sort_unstable();
    for (&i, character) in given.iter().zip(characters) {
        tokens[i].0 = character;
    }
    tokens.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
    tokens.insert(0, unknown);
    Unigram::from(tokens, Some(0), false).map_err(DataError::tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_the_longest_words_are_kept_and_all_others() {
        let word = |length: usize, number: usize| (format!("{number:0length$}"), 1);
        let longest = (0..10_000).map(|number| word(LONGEST_WORD, number));
        let others = (0..10_000).map(|number| word(LONGEST_WORD - 1, number));
        let kept = sample_longest(longest.clone().chain(others.clone()).collect());
        assert_eq!(kept.len(), 10_000 + MAX_LONGEST_WORDS);
        let short = |(word, _): &&(String, u32)| word.len() < LONGEST_WORD;
        assert!(kept.iter().filter(short).cloned().eq(others));
        let few: Vec<_> = longest.take(MAX_LONGEST_WORDS).collect();
        assert_eq!(sample_longest(few.clone()), few);
    }

    #[test]
    fn the_words_of_a_text_without_spaces_are_short_and_few() {
        let mut pipeline = Pipeline::new(Unigram::default());
        pipeline.with_pre_tokenizer(Some(pre_tokenizer::regex_split(WORDS).unwrap()));
        let digits: String = (0..300_000).map(|number| number.to_string()).collect();
        let words = TrainingWords::new(pre_tokenizer::count_words(&pipeline, &digits).unwrap());
        let length: usize = words.counts.iter().map(|(word, _)| word.len()).sum();
        assert!(length <= (MAX_LONGEST_WORDS + 1) * LONGEST_WORD, "{length}");
    }
}
