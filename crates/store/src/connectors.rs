//! Connectors and their live processes.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{ConnectorId, ConnectorSessionId},
    integration::{Connector, ConnectorSession},
};
use serde_json::{Map, Value};

use crate::{
    audit_chain::AuditHead,
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
};

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

const COLUMNS: &str = "c.id, c.name, c.token_hash, c.created_at, c.last_connected_at, c.version, \
     c.cloud_provider_type";

const SESSION_COLUMNS: &str = "s.id, s.connector_id, s.metadata, s.last_connected_at, s.public_key";

/// How long a process that fell silent stays known, in case it comes back.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A connector without its processes, which are rows of their own.
fn read_connector(row: &Row) -> Result<Connector> {
    Ok(Connector {
        id: ConnectorId::new(row.text("id")?),
        name: row.text("name")?,
        token_hash: row.opt_text("token_hash")?,
        created_at: row.time("created_at")?,
        last_connected_at: row.opt_time("last_connected_at")?,
        version: row.text("version")?,
        cloud_provider_type: row.text("cloud_provider_type")?,
        sessions: Vec::new(),
    })
}

fn read_session(row: &Row) -> Result<(ConnectorId, ConnectorSession)> {
    let public_key = STANDARD
        .decode(row.text("public_key")?)
        .map_err(|_| StoreError::corrupt("column public_key"))?;
    let session = ConnectorSession {
        id: ConnectorSessionId::new(row.text("id")?),
        metadata: row.json("metadata")?,
        last_connected_at: row.time("last_connected_at")?,
        public_key,
    };
    Ok((ConnectorId::new(row.text("connector_id")?), session))
}

impl Tx {
    /// Registers a connector; its processes come by heartbeats. A taken id is a duplicate.
    pub async fn insert_connector(&mut self, connector: &Connector) -> Result<()> {
        let sql = Sql::with(
            "INSERT INTO connectors (id, name, token_hash, created_at, last_connected_at, \
             version, cloud_provider_type) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values![
                connector.id.as_str(),
                connector.name.as_str(),
                connector.token_hash.as_deref(),
                micros(connector.created_at),
                opt_micros(connector.last_connected_at),
                connector.version.as_str(),
                connector.cloud_provider_type.as_str(),
            ],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// The connector with its live processes.
    pub async fn find_connector(&mut self, id: &ConnectorId) -> Result<Option<Connector>> {
        let sql = format!("SELECT {COLUMNS} FROM connectors c WHERE c.id = $1");
        Ok(self.read_connectors(Sql::with(&sql, values![id.as_str()])).await?.pop())
    }

    /// Connectors with their live processes, in the order of lists.
    pub async fn list_connectors(
        &mut self,
        filter: &ConnectorFilter,
        page: &PageQuery,
    ) -> Result<Vec<Connector>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM connectors c WHERE TRUE"));
        if let Some(connected) = filter.connected {
            sql.push(if connected { " AND EXISTS" } else { " AND NOT EXISTS" });
            sql.push(" (SELECT s.id FROM connector_sessions s WHERE s.connector_id = c.id");
            sql.push(" AND s.last_connected_at > ").bind(self.alive_since()).push(")");
        }
        page.apply(&mut sql, "c.created_at", "c.id");
        self.read_connectors(sql).await
    }

    /// Changes the name people see; false without such a connector.
    pub async fn rename_connector(&mut self, id: &ConnectorId, name: &str) -> Result<bool> {
        let sql = "UPDATE connectors SET name = $2 WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), name])).await? > 0)
    }

    /// Sets the hash of the connector's token; false without such a connector.
    pub async fn set_connector_token_hash(
        &mut self,
        id: &ConnectorId,
        hash: Option<&str>,
    ) -> Result<bool> {
        let sql = "UPDATE connectors SET token_hash = $2 WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), hash])).await? > 0)
    }

    /// Deletes it; an integration that still names it makes this [`StoreError::InUse`].
    pub async fn delete_connector(&mut self, id: &ConnectorId) -> Result<bool> {
        let sql = "DELETE FROM connectors WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str()])).await? > 0)
    }

    /// Records a sign of life, at the transaction's time; false without such a connector.
    pub async fn record_heartbeat(
        &mut self,
        id: &ConnectorId,
        heartbeat: &HeartbeatRow,
    ) -> Result<bool> {
        let now = micros(self.now());
        let sql = Sql::with(
            "UPDATE connectors SET last_connected_at = $2, version = $3, \
             cloud_provider_type = $4 WHERE id = $1",
            values![
                id.as_str(),
                now,
                heartbeat.version.as_str(),
                heartbeat.cloud_provider_type.as_str(),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Ok(false);
        }
        // A process id that another connector uses is not taken over.
        let sql = Sql::with(
            "INSERT INTO connector_sessions (id, connector_id, metadata, last_connected_at, \
             public_key) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
             metadata = excluded.metadata, last_connected_at = excluded.last_connected_at, \
             public_key = excluded.public_key \
             WHERE connector_sessions.connector_id = excluded.connector_id",
            values![
                heartbeat.session_id.as_str(),
                id.as_str(),
                json(&heartbeat.metadata)?,
                now,
                STANDARD.encode(&heartbeat.public_key),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Duplicate { what: "connector session id" });
        }
        let sql = Sql::with(
            "DELETE FROM connector_sessions WHERE connector_id = $1 AND last_connected_at < $2",
            values![id.as_str(), self.before(FORGET_AFTER)],
        );
        self.exec(sql).await?;
        Ok(true)
    }

    /// Forgets a process; false if it was not known.
    pub async fn drop_connector_session(
        &mut self,
        id: &ConnectorId,
        session: &ConnectorSessionId,
    ) -> Result<bool> {
        let sql = "DELETE FROM connector_sessions WHERE id = $1 AND connector_id = $2";
        Ok(self.exec(Sql::with(sql, values![session.as_str(), id.as_str()])).await? > 0)
    }

    /// A process by its id, alive or not, and its connector.
    pub async fn find_connector_session(
        &mut self,
        session: &ConnectorSessionId,
    ) -> Result<Option<(ConnectorId, ConnectorSession)>> {
        let sql = format!("SELECT {SESSION_COLUMNS} FROM connector_sessions s WHERE s.id = $1");
        let row = self.row(Sql::with(&sql, values![session.as_str()])).await?;
        row.as_ref().map(read_session).transpose()
    }

    /// Keeps the newest audit head a connector has seen; false if it is no newer than the one
    /// kept, is not signed by us, or there is no such connector.
    pub async fn record_echoed_head(&mut self, id: &ConnectorId, head: &AuditHead) -> Result<bool> {
        if !head.is_signed_by(self.keys(), self.installation_id()) {
            return Ok(false);
        }
        let sql =
            format!("SELECT c.echoed_head FROM connectors c WHERE c.id = $1{}", self.for_update());
        let Some(row) = self.row(Sql::with(&sql, values![id.as_str()])).await? else {
            return Ok(false);
        };
        let kept: Option<AuditHead> = row.opt_json("echoed_head")?;
        if kept.is_some_and(|kept| kept.sequence >= head.sequence) {
            return Ok(false);
        }
        let sql = "UPDATE connectors SET echoed_head = $2 WHERE id = $1";
        self.exec(Sql::with(sql, values![id.as_str(), json(head)?])).await?;
        Ok(true)
    }

    /// The heads that connectors echoed.
    pub(crate) async fn echoed_heads(&mut self) -> Result<Vec<AuditHead>> {
        let sql = Sql::new("SELECT echoed_head FROM connectors WHERE echoed_head IS NOT NULL");
        self.rows(sql, |row| row.json("echoed_head")).await
    }

    /// Runs a query for connectors and adds their live processes, oldest first.
    async fn read_connectors(&mut self, sql: Sql) -> Result<Vec<Connector>> {
        let mut connectors = self.rows(sql, read_connector).await?;
        let alive_since = self.alive_since();
        for connectors in connectors.chunks_mut(CHUNK) {
            let mut sql = Sql::new(&format!(
                "SELECT {SESSION_COLUMNS} FROM connector_sessions s WHERE s.last_connected_at > "
            ));
            sql.bind(alive_since);
            sql.and_in("s.connector_id", connectors.iter().map(|c| c.id.as_str()));
            sql.push(" ORDER BY s.id");
            let sessions = self.rows(sql, read_session).await?;
            let mut by_connector: BTreeMap<ConnectorId, Vec<ConnectorSession>> = BTreeMap::new();
            for (connector, session) in sessions {
                by_connector.entry(connector).or_default().push(session);
            }
            for connector in connectors {
                connector.sessions = by_connector.remove(&connector.id).unwrap_or_default();
            }
        }
        Ok(connectors)
    }

    /// Processes heard of after this are alive.
    fn alive_since(&self) -> i64 {
        self.before(SignedDuration::try_from(CONNECTOR_SESSION_LIVE).unwrap_or_default())
    }

    /// The stored form of the time this long ago.
    fn before(&self, ago: SignedDuration) -> i64 {
        micros(self.now().saturating_sub(ago).unwrap_or(Timestamp::MIN))
    }
}
