//! Normalisation of the rows of a matrix.

pub(super) mod cpu;

use super::linear::{add_row, broadcast_row};
use super::{DeviceError, Matrix};
use dfdx::prelude::*;

/// Added to the variance (LayerNorm) or to the mean square (RMSNorm) under the root.
pub const EPSILON: f32 = 1e-5;

/// What a row is shifted and divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Its mean, and its standard deviation.
    Layer,
    /// Nothing, and its root mean square.
    Rms,
}

impl Normalization {
    /// Every one there is: what the tests go through.
    #[cfg(test)]
    pub const ALL: [Self; 2] = [Self::Layer, Self::Rms];
}

/// LayerNorm: `(x - mean) / √(variance + ε)`; RMSNorm: `x / √(mean square + ε)`. ReferenceBackend of dfdx's
/// own operations.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    kind: Normalization,
    gain: &Matrix<D>,
    bias: Option<&Matrix<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let shape = *x.shape();
    let normalized = match kind {
        Normalization::Layer => x.try_normalize::<Axis<1>>(EPSILON)?,
        Normalization::Rms => {
            let mean_square = x
                .with_empty_tape()
                .try_square()?
                .try_mean::<(usize,), Axis<1>>()?;
            let rms = mean_square.try_add(EPSILON)?.try_sqrt()?;
            x.try_div(rms.try_broadcast_like::<_, Axis<1>>(&shape)?)?
        }
    };
    let scaled = normalized.try_mul(broadcast_row::<D, T>(gain, shape)?)?;
    match bias {
        Some(bias) => add_row(scaled, bias),
        None => Ok(scaled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
    use crate::kernels::{Backend, CpuBackend};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernel_agrees_with_the_reference(n in 1usize..40, c in 8usize..70, seed: u64) {
            for kind in Normalization::ALL {
                let inputs = matrices(seed, &[(n, c), (1, c), (1, c)]);
                check_against_reference(&inputs, |x| reference(x[0].retaped(), kind, &x[1], Some(&x[2])),
                    |x| CpuBackend::norm(x[0].retaped(), kind, &x[1], Some(&x[2])))?;
                check_against_reference(&inputs, |x| reference(x[0].retaped(), kind, &x[1], None),
                    |x| CpuBackend::norm(x[0].retaped(), kind, &x[1], None))?;
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for kind in Normalization::ALL {
            check_gradient(&matrices(2, &[(3, 7), (1, 7), (1, 7)]), |x| {
                CpuBackend::norm(x[0].retaped(), kind, &x[1], Some(&x[2]))
            });
        }
    }

    #[test]
    fn not_a_number_comes_out() {
        let mut x = matrices(3, &[(2, 20), (1, 20)]);
        x[0][[0, 7]] = f32::NAN;
        for kind in Normalization::ALL {
            let y: Matrix<Cpu> = CpuBackend::norm(x[0].clone(), kind, &x[1], None).unwrap();
            assert!((0..20).all(|j| y[[0, j]].is_nan() && y[[1, j]].is_finite()));
        }
    }
}
