//! One token per character, in the order of the code points.

use super::pre_tokenizer;
use super::vocabulary::UNKNOWN;
use crate::data::DataError;
use std::collections::BTreeSet;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, Tokenizer as Pipeline};

/// A regular expression whose matches are single characters. Rust and Oniguruma, the engine of the
/// Python library, both read it.
pub(super) const WORDS: &str = r"[\s\S]";
/// The same in the files of earlier versions, which the Python library cannot read.
pub(super) const EARLIER_WORDS: &str = "(?s).";

/// The pipeline whose tokens are the characters of the training split. If the validation split has
/// other characters, the last token stands for all of them. Otherwise there is no unknown token: it
/// would never occur, and would only make the vocabulary larger.
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
        .map_err(DataError::tokenizer)?;
    let mut pipeline = Pipeline::new(model);
    pipeline.with_pre_tokenizer(Some(pre_tokenizer::regex_split(WORDS)?));
    pipeline.with_decoder(Some(Fuse::new()));
    Ok(pipeline)
}

/// The token of each character, indexed by code point. It takes at most 4.5 MB.
#[derive(Debug, Clone)]
pub(super) struct CharTable {
    ids: Vec<u32>,
}

/// Marks code points without a token.
const NONE: u32 = u32::MAX;

impl CharTable {
    /// The table of a pipeline that encodes each character as one token, as [`pipeline`] does. The
    /// result is `None` for any other pipeline.
    pub(super) fn new(pipeline: &Pipeline, tokens: &[String]) -> Option<Self> {
        let by_character = match pipeline.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::Split(split)) => [WORDS, EARLIER_WORDS]
                .into_iter()
                .any(|words| pre_tokenizer::regex_split(words).is_ok_and(|each| *split == each)),
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

    /// The token of a character in the vocabulary.
    pub(super) fn id(&self, character: char) -> Option<u32> {
        let id = self.ids.get(character as usize).copied();
        id.filter(|&id| id != NONE)
    }

    /// The token for characters outside the vocabulary, if there is one.
    pub(super) fn unknown(&self) -> Option<u32> {
        self.id(UNKNOWN)
    }
}
