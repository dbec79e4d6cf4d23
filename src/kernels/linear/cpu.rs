//! Linear layers, forward and backward.

use crate::kernels::activation::{self, output_width};
use crate::kernels::cpu::matmul::{self, Accumulate, Products, View, matmul};
use crate::kernels::cpu::simd::{add_assign, sum_columns};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::matrix::Matrix;
use crate::kernels::shared_gradients;
use crate::spec::{Mlp, Precision};
use dfdx::prelude::*;
use std::mem::take;

/// The kernel of [`super::Linear`].
pub(super) fn linear<P: Products, T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    linear_with_residual::<P, T>(x, weight, bias, None)
}

/// The kernel of [`super::LinearResidual`].
pub(super) fn linear_residual<P: Products, T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: &Matrix<Cpu>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    linear_with_residual::<P, T>(x, weight, bias, Some(residual))
}

/// `x Wᵀ + b`, plus `residual` if given.
fn linear_with_residual<P: Products, T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let y = matrix(
        (x.shape().0, weight.shape().0),
        product(P::PRECISION, &x, weight, bias, residual),
    );
    let backward = Backward::new(P::PRECISION, &x, weight, bias);
    let residual = residual.cloned();
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        backward.run(gradients, &gy)?;
        if let Some(residual) = residual {
            add_assign(gradients.get_or_alloc_mut(&residual)?, &gy);
        }
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// The kernel of [`super::LinearActivation`]. The backward pass needs the derivatives of the
/// activation, which replace its input. The input is not a tensor, so it has no gradient buffer.
pub(super) fn linear_activation<P: Products, T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    activation: Mlp,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let (n, d) = (x.shape().0, weight.shape().0);
    let mut pre = product(P::PRECISION, &x, weight, bias, None);
    let width = output_width(activation, d);
    let y = matrix(
        (n, width),
        activation::kinds::forward(activation, &mut pre, d),
    );
    let backward = Backward::new(P::PRECISION, &x, weight, bias);
    let y_ghost = y.ghost();
    if T::OWNS_TAPE {
        tape.add_backward_op(move |gradients| {
            let gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
            let g_pre = activation::cpu::backward(activation, pre, gy, d);
            backward.run(gradients, &g_pre)
        });
    }
    Ok(y.put_tape(tape))
}

/// `x Wᵀ + b`, plus `residual` if given: (N, D).
fn product(
    precision: Precision,
    x: &Matrix<Cpu>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Vec<f32> {
    let ((n, c), d) = (*x.shape(), weight.shape().0);
    let a = View::new(slice(x), n, c);
    let b = View::new(slice(weight), d, c).t();
    let Some(mut y) = initial_sums((n, d), bias, residual) else {
        return matmul::product(precision, a, b);
    };
    matmul(precision, &mut y, d, Accumulate::Add, a, b);
    y
}

/// The bias and the residual of each row (N, D), to which a product is added. `None` if there is
/// neither.
pub(super) fn initial_sums(
    (n, d): (usize, usize),
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Option<Vec<f32>> {
    match (bias.map(slice), residual.map(slice)) {
        (None, None) => None,
        (None, Some(residual)) => Some(residual.to_vec()),
        (Some(bias), None) => {
            // Row by row, since `repeat` would read what it has written from a slower cache.
            let mut y = Vec::with_capacity(n * d);
            (0..n).for_each(|_| y.extend_from_slice(bias));
            Some(y)
        }
        (Some(bias), Some(residual)) => {
            let mut y = residual.to_vec();
            y.chunks_exact_mut(d).for_each(|row| add_assign(row, bias));
            Some(y)
        }
    }
}

/// What the backward pass of a linear layer needs.
struct Backward {
    precision: Precision,
    x: Matrix<Cpu>,
    weight: Matrix<Cpu>,
    bias: Option<Matrix<Cpu>>,
}

impl Backward {
    fn new(
        precision: Precision,
        x: &Matrix<Cpu>,
        weight: &Matrix<Cpu>,
        bias: Option<&Matrix<Cpu>>,
    ) -> Self {
        Self {
            precision,
            x: x.clone(),
            weight: weight.clone(),
            bias: bias.cloned(),
        }
    }

    /// Adds to the gradients of x, weight and bias, given the gradient (N, D) of the product.
    fn run(self, gradients: &mut Gradients<f32, Cpu>, gy: &[f32]) -> Result<(), CpuError> {
        let ((n, c), d) = (*self.x.shape(), self.weight.shape().0);
        let gy_view = View::new(gy, n, d);
        let x_view = View::new(slice(&self.x), n, c);
        if !shared_gradients::add_product(self.precision, &self.weight, gy_view, x_view) {
            let gw = gradients.get_or_alloc_mut(&self.weight)?;
            let gy_view = gy_view.t();
            matmul(self.precision, gw, c, Accumulate::Add, gy_view, x_view);
        }
        let gx = gradients.get_or_alloc_mut(&self.x)?;
        matmul(
            self.precision,
            gx,
            c,
            Accumulate::Add,
            gy_view,
            View::new(slice(&self.weight), d, c),
        );
        if let Some(bias) = &self.bias {
            sum_columns(gradients.get_or_alloc_mut(bias)?, gy);
        }
        Ok(())
    }
}
