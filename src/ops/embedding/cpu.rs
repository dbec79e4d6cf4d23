use crate::ops::Matrix;
use crate::ops::simd::add_assign;
use crate::ops::storage::{filled, matrix, slice};
use dfdx::prelude::*;
use std::mem::take;

/// See [`crate::ops::Backend::embed`].
pub(in crate::ops) fn embed<T: Tape<f32, Cpu>>(
    table: &Matrix<Cpu>,
    scale: f32,
    positions: Option<&Matrix<Cpu>>,
    tokens: &[usize],
    block: usize,
    first: usize,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (n, c) = (tokens.len(), table.shape().1);
    let rows = slice(table);
    // SAFETY: each of the n rows of `y` is written.
    let y = unsafe {
        filled(n * c, |y| {
            for (i, (y, &token)) in y.chunks_exact_mut(c).zip(tokens).enumerate() {
                y.copy_from_slice(&rows[token * c..][..c]);
                if scale != 1.0 {
                    y.iter_mut().for_each(|y| *y *= scale);
                }
                if let Some(positions) = positions {
                    add_assign(y, &slice(positions)[(first + i % block) * c..][..c]);
                }
            }
        })
    };
    let y = matrix((n, c), y);
    let mut tape = T::default();
    let (table, positions, y_ghost) = (table.ghost(), positions.map(Tensor::ghost), y.ghost());
    let tokens = tokens.to_vec();
    tape.add_backward_op(move |gradients| {
        let mut gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        if let Some(positions) = positions {
            let g_positions = gradients.get_or_alloc_mut(&positions)?;
            for (i, gy) in gy.chunks_exact(c).enumerate() {
                add_assign(&mut g_positions[(first + i % block) * c..][..c], gy);
            }
        }
        if scale != 1.0 {
            gy.iter_mut().for_each(|g| *g *= scale);
        }
        let g_table = gradients.get_or_alloc_mut(&table)?;
        for (gy, &token) in gy.chunks_exact(c).zip(&tokens) {
            add_assign(&mut g_table[token * c..][..c], gy);
        }
        Ok(())
    });
    Ok(y.put_tape(tape))
}
