//! Activity reports: which rows of activity, over which period, in which file, and when it goes
//! out to whom.
//!
//! The shapes follow the wire format, because clients expect to read back what they wrote; the
//! rules are in [`ReportDefinition::problems`].

use std::str::FromStr;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    RoundMode, Span, Timestamp, TimestampRound, ToSpan, Unit, civil::DateTime, tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use crate::{
    activity::{ActivityField, ActivityFilter},
    flow::FlowTrigger,
    ids::{FlowId, IntegrationId, ReportId},
    people::UnknownWord,
    request::RequestState,
};

/// A saved report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityReport {
    /// Never reused.
    pub id: ReportId,
    /// Unique without letter case.
    pub name: String,
    /// What it says.
    pub definition: ReportDefinition,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it goes out next; `None` without a schedule.
    pub next_run_at: Option<Timestamp>,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportDefinition {
    /// The columns in this order; `None` for all.
    pub fields: Option<Vec<ActivityField>>,
    /// Which rows.
    pub filters: ReportFilters,
    /// Over which period.
    pub timeframe: ReportTimeframe,
    /// When it goes out, and to whom; `None` for a report that is run by hand only.
    pub schedule: Option<ReportSchedule>,
    /// In which kind of file; `None` for CSV.
    pub format: Option<ReportFormat>,
}

/// Which rows. Absent and empty lists hold for all; the texts are kept as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFilters {
    /// Who asked: id, address, or id in the identity source.
    pub requestor_source_ids: Option<Vec<String>>,
    /// For whom, named the same ways.
    pub grantee_source_ids: Option<Vec<String>>,
    /// Kinds of grantees.
    pub grantee_identity_types: Option<Vec<String>>,
    /// Integrations, by id.
    pub integration_ids: Option<Vec<String>>,
    /// Permissions, by name.
    pub permission_names: Option<Vec<String>>,
    /// Resources, by id or name.
    pub resource_ids: Option<Vec<String>>,
    /// Resource types.
    pub resource_types: Option<Vec<String>>,
    /// States, in the words of v4.
    pub statuses: Option<Vec<String>>,
    /// Asked for, or automatic.
    pub trigger_types: Option<Vec<String>>,
    /// Access flows, by id.
    pub access_flow_ids: Option<Vec<String>>,
}

/// Over which period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportTimeframe {
    /// From the first instant to before the second.
    Absolute {
        /// The first instant in it.
        start: Timestamp,
        /// The first instant after it.
        end: Timestamp,
    },
    /// Back from when the report is run, in UTC.
    Relative {
        /// How many units, at least 1.
        last: u32,
        /// Of what.
        unit: RelativeUnit,
        /// Whether it starts at the beginning of the unit.
        rounded: bool,
    },
}

/// What a relative period is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelativeUnit {
    /// Hours.
    Hour,
    /// Days.
    Day,
    /// Months of the calendar.
    Month,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// For programs and spreadsheets.
    Csv,
    /// For people and printers.
    Pdf,
}

impl ReportFormat {
    /// The word on the wire, and the ending of a file's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Pdf => "pdf",
        }
    }
}

impl FromStr for ReportFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Csv, Self::Pdf].into_iter().find(|format| format.as_str() == word).ok_or_else(|| {
            UnknownWord::new("format", word, [Self::Csv, Self::Pdf].map(Self::as_str))
        })
    }
}

/// When a report goes out, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSchedule {
    /// Minute, hour, day of the month, month, day of the week; in UTC. As sent.
    pub cron_expression: String,
    /// Addresses, as sent.
    pub recipients: Vec<String>,
}

/// From the first instant to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant in it.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

/// Something that a report cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportProblem {
    /// The member at fault, as a path.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The most values one filter has.
const MOST_VALUES: usize = 1000;
/// The most addresses a report goes to.
const MOST_RECIPIENTS: usize = 100;

impl ReportDefinition {
    /// The columns in force.
    pub fn fields(&self) -> &[ActivityField] {
        self.fields.as_deref().unwrap_or(ActivityField::ALL)
    }

    /// The kind of file in force.
    pub fn format(&self) -> ReportFormat {
        self.format.unwrap_or(ReportFormat::Csv)
    }

    /// Everything that is wrong with it. Addresses are for the caller to check.
    pub fn problems(&self) -> Vec<ReportProblem> {
        let mut found = Vec::new();
        let mut say = |field: &str, message: String| {
            found.push(ReportProblem { field: field.to_owned(), message });
        };
        if let Some(fields) = &self.fields {
            if fields.is_empty() {
                say("fields", "name at least one column, or leave it out for all".to_owned());
            }
            for (at, field) in fields.iter().enumerate() {
                if fields.iter().take(at).any(|other| other == field) {
                    say(&format!("fields[{at}]"), "is named twice".to_owned());
                }
            }
        }
        match self.timeframe {
            ReportTimeframe::Absolute { start, end } if start >= end => {
                say("timeframe.absolute.end_date", "must be after start_date".to_owned());
            }
            ReportTimeframe::Relative { last: 0, .. } => {
                say("timeframe.relative.last", "must be 1 or more".to_owned());
            }
            _ => {}
        }
        for (name, values) in self.filters.lists() {
            if values.len() > MOST_VALUES {
                say(&format!("filters.{name}"), format!("has more than {MOST_VALUES} values"));
            }
        }
        for (at, word) in self.filters.statuses.iter().flatten().enumerate() {
            if let Err(unknown) = RequestState::from_wire_word(word) {
                say(&format!("filters.statuses[{at}]"), unknown.to_string());
            }
        }
        for (at, word) in self.filters.trigger_types.iter().flatten().enumerate() {
            if let Err(unknown) = FlowTrigger::parse(word) {
                say(&format!("filters.trigger_types[{at}]"), unknown.to_string());
            }
        }
        if let Some(schedule) = &self.schedule {
            if let Err(message) = Occurrences::parse(&schedule.cron_expression) {
                say("schedule.cron_expression", message);
            }
            match schedule.recipients.len() {
                0 => say("schedule.recipients", "name at least one address".to_owned()),
                1..=MOST_RECIPIENTS => {}
                _ => say(
                    "schedule.recipients",
                    format!("has more than {MOST_RECIPIENTS} addresses; use a mailing list"),
                ),
            }
        }
        found
    }

    /// When it goes out next after `now`; `None` without a schedule.
    pub fn next_run_after(&self, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.schedule.as_ref()?;
        Occurrences::parse(&schedule.cron_expression).ok()?.next_after(now)
    }

    /// The rows it asks for when it is run at `now`.
    pub fn activity_filter(&self, now: Timestamp) -> ActivityFilter {
        let filters = &self.filters;
        let given = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let Period { from, until } = self.timeframe.period(now);
        // Words that were checked when the report was saved.
        let states = filters.statuses.iter().flatten();
        let states = states.filter_map(|word| RequestState::from_wire_word(word).ok()).flatten();
        let triggers = filters.trigger_types.iter().flatten();
        let ids = |list: &Option<Vec<String>>| list.clone().into_iter().flatten();
        ActivityFilter {
            from: Some(from),
            until: Some(until),
            access_flow_ids: ids(&filters.access_flow_ids).map(FlowId::new).collect(),
            request_ids: Vec::new(),
            requestors: given(&filters.requestor_source_ids),
            grantees: given(&filters.grantee_source_ids),
            grantee_types: given(&filters.grantee_identity_types),
            integration_ids: ids(&filters.integration_ids).map(IntegrationId::new).collect(),
            resource_types: given(&filters.resource_types),
            resources: given(&filters.resource_ids),
            permissions: given(&filters.permission_names),
            states: states.collect(),
            triggers: triggers.filter_map(|word| FlowTrigger::parse(word).ok()).collect(),
        }
    }
}

impl ReportFilters {
    /// Every list, by its name on the wire.
    pub fn lists(&self) -> Vec<(&'static str, &[String])> {
        [
            ("requestor_source_ids", &self.requestor_source_ids),
            ("grantee_source_ids", &self.grantee_source_ids),
            ("grantee_identity_types", &self.grantee_identity_types),
            ("integration_ids", &self.integration_ids),
            ("permission_names", &self.permission_names),
            ("resource_ids", &self.resource_ids),
            ("resource_types", &self.resource_types),
            ("statuses", &self.statuses),
            ("trigger_types", &self.trigger_types),
            ("access_flow_ids", &self.access_flow_ids),
        ]
        .into_iter()
        .map(|(name, list)| (name, list.as_deref().unwrap_or_default()))
        .collect()
    }
}

impl ReportTimeframe {
    /// The period of a run at `now`. One that would begin before 1970 begins there: there is
    /// nothing older.
    pub fn period(self, now: Timestamp) -> Period {
        match self {
            Self::Absolute { start, end } => Period { from: start, until: end },
            Self::Relative { last, unit, rounded } => {
                let from = back(now, last, unit, rounded).unwrap_or(Timestamp::UNIX_EPOCH);
                Period { from: from.max(Timestamp::UNIX_EPOCH), until: now }
            }
        }
    }
}

fn back(now: Timestamp, last: u32, unit: RelativeUnit, rounded: bool) -> Option<Timestamp> {
    let span = match unit {
        RelativeUnit::Hour => Span::new().try_hours(last).ok()?,
        RelativeUnit::Day => Span::new().try_days(last).ok()?,
        RelativeUnit::Month => Span::new().try_months(last).ok()?,
    };
    let then = now.to_zoned(TimeZone::UTC).checked_sub(span).ok()?;
    if !rounded {
        return Some(then.timestamp());
    }
    let begin = match unit {
        RelativeUnit::Hour => {
            let hours = TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Floor);
            return then.timestamp().round(hours).ok();
        }
        RelativeUnit::Day => then.start_of_day().ok()?,
        RelativeUnit::Month => then.first_of_month().ok()?.start_of_day().ok()?,
    };
    Some(begin.timestamp())
}

/// The instants that a cron line names, in UTC.
#[derive(Debug, Clone)]
pub struct Occurrences(Cron);

impl Occurrences {
    /// Reads a line of five fields: minute, hour, day of the month, month, day of the week. The
    /// error says what is wrong.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields = line.split_ascii_whitespace().count();
        if fields != 5 || line.len() > 255 {
            return Err(format!(
                "has {fields} fields; write five: minute, hour, day of the month, month, day of \
                 the week, such as 0 9 * * 1-5"
            ));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(line).map_err(|error| format!("is no cron line: {error}"))?;
        let occurrences = Self(cron);
        match occurrences.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(occurrences),
            None => Err("names a day that never comes".to_owned()),
        }
    }

    /// The first instant after `now`.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        // Occurrences are whole minutes, so looking from the minute's beginning loses nothing and
        // keeps fractions of seconds out of the answer.
        let minutes = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Floor);
        let minute: DateTime = TimeZone::UTC.to_datetime(now.round(minutes).ok()?);
        let next = self.0.find_next_occurrence(&minute, false).ok()?;
        // A day that comes too rarely would be found centuries from now.
        let next = TimeZone::UTC.to_timestamp(next).ok()?;
        let horizon = now.to_zoned(TimeZone::UTC).checked_add(50.years()).ok()?;
        (next <= horizon.timestamp()).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(line: &str, now: &str) -> String {
        Occurrences::parse(line).unwrap().next_after(at(now)).unwrap().to_string()
    }

    #[test]
    fn cron_lines_are_read_in_utc() {
        assert_eq!(next("0 9 * * 1-5", "2026-01-02T09:00:00Z"), "2026-01-05T09:00:00Z");
        assert_eq!(next("0 9 * * 1-5", "2026-01-02T08:59:59.999Z"), "2026-01-02T09:00:00Z");
        assert_eq!(next("*/15 * * * *", "2026-01-02T08:59:59Z"), "2026-01-02T09:00:00Z");
        assert_eq!(next("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next("0 0 1 * *", "2026-12-31T23:59:30Z"), "2027-01-01T00:00:00Z");
        // Sunday is 0 and 7; a day of the month and one of the week are alternatives.
        assert_eq!(next("0 0 * * 7", "2026-01-02T00:00:00Z"), "2026-01-04T00:00:00Z");
        assert_eq!(next("0 0 13 * 5", "2026-01-03T00:00:00Z"), "2026-01-09T00:00:00Z");
        // A clock that is set forward somewhere moves nothing here.
        assert_eq!(next("30 2 * * *", "2026-03-29T00:00:00Z"), "2026-03-29T02:30:00Z");
    }

    #[test]
    fn lines_that_are_no_schedule_are_refused() {
        for line in
            ["", "* * * *", "* * * * * *", "@daily", "61 * * * *", "x * * * *", "0 0 31 2 *"]
        {
            assert!(Occurrences::parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn relative_periods_end_now_and_may_start_at_the_beginning_of_the_unit() {
        let now = at("2026-03-31T10:20:30Z");
        let from = |last, unit, rounded| {
            let period = ReportTimeframe::Relative { last, unit, rounded }.period(now);
            assert_eq!(period.until, now);
            period.from.to_string()
        };
        assert_eq!(from(2, RelativeUnit::Hour, false), "2026-03-31T08:20:30Z");
        assert_eq!(from(2, RelativeUnit::Hour, true), "2026-03-31T08:00:00Z");
        assert_eq!(from(30, RelativeUnit::Day, false), "2026-03-01T10:20:30Z");
        assert_eq!(from(30, RelativeUnit::Day, true), "2026-03-01T00:00:00Z");
        assert_eq!(from(1, RelativeUnit::Month, false), "2026-02-28T10:20:30Z");
        assert_eq!(from(1, RelativeUnit::Month, true), "2026-02-01T00:00:00Z");
        assert_eq!(from(u32::MAX, RelativeUnit::Month, true), "1970-01-01T00:00:00Z");
    }
}
