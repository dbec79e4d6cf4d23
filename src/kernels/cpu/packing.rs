//! Copies of the factors of a matrix product, in the order in which the product reads them.

use super::view::View;
use pulp::Simd;
use std::ops::Range;

/// Bytes of a cache line. A vector that crosses two lines takes twice as long to load.
const LINE_BYTES: usize = 64;

/// Memory for numbers that begins with a cache line.
#[derive(Default)]
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

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

/// Packs a block of rows and columns of a factor, one of whose strides is 1, into `panel` (rows, `width`). It
/// ends with columns without meaning if there are fewer.
#[inline(always)]
pub(super) fn pack_panel<S: Simd>(
    _: S,
    panel: &mut [f32],
    factor: View,
    (rows, columns): (Range<usize>, Range<usize>),
    width: usize,
) {
    let View {
        data,
        row_stride,
        col_stride,
        ..
    } = factor;
    if col_stride == 1 {
        for (row, panel) in rows.zip(panel.chunks_exact_mut(width)) {
            let row = &data[row * row_stride + columns.start..];
            // The copy of a full row has a fixed length.
            match (
                columns.len() == width,
                row.first_chunk::<32>(),
                row.first_chunk::<16>(),
            ) {
                (true, Some(row), _) if width == 32 => panel.copy_from_slice(row),
                (true, _, Some(row)) if width == 16 => panel.copy_from_slice(row),
                _ => panel[..columns.len()].copy_from_slice(&row[..columns.len()]),
            }
        }
    } else if !rows.is_empty() {
        let source = &data[columns.start * col_stride + rows.start..];
        transpose::<S>(panel, width, source, col_stride, columns.len(), rows.len());
    }
}

/// Groups of a left factor that are packed side by side. Each row of the factor may lie on another page of
/// memory, so that visiting all rows takes long. More groups would be written to the same lines of the
/// first-level cache.
const GROUPS_AT_A_TIME: usize = 6;

/// A left factor in groups of some rows, one after another. A group is transposed: (k, [`Self::WIDTH`]).
#[derive(Default)]
pub(super) struct PackedLeft {
    buffer: Buffer,
}

impl PackedLeft {
    /// Most rows of a group, and numbers from one k to the next.
    pub(super) const WIDTH: usize = 16;

    pub(super) const fn new() -> Self {
        Self {
            buffer: Buffer::new(),
        }
    }

    /// Packs a factor (m, k), whose rows are 1 apart, in groups of `size` rows.
    #[inline(always)]
    pub(super) fn pack(&mut self, factor: View, size: usize) -> &[f32] {
        let View {
            data,
            rows,
            cols: k,
            col_stride,
            ..
        } = factor;
        let width = Self::WIDTH;
        let count = rows.div_ceil(size);
        let packed = self.buffer.of_len(count * k * width);
        for first in (0..count).step_by(GROUPS_AT_A_TIME) {
            let last = (first + GROUPS_AT_A_TIME).min(count);
            for column in 0..k {
                let source = &data[column * col_stride..];
                for group in first..last {
                    let packed = &mut packed[(group * k + column) * width..][..width];
                    let source = &source[group * size..];
                    // A whole vector is copied faster than the columns alone, whose number is not fixed.
                    match source.first_chunk::<{ Self::WIDTH }>() {
                        Some(vector) => packed.copy_from_slice(vector),
                        None => packed[..source.len()].copy_from_slice(source),
                    }
                }
            }
        }
        packed
    }
}

/// Writes `columns` rows of k numbers, `stride` apart, as the columns of `panel` (k, width).
#[inline(always)]
pub(super) fn transpose<S: Simd>(
    panel: &mut [f32],
    width: usize,
    source: &[f32],
    stride: usize,
    columns: usize,
    k: usize,
) {
    let (mut done, lanes) = (0, S::F32_LANES);
    #[cfg(target_arch = "x86_64")]
    while done + lanes <= columns {
        assert!(k <= stride && (done + lanes - 1) * stride + k <= source.len());
        assert!(done + lanes <= width && k * width <= panel.len());
        // SAFETY: the rows lie inside `source`, and the columns inside `panel`, as just checked. The processor
        // has the instructions.
        unsafe {
            let source = source.as_ptr().add(done * stride);
            let panel = panel.as_mut_ptr().add(done);
            match lanes {
                16 if is_x86_feature_detected!("avx512f") => {
                    x86::transpose_16(panel, width, source, stride, k)
                }
                8 if is_x86_feature_detected!("avx") => {
                    x86::transpose_8(panel, width, source, stride, k)
                }
                _ => break,
            }
        }
        done += lanes;
    }
    for column in done..columns {
        let source = &source[column * stride..][..k];
        for (panel, number) in panel.chunks_exact_mut(width).zip(source) {
            panel[column] = *number;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Writes 16 rows of k numbers as 16 columns: four numbers of each row at a time.
    ///
    /// # Safety
    /// The processor has AVX-512F. 16 rows of `source`, `stride` apart, have k numbers, and k rows of
    /// `panel`, `width` apart, have 16 numbers, which nobody else accesses.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn transpose_16(
        panel: *mut f32,
        width: usize,
        source: *const f32,
        stride: usize,
        k: usize,
    ) {
        let mut first = 0;
        while first + 4 <= k {
            // SAFETY: by the contract, four numbers of each row from `first` on, and 16 numbers of four rows
            // of the panel.
            unsafe {
                let row = |row: usize| _mm_loadu_ps(source.add(row * stride + first));
                // Every fourth row, so that the result has its rows in order.
                let rows = |r: usize| {
                    let two = _mm256_insertf128_ps(_mm256_castps128_ps256(row(r)), row(r + 4), 1);
                    let last =
                        _mm256_insertf128_ps(_mm256_castps128_ps256(row(r + 8)), row(r + 12), 1);
                    let two = _mm512_castps_pd(_mm512_castps256_ps512(two));
                    _mm512_castpd_ps(_mm512_insertf64x4(two, _mm256_castps_pd(last), 1))
                };
                let (a, b, c, d) = (rows(0), rows(1), rows(2), rows(3));
                let low = |a, b| _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let high = |a, b| _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let (ab, cd) = (low(a, b), low(c, d));
                let (ab_high, cd_high) = (high(a, b), high(c, d));
                let out = panel.add(first * width);
                _mm512_storeu_pd(out.cast(), _mm512_unpacklo_pd(ab, cd));
                _mm512_storeu_pd(out.add(width).cast(), _mm512_unpackhi_pd(ab, cd));
                _mm512_storeu_pd(
                    out.add(2 * width).cast(),
                    _mm512_unpacklo_pd(ab_high, cd_high),
                );
                _mm512_storeu_pd(
                    out.add(3 * width).cast(),
                    _mm512_unpackhi_pd(ab_high, cd_high),
                );
            }
            first += 4;
        }
        // SAFETY: by the contract.
        unsafe { transpose_rest(panel, width, (source, stride), 16, first..k) }
    }

    /// Writes 8 rows of k numbers as 8 columns.
    ///
    /// # Safety
    /// As for [`transpose_16`], with AVX and 8 rows.
    #[inline]
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn transpose_8(
        panel: *mut f32,
        width: usize,
        source: *const f32,
        stride: usize,
        k: usize,
    ) {
        let mut first = 0;
        while first + 4 <= k {
            // SAFETY: by the contract, four numbers of each row from `first` on, and 8 numbers of four rows
            // of the panel.
            unsafe {
                let row = |row: usize| _mm_loadu_ps(source.add(row * stride + first));
                let rows =
                    |r: usize| _mm256_insertf128_ps(_mm256_castps128_ps256(row(r)), row(r + 4), 1);
                let (a, b, c, d) = (rows(0), rows(1), rows(2), rows(3));
                let low = |a, b| _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                let high = |a, b| _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                let (ab, cd) = (low(a, b), low(c, d));
                let (ab_high, cd_high) = (high(a, b), high(c, d));
                let out = panel.add(first * width);
                _mm256_storeu_pd(out.cast(), _mm256_unpacklo_pd(ab, cd));
                _mm256_storeu_pd(out.add(width).cast(), _mm256_unpackhi_pd(ab, cd));
                _mm256_storeu_pd(
                    out.add(2 * width).cast(),
                    _mm256_unpacklo_pd(ab_high, cd_high),
                );
                _mm256_storeu_pd(
                    out.add(3 * width).cast(),
                    _mm256_unpackhi_pd(ab_high, cd_high),
                );
            }
            first += 4;
        }
        // SAFETY: by the contract.
        unsafe { transpose_rest(panel, width, (source, stride), 8, first..k) }
    }

    /// Writes the last numbers of some rows.
    ///
    /// # Safety
    /// As for [`transpose_16`], for these rows and numbers.
    #[inline(always)]
    unsafe fn transpose_rest(
        panel: *mut f32,
        width: usize,
        (source, stride): (*const f32, usize),
        rows: usize,
        numbers: std::ops::Range<usize>,
    ) {
        for number in numbers {
            for row in 0..rows {
                // SAFETY: by the contract.
                unsafe { *panel.add(number * width + row) = *source.add(row * stride + number) };
            }
        }
    }
}
