//! Sources of text: the built-in generator, published files, local files, and any URL.

pub mod download;
mod local_files;
mod published;

use self::download::{cache_folder, download};
use super::{DataError, formats, plays, size_limit};
use crate::hash;
use crate::spec::{Data, Source};

/// A source whose content is identified, although its text may not be here yet.
pub(super) enum ResolvedSource {
    /// Text that is generated from a seed.
    Plays { bytes: u64, seed: u64 },
    /// A file whose checksum is known before it is downloaded.
    Remote { url: String, sha256: String },
    /// Text that had to be read to be identified.
    Local {
        text: String,
        /// SHA-256 of the text, in hex.
        sha256: String,
    },
}

/// A text and its SHA-256 in hex.
pub(super) struct SourceText {
    pub(super) text: String,
    pub(super) sha256: String,
}

/// Resolves a source. Local files are read. Nothing is downloaded or generated.
pub(super) fn resolve(data: &Data) -> Result<ResolvedSource, DataError> {
    let remote = |url: &str, sha256: &str| ResolvedSource::Remote {
        url: url.to_owned(),
        sha256: sha256.to_ascii_lowercase(),
    };
    Ok(match &data.source {
        Source::Plays => {
            // This check comes first, so that a text that is too large is not generated.
            size_limit::check("builtin:plays", data.plays_bytes, data.max_bytes)?;
            ResolvedSource::Plays {
                bytes: data.plays_bytes,
                seed: data.plays_seed,
            }
        }
        Source::TinyShakespeare => {
            let file = published::TINY_SHAKESPEARE;
            remote(file.url, file.sha256)
        }
        Source::Names => remote(published::NAMES.url, published::NAMES.sha256),
        Source::Url { url, sha256 } => remote(url, sha256),
        Source::Path(path) => {
            let text = local_files::read(path, data.max_bytes)?;
            ResolvedSource::Local {
                sha256: hash::sha256(text.as_bytes()),
                text,
            }
        }
    })
}

impl ResolvedSource {
    /// A string that is equal for equal texts and different for different texts.
    pub(super) fn fingerprint(&self) -> String {
        match self {
            Self::Plays { bytes, seed } => format!("plays {} {seed} {bytes}", plays::VERSION),
            Self::Remote { url, sha256 } => formats::fingerprint(without_query(url), sha256),
            Self::Local { sha256, .. } => format!("sha256 {sha256}"),
        }
    }

    /// The text, which is generated or downloaded first if necessary.
    pub(super) fn text(self, max_bytes: u64) -> Result<SourceText, DataError> {
        let text = match self {
            Self::Plays { bytes, seed } => plays::generate(seed, bytes).text,
            Self::Remote { url, sha256 } => {
                let bytes = download(&url, &sha256, max_bytes, &cache_folder()?)?;
                formats::decode(bytes, without_query(&url), max_bytes)?
            }
            Self::Local { text, sha256 } => return Ok(SourceText { text, sha256 }),
        };
        Ok(SourceText {
            sha256: hash::sha256(text.as_bytes()),
            text,
        })
    }
}

/// A URL up to its file name, whose extension tells the format.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
