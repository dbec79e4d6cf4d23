//! Text to tokens and back.
//!
//! Whatever its kind, a tokenizer is a pipeline of the crate `tokenizers` and is saved as its
//! `tokenizer.json`, which other tools of that format read to the same effect. Characters and bytes
//! are encoded by a table instead of by the pipeline, which is a hundred times faster and gives the
//! same tokens. Each token stands for a string of bytes; to decode is to join them.

mod alphabet;
mod bpe;
mod byte;
mod char;
mod lattice;
mod merges;
mod sampling;
mod stream;
mod tiktoken;
mod token_bytes;
mod tokenizer_file;
mod unigram;
mod wordpiece;
mod words;

pub(super) use self::sampling::Sampler;
pub use self::stream::TextStream;
pub(super) use tokenizer_file::TokenizerFile;

use self::char::CharTable;
use super::DataError;
use crate::results::write_atomic;
use crate::spec::{self, TokenizerKind};
use std::collections::BTreeSet;
use std::path::Path;
use tokenizers::{Model, ModelWrapper, Tokenizer as Pipeline};

/// Stands for text that a trained vocabulary has no tokens for: Unicode's own character for that.
const UNKNOWN: ::std::primitive::char = '\u{FFFD}';

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pipeline: Pipeline,
    encoder: Encoder,
    /// The bytes that each token stands for.
    pieces: Vec<Vec<u8>>,
    /// The token that stands in for text that the others cannot spell, where there is one.
    unknown: Option<u32>,
}

#[derive(Debug, Clone)]
enum Encoder {
    Char(CharTable),
    Byte,
    /// Whatever the pipeline says.
    Pipeline {
        /// Whether [`words::cut`] may cut a text.
        cut: bool,
    },
}

impl Tokenizer {
    /// Trains on the training split, or reads what was trained before. The validation split tells
    /// one thing: whether a character tokenizer needs a token for unknown characters.
    pub(super) fn train(spec: &spec::Tokenizer, train: &str, val: &str) -> Result<Self, DataError> {
        let pipeline = match spec.kind {
            TokenizerKind::Char => char::pipeline(train, val),
            TokenizerKind::Byte => byte::pipeline(),
            TokenizerKind::Bpe => bpe::train(train, spec.vocab_size),
            TokenizerKind::Wordpiece => wordpiece::train(train, spec.vocab_size),
            TokenizerKind::Unigram => unigram::train(train, spec.vocab_size),
            TokenizerKind::Tiktoken => tiktoken::pipeline(spec.encoding),
            TokenizerKind::File => {
                return TokenizerFile::of(spec)?.map_or_else(
                    || Err(failed("a tokenizer file without a path")),
                    |file| file.read(),
                );
            }
        }?;
        Self::from_pipeline(pipeline).map_err(|reason| DataError::Tokenizer { reason })
    }

    /// Reads a `tokenizer.json` that [`Self::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        TokenizerFile::open(path)?.read_checked()
    }

    /// Writes a `tokenizer.json`, the same bytes for the same tokenizer.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let mut json = self.pipeline.to_string(false).map_err(failed)?;
        json.push('\n');
        write_atomic(path, json.as_bytes()).map_err(DataError::write(path))
    }

    fn from_pipeline(pipeline: Pipeline) -> Result<Self, String> {
        let tokens = tokens_in_order(&pipeline)?;
        let pieces = token_bytes::of(&tokens, pipeline.get_decoder())?;
        let encoder = if let Some(table) = CharTable::new(&pipeline, &tokens) {
            Encoder::Char(table)
        } else if byte::is_pipeline(&pipeline, &pieces) {
            Encoder::Byte
        } else {
            let [gpt2, cl100k, o200k] = tiktoken::WORDS;
            let patterns = [wordpiece::WORDS, unigram::WORDS, gpt2, cl100k, o200k];
            let cut = words::may_be_cut(&pipeline, &patterns);
            Encoder::Pipeline { cut }
        };
        Ok(Self {
            unknown: unknown(pipeline.get_model()),
            pipeline,
            encoder,
            pieces,
        })
    }

    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text. An error names the characters that a character tokenizer does not know,
    /// or the first part of the text that another does not.
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
                let encoding = self.pipeline.encode(text, false).map_err(failed)?;
                let ids = encoding.get_ids();
                let first = ids.iter().position(|&id| Some(id) == self.unknown);
                match first.map(|at| encoding.get_offsets()[at]) {
                    // The character itself may be in the text.
                    Some((from, to)) if text[from..to] != *UNKNOWN.to_string() => {
                        unknown(vec![text[from..to].to_owned()])
                    }
                    _ => Ok(ids.to_vec()),
                }
            }
        }
    }

    /// Hands the tokens of a split to `sink`, some at a time, so that the tokens of a large text are
    /// never all in memory. Returns the number of unknown tokens, which stand in for what the
    /// vocabulary cannot spell.
    pub(super) fn encode_split(
        &self,
        text: &str,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<u64, DataError> {
        const AT_A_TIME: usize = 1 << 16;
        let mut unknown = 0;
        match &self.encoder {
            Encoder::Char(table) => {
                let mut tokens = Vec::with_capacity(AT_A_TIME);
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
                    if tokens.len() == AT_A_TIME {
                        sink(&tokens)?;
                        tokens.clear();
                    }
                }
                sink(&tokens)?;
            }
            Encoder::Byte => {
                for bytes in text.as_bytes().chunks(AT_A_TIME) {
                    let tokens: Vec<_> = bytes.iter().copied().map(u32::from).collect();
                    sink(&tokens)?;
                }
            }
            Encoder::Pipeline { cut } => {
                unknown = self.encode_pieces(text, *cut, sink)?;
            }
        }
        Ok(unknown)
    }

    /// [`Self::encode_split`] by the pipeline: in pieces, some at a time and in parallel, or whole.
    fn encode_pieces(
        &self,
        text: &str,
        cut: bool,
        sink: &mut dyn FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<u64, DataError> {
        let mut unknown = 0;
        let pieces: Box<dyn Iterator<Item = &str>> = match cut {
            true => Box::new(words::cut(text)),
            false if text.len() > MAX_BYTES_WHOLE => {
                return Err(DataError::TooLongToEncodeWhole {
                    bytes: text.len(),
                    limit: MAX_BYTES_WHOLE,
                });
            }
            false => Box::new(std::iter::once(text)),
        };
        for batch in words::batches(pieces) {
            let encodings = self
                .pipeline
                .encode_batch_fast(batch, false)
                .map_err(failed)?;
            for encoding in encodings {
                let ids = encoding.get_ids();
                unknown += ids.iter().filter(|&&id| Some(id) == self.unknown).count() as u64;
                sink(ids)?;
            }
        }
        Ok(unknown)
    }

    /// The text of any tokens. Bytes that are not UTF-8, and tokens outside the vocabulary, become
    /// U+FFFD, which is also what the unknown token stands for.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len());
        for &token in tokens {
            bytes.extend_from_slice(self.piece(token));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes that a token stands for, which need not be whole characters.
    pub fn piece(&self, token: u32) -> &[u8] {
        let piece = self.pieces.get(token as usize);
        piece.map_or("\u{FFFD}".as_bytes(), Vec::as_slice)
    }
}

/// A text is encoded whole where the words of the pipeline are not known to end anywhere, which
/// takes some hundred bytes for each of the text.
const MAX_BYTES_WHOLE: usize = 1 << 26;

/// The vocabulary by number, which must have no gap.
fn tokens_in_order(pipeline: &Pipeline) -> Result<Vec<String>, String> {
    let mut vocab: Vec<_> = pipeline.get_vocab(true).into_iter().collect();
    vocab.sort_unstable_by_key(|&(_, id)| id);
    if let Some(((token, id), expected)) = vocab
        .iter()
        .zip(0..)
        .find(|((_, id), expected)| id != expected)
    {
        return Err(format!(
            "its tokens must be numbered from 0 without a gap, and {expected} of its {} is missing \
             before {id}, {token:?}",
            vocab.len()
        ));
    }
    Ok(vocab.into_iter().map(|(token, _)| token).collect())
}

/// The token of a model for what it does not know.
fn unknown(model: &ModelWrapper) -> Option<u32> {
    let name = match model {
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::BPE(model) => model.unk_token.clone(),
        // Its field is private, but it is written.
        ModelWrapper::Unigram(model) => {
            let written = serde_json::to_value(model).ok()?;
            return written["unk_id"]
                .as_u64()
                .and_then(|id| u32::try_from(id).ok());
        }
    };
    model.token_to_id(&name?)
}

/// Refuses a vocabulary of another size than was asked for.
fn check_size(kind: TokenizerKind, asked: usize, possible: usize) -> Result<(), DataError> {
    check_alphabet(kind, asked, possible)?;
    if possible < asked {
        return Err(DataError::VocabTooLarge {
            kind,
            asked,
            possible,
        });
    }
    Ok(())
}

/// Refuses a vocabulary that has no room for the characters.
fn check_alphabet(kind: TokenizerKind, asked: usize, needed: usize) -> Result<(), DataError> {
    if asked < needed {
        return Err(DataError::VocabTooSmall {
            kind,
            asked,
            needed,
        });
    }
    Ok(())
}

/// For `map_err` on what the library says.
fn failed(error: impl ToString) -> DataError {
    DataError::Tokenizer {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
