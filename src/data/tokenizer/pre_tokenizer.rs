//! The words of a text, as the pre-tokenizer of a pipeline finds them.

use super::chunks;
use crate::data::DataError;
use rayon::prelude::*;
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

/// The number of occurrences of each word in a text. The map is ordered, because the result of some
/// trainers depends on the order of the words.
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
        let counts: Vec<HashMap<String, u64>> = batch
            .into_par_iter()
            .map(|chunk| {
                let mut counts = HashMap::new();
                each_word(pipeline, chunk, |word| {
                    match counts.get_mut(word) {
                        Some(count) => *count += 1,
                        None => drop(counts.insert(word.to_owned(), 1)),
                    };
                })?;
                Ok(counts)
            })
            .collect::<Result<_, DataError>>()?;
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
