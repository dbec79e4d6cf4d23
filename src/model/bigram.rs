use super::initializer::Initializer;
use super::parameter::{ParamGroup, Parameter, impl_parameters};
use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, Matrix, Scalar};
use dfdx::prelude::*;

/// A bigram model: a trained table (V, V) whose row `t` holds the logits of the token after `t`.
#[derive(Debug, Clone)]
pub struct Bigram<B: Backend> {
    table: Parameter<B>,
}

impl_parameters!(Bigram { table });

impl<B: Backend> Bigram<B> {
    pub(super) fn new(
        init: &mut Initializer<B>,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        let shape = (vocab_size, vocab_size);
        Ok(Self {
            table: init.table("table.weight", ParamGroup::Embedding, shape)?,
        })
    }

    /// See [`super::Model::loss`].
    pub(super) fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        B::cross_entropy(self.logits(inputs)?, targets, scale)
    }

    /// Logits of the token after each of `tokens`: (N) to (N, V).
    pub(super) fn logits<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::embed(&self.table.value, 1.0, None, tokens, tokens.len(), 0)
    }
}

/// Floating-point operations per training token, forward and backward: a softmax over a row of V
/// logits and its gradient. There is no matrix product.
pub(super) fn flops_per_token(vocab_size: usize) -> f64 {
    6.0 * vocab_size as f64
}
