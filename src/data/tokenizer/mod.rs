//! Text to tokens and back.
//!
//! Every tokenizer is a pipeline of the crate `tokenizers` and is saved as its `tokenizer.json`,
//! which other tools of this format can read. Each token stands for a string of bytes, and decoding
//! joins these strings.
//!
//! - Each kind has a file that builds its pipeline: `char`, `byte`, `bpe`, `wordpiece`, `unigram`,
//!   `tiktoken`, and `tokenizer_file` for a ready `tokenizer.json`. To add a kind, add its name and
//!   its keys to `spec/tokenizer.rs`, build its pipeline in a new file, and call it in
//!   [`Tokenizer::train`].
//! - `encode` has the tokenizer itself. It encodes and decodes whole texts. `text_stream` decodes
//!   token by token.
//! - `pre_tokenizer` splits a text into words, and `chunks` cuts a long text between two words.
//! - `subword_sampler` draws random segmentations of the training text (subword regularization),
//!   with `bpe_dropout` or `segmentation_lattice`.

mod bpe;
mod bpe_dropout;
mod byte;
mod byte_alphabet;
mod char;
mod chunks;
mod encode;
mod pre_tokenizer;
mod segmentation_lattice;
mod subword_sampler;
mod text_stream;
mod tiktoken;
mod token_bytes;
mod tokenizer_file;
mod unigram;
mod vocabulary;
mod wordpiece;

pub use self::encode::Tokenizer;
pub(super) use self::subword_sampler::SubwordSampler;
pub use self::text_stream::TextStream;
pub(super) use self::tokenizer_file::TokenizerFile;

use super::DataError;
use crate::spec::{self, TokenizerKind};
use std::path::Path;
use tokenizers::Tokenizer as Pipeline;

/// The regular expressions of the pre-tokenizers below. A text can be encoded in chunks if one of
/// them finds its words: see [`chunks::can_be_chunked`].
const CHUNKABLE_WORDS: [&str; 5] = [
    wordpiece::WORDS,
    unigram::WORDS,
    tiktoken::GPT2_WORDS,
    tiktoken::CL100K_WORDS,
    tiktoken::O200K_WORDS,
];

impl Tokenizer {
    /// Trains a tokenizer on the training split, or builds one that needs no training. The
    /// validation split is used for one decision: whether a character tokenizer needs a token for
    /// unknown characters.
    pub(super) fn train(spec: &spec::Tokenizer, train: &str, val: &str) -> Result<Self, DataError> {
        let pipeline = match spec.kind {
            TokenizerKind::Char => char::pipeline(train, val),
            TokenizerKind::Byte => byte::pipeline(),
            TokenizerKind::Bpe => bpe::train(train, spec.vocab_size),
            TokenizerKind::Wordpiece => wordpiece::train(train, spec.vocab_size),
            TokenizerKind::Unigram => unigram::train(train, spec.vocab_size),
            TokenizerKind::Tiktoken => tiktoken::pipeline(spec.encoding),
            TokenizerKind::File => match TokenizerFile::from_spec(spec)? {
                Some(file) => return Self::from_file(&file),
                None => Err(DataError::tokenizer("tokenizer.path is missing")),
            },
        }?;
        from_pipeline(pipeline).map_err(DataError::tokenizer)
    }

    /// Reads a `tokenizer.json` that [`Self::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        Self::from_file_unchecked(&TokenizerFile::open(path)?)
    }

    /// Reads a `tokenizer.json` from any source. Its merges are checked first.
    pub(super) fn from_file(file: &TokenizerFile) -> Result<Self, DataError> {
        file.check_merges()?;
        Self::from_file_unchecked(file)
    }

    fn from_file_unchecked(file: &TokenizerFile) -> Result<Self, DataError> {
        let tokenizer = from_pipeline(file.pipeline()?);
        tokenizer
            .and_then(|tokenizer| match tokenizer.vocab_size() {
                0 => Err("it has no tokens".to_owned()),
                _ => Ok(tokenizer),
            })
            .map_err(|reason| file.invalid(reason))
    }
}

fn from_pipeline(pipeline: Pipeline) -> Result<Tokenizer, String> {
    let chunkable = chunks::can_be_chunked(&pipeline, &CHUNKABLE_WORDS);
    Tokenizer::from_pipeline(pipeline, chunkable)
}

#[cfg(test)]
mod tests;
