//! The language models, on dfdx tensors, generic over the backend.
//!
//! Letters in shapes:
//! - B: sequences in a batch; T: tokens in a sequence; N = B * T: rows, one for each token
//! - C: width of the residual stream, `n_embd`; H: hidden width of the MLP; V: size of the vocabulary
//! - hs: width of an attention head; kv: number of heads of keys and values
//! - D: outputs of a linear layer; P: longest context, `block_size`

mod bigram;
mod blocks;
mod decoder;
mod generation;
mod gpt;
mod initializer;
mod kv_cache;
mod language_model;
mod matrix_file;
mod parameter;
mod sampler;
mod size;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod weights;

pub use blocks::dropouts::DropoutContext;
pub use blocks::positions::sinusoids;
pub use decoder::Decoder;
pub use generation::{generate, prompt_tokens};
pub use language_model::Model;
pub use matrix_file::{Matrices, MatricesError, read_text, write_matrices};
pub use parameter::{ParamGroup, Parameter};
pub use size::{Size, size};
pub use weights::{WeightsError, check_weights, have_same_weights};
