//! `/api/v2/integrations`: the target systems in the older shape. It shows and changes the same
//! integrations as v4; what only v4 can say stays when they are replaced here.

mod wire;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    integrations::{self, IntegrationsQuery},
};
use latchkey_domain::ids::IntegrationId;

use self::wire::{Integration, IntegrationCreate, IntegrationUpdate, in_older_words};
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{ManageIntegrations, May, ReadIntegrations, RefreshIntegration},
    documentation::{conflicts, described},
    error::ApiError,
    query::Id,
    streaming::{WholeList, pages},
};

const TAG: &str = "Integrations";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/v2/integrations", collection())
        .api_route("/api/v2/integrations/{id}", one())
        .api_route(
            "/api/v2/integrations/{id}/refresh",
            post_with(refresh, |op| {
                let summary = "Begin a discovery run; read the integration to follow it.";
                let op = described(op, TAG, "refreshIntegrationV2", summary);
                conflicts(op, "The integration is disabled, or has no connector.")
            }),
        )
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listIntegrationsV2", "List every integration, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create an integration; a discovery run begins at once.";
        conflicts(described(op, TAG, "createIntegrationV2", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getIntegrationV2", "Read one integration of any category.")
    });
    let replace = read.put_with(replace, |op| {
        let summary = "Replace an integration's settings. Its type and owners stay; so do its \
                       connector, its resource types and a secret kept by the server where they \
                       are left out.";
        let op = described(op, TAG, "updateIntegrationV2", summary);
        conflicts(op, "The name is taken, or live access hangs on a setting that changes.")
    });
    replace.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteIntegrationV2", "Delete an integration.");
        conflicts(op, "A flow, a bundle, a pending request or live access uses it.")
    })
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadIntegrations>,
) -> Result<WholeList<Integration>, ApiError> {
    WholeList::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        let all = IntegrationsQuery::default();
        Ok(integrations::list_integrations(app, actor, all, &page).await?.map(Integration::from))
    }))
    .await
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageIntegrations>,
    Body(input): Body<IntegrationCreate>,
) -> Result<Reply<Integration>, ApiError> {
    let (kind, command) = input.command()?;
    let created = integrations::create_integration(&app, &actor, &kind, command).await;
    Ok(Reply(created.map_err(in_older_words)?.into()))
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
    let command = input.command()?;
    let replaced = integrations::update_integration(&app, &actor, &id, command).await;
    Ok(Reply(replaced.map_err(in_older_words)?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageIntegrations>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    integrations::delete_integration(&app, &actor, &IntegrationId::new(id)).await?;
    Ok(Message::reply("The integration was deleted."))
}

async fn refresh(
    State(app): State<App>,
    May(actor, ..): May<RefreshIntegration>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    integrations::refresh_integration(&app, &actor, &IntegrationId::new(id)).await?;
    Ok(Message::reply("A discovery run has begun; read the integration to follow it."))
}
