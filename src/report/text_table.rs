/// A table for a terminal. All rows have as many cells as there are headings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextTable {
    pub headings: Vec<&'static str>,
    /// Whether each column is aligned to the right.
    pub right_aligned: Vec<bool>,
    pub rows: Vec<Vec<String>>,
}

impl TextTable {
    /// The cell of a row in the column with this heading.
    #[cfg(test)]
    pub(super) fn cell(&self, row: usize, heading: &str) -> &str {
        let column = self.headings.iter().position(|name| *name == heading);
        &self.rows[row][column.unwrap()]
    }
}
