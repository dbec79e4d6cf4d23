//! A matrix product of some hundred terms on one thread.
//!
//! The factors are visited in blocks that stay in the caches, and the result in tiles that stay in registers.

use super::instruction_set::arch;
use super::microkernel::{Accumulate, Destination, Tile};
use super::packing::{Buffer, GROUP_WIDTH, pack_left, pack_panel};
use super::view::View;
use pulp::{Simd, WithSimd};
use std::cell::Cell;
use std::ops::Range;

/// Terms that are added up in one chain.
pub(super) const TERMS: usize = 512;

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

thread_local! {
    /// Memory for packed factors, which is kept from one product to the next.
    static BUFFERS: Cell<Buffers> = Cell::default();
}

/// Memory for packed factors.
#[derive(Default)]
struct Buffers {
    /// All panels of the right factor, or the block that is in use.
    panels: Buffer,
    /// A block of rows of the left factor.
    left: Buffer,
    /// Sums of a panel over the blocks of k so far.
    partial: Buffer,
}

/// `dst = a b` or `dst += a b`, for at most [`TERMS`] terms.
pub(super) struct BlockedProduct<'a> {
    pub(super) dst: Destination,
    pub(super) accumulate: Accumulate,
    pub(super) a: View<'a>,
    pub(super) b: View<'a>,
}

impl BlockedProduct<'_> {
    /// Computes it on this thread.
    ///
    /// # Safety
    /// `dst` is the place of the rows of `a` and the columns of `b`, in one allocation that overlaps neither of
    /// them. Nobody else accesses it. With [`Accumulate::Add`], it is initialized.
    pub(super) unsafe fn multiply(self) {
        // SAFETY: by the contract.
        unsafe { self.multiply_with(arch()) }
    }

    /// [`Self::multiply`] with these instructions.
    ///
    /// # Safety
    /// As for [`Self::multiply`].
    unsafe fn multiply_with(self, arch: pulp::Arch) {
        if self.a.rows == 0 || self.b.cols == 0 {
            return;
        }
        let mut buffers = BUFFERS.take();
        arch.dispatch(WithBuffers {
            product: self,
            buffers: &mut buffers,
        });
        BUFFERS.set(buffers);
    }
}

/// A product with memory for its packed factors. It is only made where the contract of
/// [`BlockedProduct::multiply`] holds.
struct WithBuffers<'a> {
    product: BlockedProduct<'a>,
    buffers: &'a mut Buffers,
}

impl WithSimd for WithBuffers<'_> {
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

impl WithBuffers<'_> {
    #[inline(always)]
    fn multiply<S: Simd, const ROWS: usize>(self, simd: S) {
        let BlockedProduct {
            dst,
            accumulate,
            mut a,
            mut b,
        } = self.product;
        // A transposed left factor is read a few columns at a time, from all of its rows, which takes long if
        // they lie on many pages of memory. Then the narrower one of the factors is the left one.
        let is_large = |view: View| view.rows * view.cols * size_of::<f32>() >= MIN_PACKED_BYTES;
        let is_flipped = a.row_stride == 1 && b.col_stride == 1 && a.rows > b.cols && is_large(a);
        if is_flipped {
            (a, b) = (b.t(), a.t());
        }
        let Buffers {
            panels,
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
        let are_kept = blocks.rows < m && all_panels * size_of::<f32>() <= RIGHT_BYTES;
        let panels = panels.of_len(if are_kept {
            all_panels
        } else {
            blocks.k * width
        });
        for first_row in (0..m).step_by(blocks.rows) {
            let rows = first_row..(first_row + blocks.rows).min(m);
            let a = a.rows(rows.clone());
            let packed = match is_packed {
                true => pack_left(packed_left, a, ROWS),
                false => &[],
            };
            // The first element of the left factor of a tile, and the distance of its rows or columns.
            let left = |row: usize, first: usize| match is_packed {
                true => {
                    let group = &packed[row / ROWS * k * GROUP_WIDTH..];
                    let place = first * GROUP_WIDTH + row % ROWS;
                    (group[place..].as_ptr(), GROUP_WIDTH)
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
                    let place = if are_kept {
                        start * k + first * width
                    } else {
                        0
                    };
                    let panel = &mut panels[place..];
                    if first_row == 0 || !are_kept {
                        pack_panel(panel, b, block, width);
                    }
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
                        // destination, by the contract, or inside `partial`.
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
pub(crate) mod tests {
    use super::*;
    use crate::kernels::InstructionSet;
    use proptest::prelude::*;

    /// The definition, to the bit. `initial` is what the product is added to.
    pub(crate) fn expected(a: View, b: View, initial: Option<f32>) -> Vec<f32> {
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

    /// A product by an instruction set that this processor has.
    fn multiply(
        set: InstructionSet,
        dst: &mut [f32],
        stride: usize,
        accumulate: Accumulate,
        a: View,
        b: View,
    ) {
        assert!(stride >= b.cols && dst.len() >= a.rows * stride);
        let start = dst.as_mut_ptr();
        let dst = Destination { start, stride };
        let product = BlockedProduct {
            dst,
            accumulate,
            a,
            b,
        };
        // SAFETY: `dst` has the rows and columns, as just checked.
        unsafe { product.multiply_with(set.arch().unwrap()) };
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
                    multiply(set, &mut dst, n, Accumulate::Overwrite, a, b);
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
                multiply(set, &mut dst, stride, accumulate, a, b);
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
