//! The nonlinearity of the MLP.

pub(super) mod cpu;

use super::column_slices::{columns, with_tapes};
use super::{DeviceError, Matrix};
use crate::spec::Mlp;
use dfdx::prelude::*;

/// Columns that come out where `width` go in: half of them where one half gates the other.
pub(super) fn output_width(activation: Mlp, width: usize) -> usize {
    if activation.gated() { width / 2 } else { width }
}

/// The activation of (N, D), to (N, D); of a gated one, whose columns are the gate and then what it
/// lets through, to (N, D/2). ReferenceBackend of dfdx's own operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    activation: Mlp,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    match activation {
        Mlp::Gelu => x.try_fast_gelu(),
        Mlp::GeluExact => gelu_exact(x),
        Mlp::Relu => x.try_relu(),
        Mlp::ReluSquared => x.try_relu()?.try_square(),
        Mlp::Silu => silu(x),
        Mlp::Swiglu => gated(x, silu),
        Mlp::Geglu => gated(x, Tensor::try_fast_gelu),
        Mlp::Reglu => gated(x, Tensor::try_relu),
    }
}

/// dfdx 0.13's `accurate_gelu` has the right value, and a factor √2 too much in the part `x φ(x)` of
/// its slope. As the slope of `-φ` is `x φ(x)`, what is too much goes with a term that is 0.
fn gelu_exact<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let value = x.with_empty_tape().try_accurate_gelu()?;
    let fixed = density(x.retaped::<NoneTape>())?;
    let zero = density(x)?.try_sub(fixed)?;
    value.try_add(zero.try_mul(std::f32::consts::SQRT_2 - 1.0)?)
}

/// The normal distribution's density `φ`.
fn density<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    /// 1/√(2π)
    const AT_0: f32 = 0.398_942_3;
    x.try_square()?.try_mul(-0.5)?.try_exp()?.try_mul(AT_0)
}

fn silu<D: Device<f32>, T: Tape<f32, D>>(x: Matrix<D, T>) -> Result<Matrix<D, T>, DeviceError<D>> {
    x.with_empty_tape().try_sigmoid()?.try_mul(x)
}

/// `f(a) b` of rows of `a` and then `b`.
fn gated<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    f: impl Fn(Matrix<D, T>) -> Result<Matrix<D, T>, DeviceError<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let d = x.shape().1;
    let (gate, up) = (columns(&x, 0..d / 2)?, columns(&x, d / 2..d)?);
    Ok(with_tapes(up.try_mul(f(gate)?)?, [x]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, matrices};

    #[test]
    fn gradients_of_the_reference_agree_with_finite_differences() {
        // A difference over the kink of a ReLU is no gradient.
        let smooth = |mlp: &Mlp| !matches!(mlp, Mlp::Relu | Mlp::Reglu);
        for activation in Mlp::ALL.into_iter().filter(smooth) {
            check_gradient(&matrices(4, &[(5, 6)]), |x| {
                reference(x[0].retaped(), activation)
            });
        }
    }
}
