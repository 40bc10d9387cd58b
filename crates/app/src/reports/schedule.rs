//! Reports that go out by themselves.

use jiff::Timestamp;
use latchkey_domain::{audit::AuditActor, ids::ReportId, report::ActivityReport};
use latchkey_store::{NewJob, Tx};
use serde_json::json;

use super::recipients;
use crate::{error::AppError, jobs, notifications, trail};

/// Writes the next occurrence after `after` into the report, and plans its job. The caller stores
/// the report.
pub(super) async fn plan(
    tx: &mut Tx,
    report: &mut ActivityReport,
    after: Timestamp,
) -> Result<(), AppError> {
    report.next_run_at = report.definition.next_run_after(after);
    let Some(at) = report.next_run_at else { return Ok(()) };
    tx.enqueue_job(&NewJob {
        kind: jobs::SEND_REPORT,
        dedupe_key: Some(jobs::report_key(&report.id, at)),
        payload: json!({ "report_id": report.id, "occurrence": at }),
        run_at: at,
    })
    .await?;
    Ok(())
}

/// Takes back what was planned.
pub(super) async fn unplan(tx: &mut Tx, report: &mut ActivityReport) -> Result<(), AppError> {
    if let Some(at) = report.next_run_at.take() {
        tx.cancel_job(&jobs::report_key(&report.id, at)).await?;
    }
    Ok(())
}

/// An occurrence has come: a mail for each recipient is queued, and the next occurrence planned.
/// Occurrences that nobody saw, because no server ran, are passed over; the last one still goes
/// out, about the period that it was for.
pub(crate) async fn occurrence_due(
    tx: &mut Tx,
    id: &ReportId,
    occurrence: Timestamp,
) -> Result<(), AppError> {
    let Some(mut report) = tx.lock_report(id).await? else { return Ok(()) };
    if report.next_run_at != Some(occurrence) {
        return Ok(());
    }
    let recipients = recipients(&report.definition);
    for recipient in &recipients {
        notifications::queue_report(tx, id, occurrence, recipient).await?;
    }
    let detail = json!({ "name": report.name, "occurrence": occurrence, "to": recipients });
    let id = report.id.to_string();
    let action = "activity_report.due";
    trail::record(tx, &AuditActor::System, action, "activity_report", &id, detail).await?;
    let after = tx.now().max(occurrence);
    plan(tx, &mut report, after).await?;
    tx.update_report(&report).await?;
    Ok(())
}
