use crate::ops::simd::{sigmoid, vectorized};
use crate::ops::storage::filled;
use crate::spec::Mlp;

/// √(2/π)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// The activation of rows of `width` columns. What came in becomes what the gradient of what goes
/// out is multiplied by on the way back: the exponentials are taken once.
pub(in crate::ops) fn forward(activation: Mlp, pre: &mut [f32], width: usize) -> Vec<f32> {
    let outputs = super::output_width(activation, pre.len());
    // SAFETY: `pointwise` and `swiglu` write each element of `y`, which is as long as `pre`, or half
    // as long where the activation is gated.
    unsafe {
        filled(outputs, |y| match activation {
            Mlp::Gelu => vectorized(
                #[inline(always)]
                || pointwise(y, pre, gelu),
            ),
            Mlp::Relu => vectorized(
                #[inline(always)]
                || pointwise(y, pre, relu),
            ),
            Mlp::Swiglu => vectorized(
                #[inline(always)]
                || swiglu(y, pre, width),
            ),
        })
    }
}

/// The gradient of what came in, given the gradient of what came out and what [`forward`] left.
pub(in crate::ops) fn backward(
    activation: Mlp,
    mut slopes: Vec<f32>,
    mut gy: Vec<f32>,
    width: usize,
) -> Vec<f32> {
    vectorized(
        #[inline(always)]
        || match activation.gated() {
            true => gated_backward(&mut slopes, &gy, width),
            false => gy
                .iter_mut()
                .zip(&slopes)
                .for_each(|(g, slope)| *g *= slope),
        },
    );
    if activation.gated() { slopes } else { gy }
}

/// Value and slope of each element.
#[inline(always)]
fn pointwise(y: &mut [f32], x: &mut [f32], f: impl Fn(f32) -> (f32, f32)) {
    for (y, x) in y.iter_mut().zip(x) {
        (*y, *x) = f(*x);
    }
}

#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    let square = x * x;
    let s = sigmoid(2.0 * SQRT_2_OVER_PI * x * (1.0 + CUBIC * square));
    let slope = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * square);
    let value = x * s;
    (value, s + value * (1.0 - s) * slope)
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x > 0.0 || x.is_nan() {
        (x, 1.0)
    } else {
        (0.0, 0.0)
    }
}

/// `SiLU(a) b`; `a` becomes the slope in a, and `b` that in b.
#[inline(always)]
fn swiglu(y: &mut [f32], pre: &mut [f32], width: usize) {
    let half = width / 2;
    for (y, pre) in y.chunks_exact_mut(half).zip(pre.chunks_exact_mut(width)) {
        let (gate, up) = pre.split_at_mut(half);
        for ((y, a), b) in y.iter_mut().zip(gate).zip(up) {
            let s = sigmoid(*a);
            let silu = *a * s;
            *y = silu * *b;
            *a = *b * (s + silu * (1.0 - s));
            *b = silu;
        }
    }
}

/// In place of the slopes.
#[inline(always)]
fn gated_backward(slopes: &mut [f32], gy: &[f32], width: usize) {
    let half = width / 2;
    for (slopes, gy) in slopes.chunks_exact_mut(width).zip(gy.chunks_exact(half)) {
        let (gate, up) = slopes.split_at_mut(half);
        for ((a, b), g) in gate.iter_mut().zip(up).zip(gy) {
            *a *= g;
            *b *= g;
        }
    }
}
