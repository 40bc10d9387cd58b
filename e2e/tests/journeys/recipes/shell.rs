//! As much of a shell as the recipes use: words, quotes, variables, `A | B`, and `NAME=$(…)`.
//!
//! What a real shell would take differently is refused, so that a command that works here works
//! in the terminal that it is pasted into.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The variable that takes the output.
    pub assigns: Option<String>,
    /// The words of each command of the pipe.
    pub stages: Vec<Vec<String>>,
    /// Whether it is left running.
    pub in_background: bool,
}

/// Values by name.
pub type Variables = BTreeMap<String, String>;

/// Whether the next line belongs to the command too.
pub fn is_unfinished(text: &str) -> bool {
    // Names do not matter for where a command ends.
    taken_apart(text, &|_| Some(String::new())).is_none()
}

/// The command with the values of its variables. Panics on what is not understood.
pub fn parse(text: &str, variables: &Variables) -> Line {
    let line = taken_apart(text, &|name| variables.get(name).cloned());
    line.unwrap_or_else(|| panic!("unfinished: {text}"))
}

fn taken_apart(text: &str, value_of: &dyn Fn(&str) -> Option<String>) -> Option<Line> {
    let (assigns, command) = match text.split_once("=$(") {
        Some((name, command)) if is_name(name) => (Some(name.to_owned()), command),
        _ => (None, text),
    };
    let mut reading = Reading { letters: command.chars().peekable(), value_of, text };
    let (stages, in_background) = reading.stages(assigns.is_some())?;
    Some(Line { assigns, stages, in_background })
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|one| one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_')
}

struct Reading<'a> {
    letters: Peekable<Chars<'a>>,
    value_of: &'a dyn Fn(&str) -> Option<String>,
    text: &'a str,
}

impl Reading<'_> {
    /// The commands of the pipe, and whether it ends with `&`; `None` if it is not at its end.
    fn stages(&mut self, is_inside: bool) -> Option<(Vec<Vec<String>>, bool)> {
        let mut stages = vec![Vec::new()];
        let mut word: Option<String> = None;
        loop {
            let next = self.letters.next();
            let ends_word =
                next.is_none_or(|one| one.is_whitespace() || matches!(one, '|' | ')' | '&'));
            if ends_word {
                stages.last_mut().unwrap().extend(word.take());
            }
            match next {
                None => return (!is_inside).then_some((stages, false)),
                Some(')') if is_inside => {
                    let rest: String = self.letters.by_ref().collect();
                    assert!(rest.trim().is_empty(), "{rest:?} after $(…): {}", self.text);
                    return Some((stages, false));
                }
                Some('&') if self.letters.peek().is_none() => return Some((stages, true)),
                Some('|') => stages.push(Vec::new()),
                Some('#') if word.is_none() => {
                    while self.letters.next_if(|one| *one != '\n').is_some() {}
                }
                Some('\\') => match self.letters.next()? {
                    '\n' => {}
                    other => word.get_or_insert_default().push(other),
                },
                Some('\'') => {
                    let word = word.get_or_insert_default();
                    loop {
                        match self.letters.next()? {
                            '\'' => break,
                            other => word.push(other),
                        }
                    }
                }
                Some('"') => self.quoted(word.get_or_insert_default())?,
                Some('$') => {
                    let value = self.value();
                    assert!(!value.contains(char::is_whitespace), "needs quotes: {}", self.text);
                    word.get_or_insert_default().push_str(&value);
                }
                Some(blank) if blank.is_whitespace() => {}
                Some(other) => {
                    let is_plain = !";&<>()*?{}[]`~!".contains(other);
                    assert!(is_plain, "{other} needs quotes: {}", self.text);
                    word.get_or_insert_default().push(other);
                }
            }
        }
    }

    fn quoted(&mut self, word: &mut String) -> Option<()> {
        loop {
            match self.letters.next()? {
                '"' => return Some(()),
                '$' => word.push_str(&self.value()),
                '\\' => match self.letters.next()? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                    other => word.extend(['\\', other]),
                },
                '`' => panic!("a backtick: {}", self.text),
                other => word.push(other),
            }
        }
    }

    fn value(&mut self) -> String {
        let mut name = String::new();
        while let Some(one) = self.letters.next_if(|one| one.is_ascii_alphanumeric() || *one == '_')
        {
            name.push(one);
        }
        assert!(is_name(&name), "${name}: {}", self.text);
        (self.value_of)(&name).unwrap_or_else(|| panic!("no ${name} yet: {}", self.text))
    }
}

#[test]
fn words_are_what_a_shell_makes_of_them() {
    let variables = Variables::from([("A".to_owned(), "x y".to_owned()), ("B".into(), "z".into())]);
    let parsed = |text: &str| parse(text, &variables);
    let words = |text: &str| parsed(text).stages;
    assert_eq!(words("a 'b c' \"$A\"$B-  # no"), [vec!["a", "b c", "x yz-"]]);
    assert_eq!(words("a '{\"n\": '\"$A\"'}' \\\n  b"), [vec!["a", "{\"n\": x y}", "b"]]);
    assert_eq!(words("a \"\\\"\" ''"), [vec!["a", "\"", ""]]);
    let line = parsed("NAME=$(a \"$B\" | jq '.x | .y')");
    assert_eq!(line.assigns.as_deref(), Some("NAME"));
    assert_eq!(line.stages, [vec!["a", "z"], vec!["jq", ".x | .y"]]);
    assert!(parsed("a b &").in_background);
    for text in ["a '", "a \"", "a \\", "X=$(a", "X=$(a ')'"] {
        assert!(is_unfinished(text), "{text}");
    }
    assert!(!is_unfinished("X=$(a '\n')"));
}
