//! The CPU for drawing text: a few rows at a time, with no way back.

use super::cpu::simd::add_assign;
use super::cpu::storage::{matrix, slice};
use super::{
    Backend, CpuBackend, Dropout, Heads, Matrix, Normalization, Rotary, activation, linear,
};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// The kernels of [`CpuBackend`], but for linear layers, whose weights lie otherwise here: see
/// [`Self::laid`].
///
/// Every element of a result is the same sum in the same order whatever the other rows are. So a
/// token comes out the same to the bit whether the tokens before it are remembered or computed
/// again, and whether its sequence is alone or one of several. Up to 512 inputs, products of
/// [`CpuBackend`] are made in this order too; beyond, they differ in the last digits.
#[derive(Debug, Clone)]
pub struct DecodeBackend;

impl DecodeBackend {
    /// A weight (out, in) as it lies here: (in, out) by its shape, in panels in memory.
    pub fn laid(weight: &Matrix<Cpu>) -> Matrix<Cpu> {
        let (d, c) = *weight.shape();
        matrix((c, d), linear::packed_rows::laid(slice(weight), (d, c)))
    }
}

/// `x W + b`, plus `residual` where given, as the sums of [`linear::cpu`] begin.
fn product(
    x: &Matrix<Cpu>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Vec<f32> {
    let d = weight.shape().1;
    let mut y = match residual {
        Some(residual) => slice(residual).to_vec(),
        None => vec![0.0; x.shape().0 * d],
    };
    if let Some(bias) = bias {
        y.chunks_exact_mut(d)
            .for_each(|row| add_assign(row, slice(bias)));
    }
    linear::packed_rows::Product { x, weight }.add_to(&mut y);
    y
}

impl Backend for DecodeBackend {
    type Device = Cpu;
    type LayerCache = <CpuBackend as Backend>::LayerCache;

    fn embed<T: Tape<f32, Cpu>>(
        table: &Matrix<Cpu>,
        scale: f32,
        positions: Option<&Matrix<Cpu>>,
        tokens: &[usize],
        block: usize,
        first: usize,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        CpuBackend::embed(table, scale, positions, tokens, block, first)
    }

    fn norm<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        kind: Normalization,
        gain: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        CpuBackend::norm(x, kind, gain, bias)
    }

    fn linear<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        let (x, tape) = x.split_tape();
        let shape = (x.shape().0, weight.shape().1);
        Ok(matrix(shape, product(&x, weight, bias, None)).put_tape(tape))
    }

    fn linear_residual<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
        residual: &Matrix<Cpu>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        let (x, tape) = x.split_tape();
        let y = product(&x, weight, bias, Some(residual));
        Ok(matrix(*residual.shape(), y).put_tape(tape))
    }

    fn linear_activation<T: Tape<f32, Cpu>>(
        x: Matrix<Cpu, T>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
        activation: Mlp,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        let (x, tape) = x.split_tape();
        let (n, d) = (x.shape().0, weight.shape().1);
        let mut pre = product(&x, weight, bias, None);
        let y = activation::cpu::forward(activation, &mut pre, d);
        let width = activation::output_width(activation, d);
        Ok(matrix((n, width), y).put_tape(tape))
    }

    fn qk_norm<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        gains: [&Matrix<Cpu>; 2],
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        CpuBackend::qk_norm(qkv, heads, gains)
    }

    fn rotary<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        rotary: &Rotary,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        CpuBackend::rotary(qkv, heads, rotary)
    }

    fn attention<T: Tape<f32, Cpu>>(
        qkv: Matrix<Cpu, T>,
        heads: Heads,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<Cpu, T>, CpuError> {
        CpuBackend::attention(qkv, heads, dropout)
    }

    fn attention_cached(
        qkv: &Matrix<Cpu>,
        heads: Heads,
        memory: &mut Self::LayerCache,
    ) -> Result<Matrix<Cpu>, CpuError> {
        CpuBackend::attention_cached(qkv, heads, memory)
    }
}
