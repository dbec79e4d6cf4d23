//! Byte-level byte-pair encoding.

use super::super::DataError;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{PreTokenizerWrapper, Tokenizer as Pipeline};

/// The trainer counts pairs in `i32`, so that a longer text could overflow a count.
const MAX_TRAINING_BYTES: usize = i32::MAX as usize;

/// The words of GPT-2's expression, as bytes, with nothing added.
fn words() -> ByteLevel {
    ByteLevel::new(false, false, true)
}

pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    if text.len() > MAX_TRAINING_BYTES {
        return Err(DataError::TooLongForBpe {
            bytes: text.len(),
            limit: MAX_TRAINING_BYTES,
        });
    }
    let mut pipeline = Pipeline::new(BPE::default());
    pipeline.with_pre_tokenizer(Some(words()));
    pipeline.with_decoder(Some(words()));
    let mut trainer = TrainerWrapper::from(
        BpeTrainer::builder()
            .vocab_size(vocab_size)
            .min_frequency(1)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    pipeline
        .train(&mut trainer, cut(text))
        .map_err(|error| DataError::Tokenizer {
            reason: error.to_string(),
        })?;
    let possible = pipeline.get_vocab_size(true);
    if possible < vocab_size {
        return Err(DataError::VocabTooLarge {
            asked: vocab_size,
            possible,
        });
    }
    Ok(pipeline)
}

/// Refuses a pipeline that [`encode`] could cut in the middle of a word, or that changes the text.
pub(super) fn check_pipeline(pipeline: &Pipeline) -> Result<(), String> {
    let plain = pipeline.get_normalizer().is_none() && pipeline.get_post_processor().is_none();
    match pipeline.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::ByteLevel(bytes)) if plain && !bytes.add_prefix_space => Ok(()),
        _ => Err("it is not a plain byte-level BPE".to_owned()),
    }
}

/// Hands the tokens of a text to `sink`, in order, those of a few pieces at a time.
pub(super) fn encode(
    pipeline: &Pipeline,
    text: &str,
    sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    const AT_A_TIME: usize = 64;
    let mut pieces = cut(text);
    loop {
        let batch: Vec<_> = pieces.by_ref().take(AT_A_TIME).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let encodings =
            pipeline
                .encode_batch_fast(batch, false)
                .map_err(|error| DataError::Tokenizer {
                    reason: error.to_string(),
                })?;
        for encoding in encodings {
            sink(encoding.get_ids())?;
        }
    }
}

/// Cuts a text into pieces of 16 kB or a little more, none of them in the middle of a word: before a
/// space or a line end that follows a visible character of ASCII. The expression never takes one into
/// a word with something before it that is no white space, and never looks back, so the pieces
/// have the tokens of the whole.
fn cut(text: &str) -> impl Iterator<Item = &str> + Send {
    const PIECE: usize = 1 << 14;
    let mut rest = text;
    std::iter::from_fn(move || {
        let bytes = rest.as_bytes();
        if bytes.is_empty() {
            return None;
        }
        let end = (PIECE..bytes.len())
            .find(|&at| matches!(bytes[at], b'\n' | b' ') && bytes[at - 1].is_ascii_graphic())
            .unwrap_or(bytes.len());
        let (piece, left) = rest.split_at(end);
        rest = left;
        Some(piece)
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
    }
}
