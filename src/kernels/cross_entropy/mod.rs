//! The end of a model: logits, and their cross-entropy against class indices.

mod cpu;

use super::backend::{Operation, operation};
use super::cpu::matmul::{Bf16Products, F32Products};
use super::linear::Linear;
use super::matrix::{DeviceError, Matrix, Scalar};
use dfdx::prelude::*;

/// The output head of a model.
#[derive(Debug)]
pub struct Head<'a, D: Device<f32>> {
    /// (V, C)
    pub weight: &'a Matrix<D>,
    /// (1, V)
    pub bias: Option<&'a Matrix<D>>,
    /// The bound `c` of logits that become `c tanh(logits / c)`.
    pub soft_cap: Option<f32>,
}

operation! {
    /// `scale` times the summed cross-entropy, in nats, of logits (N, V) against classes (N).
    pub CrossEntropy, trait CrossEntropyMethod {
        fn cross_entropy<'a, D, T>(
            logits: Matrix<D, T>,
            targets: &'a [usize],
            scale: f32,
        ) -> Scalar<D, T>;
    }
    reference: reference,
    cpu: cpu::cross_entropy,
    input: logits,
}

operation! {
    /// Logits (N, V) of the last activations (N, C).
    pub Logits, trait LogitsMethod {
        fn logits<'a, D, T>(x: Matrix<D, T>, head: Head<'a, D>) -> Matrix<D, T>;
    }
    reference: reference_logits,
    cpu: cpu_logits,
    decode: decode_logits,
    input: x,
    parameter: head.weight,
}

operation! {
    /// [`Logits`] followed by [`CrossEntropy`], without all logits in memory at once.
    pub HeadCrossEntropy, trait HeadCrossEntropyMethod {
        fn head_cross_entropy<'a, D, T>(
            x: Matrix<D, T>,
            head: Head<'a, D>,
            targets: &'a [usize],
            scale: f32,
        ) -> Scalar<D, T>;
    }
    reference: reference_head,
    cpu: cpu::head_cross_entropy::<F32Products, _>,
    bf16: cpu::head_cross_entropy::<Bf16Products, _>,
    decode: decode_head,
    input: x,
    parameter: head.weight,
}

/// `-scale Σ log softmax(logits)[n, targets[n]]`
fn reference<D: Device<f32>, T: Tape<f32, D>>(
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

fn reference_logits<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    head: Head<D>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    soft_capped(
        Linear::reference((x, head.weight, head.bias))?,
        head.soft_cap,
    )
}

fn cpu_logits<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    head: Head<Cpu>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    soft_capped(Linear::cpu((x, head.weight, head.bias))?, head.soft_cap)
}

fn decode_logits<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    head: Head<Cpu>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    soft_capped(Linear::decode((x, head.weight, head.bias))?, head.soft_cap)
}

fn reference_head<D: Device<f32>, T: Tape<f32, D>>(
    x: Matrix<D, T>,
    head: Head<D>,
    targets: &[usize],
    scale: f32,
) -> Result<Scalar<D, T>, DeviceError<D>> {
    reference(reference_logits(x, head)?, targets, scale)
}

fn decode_head<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    head: Head<Cpu>,
    targets: &[usize],
    scale: f32,
) -> Result<Scalar<Cpu, T>, CpuError> {
    reference(decode_logits(x, head)?, targets, scale)
}

/// `c tanh(logits / c)`, composed of dfdx's own operations.
fn soft_capped<D: Device<f32>, T: Tape<f32, D>>(
    logits: Matrix<D, T>,
    cap: Option<f32>,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    match cap {
        Some(cap) => logits.try_mul(1.0 / cap)?.try_tanh()?.try_mul(cap),
        None => Ok(logits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{
        check_against_reference, check_bf16_against_reference, check_gradient, matrices,
    };
    use crate::kernels::{Bf16Backend, CpuBackend, ReferenceBackend};
    use proptest::prelude::*;

    fn as_matrix<T: Tape<f32, Cpu>>(loss: Scalar<Cpu, T>) -> Result<Matrix<Cpu, T>, CpuError> {
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
                |x| as_matrix(reference(x[3].retaped(), &targets, scale)?),
                |x| as_matrix(CpuBackend::cross_entropy(x[3].retaped(), &targets, scale)?))?;
            for (bias, soft_cap) in [(false, None), (true, None), (true, Some(2.0))] {
                fn head(x: &[Matrix<Cpu>], bias: bool, soft_cap: Option<f32>) -> Head<'_, Cpu> {
                    Head { weight: &x[1], bias: bias.then_some(&x[2]), soft_cap }
                }
                check_against_reference(&inputs,
                    |x| as_matrix(ReferenceBackend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?),
                    |x| as_matrix(CpuBackend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?))?;
                check_bf16_against_reference(&inputs,
                    |x| as_matrix(ReferenceBackend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?),
                    |x| as_matrix(Bf16Backend::head_cross_entropy(x[0].retaped(), head(x, bias, soft_cap), &targets, scale)?))?;
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
                as_matrix(CpuBackend::head_cross_entropy(
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
    fn a_nan_makes_the_loss_nan() {
        let mut x = matrices(3, &[(2, 20)]).remove(0);
        x[[1, 7]] = f32::NAN;
        let loss: Scalar<Cpu> = CpuBackend::cross_entropy(x, &[0, 1], 0.5).unwrap();
        assert!(loss.array().is_nan());
    }
}
