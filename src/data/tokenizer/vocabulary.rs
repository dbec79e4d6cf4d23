//! The vocabulary of a pipeline: its tokens, its size, and its token for unknown text.

use crate::data::DataError;
use crate::spec::TokenizerKind;
use std::cmp::Ordering;
use tokenizers::{Model, ModelWrapper, Tokenizer as Pipeline};

/// The name of the token for text that a trained vocabulary cannot represent. It is Unicode's
/// replacement character.
pub(super) const UNKNOWN: ::std::primitive::char = '\u{FFFD}';

/// The tokens in the order of their numbers, which must be 0, 1, 2, ... without a gap.
pub(super) fn in_order(pipeline: &Pipeline) -> Result<Vec<String>, String> {
    let mut vocab: Vec<_> = pipeline.get_vocab(true).into_iter().collect();
    vocab.sort_unstable_by_key(|&(_, id)| id);
    if let Some(((token, id), expected)) = vocab
        .iter()
        .zip(0..)
        .find(|((_, id), expected)| id != expected)
    {
        return Err(format!(
            "its tokens must be numbered from 0 without a gap; no token has the number {expected}, \
             and the next number is {id} ({token:?})"
        ));
    }
    Ok(vocab.into_iter().map(|(token, _)| token).collect())
}

/// The token of a model for unknown text.
pub(super) fn unknown_token(model: &ModelWrapper) -> Option<u32> {
    let name = match model {
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::BPE(model) => model.unk_token.clone(),
        // The field is private in the library, but it is part of the model's JSON.
        ModelWrapper::Unigram(model) => {
            let json = serde_json::to_value(model).ok()?;
            return json["unk_id"]
                .as_u64()
                .and_then(|id| u32::try_from(id).ok());
        }
    };
    model.token_to_id(&name?)
}

/// Refuses a trained vocabulary whose size is not the size that was asked for. It is larger if there are
/// more single characters, and smaller if the text has no more pairs to merge.
pub(super) fn check_size(kind: TokenizerKind, asked: usize, found: usize) -> Result<(), DataError> {
    match found.cmp(&asked) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(DataError::VocabTooSmall {
            kind,
            asked,
            needed: found,
        }),
        Ordering::Less => Err(DataError::VocabTooLarge {
            kind,
            asked,
            possible: found,
        }),
    }
}
