//! Matrix products in bfloat16 by AMX, the tile instructions of Intel processors since Sapphire Rapids.
//!
//! The definition of a sum is that of the instruction `tdpbf16ps` (Intel 64 and IA-32 Architectures Software
//! Developer's Manual, volume 2). [`super::term_format::Bf16`] describes it, and computes the same bits on other
//! processors.

use super::microkernel::{Accumulate, Destination};
use super::packing::Buffer;
use super::view::View;
use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::Cell;
use std::mem::transmute;
use std::sync::LazyLock;

/// Rows of a tile, and words of 32 bits in a row.
const TILE: usize = 16;

/// Words of a tile.
const TILE_WORDS: usize = TILE * TILE;

/// Terms in a row of a tile. Each word has two.
const TERMS_OF_TILE: usize = 2 * TILE;

/// Rows and columns of a product that are computed together: two tiles.
const SIDE: usize = 2 * TILE;

/// Bytes of the packed columns of a right factor that are multiplied with all rows before the next columns.
/// They stay in the second-level cache.
const RIGHT_BYTES: usize = 1024 << 10;

thread_local! {
    /// Memory for [`SIDE`] rows of the left factor, and for columns of the right one.
    static BUFFERS: Cell<(Buffer, Buffer)> = Cell::default();
}

/// Whether the processor has AMX for bfloat16, with the vector instructions that pack the factors, and the
/// system lets this process use it.
pub(super) fn is_available() -> bool {
    static IS_AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        let has_vectors = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16");
        has_vectors && has_tiles() && is_permitted()
    });
    *IS_AVAILABLE
}

/// Whether the processor has AMX-TILE and AMX-BF16 (Software Developer's Manual, volume 1, section 18.2).
fn has_tiles() -> bool {
    const BITS: u32 = 1 << 24 | 1 << 22;
    __get_cpuid_max(0).0 >= 7 && __cpuid_count(7, 0).edx & BITS == BITS
}

/// Asks Linux for permission to use tiles, for all threads of the process. The state of the tiles is large, so
/// Linux only saves it for those that ask (Documentation/arch/x86/xstate.rst).
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: nix::libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: nix::libc::c_long = 18;
    // SAFETY: the call has no pointers.
    let status = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        )
    };
    status == 0
}

/// `dst = a b` or `dst += a b`, on this thread.
///
/// # Safety
/// [`is_available`]. `dst` is the place of the rows of `a` and the columns of `b`, in one allocation that overlaps
/// neither of them. Nobody else accesses it. With [`Accumulate::Add`], it is initialized.
pub(super) unsafe fn multiply(dst: Destination, accumulate: Accumulate, a: View, b: View) {
    let mut buffers = BUFFERS.take();
    // SAFETY: by the contract.
    unsafe { multiply_packed(dst, accumulate, (a, b), &mut buffers) };
    BUFFERS.set(buffers);
}

/// [`multiply`] with memory for the packed factors.
///
/// # Safety
/// As for [`multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn multiply_packed(
    dst: Destination,
    accumulate: Accumulate,
    (a, b): (View, View),
    (left, right): &mut (Buffer, Buffer),
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    let blocks = k.div_ceil(TERMS_OF_TILE);
    let left = tiles(left, 2 * blocks);
    // Parts of about equal sizes.
    let sides = n.div_ceil(SIDE);
    let parts = (sides * 2 * blocks * size_of::<Tile>()).div_ceil(RIGHT_BYTES);
    let sides = sides.div_ceil(parts.max(1));
    let right = tiles(right, sides * 2 * blocks);
    // SAFETY: the processor has tiles, by the contract.
    unsafe { begin() };
    for first_column in (0..n).step_by(sides * SIDE) {
        let columns = first_column..(first_column + sides * SIDE).min(n);
        for (side, column) in columns.clone().step_by(SIDE).enumerate() {
            let right = &mut right[side * 2 * blocks..][..2 * blocks];
            pack(right, b.t(), column, Layout::Words);
        }
        for row in (0..m).step_by(SIDE) {
            pack(left, a, row, Layout::Lines);
            for (side, column) in columns.clone().step_by(SIDE).enumerate() {
                let place = Place {
                    dst: dst.at(row, column),
                    rows: (m - row).min(SIDE),
                    columns: (n - column).min(SIDE),
                    accumulate,
                };
                let right = &right[side * 2 * blocks..][..2 * blocks];
                // SAFETY: the place lies inside the destination, by the contract.
                unsafe { place.write_product(left, right) };
            }
        }
    }
    // SAFETY: as for `begin`.
    unsafe { end() };
}

/// A tile of a packed factor. Word `i` of a line has term `i` of the tile in its lower half, and term `i + 16`
/// in its upper half.
type Tile = [f32; TILE_WORDS];

/// Memory for tiles, whose content has no meaning.
fn tiles(buffer: &mut Buffer, count: usize) -> &mut [Tile] {
    let words = buffer.of_len(count * TILE_WORDS);
    words.as_chunks_mut().0
}

/// What a row of a packed tile holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// The words of a line: a row of the left factor.
    Lines,
    /// A word of each line: columns of the right factor.
    Words,
}

/// Packs [`SIDE`] lines (rows of a left factor, or columns of a right one): (2, blocks). Terms and lines beyond
/// the last are 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack(tiles: &mut [Tile], lines: View, first_line: usize, layout: Layout) {
    let (first, second) = tiles.split_at_mut(tiles.len() / 2);
    let is_along_terms = lines.col_stride == 1;
    for (block, (tile, next_tile)) in first.iter_mut().zip(second).enumerate() {
        let place = (first_line, block * TERMS_OF_TILE);
        match is_along_terms {
            true => pack_words_of_lines([tile, next_tile], lines, place),
            false => pack_lines_of_words([tile, next_tile], lines, place),
        }
        if is_along_terms != (layout == Layout::Lines) {
            transpose(tile);
            transpose(next_tile);
        }
    }
}

/// Packs the words of [`SIDE`] lines, whose terms are next to each other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_words_of_lines(
    tiles: [&mut Tile; 2],
    lines: View,
    (first_line, first_term): (usize, usize),
) {
    let masks = [0, TILE].map(|term| mask(lines.cols, first_term + term));
    for (half, tile) in tiles.into_iter().enumerate() {
        for row in 0..TILE {
            let line = first_line + half * TILE + row;
            let [low, high] = if line < lines.rows { masks } else { [0; 2] };
            let terms = line * lines.row_stride + first_term;
            let terms = lines.data.as_ptr().wrapping_add(terms);
            // SAFETY: the masks select terms of a line of the view.
            let words = unsafe { pairs((low, terms), (high, terms.wrapping_add(TILE))) };
            store_row(tile, row, words);
        }
    }
}

/// Packs each word of [`SIDE`] lines, which are next to each other. The rows of both tiles lie in the same lines
/// of the cache.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_lines_of_words(
    [tile, next_tile]: [&mut Tile; 2],
    lines: View,
    (first_line, first_term): (usize, usize),
) {
    let masks = [0, TILE].map(|line| mask(lines.rows, first_line + line));
    for row in 0..TILE {
        let place = |term: usize, half: usize| {
            let mask = if term < lines.cols { masks[half] } else { 0 };
            let place = term * lines.col_stride + first_line + half * TILE;
            (mask, lines.data.as_ptr().wrapping_add(place))
        };
        let (low, high) = (first_term + row, first_term + TILE + row);
        // SAFETY: the masks select lines of the view, for one of its terms.
        let words = [0, 1].map(|half| unsafe { pairs(place(low, half), place(high, half)) });
        store_row(tile, row, words[0]);
        store_row(next_tile, row, words[1]);
    }
}

/// Which of [`TILE`] elements from `first` on are among the first `len`.
#[inline]
fn mask(len: usize, first: usize) -> __mmask16 {
    match len.saturating_sub(first) {
        TILE.. => !0,
        left => (1 << left) - 1,
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_row(tile: &mut Tile, row: usize, words: __m512i) {
    let row = &mut tile.as_chunks_mut::<TILE>().0[row];
    // SAFETY: a row has 16 words.
    unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), words) };
}

/// The nearest bfloat16 numbers of two vectors in memory, of which the masks select elements. Each word has a
/// number of `low` in its lower and one of `high` in its upper half.
///
/// # Safety
/// The selected elements can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pairs(low: (__mmask16, *const f32), high: (__mmask16, *const f32)) -> __m512i {
    const ORDER: [u16; 2 * TILE] = {
        let mut order = [0; 2 * TILE];
        let mut i = 0;
        while i < TILE {
            order[2 * i] = i as u16;
            order[2 * i + 1] = (TILE + i) as u16;
            i += 1;
        }
        order
    };
    // SAFETY: by the contract. All of the types are vectors of 64 bytes.
    unsafe {
        let [low, high] = [low, high].map(|(mask, place)| _mm512_maskz_loadu_ps(mask, place));
        let order = transmute::<[u16; 2 * TILE], __m512i>(ORDER);
        let numbers = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
        _mm512_permutexvar_epi16(order, numbers)
    }
}

/// Transposes a tile of words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn transpose(tile: &mut Tile) {
    let rows = tile.as_mut_ptr().cast::<__m512i>();
    // SAFETY: a tile has 16 rows of 16 words.
    let load = |row: usize| unsafe { _mm512_loadu_si512(rows.add(row)) };
    // SAFETY: as for `load`.
    let store = |row: usize, words| unsafe { _mm512_storeu_si512(rows.add(row), words) };
    // Each quarter of a vector becomes a row of a transposed square of four words.
    let quarters = [0, 4, 8, 12].map(|first| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| load(first + i));
        let (ab, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    });
    // Quarters 0 and 2, or 1 and 3, of two vectors.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    for i in 0..4 {
        let [a, b, c, d] = quarters.map(|quarters| quarters[i]);
        let [ab, cd] = [(a, b), (c, d)].map(|(a, b)| _mm512_shuffle_i32x4::<EVEN>(a, b));
        store(i, _mm512_shuffle_i32x4::<EVEN>(ab, cd));
        store(8 + i, _mm512_shuffle_i32x4::<ODD>(ab, cd));
        let [ab, cd] = [(a, b), (c, d)].map(|(a, b)| _mm512_shuffle_i32x4::<ODD>(a, b));
        store(4 + i, _mm512_shuffle_i32x4::<EVEN>(ab, cd));
        store(12 + i, _mm512_shuffle_i32x4::<ODD>(ab, cd));
    }
}

/// A part of a product of at most [`SIDE`] rows and columns.
struct Place {
    dst: Destination,
    rows: usize,
    columns: usize,
    accumulate: Accumulate,
}

impl Place {
    /// Writes the product of packed factors.
    ///
    /// # Safety
    /// The thread is between [`begin`] and [`end`]. The factors have equal numbers of tiles. The place lies
    /// inside a destination that nobody else accesses and, with [`Accumulate::Add`], is initialized.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn write_product(self, left: &[Tile], right: &[Tile]) {
        // The places of the sums are fetched while they are computed.
        for row in 0..self.rows {
            for part in 0..2 {
                let place = self.dst.at(row, part * TILE).start;
                _mm_prefetch::<_MM_HINT_ET0>(place.cast());
            }
        }
        let is_whole = self.rows == SIDE && self.columns == SIDE;
        if is_whole && self.accumulate == Accumulate::Overwrite {
            // SAFETY: by the contract.
            return unsafe { multiply_tiles(left, right, self.dst) };
        }
        let mut sums = [[0.0f32; SIDE]; SIDE];
        let all = Destination {
            start: sums.as_flattened_mut().as_mut_ptr(),
            stride: SIDE,
        };
        // SAFETY: `sums` has the rows and columns.
        unsafe { multiply_tiles(left, right, all) };
        for (row, sums) in sums.iter().enumerate().take(self.rows) {
            for (part, sums) in sums.as_chunks::<TILE>().0.iter().enumerate() {
                let selected = mask(self.columns, part * TILE);
                let dst = self.dst.at(row, part * TILE).start;
                // SAFETY: the mask selects columns of the destination.
                unsafe {
                    let mut sums = _mm512_loadu_ps(sums.as_ptr());
                    if self.accumulate == Accumulate::Add {
                        sums = _mm512_add_ps(_mm512_maskz_loadu_ps(selected, dst), sums);
                    }
                    _mm512_mask_storeu_ps(dst, selected, sums);
                }
            }
        }
    }
}

/// The content of the register that gives all tiles [`TILE`] rows of as many words. There are 8 tiles, and room
/// for 16.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [[u16; 8]; 2],
    rows: [[u8; 8]; 2],
}

static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [[4 * TILE as u16; 8], [0; 8]],
    rows: [[TILE as u8; 8], [0; 8]],
};

/// Configures the tiles of this thread.
///
/// # Safety
/// [`is_available`].
unsafe fn begin() {
    // SAFETY: by the contract. The configuration has 64 bytes.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION,
            options(readonly, nostack, preserves_flags));
    }
}

/// Releases the tiles of this thread, so that the system need not save them.
///
/// # Safety
/// [`is_available`].
unsafe fn end() {
    // SAFETY: by the contract.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

/// Multiplies [`SIDE`] packed rows of a left factor with as many columns of a right one.
///
/// # Safety
/// The thread is between [`begin`] and [`end`]. The factors have equal numbers of tiles. The destination has
/// [`SIDE`] rows and columns.
#[inline]
unsafe fn multiply_tiles(left: &[Tile], right: &[Tile], dst: Destination) {
    let blocks = left.len() / 2;
    let (left, right) = (left.as_ptr(), right.as_ptr());
    // SAFETY: by the contract.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {blocks}, {blocks}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{left} + {row}]",
            "tileloadd tmm6, [{right} + {row}]",
            "tileloadd tmm7, [{next_right} + {row}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{next_left} + {row}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {left}, {tile}",
            "add {next_left}, {tile}",
            "add {right}, {tile}",
            "add {next_right}, {tile}",
            "dec {blocks}",
            "jnz 2b",
            "3:",
            "tilestored [{dst} + {stride}], tmm0",
            "tilestored [{dst} + {stride} + 64], tmm1",
            "tilestored [{next_dst} + {stride}], tmm2",
            "tilestored [{next_dst} + {stride} + 64], tmm3",
            blocks = inout(reg) blocks => _,
            left = inout(reg) left => _,
            next_left = inout(reg) left.wrapping_add(blocks) => _,
            right = inout(reg) right => _,
            next_right = inout(reg) right.wrapping_add(blocks) => _,
            tile = const size_of::<Tile>(),
            row = in(reg) TILE * size_of::<f32>(),
            dst = in(reg) dst.start,
            next_dst = in(reg) dst.at(TILE, 0).start,
            stride = in(reg) dst.stride * size_of::<f32>(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
