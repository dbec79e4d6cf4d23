use crate::kernels::Matrix;
use crate::kernels::cpu::simd::{add, vectorized};
use crate::kernels::cpu::storage::{filled, matrix, slice};
use dfdx::prelude::*;
use std::mem::take;

/// See [`crate::kernels::Backend::embed`].
pub(in crate::kernels) fn embed<T: Tape<f32, Cpu>>(
    table: &Matrix<Cpu>,
    scale: f32,
    positions: Option<&Matrix<Cpu>>,
    tokens: &[usize],
    block: usize,
    first: usize,
) -> Result<Matrix<Cpu, T>, CpuError> {
    let (n, c) = (tokens.len(), table.shape().1);
    let (rows, at) = (slice(table), positions.map(slice));
    // SAFETY: each of the n rows of `y` is written.
    let y = unsafe {
        filled(n * c, |y| {
            vectorized(
                #[inline(always)]
                || {
                    for (i, (y, &token)) in y.chunks_exact_mut(c).zip(tokens).enumerate() {
                        y.copy_from_slice(&rows[token * c..][..c]);
                        if scale != 1.0 {
                            y.iter_mut().for_each(|y| *y *= scale);
                        }
                        if let Some(at) = at {
                            add(y, &at[(first + i % block) * c..][..c]);
                        }
                    }
                },
            );
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
            let at = (0..n).map(|i| first + i % block);
            add_rows(g_positions, at, &gy, c);
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

/// Adds rows of `c` elements to those of a table, at these places.
fn add_rows(table: &mut [f32], at: impl Iterator<Item = usize>, rows: &[f32], c: usize) {
    vectorized(
        #[inline(always)]
        || {
            for (row, at) in rows.chunks_exact(c).zip(at) {
                add(&mut table[at * c..][..c], row);
            }
        },
    );
}
