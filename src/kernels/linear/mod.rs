//! Linear layers: `y = x Wᵀ + b`, with weights (out, in) as in PyTorch.

pub(super) mod cpu;
mod decode;

use super::activation;
use super::backend::operation;
use super::cpu::matmul::{Bf16Products, F32Products};
use super::matrix::{DeviceError, Matrix, add_row};
use crate::spec::Mlp;
pub use decode::packed;
use dfdx::prelude::*;

operation! {
    /// `x Wᵀ + b`, for x (N, C), weight (D, C) and bias (1, D): (N, D).
    pub Linear, trait LinearMethod {
        fn linear<'a, D, T>(
            x: Matrix<D, T>,
            weight: &'a Matrix<D>,
            bias: Option<&'a Matrix<D>>,
        ) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::linear::<F32Products, _>,
    bf16: cpu::linear::<Bf16Products, _>,
    decode: decode::linear,
    input: x,
    parameter: weight,
}

operation! {
    /// `residual + x Wᵀ + b`, for x (N, C), weight (D, C), bias (1, D) and residual (N, D): (N, D).
    /// Ends each branch of a block.
    pub LinearResidual, trait LinearResidualMethod {
        fn linear_residual<'a, D, T>(
            x: Matrix<D, T>,
            weight: &'a Matrix<D>,
            bias: Option<&'a Matrix<D>>,
            residual: &'a Matrix<D>,
        ) -> Matrix<D, T>;
    }
    reference: reference_residual,
    cpu: cpu::linear_residual::<F32Products, _>,
    bf16: cpu::linear_residual::<Bf16Products, _>,
    decode: decode::linear_residual,
    input: x,
    parameter: weight,
}

operation! {
    /// `activation(x Wᵀ + b)`, for x (N, C), weight (D, C) and bias (1, D): (N, D), or (N, D/2) for
    /// a gated activation. The first half of its columns is the gate.
    pub LinearActivation, trait LinearActivationMethod {
        fn linear_activation<'a, D, T>(
            x: Matrix<D, T>,
            weight: &'a Matrix<D>,
            bias: Option<&'a Matrix<D>>,
            activation: Mlp,
        ) -> Matrix<D, T>;
    }
    reference: reference_activation,
    cpu: cpu::linear_activation::<F32Products, _>,
    bf16: cpu::linear_activation::<Bf16Products, _>,
    decode: decode::linear_activation,
    input: x,
    parameter: weight,
}

fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    weight: &Matrix<D>,
    bias: Option<&Matrix<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    // The weight needs a tape too, or dfdx would not record its transposition.
    let y = x.try_matmul(
        weight
            .retaped::<T>()
            .try_permute::<(usize, usize), Axes2<1, 0>>()?,
    )?;
    match bias {
        Some(bias) => add_row(y, bias),
        None => Ok(y),
    }
}

fn reference_residual<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    weight: &Matrix<D>,
    bias: Option<&Matrix<D>>,
    residual: &Matrix<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    reference(x, weight, bias)?.try_add(residual.clone())
}

fn reference_activation<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    weight: &Matrix<D>,
    bias: Option<&Matrix<D>>,
    activation: Mlp,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    activation::kinds::reference(reference(x, weight, bias)?, activation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{
        check_against_reference, check_bf16_against_reference, check_gradient, matrices,
    };
    use crate::kernels::{Bf16Backend, CpuBackend};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernels_agree_with_the_reference(n in 1usize..70, c in 1usize..40, d in 1usize..40, seed: u64) {
            let inputs = matrices(seed, &[(n, c), (d, c), (1, d), (n, d)]);
            check_against_reference(&inputs, |x| reference(x[0].retaped(), &x[1], None),
                |x| CpuBackend::linear(x[0].retaped(), &x[1], None))?;
            check_against_reference(&inputs, |x| reference(x[0].retaped(), &x[1], Some(&x[2])),
                |x| CpuBackend::linear(x[0].retaped(), &x[1], Some(&x[2])))?;
            check_against_reference(&inputs, |x| reference(x[0].retaped(), &x[1], Some(&x[2]))?.try_add(x[3].clone()),
                |x| CpuBackend::linear_residual(x[0].retaped(), &x[1], Some(&x[2]), &x[3]))?;
        }

        #[test]
        fn bf16_is_close_to_the_reference(n in 1usize..70, c in 1usize..40, d in 1usize..40, seed: u64) {
            let inputs = matrices(seed, &[(n, c), (d, c), (1, d), (n, d)]);
            check_bf16_against_reference(&inputs, |x| reference(x[0].retaped(), &x[1], Some(&x[2])),
                |x| Bf16Backend::linear(x[0].retaped(), &x[1], Some(&x[2])))?;
            check_bf16_against_reference(&inputs, |x| reference_residual(x[0].retaped(), &x[1], Some(&x[2]), &x[3]),
                |x| Bf16Backend::linear_residual(x[0].retaped(), &x[1], Some(&x[2]), &x[3]))?;
            check_bf16_against_reference(&inputs, |x| reference_activation(x[0].retaped(), &x[1], None, Mlp::Silu),
                |x| Bf16Backend::linear_activation(x[0].retaped(), &x[1], None, Mlp::Silu))?;
        }

        #[test]
        fn linear_activation_is_linear_then_activation(n in 1usize..70, c in 1usize..40, d in 1usize..20, seed: u64) {
            for activation in Mlp::ALL {
                let inputs = matrices(seed, &[(n, c), (2 * d, c), (1, 2 * d)]);
                check_against_reference(&inputs,
                    |x| activation::kinds::reference(reference(x[0].retaped(), &x[1], Some(&x[2]))?, activation),
                    |x| CpuBackend::linear_activation(x[0].retaped(), &x[1], Some(&x[2]), activation))?;
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let inputs = matrices(1, &[(5, 4), (6, 4), (1, 6), (5, 6)]);
        check_gradient(&inputs, |x| {
            CpuBackend::linear_residual(x[0].retaped(), &x[1], Some(&x[2]), &x[3])
        });
        // A finite difference across the kink of a ReLU is not the gradient.
        let smooth = |mlp: &Mlp| !matches!(mlp, Mlp::Relu | Mlp::Reglu);
        for activation in Mlp::ALL.into_iter().filter(smooth) {
            check_gradient(&inputs, |x| {
                CpuBackend::linear_activation(x[0].retaped(), &x[1], Some(&x[2]), activation)
            });
        }
    }
}
