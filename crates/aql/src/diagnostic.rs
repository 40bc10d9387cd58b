//! What is wrong with a query, and where.

use std::fmt;

/// A part of the text, in bytes. Both ends lie between characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// From here to the end of `last`.
    pub(crate) fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end.max(self.start) }
    }
}

/// One thing that is wrong, or that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it begins, in bytes from the beginning of the text.
    pub offset: usize,
    /// How long it is, in bytes; 0 where something is missing.
    pub length: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right, where there is something to suggest.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(text: &str, span: Span, message: &str, hint: Option<&str>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = line_start(before);
        Self {
            offset: span.start,
            length: span.end.saturating_sub(span.start),
            line: 1 + line_breaks(before),
            column: 1 + before.get(line_start..).unwrap_or_default().chars().count(),
            message: clean(message),
            hint: hint.map(clean),
        }
    }

    /// Message and hint in one sentence.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.sentence())
    }
}

pub(crate) fn is_line_break(character: char) -> bool {
    matches!(character, '\n' | '\r')
}

/// Where the last line of `text` begins.
pub(crate) fn line_start(text: &str) -> usize {
    text.rfind(is_line_break).map_or(0, |at| at + 1)
}

/// Line breaks in `text`: LF, CR LF and a lone CR are one each.
fn line_breaks(text: &str) -> usize {
    let pairs = text.matches("\r\n").count();
    text.matches(is_line_break).count() - pairs
}

/// The same with a blank for each control character: those of a hostile text must not reach a
/// terminal or a log.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A part of the text for a message, shortened.
pub(crate) fn quoted(part: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String = part.chars().take(LONGEST).collect();
    if part.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
