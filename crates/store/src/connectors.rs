//! Connectors and their live processes.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::{
    ids::{ConnectorId, ConnectorSessionId},
    integration::{Connector, ConnectorSession},
};
use serde_json::{Map, Value};

use crate::{audit_chain::AuditHead, error::Result, page::PageQuery, tx::Tx};

/// How long after its last heartbeat a process counts as alive.
pub const CONNECTOR_SESSION_LIVE: Duration = Duration::from_secs(30);

/// Which connectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectorFilter {
    /// Only those with a live process, or only those without.
    pub connected: Option<bool>,
}

/// What a heartbeat says about a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRow {
    /// The process.
    pub session_id: ConnectorSessionId,
    /// Software version.
    pub version: String,
    /// `AWS`, `GCP`, `AZURE`, `KUBERNETES` or `ON_PREM`.
    pub cloud_provider_type: String,
    /// Cloud metadata as found.
    pub metadata: Map<String, Value>,
    /// X25519 public key, 32 bytes.
    pub public_key: Vec<u8>,
}

impl Tx {
    /// Registers a connector; its sessions come by heartbeats. A taken id is a duplicate.
    pub async fn insert_connector(&mut self, connector: &Connector) -> Result<()> {
        unimplemented!()
    }
    /// The connector with its live processes.
    pub async fn find_connector(&mut self, id: &ConnectorId) -> Result<Option<Connector>> {
        unimplemented!()
    }
    /// Connectors with their live processes, in the order of lists.
    pub async fn list_connectors(
        &mut self,
        filter: &ConnectorFilter,
        page: &PageQuery,
    ) -> Result<Vec<Connector>> {
        unimplemented!()
    }
    /// Changes the name people see; false without such a connector.
    pub async fn rename_connector(&mut self, id: &ConnectorId, name: &str) -> Result<bool> {
        unimplemented!()
    }
    /// Sets the hash of the connector's token; false without such a connector.
    pub async fn set_connector_token_hash(
        &mut self,
        id: &ConnectorId,
        hash: Option<&str>,
    ) -> Result<bool> {
        unimplemented!()
    }
    /// Deletes it; an integration that still names it is [`StoreError::InUse`].
    pub async fn delete_connector(&mut self, id: &ConnectorId) -> Result<bool> {
        unimplemented!()
    }
    /// Records a sign of life, at the transaction's time; false without such a connector.
    pub async fn record_heartbeat(
        &mut self,
        id: &ConnectorId,
        heartbeat: &HeartbeatRow,
    ) -> Result<bool> {
        unimplemented!()
    }
    /// Forgets a process; false if it was not known.
    pub async fn drop_connector_session(
        &mut self,
        id: &ConnectorId,
        session: &ConnectorSessionId,
    ) -> Result<bool> {
        unimplemented!()
    }
    /// A process by its id, alive or not, and its connector.
    pub async fn find_connector_session(
        &mut self,
        session: &ConnectorSessionId,
    ) -> Result<Option<(ConnectorId, ConnectorSession)>> {
        unimplemented!()
    }
    /// Keeps the newest audit head a connector has seen; false if it is no newer, or not signed by us.
    pub async fn record_echoed_head(&mut self, id: &ConnectorId, head: &AuditHead) -> Result<bool> {
        unimplemented!()
    }
}
