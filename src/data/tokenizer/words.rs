//! The words that a pipeline cuts a text into, and pieces of a text that end between two words.

use super::super::DataError;
use super::failed;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    Tokenizer as Pipeline,
};

/// Pieces of a text that are worked on at a time, in parallel.
const AT_A_TIME: usize = 64;

/// Trainers count in 32 bits, so that a longer text could overflow a count.
const MAX_TRAINING_BYTES: usize = i32::MAX as usize;

/// A pre-tokenizer whose words are the matches of a regular expression, and what is between them.
pub(super) fn matches_of(regex: &str) -> Result<Split, DataError> {
    let pattern = SplitPattern::Regex(regex.to_owned());
    Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(failed)
}

/// How often each word of a text comes. Ordered, for trainers that depend on the order of words.
pub(super) fn count(pipeline: &Pipeline, text: &str) -> Result<BTreeMap<String, u64>, DataError> {
    if text.len() > MAX_TRAINING_BYTES {
        return Err(DataError::TooLongToTrainOn {
            bytes: text.len(),
            limit: MAX_TRAINING_BYTES,
        });
    }
    let mut all = BTreeMap::new();
    for pieces in batches(cut(text)) {
        let counts: Vec<HashMap<String, u64>> = pieces
            .into_par_iter()
            .map(|piece| {
                let mut counts = HashMap::new();
                each(pipeline, piece, |word| {
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

/// Calls `visit` with each word of a text, in order, as the model of the pipeline gets to see it.
pub(super) fn each(
    pipeline: &Pipeline,
    text: &str,
    mut visit: impl FnMut(&str),
) -> Result<(), DataError> {
    let mut words = PreTokenizedString::from(text);
    if let Some(pre_tokenizer) = pipeline.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut words).map_err(failed)?;
    }
    for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        visit(word);
    }
    Ok(())
}

/// Whether the pieces of [`cut`] have the tokens of the whole, whatever the text.
///
/// So it is where words are found by one of `patterns` or by GPT-2's expression: none of them takes
/// a space or a line end into a word with an ASCII letter or digit before it, nor a space with a
/// visible character before it, and none looks back. Nothing may come before the words, and nothing
/// be added to the beginning of a text.
pub(super) fn may_be_cut(pipeline: &Pipeline, patterns: &[&str]) -> bool {
    let first = match pipeline.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::Sequence(steps)) => first_step(steps),
        step => step,
    };
    let by_words = match first {
        Some(PreTokenizerWrapper::ByteLevel(bytes)) => bytes.use_regex && !bytes.add_prefix_space,
        Some(PreTokenizerWrapper::Split(split)) => {
            let known = |regex: &String| patterns.contains(&regex.as_str());
            let plain = split.behavior == SplitDelimiterBehavior::Isolated && !split.invert;
            plain && matches!(&split.pattern, SplitPattern::Regex(regex) if known(regex))
        }
        _ => false,
    };
    let spaced = |token: &tokenizers::AddedToken| {
        token.content.contains([' ', '\n']) || token.lstrip || token.rstrip
    };
    let added = pipeline.get_added_tokens_decoder();
    by_words && pipeline.get_normalizer().is_none() && !added.values().any(spaced)
}

/// The first of some steps, where what follows it adds nothing to the words.
fn first_step(steps: &Sequence) -> Option<&PreTokenizerWrapper> {
    use tokenizers::pre_tokenizers::metaspace::PrependScheme;
    let (first, rest) = steps.as_ref().split_first()?;
    let adds_nothing = |step: &PreTokenizerWrapper| match step {
        PreTokenizerWrapper::ByteLevel(bytes) => !bytes.add_prefix_space,
        PreTokenizerWrapper::Metaspace(space) => space.prepend_scheme == PrependScheme::Never,
        _ => false,
    };
    rest.iter().all(adds_nothing).then_some(first)
}

/// Cuts a text into pieces of 16 kB or a little more, none of them in the middle of a word: before a
/// space that follows a visible character of ASCII, or before a line end that follows an ASCII
/// letter or digit.
pub(super) fn cut(text: &str) -> impl Iterator<Item = &str> + Send {
    const PIECE: usize = 1 << 14;
    let mut rest = text;
    std::iter::from_fn(move || {
        let bytes = rest.as_bytes();
        if bytes.is_empty() {
            return None;
        }
        let between_words = |at: usize| match bytes[at] {
            b' ' => bytes[at - 1].is_ascii_graphic(),
            b'\n' => bytes[at - 1].is_ascii_alphanumeric(),
            _ => false,
        };
        let end = (PIECE..bytes.len()).find(|&at| between_words(at));
        let (piece, left) = rest.split_at(end.unwrap_or(bytes.len()));
        rest = left;
        Some(piece)
    })
}

/// Some pieces at a time.
pub(super) fn batches<'a>(
    mut pieces: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = Vec<&'a str>> {
    std::iter::from_fn(move || {
        let batch: Vec<_> = pieces.by_ref().take(AT_A_TIME).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_text_and_begin_with_white_space() {
        let text = "Some words, and more.\n\n".repeat(5000) + &"é".repeat(40_000);
        let pieces: Vec<_> = cut(&text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 5, "{}", pieces.len());
        for piece in &pieces[1..] {
            assert!(piece.starts_with([' ', '\n']), "{:?}", &piece[..10]);
        }
        let names: Vec<_> = cut("anna\n").map(str::len).collect();
        assert_eq!(names, [5]);
        assert!(cut(&"anna\n".repeat(10_000)).count() > 2);
    }
}
