//! The OpenAPI document, assembled from the very routes that are served.
//!
//! Invariant: the document is a pure function of the code, so that the committed
//! `openapi/api.json` can be compared byte for byte.

use std::sync::OnceLock;

use aide::{
    axum::ApiRouter,
    openapi::{Info, License, OpenApi, SecurityScheme, Tag},
    transform::TransformOperation,
};
use axum::Router;
use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::{ApiState, endpoints};

/// What the document says about itself first.
const INTRODUCTION: &str = "Just-in-time access over HTTPS with JSON bodies. `/api/admin` needs a \
role, `/api/user` and `/api/client` act as the token's own user, `/api/connector` is what \
connectors speak. Every failure has the body of the schema `Error`; its codes are listed in \
docs/errors.md.";

/// Groups of operations, in the order in which they are shown.
const TAGS: &[(&str, &str)] = &[
    ("Access Requests", "Asking for access and following it."),
    ("Delegated Access Requests", "Requests made for others."),
    ("Access Sessions", "Using granted access."),
    ("Available Access", "What a user may ask for."),
    ("Access Flows", "Rules that say who gets what, how and for how long."),
    ("Bundles", "Named sets of targets."),
    ("Access Bundles", "Bundles in the older shape."),
    ("Access Scopes", "Queries that say which resources and permissions."),
    ("Activity", "What was asked for, and how it went."),
    ("Integrations", "Connected systems."),
    ("Connectors", "Agents that reach the resources."),
    ("Activity Reports", "Saved reports of what was asked for and given."),
    ("Groups", "User groups."),
    ("Users", "People."),
    ("User Session", "The caller."),
    ("Attributes", "Identity attributes that conditions look at."),
    ("Identities", "What conditions can name, and attributes of people."),
    ("Latchkey", "Operations of our own, beside the common wire format."),
    ("Connector Protocol", "What connectors and the server say to each other."),
];

/// The OpenAPI 3.1 document of everything that is served.
pub fn openapi_document() -> Value {
    build().1
}

/// The document as it is committed: indented, with a newline at the end.
pub fn openapi_text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| format!("{:#}\n", openapi_document()))
}

/// The routes and their document.
pub(crate) fn build() -> (Router<ApiState>, Value) {
    aide::generate::on_error(|error| match error {
        // Path, query and body each say that bad input is 400; the first says it for all.
        aide::Error::InferredResponseConflict(_) => {}
        error => tracing::error!(%error, "The OpenAPI document could not describe an operation"),
    });
    aide::generate::in_context(|context| {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        context.schema = settings.into_generator();
    });
    let mut api = description();
    let router = endpoints::all().into_iter().fold(ApiRouter::new(), ApiRouter::merge);
    let router = router.finish_api(&mut api);
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    sort_members(&mut document);
    (router, document)
}

fn description() -> OpenApi {
    let bearer = |text: &str| SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some(text.to_owned()),
        extensions: IndexMap::default(),
    };
    let mut api = OpenApi {
        info: Info {
            title: "Latchkey".to_owned(),
            version: "1.0.0".to_owned(),
            description: Some(INTRODUCTION.to_owned()),
            license: Some(License {
                name: "Apache-2.0".to_owned(),
                identifier: Some("Apache-2.0".to_owned()),
                ..License::default()
            }),
            ..Info::default()
        },
        tags: TAGS.iter().map(|(name, text)| tag(name, text)).collect(),
        ..OpenApi::default()
    };
    let schemes = &mut api.components.get_or_insert_default().security_schemes;
    for (name, text) in [
        ("bearerAuth", "API token of a person: `Authorization: Bearer lk_…`."),
        ("connectorToken", "Token of a connector: `Authorization: Bearer lkc_…`."),
    ] {
        schemes.insert(name.to_owned(), aide::openapi::ReferenceOr::Item(bearer(text)));
    }
    api
}

fn tag(name: &str, text: &str) -> Tag {
    Tag { name: name.to_owned(), description: Some(text.to_owned()), ..Tag::default() }
}

/// Sorts what aide collects in no fixed order: paths, and the schemas and answers by name.
fn sort_members(document: &mut Value) {
    for pointer in ["/paths", "/components/schemas", "/components/securitySchemes"] {
        if let Some(Value::Object(members)) = document.pointer_mut(pointer) {
            members.sort_keys();
        }
    }
    let items = document.pointer_mut("/paths").and_then(Value::as_object_mut);
    for item in items.into_iter().flat_map(serde_json::Map::values_mut) {
        for operation in item.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            if let Some(Value::Object(answers)) = operation.get_mut("responses") {
                answers.sort_keys();
            }
        }
    }
}

/// Names an operation: its group, its id, and one line on what it does.
pub(crate) fn described<'t>(
    operation: TransformOperation<'t>,
    tag: &str,
    id: &str,
    summary: &str,
) -> TransformOperation<'t> {
    operation.tag(tag).id(id).summary(summary)
}

/// Adds 409 with what can clash.
pub(crate) fn conflicts<'t>(
    operation: TransformOperation<'t>,
    description: &str,
) -> TransformOperation<'t> {
    operation.with(|mut operation| {
        crate::error::documented_conflict(operation.inner_mut(), description);
        operation
    })
}
