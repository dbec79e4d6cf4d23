//! Matrix products on slices.
//!
//! Each element of a product is a chain of fused multiply-adds, which begins with 0 and follows k for
//! [`TERMS`] terms. It is added to the destination, and the next terms follow. No division of the work changes
//! this order: neither tiles nor threads nor the width of the vectors. So a product has the same bits on every
//! processor.

use super::instruction_set::{arch, is_best};
pub(crate) use super::microkernel::Accumulate;
use super::microkernel::{Destination, Tile};
use super::packing::{Buffer, PackedLeft, pack_panel};
use super::storage::vec_from_writer;
pub(crate) use super::view::View;
use super::view::fits;
use gemm::{Parallelism, gemm};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

/// Multiplications of a product for each thread that takes part in it. With fewer, the cost of a
/// thread exceeds its gain.
const MIN_MULTIPLICATIONS_PER_THREAD: usize = 16_000_000;

/// Elements of the widest vector.
const VECTOR: usize = 16;

/// Terms that are added up in one chain.
const TERMS: usize = 512;

/// Terms that are multiplied at a time. A panel of the right factor with so many rows stays in the
/// first-level cache while it is multiplied with all rows.
const K_BLOCK: usize = 256;

/// Bytes of the rows of a left factor that are multiplied with all panels before the next rows. They stay in
/// the second-level cache.
const LEFT_BYTES: usize = 1024 << 10;

/// Bytes of a transposed left factor from which its tiles are packed. A smaller one stays in the
/// second-level cache and in few pages of memory, and is read where it is.
const MIN_PACKED_BYTES: usize = 400 << 10;

/// Most bytes of a right factor of which all panels are kept.
const RIGHT_BYTES: usize = 2560 << 10;

/// Multiplications from which `gemm` is faster.
const MIN_MULTIPLICATIONS_OF_GEMM: usize = 1_500_000;

/// The same, if the right factor is transposed.
const MIN_MULTIPLICATIONS_OF_GEMM_TRANSPOSED: usize = 60_000_000;

thread_local! {
    /// How many threads of the current pool a product may use.
    static THREADS: Cell<usize> = const { Cell::new(1) };
    /// Memory for packed factors, which is kept from one product to the next.
    static BUFFERS: Cell<Buffers> = const { Cell::new(Buffers::new()) };
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
pub(crate) fn product(a: View, b: View) -> Vec<f32> {
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
            multiply(dst, Accumulate::Overwrite, a, b);
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
    let dst = Destination {
        start: dst.as_mut_ptr(),
        stride: dst_stride,
    };
    // SAFETY: the m rows of n elements lie inside `dst`, as just checked. A `&mut` slice overlaps
    // neither `a` nor `b`, and its elements are initialized.
    unsafe { multiply(dst, accumulate, a, b) }
}

/// [`matmul`] to a pointer, on as many threads as the product is worth.
///
/// # Safety
/// `dst` is the place of m rows of n elements, with a stride of at least n, in one allocation that
/// overlaps neither `a` nor `b`. With [`Accumulate::Add`], they are initialized. With
/// [`Accumulate::Overwrite`], they need not be, and are so afterwards.
unsafe fn multiply(dst: Destination, accumulate: Accumulate, a: View, b: View) {
    assert_eq!(a.cols, b.rows, "inner dimensions agree");
    let mut accumulate = accumulate;
    // At least once: a product without terms is 0.
    for first in (0..a.cols.max(1)).step_by(TERMS) {
        let terms = first..(first + TERMS).min(a.cols);
        let (a, b) = (a.columns(terms.clone()), b.rows(terms));
        // SAFETY: by the contract. The first terms have initialized the destination.
        unsafe { multiply_terms(dst, accumulate, a, b) };
        accumulate = Accumulate::Add;
    }
}

/// [`multiply`] for at most [`TERMS`] terms.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_terms(dst: Destination, accumulate: Accumulate, a: View, b: View) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let worthwhile = m * n * k / MIN_MULTIPLICATIONS_PER_THREAD;
    let threads = THREADS.get().min(worthwhile);
    if is_faster_with_gemm(a, b) {
        // SAFETY: by the contract.
        return unsafe { multiply_with_gemm(dst, accumulate, a, b, threads) };
    }
    if threads <= 1 {
        let part = Part {
            dst,
            accumulate,
            a,
            b,
        };
        // SAFETY: by the contract.
        return unsafe { part.multiply() };
    }
    // Each thread packs its part of `b`.
    let parts = (0..threads).into_par_iter().with_max_len(1);
    parts.for_each(|part| {
        let range = |len: usize| share(len, part, threads);
        let part = match n >= m {
            true => Part {
                dst: dst.at(0, range(n).start),
                accumulate,
                a,
                b: b.columns(range(n)),
            },
            false => Part {
                dst: dst.at(range(m).start, 0),
                accumulate,
                a: a.rows(range(m)),
                b,
            },
        };
        // SAFETY: by the contract, for some of the rows or columns. The parts do not overlap.
        unsafe { part.multiply() }
    });
}

/// Whether the crate `gemm` computes a product faster. It adds up to [`TERMS`] terms in the same order, with
/// fused multiply-adds, so that the bits are the same.
fn is_faster_with_gemm(a: View, b: View) -> bool {
    static IS_BEST: LazyLock<bool> = LazyLock::new(is_best);
    let least = match b.col_stride {
        1 => MIN_MULTIPLICATIONS_OF_GEMM,
        _ => MIN_MULTIPLICATIONS_OF_GEMM_TRANSPOSED,
    };
    // With fewer terms, or for vectors, it adds in another order.
    let is_matrix = a.rows > VECTOR && b.cols > VECTOR && a.cols > VECTOR;
    is_matrix && a.rows * b.cols * a.cols >= least && *IS_BEST
}

/// [`multiply`] by the crate `gemm`.
///
/// # Safety
/// As for [`multiply`].
unsafe fn multiply_with_gemm(
    dst: Destination,
    accumulate: Accumulate,
    a: View,
    b: View,
    threads: usize,
) {
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

/// Memory for packed factors.
#[derive(Default)]
struct Buffers {
    /// A block of a panel of the right factor.
    one_panel: Buffer,
    /// All panels of the right factor.
    all_panels: Buffer,
    left: PackedLeft,
    /// Sums of a panel over the blocks of k so far.
    partial: Buffer,
}

impl Buffers {
    const fn new() -> Self {
        Self {
            one_panel: Buffer::new(),
            all_panels: Buffer::new(),
            left: PackedLeft::new(),
            partial: Buffer::new(),
        }
    }
}

/// What one thread computes of a product.
struct Part<'a> {
    dst: Destination,
    accumulate: Accumulate,
    a: View<'a>,
    b: View<'a>,
}

impl Part<'_> {
    /// # Safety
    /// As for [`multiply`].
    unsafe fn multiply(self) {
        // SAFETY: by the contract.
        unsafe { self.multiply_with(arch()) }
    }

    /// [`Self::multiply`] with these instructions.
    ///
    /// # Safety
    /// As for [`multiply`].
    unsafe fn multiply_with(self, arch: pulp::Arch) {
        if self.a.rows == 0 || self.b.cols == 0 {
            return;
        }
        let mut buffers = BUFFERS.take();
        arch.dispatch(PartWithBuffers {
            part: self,
            buffers: &mut buffers,
        });
        BUFFERS.set(buffers);
    }
}

/// A product with memory for its packed factors. It is only made where the contract of [`multiply`] holds.
struct PartWithBuffers<'a> {
    part: Part<'a>,
    buffers: &'a mut Buffers,
}

impl WithSimd for PartWithBuffers<'_> {
    type Output = ();

    /// A tile has two vectors of columns, and as many rows as leave some registers for the factors.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::REGISTER_COUNT >= 32 {
            true => self.multiply::<S, 14>(simd),
            false => self.multiply::<S, 6>(simd),
        }
    }
}

impl PartWithBuffers<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize>(self, simd: S) {
        let Part {
            dst,
            accumulate,
            mut a,
            mut b,
        } = self.part;
        // A transposed left factor is read a few columns at a time, from all of its rows, which takes long if
        // they lie on many pages of memory. Then the narrower one of the factors is the left one.
        let is_large = |view: View| view.rows * view.cols * size_of::<f32>() >= MIN_PACKED_BYTES;
        let is_flipped = a.row_stride == 1 && b.col_stride == 1 && a.rows > b.cols && is_large(a);
        if is_flipped {
            (a, b) = (b.t(), a.t());
        }
        let Buffers {
            one_panel,
            all_panels: packed_panel,
            left: packed_left,
            partial,
        } = self.buffers;
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let width = 2 * S::F32_LANES;
        let is_transposed = a.row_stride == 1;
        let is_packed = is_transposed && is_large(a);
        let blocks = Blocks::new(k, ROWS);
        let partial_rows = if k > blocks.k { blocks.rows.min(m) } else { 0 };
        let partial = Destination {
            start: partial.of_len(partial_rows * width).as_mut_ptr(),
            stride: width,
        };
        // A panel is packed just before it is used. It is kept if it is used again and the cache has room.
        let all_panels = n.div_ceil(width) * width * k;
        let all_packed = blocks.rows < m && all_panels * size_of::<f32>() <= RIGHT_BYTES;
        let all_panels = if all_packed { all_panels } else { 0 };
        let all_panels = packed_panel.of_len(all_panels);
        for first_row in (0..m).step_by(blocks.rows) {
            let rows = first_row..(first_row + blocks.rows).min(m);
            let a = a.rows(rows.clone());
            let packed = match is_packed {
                true => packed_left.pack(a, ROWS),
                false => &[],
            };
            // The first element of the left factor of a tile, and the distance of its rows or columns.
            let left = |row: usize, first: usize| match is_packed {
                true => {
                    let group = &packed[row / ROWS * k * PackedLeft::WIDTH..];
                    let place = first * PackedLeft::WIDTH + row % ROWS;
                    (group[place..].as_ptr(), PackedLeft::WIDTH)
                }
                false => {
                    let place = row * a.row_stride + first * a.col_stride;
                    let stride = if is_transposed {
                        a.col_stride
                    } else {
                        a.row_stride
                    };
                    (a.data.as_ptr().wrapping_add(place), stride)
                }
            };
            for start in (0..n).step_by(width) {
                let columns = start..(start + width).min(n);
                // At least one block: a product without terms is 0.
                for first in (0..k.max(1)).step_by(blocks.k) {
                    let terms = first..(first + blocks.k).min(k);
                    let is_last = terms.end == k;
                    let block = (terms.clone(), columns.clone());
                    let panel = match all_packed {
                        true => {
                            let panel = &mut all_panels[(start * k + first * width)..];
                            if first_row == 0 {
                                pack_panel(simd, panel, b, block, width);
                            }
                            &*panel
                        }
                        false => {
                            let panel = one_panel.of_len(terms.len() * width);
                            pack_panel(simd, panel, b, block, width);
                            &*panel
                        }
                    };
                    for rows in tiles(rows.clone(), ROWS) {
                        let row = rows.start;
                        let partial = partial.at(row - first_row, 0);
                        let place = match is_flipped {
                            true => dst.at(start, row),
                            false => dst.at(row, start),
                        };
                        let tile = Tile {
                            start: (first > 0).then_some(partial),
                            panel: panel.as_ptr(),
                            k: terms.len(),
                            dst: if is_last { place } else { partial },
                            columns: if is_last { columns.len() } else { width },
                            accumulate: if is_last {
                                accumulate
                            } else {
                                Accumulate::Overwrite
                            },
                            is_flipped: is_last && is_flipped,
                        };
                        let left = left(row - first_row, first);
                        // SAFETY: the rows and the panel lie inside the factors, and the tile inside the
                        // destination, by the contract of `multiply`, or inside `partial`.
                        unsafe {
                            match is_transposed {
                                true => tile.of_height::<S, true>(simd, rows.len(), left),
                                false => tile.of_height::<S, false>(simd, rows.len(), left),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many rows and how many terms are multiplied at a time.
#[derive(Clone, Copy)]
struct Blocks {
    rows: usize,
    k: usize,
}

impl Blocks {
    fn new(k: usize, tile_rows: usize) -> Self {
        let rows = LEFT_BYTES / (k.max(1) * size_of::<f32>());
        let blocks = k.div_ceil(K_BLOCK).max(1);
        Self {
            rows: (rows / tile_rows).max(1) * tile_rows,
            // Of equal sizes, and a multiple of what is packed at a time.
            k: k.div_ceil(blocks).next_multiple_of(4).max(1),
        }
    }
}

/// The tiles of some rows: as many as possible of `most` rows, and then lower ones.
#[inline(always)]
fn tiles(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let mut row = rows.start;
    std::iter::from_fn(move || {
        let left = rows.end - row;
        let height = match left {
            0 => return None,
            _ if left >= most => most,
            8.. => 8,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        row += height;
        Some(row - height..row)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::InstructionSet;
    use proptest::prelude::*;

    /// The definition, to the bit. `initial` is what the product is added to.
    fn expected(a: View, b: View, initial: Option<f32>) -> Vec<f32> {
        let at = |v: View, i: usize, j: usize| v.data[i * v.row_stride + j * v.col_stride];
        let element = |i: usize, j: usize| {
            let chain = |terms: Range<usize>| {
                terms.fold(0.0f32, |sum, k| at(a, i, k).mul_add(at(b, k, j), sum))
            };
            let chains = (0..a.cols).step_by(TERMS);
            let chains = chains.map(|first| chain(first..(first + TERMS).min(a.cols)));
            initial
                .into_iter()
                .chain(chains)
                .reduce(|sum, chain| sum + chain)
                .unwrap_or(0.0)
        };
        let rows = (0..a.rows).flat_map(|i| (0..b.cols).map(move |j| (i, j)));
        rows.map(|(i, j)| element(i, j)).collect()
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
        let results = [0, 1, 2, 3, 4].map(|threads| {
            let mut dst = vec![0.0; m * n];
            pool.install(|| {
                with_product_threads(threads, || matmul(&mut dst, n, Accumulate::Overwrite, a, b));
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
                    let overwritten = expected(a, b, None);
                    assert!(product(a, b) == overwritten, "{m} {k} {n}");
                    let mut dst = vec![0.25; m * n];
                    matmul(&mut dst, n, Accumulate::Overwrite, a, b);
                    assert!(dst == overwritten, "{m} {k} {n}");
                    dst.fill(0.25);
                    matmul(&mut dst, n, Accumulate::Add, a, b);
                    assert!(dst == expected(a, b, Some(0.25)), "{m} {k} {n}");
                }
            }
        }
    }

    /// Factors that are packed in several blocks of rows, and whose rows are not next to each other.
    #[test]
    fn every_instruction_set_multiplies_several_blocks() {
        let (m, k, n, gap) = (2 * LEFT_BYTES / size_of::<f32>() / TERMS + 9, TERMS, 17, 3);
        let longest = m.max(k);
        let data: Vec<f32> = (0..longest * (longest + gap))
            .map(|i| (i as f32).sin())
            .collect();
        let view = |rows, cols| View::strided(&data, rows, cols, cols + gap);
        for a in [view(m, k), view(k, m).t()] {
            for b in [view(k, n), view(n, k).t()] {
                let expected = expected(a, b, None);
                for set in InstructionSet::available() {
                    let mut dst = vec![0.0f32; m * n];
                    let part = Part {
                        dst: Destination {
                            start: dst.as_mut_ptr(),
                            stride: n,
                        },
                        accumulate: Accumulate::Overwrite,
                        a,
                        b,
                    };
                    // SAFETY: `dst` has m rows of n elements.
                    unsafe { part.multiply_with(set.arch().unwrap()) };
                    assert!(dst == expected, "{}", set.name());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_agrees_with_the_definition_to_the_bit(
            m in 1usize..40, n in 1usize..70, k in 0usize..40, ta: bool, tb: bool, add: bool, large: bool
        ) {
            // A transposed left factor of this size is packed, and the sums have several blocks.
            let rows = MIN_PACKED_BYTES / size_of::<f32>() / TERMS + 1;
            let (m, n, k) = if large { (rows, n.min(3), TERMS) } else { (m, n, k) };
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0;
            let (a, b): (Vec<f32>, Vec<f32>) = ((0..m * k).map(value).collect(), (7..7 + k * n).map(value).collect());
            let a = if ta { View::new(&a, k, m).t() } else { View::new(&a, m, k) };
            let b = if tb { View::new(&b, n, k).t() } else { View::new(&b, k, n) };
            let accumulate = if add { Accumulate::Add } else { Accumulate::Overwrite };
            let (stride, expected) = (n + 3, expected(a, b, add.then_some(0.5)));
            for set in InstructionSet::available() {
                let mut dst = vec![0.5f32; m * stride];
                let part = Part {
                    dst: Destination { start: dst.as_mut_ptr(), stride },
                    accumulate,
                    a,
                    b,
                };
                // SAFETY: `dst` has m rows of more than n elements.
                unsafe { part.multiply_with(set.arch().unwrap()) };
                for (i, got) in dst.iter().enumerate() {
                    let (row, column) = (i / stride, i % stride);
                    let want = match column < n {
                        true => expected[row * n + column],
                        false => 0.5,
                    };
                    prop_assert_eq!(got.to_bits(), want.to_bits(), "{} at {}, {}", set.name(), row, column);
                }
            }
        }
    }
}
