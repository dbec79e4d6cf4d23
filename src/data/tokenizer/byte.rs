//! One token a byte: a byte-level BPE that merges nothing.

use super::super::DataError;
use super::alphabet::characters;
use tokenizers::Tokenizer as Pipeline;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

pub(super) fn pipeline() -> Result<Pipeline, DataError> {
    let tokens = characters().into_iter().map(String::from);
    let model = BPE::new(tokens.zip(0..).collect(), Vec::new());
    let mut pipeline = Pipeline::new(model);
    let bytes = ByteLevel::new(false, false, false);
    pipeline.with_pre_tokenizer(Some(bytes));
    pipeline.with_decoder(Some(bytes));
    Ok(pipeline)
}
