//! Products of the small matrices of one attention head, where the set-up of a general matrix
//! product would cost more than the product.
//!
//! A tile of 8 rows and up to 32 columns is kept in registers: 4 rows and 16 columns where there
//! are only 16 vector registers. The functions are called inside [`super::simd::Kernel::run`],
//! where a fused multiply-add is one instruction. Sums over k run in order, so the bits do not
//! depend on the tile.

use super::matmul::Accumulate;
use std::ops::Range;

/// Rows of a tile. It divides the number of lanes.
pub(crate) const fn tile_rows(wide: bool) -> usize {
    if wide { 8 } else { 4 }
}

/// Indices and strides are less than this, so that an offset, which is the sum of two products of
/// them, does not overflow.
const LIMIT: usize = 1 << (usize::BITS / 2 - 1);

/// The left factor of a product, which is read element by element: (i, k) is at
/// `i * row_stride + k * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a> {
    data: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Lhs<'a> {
    /// A matrix whose rows are `row_stride` apart.
    #[inline(always)]
    pub(crate) fn rows(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose of a matrix whose rows are `col_stride` apart.
    #[inline(always)]
    pub(crate) fn transposed(data: &'a [f32], col_stride: usize) -> Self {
        Self {
            data,
            row_stride: 1,
            col_stride,
        }
    }
}

/// `dst = a b` or `dst += a b` for `m` rows, one tile of rows at a time.
///
/// `part(i)` is `(columns, ks)` for the tile whose first row is `i`: only these columns are
/// written, and the sums run over these k. If `ks` is empty, the sums are 0. Rows of `dst` and `b`
/// are `dst_stride` and `b_stride` apart.
///
/// # Panics
/// If an element of a part lies outside of its slice, or an index or a stride is 2^31 or more.
#[inline(always)]
pub(crate) fn product<const WIDE: bool>(
    (dst, dst_stride): (&mut [f32], usize),
    accumulate: Accumulate,
    a: Lhs,
    (b, b_stride): (&[f32], usize),
    m: usize,
    part: impl Fn(usize) -> (Range<usize>, Range<usize>),
) {
    let strides = [dst_stride, a.row_stride, a.col_stride, b_stride];
    assert!(m < LIMIT && strides.iter().all(|&stride| stride < LIMIT));
    let step = tile_rows(WIDE);
    for i in (0..m).step_by(step) {
        let rows = step.min(m - i);
        let (columns, ks) = part(i);
        if columns.is_empty() {
            continue;
        }
        let (last_row, last_column) = (i + rows - 1, columns.end - 1);
        assert!(last_column < LIMIT && last_row * dst_stride + last_column < dst.len());
        if ks.is_empty() {
            if accumulate == Accumulate::Overwrite {
                (i..i + rows).for_each(|row| dst[row * dst_stride..][columns.clone()].fill(0.0));
            }
            continue;
        }
        let last_k = ks.end - 1;
        assert!(last_k < LIMIT && last_k * b_stride + last_column < b.len());
        assert!(last_row * a.row_stride + last_k * a.col_stride < a.data.len());
        // SAFETY: offsets grow with the row, the column and k. The asserts have shown that the
        // largest offset of each operand lies inside its slice, so all elements of the part do. None
        // of the offsets overflows, because rows, columns, k and strides are below `LIMIT`. `dst` is
        // mutably borrowed, so it overlaps neither `a` nor `b`.
        unsafe {
            let panel = RowPanel {
                dst: dst.as_mut_ptr().add(i * dst_stride),
                dst_stride,
                accumulate,
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
                (true, true) => panel.columns::<8, 32>(columns),
                (false, true) => panel.columns::<4, 16>(columns),
                (true, false) => panel.each_row::<32>(rows, columns),
                (false, false) => panel.each_row::<16>(rows, columns),
            }
        }
    }
}

/// The rows of a product that one tile covers, as pointers to the first row and the first k.
#[derive(Clone, Copy)]
struct RowPanel {
    dst: *mut f32,
    dst_stride: usize,
    accumulate: Accumulate,
    a: *const f32,
    a_row_stride: usize,
    a_col_stride: usize,
    b: *const f32,
    b_stride: usize,
    k: usize,
}

impl RowPanel {
    /// Computes `rows` rows, one at a time.
    ///
    /// # Safety
    /// As for [`Self::tile`], with `rows` rows and these columns.
    #[inline(always)]
    unsafe fn each_row<const N: usize>(self, rows: usize, columns: Range<usize>) {
        for row in 0..rows {
            // SAFETY: by the contract, this row of `dst` and `a` lies inside their slices.
            unsafe {
                let dst = self.dst.add(row * self.dst_stride);
                let a = self.a.add(row * self.a_row_stride);
                Self { dst, a, ..self }.columns::<1, N>(columns.clone());
            }
        }
    }

    /// Computes `M` rows of these columns, `N` columns at a time and then fewer.
    ///
    /// # Safety
    /// As for [`Self::tile`], with `M` rows and these columns.
    #[inline(always)]
    unsafe fn columns<const M: usize, const N: usize>(self, columns: Range<usize>) {
        let mut j = columns.start;
        while j < columns.end {
            let left = columns.end - j;
            // SAFETY: a tile has no more columns than are left.
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

    /// Computes `M` rows and `N` columns from column `j` on. Returns `N`.
    ///
    /// # Safety
    /// The elements (i, k) of a, (k, j) of b and (i, j) of dst lie inside their slices, for i in
    /// `0..M`, k in `0..self.k` and j in `j..j + N`. Nobody else accesses these elements of dst.
    #[inline(always)]
    unsafe fn tile<const M: usize, const N: usize>(self, j: usize) -> usize {
        let mut sums = [[0.0f32; N]; M];
        // SAFETY: by the contract, all elements that are read or written lie inside their slices.
        // An array of `f32` has the alignment of `f32`. After the last k, `a` and `b` may point
        // outside, but are not read: `wrapping_add` may do so.
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
                match self.accumulate {
                    Accumulate::Overwrite => *dst = *sums,
                    Accumulate::Add => dst.iter_mut().zip(sums).for_each(|(dst, sum)| *dst += sum),
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
        accumulate: Accumulate,
        a: Lhs<'a>,
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
            product::<WIDE>(dst, self.accumulate, self.a, b, self.m, part);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            m in 1usize..40, n in 1usize..70, k in 1usize..40, skipped in 0usize..41,
            transposed: bool, add: bool, wide: bool
        ) {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
            let (columns, ks) = (skipped.min(n - 1)..n, skipped.min(k)..k); // k may be empty
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * (n + 2)).map(value).collect();
            let mut dst = vec![0.25; m * (n + 2)];
            let lhs = if transposed { Lhs::transposed(&a, m) } else { Lhs::rows(&a, k) };
            let kernel = Product {
                dst: &mut dst, accumulate: if add { Accumulate::Add } else { Accumulate::Overwrite }, a: lhs, b: &b,
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
