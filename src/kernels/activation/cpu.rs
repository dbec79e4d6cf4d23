//! The loops that apply an activation function, given as a function from x to `(f(x), f'(x))`.

use crate::kernels::cpu::simd::{LANES, vectorized};
use crate::kernels::cpu::storage::vec_from_writer;
use crate::spec::Mlp;
use std::mem::MaybeUninit;

/// `f` of each element of `x`, which becomes the derivatives.
pub(super) fn pointwise(x: &mut [f32], f: impl Fn(f32) -> (f32, f32)) -> Vec<f32> {
    #[inline(always)]
    fn run(y: &mut [MaybeUninit<f32>], x: &mut [f32], f: impl Fn(f32) -> (f32, f32)) {
        for (y, x) in y.iter_mut().zip(x) {
            let (value, derivative) = f(*x);
            y.write(value);
            *x = derivative;
        }
    }
    // SAFETY: `run` writes every element of `y`, which is as long as `x`.
    unsafe {
        vec_from_writer(x.len(), |y| {
            vectorized(
                #[inline(always)]
                || run(y, x, f),
            );
        })
    }
}

/// `f(a) b` of each row (a, b) of (N, width): (N, width/2). In `pre`, a becomes the derivative with
/// respect to a, and b the derivative with respect to b.
///
/// Works on [`LANES`] elements at a time. The compiler does not vectorize a plain loop that writes
/// three slices, two of which were made from one.
pub(super) fn gated(pre: &mut [f32], width: usize, f: impl Fn(f32) -> (f32, f32)) -> Vec<f32> {
    #[inline(always)]
    fn row(
        y: &mut [MaybeUninit<f32>],
        gate: &mut [f32],
        up: &mut [f32],
        f: &impl Fn(f32) -> (f32, f32),
    ) {
        let whole = y.len() / LANES * LANES;
        let ((y, y_rest), (gate, gate_rest), (up, up_rest)) = (
            y.split_at_mut(whole),
            gate.split_at_mut(whole),
            up.split_at_mut(whole),
        );
        chunks::<LANES>(y, gate, up, f);
        chunks::<1>(y_rest, gate_rest, up_rest, f);
    }
    #[inline(always)]
    fn chunks<const N: usize>(
        y: &mut [MaybeUninit<f32>],
        gate: &mut [f32],
        up: &mut [f32],
        f: &impl Fn(f32) -> (f32, f32),
    ) {
        let each = y
            .chunks_exact_mut(N)
            .zip(gate.chunks_exact_mut(N))
            .zip(up.chunks_exact_mut(N));
        for ((y, a), b) in each {
            let (mut value, mut derivative) = ([0.0; N], [0.0; N]);
            for i in 0..N {
                (value[i], derivative[i]) = f(a[i]);
            }
            for i in 0..N {
                y[i].write(value[i] * b[i]);
                a[i] = b[i] * derivative[i];
            }
            b.copy_from_slice(&value);
        }
    }
    let half = width / 2;
    assert!(
        width == 2 * half && pre.len().is_multiple_of(width),
        "whole rows of two halves"
    );
    // SAFETY: `row` writes each of the `half` elements of each row of `y`: the whole chunks, then
    // the others one at a time. `y` and `pre` have as many rows.
    unsafe {
        vec_from_writer(pre.len() / 2, |y| {
            vectorized(
                #[inline(always)]
                || {
                    for (y, pre) in y.chunks_exact_mut(half).zip(pre.chunks_exact_mut(width)) {
                        let (gate, up) = pre.split_at_mut(half);
                        row(y, gate, up, &f);
                    }
                },
            );
        })
    }
}

/// The gradient of the input of an activation, from the gradient `gy` of its output and the
/// derivatives that [`super::kinds::forward`] left.
pub(in crate::kernels) fn backward(
    activation: Mlp,
    mut derivatives: Vec<f32>,
    mut gy: Vec<f32>,
    width: usize,
) -> Vec<f32> {
    vectorized(
        #[inline(always)]
        || match activation.gated() {
            true => gated_backward(&mut derivatives, &gy, width),
            false => gy
                .iter_mut()
                .zip(&derivatives)
                .for_each(|(g, derivative)| *g *= derivative),
        },
    );
    if activation.gated() { derivatives } else { gy }
}

/// Multiplies both halves of each row of derivatives (N, width) by the row of `gy` (N, width/2).
#[inline(always)]
fn gated_backward(derivatives: &mut [f32], gy: &[f32], width: usize) {
    let half = width / 2;
    let rows = derivatives.chunks_exact_mut(width);
    for (derivatives, gy) in rows.zip(gy.chunks_exact(half)) {
        let (gate, up) = derivatives.split_at_mut(half);
        for ((a, b), g) in gate.iter_mut().zip(up).zip(gy) {
            *a *= g;
            *b *= g;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The square and its derivative.
    fn square(x: f32) -> (f32, f32) {
        (x * x, 2.0 * x)
    }

    #[test]
    fn every_element_is_written_and_every_input_becomes_a_derivative() {
        for n in [1, LANES, LANES + 3] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut derivatives = x.clone();
            let y = pointwise(&mut derivatives, square);
            for (i, &x) in x.iter().enumerate() {
                assert_eq!((y[i], derivatives[i]), square(x));
            }
        }
    }

    #[test]
    fn a_gate_multiplies_the_other_half_of_its_row() {
        for half in [1, LANES, LANES + 3] {
            let x: Vec<f32> = (0..4 * half).map(|i| i as f32).collect();
            let mut derivatives = x.clone();
            let y = gated(&mut derivatives, 2 * half, square);
            for row in 0..2 {
                for i in 0..half {
                    let (gate, up) = (2 * row * half + i, (2 * row + 1) * half + i);
                    let (a, b) = (x[gate], x[up]);
                    assert_eq!(y[row * half + i], a * a * b);
                    assert_eq!((derivatives[gate], derivatives[up]), (2.0 * a * b, a * a));
                }
            }
        }
    }
}
