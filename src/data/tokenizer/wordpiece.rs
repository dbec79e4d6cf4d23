//! WordPiece: the longest known piece first, pieces within a word marked with `##`.

use super::super::DataError;
use super::{UNKNOWN, failed, words};
use crate::spec::TokenizerKind;
use std::collections::BTreeSet;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::{AddedToken, Tokenizer as Pipeline};

/// Marks a piece that is not the first of its word.
const CONTINUES: &str = "##";

/// Words with the space before them; numbers and marks likewise; and what white space is left. `#`
/// is always a word of its own, so that no piece can be taken for one marked with [`CONTINUES`].
/// Words are shorter than the 100 characters from which on the model gives up on them.
pub(super) const WORDS: &str =
    r" ?\p{L}{1,64}| ?\p{N}{1,64}|#| ?[^\s\p{L}\p{N}#]{1,64}|\n{1,64}|\s{1,64}";

pub(super) fn train(text: &str, vocab_size: usize) -> Result<Pipeline, DataError> {
    let mut pipeline = Pipeline::new(BPE::default());
    pipeline.with_pre_tokenizer(Some(words::matches_of(WORDS)?));
    let unmark = ReplacePattern::Regex(format!("^{CONTINUES}"));
    let unmark = Replace::new(unmark, "").map_err(failed)?;
    pipeline.with_decoder(Some(Sequence::new(vec![unmark.into(), Fuse::new().into()])));
    let counts = words::count(&pipeline, text)?;

    // The trainer would number the continuations in the order of its map of words, a random one, so
    // they are listed for it.
    let continuations: BTreeSet<char> = counts.keys().flat_map(|w| w.chars().skip(1)).collect();
    let continuations = continuations.iter().map(|c| format!("{CONTINUES}{c}"));
    let listed = [UNKNOWN.to_string()].into_iter().chain(continuations);
    // WordPiece as everybody trains it: by merging the most frequent pair, as BPE does.
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(1)
        .show_progress(false)
        .special_tokens(listed.map(|token| AddedToken::from(token, false)).collect())
        .continuing_subword_prefix(CONTINUES.to_owned())
        .build();
    let mut model = BPE::default();
    model.unk_token = Some(UNKNOWN.to_string());
    let counts = counts.into_iter().map(|(word, n)| (word.into(), n));
    trainer
        .do_train(&counts.collect(), &mut model)
        .map_err(failed)?;
    super::check_size(
        TokenizerKind::Wordpiece,
        vocab_size,
        model.get_vocab().len(),
    )?;
    pipeline.with_model(WordPiece::from_bpe(&model));
    Ok(pipeline)
}
