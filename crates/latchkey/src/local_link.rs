//! The connector `local` talks to its server by calling the use cases directly: no socket, no
//! token, the same protocol.

use async_trait::async_trait;
use latchkey_app::{App, AppError, ConnectorActor, ErrorKind, connector_protocol};
use latchkey_connector::{LinkError, ServerLink};
use latchkey_domain::ids::{ConnectorId, TaskId};
use latchkey_protocol::{
    Changes, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, TaskResult,
};

/// The way from the in-process connector to its server.
#[derive(Debug)]
pub(crate) struct LocalLink {
    app: App,
    actor: ConnectorActor,
}

impl LocalLink {
    /// A link for the connector `id`, which must be registered.
    pub(crate) fn new(app: App, id: ConnectorId) -> Self {
        Self { app, actor: ConnectorActor { connector_id: id } }
    }
}

#[async_trait]
impl ServerLink for LocalLink {
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        connector_protocol::heartbeat(&self.app, &self.actor, beat.clone())
            .await
            .map_err(|e| translate(&e))
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer, LinkError> {
        connector_protocol::lease_tasks(&self.app, &self.actor, request.clone())
            .await
            .map_err(|e| translate(&e))
    }

    async fn result(&self, task: &TaskId, result: &TaskResult) -> Result<(), LinkError> {
        connector_protocol::task_result(&self.app, &self.actor, task, result.clone())
            .await
            .map_err(|e| translate(&e))
    }

    async fn changes(&self, changes: &Changes) -> Result<(), LinkError> {
        connector_protocol::inventory_changed(&self.app, &self.actor, changes.clone())
            .await
            .map_err(|e| translate(&e))
    }
}

/// The same meanings that the statuses have over HTTP.
fn translate(error: &AppError) -> LinkError {
    let message = error.message.clone();
    match error.kind {
        ErrorKind::Unauthorized => LinkError::Unauthorized(message),
        ErrorKind::Unavailable | ErrorKind::Internal => LinkError::Unreachable(message),
        ErrorKind::Conflict | ErrorKind::NotFound => LinkError::Superseded,
        ErrorKind::Forbidden | ErrorKind::Invalid => LinkError::Refused(message),
    }
}
