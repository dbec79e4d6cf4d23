//! One token a character, in the order of their code points.

use super::super::DataError;
use std::collections::BTreeSet;
use tokenizers::Tokenizer as Pipeline;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

/// Stands for a character that the training split does not have: Unicode's own character for that.
const UNKNOWN: char = '\u{FFFD}';

/// The characters of the training split; and, where the validation split has others, one token for
/// all of those, after the rest. Where it has none there is no such token, because a model could
/// never learn what it means and its row would only add to the vocabulary.
pub(super) fn pipeline(train: &str, val: &str) -> Result<Pipeline, DataError> {
    let known: BTreeSet<char> = train.chars().collect();
    let mut vocabulary: Vec<char> = known.iter().copied().collect();
    if !known.contains(&UNKNOWN) && val.chars().any(|character| !known.contains(&character)) {
        vocabulary.push(UNKNOWN);
    }
    let failed = |error: tokenizers::Error| DataError::Tokenizer {
        reason: error.to_string(),
    };
    let tokens = vocabulary.into_iter().map(String::from);
    let model = WordLevel::builder()
        .vocab(tokens.zip(0..).collect())
        .unk_token(UNKNOWN.to_string())
        .build()
        .map_err(failed)?;
    let each_character = SplitPattern::Regex("(?s).".to_owned());
    let split =
        Split::new(each_character, SplitDelimiterBehavior::Isolated, false).map_err(failed)?;
    let mut pipeline = Pipeline::new(model);
    pipeline.with_pre_tokenizer(Some(split));
    pipeline.with_decoder(Some(Fuse::new()));
    Ok(pipeline)
}

/// Token of each character, by code point: one look-up a character, at most 4.5 MB.
#[derive(Debug, Clone)]
pub(super) struct CharTable {
    ids: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl CharTable {
    pub(super) fn new(tokens: &[String]) -> Result<Self, String> {
        let mut ids = Vec::new();
        for (token, id) in tokens.iter().zip(0..) {
            let mut characters = token.chars();
            let (Some(character), None) = (characters.next(), characters.next()) else {
                return Err(format!("its token {token:?} is not one character"));
            };
            let code = character as usize;
            if ids.len() <= code {
                ids.resize(code + 1, NONE);
            }
            ids[code] = id;
        }
        Ok(Self { ids })
    }

    pub(super) fn id(&self, character: char) -> Option<u32> {
        let id = self.ids.get(character as usize).copied();
        id.filter(|&id| id != NONE)
    }

    /// The token for characters that are not in the vocabulary, where there is one.
    pub(super) fn unknown(&self) -> Option<u32> {
        self.id(UNKNOWN)
    }
}
