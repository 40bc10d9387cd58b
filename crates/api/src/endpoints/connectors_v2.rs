//! `/api/v2/connectors`: the agents in the older shape, as a bare array.

use std::collections::BTreeSet;

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    connectors::{ConnectorStatus, ConnectorView, list_connectors},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiState,
    caller::{May, ReadConnectors},
    documentation::described,
    error::ApiError,
    streaming::{WholeArray, pages},
    time::EpochSeconds,
};

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/api/v2/connectors",
        get_with(list, |op| {
            let summary = "List every connector, oldest first, as a bare array.";
            described(op, "Connectors", "listConnectorsV2", summary)
        }),
    )
}

/// Connector, v2 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorV2")]
pub struct Connector {
    /// Connector id, chosen by the operator.
    #[serde(rename = "connector_id")]
    pub id: String,
    /// When any of its processes was last heard of.
    pub last_connected: Option<EpochSeconds>,
    /// `Connected` or `Disconnected`.
    pub status: String,
}

impl From<ConnectorView> for Connector {
    fn from(view: ConnectorView) -> Self {
        let status = match view.status {
            ConnectorStatus::Connected => "Connected",
            ConnectorStatus::Disconnected => "Disconnected",
        };
        Self {
            id: view.connector.id.into(),
            last_connected: view.connector.last_connected_at.map(Into::into),
            status: status.to_owned(),
        }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadConnectors>,
) -> Result<WholeArray<Connector>, ApiError> {
    WholeArray::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        let all = BTreeSet::new();
        Ok(list_connectors(app, actor, &all, &page).await?.map(Connector::from))
    }))
    .await
}
