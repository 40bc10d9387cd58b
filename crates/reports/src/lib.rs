//! Files made of rows: CSV that a spreadsheet cannot be tricked with, and PDF with a real table.
//!
//! Both take columns and rows of text. Invariant: text is only ever shown. A cell of a CSV file
//! never begins like a formula, and nothing in a PDF is markup, a link or a script, whatever
//! people write into names and reasons.

pub mod csv;
pub mod pdf;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands above it.
    pub heading: String,
    /// Its share of a page's width, beside those of the other columns; at least 1.
    pub weight: u16,
}

impl Column {
    /// A column with this heading and share of the width.
    pub fn new(heading: impl Into<String>, weight: u16) -> Self {
        Self { heading: heading.into(), weight: weight.max(1) }
    }
}
