//! `/api/admin/v3/connectors`: the agents that do the work. They appear by a token made for them
//! and cannot be created here.

use std::collections::BTreeSet;

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    connectors::{self, ConnectorStatus as Status, ConnectorView},
};
use latchkey_domain::{ids::ConnectorId, integration::ConnectorSession as LiveSession};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Done, Reply},
    caller::{ManageConnectors, May, ReadConnectors},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    time::Timestamp,
    words::ConnectorStatus,
};

const TAG: &str = "Connectors";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let one = get_with(read, |op| {
        described(op, TAG, "getConnectorV3", "Read one connector with its live processes.")
    });
    let one = one.put_with(rename, |op| {
        let op = described(op, TAG, "updateConnectorV3", "Rename a connector; its id stays.");
        conflicts(op, "The name is taken.")
    });
    let one = one.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteConnectorV3", "Delete a connector.");
        conflicts(op, "Integrations use the connector, or it is connected.")
    });
    ApiRouter::new()
        .api_route(
            "/api/admin/v3/connectors",
            get_with(list, |op| {
                described(op, TAG, "listConnectorsV3", "Page through connectors, oldest first.")
            }),
        )
        .api_route("/api/admin/v3/connectors/{id}", one)
}

/// Connector, v3 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorV3")]
pub struct Connector {
    /// Connector id, chosen by the operator.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Whether any of its processes is alive.
    pub status: ConnectorStatus,
    /// Version of the process heard of last; empty before the first.
    pub version: String,
    /// When any of its processes was last heard of.
    pub last_connected: Option<Timestamp>,
    /// Whether it runs the server's version.
    pub is_latest_version: bool,
    /// `AWS`, `GCP`, `AZURE`, `KUBERNETES` or `ON_PREM`.
    pub cloud_provider_type: String,
    /// Live processes; empty while disconnected.
    pub sessions: Vec<ConnectorSession>,
}

/// Running process of a connector.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConnectorSession {
    /// Names the process; new at each start.
    pub id: String,
    /// Facts on where it runs.
    pub metadata: SessionMetadata,
    /// When it was last heard of.
    pub last_connected_time: Timestamp,
}

/// Facts on where a process runs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorSessionMetadata")]
pub struct SessionMetadata {
    /// What the process found out about its cloud.
    pub cloud_provider_metadata: Option<CloudMetadata>,
    /// Version of this process.
    pub connector_version: Option<String>,
}

/// Facts on the place where a process runs; only members that fit the cloud are filled.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ConnectorCloudMetadata")]
#[serde(default)]
pub struct CloudMetadata {
    /// Kind of cluster.
    pub kubernetes_type: Option<String>,
    /// Version of the cluster.
    pub kubernetes_version: Option<String>,
    /// Whether it has admin rights in the cluster.
    pub is_kubernetes_admin: Option<bool>,
    /// Whether it runs outside of any cloud.
    pub local_deploy: Option<bool>,
    /// AWS account.
    pub aws_account_id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Google project.
    pub project_id: Option<String>,
    /// Google organization.
    pub organization_id: Option<String>,
    /// Google zone.
    pub zone: Option<String>,
    /// Azure subscription.
    pub subscription_id: Option<String>,
    /// Azure resource group.
    pub resource_group: Option<String>,
    /// Whether it has admin rights in Azure.
    pub is_azure_admin: Option<bool>,
}

impl From<ConnectorView> for Connector {
    fn from(view: ConnectorView) -> Self {
        let connector = view.connector;
        let version = connector.version;
        let sessions = connector.sessions.into_iter();
        Self {
            id: connector.id.into(),
            name: connector.name,
            status: view.status.into(),
            sessions: sessions.map(|session| ConnectorSession::of(session, &version)).collect(),
            version,
            last_connected: connector.last_connected_at.map(Into::into),
            is_latest_version: view.is_latest_version,
            cloud_provider_type: connector.cloud_provider_type,
        }
    }
}

impl ConnectorSession {
    fn of(session: LiveSession, version: &str) -> Self {
        let metadata = serde_json::Value::Object(session.metadata);
        Self {
            id: session.id.into(),
            metadata: SessionMetadata {
                cloud_provider_metadata: serde_json::from_value(metadata).ok(),
                connector_version: Some(version.to_owned()),
            },
            last_connected_time: session.last_connected_at.into(),
        }
    }
}

/// New connector name.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ConnectorUpdateV3")]
struct ConnectorUpdate {
    /// Unique display name.
    name: String,
}

/// What to keep of the connectors.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// One of these states: `CONNECTED`, `DISCONNECTED`.
    #[serde(default)]
    status: Vec<String>,
}

impl Filters {
    fn statuses(&self) -> Result<BTreeSet<Status>, ApiError> {
        let word = |text: &String| match text.to_ascii_uppercase().as_str() {
            "CONNECTED" => Ok(Status::Connected),
            "DISCONNECTED" => Ok(Status::Disconnected),
            _ => Err(ApiError::field(
                "status",
                format!("unknown status {text:?}; use CONNECTED or DISCONNECTED"),
            )),
        };
        self.status.iter().map(word).collect()
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadConnectors>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Connector>>, ApiError> {
    let statuses = listing.filters.statuses()?;
    let page = connectors::list_connectors(&app, &actor, &statuses, &listing.page).await?;
    Ok(listing.reply(page, Connector::from))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadConnectors>,
    Id(id): Id,
) -> Result<Reply<Connector>, ApiError> {
    Ok(Reply(connectors::get_connector(&app, &actor, &ConnectorId::new(id)).await?.into()))
}

async fn rename(
    State(app): State<App>,
    May(actor, ..): May<ManageConnectors>,
    Id(id): Id,
    Body(input): Body<ConnectorUpdate>,
) -> Result<Reply<Connector>, ApiError> {
    let id = ConnectorId::new(id);
    Ok(Reply(connectors::rename_connector(&app, &actor, &id, input.name).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageConnectors>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    connectors::delete_connector(&app, &actor, &ConnectorId::new(id)).await?;
    Ok(Done)
}
