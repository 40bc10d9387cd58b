//! `/api/admin/v2/access-flows`: the policy, as people write it.

pub(crate) mod input;
pub(crate) mod view;
pub(crate) mod wire;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    flows::{self, FlowView},
};
use latchkey_domain::ids::FlowId;

use self::wire::{AccessFlow, AccessFlowInput};
use crate::{
    ApiState,
    body::{Body, Done, Reply, Warned},
    caller::{ManageFlows, May, ReadFlows},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, NoFilters, PageOf},
    query::Id,
};

const TAG: &str = "Access Flows";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/admin/v2/access-flows", collection())
        .api_route("/api/admin/v2/access-flows/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listAccessFlowsV2", "Page through access flows, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create an access flow; references may be ids or names.";
        conflicts(described(op, TAG, "createAccessFlowV2", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getAccessFlowV2", "Read one access flow with ids and names.")
    });
    let replace = read.put_with(replace, |op| {
        let summary = "Replace an access flow; what is left out is cleared.";
        conflicts(described(op, TAG, "updateAccessFlowV2", summary), "The name is taken.")
    });
    replace.delete_with(remove, |op| {
        let summary = "Delete an access flow; its pending requests are cancelled and its live \
                       access is revoked.";
        described(op, TAG, "deleteAccessFlowV2", summary)
    })
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadFlows>,
    listing: Listing<NoFilters>,
) -> Result<Reply<PageOf<AccessFlow>>, ApiError> {
    let page = flows::list_flows(&app, &actor, &listing.page).await?;
    Ok(listing.reply(page, AccessFlow::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Body(input): Body<AccessFlowInput>,
) -> Result<Warned<AccessFlow>, ApiError> {
    let command = input::command(input)?;
    Ok(warned(&app, flows::create_flow(&app, &actor, command).await?).await)
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadFlows>,
    Id(id): Id,
) -> Result<Reply<AccessFlow>, ApiError> {
    Ok(Reply(flows::get_flow(&app, &actor, &FlowId::new(id)).await?.into()))
}

async fn replace(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Id(id): Id,
    Body(input): Body<AccessFlowInput>,
) -> Result<Warned<AccessFlow>, ApiError> {
    let command = input::command(input)?;
    Ok(warned(&app, flows::update_flow(&app, &actor, &FlowId::new(id), command).await?).await)
}

/// A flow that was saved, with what whoever saved it should think about.
pub(crate) async fn warned<W: From<FlowView>>(app: &App, saved: FlowView) -> Warned<W> {
    let warnings = flows::warnings_about(app, &saved.flow.id).await;
    Warned(saved.into(), warnings)
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    flows::delete_flow(&app, &actor, &FlowId::new(id)).await?;
    Ok(Done)
}
