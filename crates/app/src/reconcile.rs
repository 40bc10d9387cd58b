//! After a restore: what a target holds and no row explains may be access that was granted
//! after the backup was made. It is listed first, and removed only once an Admin has confirmed.
//!
//! A restore is noticed by its fences: a target that has seen a higher fence of this very
//! installation than the database knows is ahead of the database.

use latchkey_domain::settings::SettingSpec;
use latchkey_store::{IntegrationFilter, NewTask, PageKey, PageQuery, TaskKind, Tx, Wake};
use serde_json::{Value, json};

use crate::{Actor, App, Operation, error::AppError, trail::record};

/// The row that remembers that a restore was noticed. Set by the server alone, so it is not
/// among the settings that people change.
const RESTORE_NOTICED: &str = "restore_noticed";

/// Whether reconcile runs may remove what nothing explains.
pub(crate) async fn may_remove(tx: &mut Tx) -> Result<bool, AppError> {
    debug_assert!(SettingSpec::get(RESTORE_NOTICED).is_err(), "not for people to change");
    Ok(tx.find_setting(RESTORE_NOTICED).await? != Some(Value::Bool(true)))
}

/// Remembers that a target is ahead of the database.
pub(crate) async fn notice_restore(tx: &mut Tx) -> Result<(), AppError> {
    Ok(tx.put_setting(RESTORE_NOTICED, &Value::Bool(true)).await?)
}

/// Whether a restore was noticed and not confirmed yet; `doctor` says so.
pub async fn restore_is_unconfirmed(app: &App) -> Result<bool, AppError> {
    app.store()
        .read(async |tx: &mut Tx| -> Result<bool, AppError> { Ok(!may_remove(tx).await?) })
        .await
}

/// Confirms that what nothing explains may be removed, and starts a run in every integration.
/// Returns how many runs were started.
pub async fn confirm_reconcile(app: &App, actor: &Actor) -> Result<u64, AppError> {
    actor.require(Operation::ConfirmReconcile)?;
    let started = app
        .store()
        .write(async |tx: &mut Tx| -> Result<u64, AppError> {
            tx.put_setting(RESTORE_NOTICED, &Value::Bool(false)).await?;
            let mut started = 0;
            let mut page = PageQuery::first(200);
            loop {
                let found = tx.list_integrations(&IntegrationFilter::default(), &page).await?;
                let Some(last) = found.last() else { break };
                page.after = Some(PageKey::new(last.created_at, last.id.as_str()));
                for integration in found {
                    let Some(connector_id) = integration.connector_id else { continue };
                    let due = tx.now();
                    tx.enqueue_task(&NewTask {
                        integration_id: integration.id,
                        connector_id,
                        kind: TaskKind::Reconcile,
                        session_id: None,
                        due,
                        priority: 0,
                    })
                    .await?;
                    started += 1;
                }
            }
            let told = json!({ "runs_started": started });
            let action = "reconcile.confirmed";
            let installation = tx.installation_id().to_string();
            record(tx, &actor.audit(), action, "installation", &installation, told).await?;
            Ok(started)
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    Ok(started)
}
