//! Copies of the factors of a matrix product, in the order in which the product reads them.

use super::term_format::TermFormat;
use super::transpose::transpose;
use super::view::View;
use std::ops::Range;

/// Bytes of a cache line. A vector that crosses two lines takes twice as long to load.
const LINE_BYTES: usize = 64;

/// Memory for numbers that begins with a cache line.
#[derive(Default)]
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    /// Memory for `len` numbers, whose content has no meaning.
    pub(super) fn of_len(&mut self, len: usize) -> &mut [f32] {
        let enough = len + LINE_BYTES / size_of::<f32>();
        if self.0.len() < enough {
            self.0.resize(enough, 0.0);
        }
        let start = self.0.as_ptr().align_offset(LINE_BYTES);
        &mut self.0[start..start + len]
    }
}

/// Packs a block of terms and columns of a right factor (k, n), one of whose strides is 1, into `panel` (words,
/// `width`). It ends with columns without meaning if there are fewer.
#[inline(always)]
pub(super) fn pack_panel<F: TermFormat>(
    panel: &mut [f32],
    converted: &mut Buffer,
    factor: View,
    (terms, columns): (Range<usize>, Range<usize>),
    width: usize,
) {
    let View {
        data,
        row_stride,
        col_stride,
        ..
    } = factor;
    let words = terms.len().div_ceil(F::TERMS);
    if col_stride == 1 {
        let row = |term: usize| &data[term * row_stride + columns.start..][..columns.len()];
        let first_terms = terms.clone().step_by(F::TERMS);
        for (term, panel) in first_terms.zip(panel.chunks_exact_mut(width)) {
            let next = (term + 1 < terms.end).then_some(term + 1);
            F::pack_rows(&mut panel[..columns.len()], row(term), next.map(row));
        }
    } else if words > 0 {
        let source = &data[columns.start * col_stride + terms.start..];
        if !F::IS_CONVERTED {
            return transpose(panel, width, source, col_stride, columns.len(), words);
        }
        let converted = converted.of_len(columns.len() * words);
        for (column, converted) in converted.chunks_exact_mut(words).enumerate() {
            F::pack_terms(converted, &source[column * col_stride..][..terms.len()]);
        }
        transpose(panel, width, converted, words, columns.len(), words);
    }
}

/// Groups of a left factor that are packed side by side. Each row of the factor may lie on another page of
/// memory, so that visiting all rows takes long. More groups would be written to the same lines of the
/// first-level cache.
const GROUPS_AT_A_TIME: usize = 6;

/// Most rows of a packed group of a left factor, and words from one term to the next.
pub(super) const GROUP_WIDTH: usize = 16;

/// Packs a left factor (m, k), whose rows are 1 apart, in groups of `size` rows, one after another. A group is
/// transposed: (words, [`GROUP_WIDTH`]).
#[inline(always)]
pub(super) fn pack_groups<F: TermFormat>(
    packed: &mut Buffer,
    factor: View,
    size: usize,
) -> *const f32 {
    let View {
        data,
        rows,
        cols: k,
        col_stride,
        ..
    } = factor;
    let (count, words) = (rows.div_ceil(size), k.div_ceil(F::TERMS));
    let packed = packed.of_len(count * words * GROUP_WIDTH);
    for first in (0..count).step_by(GROUPS_AT_A_TIME) {
        let last = (first + GROUPS_AT_A_TIME).min(count);
        for word in 0..words {
            let term = word * F::TERMS;
            for group in first..last {
                // A whole vector is copied faster than the rows of the group alone.
                let len = (rows - group * size).min(GROUP_WIDTH);
                let row = |term: usize| &data[term * col_stride + group * size..][..len];
                let next = (F::TERMS > 1 && term + 1 < k).then_some(term + 1);
                let packed = &mut packed[(group * words + word) * GROUP_WIDTH..][..len];
                F::pack_rows(packed, row(term), next.map(row));
            }
        }
    }
    packed.as_ptr()
}

/// Packs the rows of a left factor (m, k), whose columns are 1 apart: (m, words).
#[inline(always)]
pub(super) fn pack_rows<F: TermFormat>(packed: &mut Buffer, factor: View) -> *const f32 {
    let (words, data) = (factor.cols.div_ceil(F::TERMS), factor.data);
    let packed = packed.of_len(factor.rows * words);
    if words > 0 {
        for (row, packed) in packed.chunks_exact_mut(words).enumerate() {
            F::pack_terms(packed, &data[row * factor.row_stride..][..factor.cols]);
        }
    }
    packed.as_ptr()
}
