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

use self::char::CharTable;
use super::DataError;
use crate::record::write_atomic;
use crate::spec::{self, TokenizerKind};
use std::fs;
use std::path::Path;
use tokenizers::{ModelWrapper, Tokenizer as Pipeline};

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pipeline: Pipeline,
    encoder: Encoder,
    /// The bytes that each token stands for.
    pieces: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Encoder {
    Char(CharTable),
    Byte,
    Bpe,
}

impl Tokenizer {
    /// Trains on the training split. The validation split tells one thing: whether a character
    /// tokenizer needs a token for unknown characters.
    pub(super) fn train(spec: &spec::Tokenizer, train: &str, val: &str) -> Result<Self, DataError> {
        let pipeline = match spec.kind {
            TokenizerKind::Char => char::pipeline(train, val),
            TokenizerKind::Byte => byte::pipeline(),
            TokenizerKind::Bpe => bpe::train(train, spec.vocab_size),
        }?;
        Self::from_pipeline(pipeline).map_err(|reason| DataError::Tokenizer { reason })
    }

    /// Reads a `tokenizer.json` that [`Self::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let json = fs::read(path).map_err(DataError::read(path))?;
        Pipeline::from_bytes(json)
            .map_err(|error| error.to_string())
            .and_then(Self::from_pipeline)
            .map_err(|reason| DataError::NotATokenizer {
                path: path.to_owned(),
                reason,
            })
    }

    /// Writes a `tokenizer.json`, the same bytes for the same tokenizer.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let mut json = self
            .pipeline
            .to_string(true)
            .map_err(|error| DataError::Tokenizer {
                reason: error.to_string(),
            })?;
        json.push('\n');
        write_atomic(path, json.as_bytes()).map_err(DataError::write(path))
    }

    fn from_pipeline(pipeline: Pipeline) -> Result<Self, String> {
        let tokens = tokens_in_order(&pipeline)?;
        let (encoder, pieces) = match pipeline.get_model() {
            ModelWrapper::WordLevel(_) => {
                let table = CharTable::new(&tokens)?;
                let pieces = tokens.into_iter().map(String::into_bytes).collect();
                (Encoder::Char(table), pieces)
            }
            ModelWrapper::BPE(_) => {
                let pieces = alphabet::pieces(&tokens)?;
                bpe::check_pipeline(&pipeline)?;
                let bytes = pieces.len() == 256
                    && (0..=255).zip(&pieces).all(|(byte, piece)| *piece == [byte]);
                let encoder = if bytes { Encoder::Byte } else { Encoder::Bpe };
                (encoder, pieces)
            }
            _ => return Err("its model is neither WordLevel nor BPE".to_owned()),
        };
        Ok(Self {
            pipeline,
            encoder,
            pieces,
        })
    }

    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// The tokens of a text. An error names the first character that a character tokenizer does not
    /// know; bytes and BPE know all.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let mut tokens = Vec::new();
        match &self.encoder {
            Encoder::Char(table) => {
                for character in text.chars() {
                    let id = table.id(character);
                    tokens.push(id.ok_or(DataError::UnknownCharacter { character })?);
                }
            }
            Encoder::Byte => tokens.extend(text.bytes().map(u32::from)),
            Encoder::Bpe => bpe::encode(&self.pipeline, text, &mut |ids| {
                tokens.extend_from_slice(ids);
                Ok(())
            })?,
        }
        Ok(tokens)
    }

    /// Hands the tokens of a split to `sink`, some at a time, so that the tokens of a large text are
    /// never all in memory. Returns the number of unknown characters, for each of which the unknown
    /// token stands in.
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
                        (None, None) => return Err(DataError::UnknownCharacter { character }),
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
            Encoder::Bpe => bpe::encode(&self.pipeline, text, sink)?,
        }
        Ok(unknown)
    }

    /// The text of any tokens. Bytes that are not UTF-8, and tokens outside the vocabulary, become
    /// U+FFFD, which is also what the unknown token stands for.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len());
        for &token in tokens {
            match self.pieces.get(token as usize) {
                Some(piece) => bytes.extend_from_slice(piece),
                None => bytes.extend_from_slice("\u{FFFD}".as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The vocabulary by number, which must have no gap.
fn tokens_in_order(pipeline: &Pipeline) -> Result<Vec<String>, String> {
    let mut vocab: Vec<_> = pipeline.get_vocab(true).into_iter().collect();
    vocab.sort_unstable_by_key(|&(_, id)| id);
    if vocab
        .iter()
        .zip(0..)
        .any(|(&(_, id), expected)| id != expected)
    {
        return Err("its tokens are not numbered without a gap".to_owned());
    }
    Ok(vocab.into_iter().map(|(token, _)| token).collect())
}

#[cfg(test)]
mod tests;
