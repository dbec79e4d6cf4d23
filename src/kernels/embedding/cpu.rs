//! Copies rows of the tables, and adds their gradients up.

use crate::kernels::cpu::simd::{add, vectorized};
use crate::kernels::cpu::storage::{matrix, slice};
use crate::kernels::matrix::Matrix;
use dfdx::prelude::*;
use std::mem::take;

/// The kernel of [`super::Embed`].
pub(super) fn embed<T: Tape<f32, Cpu>>(
    table: &Matrix<Cpu>,
    scale: f32,
    positions: Option<&Matrix<Cpu>>,
    tokens: &[usize],
    block: usize,
    first: usize,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (n, c) = (tokens.len(), table.shape().1);
    let (rows, position_rows) = (slice(table), positions.map(slice));
    let mut y = Vec::with_capacity(n * c);
    vectorized(
        #[inline(always)]
        || {
            for (i, &token) in tokens.iter().enumerate() {
                y.extend_from_slice(&rows[token * c..][..c]);
                let y = &mut y[i * c..];
                if scale != 1.0 {
                    y.iter_mut().for_each(|y| *y *= scale);
                }
                if let Some(rows) = position_rows {
                    add(y, &rows[(first + i % block) * c..][..c]);
                }
            }
        },
    );
    let y = matrix((n, c), y);
    let mut tape = T::default();
    let (table, positions, y_ghost) = (table.ghost(), positions.map(Tensor::ghost), y.ghost());
    let tokens = tokens.to_vec();
    tape.add_backward_op(move |gradients| {
        let mut gy = take(&mut **gradients.get_or_alloc_mut(&y_ghost)?);
        if let Some(positions) = positions {
            let g_positions = gradients.get_or_alloc_mut(&positions)?;
            let indices = (0..n).map(|i| first + i % block);
            add_rows(g_positions, indices, &gy, c);
        }
        if scale != 1.0 {
            gy.iter_mut().for_each(|g| *g *= scale);
        }
        let g_table = gradients.get_or_alloc_mut(&table)?;
        add_rows(g_table, tokens.iter().copied(), &gy, c);
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// Adds `rows` (N, c) to the rows of a table (V, c) with these indices (N).
fn add_rows(table: &mut [f32], indices: impl Iterator<Item = usize>, rows: &[f32], c: usize) {
    vectorized(
        #[inline(always)]
        || {
            for (row, index) in rows.chunks_exact(c).zip(indices) {
                add(&mut table[index * c..][..c], row);
            }
        },
    );
}
