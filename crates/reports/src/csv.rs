//! CSV (RFC 4180): every cell quoted, lines ended with CR LF, UTF-8.
//!
//! A file is the [`head`] and any number of [`rows`] after it, so that whoever sends it keeps one
//! piece in memory at a time.
//!
//! Spreadsheets run a cell that begins with certain characters as a formula. Such a cell is
//! written with an apostrophe before it (OWASP, "CSV Injection"), which they show as text.

use std::io;

use csv::{QuoteStyle, Terminator, WriterBuilder};

use crate::Column;

/// What programs call the format.
pub const MEDIA_TYPE: &str = "text/csv; charset=utf-8";

/// The first line: the columns' headings.
pub fn head(columns: &[Column]) -> io::Result<Vec<u8>> {
    rows([columns.iter().map(|column| column.heading.as_str())])
}

/// One line for each row.
pub fn rows<R, C>(rows: impl IntoIterator<Item = R>) -> io::Result<Vec<u8>>
where
    R: IntoIterator<Item = C>,
    C: AsRef<str>,
{
    let mut writer = WriterBuilder::new()
        .has_headers(false)
        .flexible(true)
        .quote_style(QuoteStyle::Always)
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.into_iter().map(|cell| shown_as_text(cell.as_ref())))?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// The cell as it is written: with an apostrophe before it if it would be run as a formula.
pub fn shown_as_text(cell: &str) -> String {
    if is_dangerous(cell) { format!("'{cell}") } else { cell.to_owned() }
}

/// Whether some spreadsheet might run the cell. Blanks and invisible characters before a formula
/// are passed over by some of them.
fn is_dangerous(cell: &str) -> bool {
    if cell.starts_with(['\t', '\r', '\n', '\0']) {
        return true;
    }
    let first = cell.chars().find(|c| !(c.is_whitespace() || c.is_control() || is_invisible(*c)));
    // The last four are the full-width forms, which some spreadsheets take for the plain ones.
    first.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
