//! As much of jq as the recipes use: `A | B`, paths (`.a[0].b`, `.a[].b`), objects
//! (`{a: .b, c}`), and texts with `\(.path)` in them.

use serde_json::{Map, Value};

/// What a filter makes of a value.
pub fn filtered(filter: &str, value: &Value) -> Vec<Value> {
    split(filter, '|').iter().fold(vec![value.clone()], |values, stage| {
        values.iter().flat_map(|value| applied(stage.trim(), value)).collect()
    })
}

fn applied(stage: &str, value: &Value) -> Vec<Value> {
    if let Some(text) = stage.strip_prefix('"') {
        return vec![Value::String(interpolated(text.strip_suffix('"').unwrap(), value))];
    }
    if let Some(members) = stage.strip_prefix('{') {
        let members = split(members.strip_suffix('}').unwrap(), ',');
        let object: Map<String, Value> = members
            .iter()
            .map(|member| {
                let member = member.trim();
                let (name, filter) = member.split_once(':').unwrap_or((member, ""));
                let own = format!(".{name}");
                let filter = if filter.is_empty() { &own } else { filter };
                let mut found = filtered(filter, value);
                assert_eq!(found.len(), 1, "{member} has to be one value");
                (name.to_owned(), found.remove(0))
            })
            .collect();
        return vec![Value::Object(object)];
    }
    at(stage, value)
}

/// What is at a path; null where nothing is.
fn at(path: &str, value: &Value) -> Vec<Value> {
    let Some(path) = path.strip_prefix('.') else { panic!("not a path: {path}") };
    path.split(['.', '[']).filter(|part| !part.is_empty()).fold(
        vec![value.clone()],
        |values, part| {
            let inner = |value: &Value| match part.strip_suffix(']') {
                Some("") => value.as_array().cloned().unwrap_or_default(),
                Some(index) => vec![value[index.parse::<usize>().unwrap()].clone()],
                None => {
                    let is_name = part.chars().all(|one| one.is_alphanumeric() || one == '_');
                    assert!(is_name, "not a member: {part}");
                    vec![value[part].clone()]
                }
            };
            values.iter().flat_map(inner).collect()
        },
    )
}

fn interpolated(text: &str, value: &Value) -> String {
    let mut pieces = text.split("\\(");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |mut done, piece| {
        let (path, rest) = piece.split_once(')').unwrap();
        let found = at(path, value);
        done.push_str(&raw(found.first().unwrap_or(&Value::Null)));
        done.push_str(rest);
        done
    })
}

/// What `-r` prints of a value.
pub fn raw(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Parts between a letter, but not inside of quotes and braces.
fn split(text: &str, by: char) -> Vec<&str> {
    let (mut depth, mut quoted) = (0, false);
    text.split(|one| {
        match one {
            '"' => quoted = !quoted,
            '{' | '(' if !quoted => depth += 1,
            '}' | ')' if !quoted => depth -= 1,
            _ => {}
        }
        one == by && depth == 0 && !quoted
    })
    .collect()
}

#[test]
fn filters_do_what_jq_does() {
    let value = serde_json::json!({"items": [{"a": {"id": "1"}, "n": 2}, {"a": {"id": "3"}}]});
    let all = |filter: &str| {
        filtered(filter, &value).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(all(".items[1].a.id"), "\"3\"");
    assert_eq!(all(".items[].a.id"), "\"1\" \"3\"");
    assert_eq!(all(".items[0] | {x: .a.id, n}"), "{\"x\":\"1\",\"n\":2}");
    assert_eq!(all(".items[0] | \"a=\\(.a.id) | \\(.n)\""), "\"a=1 | 2\"");
    assert_eq!(all(".items[7].a"), "null");
}
