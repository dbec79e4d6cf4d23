//! Weighted sums of rows: the product of a vector and a matrix.

/// `sums += weights rows`, for weights (K), sums (C) and rows (K, C), which are `stride` apart.
/// Every sum runs over the rows in order.
///
/// To be called inside [`super::simd::vectorized`].
#[inline(always)]
pub(crate) fn add_weighted(sums: &mut [f32], weights: &[f32], rows: &[f32], stride: usize) {
    let first = add_columns::<64>(sums, 0, weights, rows, stride);
    let first = add_columns::<16>(sums, first, weights, rows, stride);
    let first = add_columns::<4>(sums, first, weights, rows, stride);
    add_columns::<1>(sums, first, weights, rows, stride);
}

/// Adds the columns from `first` on, `W` at a time, whose sums stay in registers over all rows.
/// Returns the first of the columns that remain.
#[inline(always)]
fn add_columns<const W: usize>(
    sums: &mut [f32],
    first: usize,
    weights: &[f32],
    rows: &[f32],
    stride: usize,
) -> usize {
    let chunks = sums[first..].chunks_exact_mut(W);
    let end = first + chunks.len() * W;
    for (sums, column) in chunks.zip((first..).step_by(W)) {
        let mut sum = [0.0; W];
        sum.copy_from_slice(sums);
        for (weight, row) in weights.iter().zip(rows.chunks(stride)) {
            let row = &row[column..column + W];
            for i in 0..W {
                sum[i] = weight.mul_add(row[i], sum[i]);
            }
        }
        sums.copy_from_slice(&sum);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::simd::vectorized;
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
