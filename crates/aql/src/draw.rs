//! Findings drawn for a terminal: the place, the line with the place underlined, what is wrong,
//! and what would be right.
//!
//! Invariant: nothing of a text reaches the terminal as a command. Control characters, and those
//! that turn the direction of writing or take no room, are written as `\u{…}`, in the line as in
//! the words; the underline still lies below its place.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::diagnostic::{Diagnostic, is_line_break, line_start};

/// How much of the line is shown before its place, and after it, in characters.
const AROUND: usize = 60;
/// What a tab is shown as.
const TAB: &str = "    ";

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The text is no query.
    Error,
    /// It is one, and probably not what is meant.
    Warning,
}

impl Severity {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Text of others as a terminal may show it, on one line.
pub fn shown(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// How many columns of a terminal a text takes that [`shown`] has made harmless.
pub fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

impl Diagnostic {
    /// The finding with its line of `text`, in several lines that end in a line break.
    pub fn draw(&self, severity: Severity, text: &str) -> String {
        let cut = Cut::of(self, text);
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let message = shown(&self.message);
        let (blanks, marks) = (" ".repeat(cut.before), "^".repeat(cut.marked));
        let mut drawn = format!(
            "{}: {message}\n{margin}--> line {}, column {}\n{margin} |\n{number} | {}\n\
             {margin} | {blanks}{marks}\n",
            severity.as_str(),
            self.line,
            self.column,
            cut.line
        );
        if let Some(hint) = &self.hint {
            let _ = writeln!(drawn, "{margin} = {}", shown(hint));
        }
        drawn
    }
}

/// The part of a line around a place, with the columns before the place and within it.
struct Cut {
    line: String,
    before: usize,
    marked: usize,
}

impl Cut {
    fn of(finding: &Diagnostic, text: &str) -> Self {
        let place = text.floor_char_boundary(finding.offset);
        let (before, rest) = text.split_at_checked(place).unwrap_or((text, ""));
        let end = rest.floor_char_boundary(finding.length);
        let (marked, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let begun = before.get(line_start(before)..).unwrap_or_default();
        // A place may go over the end of its line; what follows is not shown.
        let whole = marked.find(is_line_break);
        let marked = marked.get(..whole.unwrap_or(marked.len())).unwrap_or_default();
        let after =
            if whole.is_some() { "" } else { after.split(is_line_break).next().unwrap_or("") };

        let skipped = begun.chars().count().saturating_sub(AROUND);
        let mut cut = Self { line: String::new(), before: 0, marked: 0 };
        if skipped > 0 {
            cut.before += cut.push("…");
        }
        for character in begun.chars().skip(skipped) {
            cut.before += cut.push(&in_line(character));
        }
        for character in marked.chars().take(AROUND) {
            cut.marked += cut.push(&in_line(character));
        }
        let is_longer = marked.chars().nth(AROUND).is_some();
        let after = if is_longer { "" } else { after };
        for character in after.chars().take(AROUND) {
            cut.push(&in_line(character));
        }
        if is_longer || after.chars().nth(AROUND).is_some() {
            cut.push("…");
        }
        // Also where something is missing there is a mark.
        cut.marked = cut.marked.max(1);
        cut.line.truncate(cut.line.trim_end().len());
        cut
    }

    /// Appends; returns the columns that it takes.
    fn push(&mut self, text: &str) -> usize {
        self.line.push_str(text);
        columns(text)
    }
}

/// A character of a line of the query.
fn in_line(character: char) -> String {
    if character == '\t' { TAB.to_owned() } else { harmless(character) }
}

/// A character, or what it is written as instead.
fn harmless(character: char) -> String {
    if is_command(character) {
        format!("\\u{{{:x}}}", u32::from(character))
    } else {
        character.to_string()
    }
}

/// Whether a character tells a terminal what to do instead of being shown.
pub fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Marks and overrides of the direction of writing, separators of lines, and
            // characters without room of their own.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
