//! Storing what discovery and reconcile runs found.

use jiff::SignedDuration;
use latchkey_domain::{
    audit::AuditActor,
    ids::PermissionId,
    integration::{Integration, IntegrationStatus},
    inventory::Permission,
    provisioning::{Finding, Severity, TargetFault},
    settings::SettingSpec,
};
use latchkey_protocol::{Changes, DiscoveryPage, MOST_CHANGES, Reconciled};
use latchkey_store::{LeasedTask, NewJob, Tx};
use serde_json::json;

use super::presence::check_version;
use crate::{App, ConnectorActor, error::AppError, jobs, trail::record};

/// How soon a discovery run that failed is tried again.
const RETRY_SEC: i64 = 30;

/// Stores a page. Only the last page of a run may call anything gone.
pub(super) async fn store_page(
    tx: &mut Tx,
    _app: &App,
    actor: &AuditActor,
    task: &LeasedTask,
    page: &DiscoveryPage,
) -> Result<(), AppError> {
    let id = &task.integration_id;
    let Some(integration) = tx.find_integration(id).await? else {
        tx.finish_task(task).await?;
        return Ok(());
    };
    let run = match tx.find_sync(id).await? {
        Some(run) if page.page > 0 => run.id,
        // A first page begins anew: what an interrupted run recorded counts for nothing.
        _ => tx.begin_sync(id).await?,
    };
    tx.record_found(id, &run, &page.resources).await?;
    let now = tx.now();
    if !page.last {
        return Ok(());
    }
    tx.finish_sync(id, &run).await?;
    tx.put_permissions(id, &permissions_of(&integration)).await?;
    let (status, detail) = judge(&page.findings);
    let runs_again = tx.finish_task(task).await?;
    let shown = if runs_again { IntegrationStatus::Refreshing } else { status };
    tx.set_integration_status(id, shown, detail.as_deref(), Some(now)).await?;
    plan_next(tx, id.as_str(), jobs::SYNC_INTEGRATION, "sync_interval_sec").await?;
    plan_next(tx, id.as_str(), jobs::RECONCILE_INTEGRATION, "reconcile_interval_sec").await?;
    if status != integration.status && integration.status != IntegrationStatus::Refreshing {
        let told = json!({ "status": status.as_str(), "detail": detail });
        record(tx, actor, "integration.discovered", "integration", id.as_str(), told).await?;
    }
    Ok(())
}

/// Takes in what a connector saw change between two discovery runs. 404 for an integration that is
/// not this connector's. One that was never discovered as a whole is left to its first run.
pub async fn inventory_changed(
    app: &App,
    actor: &ConnectorActor,
    changes: Changes,
) -> Result<(), AppError> {
    check_version(changes.protocol)?;
    if changes.found.len() + changes.gone.len() > MOST_CHANGES {
        return Err(AppError::invalid(
            "found",
            format!("at most {MOST_CHANGES} changes in one message, with those in gone"),
        ));
    }
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let integration = tx.find_integration(&changes.integration_id).await?;
            let integration = integration
                .filter(|one| one.connector_id.as_ref() == Some(&actor.connector_id))
                .ok_or_else(AppError::not_found)?;
            if integration.last_sync_at.is_none() {
                return Ok(());
            }
            tx.record_changes(&integration.id, &changes.found, &changes.gone).await?;
            Ok(())
        })
        .await
}

/// The run failed: nothing is called gone, and it is tried again.
pub(super) async fn store_failed(
    tx: &mut Tx,
    actor: &AuditActor,
    task: &LeasedTask,
    fault: &TargetFault,
) -> Result<(), AppError> {
    let id = &task.integration_id;
    tx.abandon_sync(id).await?;
    let before = tx.find_integration(id).await?.map(|integration| integration.status);
    tx.set_integration_status(id, IntegrationStatus::Error, Some(&fault.message), None).await?;
    if before != Some(IntegrationStatus::Error) {
        let told = json!({ "message": fault.message });
        record(tx, actor, "integration.failed", "integration", id.as_str(), told).await?;
    }
    let due = tx
        .now()
        .saturating_add(SignedDuration::from_secs(RETRY_SEC))
        .map_err(AppError::internal)?;
    tx.retry_task(task, due, &fault.message).await?;
    Ok(())
}

/// Records every difference that a reconcile run found.
pub(super) async fn store_reconciled(
    tx: &mut Tx,
    actor: &AuditActor,
    task: &LeasedTask,
    found: &Reconciled,
) -> Result<(), AppError> {
    let id = task.integration_id.as_str();
    for drift in &found.drift {
        let told = json!({
            "subject": drift.subject,
            "message": drift.message,
            "removed": drift.removed,
        });
        record(tx, actor, "integration.drift_found", "integration", id, told).await?;
    }
    metrics::gauge!("latchkey_drift_findings", "integration_id" => id.to_owned())
        .set(f64::from(u32::try_from(found.drift.len()).unwrap_or(u32::MAX)));
    tx.finish_task(task).await?;
    plan_next(tx, id, jobs::RECONCILE_INTEGRATION, "reconcile_interval_sec").await
}

async fn plan_next(
    tx: &mut Tx,
    integration: &str,
    kind: &'static str,
    setting: &str,
) -> Result<(), AppError> {
    let spec = SettingSpec::get(setting).map_err(AppError::internal)?;
    let pause = tx.setting(spec).await?.as_i64().unwrap_or(3600);
    let run_at =
        tx.now().saturating_add(SignedDuration::from_secs(pause)).map_err(AppError::internal)?;
    tx.enqueue_job(&NewJob {
        kind,
        dedupe_key: Some(format!("{kind}:{integration}")),
        payload: json!({ "integration_id": integration }),
        run_at,
    })
    .await?;
    Ok(())
}

/// The permissions that the catalogue knows on the connected resource types.
fn permissions_of(integration: &Integration) -> Vec<Permission> {
    let Some(entry) = latchkey_catalog::find_type(&integration.integration_type) else {
        return Vec::new();
    };
    let connected = integration.connected_resource_types.as_deref();
    entry
        .resource_types
        .iter()
        .filter(|kind| connected.is_none_or(|names| names.iter().any(|name| name == kind.name)))
        .flat_map(|kind| {
            kind.permissions.iter().map(|permission| Permission {
                id: PermissionId::derive(&integration.id, kind.name, permission.name),
                integration_id: integration.id.clone(),
                resource_type: kind.name.to_owned(),
                name: permission.name.to_owned(),
                risk: None,
            })
        })
        .collect()
}

/// The status that findings lead to, and the text that tells them.
fn judge(findings: &[Finding]) -> (IntegrationStatus, Option<String>) {
    let worst = findings.iter().map(|finding| finding.severity).max();
    let status = match worst {
        None | Some(Severity::Advice) => IntegrationStatus::Active,
        Some(Severity::Warning) => IntegrationStatus::Warning,
        Some(Severity::Error) => IntegrationStatus::Error,
    };
    let texts: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    (status, (!texts.is_empty()).then(|| texts.join("\n")))
}
