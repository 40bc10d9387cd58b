//! The embedded font: which glyph a character has, how wide it is, and which characters a page
//! may show at all.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size},
};

use super::PdfError;

/// A subset of the font that `fonts/LICENSE` names.
const BYTES: &[u8] = include_bytes!("../../fonts/latchkey-report.ttf");

/// Drawn in place of a character that the font lacks.
const BOX: char = '\u{25a1}';

/// A font with what is needed to lay out lines.
pub(super) struct Face {
    pub(super) font: Font,
    tables: FontRef<'static>,
    units_per_em: f32,
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Face").finish_non_exhaustive()
    }
}

impl Face {
    pub(super) fn embedded() -> Result<Self, PdfError> {
        let damaged = || PdfError::Failed("the embedded font is damaged".to_owned());
        let font = Font::new(BYTES.into(), 0).ok_or_else(damaged)?;
        let tables = FontRef::new(BYTES).map_err(|_| damaged())?;
        let units_per_em = font.units_per_em();
        Ok(Self { font, tables, units_per_em })
    }

    /// The glyph of a character; the box where the font has none.
    fn glyph(&self, c: char) -> (skrifa::GlyphId, bool) {
        let map = self.tables.charmap();
        match map.map(c) {
            Some(glyph) => (glyph, true),
            None => (map.map(BOX).unwrap_or_default(), false),
        }
    }

    fn advance(&self, glyph: skrifa::GlyphId) -> f32 {
        let metrics = self.tables.glyph_metrics(Size::unscaled(), LocationRef::default());
        metrics.advance_width(glyph).unwrap_or_default() / self.units_per_em
    }

    /// How wide a character is, as a share of the font's size.
    pub(super) fn width(&self, c: char) -> f32 {
        self.advance(self.glyph(c).0)
    }

    /// How wide a text is at this size.
    pub(super) fn width_of(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.width(c)).sum::<f32>() * size
    }

    /// Whether the font has every character of the text.
    pub(super) fn shows(&self, text: &str) -> bool {
        text.chars().all(|c| self.glyph(c).1)
    }

    /// The text with boxes for what the font lacks.
    pub(super) fn drawable(&self, text: &str) -> String {
        text.chars().map(|c| if self.glyph(c).1 { c } else { BOX }).collect()
    }

    /// The glyphs of a text that [`Face::drawable`] gave.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        text.char_indices()
            .map(|(at, c)| {
                let (glyph, _) = self.glyph(c);
                let range = at..at + c.len_utf8();
                let id = GlyphId::new(glyph.to_u32());
                KrillaGlyph::new(id, self.advance(glyph), 0.0, 0.0, 0.0, range, None)
            })
            .collect()
    }
}

/// What a page may show of a text: no control characters, and none of those that reorder or hide
/// what stands beside them, since they could make a name look like another. Line breaks stay.
pub(super) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => shown.push('\n'),
            c if c.is_whitespace() => shown.push(' '),
            '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}' => {}
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}
