//! `/api/admin/v1/activity-reports`: saved reports of activity, and running them.

mod wire;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    reports::{self, SaveReport},
    wildcard::text_match,
};
use latchkey_domain::{ids::ReportId, report::ReportFormat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::wire::{ActivityReport, ActivityReportInput};
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{ManageReports, May, ReadReports, RunReports},
    documentation::{conflicts, described},
    error::ApiError,
    file::FileReply,
    paging::{Listing, PageOf},
    query::{Id, Query},
};

const TAG: &str = "Activity Reports";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/admin/v1/activity-reports{rest}");
    ApiRouter::new().api_route(&path(""), collection()).api_route(&path("/{id}"), one()).api_route(
        &path("/{id}/run"),
        get_with(run, |op| {
            let summary = "Run a report now and read its file; CSV comes as it is made, and \
                               has no limit.";
            described(op, "Latchkey", "runActivityReport", summary)
        }),
    )
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listActivityReportsV1", "Page through saved reports, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Save a report; one with a schedule goes out from its next occurrence on.";
        conflicts(described(op, TAG, "createActivityReportV1", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read = get_with(read, |op| {
        described(op, TAG, "getActivityReportV1", "Read one report definition.")
    });
    let replace = read.put_with(replace, |op| {
        let summary = "Replace a report definition; what is left out is cleared.";
        conflicts(described(op, TAG, "updateActivityReportV1", summary), "The name is taken.")
    });
    replace.delete_with(remove, |op| {
        described(op, TAG, "deleteActivityReportV1", "Delete a report definition.")
    })
}

/// What to keep of the reports.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Report name; asterisks at the ends match anything, case is ignored.
    name: Option<String>,
}

/// How to run a report.
#[derive(Debug, Deserialize, JsonSchema)]
struct RunParameters {
    /// `csv` or `pdf`; the report's own when left out.
    format: Option<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadReports>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<ActivityReport>>, ApiError> {
    let name = listing.filters.name.as_deref().map(text_match);
    let page = reports::list_reports(&app, &actor, name, &listing.page).await?;
    Ok(listing.reply(page, ActivityReport::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageReports>,
    Body(input): Body<ActivityReportInput>,
) -> Result<Reply<ActivityReport>, ApiError> {
    let command = SaveReport::try_from(input)?;
    Ok(Reply(reports::create_report(&app, &actor, command).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadReports>,
    Id(id): Id,
) -> Result<Reply<ActivityReport>, ApiError> {
    Ok(Reply(reports::get_report(&app, &actor, &ReportId::new(id)).await?.into()))
}

async fn replace(
    State(app): State<App>,
    May(actor, ..): May<ManageReports>,
    Id(id): Id,
    Body(input): Body<ActivityReportInput>,
) -> Result<Reply<ActivityReport>, ApiError> {
    let command = SaveReport::try_from(input)?;
    Ok(Reply(reports::update_report(&app, &actor, &ReportId::new(id), command).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageReports>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    let report = reports::delete_report(&app, &actor, &ReportId::new(id)).await?;
    Ok(Message::reply(format!("the report \"{}\" is deleted", report.name)))
}

async fn run(
    State(app): State<App>,
    May(actor, ..): May<RunReports>,
    Id(id): Id,
    Query(parameters): Query<RunParameters>,
) -> Result<FileReply, ApiError> {
    let format = parameters.format.map(|word| word.parse::<ReportFormat>()).transpose();
    let format = format.map_err(|unknown| ApiError::field("format", unknown.to_string()))?;
    Ok(FileReply(reports::run_report(&app, &actor, &ReportId::new(id), format).await?))
}
