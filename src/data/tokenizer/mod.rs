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
//! - `tokenizer_file` refuses files that would make the library fail: `file_limits` checks what is in
//!   the file, `normalizer_growth` and `trial` check what it does, and `library_call` is around each
//!   call of the library.
//! - `portable_patterns` refuses regular expressions that the Python library reads in another way.
//! - `tokenizer_identity` is the part of a run's identity that comes from its tokenizer.
//! - `subword_sampler` draws random segmentations of the training text (subword regularization),
//!   with `bpe_dropout` or `segmentation_lattice`.

mod bpe;
mod bpe_dropout;
mod byte;
mod byte_alphabet;
mod char;
mod chunks;
mod encode;
mod file_limits;
mod library_call;
mod normalizer_growth;
mod portable_patterns;
mod pre_tokenizer;
mod segmentation_lattice;
mod subword_sampler;
mod text_stream;
mod tiktoken;
mod token_bytes;
mod tokenizer_file;
pub(super) mod tokenizer_identity;
mod trial;
mod unigram;
mod vocabulary;
mod wordpiece;

pub use self::encode::Tokenizer;
pub(super) use self::subword_sampler::SubwordSampler;
pub use self::text_stream::TextStream;
pub(super) use self::tokenizer_file::TokenizerFile;
pub use self::tokenizer_identity::portable_tokenizer;

use self::library_call::caught;
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
        let file = TokenizerFile::open(path)?;
        Self::read(&file)
    }

    /// Reads a `tokenizer.json` from any source, and tries it on short texts.
    pub(super) fn from_file(file: &TokenizerFile) -> Result<Self, DataError> {
        let tokenizer = Self::read(file)?;
        portable_patterns::check(&tokenizer.pipeline).map_err(|reason| file.invalid(reason))?;
        trial::run(tokenizer, file)
    }

    fn read(file: &TokenizerFile) -> Result<Self, DataError> {
        let pipeline = file.pipeline()?;
        let tokenizer = caught(|| from_pipeline(pipeline)).and_then(|tokenizer| tokenizer);
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
mod hostile_files;
#[cfg(test)]
mod python_library;
#[cfg(test)]
mod tests;
