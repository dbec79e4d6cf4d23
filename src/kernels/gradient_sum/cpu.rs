//! The sum and its norm in one pass.

use super::GradientSum;
use crate::kernels::cpu::simd::{add, sum_of, vectorized};
use crate::kernels::cpu::storage::{slice, slice_mut};
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;

/// Elements whose squares are summed in single precision before their sum is added to the total in
/// double precision.
const CHUNK: usize = 4096;

/// The kernel of [`super::SumGradients`].
pub(super) fn sum(shards: Vec<Matrix<Cpu>>) -> Result<GradientSum<Cpu>, CpuError> {
    let mut shards = shards.into_iter();
    let mut total = shards.next().expect("a batch has at least one shard");
    let others: Vec<Matrix<Cpu>> = shards.collect();
    let mut squared_norm = 0.0f64;
    vectorized(
        #[inline(always)]
        || {
            for (i, total) in slice_mut(&mut total).chunks_mut(CHUNK).enumerate() {
                for other in &others {
                    let other = &slice(other)[i * CHUNK..][..total.len()];
                    add(total, other);
                }
                squared_norm += f64::from(sum_of(total, |x| x * x));
            }
        },
    );
    Ok(GradientSum {
        gradient: total,
        squared_norm,
    })
}
