//! Whether an output is the one that a page shows. `…` stands for whatever is there: inside a
//! text, as a value, as further members, as further elements.

use serde_json::{Map, Value};

/// What `…` is as a value of its own: any value.
const ANYTHING: &str = "\u{1}anything";
/// What `…` is among members and elements: any number of them.
const FURTHER: &str = "\u{1}further";

/// Says how `output` differs from what is shown.
pub fn compare(shown: &str, output: &str) -> Result<(), String> {
    let output = output.replace("\r\n", "\n");
    let output = output.trim();
    if let (Ok(pattern), Ok(value)) =
        (serde_json::from_str::<Value>(&with_marks(shown)), serde_json::from_str(output))
    {
        return compare_values(&pattern, &value, "");
    }
    if fits(shown.trim(), output) { Ok(()) } else { Err("the text differs".to_owned()) }
}

/// A pattern of JSON as JSON: each `…` outside of texts is a text that stands for it.
fn with_marks(shown: &str) -> String {
    let mut marked = String::new();
    let (mut open, mut before, mut in_text) = (Vec::new(), ' ', false);
    let mut letters = shown.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if in_text => {
                marked.push(letter);
                marked.extend(letters.next());
                continue;
            }
            '"' => in_text = !in_text,
            '{' | '[' if !in_text => open.push(letter),
            '}' | ']' if !in_text => drop(open.pop()),
            '…' if !in_text => {
                let mark = if before == ':' { ANYTHING } else { FURTHER };
                let as_member = before != ':' && open.last() == Some(&'{');
                marked.push_str(&Value::String(mark.to_owned()).to_string());
                marked.push_str(if as_member { ":0" } else { "" });
                continue;
            }
            _ => {}
        }
        if !letter.is_whitespace() {
            before = letter;
        }
        marked.push(letter);
    }
    marked
}

fn compare_values(pattern: &Value, value: &Value, place: &str) -> Result<(), String> {
    match (pattern, value) {
        (Value::String(mark), _) if mark == ANYTHING => Ok(()),
        (Value::String(shown), Value::String(text)) if fits(shown, text) => Ok(()),
        (Value::Object(shown), Value::Object(members)) => compare_members(shown, members, place),
        (Value::Array(shown), Value::Array(elements)) => {
            let is_open = shown.last().is_some_and(|last| last == FURTHER);
            let shown = shown.get(..shown.len() - usize::from(is_open)).unwrap();
            if elements.len() < shown.len() || (!is_open && elements.len() > shown.len()) {
                return Err(format!("{place} has {} elements", elements.len()));
            }
            shown.iter().zip(elements).enumerate().try_for_each(|(at, (pattern, value))| {
                compare_values(pattern, value, &format!("{place}[{at}]"))
            })
        }
        _ if pattern == value => Ok(()),
        _ => Err(format!("{place} is {value}, and {pattern} is shown")),
    }
}

fn compare_members(
    shown: &Map<String, Value>,
    members: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    if !shown.contains_key(FURTHER)
        && let Some(name) = members.keys().find(|name| !shown.contains_key(*name))
    {
        return Err(format!("{place}.{name} is not shown"));
    }
    shown.iter().filter(|(name, _)| *name != FURTHER).try_for_each(|(name, pattern)| {
        let value = members.get(name).ok_or_else(|| format!("{place}.{name} is not there"))?;
        compare_values(pattern, value, &format!("{place}.{name}"))
    })
}

/// Whether a text is as shown, `…` standing for any letters.
fn fits(shown: &str, text: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('…').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

#[test]
fn an_output_fits_what_is_shown_of_it_and_nothing_else_does() {
    for (shown, output) in [
        ("{\"a\": 1, …}", "{\"b\":2,\"a\":1}"),
        ("{\"a\": …}", "{\"a\":[1]}"),
        ("[{\"a\": \"x…z\"}, …]", "[{\"a\":\"xyz\"}, 7]"),
        ("[…]", "[1,2]"),
        ("one …\n… end", "one thing\nor two\nthe end"),
    ] {
        assert_eq!(compare(shown, output), Ok(()), "{shown}");
    }
    for (shown, output) in [
        ("{\"a\": 1}", "{\"b\":2,\"a\":1}"),
        ("{\"a\": 1, …}", "{\"a\":2}"),
        ("{\"b\": …, …}", "{\"a\":2}"),
        ("{\"a\": \"…\"}", "{\"a\":null}"),
        ("[1]", "[1,2]"),
        ("[1, 2, …]", "[1]"),
        ("one", "one more"),
        ("one … end", "one thing"),
    ] {
        assert!(compare(shown, output).is_err(), "{shown}");
    }
}
