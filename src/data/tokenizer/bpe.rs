//! Byte-level byte-pair encoding.

use super::{pre_tokenizer, vocabulary};
use crate::data::DataError;
use crate::spec::TokenizerKind;
use tokenizers::Tokenizer as Pipeline;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// A pipeline with `vocab_size` tokens, trained on a text.
pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    // Words are found by GPT-2's regular expression. No space is added at the start of a text.
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
    let counts = pre_tokenizer::count_words(&pipeline, text)?;
    let counts = counts.into_iter().map(|(word, n)| (word.into(), n));
    let mut model = BPE::default();
    trainer
        .do_train(&counts.collect(), &mut model)
        .map_err(DataError::tokenizer)?;
    vocabulary::check_size(TokenizerKind::Bpe, vocab_size, model.get_vocab().len())?;
    pipeline.with_model(model);
    Ok(pipeline)
}
