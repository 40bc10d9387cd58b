//! Where things go: pages, columns, lines.

use super::font::{Face, clean};
use crate::Column;

/// The margin on each side, in points as everything here.
pub(super) const MARGIN: f32 = 34.0;
/// Between a cell's edge and its text.
pub(super) const PADDING: f32 = 3.0;
/// What the footer takes of a page's foot, above the margin.
pub(super) const FOOTER: f32 = 18.0;
/// Above the first line of a page, on those after the first.
pub(super) const TITLE_SIZE: f32 = 15.0;
/// The size of the lines below the title.
pub(super) const ABOUT_SIZE: f32 = 9.0;

const A4: (f32, f32) = (842.0, 595.0);
const A3: (f32, f32) = (1191.0, 842.0);
/// From so many columns on a page is A3.
const MANY: usize = 10;

/// The page and its columns.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) width: f32,
    pub(super) height: f32,
    /// The font's size in the table.
    pub(super) size: f32,
    /// From the beginning of a line to that of the next.
    pub(super) leading: f32,
    /// Where each column begins, and the right edge at the end.
    pub(super) edges: Vec<f32>,
}

/// A cell's lines.
pub(super) type Lines = Vec<String>;

/// A row whose cells are broken into lines.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) cells: Vec<Lines>,
}

impl Fitted {
    /// How many lines its longest cell has; at least one.
    pub(super) fn lines(&self) -> usize {
        self.cells.iter().map(Vec::len).max().unwrap_or_default().max(1)
    }
}

/// Lines of a row that stand on one page: from the first, so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) row: usize,
    pub(super) from: usize,
    pub(super) lines: usize,
}

impl Page {
    /// A landscape page with room for these columns.
    pub(super) fn for_columns(columns: &[Column]) -> Self {
        let is_wide = columns.len() >= MANY;
        let (width, height) = if is_wide { A3 } else { A4 };
        let size = if is_wide { 6.5 } else { 7.5 };
        let all: f32 = columns.iter().map(|column| f32::from(column.weight)).sum();
        let room = width - 2.0 * MARGIN;
        let mut edges = vec![MARGIN];
        let mut taken = 0.0;
        for column in columns {
            taken += f32::from(column.weight);
            edges.push(MARGIN + room * taken / all);
        }
        Self { width, height, size, leading: size * 1.25, edges }
    }

    /// What a column's text may take of its width.
    fn room(&self, column: usize) -> f32 {
        let from = self.edges.get(column).copied().unwrap_or(MARGIN);
        let to = self.edges.get(column + 1).copied().unwrap_or(from);
        (to - from - 2.0 * PADDING).max(self.size)
    }

    /// How many columns there are.
    fn columns(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Breaks a row's cells into lines.
    pub(super) fn fit_row<C: AsRef<str>>(&self, face: &Face, cells: &[C]) -> Fitted {
        let cells = (0..self.columns())
            .map(|column| {
                let text = cells.get(column).map(AsRef::as_ref).unwrap_or_default();
                wrap(face, text, self.size, self.room(column))
            })
            .collect();
        Fitted { cells }
    }

    /// How high so many lines of a row are.
    pub(super) fn height_of(&self, lines: usize) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "a row has thousands of lines at most")]
        let lines = lines as f32;
        lines * self.leading + 2.0 * PADDING
    }

    /// How many lines of a row fit into this height.
    fn lines_in(&self, height: f32) -> usize {
        let lines = ((height - 2.0 * PADDING) / self.leading).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a page's height, and not below 0"
        )]
        let lines = lines.max(0.0) as usize;
        lines
    }

    /// Where the table must end.
    pub(super) fn bottom(&self) -> f32 {
        self.height - MARGIN - FOOTER
    }

    /// Spreads rows over pages. `first` and `later` say where the first row of the first page and
    /// of those that follow begins. A row that fits on a page stays whole; a longer one goes on
    /// on the next page.
    pub(super) fn spread(&self, rows: &[Fitted], first: f32, later: f32) -> Vec<Vec<Piece>> {
        let mut pages: Vec<Vec<Piece>> = Vec::new();
        let mut page = Vec::new();
        let mut y = first;
        for (row, fitted) in rows.iter().enumerate() {
            let all = fitted.lines();
            let mut from = 0;
            while from < all {
                let left = all - from;
                let fits = self.lines_in(self.bottom() - y);
                let on_a_page = self.lines_in(self.bottom() - later);
                let lines = if left <= fits {
                    left
                } else if page.is_empty() || (from == 0 && left > on_a_page && fits > 2) {
                    fits.max(1)
                } else {
                    pages.push(std::mem::take(&mut page));
                    y = later;
                    continue;
                };
                page.push(Piece { row, from, lines });
                y += self.height_of(lines);
                from += lines;
            }
        }
        pages.push(page);
        pages
    }
}

/// Breaks a text into lines that are no wider than `room`: at blanks, else after characters that
/// names are put together with, else anywhere.
pub(super) fn wrap(face: &Face, text: &str, size: f32, room: f32) -> Lines {
    let mut lines = Vec::new();
    for paragraph in clean(text).split('\n') {
        wrap_paragraph(face, paragraph, room / size, &mut lines);
    }
    while lines.last().is_some_and(|line: &String| line.trim().is_empty()) {
        lines.pop();
    }
    lines
}

fn wrap_paragraph(face: &Face, text: &str, room: f32, lines: &mut Lines) {
    let mut line = String::new();
    let mut width = 0.0;
    // What of the line stands before the last place to break at, in bytes.
    let mut good = 0;
    for c in text.chars() {
        let wide = face.width(c);
        // A blank may hang over the edge: it shows nothing.
        if width + wide > room && c != ' ' && !line.is_empty() {
            let at = if good > 0 { good } else { line.len() };
            let rest = line.split_off(at);
            lines.push(std::mem::replace(&mut line, rest));
            width = face.width_of(&line, 1.0);
            good = 0;
        }
        line.push(c);
        width += wide;
        if matches!(c, ' ' | '/' | '-' | '_' | '.' | ',' | ';' | ':' | '@' | '|' | '=' | '&') {
            good = line.len();
        }
    }
    lines.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_then_within_names_then_anywhere() {
        let face = Face::embedded().unwrap();
        let lines = |text: &str, room: f32| wrap(&face, text, 10.0, room);
        assert_eq!(lines("one two three", 50.0), ["one two ", "three"]);
        assert_eq!(lines("schema/table_name", 50.0), ["schema/", "table_", "name"]);
        let broken = lines(&"x".repeat(40), 50.0);
        assert!(broken.len() > 3, "{broken:?}");
        assert_eq!(broken.concat(), "x".repeat(40));
        assert_eq!(lines("a\r\nb\n\n", 50.0), ["a", "b"]);
        assert_eq!(lines("", 50.0), Vec::<String>::new());
    }

    #[test]
    fn no_line_is_wider_than_its_room() {
        let face = Face::embedded().unwrap();
        for line in wrap(&face, "Łódź Übergröße Αθήνα Москва 東京 wwwwwwwwwwwwwwwwww", 8.0, 40.0)
        {
            assert!(face.width_of(line.trim_end(), 8.0) <= 40.0, "{line:?}");
        }
    }

    #[test]
    fn a_row_longer_than_a_page_goes_on_on_the_next() {
        let page = Page::for_columns(&[Column::new("a", 1)]);
        let row = |lines: usize| Fitted { cells: vec![vec!["x".to_owned(); lines]] };
        let pages = page.spread(&[row(2), row(200), row(1)], 100.0, 60.0);
        let pieces: Vec<Piece> = pages.into_iter().flatten().collect();
        let long: usize = pieces.iter().filter(|one| one.row == 1).map(|one| one.lines).sum();
        assert_eq!(long, 200);
        assert_eq!(pieces.last().unwrap().row, 2);
    }
}
