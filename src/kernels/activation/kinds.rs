//! The activation functions. A new one is a variant of [`Mlp`], an arm in [`forward`] and in
//! [`reference`], and a function that returns its value and its derivative.

use super::cpu::{gated, pointwise};
use crate::kernels::cpu::simd::{exp, sigmoid};
use crate::kernels::matrix::{DeviceError, Matrix, columns, merge_tapes};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// 2 √(2/π)
const TWO_SQRT_2_OVER_PI: f32 = 1.595_769_2;
/// The coefficient of x³ in the tanh form of GELU.
const CUBIC: f32 = 0.044_715;
/// The density of the standard normal distribution at 0: 1/√(2π).
const DENSITY_AT_0: f32 = 0.398_942_3;

/// The activation of rows (N, width): (N, width), or (N, width/2) if gated.
///
/// `pre` becomes the derivatives, which [`super::cpu::backward`] needs. So the exponentials are
/// computed once.
pub(in crate::kernels) fn forward(activation: Mlp, pre: &mut [f32], width: usize) -> Vec<f32> {
    match activation {
        Mlp::GeluTanh => pointwise(pre, gelu_tanh),
        Mlp::GeluErf => pointwise(pre, gelu_erf),
        Mlp::Relu => pointwise(pre, relu),
        Mlp::ReluSquared => pointwise(pre, relu_squared),
        Mlp::Silu => pointwise(pre, silu),
        Mlp::Swiglu => gated(pre, width, silu),
        Mlp::Geglu => gated(pre, width, gelu_tanh),
        Mlp::Reglu => gated(pre, width, relu),
    }
}

/// GELU in its tanh form: `x σ(2 √(2/π) (x + 0.044715 x³))` (Hendrycks & Gimpel 2016, section 2).
#[inline(always)]
fn gelu_tanh(x: f32) -> (f32, f32) {
    let square = x * x;
    let s = sigmoid(x * square.mul_add(TWO_SQRT_2_OVER_PI * CUBIC, TWO_SQRT_2_OVER_PI));
    let slope = square.mul_add(3.0 * TWO_SQRT_2_OVER_PI * CUBIC, TWO_SQRT_2_OVER_PI);
    let value = x * s;
    (value, (value * (1.0 - s)).mul_add(slope, s))
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x > 0.0 || x.is_nan() {
        (x, 1.0)
    } else {
        (0.0, 0.0)
    }
}

#[inline(always)]
fn relu_squared(x: f32) -> (f32, f32) {
    let (value, _) = relu(x);
    (value * value, 2.0 * value)
}

#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    let value = x * s;
    (value, value.mul_add(1.0 - s, s))
}

/// `x Φ(x)`, with the derivative `Φ(x) + x φ(x)`. Φ and φ are the standard normal distribution and
/// its density. The tail of Φ comes from a Chebyshev fit of erfc, whose relative error is below
/// 1.2e-7 (Press et al. 1992, Numerical Recipes in C, section 6.2, `erfcc`).
#[inline(always)]
fn gelu_erf(x: f32) -> (f32, f32) {
    const ERFC: [f32; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.5, 1.0);
    let mut power = ERFC[0];
    for coefficient in &ERFC[1..] {
        power = power.mul_add(t, *coefficient);
    }
    let bell = exp(-z * z);
    let tail = 0.5 * t * bell * exp(power);
    let below = if x > 0.0 { 1.0 - tail } else { tail };
    (x * below, below + x * (DENSITY_AT_0 * bell))
}

/// The activation of (N, D), composed of dfdx's own operations: (N, D), or (N, D/2) if gated. The
/// first half of the columns of a gated activation is the gate.
pub(in crate::kernels) fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    activation: Mlp,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    match activation {
        Mlp::GeluTanh => x.try_fast_gelu(),
        Mlp::GeluErf => reference_gelu_erf(x),
        Mlp::Relu => x.try_relu(),
        Mlp::ReluSquared => x.try_relu()?.try_square(),
        Mlp::Silu => reference_silu(x),
        Mlp::Swiglu => reference_gated(x, reference_silu),
        Mlp::Geglu => reference_gated(x, Tensor::try_fast_gelu),
        Mlp::Reglu => reference_gated(x, Tensor::try_relu),
    }
}

/// dfdx 0.13's `accurate_gelu` has the right value, but the term `x φ(x)` of its derivative is too
/// large by a factor of √2. The derivative of `-φ` is `x φ(x)`, so adding a multiple of `φ - φ`,
/// with only the first φ on the tape, corrects it.
fn reference_gelu_erf<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let value = x.with_empty_tape().try_accurate_gelu()?;
    let fixed = density(x.retaped::<NoneTape>())?;
    let zero = density(x)?.try_sub(fixed)?;
    value.try_add(zero.try_mul(std::f32::consts::SQRT_2 - 1.0)?)
}

/// The density `φ` of the standard normal distribution.
fn density<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    x.try_square()?
        .try_mul(-0.5)?
        .try_exp()?
        .try_mul(DENSITY_AT_0)
}

fn reference_silu<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    x.with_empty_tape().try_sigmoid()?.try_mul(x)
}

/// `f(a) b` of rows that are a and b side by side: (N, D) to (N, D/2).
fn reference_gated<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    f: impl Fn(Matrix<D, T>) -> Result<Matrix<D, T>, DeviceError<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let d = x.shape().1;
    let (gate, up) = (columns(&x, 0..d / 2)?, columns(&x, d / 2..d)?);
    Ok(merge_tapes(up.try_mul(f(gate)?)?, [x]))
}
