//! Connectors: registering, renaming and deleting them.
//!
//! Invariant: a connector's id never changes and its token exists as text only in the answer to
//! the call that made it. A new token replaces the old one at once.

use std::collections::BTreeSet;

use latchkey_domain::{ids::ConnectorId, integration::Connector};
use latchkey_identity::{MAX_CONNECTOR_ID, generate_connector_token};
use latchkey_store::{ConnectorFilter, IntegrationFilter, PageKey, PageQuery, Tx};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authenticate::token_key,
    authorization::Operation,
    config::LOCAL_CONNECTOR,
    error::AppError,
    paging::{Page, PageRequest},
    texts, trail,
};

/// Whether any process of a connector is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectorStatus {
    /// At least one process has been heard of lately.
    Connected,
    /// None has.
    Disconnected,
}

impl ConnectorStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "CONNECTED",
            Self::Disconnected => "DISCONNECTED",
        }
    }
}

/// A connector as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorView {
    /// The connector, with its live processes.
    pub connector: Connector,
    /// Whether any is alive.
    pub status: ConnectorStatus,
    /// Whether it runs the server's own version.
    pub is_latest_version: bool,
}

/// A connector's token that was just made. The only place where its text appears.
#[derive(Debug)]
pub struct CreatedConnectorToken {
    /// The connector.
    pub connector_id: ConnectorId,
    /// The token, to be shown once.
    pub token: SecretString,
}

/// Lists connectors in order of registration; `statuses` empty for all.
pub async fn list_connectors(
    app: &App,
    actor: &Actor,
    statuses: &BTreeSet<ConnectorStatus>,
    page: &PageRequest,
) -> Result<Page<ConnectorView>, AppError> {
    actor.require(Operation::ReadConnectors)?;
    let filter = ConnectorFilter {
        connected: match (
            statuses.contains(&ConnectorStatus::Connected),
            statuses.contains(&ConnectorStatus::Disconnected),
        ) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        },
    };
    app.store()
        .read(async |tx| {
            let rows = tx.list_connectors(&filter, &page.query()).await?;
            let key = |row: &Connector| PageKey::new(row.created_at, row.id.as_str());
            Ok(page.page(rows, key).map(|connector| view(app, connector)))
        })
        .await
}

/// Reads one connector.
pub async fn get_connector(
    app: &App,
    actor: &Actor,
    id: &ConnectorId,
) -> Result<ConnectorView, AppError> {
    actor.require(Operation::ReadConnectors)?;
    app.store()
        .read(async |tx| {
            let connector = tx.find_connector(id).await?.ok_or_else(AppError::not_found)?;
            Ok(view(app, connector))
        })
        .await
}

/// Changes the name that people see. 409 if another connector has it.
pub async fn rename_connector(
    app: &App,
    actor: &Actor,
    id: &ConnectorId,
    name: String,
) -> Result<ConnectorView, AppError> {
    actor.require(Operation::ManageConnectors)?;
    texts::check_name("name", &name)?;
    app.store()
        .write(async |tx| {
            let mut connector = tx.find_connector(id).await?.ok_or_else(AppError::not_found)?;
            let others = tx.list_connectors(&ConnectorFilter::default(), &PageQuery::all()).await?;
            let lower = name.to_lowercase();
            if others.iter().any(|other| other.id != *id && other.name.to_lowercase() == lower) {
                return Err(AppError::conflict(format!(
                    "the connector name \"{name}\" is taken; choose another"
                )));
            }
            tx.rename_connector(id, &name).await?;
            let detail = json!({ "before": connector.name, "after": name });
            let audit = actor.audit();
            trail::record(tx, &audit, "connector.renamed", "connector", id.as_str(), detail)
                .await?;
            connector.name = name;
            Ok(view(app, connector))
        })
        .await
}

/// Deletes a connector and its token. 409 while integrations use it or one of its processes is
/// alive.
pub async fn delete_connector(app: &App, actor: &Actor, id: &ConnectorId) -> Result<(), AppError> {
    actor.require(Operation::ManageConnectors)?;
    app.store()
        .write(async |tx| {
            let connector = tx.find_connector(id).await?.ok_or_else(AppError::not_found)?;
            let filter = IntegrationFilter {
                connector_ids: vec![id.clone()],
                ..IntegrationFilter::default()
            };
            let users = tx.list_integrations(&filter, &PageQuery::first(5)).await?;
            if !users.is_empty() {
                let names: Vec<String> =
                    users.iter().map(|user| format!("\"{}\"", user.name)).collect();
                return Err(AppError::conflict(format!(
                    "the connector serves {}; move or delete those integrations first",
                    names.join(", ")
                )));
            }
            if !connector.sessions.is_empty() {
                return Err(AppError::conflict(
                    "the connector is connected; stop its processes first",
                ));
            }
            tx.delete_connector(id).await?;
            let detail = json!({ "name": connector.name });
            let audit = actor.audit();
            trail::record(tx, &audit, "connector.deleted", "connector", id.as_str(), detail).await
        })
        .await
}

/// Makes a connector's token. Registers the connector, with its id as its name, if it is new;
/// otherwise the old token stops working.
pub async fn create_connector_token(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<CreatedConnectorToken, AppError> {
    actor.require(Operation::CreateConnectorToken)?;
    let id = check_id(id)?;
    let made =
        generate_connector_token(app.rng(), &token_key(app), &id).map_err(AppError::internal)?;
    app.store()
        .write(async |tx| {
            register(tx, &id).await?;
            tx.set_connector_token_hash(&id, Some(&made.hash)).await?;
            let audit = actor.audit();
            let detail = json!({});
            trail::record(tx, &audit, "connector.token_created", "connector", id.as_str(), detail)
                .await?;
            Ok::<_, AppError>(())
        })
        .await?;
    Ok(CreatedConnectorToken { connector_id: id, token: made.token })
}

/// Registers the connector that runs inside this server, if it is not yet.
pub async fn register_local_connector(app: &App) -> Result<ConnectorId, AppError> {
    let id = ConnectorId::new(LOCAL_CONNECTOR);
    app.store()
        .write(async |tx| {
            if register(tx, &id).await? {
                let audit = latchkey_domain::audit::AuditActor::System;
                let detail = json!({});
                let id = id.as_str();
                trail::record(tx, &audit, "connector.registered", "connector", id, detail).await?;
            }
            Ok::<_, AppError>(())
        })
        .await?;
    Ok(id)
}

/// Writes the connector if it is new; whether it was.
async fn register(tx: &mut Tx, id: &ConnectorId) -> Result<bool, AppError> {
    if tx.find_connector(id).await?.is_some() {
        return Ok(false);
    }
    let connector = Connector {
        id: id.clone(),
        name: id.as_str().to_owned(),
        token_hash: None,
        created_at: tx.now(),
        last_connected_at: None,
        version: String::new(),
        cloud_provider_type: "ON_PREM".to_owned(),
        sessions: Vec::new(),
    };
    tx.insert_connector(&connector).await?;
    Ok(true)
}

/// Takes a text as a connector's id: it stands in paths of URLs and in file names.
fn check_id(id: &str) -> Result<ConnectorId, AppError> {
    if id == LOCAL_CONNECTOR {
        return Err(AppError::invalid(
            "id",
            "`local` is the connector inside `latchkey serve` and needs no token; choose another id",
        ));
    }
    let clean = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if id.is_empty() || id.len() > MAX_CONNECTOR_ID || !clean || id.starts_with('.') {
        return Err(AppError::invalid(
            "id",
            format!(
                "must have 1 to {MAX_CONNECTOR_ID} letters, digits, dots, dashes and underscores, \
                 and not begin with a dot"
            ),
        ));
    }
    Ok(ConnectorId::new(id))
}

fn view(app: &App, connector: Connector) -> ConnectorView {
    let status = if connector.sessions.is_empty() {
        ConnectorStatus::Disconnected
    } else {
        ConnectorStatus::Connected
    };
    let is_latest_version = connector.version == app.config().version;
    ConnectorView { connector, status, is_latest_version }
}
