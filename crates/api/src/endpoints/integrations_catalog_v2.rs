//! `/api/v2/integrations-catalog`: which types of integrations there are, and what they take.

use aide::axum::{ApiRouter, routing::get_with};
use latchkey_app::catalogue::{
    KindOfIntegration, KindParam, get_kind_of_integration, list_kinds_of_integration,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadIntegrations},
    documentation::described,
    error::ApiError,
    query::Places,
    streaming::Counted,
};

const TAG: &str = "Integrations";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/v2/integrations-catalog",
            get_with(list, |op| {
                let summary = "List the types of integrations on offer, with what they take.";
                described(op, TAG, "listIntegrationCatalogV2", summary)
            }),
        )
        .api_route(
            "/api/v2/integrations-catalog/{type}",
            get_with(read, |op| {
                let summary = "Read one type of integration.";
                described(op, TAG, "getIntegrationCatalogEntryV2", summary)
            }),
        )
}

/// Type of integration on offer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CatalogEntry")]
pub struct Entry {
    /// The product's name.
    pub name: String,
    /// The type to give when creating.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it connects to and how access is given.
    pub description: String,
    /// What its settings take.
    pub params: Vec<Param>,
    /// Whether it needs a secret.
    pub requires_secret: bool,
    /// Where that secret may be kept, as `type` of `secret_config`. The setting `secret_ref`
    /// stands for a secret on the connector's machine instead.
    pub supported_secret_types: Vec<String>,
}

/// Setting that a type of integration takes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CatalogParam")]
pub struct Param {
    /// Key among the settings.
    pub id: String,
    /// Label of the form field.
    pub label: String,
    /// Allowed values; empty means free text.
    pub values: Vec<String>,
    /// Used where it is left out; empty when there is none.
    pub default: String,
    /// Whether it may be left out.
    pub optional: bool,
}

impl From<KindOfIntegration> for Entry {
    fn from(kind: KindOfIntegration) -> Self {
        let stores = kind.server_keeps_secret.then(|| "APONO".to_owned());
        Self {
            name: kind.label.to_owned(),
            kind: kind.name.to_owned(),
            description: kind.about.to_owned(),
            params: kind.params.into_iter().map(Param::from).collect(),
            requires_secret: kind.requires_secret,
            supported_secret_types: stores.into_iter().collect(),
        }
    }
}

impl From<KindParam> for Param {
    fn from(param: KindParam) -> Self {
        Self {
            id: param.key.to_owned(),
            label: param.label.to_owned(),
            values: param.values.iter().map(|value| (*value).to_owned()).collect(),
            default: param.default.unwrap_or_default().to_owned(),
            optional: param.optional,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct TypePlace {
    /// Type of integration.
    #[serde(rename = "type")]
    kind: String,
}

async fn list(May(actor, ..): May<ReadIntegrations>) -> Result<Reply<Counted<Entry>>, ApiError> {
    let kinds = list_kinds_of_integration(&actor)?;
    Ok(Reply(Counted::all(kinds.into_iter().map(Entry::from).collect())))
}

async fn read(
    May(actor, ..): May<ReadIntegrations>,
    Places(TypePlace { kind }): Places<TypePlace>,
) -> Result<Reply<Entry>, ApiError> {
    Ok(Reply(get_kind_of_integration(&actor, &kind)?.into()))
}
