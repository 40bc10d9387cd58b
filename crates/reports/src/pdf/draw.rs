//! Drawing the pages, and saying what each piece of them is.
//!
//! What stands on a page for the eye alone (rules, tints, repeated header rows, page numbers) is
//! an artifact; everything else has its place in the tree of tags, once and in reading order.

use std::num::NonZeroU16;

use jiff::{Timestamp, tz::TimeZone};
use krilla::{
    Document, SerializeSettings,
    color::rgb,
    configure::{Accessibility, ConfigurationBuilder},
    destination::XyzDestination,
    error::KrillaError,
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    outline::{Outline, OutlineNode},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
    tagging::{
        Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, TableHeaderScope, Tag,
        TagGroup, TagTree,
    },
};

use super::{
    About, PdfError,
    fit::{ABOUT_SIZE, FOOTER, Fitted, MARGIN, PADDING, Page, Piece, TITLE_SIZE, wrap},
    font::Face,
};
use crate::Column;

/// The most lines above the table; what is longer is cut.
const MOST_ABOUT_LINES: usize = 12;
/// The footer's size.
const FOOTER_SIZE: f32 = 7.0;

/// Red, green, blue.
type Rgb = (u8, u8, u8);

const INK: Rgb = (27, 28, 32);
const QUIET: Rgb = (93, 96, 105);
const LINE: Rgb = (214, 211, 203);
const TINT: Rgb = (240, 238, 232);

/// Makes the file.
pub(super) fn draw(
    about: &About,
    columns: &[Column],
    face: &Face,
    page: &Page,
    rows: &[Fitted],
) -> Result<Vec<u8>, PdfError> {
    let headings: Vec<&str> = columns.iter().map(|column| column.heading.as_str()).collect();
    let head = Head::new(about, face, page, page.fit_row(face, &headings));
    let pages = page.spread(rows, head.first, head.later);
    let mut document = Document::new_with(settings()?);
    let mut tags = Tags::new(columns.len());
    for (number, pieces) in pages.iter().enumerate() {
        let size = PageSettings::from_wh(page.width, page.height)
            .ok_or_else(|| PdfError::Failed("a page has no size".to_owned()))?;
        let mut sheet = document.start_page_with(size);
        let mut pen = Pen { surface: sheet.surface(), face, page };
        if number == 0 {
            pen.head(&head, &mut tags);
        } else {
            pen.repeated_headings(&head);
        }
        let top = if number == 0 { head.first } else { head.later };
        pen.rows(rows, pieces, top, &mut tags);
        if rows.is_empty() {
            let note = pen.tagged(MARGIN, top, page.size, &["There are no rows.".to_owned()]);
            tags.note = Some(note);
        }
        pen.footer(about, number + 1, pages.len());
        drop(pen);
        sheet.finish();
    }
    let mut outline = Outline::new();
    let start = XyzDestination::new(0, Point::from_xy(MARGIN, MARGIN));
    outline.push_child(OutlineNode::new(about.title.clone(), start));
    document.set_outline(outline);
    document.set_metadata(metadata(about));
    document.set_tag_tree(tags.tree(&about.title));
    document.finish().map_err(|error| failed(&error))
}

fn settings() -> Result<SerializeSettings, PdfError> {
    let configuration = ConfigurationBuilder::new()
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|_| PdfError::Failed("PDF/UA-1 is not supported".to_owned()))?;
    Ok(SerializeSettings { configuration, ..SerializeSettings::default() })
}

fn failed(error: &KrillaError) -> PdfError {
    match error {
        KrillaError::Validation(found) => PdfError::Failed(format!("{found:?}")),
        other => PdfError::Failed(other.to_string()),
    }
}

fn metadata(about: &About) -> Metadata {
    Metadata::new()
        .title(about.title.clone())
        .language("en".to_owned())
        .creator("Latchkey".to_owned())
        .creation_date(date(about.made_at))
}

fn date(at: Timestamp) -> DateTime {
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0)
}

/// What stands above the rows.
struct Head {
    title: Vec<String>,
    about: Vec<String>,
    headings: Fitted,
    /// Where the rows of the first page begin.
    first: f32,
    /// Where the rows of the other pages begin.
    later: f32,
}

impl Head {
    fn new(about: &About, face: &Face, page: &Page, headings: Fitted) -> Self {
        let room = page.width - 2.0 * MARGIN;
        let title = wrap(face, &about.title, TITLE_SIZE, room);
        let mut lines: Vec<String> =
            about.lines.iter().flat_map(|line| wrap(face, line, ABOUT_SIZE, room)).collect();
        if lines.len() > MOST_ABOUT_LINES {
            lines.truncate(MOST_ABOUT_LINES - 1);
            lines.push("…".to_owned());
        }
        let table = page.height_of(headings.lines());
        let later = MARGIN + table;
        let above = height(title.len(), TITLE_SIZE) + height(lines.len(), ABOUT_SIZE) + 8.0;
        Self { title, about: lines, headings, first: later + above, later }
    }
}

/// How high so many lines of this size are.
fn height(lines: usize, size: f32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a head has a few lines")]
    let lines = lines as f32;
    lines * size * 1.35
}

/// The tree of tags as it grows.
struct Tags {
    title: Vec<Identifier>,
    about: Vec<Identifier>,
    headings: Vec<Identifier>,
    note: Option<Identifier>,
    rows: Vec<TagGroup>,
    /// What has been drawn so far of the cells of the row that is being drawn.
    cells: Vec<Vec<Identifier>>,
}

impl Tags {
    fn new(columns: usize) -> Self {
        Self {
            title: Vec::new(),
            about: Vec::new(),
            headings: Vec::new(),
            note: None,
            rows: Vec::new(),
            cells: vec![Vec::new(); columns],
        }
    }

    fn end_row(&mut self) {
        let cells = self
            .cells
            .iter_mut()
            .map(|cell| Node::from(group(Tag::TD, std::mem::take(cell))))
            .collect();
        self.rows.push(TagGroup::with_children(Tag::TR, cells));
    }

    fn tree(self, title: &str) -> TagTree {
        let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
        tree.push(group(Tag::Hn(NonZeroU16::MIN, Some(title.to_owned())), self.title));
        for line in self.about {
            tree.push(group(Tag::P, vec![line]));
        }
        let headings = self
            .headings
            .into_iter()
            .map(|cell| Node::from(group(Tag::TH(TableHeaderScope::Column), vec![cell])))
            .collect();
        let headings = TagGroup::with_children(Tag::TR, headings);
        let mut table =
            vec![Node::from(TagGroup::with_children(Tag::THead, vec![headings.into()]))];
        if !self.rows.is_empty() {
            let rows = self.rows.into_iter().map(Node::from).collect();
            table.push(TagGroup::with_children(Tag::TBody, rows).into());
        }
        tree.push(TagGroup::with_children(Tag::Table, table));
        if let Some(note) = self.note {
            tree.push(group(Tag::P, vec![note]));
        }
        tree
    }
}

fn group(
    tag: impl Into<krilla::tagging::TagKind>,
    leaves: impl IntoIterator<Item = Identifier>,
) -> TagGroup {
    TagGroup::with_children(tag, leaves.into_iter().map(Node::from).collect())
}

/// Draws on one page.
struct Pen<'a> {
    surface: Surface<'a>,
    face: &'a Face,
    page: &'a Page,
}

impl Pen<'_> {
    fn head(&mut self, head: &Head, tags: &mut Tags) {
        let mut y = MARGIN;
        tags.title.push(self.tagged(MARGIN, y, TITLE_SIZE, &head.title));
        y += height(head.title.len(), TITLE_SIZE);
        for line in &head.about {
            let line = std::slice::from_ref(line);
            tags.about.push(self.tagged(MARGIN, y, ABOUT_SIZE, line));
            y += height(1, ABOUT_SIZE);
        }
        let top = head.first - self.page.height_of(head.headings.lines());
        self.tint(top, head.first);
        for column in 0..head.headings.cells.len() {
            let lines = head.headings.cells.get(column).map_or(&[][..], Vec::as_slice);
            tags.headings.push(self.cell(column, top, lines));
        }
    }

    fn repeated_headings(&mut self, head: &Head) {
        self.tint(MARGIN, head.later);
        self.artifact(ArtifactType::Header, |pen| {
            for (column, lines) in head.headings.cells.iter().enumerate() {
                let x = pen.left_of(column);
                pen.lines(x, MARGIN + PADDING, pen.page.size, lines);
            }
        });
    }

    fn rows(&mut self, rows: &[Fitted], pieces: &[Piece], top: f32, tags: &mut Tags) {
        let mut y = top;
        for piece in pieces {
            let Some(row) = rows.get(piece.row) else { continue };
            for (column, lines) in row.cells.iter().enumerate() {
                let lines = lines.get(piece.from..).unwrap_or_default();
                let lines = lines.get(..piece.lines).unwrap_or(lines);
                // A cell without text still has its place in the row.
                let first = piece.from == 0;
                if let Some(cell) = tags.cells.get_mut(column)
                    && (first || !lines.is_empty())
                {
                    cell.push(self.cell(column, y, lines));
                }
            }
            y += self.page.height_of(piece.lines);
            self.rule(y);
            if piece.from + piece.lines >= row.lines() {
                tags.end_row();
            }
        }
    }

    fn footer(&mut self, about: &About, number: usize, of: usize) {
        let y = self.page.height - MARGIN - FOOTER + 8.0;
        let count = format!("Page {number} of {of}");
        let wide = self.face.width_of(&count, FOOTER_SIZE);
        let right = self.page.width - MARGIN - wide;
        let title = wrap(self.face, &about.title, FOOTER_SIZE, right - 2.0 * MARGIN);
        self.artifact(ArtifactType::Footer, |pen| {
            pen.surface.set_fill(Some(fill(QUIET)));
            if let Some(title) = title.first() {
                pen.line(MARGIN, y, FOOTER_SIZE, title);
            }
            pen.line(right, y, FOOTER_SIZE, &count);
            pen.surface.set_fill(Some(fill(INK)));
        });
    }

    fn cell(&mut self, column: usize, top: f32, lines: &[String]) -> Identifier {
        let x = self.left_of(column);
        self.tagged(x, top + PADDING, self.page.size, lines)
    }

    fn left_of(&self, column: usize) -> f32 {
        self.page.edges.get(column).copied().unwrap_or(MARGIN) + PADDING
    }

    /// Draws lines as one piece of the document. What the font cannot show is said beside it.
    fn tagged(&mut self, x: f32, top: f32, size: f32, lines: &[String]) -> Identifier {
        let text = lines.concat();
        let hidden = (!self.face.shows(&text)).then_some(text.as_str());
        let span = SpanTag::empty().with_actual_text(hidden);
        let identifier = self.surface.start_tagged(ContentTag::Span(span));
        if lines.is_empty() {
            self.line(x, top, size, " ");
        } else {
            self.lines(x, top, size, lines);
        }
        self.surface.end_tagged();
        identifier
    }

    fn lines(&mut self, x: f32, top: f32, size: f32, lines: &[String]) {
        let leading = if size > self.page.size { size * 1.35 } else { self.page.leading };
        let mut y = top;
        for line in lines {
            self.line(x, y, size, line);
            y += leading;
        }
    }

    /// Draws one line below `top`.
    fn line(&mut self, x: f32, top: f32, size: f32, text: &str) {
        let text = self.face.drawable(text);
        if text.is_empty() {
            return;
        }
        let glyphs = self.face.glyphs(&text);
        let start = Point::from_xy(x, top + size);
        self.surface.set_stroke(None);
        let font = self.face.font.clone();
        self.surface.draw_glyphs(start, &glyphs, font, &text, size, false);
    }

    fn tint(&mut self, top: f32, bottom: f32) {
        self.bar(top, bottom - top, TINT);
    }

    fn rule(&mut self, y: f32) {
        self.bar(y - 0.25, 0.5, LINE);
    }

    /// A bar over the table's whole width.
    fn bar(&mut self, top: f32, high: f32, color: Rgb) {
        let wide = self.page.width - 2.0 * MARGIN;
        let Some(rect) = Rect::from_xywh(MARGIN, top, wide, high) else { return };
        let mut path = PathBuilder::new();
        path.push_rect(rect);
        let Some(path) = path.finish() else { return };
        self.artifact(ArtifactType::Layout, |pen| {
            pen.surface.set_fill(Some(fill(color)));
            pen.surface.draw_path(&path);
            pen.surface.set_fill(Some(fill(INK)));
        });
    }

    fn artifact(&mut self, kind: ArtifactType, draw: impl FnOnce(&mut Self)) {
        let _ = self.surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(kind)));
        draw(self);
        self.surface.end_tagged();
    }
}

fn fill((red, green, blue): Rgb) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }
}
