//! An encoded corpus, mapped into memory, and the windows that an evaluation reads from it.

use super::corpus_cache::{self, Check};
use super::token_file::Width;
use super::{DataError, Tokenizer, Tokens};
use crate::results::CorpusInfo;
use std::ops::Range;
use std::path::Path;

/// An encoded text with its tokenizer.
#[derive(Debug, Clone)]
pub struct Corpus {
    pub info: CorpusInfo,
    pub train: Tokens,
    pub val: Tokens,
    pub tokenizer: Tokenizer,
}

/// A part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Val,
}

/// Opens a corpus that [`super::prepare`] wrote. `key` is [`CorpusInfo::key`].
///
/// The files are not read for their checksums, which [`super::prepare`] compares: their sizes are
/// checked, and the counts that results depend on.
pub fn open(cache_root: &Path, key: &str) -> Result<Corpus, DataError> {
    let dir = cache_root.join(key);
    let info = corpus_cache::check(&dir, Check::Sizes)?;
    let width = Width::of(info.vocab_size);
    let val = Tokens::open(&dir.join(corpus_cache::VAL), width)?;
    let tokenizer = Tokenizer::load(&dir.join(corpus_cache::TOKENIZER))?;
    corpus_cache::check_description(&info, &tokenizer, &val).map_err(|reason| {
        DataError::Damaged {
            path: dir.clone(),
            reason,
        }
    })?;
    Ok(Corpus {
        train: Tokens::open(&dir.join(corpus_cache::TRAIN), width)?,
        val,
        tokenizer,
        info,
    })
}

/// Compares all files of a corpus that [`super::prepare`] wrote with their checksums.
///
/// # Errors
/// What is damaged or missing.
pub fn verify(cache_root: &Path, key: &str) -> Result<(), DataError> {
    corpus_cache::check(&cache_root.join(key), Check::Checksums)?;
    open(cache_root, key).map(drop)
}

/// Checks that the training split has a sequence of `length` tokens with its targets. The
/// validation split may be shorter.
pub fn check_sequence_length(info: &CorpusInfo, length: usize) -> Result<(), DataError> {
    if info.train_tokens <= length as u64 {
        return Err(DataError::TooShortForSequence {
            tokens: info.train_tokens,
            length,
        });
    }
    Ok(())
}

impl Corpus {
    /// The windows of an evaluation: consecutive ranges of `block_size` tokens of a split. The last
    /// window may be shorter. Together they contain every token once that has a predecessor, which
    /// excludes only the first token of the training split.
    ///
    /// # Panics
    /// If `block_size` is 0.
    pub fn eval_windows(
        &self,
        split: Split,
        block_size: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let (first, len) = match split {
            Split::Train => (1, self.train.len()),
            Split::Val => (0, self.val.len()),
        };
        (first..len)
            .step_by(block_size)
            .map(move |start| start..(start + block_size).min(len))
    }

    /// Appends the tokens of a window to `targets`, and the predecessor of each token to `inputs`.
    /// The predecessor of the first validation token is the last training token.
    ///
    /// # Panics
    /// If the window contains the first token of the training split, which has no predecessor.
    pub fn eval_window(
        &self,
        split: Split,
        window: Range<usize>,
        inputs: &mut Vec<usize>,
        targets: &mut Vec<usize>,
    ) {
        if window.is_empty() {
            return;
        }
        let (tokens, before) = match (split, window.start) {
            (Split::Val, 0) => (&self.val, self.train.get(self.train.len() - 1)),
            (Split::Val, start) => (&self.val, self.val.get(start - 1)),
            (Split::Train, start) => (&self.train, self.train.get(start - 1)),
        };
        inputs.push(before);
        tokens.copy_to(window.start..window.end - 1, inputs);
        tokens.copy_to(window, targets);
    }
}
