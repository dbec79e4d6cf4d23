//! Products of the small matrices of one attention head, where the set-up of a general matrix
//! product would cost more than the product.
//!
//! `dst += a b`, a tile of 4 rows and up to 32 columns in registers at a time. To be called inside
//! [`super::simd::vectorized`], where a fused multiply-add is one instruction. Sums over k run in
//! order, so the bits do not depend on the tile.

/// A matrix to be read element by element: (i, k) is at `i * row_stride + k * col_stride`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Left<'a> {
    #[inline(always)]
    pub(super) fn rows(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose of rows `col_stride` apart.
    #[inline(always)]
    pub(super) fn transposed(data: &'a [f32], col_stride: usize) -> Self {
        Self {
            data,
            row_stride: 1,
            col_stride,
        }
    }

    #[inline(always)]
    fn at(&self, i: usize, k: usize) -> f32 {
        self.data[i * self.row_stride + k * self.col_stride]
    }
}

/// Which k take part in row i of a product: causal attention's zeros are skipped.
#[derive(Clone, Copy)]
pub(super) enum Sum {
    /// All of `0..k`.
    All(usize),
    /// `0..=first + i`: row i is a query that sees the keys up to its own.
    Upto { first: usize },
    /// `i - first..k`, or from 0: row i is a key, seen by the queries from its own on, which are
    /// numbered from `first`.
    From { first: usize, k: usize },
}

impl Sum {
    /// The k that take part in any of the rows `i..i + rows`.
    #[inline(always)]
    fn range(self, i: usize, rows: usize) -> (usize, usize) {
        match self {
            Self::All(k) => (0, k),
            Self::Upto { first } => (0, first + i + rows),
            Self::From { first, k } => (i.saturating_sub(first), k),
        }
    }
}

/// `dst += a b` for `m` rows and `n` columns; rows of `dst` and `b` are `dst_stride` and `b_stride`
/// apart. Elements of `a` that [`Sum`] leaves out are zero or are not read.
#[inline(always)]
pub(super) fn add_product(
    dst: (&mut [f32], usize),
    a: Left,
    b: (&[f32], usize),
    (m, n): (usize, usize),
    sum: Sum,
) {
    let (dst, dst_stride) = dst;
    let mut i = 0;
    while i < m {
        let rows = (m - i).min(4);
        let ks = sum.range(i, rows);
        let mut j = 0;
        while j < n {
            let dst = &mut dst[i * dst_stride + j..];
            let b = (&b.0[j..], b.1);
            let left = n - j;
            j += match (rows, left) {
                (4, 32..) => tile::<4, 32>(dst, dst_stride, a, i, b, ks),
                (4, 16..) => tile::<4, 16>(dst, dst_stride, a, i, b, ks),
                (4, 8..) => tile::<4, 8>(dst, dst_stride, a, i, b, ks),
                (4, _) => tile::<4, 1>(dst, dst_stride, a, i, b, ks),
                (_, 16..) => ragged::<16>(rows, dst, dst_stride, a, i, b, ks),
                (_, 8..) => ragged::<8>(rows, dst, dst_stride, a, i, b, ks),
                (_, _) => ragged::<1>(rows, dst, dst_stride, a, i, b, ks),
            };
        }
        i += rows;
    }
}

/// `M` rows and `N` columns; returns `N`.
#[inline(always)]
fn tile<const M: usize, const N: usize>(
    dst: &mut [f32],
    dst_stride: usize,
    a: Left,
    i: usize,
    (b, b_stride): (&[f32], usize),
    (from, to): (usize, usize),
) -> usize {
    let mut sums = [[0.0f32; N]; M];
    for k in from..to {
        let b = &b[k * b_stride..][..N];
        for (row, sums) in sums.iter_mut().enumerate() {
            let a = a.at(i + row, k);
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let dst = &mut dst[row * dst_stride..][..N];
        dst.iter_mut().zip(sums).for_each(|(dst, sum)| *dst += sum);
    }
    N
}

/// The last rows, one at a time.
#[inline(always)]
fn ragged<const N: usize>(
    rows: usize,
    dst: &mut [f32],
    dst_stride: usize,
    a: Left,
    i: usize,
    b: (&[f32], usize),
    ks: (usize, usize),
) -> usize {
    for row in 0..rows {
        tile::<1, N>(&mut dst[row * dst_stride..], dst_stride, a, i + row, b, ks);
    }
    N
}

/// Columns of rows `stride` apart, as rows: (rows, cols) to (cols, rows).
#[inline(always)]
pub(super) fn transpose(dst: &mut [f32], src: &[f32], stride: usize, rows: usize, cols: usize) {
    for (j, dst) in dst.chunks_exact_mut(rows).take(cols).enumerate() {
        for (dst, src) in dst.iter_mut().zip(src[j..].iter().step_by(stride)) {
            *dst = *src;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::simd::vectorized;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            m in 1usize..40, n in 1usize..70, k in 1usize..40, transposed: bool, first in 0usize..20, which in 0..3
        ) {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
            let sum = match which {
                0 => Sum::All(k),
                1 => Sum::Upto { first },
                _ => Sum::From { first, k },
            };
            let k = if which == 1 { first + m } else { k };
            let (a_rows, a_cols) = if transposed { (k, m) } else { (m, k) };
            // Zeros where the sum leaves out: `a` is a triangle then.
            let index = |i: usize, l: usize| if transposed { l * a_cols + i } else { i * a_cols + l };
            let mut a = vec![0.0; a_rows * a_cols];
            for i in 0..m {
                for l in 0..k {
                    let out = match sum { Sum::All(_) => false, Sum::Upto { first } => l > first + i, Sum::From { first, .. } => l + first < i };
                    if !out { a[index(i, l)] = value(index(i, l)); }
                }
            }
            let b: Vec<f32> = (0..k * (n + 2)).map(value).collect();
            let mut dst = vec![0.25; m * (n + 1)];
            let left = if transposed { Left::transposed(&a, a_cols) } else { Left::rows(&a, a_cols) };
            vectorized(#[inline(always)] || add_product((&mut dst, n + 1), left, (&b, n + 2), (m, n), sum));
            for i in 0..m {
                for j in 0..=n {
                    let product: f64 = (0..k).map(|l| f64::from(a[index(i, l)]) * f64::from(b[l * (n + 2) + j])).sum();
                    let want = 0.25 + if j < n { product } else { 0.0 };
                    prop_assert!((f64::from(dst[i * (n + 1) + j]) - want).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn transposes() {
        let mut dst = [0.0; 6];
        transpose(&mut dst, &[1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0], 4, 2, 3);
        assert_eq!(dst, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
