//! Leaving a record of what was done, in the transaction that does it.

use latchkey_domain::audit::{AuditActor, AuditEvent};
use latchkey_store::Tx;
use serde_json::Value;

use crate::error::AppError;

/// Appends one audit record. `detail` holds facts, and never a secret.
pub(crate) async fn record(
    tx: &mut Tx,
    actor: &AuditActor,
    action: &'static str,
    object_type: &'static str,
    object_id: &str,
    detail: Value,
) -> Result<(), AppError> {
    tx.append_audit(&AuditEvent {
        actor: actor.clone(),
        action,
        object_type,
        object_id: object_id.to_owned(),
        detail,
    })
    .await?;
    Ok(())
}
