//! A matrix product of some hundred terms on one thread.
//!
//! The factors are visited in blocks that stay in the caches, and the result in tiles that stay in registers.

use super::instruction_set::{InstructionSet, arch, instruction_set};
use super::microkernel::{Accumulate, Destination, Tile};
use super::packing::{Buffer, GROUP_WIDTH, pack_groups, pack_panel, pack_rows};
use super::term_format::{Bf16, F32, TermFormat};
use super::view::View;
use crate::spec::Precision;
use pulp::{Simd, WithSimd};
use std::cell::Cell;
use std::ops::Range;

/// Terms that are added up in one chain.
pub(crate) const TERMS: usize = 512;

/// Words of a row that are multiplied at a time. A panel of the right factor with so many words stays in the
/// first-level cache while it is multiplied with all rows.
const BLOCK_WORDS: usize = 256;

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
    /// Columns of the right factor in another format, before they are transposed.
    converted: Buffer,
}

/// `dst = a b` or `dst += a b`, for at most [`TERMS`] terms.
#[derive(Clone, Copy)]
pub(super) struct BlockedProduct<'a> {
    pub(super) dst: Destination,
    pub(super) accumulate: Accumulate,
    pub(super) a: View<'a>,
    pub(super) b: View<'a>,
    pub(super) precision: Precision,
}

impl BlockedProduct<'_> {
    /// Computes it on this thread.
    ///
    /// # Safety
    /// `dst` is the place of the rows of `a` and the columns of `b`, in one allocation that overlaps neither of
    /// them. Nobody else accesses it. With [`Accumulate::Add`], it is initialized.
    pub(super) unsafe fn multiply(self) {
        // SAFETY: by the contract.
        unsafe { self.multiply_with(instruction_set(), arch()) }
    }

    /// [`Self::multiply`] with instructions that this processor has.
    ///
    /// # Safety
    /// As for [`Self::multiply`].
    unsafe fn multiply_with(self, set: InstructionSet, arch: pulp::Arch) {
        if self.a.rows == 0 || self.b.cols == 0 {
            return;
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
        if self.precision == Precision::Bf16 && set == InstructionSet::Amx {
            // SAFETY: by the contract.
            return unsafe { super::amx::multiply(self.dst, self.accumulate, self.a, self.b) };
        }
        let mut buffers = BUFFERS.take();
        arch.dispatch(WithBuffers {
            product: self,
            has_bf16: set == InstructionSet::Avx512Bf16,
            buffers: &mut buffers,
        });
        BUFFERS.set(buffers);
    }
}

/// A product with memory for its packed factors. It is only made where the contract of
/// [`BlockedProduct::multiply`] holds.
struct WithBuffers<'a> {
    product: BlockedProduct<'a>,
    /// Whether the instructions have one for pairs of bfloat16 numbers.
    has_bf16: bool,
    buffers: &'a mut Buffers,
}

impl WithSimd for WithBuffers<'_> {
    type Output = ();

    /// A tile has two vectors of columns, and as many rows as leave some registers for the factors.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.product.precision {
            Precision::F32 => self.with_format::<S, F32>(simd),
            Precision::Bf16 if self.has_bf16 => self.with_format::<S, Bf16<true>>(simd),
            Precision::Bf16 => self.with_format::<S, Bf16<false>>(simd),
        }
    }
}

impl WithBuffers<'_> {
    #[inline(always)]
    fn with_format<S: Simd, F: TermFormat>(self, simd: S) {
        match S::REGISTER_COUNT >= 32 {
            true => self.multiply::<S, F, 14>(simd),
            false => self.multiply::<S, F, 6>(simd),
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, F: TermFormat, const ROWS: usize>(self, simd: S) {
        let BlockedProduct {
            dst,
            accumulate,
            mut a,
            mut b,
            ..
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
            left: packed,
            partial,
            converted,
        } = self.buffers;
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let words = k.div_ceil(F::TERMS);
        let width = 2 * S::F32_LANES;
        let is_transposed = a.row_stride == 1;
        let is_packed = F::IS_CONVERTED || (is_transposed && is_large(a));
        let blocks = Blocks::new(words, ROWS);
        let is_divided = words > blocks.words;
        let partial_rows = if is_divided { blocks.rows.min(m) } else { 0 };
        let partial = Destination {
            start: partial.of_len(partial_rows * width).as_mut_ptr(),
            stride: width,
        };
        // A panel is packed just before it is used. It is kept if it is used again and the cache has room.
        let all_panels = n.div_ceil(width) * width * words;
        let are_kept = blocks.rows < m && all_panels * size_of::<f32>() <= RIGHT_BYTES;
        let panels = panels.of_len(if are_kept {
            all_panels
        } else {
            blocks.words * width
        });
        for first_row in (0..m).step_by(blocks.rows) {
            let rows = first_row..(first_row + blocks.rows).min(m);
            let a = a.rows(rows.clone());
            let left = match (is_packed, is_transposed) {
                (true, true) => Left {
                    start: pack_groups::<F>(packed, a, ROWS),
                    group: words * GROUP_WIDTH,
                    row: 1,
                    word: GROUP_WIDTH,
                },
                (true, false) => Left {
                    start: pack_rows::<F>(packed, a),
                    group: ROWS * words,
                    row: words,
                    word: 1,
                },
                (false, _) => Left {
                    start: a.data.as_ptr(),
                    group: ROWS * a.row_stride,
                    row: a.row_stride,
                    word: a.col_stride,
                },
            };
            for start in (0..n).step_by(width) {
                let columns = start..(start + width).min(n);
                // At least one block: a product without terms is 0.
                for first in (0..words.max(1)).step_by(blocks.words) {
                    let last = (first + blocks.words).min(words);
                    let is_last = last == words;
                    let place = if are_kept {
                        start * words + first * width
                    } else {
                        0
                    };
                    let panel = &mut panels[place..];
                    if first_row == 0 || !are_kept {
                        let terms = first * F::TERMS..(last * F::TERMS).min(k);
                        let block = (terms, columns.clone());
                        pack_panel::<F>(panel, converted, b, block, width);
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
                            words: last - first,
                            dst: if is_last { place } else { partial },
                            columns: if is_last { columns.len() } else { width },
                            accumulate: if is_last {
                                accumulate
                            } else {
                                Accumulate::Overwrite
                            },
                            is_flipped: is_last && is_flipped,
                        };
                        let left = left.of_tile::<ROWS>(row - first_row, first);
                        // SAFETY: the rows and the panel lie inside the factors, and the tile inside the
                        // destination, by the contract, or inside `partial`.
                        unsafe {
                            match is_transposed {
                                true => tile.of_height::<S, F, true>(simd, rows.len(), left),
                                false => tile.of_height::<S, F, false>(simd, rows.len(), left),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where a left factor is. Its rows are divided into groups of the height of a tile.
struct Left {
    start: *const f32,
    /// Distance of the groups.
    group: usize,
    /// Distance of the rows of a group.
    row: usize,
    /// Distance of the words of a row.
    word: usize,
}

impl Left {
    /// The place of a word of a row, and the distance of the rows, or of the words if that of the rows is 1.
    #[inline(always)]
    fn of_tile<const ROWS: usize>(&self, row: usize, word: usize) -> (*const f32, usize) {
        let place = row / ROWS * self.group + row % ROWS * self.row + word * self.word;
        let stride = if self.row == 1 { self.word } else { self.row };
        (self.start.wrapping_add(place), stride)
    }
}

/// How many rows and how many words are multiplied at a time.
#[derive(Clone, Copy)]
struct Blocks {
    rows: usize,
    words: usize,
}

impl Blocks {
    fn new(words: usize, tile_rows: usize) -> Self {
        let rows = LEFT_BYTES / (words.max(1) * size_of::<f32>());
        let blocks = words.div_ceil(BLOCK_WORDS).max(1);
        Self {
            rows: (rows / tile_rows).max(1) * tile_rows,
            // Of equal sizes, and a multiple of what is packed at a time.
            words: words.div_ceil(blocks).next_multiple_of(4).max(1),
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
    use proptest::prelude::*;

    /// The definition, to the bit. `initial` is what the product is added to.
    pub(crate) fn expected(
        precision: Precision,
        a: View,
        b: View,
        initial: Option<f32>,
    ) -> Vec<f32> {
        let at = |v: View, i: usize, j: usize| {
            let number = v.data[i * v.row_stride + j * v.col_stride];
            match precision {
                Precision::F32 => number,
                Precision::Bf16 => nearest_bf16(number),
            }
        };
        let element = |i: usize, j: usize| {
            let multiply_add = |sum: f32, k| {
                let (a, b) = (at(a, i, k), at(b, k, j));
                // Half of the distance to the next number of 24 bits below the smallest normal number.
                let limit = f64::from(f32::MIN_POSITIVE) - 2f64.powi(-151);
                let exact = f64::from(a) * f64::from(b) + f64::from(sum);
                match precision {
                    Precision::Bf16 if exact.abs() < limit => 0.0f32.copysign(exact as f32),
                    _ => a.mul_add(b, sum),
                }
            };
            let at_least = |limit: f32, sum: f32| match sum.abs() < limit {
                true => 0.0f32.copysign(sum),
                false => sum,
            };
            let add = |a: f32, b: f32| at_least(f32::MIN_POSITIVE, a + b);
            let chain = |terms: Range<usize>| match precision {
                Precision::F32 => terms.fold(0.0, multiply_add),
                Precision::Bf16 => terms.clone().step_by(32).fold(0.0, |sum, first| {
                    let [first, second] = [first, first + 16]
                        .map(|first| (first..(first + 16).min(terms.end)).fold(0.0, multiply_add));
                    add(sum, add(first, second))
                }),
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

    /// The nearest number with 8 significant bits, ties to even. Numbers below the normal ones are 0.
    fn nearest_bf16(number: f32) -> f32 {
        if number.is_subnormal() || number == 0.0 {
            return 0.0f32.copysign(number);
        }
        let unit = 2f64.powi(f64::from(number).abs().log2().floor() as i32 - 7);
        ((f64::from(number) / unit).round_ties_even() * unit) as f32
    }

    /// A product by an instruction set that this processor has.
    fn multiply(
        set: InstructionSet,
        precision: Precision,
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
            precision,
        };
        // SAFETY: `dst` has the rows and columns, as just checked.
        unsafe { product.multiply_with(set, set.arch().unwrap()) };
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
                for precision in [Precision::F32, Precision::Bf16] {
                    // The definition takes long in bfloat16.
                    let b = match precision {
                        Precision::F32 => b,
                        Precision::Bf16 => b.columns(0..2),
                    };
                    let expected = expected(precision, a, b, None);
                    for set in InstructionSet::available() {
                        let mut dst = vec![0.0f32; m * b.cols];
                        multiply(
                            set,
                            precision,
                            &mut dst,
                            b.cols,
                            Accumulate::Overwrite,
                            a,
                            b,
                        );
                        assert!(dst == expected, "{}", set.name());
                    }
                }
            }
        }
    }

    /// The smallest normal number minus a product. The result is 0 if it is below the normal numbers when it is
    /// rounded to 24 bits.
    #[test]
    fn every_instruction_set_rounds_to_zero_at_the_same_place() {
        let small = 2f32.powi(-75);
        for (factor, is_zero) in [(0.25, false), (0.5, false), (0.75, true), (1.0, true)] {
            let a = [small, -factor * small];
            let b = [small / 2f32.powi(-24), small];
            let (a, b) = (View::new(&a, 1, 2), View::new(&b, 2, 1));
            for set in InstructionSet::available() {
                let mut dst = [1.0f32];
                multiply(
                    set,
                    Precision::Bf16,
                    &mut dst,
                    1,
                    Accumulate::Overwrite,
                    a,
                    b,
                );
                assert_eq!(dst[0] == 0.0, is_zero, "{factor} {}", set.name());
                assert_eq!(dst.to_vec(), expected(Precision::Bf16, a, b, None));
            }
        }
    }

    proptest! {
        #[test]
        fn every_instruction_set_agrees_with_the_definition_to_the_bit(
            m in 1usize..70, n in 1usize..70, k in 0usize..80, ta: bool, tb: bool, add: bool, large: bool, bf16: bool, tiny: bool
        ) {
            // A transposed left factor of this size is packed, and the sums have several blocks.
            let rows = MIN_PACKED_BYTES / size_of::<f32>() / TERMS + 1;
            let (m, n, k) = if large { (rows, n.min(3), TERMS) } else { (m, n, k) };
            // Products of numbers of this size are about as large as the smallest normal number.
            let unit = if tiny && bf16 { 2f32.powi(-63) } else { 1.0 };
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 50.0 * unit;
            let (a, b): (Vec<f32>, Vec<f32>) = ((0..m * k).map(value).collect(), (7..7 + k * n).map(value).collect());
            let a = if ta { View::new(&a, k, m).t() } else { View::new(&a, m, k) };
            let b = if tb { View::new(&b, n, k).t() } else { View::new(&b, k, n) };
            let accumulate = if add { Accumulate::Add } else { Accumulate::Overwrite };
            let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
            let (stride, expected) = (n + 3, expected(precision, a, b, add.then_some(0.5)));
            for set in InstructionSet::available() {
                let mut dst = vec![0.5f32; m * stride];
                multiply(set, precision, &mut dst, stride, accumulate, a, b);
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
