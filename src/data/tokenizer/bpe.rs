//! Byte-level byte-pair encoding.

use super::super::DataError;
use super::{failed, words};
use crate::spec::TokenizerKind;
use tokenizers::Tokenizer as Pipeline;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    // The words of GPT-2's expression, as bytes, with nothing added.
    let words = ByteLevel::new(false, false, true);
    let mut pipeline = Pipeline::new(BPE::default());
    pipeline.with_pre_tokenizer(Some(words));
    pipeline.with_decoder(Some(words));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(1)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let counts = words::count(&pipeline, text)?;
    let counts = counts.into_iter().map(|(word, n)| (word.into(), n));
    let mut model = BPE::default();
    trainer
        .do_train(&counts.collect(), &mut model)
        .map_err(failed)?;
    super::check_size(TokenizerKind::Bpe, vocab_size, model.get_vocab().len())?;
    pipeline.with_model(model);
    Ok(pipeline)
}
