//! Elementwise loops, compiled for AVX-512, AVX2 and the plain target, chosen at run time.
//!
//! A kernel is a plain loop inside [`vectorized`], which the compiler turns into vector code.
//! Floating-point sums keep [`LANES`] partial sums in a fixed order, whatever the vector width.
//! Multiply-adds are fused only where the code says so. So the kernels give the same bits on every
//! processor.

use super::instruction_set::arch;
use super::transpose::transpose;
use std::array::from_fn;

/// Partial sums of a reduction: the elements of the widest vector, AVX-512's.
pub(crate) const LANES: usize = 16;

/// One number for each lane of a vector.
pub(crate) type Lanes = [f32; LANES];

/// Runs a closure compiled for the best vector instructions that the processor has.
///
/// Everything called in the closure must be `#[inline(always)]` to profit.
#[inline(always)]
pub(crate) fn vectorized<R>(kernel: impl FnOnce() -> R) -> R {
    arch().dispatch(kernel)
}

/// A kernel that keeps a tile of a product in registers, and so depends on their number.
pub(crate) trait Kernel {
    type Output;

    /// Runs the kernel. `WIDE` means 32 vector registers of [`LANES`] elements; otherwise there are
    /// 16 registers of half as many.
    ///
    /// Implementations are `#[inline(always)]`, and so is everything that they call.
    fn run<const WIDE: bool>(self) -> Self::Output;
}

/// Runs a kernel compiled for the best vector instructions that the processor has.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    struct Dispatched<K>(K);
    impl<K: Kernel> pulp::WithSimd for Dispatched<K> {
        type Output = K::Output;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> K::Output {
            if S::REGISTER_COUNT >= 32 && S::F32_LANES == LANES {
                self.0.run::<true>()
            } else {
                self.0.run::<false>()
            }
        }
    }
    arch().dispatch(Dispatched(kernel))
}

/// `e^x` within 2 ulp, with the right results for infinities and NaN. A result too small for a
/// normal number is 0, because each operation on a denormal number takes a hundred cycles.
///
/// Cody & Waite's reduction by a two-part ln 2, and a polynomial of degree 6 (the coefficients of
/// Cephes' expf, S. Moshier).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (y, n) = exp_parts(clamped(x, LEAST_EXPONENT, 89.0));
    // 2^n in two factors, each a normal number, so that the result may be infinite.
    let half = n >> 1;
    let y = y * power_of_two(half) * power_of_two(n.wrapping_sub(half));
    if x < LEAST_EXPONENT { 0.0 } else { y }
}

/// The logarithm of the smallest normal number, rounded up.
const LEAST_EXPONENT: f32 = -87.336_54;

/// `y` and `n` of `e^x = y 2^n`, with y around 1. x must be so small that n fits into an exponent.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, i32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// 1.5 * 2^23. Adding it rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let r = n.mul_add(-LN2_HIGH, x);
    let r = n.mul_add(-LN2_LOW, r);
    let mut p = 1.987_569_1e-4f32;
    p = p.mul_add(r, 1.398_2e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 5e-1);
    (p.mul_add(r * r, r) + 1.0, exponent)
}

/// Clamps x to `least..=most`. NaN stays NaN, because all comparisons with it are false.
#[inline(always)]
fn clamped(x: f32, least: f32, most: f32) -> f32 {
    let x = if x > most { most } else { x };
    if x < least { least } else { x }
}

/// 2^n, for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `1 / (1 + e^-x)` within 2 ulp. The result is not below e^-87, near the smallest normal number.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let (y, n) = exp_parts(clamped(-x, -87.0, 87.0));
    1.0 / y.mul_add(power_of_two(n), 1.0)
}

/// The hyperbolic tangent within 2 ulp, with the right results for infinities and NaN: a polynomial
/// near 0 (the coefficients of Cephes' tanhf, S. Moshier), and computed from [`exp`] elsewhere.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = -5.704_988_7e-3f32;
    p = p.mul_add(square, 2.063_909e-2);
    p = p.mul_add(square, -5.373_971_6e-2);
    p = p.mul_add(square, 1.333_144_2e-1);
    p = p.mul_add(square, -3.333_328e-1);
    let near = (p * square).mul_add(x, x);
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    // For NaN the comparison is false, and the polynomial is NaN.
    let y = if x.abs() > 0.625 { far } else { near };
    y.copysign(x)
}

/// Sum in a fixed order: [`LANES`] partial sums, then pairwise.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    sum_of(x, |v| v)
}

/// Sum of `f` of each element, in the order of [`sum`].
#[inline(always)]
pub(crate) fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum_lanes(fold_lanes(x, 0.0, |sum, x| sum + f(x)))
}

/// The sum of `f(row, element)` for each of up to [`LANES`] rows of `c` elements, in the order of [`sum`]. 0 for
/// each row that is missing. Adding up the lanes of all rows together takes much less time than one row after
/// another.
#[inline(always)]
pub(crate) fn sums_of_rows(rows: &[f32], c: usize, f: impl Fn(usize, f32) -> f32) -> Lanes {
    let mut partial = [[0.0; LANES]; LANES];
    for (row, (partial, x)) in partial.iter_mut().zip(rows.chunks_exact(c)).enumerate() {
        *partial = fold_lanes(x, 0.0, |sum, x| sum + f(row, x));
    }
    sum_each(&partial)
}

/// [`sum_lanes`] of each of the partial sums.
#[inline(always)]
pub(crate) fn sum_each(partial: &[Lanes; LANES]) -> Lanes {
    let mut lanes = [0.0; LANES * LANES];
    let source = partial.as_flattened();
    transpose(&mut lanes, LANES, source, LANES, LANES, LANES);
    let mut half = lanes.len() / 2;
    while half >= LANES {
        let (sums, others) = lanes.split_at_mut(half);
        add(sums, others);
        half /= 2;
    }
    from_fn(|row| lanes[row])
}

/// The largest element. NaN if any element is NaN, negative infinity if there is no element.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    reduce(fold_lanes(x, f32::NEG_INFINITY, larger), larger)
}

/// Folds the elements into [`LANES`] accumulators that begin with `start`. Element i goes to
/// accumulator `i % LANES`.
#[inline(always)]
fn fold_lanes(x: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> Lanes {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = combine(lanes[i], chunk[i]);
        }
    }
    if !rest.is_empty() {
        lanes = optimization_barrier(lanes);
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane = combine(*lane, x);
        }
    }
    lanes
}

/// The sum of the partial sums, pairwise.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: Lanes) -> f32 {
    reduce(lanes, |a, b| a + b)
}

/// Combines the two halves of the lanes, until one number is left.
#[inline(always)]
fn reduce(lanes: Lanes, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = optimization_barrier(lanes);
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Returns the lanes, and hides from the optimizer how they are used. Otherwise the compiler keeps
/// the lanes apart in the loop before, for the code after it, and the loop takes two to three times
/// as long.
#[inline(always)]
fn optimization_barrier(lanes: Lanes) -> Lanes {
    std::hint::black_box(lanes)
}

/// `x += y`, element by element, up to the shorter length. To be called inside [`vectorized`].
#[inline(always)]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// `x += y`, element by element.
pub(crate) fn add_assign(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "equally many elements on both sides");
    vectorized(
        #[inline(always)]
        || add(x, y),
    );
}

/// Adds all rows of `x` (N, C) to `row` (C).
pub(crate) fn sum_columns(row: &mut [f32], x: &[f32]) {
    vectorized(
        #[inline(always)]
        || {
            for x in x.chunks_exact(row.len()) {
                add(row, x);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact result.
    fn ulps(got: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        let ulp = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        ((f64::from(got) - exact) / ulp).abs()
    }

    #[test]
    fn exp_is_within_two_ulps() {
        let mut worst = 0.0f64;
        let mut x = LEAST_EXPONENT;
        while x < 88.7 {
            worst = worst.max(ulps(exp(x), f64::from(x).exp()));
            x += 0.000_37;
        }
        assert!(worst <= 2.0, "{worst} ulps");
    }

    #[test]
    fn exp_keeps_the_special_values() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(200.0), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-200.0), 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(LEAST_EXPONENT).is_normal());
        assert_eq!(exp(LEAST_EXPONENT.next_down()), 0.0);
    }

    #[test]
    fn tanh_and_sigmoid_are_within_two_ulps() {
        let (mut worst_tanh, mut worst_sigmoid) = (0.0f64, 0.0f64);
        let mut x = 1e-30f32;
        while x < 80.0 {
            for x in [x, -x] {
                let exact = f64::from(x);
                worst_tanh = worst_tanh.max(ulps(tanh(x), exact.tanh()));
                worst_sigmoid = worst_sigmoid.max(ulps(sigmoid(x), 1.0 / (1.0 + (-exact).exp())));
            }
            x *= 1.000_37;
        }
        assert!(worst_tanh <= 2.0, "{worst_tanh} ulps");
        assert!(worst_sigmoid <= 2.0, "{worst_sigmoid} ulps");
    }

    #[test]
    fn tanh_and_sigmoid_keep_the_special_values() {
        assert_eq!(
            [0.0, -0.0].map(tanh).map(f32::to_bits),
            [0.0f32, -0.0].map(f32::to_bits)
        );
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY].map(tanh), [1.0, -1.0]);
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert!(sigmoid(f32::NEG_INFINITY) < 1e-37);
        assert!(tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_do_not_swallow_nan() {
        let mut x = vec![1.0; 37];
        assert_eq!(sum(&x), 37.0);
        assert_eq!(max(&x), 1.0);
        x[20] = f32::NAN;
        assert!(sum(&x).is_nan() && max(&x).is_nan());
    }

    #[test]
    fn rows_are_added_up_as_if_alone() {
        for c in [1, 5, LANES, 37] {
            for count in [1, 3, LANES] {
                let x: Vec<f32> = (0..count * c).map(|i| (i as f32).sin()).collect();
                let scaled = |row: usize, x: f32| x * row as f32;
                let sums = sums_of_rows(&x, c, scaled);
                for (row, sum) in sums.into_iter().enumerate() {
                    let alone = x.chunks_exact(c).nth(row);
                    let alone = alone.map_or(0.0, |x| sum_of(x, |x| scaled(row, x)));
                    assert_eq!(sum.to_bits(), alone.to_bits(), "{c} {count} {row}");
                }
            }
        }
    }

    #[test]
    fn every_vector_width_gives_the_same_bits() {
        let x: Vec<f32> = (0..1001).map(|i| (i as f32 * 0.37).sin() * 20.0).collect();
        let plain = sum_of(&x, exp);
        let vector = vectorized(
            #[inline(always)]
            || sum_of(&x, exp),
        );
        assert_eq!(plain.to_bits(), vector.to_bits());
    }
}
