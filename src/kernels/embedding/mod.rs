//! Token and position embeddings.

mod cpu;

use super::backend::operation;
use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;

operation! {
    /// Rows of `table` (V, C) for `tokens` (N), times `scale`: (N, C). The tokens are sequences of
    /// `block` tokens. Where `positions` (P, C) is given, its row `first + n % block` is added to
    /// row n; `first` is the position of the first token of each sequence.
    pub Embed, trait EmbedMethod {
        fn embed<'a, D, T>(
            table: &'a Matrix<D>,
            scale: f32,
            positions: Option<&'a Matrix<D>>,
            tokens: &'a [usize],
            block: usize,
            first: usize,
        ) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::embed,
    parameter: table,
}

fn reference<D: Device<f32>, T: Tape<f32, D>>(
    table: &Matrix<D>,
    scale: f32,
    positions: Option<&Matrix<D>>,
    tokens: &[usize],
    block: usize,
    first: usize,
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let n = tokens.len();
    let device = table.device().clone();
    let rows = |indices: Vec<usize>, table: &Matrix<D>| {
        let indices: Tensor<(usize,), usize, D> = device.try_tensor_from_vec(indices, (n,))?;
        table.retaped::<T>().try_gather(indices)
    };
    let mut x: Matrix<D, T> = rows(tokens.to_vec(), table)?;
    if scale != 1.0 {
        x = x.try_mul(scale)?;
    }
    match positions {
        Some(positions) => x.try_add(rows(
            (0..n).map(|i| first + i % block).collect(),
            positions,
        )?),
        None => Ok(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::CpuBackend;
    use crate::kernels::testing::{check_against_reference, check_gradient, matrices};

    #[test]
    fn the_kernel_agrees_with_the_reference() {
        let tokens = [3, 0, 3, 3, 1, 2, 0, 4];
        let inputs = matrices(8, &[(5, 9), (6, 9)]);
        for scale in [1.0, 3.0] {
            for positions in [false, true] {
                check_against_reference(
                    &inputs,
                    |x| reference(&x[0], scale, positions.then_some(&x[1]), &tokens, 4, 2),
                    |x| CpuBackend::embed(&x[0], scale, positions.then_some(&x[1]), &tokens, 4, 2),
                )
                .unwrap();
            }
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradient(&matrices(8, &[(5, 3), (4, 3)]), |x| {
            CpuBackend::embed(&x[0], 2.0, Some(&x[1]), &[3, 0, 3, 3, 1, 2], 3, 1)
        });
    }
}
