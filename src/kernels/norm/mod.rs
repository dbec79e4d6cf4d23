//! Normalization of the rows of a matrix: LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich
//! 2019). The kinds differ in [`kinds`] alone.

mod cpu;
pub(super) mod kinds;

use super::backend::operation;
use super::matrix::{DeviceError, Matrix, add_row, broadcast_row};
use crate::spec;
use dfdx::prelude::*;

operation! {
    /// Normalizes each row of `x` (N, C), and multiplies it by `gain` (1, C). Adds `bias` (1, C)
    /// where there is one. Returns (N, C).
    pub Norm, trait NormMethod {
        fn norm<'a, D, T>(
            x: Matrix<D, T>,
            kind: spec::Norm,
            gain: &'a Matrix<D>,
            bias: Option<&'a Matrix<D>>,
        ) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::norm,
    input: x,
    parameter: gain,
}

pub(super) fn reference<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    kind: spec::Norm,
    gain: &Matrix<D>,
    bias: Option<&Matrix<D>>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let shape = *x.shape();
    let scaled = kinds::reference(x, kind)?.try_mul(broadcast_row::<D, T>(gain, shape)?)?;
    match bias {
        Some(bias) => add_row(scaled, bias),
        None => Ok(scaled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernel_agrees_with_the_reference(n in 1usize..40, c in 8usize..70, seed: u64) {
            for kind in spec::Norm::ALL {
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
        for kind in spec::Norm::ALL {
            check_gradient(&matrices(2, &[(3, 7), (1, 7), (1, 7)]), |x| {
                CpuBackend::norm(x[0].retaped(), kind, &x[1], Some(&x[2]))
            });
        }
    }

    #[test]
    fn a_nan_makes_its_row_nan_and_no_other() {
        let mut x = matrices(3, &[(2, 20), (1, 20)]);
        x[0][[0, 7]] = f32::NAN;
        for kind in spec::Norm::ALL {
            let y: Matrix<Cpu> = CpuBackend::norm(x[0].clone(), kind, &x[1], None).unwrap();
            let spreads = kind != spec::Norm::None;
            assert!((0..20).all(|j| y[[0, j]].is_nan() == (spreads || j == 7)));
            assert!((0..20).all(|j| y[[1, j]].is_finite()));
        }
    }
}
