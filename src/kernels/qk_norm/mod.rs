//! Normalization of each head's queries and keys (Henry et al. 2020).

mod cpu;

use super::attention::Heads;
use super::backend::operation;
use super::matrix::{DeviceError, Matrix, columns, concat_columns, merge_tapes};
use super::norm;
use crate::spec::Norm;
use dfdx::prelude::*;

operation! {
    /// RMSNorm of each head of queries and of keys in `qkv` (N, width), whose columns are as
    /// [`Heads`] describes. Queries have one gain (1, hs), keys the other. Values are unchanged.
    /// Returns (N, width).
    pub QkNorm, trait QkNormMethod {
        fn qk_norm<'a, D, T>(
            qkv: Matrix<D, T>,
            heads: Heads,
            gains: [&'a Matrix<D>; 2],
        ) -> Matrix<D, T>;
    }
    reference: reference,
    cpu: cpu::qk_norm,
    input: qkv,
    parameter: gains[0],
}

fn reference<D: Device<f32>, T: Tape<f32, D>>(
    qkv: Matrix<D, T>,
    heads: Heads,
    [q_gain, k_gain]: [&Matrix<D>; 2],
) -> Result<Matrix<D, T>, DeviceError<D>> {
    let (n, width) = *qkv.shape();
    let hs = heads.head_size(width);
    let (q_end, k_end) = (heads.count * hs, (heads.count + heads.kv_count) * hs);
    let normalized =
        |from: usize, to: usize, gain: &Matrix<D>| -> Result<Matrix<D, T>, DeviceError<D>> {
            let rows = columns(&qkv, from..to)?.try_reshape_like(&(n * (to - from) / hs, hs))?;
            norm::reference(rows, Norm::Rmsnorm, gain, None)?.try_reshape_like(&(n, to - from))
        };
    let (q, k) = (
        normalized(0, q_end, q_gain)?,
        normalized(q_end, k_end, k_gain)?,
    );
    let y = concat_columns(concat_columns(q, k)?, columns(&qkv, k_end..width)?)?;
    Ok(merge_tapes(y, [qkv]))
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
        fn the_kernel_agrees_with_the_reference(
            n in 1usize..20, kv_count in 1usize..3, group in 1usize..3, hs in 4usize..40, seed: u64
        ) {
            let heads = Heads { kv_count, ..Heads::new(kv_count * group, 1) };
            let inputs = matrices(seed, &[(n, (group + 2) * kv_count * hs), (1, hs), (1, hs)]);
            check_against_reference(&inputs, |x| reference(x[0].retaped(), heads, [&x[1], &x[2]]),
                |x| CpuBackend::qk_norm(x[0].retaped(), heads, [&x[1], &x[2]]))?;
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradient(&matrices(5, &[(3, 16), (1, 4), (1, 4)]), |x| {
            CpuBackend::qk_norm(
                x[0].retaped(),
                Heads {
                    kv_count: 1,
                    ..Heads::new(2, 1)
                },
                [&x[1], &x[2]],
            )
        });
    }
}
