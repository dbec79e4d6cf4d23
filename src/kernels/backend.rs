use super::{
    DeviceError, Dropout, GradientSum, Head, Heads, Matrix, Normalization, Rotary, Scalar,
    UpdateRule, activation, attention, cross_entropy, dropout, embedding, gradient_sum, linear,
    norm, qk_norm, rotary,
};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// A way to carry out the operations of a language model on a dfdx device.
///
/// The first argument carries the tape (`T`: `OwnedTape` in training, `NoneTape` in evaluation);
/// parameters are plain tensors, whose gradients are found on the tape by their identity.
///
/// An operation of the forward pass that is added here is added to [`NanCheckBackend`] too.
pub trait Backend: std::fmt::Debug + Clone + 'static {
    type Device: Device<f32>;
    /// What [`Self::attention_cached`] keeps from call to call. Empty at first.
    type LayerCache: std::fmt::Debug + Clone + Default;

    /// Rows of a table: `tokens` (N) and a table (V, C) give (N, C), times `scale`, plus row
    /// `first + n % block` of `positions` (P, C) where given, `block` being the length of the
    /// sequences in `tokens` and `first` the position of their first token.
    fn embed<T: Tape<f32, Self::Device>>(
        table: &Matrix<Self::Device>,
        scale: f32,
        positions: Option<&Matrix<Self::Device>>,
        tokens: &[usize],
        block: usize,
        first: usize,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        embedding::reference(table, scale, positions, tokens, block, first)
    }

    /// LayerNorm or RMSNorm of each row of (N, C) with gain (1, C) and, optionally, bias (1, C).
    fn norm<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        kind: Normalization,
        gain: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        norm::reference(x, kind, gain, bias)
    }

    /// `x Wᵀ + b`: (N, C), weight (D, C) and bias (1, D) give (N, D).
    fn linear<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        linear::reference(x, weight, bias)
    }

    /// `residual + x Wᵀ + b`: the end of each branch of a block, back on the residual stream.
    fn linear_residual<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
        residual: &Matrix<Self::Device>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        linear::reference(x, weight, bias)?.try_add(residual.clone())
    }

    /// `activation(x Wᵀ + b)`: (N, C) and weight (D, C) give (N, D), or (N, D/2) for a gated
    /// activation, whose gate is the first half of the columns.
    fn linear_activation<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        weight: &Matrix<Self::Device>,
        bias: Option<&Matrix<Self::Device>>,
        activation: Mlp,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        activation::reference(linear::reference(x, weight, bias)?, activation)
    }

    /// RMSNorm of each head of queries and of keys, with a gain (1, hs) for either; the columns of
    /// (N, width) are as [`Heads`] says.
    fn qk_norm<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        gains: [&Matrix<Self::Device>; 2],
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        qk_norm::reference(qkv, heads, gains)
    }

    /// Turns queries and keys by their place in their sequence.
    fn rotary<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        rotary: &Rotary,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        rotary::reference(qkv, heads, rotary)
    }

    /// Causal self-attention: (N, width), whose columns are as [`Heads`] says, gives (N, C), the
    /// heads of queries side by side (Vaswani et al. 2017, section 3.2).
    fn attention<T: Tape<f32, Self::Device>>(
        qkv: Matrix<Self::Device, T>,
        heads: Heads,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        attention::reference(qkv, heads, dropout)
    }

    /// [`Self::attention`] of new tokens, `heads.block` of each sequence, which also see those that
    /// `memory` has of it, and are then in it too.
    fn attention_cached(
        qkv: &Matrix<Self::Device>,
        heads: Heads,
        memory: &mut Self::LayerCache,
    ) -> Result<Matrix<Self::Device>, DeviceError<Self::Device>>;

    /// Drops elements of (N, C) and scales up the rest, so that the mean stays.
    fn dropout<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        dropout: Dropout,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        dropout::reference(x, dropout)
    }

    /// `scale` times the summed cross-entropy, in nats, of logits (N, V) against classes (N).
    fn cross_entropy<T: Tape<f32, Self::Device>>(
        logits: Matrix<Self::Device, T>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Self::Device, T>, DeviceError<Self::Device>> {
        cross_entropy::reference(logits, targets, scale)
    }

    /// Logits (N, V) of the last activations (N, C).
    fn logits<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        head: Head<Self::Device>,
    ) -> Result<Matrix<Self::Device, T>, DeviceError<Self::Device>> {
        let logits = Self::linear(x, head.weight, head.bias)?;
        cross_entropy::soft_capped(logits, head.soft_cap)
    }

    /// [`Self::logits`] followed by [`Self::cross_entropy`], without the logits ever being there as
    /// a whole.
    fn head_cross_entropy<T: Tape<f32, Self::Device>>(
        x: Matrix<Self::Device, T>,
        head: Head<Self::Device>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Self::Device, T>, DeviceError<Self::Device>> {
        cross_entropy::reference(Self::logits(x, head)?, targets, scale)
    }

    /// Takes the gradient of a parameter out of what `backward` returned; zeros if it took no part.
    fn take_gradient(
        gradients: &mut Gradients<f32, Self::Device>,
        parameter: &Matrix<Self::Device>,
    ) -> Result<Matrix<Self::Device>, DeviceError<Self::Device>> {
        gradients.get_or_alloc_mut(parameter)?;
        Ok(gradients.get(parameter))
    }

    /// Adds the gradients of the shards of a batch, in order, and returns the sum's squared norm.
    fn sum_gradients(
        shards: Vec<Matrix<Self::Device>>,
    ) -> Result<GradientSum<Self::Device>, DeviceError<Self::Device>> {
        gradient_sum::reference::sum(shards)
    }

    /// Updates a parameter and the state of its rule in place.
    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<Self::Device>,
        gradient: &Matrix<Self::Device>,
        state: &mut [Matrix<Self::Device>; STATES],
    ) -> Result<(), DeviceError<Self::Device>> {
        rule.reference(parameter, gradient, state.each_mut())
    }
}

/// Any dfdx device, by dfdx's own operations alone: the path on CUDA, and the oracle on the CPU.
#[derive(Debug, Clone)]
pub struct ReferenceBackend<D>(std::marker::PhantomData<D>);

impl<D: Device<f32>> Backend for ReferenceBackend<D> {
    type Device = D;
    type LayerCache = attention::Rows;

    fn attention_cached(
        qkv: &Matrix<D>,
        heads: Heads,
        memory: &mut Self::LayerCache,
    ) -> Result<Matrix<D>, DeviceError<D>> {
        attention::reference_recalling(qkv, heads, memory)
    }
}
