//! `/api/admin/v4/integrations`: the target systems.

pub(crate) mod wire;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    integrations::{self, IntegrationsQuery},
    wildcard::text_match,
};
use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::IntegrationStatus,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::wire::{Integration, IntegrationCreate, IntegrationUpdate};
use crate::{
    ApiState,
    body::{Body, Done, Reply},
    caller::{ManageIntegrations, May, ReadIntegrations},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
};

const TAG: &str = "Integrations";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/admin/v4/integrations", collection())
        .api_route("/api/admin/v4/integrations/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listIntegrationsV4", "Page through integrations, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create an integration; a discovery run begins at once.";
        conflicts(described(op, TAG, "createIntegrationV4", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getIntegrationV4", "Read one integration of any category.")
    });
    let replace = read.put_with(replace, |op| {
        let summary = "Replace an integration's settings; what is left out is cleared, type and \
                       category stay.";
        let op = described(op, TAG, "updateIntegrationV4", summary);
        conflicts(op, "The name is taken, or live access hangs on a setting that changes.")
    });
    replace.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteIntegrationV4", "Delete an integration.");
        conflicts(op, "A flow, a bundle, a pending request or live access uses it.")
    })
}

/// What to keep of the integrations. In `name` and `type`, asterisks at the ends match anything
/// and case is ignored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// One of these categories.
    #[serde(default)]
    category: Vec<String>,
    /// Served by one of these connectors.
    #[serde(default)]
    connector_id: Vec<String>,
    /// Integration name.
    name: Option<String>,
    /// One of these states.
    #[serde(default)]
    status: Vec<String>,
    /// One of these integration types.
    #[serde(default, rename = "type")]
    types: Vec<String>,
}

impl Filters {
    fn query(&self) -> Result<IntegrationsQuery, ApiError> {
        Ok(IntegrationsQuery {
            categories: self.category.clone(),
            connector_ids: self.connector_id.iter().map(ConnectorId::new).collect(),
            name: self.name.as_deref().map(text_match),
            statuses: self.status.iter().map(|word| status(word)).collect::<Result<_, _>>()?,
            types: self.types.iter().map(|pattern| text_match(pattern)).collect(),
        })
    }
}

fn status(word: &str) -> Result<IntegrationStatus, ApiError> {
    let all = IntegrationStatus::ALL;
    let known = all.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word));
    known.ok_or_else(|| {
        let words = all.map(IntegrationStatus::as_str).join(", ");
        ApiError::field("status", format!("unknown status {word:?}; use one of {words}"))
    })
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadIntegrations>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Integration>>, ApiError> {
    let query = listing.filters.query()?;
    let page = integrations::list_integrations(&app, &actor, query, &listing.page).await?;
    Ok(listing.reply(page, Integration::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageIntegrations>,
    Body(input): Body<IntegrationCreate>,
) -> Result<Reply<Integration>, ApiError> {
    let kind = input.integration_type.clone();
    let created = integrations::create_integration(&app, &actor, &kind, input.into()).await?;
    Ok(Reply(created.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadIntegrations>,
    Id(id): Id,
) -> Result<Reply<Integration>, ApiError> {
    let id = IntegrationId::new(id);
    Ok(Reply(integrations::get_integration(&app, &actor, &id).await?.into()))
}

async fn replace(
    State(app): State<App>,
    May(actor, ..): May<ManageIntegrations>,
    Id(id): Id,
    Body(input): Body<IntegrationUpdate>,
) -> Result<Reply<Integration>, ApiError> {
    let id = IntegrationId::new(id);
    Ok(Reply(integrations::update_integration(&app, &actor, &id, input.into()).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageIntegrations>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    integrations::delete_integration(&app, &actor, &IntegrationId::new(id)).await?;
    Ok(Done)
}
