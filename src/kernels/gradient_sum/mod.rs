//! The sum of the gradients of a batch's shards, with its squared norm.

mod cpu;

use super::backend::{FirstNonFinite, operation};
use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;

/// A parameter's gradient over a whole batch.
#[derive(Debug)]
pub struct GradientSum<D: Device<f32>> {
    pub gradient: Matrix<D>,
    pub squared_norm: f64,
}

impl<D: Device<f32>> FirstNonFinite for GradientSum<D> {
    fn first_non_finite(&self) -> Option<f32> {
        self.gradient.first_non_finite()
    }
}

operation! {
    /// Adds the gradients of the shards of a batch, in order, and computes the squared norm of the
    /// sum. There is at least one shard.
    pub SumGradients, trait SumGradientsMethod {
        fn sum_gradients<D>(shards: Vec<Matrix<D>>) -> GradientSum<D>;
    }
    reference: reference,
    cpu: cpu::sum,
}

fn reference<D: Device<f32>>(shards: Vec<Matrix<D>>) -> Result<GradientSum<D>, DeviceError<D>> {
    let mut shards = shards.into_iter();
    let first = shards.next().expect("a batch has at least one shard");
    let gradient = shards.try_fold(first, |sum, shard| sum.try_add(shard))?;
    let squares = gradient.clone().try_square()?;
    Ok(GradientSum {
        squared_norm: f64::from(squares.try_sum::<Rank0, _>()?.as_vec()[0]),
        gradient,
    })
}

#[cfg(test)]
mod tests {
    use crate::kernels::operations::*;
    use crate::kernels::testing::{assert_close, matrices};
    use crate::kernels::{CpuBackend, ReferenceBackend};
    use dfdx::prelude::Cpu;

    #[test]
    fn the_cpu_sum_and_its_norm_agree_with_the_reference() {
        let shards = matrices(30, &[(3, 50), (3, 50), (3, 50)]);
        let a = ReferenceBackend::<Cpu>::sum_gradients(shards.clone()).unwrap();
        let b = CpuBackend::sum_gradients(shards).unwrap();
        assert_close(&a.gradient, &b.gradient, 1e-6);
        assert!((a.squared_norm - b.squared_norm).abs() < 1e-5 * a.squared_norm);
    }
}
