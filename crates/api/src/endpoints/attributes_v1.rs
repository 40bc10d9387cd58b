//! `/api/admin/v1/attributes`: what conditions of access flows can name, with its type.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    attributes::{IdentitiesQuery, IdentityView, list_identities},
    wildcard::text_match,
};
use latchkey_domain::people::IdentityKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadUsers},
    documentation::described,
    error::ApiError,
    paging::{Listing, PageOf},
};

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/api/admin/v1/attributes",
        get_with(list, |op| {
            let summary = "Page through users, groups and the values of attributes that people \
                           have, in the order in which they were first known.";
            described(op, "Attributes", "listAttributesV1", summary)
        }),
    )
}

/// Identity that conditions can name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attribute {
    /// Type to use in conditions: `user`, `group`, or the attribute's.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user's address, the group's name, or the attribute's value.
    pub value: String,
    /// Its id in the identity source; null for what was made here.
    pub source_id: Option<String>,
    /// Id of the identity source.
    pub source_integration_id: Option<String>,
    /// Name of the identity source.
    pub source_integration_name: Option<String>,
}

impl From<IdentityView> for Attribute {
    fn from(view: IdentityView) -> Self {
        let identity = view.identity;
        let kind = match identity.kind {
            IdentityKind::User => "user".to_owned(),
            IdentityKind::Group => "group".to_owned(),
            IdentityKind::Attribute(kind) => kind,
        };
        Self {
            kind,
            value: identity.value,
            source_id: identity.source_id,
            source_integration_id: identity.source_integration_id.map(Into::into),
            source_integration_name: view.source_integration_name,
        }
    }
}

/// What to keep of the identities.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// The value; an asterisk at the end means prefix, at the start suffix, at both ends
    /// substring; none means the whole text. Case is ignored.
    search: Option<String>,
    /// Id or name of the identity source.
    source_integration_reference: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Attribute>>, ApiError> {
    let query = IdentitiesQuery {
        attribute_type: listing.filters.kind.clone(),
        value: listing.filters.search.as_deref().map(text_match),
        source_integration_reference: listing.filters.source_integration_reference.clone(),
    };
    let page = list_identities(&app, &actor, query, &listing.page).await?;
    Ok(listing.reply(page, Attribute::from))
}
