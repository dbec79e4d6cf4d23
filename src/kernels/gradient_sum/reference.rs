use super::GradientSum;
use crate::kernels::{DeviceError, Matrix};
use dfdx::prelude::*;

/// See [`crate::kernels::Backend::sum_gradients`].
pub(in crate::kernels) fn sum<D: Device<f32>>(
    shards: Vec<Matrix<D>>,
) -> Result<GradientSum<D>, DeviceError<D>> {
    let mut shards = shards.into_iter();
    let first = shards.next().expect("a batch has at least one shard");
    let gradient = shards.try_fold(first, |sum, shard| sum.try_add(shard))?;
    let squares = gradient.clone().try_square()?;
    Ok(GradientSum {
        squared_norm: f64::from(squares.try_sum::<Rank0, _>()?.as_vec()[0]),
        gradient,
    })
}
