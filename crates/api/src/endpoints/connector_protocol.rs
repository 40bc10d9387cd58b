//! `/api/connector/v1`: where connectors ask for work and report it. The shapes are those of the
//! protocol crate, which both sides compile against; here they are only received and answered.

use aide::axum::{ApiRouter, routing::post_with};
use axum::extract::{DefaultBodyLimit, State};
use latchkey_app::{App, connector_protocol};
use latchkey_domain::ids::TaskId;
use latchkey_protocol::{
    Changes, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, TaskResult,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Done, Unstored},
    caller::FromConnector,
    documentation::described,
    error::ApiError,
    query::Id,
};

const TAG: &str = "Connector Protocol";
/// The largest message of a connector: a page of a discovery run has hundreds of resources, each
/// with its tags and context.
const LARGEST: usize = 16 << 20;

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/connector/v1/lease",
            post_with(lease, |op| {
                let summary = "Wait for work, up to 30 seconds, and lease it.";
                described(op, TAG, "leaseConnectorTasks", summary)
            }),
        )
        .api_route(
            "/api/connector/v1/tasks/{id}/result",
            post_with(result, |op| {
                let summary =
                    "Report what came of a leased task; counts for its newest lease only.";
                described(op, TAG, "reportConnectorTask", summary)
            }),
        )
        .api_route(
            "/api/connector/v1/heartbeat",
            post_with(heartbeat, |op| {
                let summary = "Say that a process is alive, and prolong the leases of its work.";
                described(op, TAG, "connectorHeartbeat", summary)
            }),
        )
        .api_route(
            "/api/connector/v1/changes",
            post_with(changes, |op| {
                let summary = "Tell what changed in a target since it was discovered.";
                described(op, TAG, "reportConnectorChanges", summary)
            }),
        )
        .layer(DefaultBodyLimit::max(LARGEST))
}

/// A message of the protocol, described here by its most telling members.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($message:ty) = $schema:tt;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        struct $name($message);

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                concat!("Connector", stringify!($name)).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

messages! {
    /// Asks for work.
    Lease(LeaseRequest) = {
        "type": "object",
        "description": "Asks for work.",
        "required": ["protocol", "session_id", "wait_ms", "max_tasks"],
        "properties": {
            "protocol": {"type": "integer", "description": "Version of the protocol: 1."},
            "session_id": {"type": "string", "description": "The process; new at each start."},
            "wait_ms": {"type": "integer", "description": "How long to wait for work; 30000 at most."},
            "max_tasks": {"type": "integer", "description": "How many tasks it can take now."},
        },
    };
    /// Work, possibly none.
    Leased(LeaseAnswer) = {
        "type": "object",
        "description": "Work, possibly none.",
        "required": ["server_time", "tasks"],
        "properties": {
            "server_time": {"type": "string", "format": "date-time"},
            "tasks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "One task: id, lease number, lease_ms, integration, operation.",
                },
            },
        },
    };
    /// What came of a task.
    Report(TaskResult) = {
        "type": "object",
        "description": "What came of a task.",
        "required": ["protocol", "session_id", "lease", "outcome"],
        "properties": {
            "protocol": {"type": "integer", "description": "Version of the protocol: 1."},
            "session_id": {"type": "string", "description": "The process that did the work."},
            "lease": {"type": "integer", "description": "The delivery this answers."},
            "outcome": {
                "type": "object",
                "description": "kind: discovered, applied, reconciled, fenced or failed.",
            },
        },
    };
    /// What a process saw change in a target.
    InventoryChanges(Changes) = {
        "type": "object",
        "description": "What a process saw change in a target.",
        "required": ["protocol", "session_id", "integration_id"],
        "properties": {
            "protocol": {"type": "integer", "description": "Version of the protocol: 1."},
            "session_id": {"type": "string", "description": "The process that looked."},
            "integration_id": {"type": "string"},
            "found": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Resources that are new or differ; with gone at most 1,000.",
            },
            "gone": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Native ids of resources that are no longer there.",
            },
        },
    };
    /// A sign of life.
    Beat(Heartbeat) = {
        "type": "object",
        "description": "A sign of life.",
        "required": ["protocol", "session_id", "version", "cloud_provider_type", "public_key"],
        "properties": {
            "protocol": {"type": "integer", "description": "Version of the protocol: 1."},
            "session_id": {"type": "string", "description": "The process; new at each start."},
            "replaces": {"type": ["string", "null"], "description": "The process before it."},
            "version": {"type": "string", "description": "Software version."},
            "cloud_provider_type": {"type": "string"},
            "public_key": {"type": "string", "description": "X25519 public key, base64."},
            "targets": {
                "type": ["string", "null"],
                "description": "Names the targets that the process has taken in.",
            },
        },
    };
    /// The answer to a sign of life.
    BeatAnswer(HeartbeatAnswer) = {
        "type": "object",
        "description": "The answer to a sign of life.",
        "required": ["server_time", "installation_id", "server_public_key", "integrations"],
        "properties": {
            "server_time": {"type": "string", "format": "date-time"},
            "installation_id": {"type": "string"},
            "server_public_key": {"type": "string", "description": "X25519 public key, base64."},
            "integrations": {"type": "array", "items": {"type": "object"}},
            "targets": {"type": ["string", "null"], "description": "Names what integrations says."},
            "targets_unchanged": {
                "type": "boolean",
                "description": "What the process has taken in still holds; integrations is empty.",
            },
        },
    };
}

async fn lease(
    State(app): State<App>,
    FromConnector(connector): FromConnector,
    Body(Lease(request)): Body<Lease>,
) -> Result<Unstored<Leased>, ApiError> {
    Ok(Unstored(Leased(connector_protocol::lease_tasks(&app, &connector, request).await?)))
}

async fn result(
    State(app): State<App>,
    FromConnector(connector): FromConnector,
    Id(id): Id,
    Body(Report(report)): Body<Report>,
) -> Result<Done, ApiError> {
    connector_protocol::task_result(&app, &connector, &TaskId::new(id), report).await?;
    Ok(Done)
}

async fn changes(
    State(app): State<App>,
    FromConnector(connector): FromConnector,
    Body(InventoryChanges(changes)): Body<InventoryChanges>,
) -> Result<Done, ApiError> {
    connector_protocol::inventory_changed(&app, &connector, changes).await?;
    Ok(Done)
}

async fn heartbeat(
    State(app): State<App>,
    FromConnector(connector): FromConnector,
    Body(Beat(beat)): Body<Beat>,
) -> Result<Unstored<BeatAnswer>, ApiError> {
    Ok(Unstored(BeatAnswer(connector_protocol::heartbeat(&app, &connector, beat).await?)))
}
