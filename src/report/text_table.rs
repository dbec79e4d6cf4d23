/// A table for a terminal. All rows have as many cells as there are headings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextTable {
    pub headings: Vec<&'static str>,
    /// Whether each column is aligned to the right.
    pub right_aligned: Vec<bool>,
    pub rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Adds a column on the right, aligned to the left, with a cell for each row.
    pub(super) fn add_column(&mut self, heading: &'static str, cells: Vec<String>) {
        self.headings.push(heading);
        self.right_aligned.push(false);
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.push(cell);
        }
    }

    /// The cell of a row in the column with this heading.
    #[cfg(test)]
    pub(super) fn cell(&self, row: usize, heading: &str) -> &str {
        let column = self.headings.iter().position(|name| *name == heading);
        &self.rows[row][column.unwrap()]
    }
}
