//! A report's file: its name, its columns, and what stands in its cells.

use futures::stream::BoxStream;
use jiff::Timestamp;
use latchkey_domain::{
    activity::{ActivityField, ActivityRow},
    report::{ActivityReport, Period, ReportFormat},
};
use latchkey_reports::Column;

use crate::error::AppError;

/// A file that is being made.
pub struct ReportFile {
    /// A name for it: letters, digits, dashes and one dot.
    pub name: String,
    /// The report's own name.
    pub report: String,
    /// The kind of file.
    pub format: ReportFormat,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes, piece by piece. After an error nothing more comes, and what came is not whole.
    pub body: BoxStream<'static, Result<Vec<u8>, AppError>>,
}

impl std::fmt::Debug for ReportFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The file's name: what can be read of the report's, and the day on which its period ends.
pub(super) fn file_name(report: &ActivityReport, period: Period, format: ReportFormat) -> String {
    let mut name = String::new();
    for letter in report.name.chars().take(80) {
        match letter {
            letter if letter.is_ascii_alphanumeric() => name.push(letter.to_ascii_lowercase()),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "report" } else { name };
    format!("{name}-{}.{}", period.until.strftime("%Y-%m-%d"), format.as_str())
}

/// The columns: for programs by their names on the wire, for people in words.
pub(super) fn columns(fields: &[ActivityField], format: ReportFormat) -> Vec<Column> {
    let heading = |field: ActivityField| match format {
        ReportFormat::Csv => field.as_str().to_owned(),
        ReportFormat::Pdf => in_words(field.as_str()),
    };
    fields.iter().map(|field| Column::new(heading(*field), weight(*field))).collect()
}

fn in_words(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// A column's share of a page's width.
fn weight(field: ActivityField) -> u16 {
    match field {
        ActivityField::Resources | ActivityField::Justification => 8,
        ActivityField::RequestId
        | ActivityField::GranteeId
        | ActivityField::RequestorEmail
        | ActivityField::ApproverEmails
        | ActivityField::ApproverReason => 6,
        ActivityField::RequestorName
        | ActivityField::GranteeName
        | ActivityField::ApproverNames
        | ActivityField::Integration
        | ActivityField::AccessFlow
        | ActivityField::BundleName => 5,
        ActivityField::RequestDate
        | ActivityField::RequestGrantDate
        | ActivityField::RequestRevokeDate
        | ActivityField::ResourceType
        | ActivityField::Permissions
        | ActivityField::ResourcesStatus
        | ActivityField::TriggerType => 4,
        ActivityField::GranteeType
        | ActivityField::ApproverTypes
        | ActivityField::Status
        | ActivityField::ExtensionCount => 3,
    }
}

/// The cells of a row. Several texts of one cell stand beside each other, with a semicolon.
pub(super) fn cells(
    row: &ActivityRow,
    fields: &[ActivityField],
    format: ReportFormat,
) -> Vec<String> {
    fields.iter().map(|field| cell(row, *field, format)).collect()
}

fn cell(row: &ActivityRow, field: ActivityField, format: ReportFormat) -> String {
    let time = match field {
        ActivityField::RequestDate => Some(row.requested_at),
        ActivityField::RequestGrantDate => row.granted_at,
        ActivityField::RequestRevokeDate => row.revoked_at,
        _ => None,
    };
    match (time, format) {
        (Some(time), ReportFormat::Pdf) => for_people(time),
        _ => row.texts(field).join("; "),
    }
}

/// A time as people read it, in UTC.
pub(super) fn for_people(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use latchkey_domain::{
        ids::ReportId,
        report::{ReportDefinition, ReportFilters, ReportTimeframe},
    };

    use super::*;

    fn named(name: &str) -> String {
        let end = "2026-02-01T00:00:00Z".parse().unwrap();
        let report = ActivityReport {
            id: ReportId::new("x"),
            name: name.to_owned(),
            definition: ReportDefinition {
                fields: None,
                filters: ReportFilters::default(),
                timeframe: ReportTimeframe::Absolute { start: Timestamp::UNIX_EPOCH, end },
                schedule: None,
                format: None,
            },
            created_at: end,
            updated_at: end,
            next_run_at: None,
        };
        let period = report.definition.timeframe.period(end);
        file_name(&report, period, ReportFormat::Csv)
    }

    #[test]
    fn file_names_hold_nothing_that_a_shell_or_a_header_would_read() {
        assert_eq!(named("Access of March"), "access-of-march-2026-02-01.csv");
        assert_eq!(
            named("../../etc/passwd; rm -rf \"x\"\r\n"),
            "etc-passwd-rm-rf-x-2026-02-01.csv"
        );
        assert_eq!(named("報告"), "report-2026-02-01.csv");
    }
}
