//! The generated document is the committed one and describes everything it names. That it keeps
//! to the contracts is checked by `cargo xtask contract`.

use std::{collections::BTreeSet, fs, path::Path};

use latchkey_api::{openapi_document, openapi_text};
use serde_json::Value;

#[test]
fn openapi_document_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/api.json");
    let committed = fs::read_to_string(file).unwrap_or_default();
    assert!(
        committed == openapi_text(),
        "openapi/api.json is out of date; run `cargo xtask openapi --write` and commit it"
    );
}

#[test]
fn the_document_is_the_same_each_time() {
    assert_eq!(openapi_document().to_string(), openapi_document().to_string());
}

#[test]
fn every_operation_is_described_and_answers_failures_in_one_shape() {
    let document = openapi_document();
    let paths = document["paths"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(operation["tags"][0].is_string(), "{name} has no tag");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{name}: the id {id} is used twice");
            assert!(operation["security"][0].is_object(), "{name} needs no token");
            assert!(operation["responses"]["401"].is_object(), "{name} does not document 401");
            for (status, answer) in operation["responses"].as_object().unwrap() {
                if !status.starts_with('2') {
                    let schema = &answer["content"]["application/json"]["schema"]["$ref"];
                    assert_eq!(schema, "#/components/schemas/Error", "{name} {status}");
                }
            }
        }
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn follow(document: &Value, node: &Value) {
        match node {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let target = document.pointer(reference.trim_start_matches('#'));
                    assert!(target.is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| follow(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| follow(document, item)),
            _ => {}
        }
    }
    let document = openapi_document();
    follow(&document, &document);
}
