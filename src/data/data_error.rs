use crate::spec::TokenizerKind;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a text could not be read, downloaded or encoded.
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
    #[error("{pattern} is not a valid glob: {reason}")]
    BadGlob { pattern: String, reason: String },
    #[error("{name} is not valid {format}: {reason}")]
    InvalidFormat {
        name: String,
        format: &'static str,
        reason: String,
    },
    #[error("{name} is empty")]
    Empty { name: String },
    #[error("{name} has {bytes} bytes; data.max_bytes allows at most {limit}")]
    TooLarge {
        name: String,
        bytes: u64,
        limit: u64,
    },
    #[error("{name} has more than {limit} bytes, the limit that data.max_bytes sets")]
    OverLimit { name: String, limit: u64 },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot start threads: {0}")]
    Threads(io::Error),

    #[error(
        "cannot download {url}: {reason}; without a network, set data.source to the path of a file \
         or to builtin:plays"
    )]
    Unreachable { url: String, reason: String },
    #[error("cannot download {url}: the server answered with status {status}")]
    Status { url: String, status: u16 },
    #[error(
        "the download of {url} was interrupted after {received}{} bytes: {reason}",
        of(*.expected)
    )]
    Interrupted {
        url: String,
        received: u64,
        expected: Option<u64>,
        reason: String,
    },
    #[error("{url} has the SHA-256 checksum {found}, expected {expected}")]
    Checksum {
        url: String,
        expected: String,
        found: String,
    },
    /// A file that was downloaded before is damaged, and cannot be downloaded again.
    #[error(
        "the downloaded file {} is damaged: its contents do not have the checksum in its name; {cause}",
        path.display()
    )]
    DamagedDownload {
        path: PathBuf,
        cause: Box<DataError>,
    },
    #[error(
        "there is no folder for downloads; set one of the environment variables RUNNER_CACHE, \
         XDG_CACHE_HOME and HOME"
    )]
    NoCacheFolder,

    #[error(
        "the text has {bytes} bytes, which is too short to hold out a fraction of {val_fraction} \
         for validation{}",
        for_the_test(*test_fraction)
    )]
    TooShortToSplit {
        bytes: usize,
        val_fraction: f64,
        test_fraction: f64,
    },
    #[error(
        "the training split has {tokens} tokens; sequences of {length} tokens need at least {}",
        length + 1
    )]
    TooShortForSequence { tokens: u64, length: usize },
    #[error("{} not in the vocabulary of the tokenizer", quoted(texts))]
    UnknownText {
        /// Different texts, at least one.
        texts: Vec<String>,
    },
    #[error(
        "the training split has {bytes} bytes, and a tokenizer can be trained on at most {limit}; \
         use less text, or a tokenizer that is already trained"
    )]
    TooLongToTrainOn { bytes: usize, limit: usize },
    #[error(
        "a split has {bytes} bytes, and this tokenizer can encode at most {limit}: its words may \
         have any length, so the text cannot be encoded in chunks"
    )]
    TooLongToEncodeWhole { bytes: usize, limit: usize },
    #[error(
        "the normalizer of this tokenizer makes {bytes} bytes of a split, and it can encode at most {limit}"
    )]
    TooLongWhenNormalized { bytes: usize, limit: usize },
    #[error(
        "a {kind} vocabulary of {asked} tokens is too large for the training split, which allows at \
         most {possible}; set tokenizer.vocab_size to at most {possible}"
    )]
    VocabTooLarge {
        kind: TokenizerKind,
        asked: usize,
        possible: usize,
    },
    #[error(
        "a {kind} vocabulary of {asked} tokens is too small for the characters of the training \
         split, which need {needed}; set tokenizer.vocab_size to at least {needed}"
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
    #[error("the tokenizer failed: {reason}")]
    Tokenizer { reason: String },
    #[error("there is no file {}", path.display())]
    MissingTokenizer { path: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    ReadTokenizer { path: PathBuf, source: io::Error },
    #[error("{} is not a valid tokenizer: {reason}", path.display())]
    NotATokenizer { path: PathBuf, reason: String },
    #[error("the encoded corpus {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

impl DataError {
    /// Whether the machine failed, such as by a full disk. Then nothing is wrong with the experiment, and
    /// the same command may succeed later.
    pub fn is_machine_failure(&self) -> bool {
        match self {
            Self::Write { .. } | Self::Threads(_) => true,
            Self::DamagedDownload { cause, .. } => cause.is_machine_failure(),
            Self::Read { source, .. } | Self::ReadTokenizer { source, .. } => {
                let errno = source.raw_os_error().map(Errno::from_raw);
                matches!(
                    errno,
                    Some(
                        Errno::EIO
                            | Errno::EMFILE
                            | Errno::ENFILE
                            | Errno::ENOMEM
                            | Errno::ESTALE
                            | Errno::ETIMEDOUT
                    )
                )
            }
            _ => false,
        }
    }

    /// For `map_err` after reading a file.
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` after writing a file.
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    /// For `map_err` after a call into the `tokenizers` library.
    pub(super) fn tokenizer(error: impl ToString) -> Self {
        Self::Tokenizer {
            reason: error.to_string(),
        }
    }
}

/// ` of 100` for a known number.
fn of(expected: Option<u64>) -> String {
    expected.map_or(String::new(), |expected| format!(" of {expected}"))
}

/// The end of a sentence about held-out parts.
fn for_the_test(fraction: f64) -> String {
    match fraction {
        0.0 => String::new(),
        fraction => format!(", and one of {fraction} for the test"),
    }
}

/// `"a" is`, `"a", "b" are`, or `"a", "b" and 3 more are`.
fn quoted(texts: &[String]) -> String {
    const SHOWN: usize = 10;
    let first = texts.iter().take(SHOWN);
    let first: Vec<_> = first.map(|text| format!("{text:?}")).collect();
    let first = first.join(", ");
    match texts.len() {
        1 => format!("{first} is"),
        ..=SHOWN => format!("{first} are"),
        all => format!("{first} and {} more are", all - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_a_mistake_in_the_experiment() {
        let failure = |errno: Errno| io::Error::from_raw_os_error(errno as i32);
        let path = Path::new("x");
        assert!(DataError::write(path)(failure(Errno::ENOSPC)).is_machine_failure());
        assert!(DataError::read(path)(failure(Errno::EMFILE)).is_machine_failure());
        for errno in [Errno::EACCES, Errno::ENOENT, Errno::EISDIR] {
            assert!(!DataError::read(path)(failure(errno)).is_machine_failure());
        }
    }
}
