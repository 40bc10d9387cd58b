//! `/api/admin/v2/bundles`: targets that are asked for together. What was sent comes back
//! unchanged and in order; only references turn from "id or name" into id and name side by side.

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    bundles::{self, BundleCommand, BundleTargetInput, BundleView},
    wildcard::text_match,
};
use latchkey_domain::{bundle::BundleTarget, ids::BundleId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_flows_v2::{
    view::{access_scope_target, integration_target},
    wire::{AccessScopeTarget, AccessScopeTargetInput, IntegrationTarget, IntegrationTargetInput},
};
use crate::{
    ApiState,
    body::{Body, Done, Reply, refused},
    caller::{ManageBundles, May, ReadBundles},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Bundles";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/admin/v2/bundles", collection())
        .api_route("/api/admin/v2/bundles/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listBundlesV2", "Page through bundles, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create a bundle; references may be ids or names.";
        conflicts(described(op, TAG, "createBundleV2", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getBundleV2", "Read one bundle with ids and names.")
    });
    let replace = read.put_with(replace, |op| {
        let summary = "Replace a bundle; flows that target it follow.";
        conflicts(described(op, TAG, "updateBundleV2", summary), "The name is taken.")
    });
    replace.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteBundleV2", "Delete a bundle.");
        conflicts(op, "A flow targets it; the message names the flow.")
    })
}

/// Bundle, v2.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BundleV2")]
pub struct Bundle {
    /// Bundle id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// What it holds.
    pub access_targets: Vec<BundleItem>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was last changed.
    pub update_date: Timestamp,
}

/// Content of a bundle; one member is filled.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "BundleItemV2")]
pub struct BundleItem {
    /// Resources of an integration.
    pub integration: Option<IntegrationTarget>,
    /// What an access scope selects.
    pub access_scope: Option<AccessScopeTarget>,
}

/// Full bundle to store, v2.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BundleInputV2")]
pub struct BundleInput {
    /// Unique display name.
    pub name: String,
    /// What it holds; may be empty.
    pub access_targets: Vec<BundleItemInput>,
}

/// Content of a bundle; fill exactly one member.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BundleItemInputV2")]
pub struct BundleItemInput {
    /// Resources of an integration.
    pub integration: Option<IntegrationTargetInput>,
    /// What an access scope selects.
    pub access_scope: Option<AccessScopeTargetInput>,
}

impl From<BundleView> for Bundle {
    fn from(view: BundleView) -> Self {
        let (names, scope_names) = (view.integration_names, view.access_scope_names);
        let item = |target| match target {
            BundleTarget::Integration(target) => BundleItem {
                integration: Some(integration_target(target, &names)),
                ..BundleItem::default()
            },
            BundleTarget::AccessScope(id) => BundleItem {
                access_scope: Some(access_scope_target(id, &scope_names)),
                ..BundleItem::default()
            },
        };
        Self {
            id: view.bundle.id.into(),
            name: view.bundle.name,
            access_targets: view.bundle.targets.into_iter().map(item).collect(),
            creation_date: view.bundle.created_at.into(),
            update_date: view.bundle.updated_at.into(),
        }
    }
}

/// The command that a body says; 400 naming every item that is not exactly one thing.
pub(crate) fn command(input: BundleInput) -> Result<BundleCommand, ApiError> {
    let mut errors = Vec::new();
    let mut targets = Vec::with_capacity(input.access_targets.len());
    for (at, item) in input.access_targets.into_iter().enumerate() {
        match (item.integration, item.access_scope) {
            (Some(target), None) => targets.push(BundleTargetInput::Integration(target.into())),
            (None, Some(target)) => {
                targets.push(BundleTargetInput::AccessScope(target.access_scope_reference));
            }
            _ => errors.push(refused(
                &format!("access_targets[{at}]"),
                "fill exactly one of integration and access_scope",
            )),
        }
    }
    if let Some(first) = errors.first() {
        let message = format!("{}: {}", first.field, first.message);
        return Err(ApiError::bad_request(message).with_errors(errors));
    }
    Ok(BundleCommand { name: input.name, targets })
}

/// What to keep of the bundles.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Bundle name; asterisks at the ends match anything, case is ignored.
    name: Option<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadBundles>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Bundle>>, ApiError> {
    let name = listing.filters.name.as_deref().map(text_match);
    let page = bundles::list_bundles(&app, &actor, name, &listing.page).await?;
    Ok(listing.reply(page, Bundle::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Body(input): Body<BundleInput>,
) -> Result<Reply<Bundle>, ApiError> {
    Ok(Reply(bundles::create_bundle(&app, &actor, command(input)?).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadBundles>,
    Id(id): Id,
) -> Result<Reply<Bundle>, ApiError> {
    Ok(Reply(bundles::get_bundle(&app, &actor, &BundleId::new(id)).await?.into()))
}

async fn replace(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Id(id): Id,
    Body(input): Body<BundleInput>,
) -> Result<Reply<Bundle>, ApiError> {
    let id = BundleId::new(id);
    Ok(Reply(bundles::update_bundle(&app, &actor, &id, command(input)?).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    bundles::delete_bundle(&app, &actor, &BundleId::new(id)).await?;
    Ok(Done)
}
