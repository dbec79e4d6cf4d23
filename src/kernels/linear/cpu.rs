use crate::kernels::Matrix;
use crate::kernels::activation;
use crate::kernels::cpu::matmul::{Into, View, matmul};
use crate::kernels::cpu::simd::{add_assign, sum_columns};
use crate::kernels::cpu::storage::{filled, matrix, slice};
use crate::spec::Mlp;
use dfdx::prelude::*;
use std::mem::take;

/// `x Wᵀ + b`, plus `residual` where given.
pub(in crate::kernels) fn linear<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let y = matrix(
        (x.shape().0, weight.shape().0),
        product(&x, weight, bias, residual),
    );
    let backward = Backward::new(&x, weight, bias);
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

/// `activation(x Wᵀ + b)`. The slopes of the activation are kept for the way back, in place of what
/// went in, which is no tensor, and so has no gradient buffer.
pub(in crate::kernels) fn linear_activation<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    activation: Mlp,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let (n, d) = (x.shape().0, weight.shape().0);
    let mut pre = product(&x, weight, bias, None);
    let width = activation::output_width(activation, d);
    let y = matrix(
        (n, width),
        activation::cpu::forward(activation, &mut pre, d),
    );
    let backward = Backward::new(&x, weight, bias);
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

/// `residual + x Wᵀ + b` as a vector of (N, D).
fn product(
    x: &Matrix<Cpu>,
    weight: &Matrix<Cpu>,
    bias: Option<&Matrix<Cpu>>,
    residual: Option<&Matrix<Cpu>>,
) -> Vec<f32> {
    let ((n, c), d) = (*x.shape(), weight.shape().0);
    let a = View::new(slice(x), n, c);
    let b = View::new(slice(weight), d, c).t();
    // SAFETY: a bias or a residual writes every element before the product adds to it; without
    // either the product overwrites every element.
    unsafe {
        filled(n * d, |y| {
            let into = match (bias, residual) {
                (None, None) => Into::Overwrite,
                (_, Some(residual)) => {
                    y.copy_from_slice(slice(residual));
                    if let Some(bias) = bias {
                        y.chunks_exact_mut(d)
                            .for_each(|row| add_assign(row, slice(bias)));
                    }
                    Into::Add
                }
                (Some(bias), None) => {
                    y.chunks_exact_mut(d)
                        .for_each(|row| row.copy_from_slice(slice(bias)));
                    Into::Add
                }
            };
            matmul(y, d, into, a, b);
        })
    }
}

/// What a linear layer needs on the way back.
struct Backward {
    x: Matrix<Cpu>,
    weight: Matrix<Cpu>,
    bias: Option<Matrix<Cpu>>,
}

impl Backward {
    fn new(x: &Matrix<Cpu>, weight: &Matrix<Cpu>, bias: Option<&Matrix<Cpu>>) -> Self {
        Self {
            x: x.clone(),
            weight: weight.clone(),
            bias: bias.cloned(),
        }
    }

    /// Adds to the gradients of x, weight and bias, given the gradient (N, D) of the product.
    fn run(self, gradients: &mut Gradients<f32, Cpu>, gy: &[f32]) -> Result<(), CpuError> {
        let ((n, c), d) = (*self.x.shape(), self.weight.shape().0);
        let gy_view = View::new(gy, n, d);
        let gw = gradients.get_or_alloc_mut(&self.weight)?;
        matmul(
            gw,
            c,
            Into::Add,
            gy_view.t(),
            View::new(slice(&self.x), n, c),
        );
        let gx = gradients.get_or_alloc_mut(&self.x)?;
        matmul(
            gx,
            c,
            Into::Add,
            gy_view,
            View::new(slice(&self.weight), d, c),
        );
        if let Some(bias) = &self.bias {
            sum_columns(gradients.get_or_alloc_mut(bias)?, gy);
        }
        Ok(())
    }
}
