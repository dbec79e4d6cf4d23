use std::ops::Range;

/// A matrix inside a slice: element (i, j) is at `i * row_stride + j * col_stride`. One of the strides
/// is 1.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> View<'a> {
    /// `rows` rows of `cols` elements, one after another.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows` rows of `cols` elements, `row_stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            row_stride >= cols && fits(data.len(), (rows, cols), row_stride),
            "a view lies inside its slice, and its rows do not overlap"
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The number of rows.
    pub(crate) fn row_count(self) -> usize {
        self.rows
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

    /// Some of the rows.
    pub(super) fn rows(self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "the rows are part of the view");
        Self {
            data: self.data.get(rows.start * self.row_stride..).unwrap_or(&[]),
            rows: rows.len(),
            ..self
        }
    }

    /// Some of the columns.
    pub(super) fn columns(self, columns: Range<usize>) -> Self {
        self.t().rows(columns).t()
    }
}

/// Whether a matrix, whose rows are `row_stride` apart, lies inside a slice of `len` elements.
pub(super) fn fits(len: usize, (rows, cols): (usize, usize), row_stride: usize) -> bool {
    match rows.checked_sub(1) {
        Some(last) => (last.checked_mul(row_stride))
            .and_then(|start| start.checked_add(cols))
            .is_some_and(|end| end <= len),
        None => true,
    }
}
