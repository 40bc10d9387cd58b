//! Where an operation of ours differs from the contract's.
//!
//! An answer has to have every member of the contract and no other; what the contract requires is
//! required. A body that the contract allows has to be accepted: nothing more is required, and
//! null is taken where the contract takes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::schema::{Shape, follow};

/// Which way a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

pub(super) fn differences_of_operation(
    contract: &Value,
    operation: &Value,
    api: &Value,
    built: &Value,
) -> Vec<String> {
    let mut search = Search { contract, api, seen: BTreeSet::new(), found: Vec::new() };
    search.parameters(operation, built);
    search.body(operation, built);
    search.responses(operation, built);
    search.found
}

struct Search<'a> {
    contract: &'a Value,
    api: &'a Value,
    /// Pairs of schemas under comparison: a schema may contain itself.
    seen: BTreeSet<(usize, usize, bool)>,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    fn say(&mut self, place: &str, fault: &str) {
        self.found.push(format!("{place}: {fault}"));
    }

    fn parameters(&mut self, operation: &'a Value, built: &'a Value) {
        let expected = parameters_of(self.contract, operation);
        let actual = parameters_of(self.api, built);
        for ((place, name), parameter) in &expected {
            let named = format!("{place} parameter {name}");
            let Some(ours) = actual.get(&(*place, *name)) else {
                self.say(&named, "is missing");
                continue;
            };
            if is_required(ours) && !is_required(parameter) {
                self.say(&named, "is required here, not in the contract");
            }
            if let (Some(theirs), Some(ours)) = (parameter.get("schema"), ours.get("schema")) {
                self.schemas(&named, Way::In, theirs, ours);
            }
        }
        for ((place, name), parameter) in &actual {
            // A header that may be left out takes nothing from who does not know it.
            let is_harmless = *place == "header" && !is_required(parameter);
            if !expected.contains_key(&(*place, *name)) && !is_harmless {
                self.say(&format!("{place} parameter {name}"), "is not in the contract");
            }
        }
    }

    fn body(&mut self, operation: &'a Value, built: &'a Value) {
        let theirs = operation.get("requestBody").map(|body| resolve(self.contract, body));
        let ours = built.get("requestBody").map(|body| resolve(self.api, body));
        match (theirs.and_then(json_schema), ours.and_then(json_schema)) {
            (Some(theirs), Some(ours)) => self.schemas("body", Way::In, theirs, ours),
            (Some(_), None) => self.say("body", "is missing"),
            (None, Some(_)) => self.say("body", "is not in the contract"),
            (None, None) => {}
        }
    }

    fn responses(&mut self, operation: &'a Value, built: &'a Value) {
        let responses = operation.get("responses").and_then(Value::as_object);
        for (status, response) in responses.into_iter().flatten() {
            let place = format!("response {status}");
            let Some(ours) = built.get("responses").and_then(|responses| responses.get(status))
            else {
                self.say(&place, "is missing");
                continue;
            };
            if !status.starts_with('2') {
                continue;
            }
            let theirs = json_schema(resolve(self.contract, response));
            let ours = json_schema(resolve(self.api, ours));
            match (theirs, ours) {
                (Some(theirs), Some(ours)) => self.schemas(&place, Way::Out, theirs, ours),
                (Some(_), None) => self.say(&place, "has no body"),
                (None, Some(_)) => self.say(&place, "has a body that is not in the contract"),
                (None, None) => {}
            }
        }
    }

    fn schemas(&mut self, place: &str, way: Way, theirs: &'a Value, ours: &'a Value) {
        let pair = (address(theirs), address(ours), way == Way::In);
        if !self.seen.insert(pair) {
            return;
        }
        let expected = Shape::of(self.contract, theirs);
        let actual = Shape::of(self.api, ours);
        if expected.is_choice || actual.is_choice {
            return;
        }
        self.types(place, way, &expected, &actual);
        self.members(place, way, &expected, &actual);
        if let (Some(theirs), Some(ours)) = (expected.items, actual.items) {
            self.schemas(&format!("{place}[]"), way, theirs, ours);
        }
        if let (Some(theirs), Some(ours)) = (expected.map_of, actual.map_of) {
            self.schemas(&format!("{place}{{}}"), way, theirs, ours);
        }
    }

    fn types(&mut self, place: &str, way: Way, expected: &Shape<'a>, actual: &Shape<'a>) {
        let both = !expected.types.is_empty() && !actual.types.is_empty();
        if both && expected.types != actual.types {
            let fault = format!("is {}, not {}", actual.type_name(), expected.type_name());
            self.say(place, &fault);
        }
        match way {
            Way::Out if actual.nullable && !expected.nullable => self.say(place, "may be null"),
            Way::In if expected.nullable && !actual.nullable && !actual.types.is_empty() => {
                self.say(place, "may not be null");
            }
            _ => {}
        }
        if !expected.values.is_empty() && !actual.values.is_empty() {
            let (more, fewer) = match way {
                Way::Out => (&actual.values, &expected.values),
                Way::In => (&expected.values, &actual.values),
            };
            let over: Vec<&str> = more.difference(fewer).map(String::as_str).collect();
            if !over.is_empty() {
                self.say(place, &format!("differs in the values {}", over.join(", ")));
            }
        }
    }

    fn members(&mut self, place: &str, way: Way, expected: &Shape<'a>, actual: &Shape<'a>) {
        if expected.members.is_empty() {
            return;
        }
        for (name, theirs) in &expected.members {
            let member = format!("{place} .{name}");
            let Some(ours) = actual.members.get(name) else {
                self.say(&member, "is missing");
                continue;
            };
            let (here, there) = (actual.required.contains(name), expected.required.contains(name));
            match way {
                Way::Out if there && !here => self.say(&member, "is not required"),
                Way::In if here && !there => {
                    self.say(&member, "is required here, not in the contract");
                }
                _ => {}
            }
            self.schemas(&member, way, theirs, ours);
        }
        for name in actual.members.keys() {
            if !expected.members.contains_key(name) {
                self.say(&format!("{place} .{name}"), "is not in the contract");
            }
        }
    }
}

/// A schema's place in memory names it for the time of one comparison.
fn address(schema: &Value) -> usize {
    std::ptr::from_ref(schema).addr()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => follow(document, reference),
        None => value,
    }
}

fn json_schema(message: &Value) -> Option<&Value> {
    message.get("content")?.get("application/json")?.get("schema")
}

fn is_required(parameter: &Value) -> bool {
    parameter.get("required").and_then(Value::as_bool).unwrap_or(false)
}

fn parameters_of<'a>(
    document: &'a Value,
    operation: &'a Value,
) -> BTreeMap<(&'a str, &'a str), &'a Value> {
    let mut parameters = BTreeMap::new();
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let parameter = resolve(document, parameter);
        let word = |key: &str| parameter.get(key).and_then(Value::as_str);
        if let (Some(place), Some(name)) = (word("in"), word("name")) {
            parameters.insert((place, name), parameter);
        }
    }
    parameters
}
