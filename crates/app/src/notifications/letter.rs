//! A letter in blocks, and its two forms: plain text, and HTML without anything that loads or
//! runs. Text that people wrote is shown as it is and never becomes markup, a header or a line of
//! its own kind.

use std::fmt::Write;

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Top to bottom.
    pub blocks: Vec<Block>,
}

/// A part of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A sentence or two.
    Text(String),
    /// What is what.
    Facts(Vec<(&'static str, String)>),
    /// Where to look. Opening it decides nothing.
    Link(&'static str, String),
}

/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 150;
/// The longest fact, in characters.
const LONGEST_FACT: usize = 1200;

/// One line without control characters, and no longer than `longest`.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let spaced: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    let cut: String = line.chars().take(longest.saturating_sub(1)).collect();
    format!("{cut}…")
}

/// Whether a character only shows: no control character, and none that reorders or hides others.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Letter {
    /// A letter about this.
    pub fn new(subject: &str) -> Self {
        Self { subject: one_line(subject, LONGEST_SUBJECT), blocks: Vec::new() }
    }

    /// With one more sentence.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// With facts; those without a value are left out.
    #[must_use]
    pub fn facts(mut self, facts: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let facts: Vec<(&'static str, String)> = facts
            .into_iter()
            .map(|(name, value)| (name, shown(&value)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        self.blocks.push(Block::Facts(facts));
        self
    }

    /// With a link, where there is one.
    #[must_use]
    pub fn link(mut self, words: &'static str, url: Option<String>) -> Self {
        self.blocks.extend(url.map(|url| Block::Link(words, url)));
        self
    }

    /// The plain form.
    pub fn plain(&self) -> String {
        let blocks = self.blocks.iter().map(|block| match block {
            Block::Text(text) => format!("{text}\n"),
            Block::Facts(facts) => {
                let lines = facts
                    .iter()
                    .map(|(name, value)| format!("{name}: {}\n", value.replace('\n', "\n    ")));
                lines.collect()
            }
            Block::Link(words, url) => format!("{words}: {url}\n"),
        });
        let blocks: Vec<String> = blocks.collect();
        format!("{}\n-- \nLatchkey. Nobody reads answers to this address.\n", blocks.join("\n"))
    }

    /// The HTML form.
    pub fn html(&self) -> String {
        let mut body = String::new();
        for block in &self.blocks {
            // Writing into a text never fails.
            let _ = match block {
                Block::Text(text) => writeln!(body, "<p>{}</p>", escape(text)),
                Block::Facts(facts) => writeln!(body, "{}", table(facts)),
                Block::Link(words, url) => {
                    writeln!(body, "<p><a href=\"{}\">{}</a></p>", escape(url), escape(words))
                }
            };
        }
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\
             </head>\n<body style=\"{BODY}\">\n{body}<p style=\"{FOOT}\">Latchkey. Nobody reads \
             answers to this address.</p>\n</body></html>\n",
            escape(&self.subject)
        )
    }
}

fn table(facts: &[(&'static str, String)]) -> String {
    let rows: Vec<String> = facts
        .iter()
        .map(|(name, value)| {
            let value = escape(value).replace('\n', "<br>");
            let name = escape(name);
            format!("<tr><td style=\"{NAME}\">{name}</td><td style=\"{VALUE}\">{value}</td></tr>\n")
        })
        .collect();
    format!("<table role=\"presentation\">\n{}</table>", rows.concat())
}

const BODY: &str = "font-family:sans-serif;font-size:15px;line-height:1.5;color:#1b1c20";
const NAME: &str = "padding:2px 16px 2px 0;color:#5d6069;vertical-align:top;white-space:nowrap";
const VALUE: &str = "padding:2px 0;vertical-align:top";
const FOOT: &str = "color:#5d6069;font-size:12px";

/// A fact as it is shown: line by line, without what does not show, and not endless.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| is_plain(*c)).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let text = lines.join("\n");
    if text.chars().count() <= LONGEST_FACT {
        return text;
    }
    let cut: String = text.chars().take(LONGEST_FACT).collect();
    format!("{cut}…")
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTACK: &str = "<script>alert(1)</script>\r\nBcc: all@example.com\u{202e}\u{0}\"'&";

    #[test]
    fn e06_text_of_people_is_never_markup_and_never_a_line_of_a_header() {
        let letter = Letter::new(&format!("AR-1: {ATTACK}"))
            .text(ATTACK)
            .facts([("Why", ATTACK.to_owned())])
            .link("Look", Some("https://x.example/?a=\"><script>".to_owned()));
        assert!(!letter.subject.contains(['\r', '\n', '\u{0}', '\u{202e}']), "{}", letter.subject);
        let html = letter.html();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert!(html.contains("href=\"https://x.example/?a=&quot;&gt;&lt;script&gt;\""), "{html}");
    }

    #[test]
    fn a_fact_of_several_lines_cannot_pass_for_another_fact() {
        let letter = Letter::new("x").facts([("Why", "one\nApproved by: nobody".to_owned())]);
        assert!(letter.plain().contains("Why: one\n    Approved by: nobody\n"));
    }

    #[test]
    fn long_texts_are_cut_and_empty_facts_left_out() {
        let letter =
            Letter::new(&"s".repeat(500)).facts([("a", "x".repeat(9000)), ("b", String::new())]);
        assert_eq!(letter.subject.chars().count(), LONGEST_SUBJECT);
        assert!(letter.plain().len() < 2000 && !letter.plain().contains("b:"));
    }
}
