//! A `tokenizer.json` that is read from a file.

use crate::data::DataError;
use crate::hash;
use crate::spec::{self, TokenizerKind};
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer as Pipeline;

/// Largest accepted file. A tokenizer with a million tokens and a million merges has about 100 MB.
const MAX_BYTES: u64 = 1 << 30;

/// The content of a `tokenizer.json`. It is read once, so the checksum belongs to the tokenizer that
/// is used.
pub(in crate::data) struct TokenizerFile {
    path: PathBuf,
    json: Vec<u8>,
    /// SHA-256 in hex.
    pub(in crate::data) sha256: String,
}

impl TokenizerFile {
    /// The file that a specification names, or `None` for kinds without a file.
    pub(in crate::data) fn from_spec(spec: &spec::Tokenizer) -> Result<Option<Self>, DataError> {
        match (spec.kind, &spec.path) {
            (TokenizerKind::File, Some(path)) => Self::open(Path::new(path)).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let invalid = |reason: String| DataError::NotATokenizer {
            path: path.to_owned(),
            reason,
        };
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => DataError::MissingTokenizer {
                path: path.to_owned(),
            },
            _ => invalid(error.to_string()),
        })?;
        if !metadata.is_file() {
            return Err(invalid("it is not a regular file".to_owned()));
        }
        let mut json = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut json))
            .map_err(|error| invalid(error.to_string()))?;
        if json.len() as u64 > MAX_BYTES {
            return Err(invalid("it is larger than 1 GiB".to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            sha256: hash::sha256(&json),
            json,
        })
    }

    /// The pipeline in the file, without padding and truncation, which are settings for other models.
    pub(super) fn pipeline(&self) -> Result<Pipeline, DataError> {
        let read = || {
            let mut pipeline = Pipeline::from_bytes(&self.json)?;
            pipeline.with_padding(None).with_truncation(None)?;
            Ok(pipeline)
        };
        read().map_err(|error: tokenizers::Error| self.invalid(error.to_string()))
    }

    /// The error for a file whose content is not valid.
    pub(super) fn invalid(&self, reason: String) -> DataError {
        DataError::NotATokenizer {
            path: self.path.clone(),
            reason,
        }
    }

    /// Refuses merges with tokens that are not in the vocabulary. The library panics on them. The
    /// check doubles the time to read a large file, so it is left out for files that this program
    /// wrote.
    pub(super) fn check_merges(&self) -> Result<(), DataError> {
        check_merges(&self.json).map_err(|reason| self.invalid(reason))
    }
}

fn check_merges(json: &[u8]) -> Result<(), String> {
    let file: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let model = &file["model"];
    let (Some(vocab), Some(merges)) = (model["vocab"].as_object(), model["merges"].as_array())
    else {
        return Ok(());
    };
    let prefix = model["continuing_subword_prefix"]
        .as_str()
        .unwrap_or_default();
    for merge in merges {
        let pair = match merge {
            Value::String(pair) => pair.split_once(' '),
            pair => pair[0].as_str().zip(pair[1].as_str()),
        };
        let (left, right) =
            pair.ok_or_else(|| format!("its merge {merge} does not have two tokens"))?;
        let joined = match right.strip_prefix(prefix) {
            Some(rest) => format!("{left}{rest}"),
            None => return Err(format!("its merge {merge} lacks the prefix {prefix:?}")),
        };
        let missing = [left, right, &joined]
            .into_iter()
            .find(|&token| !vocab.contains_key(token));
        if let Some(token) = missing {
            return Err(format!(
                "its merge {merge} needs the token {token:?}, which is not in its vocabulary"
            ));
        }
    }
    Ok(())
}
