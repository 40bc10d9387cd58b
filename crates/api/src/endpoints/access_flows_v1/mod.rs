//! `/api/v1/access-flows`: access flows in the oldest shape, the whole list at once. What the
//! shape cannot say is left out of it and kept by every change.

mod wire;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{App, flows};
use latchkey_domain::ids::FlowId;

use self::wire::{AccessFlow, AccessFlowCreate, AccessFlowPatch};
use super::access_flows_v2::warned;
use crate::{
    ApiState,
    body::{Body, Message, Reply, Warned},
    caller::{ManageFlows, May, ReadFlows},
    documentation::{conflicts, described},
    error::ApiError,
    query::Id,
    streaming::{WholeList, pages},
};

const TAG: &str = "Access Flows";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/v1/access-flows", collection())
        .api_route("/api/v1/access-flows/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listAccessFlowsV1", "List every access flow, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create an access flow; references are ids.";
        conflicts(described(op, TAG, "createAccessFlowV1", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| described(op, TAG, "getAccessFlowV1", "Read one access flow."));
    let patch = read.patch_with(patch, |op| {
        let summary = "Change what is sent and keep the rest, also what this version cannot say. \
                       A list that is sent replaces the one that is shown.";
        conflicts(described(op, TAG, "patchAccessFlowV1", summary), "The name is taken.")
    });
    patch.delete_with(remove, |op| {
        let summary = "Delete an access flow; its pending requests are cancelled and its live \
                       access is revoked.";
        described(op, TAG, "deleteAccessFlowV1", summary)
    })
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadFlows>,
) -> Result<WholeList<AccessFlow>, ApiError> {
    WholeList::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        Ok(flows::list_flows(app, actor, &page).await?.map(AccessFlow::from))
    }))
    .await
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Body(input): Body<AccessFlowCreate>,
) -> Result<Warned<AccessFlow>, ApiError> {
    let change = input.change()?;
    Ok(warned(&app, flows::create_legacy_flow(&app, &actor, change).await?).await)
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadFlows>,
    Id(id): Id,
) -> Result<Reply<AccessFlow>, ApiError> {
    Ok(Reply(flows::get_flow(&app, &actor, &FlowId::new(id)).await?.into()))
}

async fn patch(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Id(id): Id,
    Body(input): Body<AccessFlowPatch>,
) -> Result<Warned<AccessFlow>, ApiError> {
    let change = input.change()?;
    let id = FlowId::new(id);
    Ok(warned(&app, flows::patch_legacy_flow(&app, &actor, &id, change).await?).await)
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    flows::delete_flow(&app, &actor, &FlowId::new(id)).await?;
    Ok(Message::reply("The access flow is deleted."))
}
