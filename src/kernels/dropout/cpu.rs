//! Dropout in place.

use super::Dropout;
use crate::kernels::cpu::simd::{add_assign, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;
use std::mem::take;

impl Dropout {
    /// Multiplies elements in place by their factors. The first has index `first`, and the indices
    /// are `stride` apart.
    #[inline(always)]
    pub(in crate::kernels) fn apply_strided<const N: usize>(
        self,
        first: usize,
        stride: usize,
        x: &mut [f32; N],
    ) {
        let (first, stride) = (first as u32, stride as u32);
        for (i, x) in x.iter_mut().enumerate() {
            *x *= self.factor(first.wrapping_add(stride.wrapping_mul(i as u32)));
        }
    }

    /// Multiplies elements in place by their factors. The first has index `first`.
    fn apply(self, first: usize, x: &mut [f32]) {
        let first = first as u32;
        vectorized(
            #[inline(always)]
            || {
                for (i, x) in x.iter_mut().enumerate() {
                    *x *= self.factor(first.wrapping_add(i as u32));
                }
            },
        );
    }
}

/// The kernel of [`super::ApplyDropout`].
pub(super) fn dropout<T: Tape<f32, Cpu>>(
    x: Matrix<Cpu, T>,
    dropout: Dropout,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (x, mut tape) = x.split_tape();
    let mut y = slice(&x).to_vec();
    dropout.apply(0, &mut y);
    let y = matrix(*x.shape(), y);
    let (x_ghost, y_ghost) = (x.ghost(), y.ghost());
    tape.add_backward_op(move |gradients| {
        let mut gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        dropout.apply(0, &mut gy);
        add_assign(gradients.get_or_alloc_mut(&x_ghost)?, &gy);
        Ok(())
    });
    Ok(y.put_tape(tape))
}
