//! Activity reports: saved questions about activity, run by hand or by a schedule.
//!
//! A report is a definition; nothing is kept of what a run found. Invariant: a report with a
//! schedule has exactly one open job, for the occurrence that is written in its row. A job for
//! any other occurrence finds that and does nothing, so a report that was changed in between goes
//! out neither twice nor at a time that no longer counts.

mod file;
mod run;
mod schedule;

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::ReportId,
    people::normalize_email,
    report::{ActivityReport, ReportDefinition},
};
use latchkey_store::{PageKey, TextMatch, Tx};
use serde_json::json;

pub use file::ReportFile;
pub(crate) use run::{MailFile, file_for_mail};
pub use run::{run_report, run_report_named};
pub(crate) use schedule::occurrence_due;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    paging::{Page, PageRequest},
    texts, trail,
};

/// A report to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveReport {
    /// Unique without letter case.
    pub name: String,
    /// What it says.
    pub definition: ReportDefinition,
}

/// Lists reports in order of creation.
pub async fn list_reports(
    app: &App,
    actor: &Actor,
    name: Option<TextMatch>,
    page: &PageRequest,
) -> Result<Page<ActivityReport>, AppError> {
    actor.require(Operation::ReadReports)?;
    app.store()
        .read(async |tx| {
            let rows = tx.list_reports(name.as_ref(), &page.query()).await?;
            Ok(page.page(rows, |report| PageKey::new(report.created_at, report.id.as_str())))
        })
        .await
}

/// Reads one report.
pub async fn get_report(
    app: &App,
    actor: &Actor,
    id: &ReportId,
) -> Result<ActivityReport, AppError> {
    actor.require(Operation::ReadReports)?;
    app.store().read(async |tx| tx.find_report(id).await?.ok_or_else(AppError::not_found)).await
}

/// Saves a new report. 400 naming what it cannot say; 409 if the name is taken.
pub async fn create_report(
    app: &App,
    actor: &Actor,
    command: SaveReport,
) -> Result<ActivityReport, AppError> {
    actor.require(Operation::ManageReports)?;
    check(&command)?;
    app.store()
        .write(async |tx| {
            name_is_free(tx, &command.name, None).await?;
            let now = tx.now();
            let mut report = ActivityReport {
                id: ReportId::generate(now, app.rng()),
                name: command.name,
                definition: command.definition,
                created_at: now,
                updated_at: now,
                next_run_at: None,
            };
            schedule::plan(tx, &mut report, now).await?;
            tx.insert_report(&report).await?;
            record(tx, actor, "activity_report.created", &report).await?;
            Ok(report)
        })
        .await
}

/// Replaces a report. An occurrence that was planned gives way to the next one of the new
/// schedule.
pub async fn update_report(
    app: &App,
    actor: &Actor,
    id: &ReportId,
    command: SaveReport,
) -> Result<ActivityReport, AppError> {
    actor.require(Operation::ManageReports)?;
    check(&command)?;
    app.store()
        .write(async |tx| {
            let mut report = tx.lock_report(id).await?.ok_or_else(AppError::not_found)?;
            name_is_free(tx, &command.name, Some(id)).await?;
            schedule::unplan(tx, &mut report).await?;
            let now = tx.now();
            report.name = command.name;
            report.definition = command.definition;
            report.updated_at = now;
            schedule::plan(tx, &mut report, now).await?;
            tx.update_report(&report).await?;
            record(tx, actor, "activity_report.updated", &report).await?;
            Ok(report)
        })
        .await
}

/// Deletes a report; what was planned of it does not go out.
pub async fn delete_report(
    app: &App,
    actor: &Actor,
    id: &ReportId,
) -> Result<ActivityReport, AppError> {
    actor.require(Operation::ManageReports)?;
    app.store()
        .write(async |tx| {
            let mut report = tx.lock_report(id).await?.ok_or_else(AppError::not_found)?;
            schedule::unplan(tx, &mut report).await?;
            tx.delete_report(id).await?;
            record(tx, actor, "activity_report.deleted", &report).await?;
            Ok(report)
        })
        .await
}

fn check(command: &SaveReport) -> Result<(), AppError> {
    let mut errors = Vec::new();
    errors.extend(texts::check_name("name", &command.name).err());
    for problem in command.definition.problems() {
        errors.push(FieldError::new(problem.field, problem.message));
    }
    for (name, values) in command.definition.filters.lists() {
        for (at, value) in values.iter().enumerate() {
            errors.extend(texts::check_line(&format!("filters.{name}[{at}]"), value).err());
        }
    }
    let schedule = command.definition.schedule.iter();
    for (at, recipient) in schedule.flat_map(|schedule| &schedule.recipients).enumerate() {
        let field = format!("schedule.recipients[{at}]");
        errors.extend(texts::check_email(&field, recipient).err());
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}

async fn name_is_free(tx: &mut Tx, name: &str, except: Option<&ReportId>) -> Result<(), AppError> {
    let owner = tx.find_report_by_name(name).await?;
    texts::name_is_free("report", name, owner.as_ref().map(|other| &other.id), except)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    report: &ActivityReport,
) -> Result<(), AppError> {
    let detail = json!({ "name": report.name, "definition": report.definition });
    let id = report.id.as_str();
    trail::record(tx, &actor.audit(), action, "activity_report", id, detail).await
}

/// The addresses a report goes to, each once.
pub(crate) fn recipients(definition: &ReportDefinition) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = definition.schedule.iter().flat_map(|schedule| &schedule.recipients);
    all.filter(|address| seen.insert(normalize_email(address))).cloned().collect()
}
