//! Linear layers: `y = x Wᵀ + b`, with weights stored (out, in) as in PyTorch.

pub(super) mod cpu;
pub(super) mod packed_rows;

use super::{DeviceError, Matrix};
use dfdx::prelude::*;

/// ReferenceBackend of dfdx's own operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    weight: &Matrix<D>,
    bias: Option<&Matrix<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    // On dfdx's own terms the weight has a tape too, or its transposition would not be recorded.
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

/// Adds a row (1, C) to each row of (N, C).
pub(super) fn add_row<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    row: &Matrix<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let shape = *x.shape();
    x.try_add(broadcast_row::<D, T>(row, shape)?)
}

/// A row (1, C) repeated to (N, C).
pub(super) fn broadcast_row<D: Device<f32>, T: Tape<f32, D>>(
    row: &Matrix<D>,
    shape: (usize, usize),
) -> Result<Matrix<D, T>, DeviceError<D>> {
    row.retaped::<T>()
        .try_reshape_like(&(shape.1,))?
        .try_broadcast_like::<_, Axis<0>>(&shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
    use crate::kernels::{Backend, CpuBackend};
    use crate::spec::Mlp;
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
        fn folding_the_activation_in_changes_nothing(n in 1usize..70, c in 1usize..40, d in 1usize..20, seed: u64) {
            for activation in Mlp::ALL {
                let inputs = matrices(seed, &[(n, c), (2 * d, c), (1, 2 * d)]);
                check_against_reference(&inputs,
                    |x| super::super::activation::reference(reference(x[0].retaped(), &x[1], Some(&x[2]))?, activation),
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
        // A difference over the kink of a ReLU is no gradient.
        let smooth = |mlp: &Mlp| !matches!(mlp, Mlp::Relu | Mlp::Reglu);
        for activation in Mlp::ALL.into_iter().filter(smooth) {
            check_gradient(&inputs, |x| {
                CpuBackend::linear_activation(x[0].retaped(), &x[1], Some(&x[2]), activation)
            });
        }
    }
}
