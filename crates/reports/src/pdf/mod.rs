//! PDF with a table: title, lines that say what it is about, a header row that is repeated on
//! each page, cells that wrap, and "Page n of m".
//!
//! The file says what it is (tagged PDF, PDF/UA-1): a reader for the blind finds a heading and a
//! table with header cells, and text that is copied out is the text that was put in. Characters
//! that the embedded font lacks are drawn as boxes, and read and copied as what they are.

mod draw;
mod fit;
mod font;

use jiff::Timestamp;

use crate::Column;
use fit::{Fitted, Page};
use font::Face;

/// What programs call the format.
pub const MEDIA_TYPE: &str = "application/pdf";

/// The most rows a file holds. Nobody reads hundreds of pages, and the file is made in memory;
/// for more there is CSV.
pub const MOST_ROWS: usize = 10_000;

/// What stands above the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The title.
    pub title: String,
    /// Lines below it, such as the period.
    pub lines: Vec<String>,
    /// When the file was made.
    pub made_at: Timestamp,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    /// There are more than [`MOST_ROWS`] rows.
    #[error("a PDF holds at most {MOST_ROWS} rows; narrow the report, or take CSV")]
    TooManyRows,
    /// The file could not be put together.
    #[error("the PDF could not be made: {0}")]
    Failed(String),
}

/// A table that is filled row by row and then made into a file.
#[derive(Debug)]
pub struct Table {
    about: About,
    columns: Vec<Column>,
    face: Face,
    page: Page,
    rows: Vec<Fitted>,
}

impl Table {
    /// An empty table.
    pub fn new(mut about: About, columns: Vec<Column>) -> Result<Self, PdfError> {
        let face = Face::embedded()?;
        about.title = font::clean(&about.title);
        if about.title.trim().is_empty() {
            // A file for everybody has to have one.
            "Report".clone_into(&mut about.title);
        }
        let page = Page::for_columns(&columns);
        Ok(Self { about, columns, face, page, rows: Vec::new() })
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row<C: AsRef<str>>(&mut self, cells: &[C]) -> Result<(), PdfError> {
        if self.rows.len() >= MOST_ROWS {
            return Err(PdfError::TooManyRows);
        }
        let row = self.page.fit_row(&self.face, cells);
        self.rows.push(row);
        Ok(())
    }

    /// The file.
    pub fn finish(self) -> Result<Vec<u8>, PdfError> {
        draw::draw(&self.about, &self.columns, &self.face, &self.page, &self.rows)
    }
}
