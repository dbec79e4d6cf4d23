//! Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

use super::Muon;
use crate::kernels::Matrix;
use crate::kernels::cpu::matmul::{Into, View, matmul};
use crate::kernels::cpu::simd::{sum_of, vectorized};
use crate::kernels::cpu::storage::{slice, slice_mut};
use dfdx::prelude::*;

/// Of the odd polynomial ax + bx³ + cx⁵ that drives every singular value towards 1. They are chosen
/// for speed: five times it, and a value is between 0.7 and 1.2.
pub(super) const COEFFICIENTS: [f32; 3] = [3.4445, -4.775, 2.0315];

/// Added to the norm that a matrix is divided by, so that one of zeros stays zeros.
pub(super) const NORM_EPSILON: f32 = 1e-7;

/// See [`crate::kernels::Backend::muon`].
pub(in crate::kernels) fn muon(
    parameter: &mut Matrix<Cpu>,
    gradient: &Matrix<Cpu>,
    momentum: &mut Matrix<Cpu>,
    step: &Muon,
) {
    let shape = *parameter.shape();
    let (p, g, v) = (slice_mut(parameter), slice(gradient), slice_mut(momentum));
    let mut direction = vec![0.0; p.len()];
    vectorized(
        #[inline(always)]
        || accumulate(&mut direction, g, v, step),
    );
    orthogonalise(&mut direction, shape, step.iterations);
    let keep = 1.0 - step.lr * step.weight_decay;
    vectorized(
        #[inline(always)]
        || mix(p, keep, &direction, -step.lr * step.scale),
    );
}

/// The momentum with the gradient, and the direction that comes of the two.
#[inline(always)]
fn accumulate(direction: &mut [f32], g: &[f32], momentum: &mut [f32], step: &Muon) {
    // What the velocity, and what the gradient counts in the direction.
    let (a, b) = if step.nesterov {
        (step.momentum, 1.0)
    } else {
        (1.0, 0.0)
    };
    for ((d, &g), v) in direction.iter_mut().zip(g).zip(momentum) {
        let g = g * step.gradient_scale;
        *v = *v * step.momentum + g;
        *d = *v * a + g * b;
    }
}

/// `x = a x + b y`
#[inline(always)]
fn mix(x: &mut [f32], a: f32, y: &[f32], b: f32) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = *x * a + y * b;
    }
}

/// Newton and Schulz's iteration: the nearest orthogonal matrix, roughly. The products are taken on
/// the shorter side, of n: 4n²m + 2n³ operations an iteration for an n by m matrix.
fn orthogonalise(x: &mut [f32], (rows, cols): (usize, usize), iterations: usize) {
    let n = rows.min(cols);
    let wide = n == rows;
    let squares: f64 = x.chunks(4096).map(squared).sum();
    let scale = 1.0 / (squares.sqrt() as f32 + NORM_EPSILON);
    x.iter_mut().for_each(|x| *x *= scale);
    let [a, b, c] = COEFFICIENTS;
    let (mut gram, mut square) = (vec![0.0; n * n], vec![0.0; n * n]);
    let mut product = vec![0.0; x.len()];
    for _ in 0..iterations {
        let view = View::new(x, rows, cols);
        let (left, right) = if wide {
            (view, view.t())
        } else {
            (view.t(), view)
        };
        matmul(&mut gram, n, Into::Overwrite, left, right);
        let symmetric = View::new(&gram, n, n);
        matmul(&mut square, n, Into::Overwrite, symmetric, symmetric);
        vectorized(
            #[inline(always)]
            || mix(&mut gram, b, &square, c),
        );
        let polynomial = View::new(&gram, n, n);
        let (left, right) = if wide {
            (polynomial, view)
        } else {
            (view, polynomial)
        };
        matmul(&mut product, cols, Into::Overwrite, left, right);
        vectorized(
            #[inline(always)]
            || mix(x, a, &product, 1.0),
        );
    }
}

fn squared(x: &[f32]) -> f64 {
    f64::from(vectorized(
        #[inline(always)]
        || sum_of(x, |x| x * x),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::matrices;

    #[test]
    fn rows_or_columns_become_nearly_orthonormal() {
        for (rows, cols) in [(6, 20), (20, 6), (1, 9)] {
            let mut x = matrices(5, &[(rows, cols)]).remove(0);
            let x = slice_mut(&mut x);
            orthogonalise(x, (rows, cols), 5);
            let at = |i: usize, k: usize| match rows <= cols {
                true => f64::from(x[i * cols + k]),
                false => f64::from(x[k * cols + i]),
            };
            for i in 0..rows.min(cols) {
                for j in 0..rows.min(cols) {
                    let dot: f64 = (0..rows.max(cols)).map(|k| at(i, k) * at(j, k)).sum();
                    let wanted = f64::from(u8::from(i == j));
                    assert!((dot - wanted).abs() < 0.55, "({i}, {j}): {dot}");
                }
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        let mut x = vec![0.0; 12];
        orthogonalise(&mut x, (3, 4), 5);
        assert_eq!(x, [0.0; 12]);
    }
}
