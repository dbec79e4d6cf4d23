//! Takes gradients out of the result of a backward pass.

use super::backend::operation;
use super::cpu::storage;
use super::matrix::{DeviceError, Matrix};
use dfdx::prelude::*;

operation! {
    /// Takes the gradient of `parameter` out of the result of `backward`. Zeros if the parameter
    /// took no part in it.
    pub TakeGradient, trait TakeGradientMethod {
        fn take_gradient<'a, D>(
            gradients: &'a mut Gradients<f32, D>,
            parameter: &'a Matrix<D>,
        ) -> Matrix<D>;
    }
    reference: reference,
    cpu: cpu,
}

fn reference<D: Device<f32>>(
    gradients: &mut Gradients<f32, D>,
    parameter: &Matrix<D>,
) -> Result<Matrix<D>, DeviceError<D>> {
    gradients.get_or_alloc_mut(parameter)?;
    Ok(gradients.get(parameter))
}

/// Without a copy.
fn cpu(
    gradients: &mut Gradients<f32, Cpu>,
    parameter: &Matrix<Cpu>,
) -> Result<Matrix<Cpu>, CpuError> {
    let gradient = std::mem::take(&mut **gradients.get_or_alloc_mut(parameter)?);
    Ok(storage::matrix(*parameter.shape(), gradient))
}
