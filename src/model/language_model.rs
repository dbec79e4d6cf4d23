use super::bigram::Bigram;
use super::blocks::dropouts::DropoutContext;
use super::gpt::Gpt;
use super::initializer::{Initializer, ParameterShape};
use super::parameter::{Parameter, Parameters, impl_parameters};
use crate::kernels::{Backend, CpuBackend, DeviceError, Matrix, Scalar};
use crate::random::Stream;
use crate::spec::{self, ModelKind};
use dfdx::prelude::*;

/// A language model: token ids in, logits for the next token out.
#[derive(Debug, Clone)]
pub enum Model<B: Backend> {
    Bigram(Bigram<B>),
    Gpt(Box<Gpt<B>>),
}

impl_parameters!(
    enum Model {
        Bigram,
        Gpt,
    }
);

impl<B: Backend> Model<B> {
    /// A model with new weights, drawn from the stream `init` of the seed.
    ///
    /// # Errors
    /// If the device has no memory for it.
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
        let mut init = Initializer::random(device, &config.init, &stream);
        Self::build(&mut init, device, config, vocab_size)
    }

    /// A model whose weights are to be loaded. Matrices are zero until then.
    ///
    /// # Errors
    /// If the device has no memory for it.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn zeros(
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        let mut init = Initializer::zeros(device, &config.init);
        Self::build(&mut init, device, config, vocab_size)
    }

    fn build(
        init: &mut Initializer<B>,
        device: &B::Device,
        config: &spec::Model,
        vocab_size: usize,
    ) -> Result<Self, DeviceError<B::Device>> {
        Ok(match config.kind {
            ModelKind::Bigram => Self::Bigram(Bigram::new(init, vocab_size)?),
            ModelKind::Ngram => unreachable!("an n-gram model is counted, not trained"),
            ModelKind::Gpt => Self::Gpt(Box::new(Gpt::new(init, device, config, vocab_size)?)),
        })
    }

    /// `scale` times the summed cross-entropy, in nats, of the token after each input token.
    ///
    /// `inputs` and `targets` are (N), in sequences of `block` tokens. Dropout is applied if `dropout`
    /// is given.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn loss<T: Tape<f32, B::Device>>(
        &self,
        inputs: &[usize],
        targets: &[usize],
        block: usize,
        scale: f32,
        dropout: Option<DropoutContext>,
    ) -> Result<Scalar<B::Device, T>, DeviceError<B::Device>> {
        match self {
            Self::Bigram(model) => model.loss(inputs, targets, scale),
            Self::Gpt(model) => model.loss(inputs, targets, block, scale, dropout),
        }
    }

    /// Logits (1, V) for the token after `tokens`, without a cache. A [`super::Decoder`] is faster for more
    /// than one token.
    ///
    /// # Errors
    /// If the device has no memory for it.
    ///
    /// # Panics
    /// If `tokens` is empty, or longer than the block size.
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
        let mut all = Vec::new();
        self.visit(&mut |parameter| all.push(parameter));
        all
    }

    /// [`Self::parameters`] with mutable access.
    pub fn parameters_mut(&mut self) -> Vec<&mut Parameter<B>> {
        let mut all = Vec::new();
        self.visit_mut(&mut |parameter| all.push(parameter));
        all
    }
}

/// The shapes of all parameters of a model, in the order in which they are made. The constructors of
/// the layers run, but allocate no values. An n-gram model has no parameters.
pub(super) fn parameter_shapes(config: &spec::Model, vocab_size: usize) -> Vec<ParameterShape> {
    if config.kind == ModelKind::Ngram {
        return Vec::new();
    }
    let device = Cpu::default();
    let mut init = Initializer::<CpuBackend>::shapes_only(&device, &config.init);
    let model = Model::build(&mut init, &device, config, vocab_size);
    model.expect("empty matrices need no memory");
    init.into_shapes()
}
