//! The sum of the gradients of a batch's shards, with its squared norm.

pub(super) mod cpu;
pub(super) mod reference;

use super::Matrix;
use dfdx::prelude::*;

/// A parameter's gradient over a whole batch.
#[derive(Debug)]
pub struct GradientSum<D: Device<f32>> {
    pub gradient: Matrix<D>,
    pub squared_norm: f64,
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{assert_close, matrices};
    use crate::kernels::{Backend, CpuBackend, ReferenceBackend};
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
