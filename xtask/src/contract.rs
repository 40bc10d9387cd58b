//! The committed OpenAPI document keeps the contract: clients written for the contract's wire
//! format work unchanged.
//!
//! Every operation of the contract is either built, and then compared member by member, or listed
//! in `openapi/not-built.json`. The list only shrinks: an operation that is built may not stand
//! on it.

mod difference;
mod schema;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::difference::differences_of_operation;
use crate::workspace::root;

const DOCUMENTS: &[&str] = &["openapi.json", "client-openapi.json"];
const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

pub(crate) fn check() -> Result<()> {
    let folder = root()?.join("openapi");
    let read = |name: &str| -> Result<Value> {
        let file = folder.join(name);
        let text = std::fs::read_to_string(&file).with_context(|| format!("openapi/{name}"))?;
        serde_json::from_str(&text).with_context(|| format!("openapi/{name}"))
    };
    let api = read("api.json")?;
    let listed: BTreeSet<String> =
        serde_json::from_value(read("not-built.json")?).context("openapi/not-built.json")?;
    let mut outcome = Outcome::default();
    for document in DOCUMENTS {
        outcome.compare(&read(&format!("contract/{document}"))?, &api, &listed);
    }
    for operation in &listed {
        if !outcome.seen.contains(operation) {
            outcome.faults.push(format!("{operation} is in not-built.json but in no contract"));
        }
    }
    if !outcome.faults.is_empty() {
        bail!(
            "openapi/api.json does not keep the contract, {} differences:\n  {}",
            outcome.faults.len(),
            outcome.faults.join("\n  ")
        );
    }
    println!(
        "{} operations keep the contract, {} are not built yet",
        outcome.compared,
        listed.len()
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Outcome {
    seen: BTreeSet<String>,
    compared: usize,
    faults: Vec<String>,
}

impl Outcome {
    fn compare(&mut self, contract: &Value, api: &Value, listed: &BTreeSet<String>) {
        for (path, methods) in
            contract.get("paths").and_then(Value::as_object).into_iter().flatten()
        {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if !METHODS.contains(&method.as_str()) {
                    continue;
                }
                let name = format!("{} {path}", method.to_uppercase());
                let built = api
                    .get("paths")
                    .and_then(|paths| paths.get(path))
                    .and_then(|methods| methods.get(method));
                match built {
                    Some(_) if listed.contains(&name) => {
                        self.faults
                            .push(format!("{name} is built: take it off openapi/not-built.json"));
                    }
                    Some(built) => {
                        self.compared += 1;
                        let found = differences_of_operation(contract, operation, api, built);
                        self.faults
                            .extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
                    }
                    None if listed.contains(&name) => {}
                    None => self.faults.push(format!("{name} is missing")),
                }
                self.seen.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::Outcome;

    fn document(operation: &Value) -> Value {
        json!({ "paths": { "/things": { "get": operation } } })
    }

    fn faults(contract: &Value, api: &Value, listed: &[&str]) -> Vec<String> {
        let listed: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        let mut outcome = Outcome::default();
        outcome.compare(contract, api, &listed);
        outcome.faults
    }

    #[test]
    fn an_operation_is_either_built_or_listed_and_never_both() {
        let contract = document(&json!({}));
        let none = json!({ "paths": {} });
        assert_eq!(faults(&contract, &none, &[]), ["GET /things is missing"]);
        assert!(faults(&contract, &none, &["GET /things"]).is_empty());
        assert!(faults(&contract, &contract, &[]).is_empty());
        assert_eq!(faults(&contract, &contract, &["GET /things"]).len(), 1);
    }

    #[test]
    fn a_parameter_of_ours_has_to_be_a_header_that_may_be_left_out() {
        let with = |place: &str, required: bool| {
            document(&json!({ "parameters": [
                { "in": place, "name": "extra", "required": required, "schema": {} } ] }))
        };
        let contract = document(&json!({}));
        assert!(faults(&contract, &with("header", false), &[]).is_empty());
        assert_eq!(faults(&contract, &with("header", true), &[]).len(), 1);
        assert_eq!(faults(&contract, &with("query", false), &[]).len(), 1);
    }

    #[test]
    fn a_member_of_another_type_or_missing_or_unknown_is_a_difference() {
        let answer = |schema: &Value| {
            document(&json!({ "responses": { "200": { "content": {
                "application/json": { "schema": schema } } } } }))
        };
        let contract = answer(&json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "string" }, "note": { "type": ["string", "null"] } } }));
        let same = answer(&json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "string" },
            "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }));
        assert_eq!(faults(&contract, &same, &[]), Vec::<String>::new());
        let wrong = answer(&json!({ "type": "object", "properties": {
            "id": { "type": "integer" }, "more": {} } }));
        assert_eq!(
            faults(&contract, &wrong, &[]),
            [
                "GET /things: response 200 .id: is not required",
                "GET /things: response 200 .id: is integer, not string",
                "GET /things: response 200 .note: is missing",
                "GET /things: response 200 .more: is not in the contract",
            ]
        );
    }
}
