//! Running a report: rows of activity into a file.
//!
//! CSV is read and written a page at a time, each page in a transaction of its own, so that a
//! long history needs neither memory nor a lock. A PDF is made whole, and refused when it would
//! be too long for anybody to read.

use std::collections::VecDeque;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use latchkey_domain::{
    activity::{ActivityField, ActivityFilter, ActivityRow},
    ids::ReportId,
    report::{ActivityReport, Period, ReportFormat},
};
use latchkey_reports::{Column, csv, pdf};
use latchkey_store::Tx;
use serde_json::json;

use super::file::{ReportFile, cells, columns, file_name, for_people};
use crate::{
    App,
    activity::activity_page,
    actor::Actor,
    authorization::Operation,
    error::{AppError, codes},
    paging::{MAX_LIMIT, PageRequest},
    trail,
};

/// Runs a report now, in the given format or its own. Who ran it is recorded: the file holds what
/// everybody asked for.
pub async fn run_report(
    app: &App,
    actor: &Actor,
    id: &ReportId,
    format: Option<ReportFormat>,
) -> Result<ReportFile, AppError> {
    actor.require(Operation::RunReports)?;
    let found = app.store().read(async |tx| tx.find_report(id).await).await?;
    run(app, actor, found.ok_or_else(AppError::not_found)?, format).await
}

/// The same for a report that is named, or whose id is given.
pub async fn run_report_named(
    app: &App,
    actor: &Actor,
    name: &str,
    format: Option<ReportFormat>,
) -> Result<ReportFile, AppError> {
    actor.require(Operation::RunReports)?;
    let found = app
        .store()
        .read(async |tx: &mut Tx| -> Result<_, AppError> {
            match tx.find_report_by_name(name).await? {
                Some(report) => Ok(Some(report)),
                None => Ok(tx.find_report(&ReportId::new(name)).await?),
            }
        })
        .await?;
    let report = found.ok_or_else(|| AppError {
        message: format!("there is no report with the name or id \"{name}\""),
        ..AppError::not_found()
    })?;
    run(app, actor, report, format).await
}

async fn run(
    app: &App,
    actor: &Actor,
    report: ActivityReport,
    format: Option<ReportFormat>,
) -> Result<ReportFile, AppError> {
    let format = format.unwrap_or_else(|| report.definition.format());
    let run = Run::of(app, report, app.clock().now());
    let file = run.file(format).await?;
    let detail = json!({
        "name": run.report.name, "format": format.as_str(),
        "from": run.period.from, "until": run.period.until,
    });
    let id = run.report.id.as_str();
    app.store()
        .write(async |tx: &mut Tx| {
            let action = "activity_report.run";
            trail::record(tx, &actor.audit(), action, "activity_report", id, detail).await
        })
        .await?;
    Ok(file)
}

/// What goes with the mail of a report.
pub(crate) enum MailFile {
    /// The file, and whether it is CSV because it would have been too long for a PDF.
    Attached {
        /// Its name.
        name: String,
        /// Its media type.
        media_type: &'static str,
        /// Its bytes.
        content: Vec<u8>,
        /// Whether a PDF was wanted and would have been too long.
        too_long_for_pdf: bool,
    },
    /// It is larger than a mail may be.
    TooLarge,
}

/// The file of a report for the period of `occurrence`, if it has at most `limit` bytes.
pub(crate) async fn file_for_mail(
    app: &App,
    report: ActivityReport,
    occurrence: Timestamp,
    limit: usize,
) -> Result<(Period, MailFile), AppError> {
    let wanted = report.definition.format();
    let run = Run::of(app, report, occurrence);
    let (file, too_long_for_pdf) = match run.file(wanted).await {
        Err(error) if wanted == ReportFormat::Pdf && error.code == codes::REPORT_TOO_LONG => {
            (run.file(ReportFormat::Csv).await?, true)
        }
        other => (other?, false),
    };
    let ReportFile { name, media_type, mut body, .. } = file;
    let mut content = Vec::new();
    while let Some(piece) = body.try_next().await? {
        content.extend(piece);
        if content.len() > limit {
            return Ok((run.period, MailFile::TooLarge));
        }
    }
    Ok((run.period, MailFile::Attached { name, media_type, content, too_long_for_pdf }))
}

/// One run of a report.
#[derive(Clone)]
struct Run {
    app: App,
    report: ActivityReport,
    period: Period,
    filter: ActivityFilter,
}

impl Run {
    fn of(app: &App, report: ActivityReport, now: Timestamp) -> Self {
        let period = report.definition.timeframe.period(now);
        let filter = report.definition.activity_filter(now);
        Self { app: app.clone(), report, period, filter }
    }

    async fn file(&self, format: ReportFormat) -> Result<ReportFile, AppError> {
        let fields = self.report.definition.fields().to_vec();
        let columns = columns(&fields, format);
        let (media_type, body) = match format {
            ReportFormat::Csv => {
                let head = csv::head(&columns).map_err(AppError::internal);
                (csv::MEDIA_TYPE, stream::iter([head]).chain(self.csv(fields)).boxed())
            }
            ReportFormat::Pdf => {
                let file = self.pdf(&fields, columns).await?;
                (pdf::MEDIA_TYPE, stream::iter([Ok(file)]).boxed())
            }
        };
        let name = file_name(&self.report, self.period, format);
        Ok(ReportFile { name, report: self.report.name.clone(), format, media_type, body })
    }

    /// The lines below the head, a piece a page.
    fn csv(
        &self,
        fields: Vec<ActivityField>,
    ) -> impl futures::Stream<Item = Result<Vec<u8>, AppError>> + use<> {
        self.pages().map(move |page| {
            let rows = page?;
            let rows = rows.iter().map(|row| cells(row, &fields, ReportFormat::Csv));
            csv::rows(rows).map_err(AppError::internal)
        })
    }

    /// Every page of rows, read when it is asked for.
    fn pages(&self) -> impl futures::Stream<Item = Result<Vec<ActivityRow>, AppError>> + use<> {
        let first = Some(PageRequest { after: None, limit: MAX_LIMIT });
        let start = (self.app.clone(), self.filter.clone(), first);
        stream::try_unfold(start, async |(app, filter, page)| {
            let Some(page) = page else { return Ok(None) };
            let read = app
                .store()
                .read(async |tx: &mut Tx| activity_page(tx, &filter, &page).await)
                .await?;
            let next = read.next.map(|after| PageRequest { after: Some(after), ..page });
            Ok(Some((read.items, (app, filter, next))))
        })
    }

    async fn pdf(
        &self,
        fields: &[ActivityField],
        columns: Vec<Column>,
    ) -> Result<Vec<u8>, AppError> {
        let mut rows: VecDeque<Vec<String>> = VecDeque::new();
        let mut pages = std::pin::pin!(self.pages());
        while let Some(page) = pages.try_next().await? {
            rows.extend(page.iter().map(|row| cells(row, fields, ReportFormat::Pdf)));
            if rows.len() > pdf::MOST_ROWS {
                return Err(too_long());
            }
        }
        let about = self.about(rows.len());
        let made = tokio::task::spawn_blocking(move || {
            let mut table = pdf::Table::new(about, columns)?;
            for row in rows {
                table.row(&row)?;
            }
            table.finish()
        });
        match made.await.map_err(AppError::internal)? {
            Err(pdf::PdfError::TooManyRows) => Err(too_long()),
            made => made.map_err(AppError::internal),
        }
    }

    fn about(&self, rows: usize) -> pdf::About {
        let made_at = self.app.clock().now();
        let Period { from, until } = self.period;
        let mut lines =
            vec![format!("Period: {} to {} (UTC)", for_people(from), for_people(until))];
        let filters: Vec<String> = self
            .report
            .definition
            .filters
            .lists()
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{} {}", name.replace('_', " "), values.join(", ")))
            .collect();
        if !filters.is_empty() {
            lines.push(format!("Only: {}", filters.join("; ")));
        }
        lines.push(format!("Rows: {rows}. Made by Latchkey at {} (UTC).", for_people(made_at)));
        pdf::About { title: self.report.name.clone(), lines, made_at }
    }
}

fn too_long() -> AppError {
    AppError::refused(
        codes::REPORT_TOO_LONG,
        format!(
            "the report has more than {} rows, too many for a PDF; narrow it, or take format=csv",
            pdf::MOST_ROWS
        ),
    )
}
