//! How two documents about the same thing differ, member by member, in the words of the API.

use std::fmt::Write as _;

use latchkey_aql::shown;
use serde_json::{Map, Value, json};

/// A member that differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MemberChange {
    /// Its path: `access_targets[0].integration.permissions`.
    pub(crate) member: String,
    /// What it said; `None` if it was not there.
    pub(crate) before: Option<Value>,
    /// What it says; `None` if it is not there.
    pub(crate) after: Option<Value>,
}

/// The members that differ, in the order in which documents have them.
pub(crate) fn between(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<MemberChange> {
    let mut changes = Vec::new();
    compare_members(&mut changes, "", before, after);
    changes
}

fn compare_members(
    changes: &mut Vec<MemberChange>,
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) {
    let new = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(new) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(changes, path, before.get(name), after.get(name));
    }
}

fn compare(
    changes: &mut Vec<MemberChange>,
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            compare_members(changes, &path, before, after);
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if before.iter().chain(after).any(Value::is_object) =>
        {
            for at in 0..before.len().max(after.len()) {
                compare(changes, format!("{path}[{at}]"), before.get(at), after.get(at));
            }
        }
        _ => changes.push(MemberChange {
            member: path,
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

impl MemberChange {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({ "member": self.member, "before": self.before, "after": self.after })
    }

    /// For people: a line, or a line for each line of a text that differs.
    pub(crate) fn push_text(&self, text: &mut String) {
        let _ = write!(text, "    {}:", shown(&self.member));
        match (&self.before, &self.after) {
            (Some(Value::String(before)), Some(Value::String(after)))
                if before.contains('\n') || after.contains('\n') =>
            {
                text.push('\n');
                push_lines(text, before, after);
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                push_items(text, before, after);
            }
            (before, after) => {
                let (before, after) = (word(before.as_ref()), word(after.as_ref()));
                let _ = writeln!(text, " {before} → {after}");
            }
        }
    }
}

/// What joined a list and what left it; the whole of both where only the order differs.
fn push_items(text: &mut String, before: &[Value], after: &[Value]) {
    let gone: Vec<&Value> = before.iter().filter(|item| !after.contains(item)).collect();
    let new: Vec<&Value> = after.iter().filter(|item| !before.contains(item)).collect();
    if gone.is_empty() && new.is_empty() {
        let (before, after) = (Value::from(before.to_vec()), Value::from(after.to_vec()));
        let _ = writeln!(text, " {} → {}", word(Some(&before)), word(Some(&after)));
        return;
    }
    for (sign, items) in [('-', gone), ('+', new)] {
        for item in items {
            let _ = write!(text, " {sign} {}", word(Some(item)));
        }
    }
    text.push('\n');
}

/// The lines that differ; what both begin and end with is left out.
fn push_lines(text: &mut String, before: &str, after: &str) {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let same = |(one, other): &(&&str, &&str)| one == other;
    let start = before.iter().zip(&after).take_while(same).count();
    let shorter = before.len().min(after.len()) - start;
    let end = before.iter().rev().zip(after.iter().rev()).take(shorter).take_while(same).count();
    for (sign, lines) in [('-', before), ('+', after)] {
        let differing = lines.len() - end - start;
        for line in lines.iter().skip(start).take(differing) {
            let _ = writeln!(text, "      {sign} {}", shown(line));
        }
    }
}

fn word(value: Option<&Value>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| shown(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: Value, after: Value) -> String {
        let (Value::Object(before), Value::Object(after)) = (before, after) else { panic!() };
        let mut text = String::new();
        for change in between(&before, &after) {
            change.push_text(&mut text);
        }
        text
    }

    #[test]
    fn only_what_differs_is_told_by_its_path() {
        let before = json!({"name": "a", "targets": [{"x": {"p": ["A"], "q": 1}}], "old": true});
        let after = json!({"name": "a", "targets": [{"x": {"p": ["A", "B"], "q": 2}}], "new": "n"});
        assert_eq!(
            told(before, after),
            "    targets[0].x.p: + \"B\"\n    targets[0].x.q: 1 → 2\n    old: true → (none)\n    \
             new: (none) → \"n\"\n"
        );
        assert_eq!(told(json!({"a": [1]}), json!({"a": [1]})), "");
    }

    #[test]
    fn lists_tell_what_left_and_what_joined_or_that_their_order_changed() {
        assert_eq!(
            told(json!({"a": ["x", "y"]}), json!({"a": ["y", "z"]})),
            "    a: - \"x\" + \"z\"\n"
        );
        let order = told(json!({"a": ["x", "y"]}), json!({"a": ["y", "x"]}));
        assert_eq!(order, "    a: [\"x\",\"y\"] → [\"y\",\"x\"]\n");
        let more = told(json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1}, {"b": 2}]}));
        assert_eq!(more, "    a[1]: (none) → {\"b\":2}\n");
    }

    #[test]
    fn texts_of_several_lines_tell_the_lines_that_differ() {
        let text = told(json!({"q": "a\nb\nc\n"}), json!({"q": "a\nx\ny\nc\n"}));
        assert_eq!(text, "    q:\n      - b\n      + x\n      + y\n");
    }

    #[test]
    fn names_do_not_steer_a_terminal() {
        let text = told(json!({"q": "\u{9b}2J"}), json!({"q": "\u{202e}"}));
        assert!(!text.contains(['\u{9b}', '\u{202e}']), "{text:?}");
    }
}
