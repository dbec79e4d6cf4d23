//! One token per byte: a byte-level BPE without merges.

use super::byte_alphabet::characters;
use crate::data::DataError;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, Tokenizer as Pipeline};

/// The pipeline with one token per byte.
pub(super) fn pipeline() -> Result<Pipeline, DataError> {
    let tokens = characters().into_iter().map(String::from);
    let model = BPE::new(tokens.zip(0..).collect(), Vec::new());
    let mut pipeline = Pipeline::new(model);
    let bytes = ByteLevel::new(false, false, false);
    pipeline.with_pre_tokenizer(Some(bytes));
    pipeline.with_decoder(Some(bytes));
    Ok(pipeline)
}

/// Whether a pipeline encodes each byte as one token, as [`pipeline`] does. Its tokens are then known
/// without running it.
pub(super) fn is_byte_pipeline(pipeline: &Pipeline, token_bytes: &[Vec<u8>]) -> bool {
    let bytes = token_bytes.len() == 256
        && (0..=255)
            .zip(token_bytes)
            .all(|(byte, bytes)| *bytes == [byte]);
    let plain =
        pipeline.get_normalizer().is_none() && pipeline.get_added_tokens_decoder().is_empty();
    match (pipeline.get_model(), pipeline.get_pre_tokenizer()) {
        (ModelWrapper::BPE(_), Some(PreTokenizerWrapper::ByteLevel(words))) => {
            bytes && plain && !words.add_prefix_space
        }
        _ => false,
    }
}
