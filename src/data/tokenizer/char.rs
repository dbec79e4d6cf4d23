//! One token a character, in the order of their code points.

use super::super::DataError;
use super::{UNKNOWN, failed, words};
use std::collections::BTreeSet;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, Tokenizer as Pipeline};

/// Each character is a word.
const WORDS: &str = "(?s).";

/// The characters of the training split; and, where the validation split has others, one token for
/// all of those, after the rest. Where it has none there is no such token, because a model could
/// never learn what it means and its row would only add to the vocabulary.
pub(super) fn pipeline(train: &str, val: &str) -> Result<Pipeline, DataError> {
    let known: BTreeSet<char> = train.chars().collect();
    let mut vocabulary: Vec<char> = known.iter().copied().collect();
    if !known.contains(&UNKNOWN) && val.chars().any(|character| !known.contains(&character)) {
        vocabulary.push(UNKNOWN);
    }
    let tokens = vocabulary.into_iter().map(String::from);
    let model = WordLevel::builder()
        .vocab(tokens.zip(0..).collect())
        .unk_token(UNKNOWN.to_string())
        .build()
        .map_err(failed)?;
    let mut pipeline = Pipeline::new(model);
    pipeline.with_pre_tokenizer(Some(words::matches_of(WORDS)?));
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
    /// The table of a pipeline as [`pipeline`] makes them, which is one that takes each character by
    /// itself and as it is, and knows no longer tokens.
    pub(super) fn new(pipeline: &Pipeline, tokens: &[String]) -> Option<Self> {
        let by_character = match pipeline.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::Split(split)) => {
                words::matches_of(WORDS).is_ok_and(|each| *split == each)
            }
            _ => false,
        };
        let known = match pipeline.get_model() {
            ModelWrapper::WordLevel(model) => model.unk_token == UNKNOWN.to_string(),
            _ => false,
        };
        let plain =
            pipeline.get_normalizer().is_none() && pipeline.get_added_tokens_decoder().is_empty();
        if !(by_character && known && plain) {
            return None;
        }
        let mut ids = Vec::new();
        for (token, id) in tokens.iter().zip(0..) {
            let mut characters = token.chars();
            let (Some(character), None) = (characters.next(), characters.next()) else {
                return None;
            };
            let code = character as usize;
            if ids.len() <= code {
                ids.resize(code + 1, NONE);
            }
            ids[code] = id;
        }
        Some(Self { ids })
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
