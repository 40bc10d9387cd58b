//! `/api/admin/v1/access-flows/{id}/automatic`: ours, beside the common wire format. How an
//! automatic flow gets on, and letting a change go ahead that was held back for its size.

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    automatic::{self, AutomaticStanding},
};
use latchkey_domain::ids::FlowId;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiState,
    body::Reply,
    caller::{ManageFlows, May, ReadFlows},
    documentation::{conflicts, described},
    error::ApiError,
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Latchkey";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/admin/v1/access-flows/{id}/automatic",
            get_with(read, |op| {
                let summary = "Say how an automatic access flow gets on: how many people have \
                               access by it, and what is held back.";
                described(op, TAG, "getAutomaticAccessFlow", summary)
            }),
        )
        .api_route(
            "/api/admin/v1/access-flows/{id}/automatic/confirm",
            post_with(confirm, |op| {
                let summary = "Let what is held back go ahead: as many people as it is now, within \
                               ten minutes.";
                let op = described(op, TAG, "confirmAutomaticAccessFlow", summary);
                conflicts(op, "Nothing is held back.")
            }),
        )
}

/// How an automatic access flow gets on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AutomaticAccessFlow {
    /// Flow id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many people have access by it.
    pub people: i64,
    /// Changes that were too many for one hour; null if nothing is held back.
    pub held_back: Option<HeldBack>,
}

/// Changes that were too many for one hour.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeldBackChanges")]
pub struct HeldBack {
    /// How many people would get access.
    pub gaining: i64,
    /// How many people would lose access.
    pub losing: i64,
    /// Since when they wait.
    pub since: Timestamp,
}

impl From<AutomaticStanding> for AutomaticAccessFlow {
    fn from(standing: AutomaticStanding) -> Self {
        Self {
            id: standing.flow.id.into(),
            name: standing.flow.name,
            people: count(standing.people),
            held_back: standing.held_back.map(|held| HeldBack {
                gaining: count(held.gaining),
                losing: count(held.losing),
                since: held.since.into(),
            }),
        }
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadFlows>,
    Id(id): Id,
) -> Result<Reply<AutomaticAccessFlow>, ApiError> {
    Ok(Reply(automatic::get_automatic(&app, &actor, &FlowId::new(id)).await?.into()))
}

async fn confirm(
    State(app): State<App>,
    May(actor, ..): May<ManageFlows>,
    Id(id): Id,
) -> Result<Reply<AutomaticAccessFlow>, ApiError> {
    Ok(Reply(automatic::confirm_automatic(&app, &actor, &FlowId::new(id)).await?.into()))
}
