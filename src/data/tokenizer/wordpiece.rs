//! WordPiece: the longest matching token first. Tokens inside a word are marked with `##`.

use super::pre_tokenizer;
use super::vocabulary::{self, UNKNOWN};
use crate::data::DataError;
use crate::spec::TokenizerKind;
use std::collections::BTreeSet;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::{AddedToken, Tokenizer as Pipeline};

/// Marks a token that is not the first of its word.
const CONTINUATION: &str = "##";

/// A regular expression for words, numbers and punctuation, each with the space before it, and for
/// the remaining white space. `#` is always a word of its own, so that no text can be mistaken for
/// the mark [`CONTINUATION`]. The words are shorter than 100 characters, the length from which the
/// model encodes a word as unknown.
pub(super) const WORDS: &str =
    r" ?\p{L}{1,64}| ?\p{N}{1,64}|#| ?[^\s\p{L}\p{N}#]{1,64}|\n{1,64}|\s{1,64}";

/// A pipeline with `vocab_size` tokens, trained on a text.
pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    let mut pipeline = Pipeline::new(BPE::default());
    pipeline.with_pre_tokenizer(Some(pre_tokenizer::regex_split(WORDS)?));
    let unmark = ReplacePattern::Regex(format!("^{CONTINUATION}"));
    let unmark = Replace::new(unmark, "").map_err(DataError::tokenizer)?;
    pipeline.with_decoder(Some(Sequence::new(vec![unmark.into(), Fuse::new().into()])));
    let counts = pre_tokenizer::count_words(&pipeline, text)?;

    // The trainer would number the characters inside words in the random order of a hash map.
    // Special tokens are numbered in the given order, so the characters are passed as such.
    let continuations: BTreeSet<char> = counts.keys().flat_map(|w| w.chars().skip(1)).collect();
    let continuations = continuations.iter().map(|c| format!("{CONTINUATION}{c}"));
    let ordered_tokens = [UNKNOWN.to_string()].into_iter().chain(continuations);
    // WordPiece vocabularies are commonly trained by merging the most frequent pair, as BPE does.
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(1)
        .show_progress(false)
        .special_tokens(
            ordered_tokens
                .map(|token| AddedToken::from(token, false))
                .collect(),
        )
        .continuing_subword_prefix(CONTINUATION.to_owned())
        .build();
    let mut model = BPE::default();
    model.unk_token = Some(UNKNOWN.to_string());
    let counts = counts.into_iter().map(|(word, n)| (word.into(), n));
    trainer
        .do_train(&counts.collect(), &mut model)
        .map_err(DataError::tokenizer)?;
    vocabulary::check_size(
        TokenizerKind::Wordpiece,
        vocab_size,
        model.get_vocab().len(),
    )?;
    pipeline.with_model(WordPiece::from_bpe(&model));
    Ok(pipeline)
}
