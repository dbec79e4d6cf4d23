//! Products of the small matrices of one attention head, where the set-up of a general matrix
//! product would cost more than the product.
//!
//! A tile of 8 rows and up to 32 columns (4 and 16 where there are 16 vector registers) is in
//! registers at a time. To be called inside [`super::simd::Kernel::run`], where a fused multiply-add
//! is one instruction. Sums over k run in order, so the bits do not depend on the tile.

use super::matmul::Into;
use std::ops::Range;

/// Rows of a tile, of which the number of a row's first may be taken for all of them: divides the
/// number of lanes.
pub(crate) const fn tile_rows(wide: bool) -> usize {
    if wide { 8 } else { 4 }
}

/// A matrix to be read element by element: (i, k) is at `i * row_stride + k * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Left<'a> {
    #[inline(always)]
    pub(crate) fn rows(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose of rows `col_stride` apart.
    #[inline(always)]
    pub(crate) fn transposed(data: &'a [f32], col_stride: usize) -> Self {
        Self {
            data,
            row_stride: 1,
            col_stride,
        }
    }
}

/// `dst = a b` or `dst += a b` for `m` rows, a tile at a time. Of the tile whose first row is `i` the
/// columns `part(i).0` are made, from the k `part(i).1`; rows of `dst` and `b` are `dst_stride` and
/// `b_stride` apart.
#[inline(always)]
pub(crate) fn product<const WIDE: bool>(
    (dst, dst_stride): (&mut [f32], usize),
    into: Into,
    a: Left,
    (b, b_stride): (&[f32], usize),
    m: usize,
    part: impl Fn(usize) -> (Range<usize>, Range<usize>),
) {
    let step = tile_rows(WIDE);
    for i in (0..m).step_by(step) {
        let rows = step.min(m - i);
        let (columns, ks) = part(i);
        let (Some(last_k), Some(last_column)) = (ks.clone().last(), columns.clone().last()) else {
            continue;
        };
        let last_row = i + rows - 1;
        assert!(last_row * a.row_stride + last_k * a.col_stride < a.data.len());
        assert!(last_k * b_stride + last_column < b.len());
        assert!(last_row * dst_stride + last_column < dst.len());
        // SAFETY: the last elements of the parts that are read and written lie inside the slices,
        // as just checked.
        unsafe {
            let strip = Strip {
                dst: dst.as_mut_ptr().add(i * dst_stride),
                dst_stride,
                into,
                a: a.data
                    .as_ptr()
                    .add(i * a.row_stride + ks.start * a.col_stride),
                a_row_stride: a.row_stride,
                a_col_stride: a.col_stride,
                b: b.as_ptr().add(ks.start * b_stride),
                b_stride,
                k: ks.len(),
            };
            match (WIDE, rows == step) {
                (true, true) => strip.columns::<8, 32>(columns),
                (false, true) => strip.columns::<4, 16>(columns),
                (true, false) => strip.each_row::<32>(rows, columns),
                (false, false) => strip.each_row::<16>(rows, columns),
            }
        }
    }
}

/// Some rows of a product.
#[derive(Clone, Copy)]
struct Strip {
    dst: *mut f32,
    dst_stride: usize,
    into: Into,
    a: *const f32,
    a_row_stride: usize,
    a_col_stride: usize,
    b: *const f32,
    b_stride: usize,
    k: usize,
}

impl Strip {
    /// The last rows, one at a time.
    ///
    /// # Safety
    /// As [`Self::tile`], of `rows` rows and these columns.
    #[inline(always)]
    unsafe fn each_row<const N: usize>(self, rows: usize, columns: Range<usize>) {
        for row in 0..rows {
            // SAFETY: within the rows that the caller answers for.
            unsafe {
                let dst = self.dst.add(row * self.dst_stride);
                let a = self.a.add(row * self.a_row_stride);
                Self { dst, a, ..self }.columns::<1, N>(columns.clone());
            }
        }
    }

    /// `M` rows of these columns, `N` at a time as far as they go.
    ///
    /// # Safety
    /// As [`Self::tile`], of `M` rows and these columns.
    #[inline(always)]
    unsafe fn columns<const M: usize, const N: usize>(self, columns: Range<usize>) {
        let mut j = columns.start;
        while j < columns.end {
            let left = columns.end - j;
            // SAFETY: no more columns than are left.
            unsafe {
                j += match left {
                    _ if left >= N => self.tile::<M, N>(j),
                    16.. => self.tile::<M, 16>(j),
                    8.. => self.tile::<M, 8>(j),
                    4.. => self.tile::<M, 4>(j),
                    _ => self.tile::<M, 1>(j),
                };
            }
        }
    }

    /// `M` rows and the `N` columns from `j` on; returns `N`.
    ///
    /// # Safety
    /// The elements (i, k) of a, (k, j) of b and (i, j) of dst lie inside their slices, for i in
    /// `0..M`, k in `0..self.k` and j in `j..j + N`.
    #[inline(always)]
    unsafe fn tile<const M: usize, const N: usize>(self, j: usize) -> usize {
        let mut sums = [[0.0f32; N]; M];
        // SAFETY: by the contract.
        unsafe {
            let (mut a, mut b) = (self.a, self.b.add(j));
            for _ in 0..self.k {
                let row: [f32; N] = b.cast::<[f32; N]>().read();
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = *a.add(i * self.a_row_stride);
                    for (sum, &b) in sums.iter_mut().zip(&row) {
                        *sum = a.mul_add(b, *sum);
                    }
                }
                a = a.wrapping_add(self.a_col_stride);
                b = b.wrapping_add(self.b_stride);
            }
            for (i, sums) in sums.iter().enumerate() {
                let dst = &mut *self.dst.add(i * self.dst_stride + j).cast::<[f32; N]>();
                match self.into {
                    Into::Overwrite => *dst = *sums,
                    Into::Add => dst.iter_mut().zip(sums).for_each(|(dst, sum)| *dst += sum),
                }
            }
        }
        N
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::simd::{Kernel, run};
    use proptest::prelude::*;

    struct Product<'a> {
        dst: &'a mut [f32],
        into: Into,
        a: Left<'a>,
        b: &'a [f32],
        m: usize,
        columns: Range<usize>,
        ks: Range<usize>,
        stride: usize,
    }

    impl Kernel for Product<'_> {
        type Output = ();
        fn run<const WIDE: bool>(self) {
            let part = |_| (self.columns.clone(), self.ks.clone());
            let (dst, b) = ((self.dst, self.stride), (self.b, self.stride));
            product::<WIDE>(dst, self.into, self.a, b, self.m, part);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            m in 1usize..40, n in 1usize..70, k in 1usize..40, skipped in 0usize..40,
            transposed: bool, add: bool, wide: bool
        ) {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
            let (columns, ks) = (skipped.min(n - 1)..n, skipped.min(k - 1)..k);
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * (n + 2)).map(value).collect();
            let mut dst = vec![0.25; m * (n + 2)];
            let left = if transposed { Left::transposed(&a, m) } else { Left::rows(&a, k) };
            let kernel = Product {
                dst: &mut dst, into: if add { Into::Add } else { Into::Overwrite }, a: left, b: &b,
                m, columns: columns.clone(), ks: ks.clone(), stride: n + 2,
            };
            if wide { run(kernel) } else { kernel.run::<false>() }
            let at = |i: usize, l: usize| f64::from(a[if transposed { l * m + i } else { i * k + l }]);
            for i in 0..m {
                for j in 0..n + 2 {
                    let product: f64 = ks.clone().map(|l| at(i, l) * f64::from(b[l * (n + 2) + j])).sum();
                    let want = match (columns.contains(&j), add) {
                        (false, _) => 0.25,
                        (true, false) => product,
                        (true, true) => 0.25 + product,
                    };
                    prop_assert!((f64::from(dst[i * (n + 2) + j]) - want).abs() < 1e-4);
                }
            }
        }
    }
}
