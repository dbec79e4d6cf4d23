//! Matrix products on slices, by the crate `gemm`.

use super::storage::vec_from_writer;
use gemm::{Parallelism, gemm};
use std::cell::Cell;

/// Multiplications of a product for each thread that takes part in it. With fewer, the cost of a
/// thread exceeds its gain.
const MIN_MULTIPLICATIONS_PER_THREAD: usize = 16_000_000;

thread_local! {
    /// How many threads of the current pool a product may use.
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// Runs `work`, whose matrix products may each use up to `threads` threads of the current pool. The
/// number of threads does not change the bits: a thread computes some of the elements, each in the
/// same order of operations.
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

/// A matrix inside a slice: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// `rows` rows of `cols` elements, one after another.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows` rows of `cols` elements, `row_stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            fits(data.len(), (rows, cols), row_stride),
            "a view lies inside its slice"
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a matrix, whose rows are `row_stride` apart, lies inside a slice of `len` elements.
fn fits(len: usize, (rows, cols): (usize, usize), row_stride: usize) -> bool {
    match rows.checked_sub(1) {
        Some(last) => (last.checked_mul(row_stride))
            .and_then(|start| start.checked_add(cols))
            .is_some_and(|end| end <= len),
        None => true,
    }
}

/// Whether a product is added to its destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accumulate {
    /// `dst = a b`. The old content is not read.
    Overwrite,
    /// `dst += a b`
    Add,
}

/// `a b` as a new vector (m, n), for a (m, k) and b (k, n).
pub(crate) fn product(a: View, b: View) -> Vec<f32> {
    let (m, n) = (a.rows, b.cols);
    let len = m.checked_mul(n).expect("a product fits into memory");
    // SAFETY: `y` has room for m rows of n elements, n apart. With `Overwrite`, `gemm_into` reads
    // none of them and initializes all of them.
    unsafe {
        vec_from_writer(len, |y| {
            gemm_into(y.as_mut_ptr().cast(), n, Accumulate::Overwrite, a, b);
        })
    }
}

/// `dst = a b` or `dst += a b`, for a (m, k), b (k, n) and dst (m, n), whose rows are `dst_stride`
/// apart.
pub(crate) fn matmul(dst: &mut [f32], dst_stride: usize, accumulate: Accumulate, a: View, b: View) {
    let (m, n) = (a.rows, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        dst_stride >= n && fits(dst.len(), (m, n), dst_stride),
        "the product fits"
    );
    // SAFETY: the m rows of n elements lie inside `dst`, as just checked. A `&mut` slice overlaps
    // neither `a` nor `b`, and its elements are initialized.
    unsafe { gemm_into(dst.as_mut_ptr(), dst_stride, accumulate, a, b) }
}

/// [`matmul`] to a pointer.
///
/// # Safety
/// `dst` points to m rows of n elements, `dst_stride >= n` apart, in one allocation that overlaps
/// neither `a` nor `b`. With [`Accumulate::Add`], they are initialized. With
/// [`Accumulate::Overwrite`], they need not be, and are so afterwards.
unsafe fn gemm_into(dst: *mut f32, dst_stride: usize, accumulate: Accumulate, a: View, b: View) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner dimensions agree");
    let parallelism = match THREADS
        .get()
        .min(m * n * k / MIN_MULTIPLICATIONS_PER_THREAD)
    {
        0 | 1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    };
    // SAFETY: the views lie inside their slices, which `View::strided` has checked, and `dst` is as
    // the contract says. Without `read_dst`, `gemm` writes every element and reads none, for k = 0
    // too.
    unsafe {
        gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_stride as isize,
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

/// The three products of a linear layer's forward and backward pass, with x (N, C) and weight (D,
/// C). They measure the speed of a machine.
#[derive(Debug)]
pub struct LinearProducts {
    shape: (usize, usize, usize),
    x: Vec<f32>,
    weight: Vec<f32>,
    y: Vec<f32>,
    gx: Vec<f32>,
    gw: Vec<f32>,
}

impl LinearProducts {
    /// Products of constant matrices.
    pub fn new(n: usize, c: usize, d: usize) -> Self {
        Self {
            shape: (n, c, d),
            x: vec![0.5; n * c],
            weight: vec![0.25; d * c],
            y: vec![0.0; n * d],
            gx: vec![0.0; n * c],
            gw: vec![0.0; d * c],
        }
    }

    /// Floating-point operations of [`Self::run`].
    pub fn flops(&self) -> f64 {
        let (n, c, d) = self.shape;
        3.0 * 2.0 * (n * c * d) as f64
    }

    /// Computes the products on one thread: `y = x Wᵀ`, `gx = y W`, `gw = yᵀ x`.
    pub fn run(&mut self) {
        let (n, c, d) = self.shape;
        let (x, weight) = (View::new(&self.x, n, c), View::new(&self.weight, d, c));
        matmul(&mut self.y, d, Accumulate::Overwrite, x, weight.t());
        let y = View::new(&self.y, n, d);
        matmul(&mut self.gx, c, Accumulate::Overwrite, y, weight);
        matmul(&mut self.gw, c, Accumulate::Overwrite, y.t(), x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(a: View, b: View) -> Vec<f64> {
        let at =
            |v: View, i: usize, j: usize| f64::from(v.data[i * v.row_stride + j * v.col_stride]);
        let mut out = Vec::new();
        for i in 0..a.rows {
            for j in 0..b.cols {
                out.push((0..a.cols).map(|k| at(a, i, k) * at(b, k, j)).sum());
            }
        }
        out
    }

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
        let results = [1, 2, 3, 4].map(|threads| {
            let mut dst = vec![0.0; m * n];
            pool.install(|| {
                with_product_threads(threads, || matmul(&mut dst, n, Accumulate::Overwrite, a, b));
            });
            dst
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(m in 1usize..20, n in 1usize..20, k in 0usize..20, ta: bool, tb: bool, add: bool) {
            let data: Vec<f32> = (0..800).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
            let a = if ta { View::new(&data, k, m).t() } else { View::new(&data, m, k) };
            let b = if tb { View::new(&data[400..], n, k).t() } else { View::new(&data[400..], k, n) };
            let stride = n + 3;
            let mut dst = vec![0.5; m * stride];
            matmul(&mut dst, stride, if add { Accumulate::Add } else { Accumulate::Overwrite }, a, b);
            let expected = naive(a, b);
            for (got, want) in product(a, b).iter().zip(&expected) {
                prop_assert!((f64::from(*got) - want).abs() < 1e-4);
            }
            for i in 0..m {
                for j in 0..stride {
                    let want = if j >= n { 0.5 } else { expected[i * n + j] + if add { 0.5 } else { 0.0 } };
                    prop_assert!((f64::from(dst[i * stride + j]) - want).abs() < 1e-4);
                }
            }
        }
    }
}
