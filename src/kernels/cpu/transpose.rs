//! Transposition of small matrices.

/// Writes `columns` rows of k numbers, `stride` apart, as the columns of `panel` (k, width), whose
/// other columns stay as they are.
#[inline(always)]
pub(crate) fn transpose(
    panel: &mut [f32],
    width: usize,
    source: &[f32],
    stride: usize,
    columns: usize,
    k: usize,
) {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_mut, reason = "there is no other version than the loop")
    )]
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        while done + x86::ROWS <= columns {
            let end = done + x86::ROWS;
            assert!(k <= stride && (end - 1) * stride + k <= source.len());
            assert!(end <= width && k * width <= panel.len());
            // SAFETY: the processor has the instructions. The rows lie inside `source`, and the columns inside
            // `panel`, as just checked.
            unsafe {
                let source = source.as_ptr().add(done * stride);
                let panel = panel.as_mut_ptr().add(done);
                x86::transpose_rows(panel, width, source, stride, k);
            }
            done = end;
        }
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

    /// Rows that are transposed together.
    pub(super) const ROWS: usize = 8;

    /// Writes [`ROWS`] rows of k numbers as as many columns, four numbers of each row at a time.
    ///
    /// # Safety
    /// The processor has AVX. Each row of `source`, `stride` apart, has k numbers, and k rows of `panel`,
    /// `width` apart, have room for a number of each row, which nobody else accesses.
    #[inline]
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn transpose_rows(
        panel: *mut f32,
        width: usize,
        source: *const f32,
        stride: usize,
        k: usize,
    ) {
        let mut first = 0;
        while first + 4 <= k {
            // SAFETY: by the contract, four numbers of each row from `first` on, and the numbers of four rows
            // of the panel.
            unsafe {
                let row = |row: usize| _mm_loadu_ps(source.add(row * stride + first));
                // Rows r and r + 4, so that the result has its rows in order.
                let rows =
                    |r: usize| _mm256_insertf128_ps(_mm256_castps128_ps256(row(r)), row(r + 4), 1);
                let (a, b, c, d) = (rows(0), rows(1), rows(2), rows(3));
                let low = |a, b| _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                let high = |a, b| _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                let (ab, cd) = (low(a, b), low(c, d));
                let (ab_high, cd_high) = (high(a, b), high(c, d));
                let out = |row: usize| panel.add((first + row) * width).cast();
                _mm256_storeu_pd(out(0), _mm256_unpacklo_pd(ab, cd));
                _mm256_storeu_pd(out(1), _mm256_unpackhi_pd(ab, cd));
                _mm256_storeu_pd(out(2), _mm256_unpacklo_pd(ab_high, cd_high));
                _mm256_storeu_pd(out(3), _mm256_unpackhi_pd(ab_high, cd_high));
            }
            first += 4;
        }
        for number in first..k {
            for row in 0..ROWS {
                // SAFETY: by the contract.
                unsafe { *panel.add(number * width + row) = *source.add(row * stride + number) };
            }
        }
    }
}
