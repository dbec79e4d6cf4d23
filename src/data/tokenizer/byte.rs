//! One token a byte: a byte-level BPE that merges nothing.

use super::super::DataError;
use super::alphabet::characters;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, Tokenizer as Pipeline};

pub(super) fn pipeline() -> Result<Pipeline, DataError> {
    let tokens = characters().into_iter().map(String::from);
    let model = BPE::new(tokens.zip(0..).collect(), Vec::new());
    let mut pipeline = Pipeline::new(model);
    let bytes = ByteLevel::new(false, false, false);
    pipeline.with_pre_tokenizer(Some(bytes));
    pipeline.with_decoder(Some(bytes));
    Ok(pipeline)
}

/// Whether a pipeline is the one of [`pipeline`], which need not be asked for tokens.
pub(super) fn is_pipeline(pipeline: &Pipeline, pieces: &[Vec<u8>]) -> bool {
    let bytes = pieces.len() == 256 && (0..=255).zip(pieces).all(|(byte, piece)| *piece == [byte]);
    let plain =
        pipeline.get_normalizer().is_none() && pipeline.get_added_tokens_decoder().is_empty();
    match (pipeline.get_model(), pipeline.get_pre_tokenizer()) {
        (ModelWrapper::BPE(_), Some(PreTokenizerWrapper::ByteLevel(words))) => {
            bytes && plain && !words.add_prefix_space
        }
        _ => false,
    }
}
