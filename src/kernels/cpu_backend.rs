use super::cpu::storage;
use super::{
    Backend, Dropout, GradientSum, Head, Heads, Matrix, Normalization, Rotary, Scalar, UpdateRule,
    attention, cross_entropy, dropout, embedding, gradient_sum, linear, norm, qk_norm, rotary,
};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// The CPU, by the kernels of this folder.
#[derive(Debug, Clone)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    type Device = Cpu;
    type LayerCache = attention::LayerCache;

    fn embed<T: Tape<f32, Cpu>>(
        table: &Matrix<Cpu>,
        scale: f32,
        positions: Option<&Matrix<Cpu>>,
        tokens: &[usize],
        block: usize,
        first: usize,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        embedding::cpu::embed(table, scale, positions, tokens, block, first)
    }

    fn norm<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        kind: Normalization,
        gain: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        norm::cpu::norm(x, kind, gain, bias)
    }

    fn linear<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        linear::cpu::linear(x, weight, bias, None)
    }

    fn linear_residual<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
        residual: &Matrix<Cpu>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        linear::cpu::linear(x, weight, bias, Some(residual))
    }

    fn linear_activation<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
        activation: Mlp,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        linear::cpu::linear_activation(x, weight, bias, activation)
    }

    fn qk_norm<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        gains: [&Matrix<Cpu>; 2],
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        qk_norm::cpu::qk_norm(qkv, heads, gains)
    }

    fn rotary<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        rotary: &Rotary,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        rotary::cpu::rotary(qkv, heads, rotary)
    }

    fn attention<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        attention::cpu::attention(qkv, heads, dropout)
    }

    fn attention_cached(
        qkv: &Matrix<Cpu>,
        heads: Heads,
        memory: &mut Self::LayerCache,
    ) -> Result<Matrix<Cpu>, CpuError> {
        attention::cached::attention(qkv, heads, memory)
    }

    fn dropout<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        dropout: Dropout,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        dropout::cpu::dropout(x, dropout)
    }

    fn cross_entropy<T: Tape<f32, Cpu>>(
        logits: Matrix<Cpu, T>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Cpu, T>, CpuError> {
        cross_entropy::cpu::cross_entropy(logits, targets, scale)
    }

    fn head_cross_entropy<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        head: Head<Cpu>,
        targets: &[usize],
        scale: f32,
    ) -> Result<Scalar<Cpu, T>, CpuError> {
        cross_entropy::cpu::head_cross_entropy(x, head, targets, scale)
    }

    fn take_gradient(
        gradients: &mut Gradients<f32, Cpu>,
        parameter: &Matrix<Cpu>,
    ) -> Result<Matrix<Cpu>, CpuError> {
        let gradient = std::mem::take(&mut **gradients.get_or_alloc_mut(parameter)?);
        Ok(storage::matrix(*parameter.shape(), gradient))
    }

    fn sum_gradients(shards: Vec<Matrix<Cpu>>) -> Result<GradientSum<Cpu>, CpuError> {
        Ok(gradient_sum::cpu::sum(shards))
    }

    fn update<const STATES: usize>(
        rule: &impl UpdateRule<STATES>,
        parameter: &mut Matrix<Cpu>,
        gradient: &Matrix<Cpu>,
        state: &mut [Matrix<Cpu>; STATES],
    ) -> Result<(), CpuError> {
        let shape = *parameter.shape();
        let state = state.each_mut().map(storage::slice_mut);
        rule.cpu(
            shape,
            storage::slice_mut(parameter),
            storage::slice(gradient),
            state,
        );
        Ok(())
    }
}
