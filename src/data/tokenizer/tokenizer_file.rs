//! A `tokenizer.json` that is read from a file.

use super::library_call::caught;
use super::{file_limits, normalizer_growth};
use crate::data::DataError;
use crate::hash;
use crate::regular_file::{is_wrong_kind, read_at_most};
use crate::spec::{self, TokenizerKind};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tokenizers::{NormalizerWrapper, PostProcessorWrapper, Tokenizer as Pipeline};

/// Largest accepted file. A tokenizer with a million tokens and a million merges has about 100 MB.
const MAX_BYTES: u64 = 1 << 28;

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
        let invalid = |reason: &str| DataError::NotATokenizer {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let unreadable = |source: std::io::Error| match source.kind() {
            ErrorKind::NotFound => DataError::MissingTokenizer {
                path: path.to_owned(),
            },
            _ if is_wrong_kind(&source) => invalid(&source.to_string()),
            _ => DataError::ReadTokenizer {
                path: path.to_owned(),
                source,
            },
        };
        let json = read_at_most(path, MAX_BYTES + 1).map_err(unreadable)?;
        if json.len() as u64 > MAX_BYTES {
            return Err(invalid("it is larger than 256 MiB"));
        }
        Ok(Self {
            path: path.to_owned(),
            sha256: hash::sha256(&json),
            json,
        })
    }

    /// The pipeline in the file, without what belongs to the inputs of other models: padding, truncation, and a
    /// post-processor that adds, repeats or leaves out tokens.
    pub(super) fn pipeline(&self) -> Result<Pipeline, DataError> {
        self.parse().map_err(|reason| self.invalid(reason))
    }

    fn parse(&self) -> Result<Pipeline, String> {
        let file: Value = serde_json::from_slice(&self.json).map_err(|error| error.to_string())?;
        file_limits::check(&file)?;
        check_merges(&file["model"])?;
        check_added_tokens(&file)?;
        // The checked value, and not the file: of two fields of one name, the file may have another one.
        let json = serde_json::to_vec(&file).map_err(|error| error.to_string())?;
        drop(file);
        let pipeline = caught(|| {
            let mut pipeline = Pipeline::from_bytes(json)?;
            pipeline.with_padding(None).with_truncation(None)?;
            let post_processor = pipeline.get_post_processor();
            if !matches!(post_processor, Some(PostProcessorWrapper::ByteLevel(_))) {
                pipeline.with_post_processor(None::<PostProcessorWrapper>);
            }
            Ok(pipeline)
        })?;
        pipeline.map_err(|error: tokenizers::Error| error.to_string())
    }

    /// The error for a file whose content is not valid.
    pub(in crate::data) fn invalid(&self, reason: String) -> DataError {
        DataError::NotATokenizer {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Refuses merges with tokens that are not in the vocabulary.
fn check_merges(model: &Value) -> Result<(), String> {
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

/// Normalizes the added tokens, in a way that ends early. The library normalizes them when it reads
/// the file.
fn check_added_tokens(file: &Value) -> Result<(), String> {
    let tokens = file["added_tokens"].as_array();
    let normalizer = &file["normalizer"];
    let Some(tokens) = tokens.filter(|_| !normalizer.is_null()) else {
        return Ok(());
    };
    caught(|| {
        let normalizer: NormalizerWrapper =
            serde_json::from_value(normalizer.clone()).map_err(|error| error.to_string())?;
        let mut contents = tokens.iter().filter_map(|token| token["content"].as_str());
        contents.try_for_each(|content| {
            normalizer_growth::normalized_len(Some(&normalizer), content).map(drop)
        })
    })?
}
