//! The networks, on dfdx tensors, generic over the device.
//!
//! Letters in shapes: B sequences in a batch, T tokens in a sequence, N = B*T, C = `n_embd`, V the
//! vocabulary, H the MLP's hidden width.

mod bigram;
mod decoder;
mod generation;
mod gpt;
mod parameter;
mod sampler;
mod size;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod weights;

pub use decoder::Decoder;
pub use generation::{generate, prompt_tokens};
pub use parameter::{ParamGroup, Parameter};
pub use size::{Size, size};
pub use weights::{Matrices, WeightsError, write_matrices};

use crate::kernels::{Backend, DeviceError, Matrix, Scalar};
use crate::random::Stream;
use crate::spec::{self, ModelKind};
use bigram::Bigram;
use dfdx::prelude::*;
use gpt::Gpt;

/// A language model: token ids in, logits for the next token out.
#[derive(Debug, Clone)]
pub enum Model<B: Backend> {
    Bigram(Bigram<B>),
    Gpt(Box<Gpt<B>>),
}

/// The randomness of one training step.
#[derive(Debug, Clone, Copy)]
pub struct DropoutContext<'a> {
    /// The stream `dropout` of the run's seed.
    pub stream: &'a Stream,
    pub step: u64,
    /// Index in the whole batch of the first row (of N) at hand, for a batch cut into shards.
    pub first_row: usize,
}

impl<B: Backend> Model<B> {
    /// A model with fresh weights, drawn from the stream `init` of the seed.
    ///
    /// # Panics
    /// If the kind is `ngram`, which has no weights: see [`crate::data::NgramCounts`].
    pub fn new(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
        seed: u64,
    ) -> Result<Self, DeviceError<B::Device>> {
        let stream = Stream::new(seed, "init");
        Self::build(device, config, vocab_size, Some(&stream))
    }

    /// A model whose weights are all zero, to be loaded.
    pub fn zeros(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        Self::build(device, config, vocab_size, None)
    }

    fn build(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
        stream: Option<&Stream>,
    ) -> Result<Self, DeviceError<B::Device>> {
        Ok(match config.kind {
            ModelKind::Bigram => Self::Bigram(Bigram::new(device, config, vocab_size, stream)?),
            ModelKind::Ngram => unreachable!("an n-gram model is counted, not trained"),
            ModelKind::Gpt => Self::Gpt(Box::new(Gpt::new(device, config, vocab_size, stream)?)),
        })
    }

    /// `scale` times the summed cross-entropy, in nats, of each token's successor.
    ///
    /// `inputs` and `targets` are (N), in sequences of `block` tokens. Drops out where `noise` is
    /// given.
    pub fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        block: usize,
        scale: f32,
        noise: Option<DropoutContext>,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        match self {
            Self::Bigram(model) => model.loss(inputs, targets, scale),
            Self::Gpt(model) => model.loss(inputs, targets, block, scale, noise),
        }
    }

    /// Logits (1, V) for the token after the last of `tokens`, of which there is at least one and
    /// at most the block size. What a [`Decoder`] comes to in less time.
    pub fn next_logits(
        &self,
        tokens: &[usize],
    ) -> Result<Matrix<B::Device>, DeviceError<B::Device>> {
        match self {
            Self::Bigram(model) => model.logits(&tokens[tokens.len() - 1..]),
            Self::Gpt(model) => model.next_logits(tokens, tokens.len(), None),
        }
    }

    /// All parameters, in a fixed order, with names as in PyTorch's nanoGPT.
    pub fn parameters(&self) -> Vec<&Parameter<B>> {
        match self {
            Self::Bigram(model) => model.parameters(),
            Self::Gpt(model) => model.parameters(),
        }
    }

    /// [`Self::parameters`], to be updated.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        match self {
            Self::Bigram(model) => model.parameters_mut(),
            Self::Gpt(model) => model.parameters_mut(),
        }
    }
}
