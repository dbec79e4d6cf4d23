use super::parameter::{Initializer, ParamGroup, Parameter};
use crate::kernels::operations::*;
use crate::kernels::{Backend, DeviceError, Matrix, Scalar};
use crate::random::Stream;
use crate::spec;
use dfdx::prelude::*;

/// A table (V, V): row `t` is the logits of the token after `t`.
#[derive(Debug, Clone)]
pub struct Bigram<B: Backend> {
    table: Parameter<B>,
}

impl<B: Backend> Bigram<B> {
    pub(super) fn new(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
        stream: Option<&Stream>,
    ) -> Result<Self, DeviceError<B::Device>> {
        let shape = (vocab_size, vocab_size);
        let mut init = Initializer::new(device, stream, &config.init);
        Ok(Self {
            table: init.table("table.weight", ParamGroup::Embedding, shape)?,
        })
    }

    pub(super) fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        B::cross_entropy(self.logits(inputs)?, targets, scale)
    }

    /// Logits of the tokens after these: (N) to (N, V).
    pub(super) fn logits<T: Tape<f32, B::Device>>(
        &self,
        tokens: &[usize],
    ) -> Result<Matrix<B::Device, T>, DeviceError<B::Device>> {
        B::embed(&self.table.value, 1.0, None, tokens, tokens.len(), 0)
    }

    pub(super) fn parameters(&self) -> Vec<&Parameter<B>> {
        vec![&self.table]
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        vec![&mut self.table]
    }
}
