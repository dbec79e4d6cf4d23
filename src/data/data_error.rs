use crate::spec::TokenizerKind;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What can go wrong between a source of text and its tokens.
#[derive(Debug, Error)]
pub enum DataError {
    #[error("there is no file {}", path.display())]
    Missing { path: PathBuf },
    #[error(
        "{} is a folder; give a file, or a glob such as {}", path.display(), path.join("*.txt").display()
    )]
    Folder { path: PathBuf },
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("no file matches {pattern}")]
    NoMatch { pattern: String },
    #[error("{pattern} is not a glob: {reason}")]
    BadGlob { pattern: String, reason: String },
    #[error("{what} is not UTF-8: byte {offset} does not belong to a character")]
    NotUtf8 { what: String, offset: usize },
    #[error("{what} is empty")]
    Empty { what: String },
    #[error("{what} has {bytes} bytes, more than the {limit} that data.max_bytes allows")]
    TooLarge {
        what: String,
        bytes: u64,
        limit: u64,
    },
    #[error("{what} has more than the {limit} bytes that data.max_bytes allows")]
    OverLimit { what: String, limit: u64 },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },

    #[error(
        "cannot download {url}: {reason}; without a network, give the path of a file as \
         data.source, or use builtin:plays"
    )]
    Unreachable { url: String, reason: String },
    #[error("cannot download {url}: the server answers {status}")]
    Status { url: String, status: u16 },
    #[error("the download of {url} was cut off after {received} bytes{}: {reason}", of(*.expected))]
    CutOff {
        url: String,
        received: u64,
        expected: Option<u64>,
        reason: String,
    },
    #[error("{url} has sha256 {found}, expected {expected}")]
    Checksum {
        url: String,
        expected: String,
        found: String,
    },
    #[error(
        "there is no folder to keep downloads in: set RUNNER_CACHE, XDG_CACHE_HOME or HOME to one"
    )]
    NoCacheFolder,

    #[error(
        "the text has {bytes} bytes, too few to hold out {val_fraction} of them for validation"
    )]
    TooShortToSplit { bytes: usize, val_fraction: f64 },
    #[error(
        "the training split has {tokens} tokens, and sequences of {length} need at least {}",
        length + 1
    )]
    TooShortForSequence { tokens: u64, length: usize },
    #[error("{} not in the vocabulary: the training split has none", named(texts))]
    UnknownText {
        /// Each once, at least one.
        texts: Vec<String>,
    },
    #[error(
        "the training split has {bytes} bytes, and a tokenizer is trained on at most {limit}; take \
         less text, or a tokenizer that is trained already"
    )]
    TooLongToTrainOn { bytes: usize, limit: usize },
    #[error(
        "the text has a part of {bytes} bytes, and this tokenizer, whose words can be of any length, \
         encodes at most {limit} at once"
    )]
    TooLongToEncodeWhole { bytes: usize, limit: usize },
    #[error(
        "the training split has room for a {kind} vocabulary of {possible} tokens, not of {asked}; \
         set tokenizer.vocab_size to at most {possible}"
    )]
    VocabTooLarge {
        kind: TokenizerKind,
        asked: usize,
        possible: usize,
    },
    #[error(
        "the characters of the training split alone take a {kind} vocabulary of {needed} tokens, more \
         than {asked}; set tokenizer.vocab_size to at least {needed}"
    )]
    VocabTooSmall {
        kind: TokenizerKind,
        asked: usize,
        needed: usize,
    },
    #[error(
        "an n-gram model of order {order} cannot count a vocabulary of {vocab_size} tokens; set \
         model.order to at most {possible}, or use a smaller vocabulary"
    )]
    VocabTooLargeForOrder {
        vocab_size: usize,
        order: usize,
        possible: usize,
    },
    #[error("the tokenizer fails: {reason}")]
    Tokenizer { reason: String },
    #[error("there is no file {}", path.display())]
    MissingTokenizer { path: PathBuf },
    #[error("{} is not a tokenizer that can be used: {reason}", path.display())]
    NotATokenizer { path: PathBuf, reason: String },
    #[error("the encoded corpus {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl DataError {
    /// For `map_err` on reading a file.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` on writing a file.
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

fn of(expected: Option<u64>) -> String {
    expected.map_or(String::new(), |expected| format!(" of {expected}"))
}

/// `"a" is`, `"a", "b" are`, `"a", "b" and 3 more are`
fn named(texts: &[String]) -> String {
    const NAMED: usize = 10;
    let first = texts.iter().take(NAMED);
    let first: Vec<_> = first.map(|text| format!("{text:?}")).collect();
    let first = first.join(", ");
    match texts.len() {
        1 => format!("{first} is"),
        ..=NAMED => format!("{first} are"),
        all => format!("{first} and {} more are", all - NAMED),
    }
}
