//! Text, tokens and batches.
//!
//! [`prepare`] turns a source of text into an encoded corpus, once for each distinct pair of data
//! and tokenizer; [`open`] maps one into memory; [`Batches`] draws windows from it.

mod batches;
mod bigram;
mod corpus;
pub mod download;
mod epochs;
mod error;
mod ngram;
pub mod plays;
mod source;
mod store;
mod tokenizer;
mod tokens;

pub use batches::{Batch, Batches};
pub use corpus::{Corpus, Split, check_sequence_length, open, prepare};
pub use epochs::TrainingSplit;
pub use error::DataError;
pub use ngram::Ngram;
pub use store::remove_leftovers;
pub use tokenizer::{TextStream, Tokenizer};
pub use tokens::Tokens;
