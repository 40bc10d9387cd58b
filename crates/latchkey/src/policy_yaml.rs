//! Writing documents as YAML.
//!
//! Invariants: what is written reads back as the same value, whatever texts it holds; equal values
//! are written alike; no character of it steers the terminal that it is printed on.

use std::fmt::Write as _;

use latchkey_aql::is_command;
use serde_json::{Map, Value};

/// Words that some reader of YAML takes for something else than text.
const NOT_TEXT: [&str; 11] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];

/// The document as text that ends with a line break.
pub(crate) fn document(members: &Map<String, Value>) -> String {
    let mut text = String::new();
    push_members(&mut text, members, 0);
    text
}

/// Writes members a line each; the first one where the text ends now.
fn push_members(text: &mut String, members: &Map<String, Value>, indent: usize) {
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            push_indent(text, indent);
        }
        push_one_line(text, name);
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                push_indent(text, indent + 2);
                push_members(text, inner, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                push_items(text, items, indent + 2);
            }
            plain => {
                text.push(' ');
                push_plain(text, plain, indent + 2);
            }
        }
    }
}

fn push_items(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        push_indent(text, indent);
        text.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => {
                push_members(text, members, indent + 2);
            }
            // A list right in a list; its JSON is YAML.
            Value::Array(_) => {
                push_json(text, item);
                text.push('\n');
            }
            plain => push_plain(text, plain, indent + 2),
        }
    }
}

/// A value that fits after a name or a dash; `indent` is for the lines of a long text.
fn push_plain(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(value) if is_block(value) => push_block(text, value, indent),
        Value::String(value) => {
            push_one_line(text, value);
            text.push('\n');
        }
        other => {
            push_json(text, other);
            text.push('\n');
        }
    }
}

/// A value on one line, as JSON writes it, with our own way of writing texts.
fn push_json(text: &mut String, value: &Value) {
    match value {
        Value::String(value) => push_quoted(text, value),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                push_json(text, item);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                push_quoted(text, name);
                text.push_str(": ");
                push_json(text, member);
            }
            text.push('}');
        }
        plain => {
            let _ = write!(text, "{plain}");
        }
    }
}

fn push_one_line(text: &mut String, value: &str) {
    if is_bare(value) { text.push_str(value) } else { push_quoted(text, value) }
}

/// Whether a text means itself without quotes, to every reader.
fn is_bare(value: &str) -> bool {
    let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let within = |c: char| c.is_ascii_alphanumeric() || "_-./@ ".contains(c);
    starts
        && value.chars().all(within)
        && !value.ends_with(' ')
        && !NOT_TEXT.contains(&value.to_ascii_lowercase().as_str())
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        let _ = match character {
            '"' => text.write_str("\\\""),
            '\\' => text.write_str("\\\\"),
            '\n' => text.write_str("\\n"),
            '\t' => text.write_str("\\t"),
            steers if is_command(steers) => write!(text, "\\U{:08X}", u32::from(steers)),
            plain => text.write_char(plain),
        };
    }
    text.push('"');
}

/// Whether a text is easier to read line by line, and comes back from it unchanged.
fn is_block(value: &str) -> bool {
    let is_plain = |line: &str| {
        !line.chars().any(is_command) && (line.is_empty() || !line.trim_matches(' ').is_empty())
    };
    let starts = |line: &str| !line.is_empty() && !line.starts_with(' ');
    value.contains('\n')
        && value.lines().next().is_some_and(starts)
        && value.split('\n').all(is_plain)
}

fn push_block(text: &mut String, value: &str, indent: usize) {
    let body = value.trim_end_matches('\n');
    text.push_str(match value.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    let lines = value.strip_suffix('\n').unwrap_or(value);
    for line in lines.split('\n') {
        if !line.is_empty() {
            push_indent(text, indent);
        }
        text.push_str(line);
        text.push('\n');
    }
}

fn push_indent(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(value: Value) -> String {
        let Value::Object(members) = value else { panic!("no members") };
        document(&members)
    }

    #[test]
    fn documents_look_as_people_write_them() {
        let value = json!({
            "kind": "bundle", "name": "On-call", "active": true, "minutes": 60, "none": [],
            "members": ["ada@example.com", "Bob: the builder", "yes", "2024", ""],
            "targets": [{"integration": {"type": "x", "permissions": ["A"]}}, {"scope": null}],
            "query": "resource = \"orders\"\n  or resource = \"x\"\n",
        });
        let expected = "kind: bundle\nname: On-call\nactive: true\nminutes: 60\nnone: []\n\
            members:\n  - ada@example.com\n  - \"Bob: the builder\"\n  - \"yes\"\n  - \"2024\"\n  \
            - \"\"\ntargets:\n  - integration:\n      type: x\n      permissions:\n        - A\n  \
            - scope: null\nquery: |\n  resource = \"orders\"\n    or resource = \"x\"\n";
        assert_eq!(written(value), expected);
    }

    #[test]
    fn nothing_that_is_written_steers_a_terminal() {
        let text = written(json!({ "name": "\u{1b}]0;x\u{7}", "query": "a\n\u{202e}b\n" }));
        assert!(!text.contains(|c| c != '\n' && is_command(c)), "{text:?}");
    }

    /// Texts that readers of YAML have had trouble with, and any others.
    fn text() -> impl Strategy<Value = String> {
        let pieces = prop::collection::vec(
            prop_oneof![
                Just("\n"),
                Just(" "),
                Just("- "),
                Just("#"),
                Just(": "),
                Just("'"),
                Just("\""),
                Just("\\"),
                Just("|"),
                Just("---"),
                Just("..."),
                Just("\t"),
                Just("\r"),
                Just("a"),
                Just("%"),
                Just("é"),
                Just("\u{85}"),
                Just("\u{2028}"),
                Just("\u{1f600}"),
                Just("~"),
                Just("1e3"),
                Just("0x1f"),
                Just(".inf"),
                Just("&a"),
                Just("!t"),
            ],
            0..8,
        );
        prop_oneof![pieces.prop_map(|pieces| pieces.concat()), any::<String>()]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same(
            members in prop::collection::btree_map(text(), value(), 1..4),
        ) {
            let members: Map<String, Value> = members.into_iter().collect();
            let text = document(&members);
            let read: Value = serde_saphyr::from_str(&text)
                .map_err(|error| TestCaseError::fail(format!("{error} in {text:?}")))?;
            prop_assert_eq!(&read, &Value::Object(members), "{}", text);
        }
    }
}
