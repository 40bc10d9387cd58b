//! From what is stored to the document that would say it.
//!
//! A document is what the API shows, turned into what the API takes: where that shows an id and a
//! name side by side, a document refers by the name, which means the same on another installation.
//!
//! Invariant: no secret is in a document, not even as a mask.

use latchkey_app::policy_as_code::PolicyObject;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::endpoints::{
    access_flows_v2::wire::AccessFlow, access_scopes_v1::AccessScope, bundles_v2::Bundle,
    integrations_v4::wire::Integration,
};

/// Members that the server says of something by itself, and where a secret would be.
const NOT_SAID: [&str; 7] = [
    "id",
    "creation_date",
    "update_date",
    "category",
    "status",
    "last_sync_time",
    "secret_store_config",
];

/// The member whose own members are anybody's, and are taken as they are.
const FREE: &str = "integration_config";

/// The document that says what is stored, `kind` first; members that say nothing are left out.
pub fn document_of(object: PolicyObject) -> Result<Map<String, Value>, serde_json::Error> {
    let mut document = Map::new();
    document.insert("kind".to_owned(), object.kind().as_str().into());
    match object {
        PolicyObject::Group(one) => {
            document.insert("name".to_owned(), one.group.name.into());
            document.insert("members_emails".to_owned(), one.members_emails.into());
            if !one.member_groups.is_empty() {
                document.insert("member_groups".to_owned(), one.member_groups.into());
            }
        }
        PolicyObject::Integration(view) => say(&mut document, &Integration::from(*view))?,
        PolicyObject::AccessScope(scope) => say(&mut document, &AccessScope::from(scope))?,
        PolicyObject::Bundle(view) => say(&mut document, &Bundle::from(view))?,
        PolicyObject::AccessFlow(view) => {
            let for_others = view.flow.policy.request_for_others;
            say(&mut document, &AccessFlow::from(*view))?;
            // Taken and never shown by the API.
            document.insert("request_for_others".to_owned(), for_others.into());
        }
    }
    Ok(document)
}

fn say(document: &mut Map<String, Value>, shown: &impl Serialize) -> Result<(), serde_json::Error> {
    let Value::Object(members) = serde_json::to_value(shown)? else { return Ok(()) };
    let said = members.into_iter().filter(|(name, _)| !NOT_SAID.contains(&name.as_str()));
    document.extend(referring(said.collect()));
    Ok(())
}

/// The members with references in place of ids and names, all the way down.
fn referring(members: Map<String, Value>) -> Map<String, Value> {
    let names: Vec<String> = members.keys().cloned().collect();
    let has =
        |what: &str, suffix: &str| names.iter().any(|name| *name == format!("{what}{suffix}"));
    let mut said = Map::new();
    for (name, value) in members {
        if value.is_null() {
            continue;
        }
        match (name.strip_suffix("_id"), name.strip_suffix("_name")) {
            (Some(what), _) if has(what, "_name") => {}
            (_, Some(what)) if has(what, "_id") => {
                said.insert(format!("{what}_reference"), value);
            }
            _ if name == FREE => {
                said.insert(name, sorted(value));
            }
            _ => {
                said.insert(name, inside(value));
            }
        }
    }
    said
}

fn inside(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(referring(members)),
        Value::Array(items) => Value::Array(items.into_iter().map(inside).collect()),
        plain => plain,
    }
}

/// By name, because nobody gave these an order.
fn sorted(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let mut members: Vec<(String, Value)> = members.into_iter().collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Object(members.into_iter().collect())
}
