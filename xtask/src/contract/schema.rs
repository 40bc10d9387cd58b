//! What a JSON schema says about a value, whichever way it is written: references, nullable by a
//! list of types or by a choice with `null`, members gathered from `allOf`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A schema with its references followed one level deep; members are still schemas.
#[derive(Debug, Default, Clone)]
pub(super) struct Shape<'a> {
    /// Type names without `null`; empty: any.
    pub(super) types: BTreeSet<&'a str>,
    pub(super) nullable: bool,
    pub(super) members: BTreeMap<&'a str, &'a Value>,
    pub(super) required: BTreeSet<&'a str>,
    pub(super) items: Option<&'a Value>,
    /// The closed list of values, where there is one.
    pub(super) values: BTreeSet<String>,
    /// The schema of a map's values.
    pub(super) map_of: Option<&'a Value>,
    /// A choice between several schemas, which is not compared.
    pub(super) is_choice: bool,
}

impl<'a> Shape<'a> {
    pub(super) fn of(document: &'a Value, schema: &'a Value) -> Self {
        let mut shape = Self::default();
        shape.add(document, schema, 0);
        shape
    }

    fn add(&mut self, document: &'a Value, schema: &'a Value, depth: usize) {
        if depth > 20 {
            return;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            self.add(document, follow(document, target), depth + 1);
        }
        match schema.get("type") {
            Some(Value::String(name)) => self.add_type(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).for_each(|name| self.add_type(name));
            }
            _ => {}
        }
        self.nullable |= schema.get("nullable").and_then(Value::as_bool).unwrap_or(false);
        for (name, member) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            self.members.insert(name, member);
        }
        self.required.extend(strings(schema.get("required")));
        self.items = self.items.or(schema.get("items"));
        self.map_of =
            self.map_of.or(schema.get("additionalProperties").filter(|value| value.is_object()));
        for value in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
            self.add_value(value);
        }
        if let Some(value) = schema.get("const") {
            self.add_value(value);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.add(document, part, depth + 1);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(choices) = schema.get(key).and_then(Value::as_array) else { continue };
            let (nulls, others): (Vec<&Value>, Vec<&Value>) =
                choices.iter().partition(|choice| is_null(choice));
            self.nullable |= !nulls.is_empty();
            match others.as_slice() {
                [only] => self.add(document, only, depth + 1),
                several if several.iter().all(|choice| choice.get("const").is_some()) => {
                    for choice in several {
                        self.add(document, choice, depth + 1);
                    }
                }
                _ => self.is_choice = true,
            }
        }
    }

    fn add_type(&mut self, name: &'a str) {
        if name == "null" {
            self.nullable = true;
        } else {
            self.types.insert(name);
        }
    }

    fn add_value(&mut self, value: &Value) {
        if value.is_null() {
            self.nullable = true;
        } else {
            self.values.insert(value.to_string());
        }
    }

    /// The type in words.
    pub(super) fn type_name(&self) -> String {
        let names: Vec<&str> = self.types.iter().copied().collect();
        names.join(" or ")
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
        || schema.get("const").is_some_and(Value::is_null)
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What `#/a/b` names in a document; nothing known if it is not there.
pub(super) fn follow<'a>(document: &'a Value, reference: &str) -> &'a Value {
    reference
        .strip_prefix('#')
        .and_then(|pointer| document.pointer(pointer))
        .unwrap_or(&Value::Null)
}
