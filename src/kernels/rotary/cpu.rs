//! Rotation of queries and keys in place.

use super::Rotary;
use crate::kernels::attention::Heads;
use crate::kernels::cpu::simd::{add_assign, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;
use std::mem::take;

/// The kernel of [`super::RotatePositions`].
pub(super) fn rotary<T: Tape<f32, Cpu>>(
    qkv: Matrix<Cpu, T>,
    heads: Heads,
    rotary: &Rotary,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (qkv, mut tape) = qkv.split_tape();
    let shape = *qkv.shape();
    let mut y = slice(&qkv).to_vec();
    rotate(&mut y, shape.1, heads, rotary, 1.0);
    let y = matrix(shape, y);
    let (x_ghost, y_ghost, rotary) = (qkv.ghost(), y.ghost(), rotary.clone());
    tape.add_backward_op(move |gradients| {
        let mut gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        // The transpose of a rotation is its inverse.
        rotate(&mut gy, shape.1, heads, &rotary, -1.0);
        add_assign(gradients.get_or_alloc_mut(&x_ghost)?, &gy);
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// Rotates the queries and keys of rows (N, width) in place, by the angles of their positions times
/// `direction`, which is 1 or -1.
fn rotate(x: &mut [f32], width: usize, heads: Heads, rotary: &Rotary, direction: f32) {
    let hs = heads.head_size(width);
    let rotated = (heads.count + heads.kv_count) * hs;
    vectorized(
        #[inline(always)]
        || {
            for (i, row) in x.chunks_exact_mut(width).enumerate() {
                let (cos, sin) = rotary.at(heads.first + i % heads.block);
                for head in row[..rotated].chunks_exact_mut(hs) {
                    let (a, b) = head.split_at_mut(rotary.half);
                    rotate_head(a, b, cos, sin, direction);
                }
            }
        },
    );
}

#[inline(always)]
fn rotate_head(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
    for (((a, b), &cos), &sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
        let sin = sin * direction;
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}
