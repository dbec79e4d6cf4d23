//! Cutting a long text into chunks that can be encoded separately and in parallel.

use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{PreTokenizerWrapper, Tokenizer as Pipeline};

/// Number of chunks that are processed in parallel.
const CHUNKS_PER_BATCH: usize = 64;

/// Whether the chunks of [`cut`] have the same tokens as the whole text, for every text.
///
/// This is true if one of the regular expressions `patterns`, or the one of GPT-2, finds the words. For these
/// expressions, no word continues over a space or a line break after an ASCII letter or digit, and
/// no word continues over a space after a visible character. They also do not look behind. In
/// addition, nothing may change the text before the words are found, and nothing may be added at the
/// start of a text.
pub(super) fn can_be_chunked(pipeline: &Pipeline, patterns: &[&str]) -> bool {
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
    let crosses_words = |token: &tokenizers::AddedToken| {
        token.content.contains([' ', '\n']) || token.lstrip || token.rstrip
    };
    let added = pipeline.get_added_tokens_decoder();
    by_words && pipeline.get_normalizer().is_none() && !added.values().any(crosses_words)
}

/// The first of several steps, if the other steps only rewrite the words that it finds.
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

/// Cuts a text into chunks of 16 KiB or slightly more, at the boundaries of words: before a space
/// that follows a visible ASCII character, or before a line break that follows an ASCII letter or
/// digit.
pub(super) fn cut(text: &str) -> impl Iterator<Item = &str> + Send {
    const MIN_BYTES: usize = 1 << 14;
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
        let end = (MIN_BYTES..bytes.len()).find(|&at| between_words(at));
        let (chunk, left) = rest.split_at(end.unwrap_or(bytes.len()));
        rest = left;
        Some(chunk)
    })
}

/// Groups chunks into batches, each of which is processed in parallel.
pub(super) fn batches<'a>(
    mut chunks: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = Vec<&'a str>> {
    std::iter::from_fn(move || {
        let batch: Vec<_> = chunks.by_ref().take(CHUNKS_PER_BATCH).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_join_to_the_text_and_start_with_white_space() {
        let text = "Some words, and more.\n\n".repeat(5000) + &"é".repeat(40_000);
        let chunks: Vec<_> = cut(&text).collect();
        assert_eq!(chunks.concat(), text);
        assert!(chunks.len() > 5, "{}", chunks.len());
        for chunk in &chunks[1..] {
            assert!(chunk.starts_with([' ', '\n']), "{:?}", &chunk[..10]);
        }
        let names: Vec<_> = cut("anna\n").map(str::len).collect();
        assert_eq!(names, [5]);
        assert!(cut(&"anna\n".repeat(10_000)).count() > 2);
    }
}
