//! The words of a text, as the pre-tokenizer of a pipeline finds them.

use super::chunks;
use crate::data::DataError;
use crate::data::parallel_map::parallel_map;
use std::collections::{BTreeMap, HashMap};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer as Pipeline,
};

/// Longest text that a tokenizer is trained on. The trainers count in 32 bits, and a count is at most
/// the length of the text.
const MAX_TRAINING_BYTES: usize = i32::MAX as usize;

/// A pre-tokenizer whose words are the matches of a regular expression and the text between them.
pub(super) fn regex_split(regex: &str) -> Result<Split, DataError> {
    let pattern = SplitPattern::Regex(regex.to_owned());
    Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(DataError::tokenizer)
}

/// Longest word that a trainer receives, in characters of the form that the model receives. A longer
/// word is cut. The time of the trainers grows with the square of this length, and a text without
/// spaces is one word. No published vocabulary has a token that is as long.
const MAX_WORD: usize = 256;

/// The number of occurrences of each word in a text, for a trainer. The map is ordered, because the
/// result of some trainers depends on the order of the words.
pub(super) fn count_words(
    pipeline: &Pipeline,
    text: &str,
) -> Result<BTreeMap<String, u64>, DataError> {
    if text.len() > MAX_TRAINING_BYTES {
        return Err(DataError::TooLongToTrainOn {
            bytes: text.len(),
            limit: MAX_TRAINING_BYTES,
        });
    }
    let mut all = BTreeMap::new();
    for batch in chunks::batches(chunks::cut(text)) {
        let counts: Vec<HashMap<String, u64>> = parallel_map(batch, |chunk| {
            let mut counts = HashMap::new();
            each_word(pipeline, chunk, |word| {
                for part in cut(word) {
                    match counts.get_mut(part) {
                        Some(count) => *count += 1,
                        None => drop(counts.insert(part.to_owned(), 1)),
                    };
                }
            })?;
            Ok(counts)
        })?;
        for (word, count) in counts.into_iter().flatten() {
            *all.entry(word).or_default() += count;
        }
    }
    Ok(all)
}

/// Calls `visit` with each word of a text, in order, in the form in which the model of the pipeline
/// receives it.
pub(super) fn each_word(
    pipeline: &Pipeline,
    text: &str,
    mut visit: impl FnMut(&str),
) -> Result<(), DataError> {
    let mut words = PreTokenizedString::from(text);
    if let Some(pre_tokenizer) = pipeline.get_pre_tokenizer() {
        pre_tokenizer
            .pre_tokenize(&mut words)
            .map_err(DataError::tokenizer)?;
    }
    for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        visit(word);
    }
    Ok(())
}

/// Cuts a word into parts of at most [`MAX_WORD`] characters.
fn cut(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(MAX_WORD).map(|(at, _)| at);
        let (part, left) = rest.split_at(end.unwrap_or(rest.len()));
        rest = left;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_word_have_a_limited_length_and_join_to_it() {
        for length in [0, 1, MAX_WORD - 1, MAX_WORD, MAX_WORD + 1, 10 * MAX_WORD] {
            let word = "é".repeat(length);
            let parts: Vec<_> = cut(&word).collect();
            assert_eq!(parts.concat(), word);
            assert!(parts.iter().all(|part| part.chars().count() <= MAX_WORD));
            assert_eq!(parts.len(), length.div_ceil(MAX_WORD));
        }
    }

    #[test]
    fn a_text_without_spaces_is_counted_in_short_words() {
        let pipeline = super::super::byte::pipeline().unwrap();
        let counts = count_words(&pipeline, &"0123456789".repeat(1000)).unwrap();
        assert!(counts.keys().all(|word| word.len() <= MAX_WORD));
        let characters = counts.iter().map(|(word, n)| word.len() as u64 * n);
        assert_eq!(characters.sum::<u64>(), 10_000);
    }
}
