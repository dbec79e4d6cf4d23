//! Matrix products on slices.
//!
//! Each element of a product is a chain of fused multiply-adds, which begins with 0 and follows k for
//! [`TERMS`] terms. It is added to the destination, and the next terms follow. No division of the work changes
//! this order: neither tiles nor threads nor the width of the vectors. So a product has the same bits on every
//! processor. In bfloat16, a sum has another order: see [`super::term_format::Bf16`].

use super::blocked_product::BlockedProduct;
pub(crate) use super::blocked_product::TERMS;
use super::instruction_set::is_best;
pub(crate) use super::microkernel::Accumulate;
use super::microkernel::Destination;
use super::storage::vec_from_writer;
pub(crate) use super::view::View;
use super::view::fits;
use crate::spec::Precision;
use gemm::{Parallelism, gemm};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// The precision of the products of a kernel, as a type, so that one function serves two kernels.
pub(crate) trait Products {
    const PRECISION: Precision;
}

pub(crate) struct F32Products;

impl Products for F32Products {
    const PRECISION: Precision = Precision::F32;
}

pub(crate) struct Bf16Products;

impl Products for Bf16Products {
    const PRECISION: Precision = Precision::Bf16;
}

/// Multiplications of a product for each thread that takes part in it. With fewer, the cost of a
/// thread exceeds its gain.
const MIN_MULTIPLICATIONS_PER_THREAD: usize = 16_000_000;

/// Elements of the widest vector.
const VECTOR: usize = 16;

/// Multiplications from which `gemm` is faster.
const MIN_MULTIPLICATIONS_OF_GEMM: usize = 1_500_000;

/// The same, if the right factor is transposed.
const MIN_MULTIPLICATIONS_OF_GEMM_TRANSPOSED: usize = 60_000_000;

thread_local! {
    /// How many threads of the current pool a product may use.
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// Runs `work`, whose matrix products may each use up to `threads` threads of the current pool. The
/// number of threads does not change the bits.
pub fn with_product_threads<R>(threads: usize, work: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            THREADS.set(self.0);
        }
    }
    let _restore = Restore(THREADS.replace(threads));
    work()
}

/// `a b` as a new vector (m, n), for a (m, k) and b (k, n).
pub(crate) fn product(precision: Precision, a: View, b: View) -> Vec<f32> {
    let (m, n) = (a.rows, b.cols);
    let len = m.checked_mul(n).expect("a product fits into memory");
    // SAFETY: `y` has room for m rows of n elements, n apart. With `Overwrite`, none of them is read
    // and all of them are initialized.
    unsafe {
        vec_from_writer(len, |y| {
            let dst = Destination {
                start: y.as_mut_ptr().cast(),
                stride: n,
            };
            multiply(precision, dst, Accumulate::Overwrite, a, b);
        })
    }
}

/// `dst = a b` or `dst += a b`, for a (m, k), b (k, n) and dst (m, n), whose rows are `dst_stride`
/// apart. The factors are rounded to `precision`.
pub(crate) fn matmul(
    precision: Precision,
    dst: &mut [f32],
    dst_stride: usize,
    accumulate: Accumulate,
    a: View,
    b: View,
) {
    let (m, n) = (a.rows, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        dst_stride >= n && fits(dst.len(), (m, n), dst_stride),
        "the product fits"
    );
    let dst = Destination {
        start: dst.as_mut_ptr(),
        stride: dst_stride,
    };
    // SAFETY: the m rows of n elements lie inside `dst`, as just checked. A `&mut` slice overlaps
    // neither `a` nor `b`, and its elements are initialized.
    unsafe { multiply(precision, dst, accumulate, a, b) }
}

/// [`matmul`] to a pointer, on as many threads as the product is worth.
///
/// # Safety
/// `dst` is the place of m rows of n elements, with a stride of at least n, in one allocation that
/// overlaps neither `a` nor `b`. With [`Accumulate::Add`], they are initialized. With
/// [`Accumulate::Overwrite`], they need not be, and are so afterwards.
unsafe fn multiply(
    precision: Precision,
    dst: Destination,
    accumulate: Accumulate,
    a: View,
    b: View,
) {
    assert_eq!(a.cols, b.rows, "inner dimensions agree");
    let mut accumulate = accumulate;
    // At least once: a product without terms is 0.
    for first in (0..a.cols.max(1)).step_by(TERMS) {
        let terms = first..(first + TERMS).min(a.cols);
        let (a, b) = (a.columns(terms.clone()), b.rows(terms));
        // SAFETY: by the contract. The first terms have initialized the destination.
        unsafe {
            multiply_terms(BlockedProduct {
                dst,
                accumulate,
                a,
                b,
                precision,
            });
        }
        accumulate = Accumulate::Add;
    }
}

/// [`multiply`] for at most [`TERMS`] terms.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_terms(product: BlockedProduct) {
    let BlockedProduct { dst, a, b, .. } = product;
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let worthwhile = m * n * k / MIN_MULTIPLICATIONS_PER_THREAD;
    let threads = THREADS.get().min(worthwhile);
    if is_faster_with_gemm(&product) {
        // SAFETY: by the contract.
        return unsafe { multiply_with_gemm(product, threads) };
    }
    if threads <= 1 {
        // SAFETY: by the contract.
        return unsafe { product.multiply() };
    }
    // Each thread packs its part of `b`.
    let parts = (0..threads).into_par_iter().with_max_len(1);
    parts.for_each(|part| {
        let range = |len: usize| share(len, part, threads);
        let part = match n >= m {
            true => BlockedProduct {
                dst: dst.at(0, range(n).start),
                b: b.columns(range(n)),
                ..product
            },
            false => BlockedProduct {
                dst: dst.at(range(m).start, 0),
                a: a.rows(range(m)),
                ..product
            },
        };
        // SAFETY: by the contract, for some of the rows or columns. The parts do not overlap.
        unsafe { part.multiply() }
    });
}

/// Whether the crate `gemm` computes a product faster. It adds up to [`TERMS`] terms in the same order, with
/// fused multiply-adds, so that the bits are the same.
fn is_faster_with_gemm(product: &BlockedProduct) -> bool {
    let BlockedProduct { a, b, .. } = product;
    let least = match b.col_stride {
        1 => MIN_MULTIPLICATIONS_OF_GEMM,
        _ => MIN_MULTIPLICATIONS_OF_GEMM_TRANSPOSED,
    };
    // With fewer terms, or for vectors, it adds in another order.
    let is_matrix = a.rows > VECTOR && b.cols > VECTOR && a.cols > VECTOR;
    let is_large = a.rows * b.cols * a.cols >= least;
    product.precision == Precision::F32 && is_matrix && is_large && is_best()
}

/// [`multiply`] by the crate `gemm`.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_with_gemm(product: BlockedProduct, threads: usize) {
    let BlockedProduct {
        dst,
        accumulate,
        a,
        b,
        ..
    } = product;
    let parallelism = match threads {
        0 | 1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    // SAFETY: the views lie inside their slices, which `View::strided` has checked, and `dst` is as the
    // contract says. Without `read_dst`, `gemm` writes every element and reads none.
    unsafe {
        gemm(
            a.rows,
            b.cols,
            a.cols,
            dst.start,
            1,
            dst.stride as isize,
            accumulate == Accumulate::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// The share of one of several threads in `len` rows or columns, in whole vectors.
fn share(len: usize, part: usize, parts: usize) -> Range<usize> {
    let vectors = len.div_ceil(VECTOR);
    let start = |part: usize| (vectors * part / parts * VECTOR).min(len);
    start(part)..start(part + 1)
}

#[cfg(test)]
mod tests {
    use super::super::blocked_product::tests::expected;
    use super::*;

    /// Large enough for four threads, and of sizes that no tile divides.
    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (m, k, n) = (301, 413, 517);
        let data: Vec<f32> = (0..m * k + k * n).map(|i| (i as f32).sin()).collect();
        let (a, b) = (View::new(&data, m, k), View::new(&data[m * k..], n, k).t());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .unwrap();
        let results = [0, 1, 2, 3, 4].map(|threads| {
            let mut dst = vec![0.0; m * n];
            pool.install(|| {
                with_product_threads(threads, || {
                    matmul(Precision::F32, &mut dst, n, Accumulate::Overwrite, a, b)
                });
            });
            dst
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// Large products, some of which are left to `gemm`.
    #[test]
    fn large_products_agree_with_the_definition_to_the_bit() {
        for (m, k, n) in [
            (200, 512, 129),
            (96, 1025, 301),
            (513, 64, 192),
            (64, 700, 5),
            (1, 1024, 3000),
            (3000, 512, 1),
            (3, 0, 4),
        ] {
            let data: Vec<f32> = (0..m * k + k * n).map(|i| (i as f32).sin()).collect();
            let (left, right) = data.split_at(m * k);
            for a in [View::new(left, m, k), View::new(left, k, m).t()] {
                for b in [View::new(right, k, n), View::new(right, n, k).t()] {
                    let overwritten = expected(Precision::F32, a, b, None);
                    assert!(product(Precision::F32, a, b) == overwritten, "{m} {k} {n}");
                    let mut dst = vec![0.25; m * n];
                    matmul(Precision::F32, &mut dst, n, Accumulate::Overwrite, a, b);
                    assert!(dst == overwritten, "{m} {k} {n}");
                    dst.fill(0.25);
                    matmul(Precision::F32, &mut dst, n, Accumulate::Add, a, b);
                    assert!(
                        dst == expected(Precision::F32, a, b, Some(0.25)),
                        "{m} {k} {n}"
                    );
                }
            }
        }
    }
}
