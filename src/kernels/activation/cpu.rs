use crate::kernels::cpu::simd::{LANES, exp, sigmoid, vectorized};
use crate::kernels::cpu::storage::filled;
use crate::spec::Mlp;

/// 2 √(2/π)
const TWO_SQRT_2_OVER_PI: f32 = 1.595_769_2;
const CUBIC: f32 = 0.044_715;

/// The activation of rows of `width` columns. What came in becomes what the gradient of what goes
/// out is multiplied by on the way back: the exponentials are taken once.
pub(in crate::kernels) fn forward(activation: Mlp, pre: &mut [f32], width: usize) -> Vec<f32> {
    let outputs = super::output_width(activation, pre.len());
    // SAFETY: `pointwise` and `gated` write each element of `y`, which is as long as `pre`, or half
    // as long where the activation is gated.
    unsafe {
        filled(outputs, |y| match activation {
            Mlp::Gelu => pointwise(y, pre, gelu),
            Mlp::GeluExact => pointwise(y, pre, gelu_exact),
            Mlp::Relu => pointwise(y, pre, relu),
            Mlp::ReluSquared => pointwise(y, pre, relu_squared),
            Mlp::Silu => pointwise(y, pre, silu),
            Mlp::Swiglu => gated(y, pre, width, silu),
            Mlp::Geglu => gated(y, pre, width, gelu),
            Mlp::Reglu => gated(y, pre, width, relu),
        })
    }
}

/// The gradient of what came in, given the gradient of what came out and what [`forward`] left.
pub(in crate::kernels) fn backward(
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
fn pointwise(y: &mut [f32], x: &mut [f32], f: impl Fn(f32) -> (f32, f32)) {
    #[inline(always)]
    fn run(y: &mut [f32], x: &mut [f32], f: impl Fn(f32) -> (f32, f32)) {
        for (y, x) in y.iter_mut().zip(x) {
            (*y, *x) = f(*x);
        }
    }
    vectorized(
        #[inline(always)]
        || run(y, x, f),
    );
}

/// `f(a) b`; `a` becomes the slope in a, and `b` that in b.
///
/// A vector of each at a time: of a plain loop that writes three slices, two of which were one, the
/// compiler makes no vector code.
fn gated(y: &mut [f32], pre: &mut [f32], width: usize, f: impl Fn(f32) -> (f32, f32)) {
    #[inline(always)]
    fn row(y: &mut [f32], gate: &mut [f32], up: &mut [f32], f: &impl Fn(f32) -> (f32, f32)) {
        let whole = y.len() / LANES * LANES;
        let ((y, y_rest), (gate, gate_rest), (up, up_rest)) = (
            y.split_at_mut(whole),
            gate.split_at_mut(whole),
            up.split_at_mut(whole),
        );
        parts::<LANES>(y, gate, up, f);
        parts::<1>(y_rest, gate_rest, up_rest, f);
    }
    #[inline(always)]
    fn parts<const N: usize>(
        y: &mut [f32],
        gate: &mut [f32],
        up: &mut [f32],
        f: &impl Fn(f32) -> (f32, f32),
    ) {
        let each = y
            .chunks_exact_mut(N)
            .zip(gate.chunks_exact_mut(N))
            .zip(up.chunks_exact_mut(N));
        for ((y, a), b) in each {
            let (mut value, mut slope) = ([0.0; N], [0.0; N]);
            for i in 0..N {
                (value[i], slope[i]) = f(a[i]);
            }
            for i in 0..N {
                y[i] = value[i] * b[i];
                a[i] = b[i] * slope[i];
            }
            b.copy_from_slice(&value);
        }
    }
    let half = width / 2;
    vectorized(
        #[inline(always)]
        || {
            for (y, pre) in y.chunks_exact_mut(half).zip(pre.chunks_exact_mut(width)) {
                let (gate, up) = pre.split_at_mut(half);
                row(y, gate, up, &f);
            }
        },
    );
}

/// `x σ(2 √(2/π) (x + 0.044715 x³))`, which is the form with a tanh (Hendrycks & Gimpel 2016, section
/// 2).
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    let square = x * x;
    let s = sigmoid(x * square.mul_add(TWO_SQRT_2_OVER_PI * CUBIC, TWO_SQRT_2_OVER_PI));
    let slope = square.mul_add(3.0 * TWO_SQRT_2_OVER_PI * CUBIC, TWO_SQRT_2_OVER_PI);
    let value = x * s;
    (value, (value * (1.0 - s)).mul_add(slope, s))
}

#[inline(always)]
fn relu(x: f32) -> (f32, f32) {
    if x > 0.0 || x.is_nan() {
        (x, 1.0)
    } else {
        (0.0, 0.0)
    }
}

#[inline(always)]
fn relu_squared(x: f32) -> (f32, f32) {
    let (value, _) = relu(x);
    (value * value, 2.0 * value)
}

#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    let value = x * s;
    (value, value.mul_add(1.0 - s, s))
}

/// `x Φ(x)`, whose slope is `Φ(x) + x φ(x)`. The normal distribution's tail is from a Chebyshev fit
/// of erfc within 1.2e-7 of its value everywhere (Press et al. 1992, Numerical Recipes in C, section
/// 6.2, `erfcc`).
#[inline(always)]
fn gelu_exact(x: f32) -> (f32, f32) {
    const ERFC: [f32; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ];
    /// 1/√(2π)
    const DENSITY_AT_0: f32 = 0.398_942_3;
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.5, 1.0);
    let mut power = ERFC[0];
    for coefficient in &ERFC[1..] {
        power = power.mul_add(t, *coefficient);
    }
    let bell = exp(-z * z);
    let tail = 0.5 * t * bell * exp(power);
    let below = if x > 0.0 { 1.0 - tail } else { tail };
    (x * below, below + x * (DENSITY_AT_0 * bell))
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
