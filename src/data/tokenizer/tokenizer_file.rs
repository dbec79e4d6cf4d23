//! A ready tokenizer from a file.

use super::super::DataError;
use super::Tokenizer;
use crate::hash;
use crate::spec::{self, TokenizerKind};
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer as Pipeline;

/// A tokenizer of a million tokens with as many merges takes a tenth of this.
const MAX_BYTES: u64 = 1 << 30;

/// A `tokenizer.json` as it was read, so that what is known of it is of what is used.
pub(in crate::data) struct TokenizerFile {
    path: PathBuf,
    json: Vec<u8>,
    /// In hex.
    pub(in crate::data) sha256: String,
}

impl TokenizerFile {
    /// The file that a specification names; `None` for a kind that has none.
    pub(in crate::data) fn of(spec: &spec::Tokenizer) -> Result<Option<Self>, DataError> {
        match (spec.kind, &spec.path) {
            (TokenizerKind::File, Some(path)) => Self::open(Path::new(path)).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let not = |reason: &str| not_a_tokenizer(path)(reason.to_owned());
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => DataError::MissingTokenizer {
                path: path.to_owned(),
            },
            _ => not(&error.to_string()),
        })?;
        if !metadata.is_file() {
            return Err(not("it is not a regular file"));
        }
        let mut json = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut json))
            .map_err(|error| not(&error.to_string()))?;
        if json.len() as u64 > MAX_BYTES {
            return Err(not("it has more than 1 GiB"));
        }
        Ok(Self {
            path: path.to_owned(),
            sha256: hash::sha256(&json),
            json,
        })
    }

    /// What the file holds, without what pads and cuts the sequences of other models.
    pub(in crate::data) fn read(&self) -> Result<Tokenizer, DataError> {
        check_merges(&self.json).map_err(not_a_tokenizer(&self.path))?;
        self.read_checked()
    }

    /// [`Self::read`] for a file that is known to be well made, which a large one takes half as long.
    pub(super) fn read_checked(&self) -> Result<Tokenizer, DataError> {
        let read = || {
            let mut pipeline = Pipeline::from_bytes(&self.json)?;
            pipeline.with_padding(None).with_truncation(None)?;
            Ok(pipeline)
        };
        read()
            .map_err(|error: tokenizers::Error| error.to_string())
            .and_then(Tokenizer::from_pipeline)
            .and_then(|tokenizer| match tokenizer.vocab_size() {
                0 => Err("it has no tokens".to_owned()),
                _ => Ok(tokenizer),
            })
            .map_err(not_a_tokenizer(&self.path))
    }
}

/// Refuses merges into tokens that there are not, for which the library panics.
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
            pair.ok_or_else(|| format!("its merge {merge} is not of two tokens"))?;
        let joined = match right.strip_prefix(prefix) {
            Some(rest) => format!("{left}{rest}"),
            None => return Err(format!("its merge {merge} lacks the prefix {prefix:?}")),
        };
        let missing = [left, right, &joined]
            .into_iter()
            .find(|&token| !vocab.contains_key(token));
        if let Some(token) = missing {
            return Err(format!(
                "its merge {merge} is of {token:?}, which is not in its vocabulary"
            ));
        }
    }
    Ok(())
}

/// For `map_err`.
fn not_a_tokenizer(path: &Path) -> impl Fn(String) -> DataError {
    let path = path.to_owned();
    move |reason| DataError::NotATokenizer {
        path: path.clone(),
        reason,
    }
}
