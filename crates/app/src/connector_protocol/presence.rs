//! Heartbeats: which processes of a connector are alive, and what they need to know.

use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_protocol::{Heartbeat, HeartbeatAnswer, VERSION};
use latchkey_store::{AuditHead, HeartbeatRow, Tx};
use serde_json::json;

use super::{LEASE, targets};
use crate::{App, ConnectorActor, error::AppError, trail::record};

/// Takes a heartbeat: the process is alive, its leases go on, and those of the process it
/// replaces are free at once.
pub async fn heartbeat(
    app: &App,
    actor: &ConnectorActor,
    beat: Heartbeat,
) -> Result<HeartbeatAnswer, AppError> {
    check_version(beat.protocol)?;
    let public_key = STANDARD
        .decode(&beat.public_key)
        .ok()
        .filter(|key| key.len() == 32)
        .ok_or_else(|| AppError::invalid("public_key", "must be 32 bytes in base64"))?;
    if beat.connector_id.as_ref().is_some_and(|id| *id != actor.connector_id) {
        tracing::warn!(connector.id = %actor.connector_id,
            "A connector process was started under another id than its token's.");
        return Err(AppError::unauthorized());
    }
    let head = app.store().audit_head().await?;
    let answer = app
        .store()
        .write(async |tx: &mut Tx| -> Result<HeartbeatAnswer, AppError> {
            let now = tx.now();
            let connector =
                tx.find_connector(&actor.connector_id).await?.ok_or_else(AppError::unauthorized)?;
            let is_new = !connector.sessions.iter().any(|session| session.id == beat.session_id);
            tx.record_heartbeat(
                &actor.connector_id,
                &HeartbeatRow {
                    session_id: beat.session_id.clone(),
                    version: beat.version.clone(),
                    cloud_provider_type: beat.cloud_provider_type.clone(),
                    metadata: beat.metadata.clone(),
                    public_key: public_key.clone(),
                },
            )
            .await?;
            if let Some(former) = &beat.replaces {
                // Another connector's processes are none of this one's business.
                if tx.drop_connector_session(&actor.connector_id, former).await? {
                    tx.release_task_leases(former).await?;
                }
            }
            let until = now.saturating_add(LEASE).map_err(AppError::internal)?;
            for running in &beat.running {
                let holder = &beat.session_id;
                tx.renew_task_lease(holder, &running.id, running.lease, until).await?;
            }
            if is_new {
                let detail = json!({ "session_id": beat.session_id, "version": beat.version });
                let id = actor.connector_id.as_str();
                record(tx, &actor.audit(), "connector.connected", "connector", id, detail).await?;
            }
            if let Some(echo) = &beat.audit_head {
                let echo = AuditHead {
                    sequence: echo.sequence,
                    hash: echo.hash.clone(),
                    signed_at: echo.signed_at,
                    signature: echo.signature.clone(),
                };
                tx.record_echoed_head(&actor.connector_id, &echo).await?;
            }
            let connector = &actor.connector_id;
            let known = beat.targets.as_deref();
            let served = targets::served_by(tx, app, connector, &beat.public_key, known).await?;
            Ok(HeartbeatAnswer {
                server_time: now,
                installation_id: tx.installation_id().clone(),
                server_public_key: app.sealing_key().public_key(),
                audit_head: head.as_ref().map(|head| latchkey_protocol::AuditHead {
                    sequence: head.sequence,
                    hash: head.hash.clone(),
                    signed_at: head.signed_at,
                    signature: head.signature.clone(),
                }),
                targets_unchanged: served.targets.is_none(),
                integrations: served.targets.unwrap_or_default(),
                targets: Some(served.version),
                listens: app.config().listens.clone(),
            })
        })
        .await?;
    Ok(answer)
}

/// Refuses a connector of a protocol this server does not speak.
pub(super) fn check_version(protocol: u32) -> Result<(), AppError> {
    if protocol == VERSION {
        return Ok(());
    }
    Err(AppError::invalid(
        "protocol",
        format!("this server speaks version {VERSION}; update the older side"),
    ))
}
