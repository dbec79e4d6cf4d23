//! Cross-entropy of logits against class indices.

pub(super) mod cpu;

use super::{DeviceError, Matrix, Scalar};
use dfdx::prelude::*;

/// The end of a model.
#[derive(Debug)]
pub struct Head<'a, D: Device<f32>> {
    /// (V, C)
    pub weight: &'a Matrix<D>,
    /// (1, V)
    pub bias: Option<&'a Matrix<D>>,
    /// `c` of `c tanh(logits / c)`, where logits have a bound.
    pub soft_cap: Option<f32>,
}

/// `c tanh(logits / c)`, composed of dfdx's own operations.
pub fn soft_capped<D: Device<f32>, T: Tape<f32, D>>(
    logits: Matrix<D, T>,
    cap: Option<f32>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    match cap {
        Some(cap) => logits.try_mul(1.0 / cap)?.try_tanh()?.try_mul(cap),
        None => Ok(logits),
    }
}

/// ReferenceBackend of dfdx's own operations: `-scale Σ log softmax(logits)[n, targets[n]]`.
pub fn reference<D: Device<f32>, T: Tape<f32, D>>(
    logits: Matrix<D, T>,
    targets: &[usize],
    scale: f32,
) -> Result<Scalar<D, T>, DeviceError<D>> {
    let n = targets.len();
    let indices: Tensor<(usize,), usize, D> = logits
        .device()
        .try_tensor_from_vec(targets.to_vec(), (n,))?;
    logits
        .try_log_softmax::<Axis<1>>()?
        .try_select::<(usize,), _>(indices)?
        .try_sum::<Rank0, _>()?
        .try_mul(-scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};
    use crate::kernels::{Backend, CpuBackend, ReferenceBackend};
    use proptest::prelude::*;

    fn one_by_one<T: Tape<f32, Cpu>>(loss: Scalar<Cpu, T>) -> Result<Matrix<Cpu, T>, CpuError> {
        loss.try_reshape_like(&(1, 1))
    }

    proptest! {
        #![proptest_config(crate::kernels::testing::cases())]
        #[test]
        fn the_kernels_agree_with_the_reference(n in 1usize..300, c in 1usize..20, v in 2usize..70, seed: u64) {
            let targets: Vec<usize> = (0..n).map(|i| (i * 7 + seed as usize % 5) % v).collect();
            let scale = 1.0 / n as f32;
            let inputs = matrices(seed, &[(n, c), (v, c), (1, v), (n, v)]);
            check_against_reference(&inputs,
                |x| one_by_one(reference(x[3].retaped(), &targets, scale)?),
                |x| one_by_one(CpuBackend::cross_entropy(x[3].retaped(), &targets, scale)?))?;
            for (bias, soft_cap) in [(false, None), (true, None), (true, Some(2.0))] {
                fn head(x: &[Matrix<Cpu>], bias: bool, soft_cap: Option<f32>) -> Head<'_, Cpu> {
                    Head { weight: &x[1], bias: bias.then_some(&x[2]), soft_cap }
                }
                check_against_reference(&inputs,
                    |x| one_by_one(ReferenceBackend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?),
                    |x| one_by_one(CpuBackend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?))?;
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for soft_cap in [None, Some(1.0)] {
            check_gradient(&matrices(9, &[(4, 3), (6, 3), (1, 6)]), |x| {
                let head = Head {
                    weight: &x[1],
                    bias: Some(&x[2]),
                    soft_cap,
                };
                let x = x[0].retaped();
                one_by_one(CpuBackend::head_cross_entropy(
                    x,
                    head,
                    &[5, 0, 2, 2],
                    0.25,
                )?)
            });
        }
    }

    #[test]
    fn untrained_logits_cost_the_log_of_the_vocabulary() {
        let logits: Matrix<Cpu> = Cpu::default().zeros_like(&(7, 65));
        let loss: Scalar<Cpu> =
            CpuBackend::cross_entropy(logits, &[1, 2, 3, 4, 5, 6, 7], 1.0 / 7.0).unwrap();
        assert!((loss.array() - 65f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn not_a_number_comes_out() {
        let mut x = matrices(3, &[(2, 20)]).remove(0);
        x[[1, 7]] = f32::NAN;
        let loss: Scalar<Cpu> = CpuBackend::cross_entropy(x, &[0, 1], 0.5).unwrap();
        assert!(loss.array().is_nan());
    }
}
