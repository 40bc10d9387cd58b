//! `/api/v1/access-bundles`: bundles in the older shape, a view of the same ones. It knows only
//! parts of integrations; what a newer client put into a bundle beside them stays.

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    bundles::{
        BundleCommand, BundlePatch, BundleTargetInput, BundleView, create_bundle, delete_bundle,
        get_bundle, list_bundles, patch_bundle,
    },
};
use latchkey_domain::{bundle::BundleTarget, flow, ids::BundleId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::integration_target_v1::{IntegrationTarget, targets};
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{ManageBundles, May, ReadBundles},
    documentation::{conflicts, described},
    error::ApiError,
    query::Id,
    streaming::{WholeList, pages},
};

const TAG: &str = "Access Bundles";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/v1/access-bundles", collection())
        .api_route("/api/v1/access-bundles/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listAccessBundlesV1", "List every bundle, oldest first.")
    });
    list.post_with(create, |op| {
        let op = described(op, TAG, "createAccessBundleV1", "Create a bundle.");
        conflicts(op, "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getAccessBundleV1", "Read one bundle's parts of integrations.")
    });
    let change = read.patch_with(change, |op| {
        let summary = "Change a bundle; what is left out is kept.";
        conflicts(described(op, TAG, "patchAccessBundleV1", summary), "The name is taken.")
    });
    change.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteAccessBundleV1", "Delete a bundle.");
        conflicts(op, "A flow targets it; the message names the flow.")
    })
}

/// Bundle, v1 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessBundleV1")]
pub struct AccessBundle {
    /// Bundle id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its parts of integrations.
    pub integration_targets: Vec<IntegrationTarget>,
}

/// New bundle, v1.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessBundleCreateV1")]
struct AccessBundleCreate {
    /// Display name.
    name: String,
    /// Its parts of integrations; may be empty.
    integration_targets: Vec<IntegrationTarget>,
}

/// Partial change of a bundle, v1. What is left out or null is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessBundlePatchV1")]
struct AccessBundlePatch {
    /// Display name.
    name: Option<String>,
    /// All of its parts of integrations.
    integration_targets: Option<Vec<IntegrationTarget>>,
}

impl From<BundleView> for AccessBundle {
    fn from(view: BundleView) -> Self {
        let parts = view.bundle.targets.iter().filter_map(|target| match target {
            BundleTarget::Integration(target) => Some(target.into()),
            BundleTarget::AccessScope(_) => None,
        });
        Self {
            integration_targets: parts.collect(),
            id: view.bundle.id.into(),
            name: view.bundle.name,
        }
    }
}

/// The parts that were sent; 400 naming everything that is wrong.
fn parts(sent: Vec<IntegrationTarget>) -> Result<Vec<flow::IntegrationTarget>, ApiError> {
    let mut errors = Vec::new();
    let parts = targets("integration_targets", sent, &mut errors);
    match errors.first() {
        None => Ok(parts),
        Some(first) => {
            let message = format!("{}: {}", first.field, first.message);
            Err(ApiError::bad_request(message).with_errors(errors))
        }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadBundles>,
) -> Result<WholeList<AccessBundle>, ApiError> {
    WholeList::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        Ok(list_bundles(app, actor, None, &page).await?.map(AccessBundle::from))
    }))
    .await
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Body(input): Body<AccessBundleCreate>,
) -> Result<Reply<AccessBundle>, ApiError> {
    let targets = parts(input.integration_targets)?.into_iter();
    let targets = targets.map(BundleTargetInput::IntegrationById).collect();
    let command = BundleCommand { name: input.name, targets };
    Ok(Reply(create_bundle(&app, &actor, command).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadBundles>,
    Id(id): Id,
) -> Result<Reply<AccessBundle>, ApiError> {
    Ok(Reply(get_bundle(&app, &actor, &BundleId::new(id)).await?.into()))
}

async fn change(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Id(id): Id,
    Body(input): Body<AccessBundlePatch>,
) -> Result<Reply<AccessBundle>, ApiError> {
    let integration_targets = input.integration_targets.map(parts).transpose()?;
    let patch = BundlePatch { name: input.name, integration_targets };
    Ok(Reply(patch_bundle(&app, &actor, &BundleId::new(id), patch).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageBundles>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    delete_bundle(&app, &actor, &BundleId::new(id)).await?;
    Ok(Message::reply("The bundle is deleted."))
}
