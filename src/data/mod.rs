//! Text, tokens and batches.
//!
//! [`prepare`] turns a source of text into an encoded corpus, once for each distinct pair of data
//! and tokenizer; [`open`] maps one into memory; [`Batches`] draws windows from it.

mod batches;
mod bigram_baseline;
mod corpus;
mod corpus_cache;
mod data_error;
pub mod download;
mod epochs;
mod ngram_counts;
pub mod plays;
mod sources;
mod token_file;
mod tokenizer;

pub use batches::{Batch, Batches};
pub use corpus::{Corpus, Split, check_sequence_length, open, prepare};
pub use corpus_cache::remove_leftovers;
pub use data_error::DataError;
pub use epochs::TrainingSplit;
pub use ngram_counts::NgramCounts;
pub use token_file::Tokens;
pub use tokenizer::{TextStream, Tokenizer};
