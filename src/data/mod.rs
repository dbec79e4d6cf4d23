//! Text, tokens and batches.
//!
//! [`prepare`] turns a source of text into an encoded corpus, once for each combination of text and
//! tokenizer. [`open`] maps a corpus into memory. [`Batches`] selects the sequences of a training
//! step.
//!
//! - `sources` finds the text, and `formats` reads it from the bytes of a file.
//! - `plays` generates the text of `builtin:plays`.
//! - `tokenizer` turns text into tokens and back.
//! - `corpus_cache` and `token_file` store an encoded corpus, in a [`crate::results::PartialFolder`] until it is complete.
//! - `epochs` and `batches` read it for training.
//! - `parallel_map` spreads work over the processor cores.
//! - `ngram_counts` and `bigram_baseline` count token sequences.

mod batches;
mod bigram_baseline;
mod corpus;
mod corpus_cache;
mod data_error;
mod epochs;
mod formats;
mod ngram_counts;
mod parallel_map;
pub mod plays;
mod prepare;
mod size_limit;
mod sources;
mod token_file;
mod tokenizer;

pub use batches::{Batch, Batches};
pub use corpus::{Corpus, Split, check_sequence_length, open, verify};
pub use corpus_cache::{remove_cache, remove_leftovers};
pub use data_error::DataError;
pub use epochs::TrainingSplit;
pub use ngram_counts::NgramCounts;
pub use prepare::{prepare, prepare_test, prepare_with_notices};
pub use sources::download;
pub use token_file::Tokens;
pub use tokenizer::{TextStream, Tokenizer, portable_tokenizer};

#[cfg(test)]
mod tests;
