//! The innermost loop of a matrix product: a tile of the result, which is kept in registers.

use super::packing::GROUP_WIDTH;
use super::term_format::TermFormat;
use super::transpose::transpose;
use pulp::Simd;

/// Columns of the widest tile: two vectors of AVX-512.
const MOST_COLUMNS: usize = 32;

/// Most rows of a tile.
const MOST_ROWS: usize = 14;

/// Whether a product is added to its destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accumulate {
    /// `dst = a b`. The old content is not read.
    Overwrite,
    /// `dst += a b`
    Add,
}

/// The place of the first element of a product, whose rows are `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    pub(super) start: *mut f32,
    pub(super) stride: usize,
}

// SAFETY: it is a pointer to `f32`, which is `Send`. The threads of a product write to different elements.
unsafe impl Send for Destination {}
// SAFETY: as for `Send`.
unsafe impl Sync for Destination {}

impl Destination {
    /// The place of an element. It is not read or written here.
    #[inline(always)]
    pub(super) fn at(self, row: usize, column: usize) -> Self {
        let start = self.start.wrapping_add(row * self.stride + column);
        Self { start, ..self }
    }

    /// The vector that begins here.
    #[inline(always)]
    fn vector<S: Simd>(self) -> *mut S::f32s {
        self.start.cast()
    }
}

/// A tile of a product, which is kept in registers.
pub(super) struct Tile {
    /// The sums over the blocks of k before this one.
    pub(super) start: Option<Destination>,
    /// The right factor: rows of words, as wide as a tile.
    pub(super) panel: *const f32,
    pub(super) words: usize,
    pub(super) dst: Destination,
    /// Columns of the destination.
    pub(super) columns: usize,
    pub(super) accumulate: Accumulate,
    /// Whether the product is stored transposed.
    pub(super) is_flipped: bool,
}

/// `place + stride`, in a way that hides from the compiler that the places of all rows are related. It would
/// find them by a chain of additions from one k to the next, which takes longer than the products, or keep
/// them all in memory.
#[cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "the block computes a pointer and reads nothing"
    )
)]
#[inline(always)]
fn next_row(place: *const f32, stride: usize) -> *const f32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut next = place.cast::<u8>();
        // SAFETY: it adds two numbers.
        unsafe {
            std::arch::asm!("add {}, {}", inout(reg) next, in(reg) stride * size_of::<f32>(),
                options(pure, nomem, nostack));
        }
        next.cast()
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    place.wrapping_add(stride)
}

/// The left factor of a tile: its first element and its stride.
pub(super) type Left = (*const f32, usize);

impl Tile {
    /// Computes a tile of `rows` rows. With `TRANSPOSED`, the stride of the left factor is that of its
    /// columns. Otherwise it is that of its rows.
    ///
    /// # Safety
    /// The elements of the left factor, of the panel, of `start` and of the destination lie inside their
    /// allocations. Nobody else accesses those of the destination. With [`Accumulate::Add`], they are
    /// initialized.
    #[inline(always)]
    pub(super) unsafe fn of_height<S: Simd, F: TermFormat, const TRANSPOSED: bool>(
        self,
        simd: S,
        rows: usize,
        left: Left,
    ) {
        // Each sum is a variable of its own. The compiler would keep an array of them in memory.
        macro_rules! compute {
            ($($i:literal $first:ident $second:ident),*) => {{
                let zero = simd.splat_f32s(0.0);
                let lanes = S::F32_LANES;
                $(
                    let (mut $first, mut $second) = (zero, zero);
                    if let Some(start) = self.start {
                        // SAFETY: by the contract.
                        unsafe {
                            $first = start.at($i, 0).vector::<S>().read_unaligned();
                            $second = start.at($i, lanes).vector::<S>().read_unaligned();
                        }
                    }
                )*
                let ((mut left, stride), mut panel) = (left, self.panel);
                // The sums of the chains before, and of the first chain of a pair, which stay in memory.
                let mut sums = [[zero; 2]; MOST_ROWS];
                let mut first_sums = sums;
                let chain = F::WORDS_OF_CHAIN.unwrap_or(self.words).max(1);
                let mut words = self.words;
                let mut is_second = false;
                loop {
                for _ in 0..chain.min(words) {
                    // SAFETY: by the contract. A panel has two vectors.
                    let (right, next_right) = unsafe {
                        let right = panel.cast::<S::f32s>();
                        (right.read_unaligned(), right.add(1).read_unaligned())
                    };
                    let place = left;
                    $(
                        let place = match (TRANSPOSED, $i) {
                            (true, _) => left.wrapping_add($i),
                            (false, 0) => place,
                            (false, _) => next_row(place, stride),
                        };
                        // SAFETY: by the contract.
                        let factor = simd.splat_f32s(unsafe { *place });
                        $first = F::multiply_add(simd, factor, right, $first);
                        $second = F::multiply_add(simd, factor, next_right, $second);
                    )*
                    left = left.wrapping_add(if TRANSPOSED { stride } else { 1 });
                    panel = panel.wrapping_add(2 * lanes);
                }
                words = words.saturating_sub(chain);
                if F::WORDS_OF_CHAIN.is_none() {
                    break;
                }
                if is_second || words == 0 {
                    $(
                        let [sum, next_sum] = &mut sums[$i];
                        let [of_first, next_of_first] = first_sums[$i];
                        *sum = F::add(simd, *sum, F::add(simd, of_first, $first));
                        *next_sum = F::add(simd, *next_sum, F::add(simd, next_of_first, $second));
                        first_sums[$i] = [zero; 2];
                    )*
                } else {
                    $(first_sums[$i] = [$first, $second];)*
                }
                $(($first, $second) = (zero, zero);)*
                if words == 0 {
                    $([$first, $second] = sums[$i];)*
                    break;
                }
                is_second = !is_second;
                }
                if self.is_flipped {
                    let mut sums = [[0.0f32; MOST_COLUMNS]; GROUP_WIDTH];
                    $(
                        let row = sums[$i].as_mut_ptr().cast::<S::f32s>();
                        // SAFETY: a row has room for two vectors.
                        unsafe {
                            row.write_unaligned($first);
                            row.add(1).write_unaligned($second);
                        }
                    )*
                    // SAFETY: by the contract.
                    unsafe { self.store_flipped::<{ [$($i),*].len() }>(&sums) };
                } else {
                    $(
                        // SAFETY: by the contract, for row `$i`.
                        unsafe { self.store(simd, $i, $first, $second) };
                    )*
                }
            }};
        }
        match rows {
            1 => compute!(0 a0 b0),
            2 => compute!(0 a0 b0, 1 a1 b1),
            4 => compute!(0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3),
            6 => compute!(0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5),
            8 => {
                compute!(0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5, 6 a6 b6, 7 a7 b7)
            }
            14 => compute!(
                0 a0 b0, 1 a1 b1, 2 a2 b2, 3 a3 b3, 4 a4 b4, 5 a5 b5, 6 a6 b6, 7 a7 b7, 8 a8 b8,
                9 a9 b9, 10 a10 b10, 11 a11 b11, 12 a12 b12, 13 a13 b13
            ),
            _ => unreachable!("a height of `tiles`"),
        }
    }

    /// Stores the `M` rows of a tile as columns.
    ///
    /// # Safety
    /// As for [`Self::of_height`].
    #[inline(always)]
    unsafe fn store_flipped<const M: usize>(&self, sums: &[[f32; MOST_COLUMNS]; GROUP_WIDTH]) {
        let mut flipped = [0.0f32; MOST_COLUMNS * GROUP_WIDTH];
        transpose(
            &mut flipped,
            GROUP_WIDTH,
            sums.as_flattened(),
            MOST_COLUMNS,
            GROUP_WIDTH,
            MOST_COLUMNS,
        );
        let is_added = self.accumulate == Accumulate::Add;
        for (column, sums) in flipped
            .chunks_exact(GROUP_WIDTH)
            .take(self.columns)
            .enumerate()
        {
            for (row, sum) in sums[..M].iter().enumerate() {
                let dst = self.dst.at(column, row).start;
                // SAFETY: by the contract.
                unsafe { *dst = if is_added { *dst + sum } else { *sum } };
            }
        }
    }

    /// Stores the two vectors of a row.
    ///
    /// # Safety
    /// As for [`Self::of_height`].
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, simd: S, row: usize, first: S::f32s, second: S::f32s) {
        let lanes = S::F32_LANES;
        let is_added = self.accumulate == Accumulate::Add;
        if self.columns == 2 * lanes {
            let dst = self.dst.at(row, 0).vector::<S>();
            // SAFETY: by the contract.
            unsafe {
                let (mut first, mut second) = (first, second);
                if is_added {
                    first = simd.add_f32s(dst.read_unaligned(), first);
                    second = simd.add_f32s(dst.add(1).read_unaligned(), second);
                }
                dst.write_unaligned(first);
                dst.add(1).write_unaligned(second);
            }
            return;
        }
        let mut sums = [0.0f32; MOST_COLUMNS];
        let vectors = sums.as_mut_ptr().cast::<S::f32s>();
        // SAFETY: a tile has at most `MOST_COLUMNS` columns.
        unsafe {
            vectors.write_unaligned(first);
            vectors.add(1).write_unaligned(second);
        }
        for (column, sum) in sums[..self.columns].iter().enumerate() {
            let dst = self.dst.at(row, column).start;
            // SAFETY: by the contract.
            unsafe { *dst = if is_added { *dst + sum } else { *sum } };
        }
    }
}
