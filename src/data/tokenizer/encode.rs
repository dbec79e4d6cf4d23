//! The tokenizer: encodes texts to tokens and decodes tokens to text.

use super::char::CharTable;
use super::library_call::caught;
use super::vocabulary::{self, UNKNOWN};
use super::{byte, chunks, normalizer_growth, token_bytes};
use crate::data::DataError;
use crate::data::parallel_map::parallel_map;
use crate::results::replace_file;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use tokenizers::{Encoding, Tokenizer as Pipeline};

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pub(super) pipeline: Pipeline,
    pub(super) encoder: Encoder,
    /// The bytes that each token stands for.
    pub(super) token_bytes: Vec<Vec<u8>>,
    /// The token for text that no other token can represent, if there is one.
    unknown: Option<u32>,
}

/// How a text is encoded. The tables give the same tokens as the pipeline and are about a hundred
/// times faster.
#[derive(Debug, Clone)]
pub(super) enum Encoder {
    Char(CharTable),
    Byte,
    Pipeline {
        /// Whether a text may be encoded in chunks: see [`chunks::can_be_chunked`].
        chunkable: bool,
    },
}

/// Largest text that is encoded whole, in bytes. The pipeline takes some hundred bytes of memory for
/// each byte of the text.
const MAX_BYTES_WHOLE: usize = 1 << 26;

/// Largest text that a normalizer may make of a text that is encoded whole, in bytes.
const MAX_BYTES_NORMALIZED: usize = 1 << 28;

impl Tokenizer {
    /// A tokenizer that gives the tokens of a pipeline.
    pub(super) fn from_pipeline(pipeline: Pipeline, chunkable: bool) -> Result<Self, String> {
        let tokens = vocabulary::in_order(&pipeline)?;
        let token_bytes = token_bytes::of_all(&tokens, pipeline.get_decoder())?;
        let encoder = if let Some(table) = CharTable::new(&pipeline, &tokens) {
            Encoder::Char(table)
        } else if byte::is_byte_pipeline(&pipeline, &token_bytes) {
            Encoder::Byte
        } else {
            Encoder::Pipeline { chunkable }
        };
        Ok(Self {
            unknown: vocabulary::unknown_token(pipeline.get_model()),
            pipeline,
            encoder,
            token_bytes,
        })
    }

    /// The content of a `tokenizer.json`. Equal tokenizers give equal bytes.
    ///
    /// # Errors
    /// If the library fails.
    pub fn to_json(&self) -> Result<String, DataError> {
        let mut json = self
            .pipeline
            .to_string(false)
            .map_err(DataError::tokenizer)?;
        json.push('\n');
        Ok(json)
    }

    /// Writes a `tokenizer.json`, without syncing it: the record of a run does that.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        replace_file(path, self.to_json()?.as_bytes()).map_err(DataError::write(path))
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.token_bytes.len()
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// [`DataError::UnknownText`] if the vocabulary cannot represent the text. A character tokenizer
    /// reports all unknown characters. Other tokenizers report the first unknown part.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let unknown = |texts| Err(DataError::UnknownText { texts });
        match &self.encoder {
            Encoder::Char(table) => {
                let is_unknown =
                    |character: &::std::primitive::char| table.id(*character).is_none();
                let characters: BTreeSet<_> = text.chars().filter(is_unknown).collect();
                match characters.is_empty() {
                    true => Ok(text
                        .chars()
                        .filter_map(|character| table.id(character))
                        .collect()),
                    false => unknown(characters.into_iter().map(String::from).collect()),
                }
            }
            Encoder::Byte => Ok(text.bytes().map(u32::from).collect()),
            Encoder::Pipeline { .. } => {
                self.normalized_len(text)?;
                let encoding = self.call(|pipeline| pipeline.encode(text, false))?;
                let ids = encoding.get_ids();
                let first = ids.iter().position(|&id| Some(id) == self.unknown);
                match first.map(|at| encoding.get_offsets()[at]) {
                    // U+FFFD in the text is encoded as the unknown token and is not an error.
                    Some((from, to)) if text[from..to] != *UNKNOWN.to_string() => {
                        unknown(vec![text[from..to].to_owned()])
                    }
                    _ => Ok(ids.to_vec()),
                }
            }
        }
    }

    /// The characters of a text that no tokens write, each once.
    pub fn unwritable_characters(&self, text: &str) -> Vec<char> {
        let is_written = |character: &char| {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            let mut tokens = self.token_bytes.iter();
            let in_token = |token: &Vec<u8>| token.windows(bytes.len()).any(|part| part == bytes);
            let is_token = |byte: &u8| self.token_bytes.iter().any(|token| token == &[*byte]);
            tokens.any(in_token) || bytes.iter().all(is_token)
        };
        let characters: BTreeSet<char> = text.chars().collect();
        let mut characters: Vec<char> = characters.into_iter().collect();
        characters.retain(|character| !is_written(character));
        characters
    }

    /// Encodes a split and passes its tokens to `sink` in batches, so that the tokens of a large text
    /// are never all in memory. Text that the vocabulary cannot represent becomes the unknown token.
    /// Returns the number of unknown tokens.
    ///
    /// # Errors
    /// [`DataError::UnknownText`] if there is unknown text and no unknown token.
    pub(in crate::data) fn encode_split(
        &self,
        text: &str,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<u64, DataError> {
        const TOKENS_PER_BATCH: usize = 1 << 16;
        let mut unknown = 0;
        match &self.encoder {
            Encoder::Char(table) => {
                let mut tokens = Vec::with_capacity(TOKENS_PER_BATCH);
                for character in text.chars() {
                    tokens.push(match (table.id(character), table.unknown()) {
                        (Some(id), _) => id,
                        (None, Some(id)) => {
                            unknown += 1;
                            id
                        }
                        (None, None) => {
                            let texts = vec![character.to_string()];
                            return Err(DataError::UnknownText { texts });
                        }
                    });
                    if tokens.len() == TOKENS_PER_BATCH {
                        sink(&tokens)?;
                        tokens.clear();
                    }
                }
                sink(&tokens)?;
            }
            Encoder::Byte => {
                for bytes in text.as_bytes().chunks(TOKENS_PER_BATCH) {
                    let tokens: Vec<_> = bytes.iter().copied().map(u32::from).collect();
                    sink(&tokens)?;
                }
            }
            Encoder::Pipeline { chunkable } => {
                unknown = self.encode_by_pipeline(text, *chunkable, sink)?;
            }
        }
        Ok(unknown)
    }

    /// Calls the library, which panics on some texts if the tokenizer is from a file.
    fn call<T>(
        &self,
        call: impl FnOnce(&Pipeline) -> tokenizers::Result<T>,
    ) -> Result<T, DataError> {
        caught(|| call(&self.pipeline))
            .map_err(DataError::tokenizer)?
            .map_err(DataError::tokenizer)
    }

    /// Length of a text after normalization.
    ///
    /// # Errors
    /// If the normalizer makes a part of the text much longer, or fails.
    fn normalized_len(&self, text: &str) -> Result<usize, DataError> {
        let normalizer = self.pipeline.get_normalizer();
        caught(|| normalizer_growth::normalized_len(normalizer, text))
            .and_then(|length| length)
            .map_err(DataError::tokenizer)
    }

    /// Encodes a text. An unknown token is no failure, and neither is an error that the library
    /// reports: it may be about this text only.
    ///
    /// # Errors
    /// If the library panics, or the normalizer makes the text much longer.
    pub(super) fn try_encode(&self, text: &str) -> Result<(), String> {
        let normalizer = self.pipeline.get_normalizer();
        caught(|| normalizer_growth::normalized_len(normalizer, text))??;
        caught(|| self.pipeline.encode_fast(text, false)).map(drop)
    }

    /// [`Self::encode_split`] with the pipeline: in chunks and in parallel, or whole.
    fn encode_by_pipeline(
        &self,
        text: &str,
        chunkable: bool,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<u64, DataError> {
        let mut unknown = 0;
        let chunks: Box<dyn Iterator<Item = &str>> = match chunkable {
            true => Box::new(chunks::cut(text)),
            false if text.len() > MAX_BYTES_WHOLE => {
                return Err(DataError::TooLongToEncodeWhole {
                    bytes: text.len(),
                    limit: MAX_BYTES_WHOLE,
                });
            }
            false => {
                let bytes = self.normalized_len(text)?;
                if bytes > MAX_BYTES_NORMALIZED {
                    return Err(DataError::TooLongWhenNormalized {
                        bytes,
                        limit: MAX_BYTES_NORMALIZED,
                    });
                }
                Box::new(std::iter::once(text))
            }
        };
        for batch in chunks::batches(chunks) {
            let encodings: Vec<Encoding> = parallel_map(batch, |chunk| {
                self.call(|pipeline| pipeline.encode_fast(chunk, false))
            })?;
            for encoding in encodings {
                let ids = encoding.get_ids();
                unknown += ids.iter().filter(|&&id| Some(id) == self.unknown).count() as u64;
                sink(ids)?;
            }
        }
        Ok(unknown)
    }

    /// The text of tokens. The unknown token, tokens outside the vocabulary, and bytes that are not
    /// UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len());
        for &token in tokens {
            bytes.extend_from_slice(self.token_bytes(token));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of the text that tokens stand for, token by token. Unlike in [`Self::decode`], the
    /// first token is the first of a text, where some decoders drop a space.
    pub(in crate::data) fn text_bytes(
        &self,
        tokens: impl Iterator<Item = u32>,
    ) -> impl Iterator<Item = Cow<'_, [u8]>> {
        tokens.enumerate().map(move |(at, token)| match at {
            0 => self.bytes_at_start(token),
            _ => Cow::Borrowed(self.token_bytes(token)),
        })
    }

    /// The length of the text that tokens stand for, in bytes.
    pub(in crate::data) fn text_len(&self, tokens: impl Iterator<Item = u32>) -> u64 {
        self.text_bytes(tokens)
            .map(|bytes| bytes.len() as u64)
            .sum()
    }

    /// The bytes that a token stands for at the start of a text.
    fn bytes_at_start(&self, token: u32) -> Cow<'_, [u8]> {
        let name = self.pipeline.id_to_token(token);
        let decoder = self.pipeline.get_decoder();
        let bytes = name.and_then(|name| {
            caught(|| token_bytes::at_start(&name, decoder))
                .ok()
                .flatten()
        });
        match bytes {
            Some(bytes) => Cow::Owned(bytes),
            None => Cow::Borrowed(self.token_bytes(token)),
        }
    }

    /// The bytes that a token stands for. They may be a part of a character.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        let bytes = self.token_bytes.get(token as usize);
        bytes.map_or("\u{FFFD}".as_bytes(), Vec::as_slice)
    }
}
