//! Sums of rows, each times a number: the product of a vector and a matrix.

use super::simd::LANES;
use std::ops::Range;

/// Rows taken together, so that a sum is written once for all of them.
const AT_ONCE: usize = 8;

/// `sums += weights rows`, for as many rows as there are weights, `stride` apart in `rows`. Every sum
/// runs over the rows in order, and each row is read from its first element to its last.
///
/// To be called inside [`super::simd::vectorized`].
#[inline(always)]
pub(super) fn add_weighted(sums: &mut [f32], weights: &[f32], rows: &[f32], stride: usize) {
    let together = weights.chunks_exact(AT_ONCE);
    let rest = together.remainder();
    let first_of_rest = weights.len() - rest.len();
    for (i, weights) in together.enumerate() {
        add::<AT_ONCE>(sums, weights, &rows[i * AT_ONCE * stride..], stride);
    }
    for (i, weight) in rest.iter().enumerate() {
        add::<1>(
            sums,
            &[*weight],
            &rows[(first_of_rest + i) * stride..],
            stride,
        );
    }
}

#[inline(always)]
fn add<const N: usize>(sums: &mut [f32], weights: &[f32], rows: &[f32], stride: usize) {
    let whole = sums.len() / LANES * LANES;
    let halves = sums.len() / 8 * 8;
    columns::<N, LANES>(sums, weights, rows, stride, 0..whole);
    columns::<N, 8>(sums, weights, rows, stride, whole..halves);
    columns::<N, 1>(sums, weights, rows, stride, halves..sums.len());
}

/// `N` rows of some columns, `W` at a time, whose sums stay in a register meanwhile.
#[inline(always)]
fn columns<const N: usize, const W: usize>(
    sums: &mut [f32],
    weights: &[f32],
    rows: &[f32],
    stride: usize,
    columns: Range<usize>,
) {
    let first = columns.start;
    for (i, sums) in sums[columns].chunks_exact_mut(W).enumerate() {
        let mut sum = [0.0; W];
        sum.copy_from_slice(sums);
        for n in 0..N {
            let row = &rows[n * stride + first + i * W..][..W];
            for (sum, x) in sum.iter_mut().zip(row) {
                *sum = weights[n].mul_add(*x, *sum);
            }
        }
        sums.copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::simd::vectorized;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_definition(n in 1usize..70, rows in 0usize..40, gap in 0usize..5) {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
            let weights: Vec<f32> = (0..rows).map(value).collect();
            let matrix: Vec<f32> = (0..rows * (n + gap)).map(value).collect();
            let mut sums = vec![0.25; n];
            vectorized(#[inline(always)] || add_weighted(&mut sums, &weights, &matrix, n + gap));
            for (j, sum) in sums.into_iter().enumerate() {
                let mut want = 0.25f32;
                for (i, weight) in weights.iter().enumerate() {
                    want = weight.mul_add(matrix[i * (n + gap) + j], want);
                }
                prop_assert_eq!(sum.to_bits(), want.to_bits());
            }
        }
    }
}
