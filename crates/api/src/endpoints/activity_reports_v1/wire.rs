//! The wire shapes of activity reports. What was sent comes back unchanged: absent blocks and
//! lists stay null, orders are kept.

use latchkey_app::reports::SaveReport;
use latchkey_domain::report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    time::Timestamp,
    words::{RelativeUnit, ReportField, ReportFormat},
};

/// Saved activity report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ActivityReport {
    /// Report id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Columns; null means all.
    pub fields: Option<Vec<ReportField>>,
    /// Which rows.
    pub filters: ReportFilters,
    /// Over which period.
    pub timeframe: ReportTimeframe,
    /// When it goes out, and to whom; null for a report that is run by hand.
    pub schedule: Option<ReportSchedule>,
    /// Kind of file; null means csv.
    pub format: Option<ReportFormat>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was last changed; at first when it was made.
    pub update_date: Timestamp,
}

/// Full report to store. What is left out is cleared.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ActivityReportInput {
    /// Unique display name.
    #[schemars(extend("minLength" = 1))]
    pub name: String,
    /// Columns, each once; all when left out.
    pub fields: Option<Vec<ReportField>>,
    /// Which rows; `{}` for all.
    pub filters: ReportFilters,
    /// Over which period.
    pub timeframe: ReportTimeframeInput,
    /// When it goes out, and to whom.
    pub schedule: Option<ReportSchedule>,
    /// Kind of file; csv when left out.
    pub format: Option<ReportFormat>,
}

/// Row filters; members narrow together, values within one member are alternatives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReportFilters {
    /// Who asked: user id, e-mail address, or id in the identity source.
    pub requestor_source_ids: Option<Vec<String>>,
    /// For whom, named the same ways.
    pub grantee_source_ids: Option<Vec<String>>,
    /// Kinds of grantees; there is one, `user`.
    pub grantee_identity_types: Option<Vec<String>>,
    /// Integration ids.
    pub integration_ids: Option<Vec<String>>,
    /// Permission names.
    pub permission_names: Option<Vec<String>>,
    /// Resource ids or names.
    pub resource_ids: Option<Vec<String>>,
    /// Resource types.
    pub resource_types: Option<Vec<String>>,
    /// States, in the words of requests, in any letter case.
    pub statuses: Option<Vec<String>>,
    /// `SELF_SERVE` or `AUTOMATIC`, in any letter case.
    pub trigger_types: Option<Vec<String>>,
    /// Access flow ids.
    pub access_flow_ids: Option<Vec<String>>,
}

/// Period of a report; one member is filled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportTimeframe {
    /// Fixed window.
    pub absolute: Option<AbsoluteTimeframe>,
    /// Sliding window.
    pub relative: Option<RelativeTimeframe>,
}

/// Period of a report; fill exactly one member.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReportTimeframeInput {
    /// Fixed window.
    pub absolute: Option<AbsoluteTimeframe>,
    /// Sliding window.
    pub relative: Option<RelativeTimeframeInput>,
}

/// Fixed window: from the first instant to before the second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct AbsoluteTimeframe {
    /// The first instant in it.
    pub start_date: Timestamp,
    /// The first instant after it.
    pub end_date: Timestamp,
}

/// Sliding window, in UTC; it ends when the report is run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RelativeTimeframe {
    /// How many units to look back.
    #[schemars(extend("minimum" = 1))]
    pub last: i32,
    /// Of what.
    pub unit: RelativeUnit,
    /// Whether it starts at the beginning of the unit.
    pub rounded: bool,
}

/// Sliding window, in UTC; it ends when the report is run.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RelativeTimeframeInput {
    /// How many units to look back.
    #[schemars(extend("minimum" = 1))]
    pub last: i32,
    /// Of what.
    pub unit: RelativeUnit,
    /// Whether it starts at the beginning of the unit.
    #[serde(default)]
    pub rounded: bool,
}

/// Delivery plan.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReportSchedule {
    /// Five-field cron line, in UTC.
    #[schemars(extend("examples" = ["0 9 * * 1-5"]))]
    pub cron_expression: String,
    /// Mail addresses that get the file; at least one.
    pub recipients: Vec<String>,
}

impl TryFrom<ActivityReportInput> for SaveReport {
    type Error = ApiError;

    fn try_from(input: ActivityReportInput) -> Result<Self, ApiError> {
        let timeframe = match (input.timeframe.absolute, input.timeframe.relative) {
            (Some(fixed), None) => report::ReportTimeframe::Absolute {
                start: fixed.start_date.0,
                end: fixed.end_date.0,
            },
            (None, Some(sliding)) => report::ReportTimeframe::Relative {
                last: u32::try_from(sliding.last).ok().filter(|last| *last > 0).ok_or_else(
                    || ApiError::field("timeframe.relative.last", "must be 1 or more"),
                )?,
                unit: sliding.unit.into(),
                rounded: sliding.rounded,
            },
            _ => {
                return Err(ApiError::field("timeframe", "fill exactly one: absolute or relative"));
            }
        };
        let definition = report::ReportDefinition {
            fields: input.fields.map(|fields| fields.into_iter().map(Into::into).collect()),
            filters: input.filters.into(),
            timeframe,
            schedule: input.schedule.map(|plan| report::ReportSchedule {
                cron_expression: plan.cron_expression,
                recipients: plan.recipients,
            }),
            format: input.format.map(Into::into),
        };
        Ok(Self { name: input.name, definition })
    }
}

impl From<report::ActivityReport> for ActivityReport {
    fn from(saved: report::ActivityReport) -> Self {
        let definition = saved.definition;
        Self {
            id: saved.id.into(),
            name: saved.name,
            fields: definition.fields.map(|fields| fields.into_iter().map(Into::into).collect()),
            filters: definition.filters.into(),
            timeframe: definition.timeframe.into(),
            schedule: definition.schedule.map(|plan| ReportSchedule {
                cron_expression: plan.cron_expression,
                recipients: plan.recipients,
            }),
            format: definition.format.map(Into::into),
            creation_date: saved.created_at.into(),
            update_date: saved.updated_at.into(),
        }
    }
}

impl From<report::ReportTimeframe> for ReportTimeframe {
    fn from(timeframe: report::ReportTimeframe) -> Self {
        match timeframe {
            report::ReportTimeframe::Absolute { start, end } => {
                let fixed = AbsoluteTimeframe { start_date: start.into(), end_date: end.into() };
                Self { absolute: Some(fixed), relative: None }
            }
            report::ReportTimeframe::Relative { last, unit, rounded } => {
                let last = i32::try_from(last).unwrap_or(i32::MAX);
                let sliding = RelativeTimeframe { last, unit: unit.into(), rounded };
                Self { absolute: None, relative: Some(sliding) }
            }
        }
    }
}

/// The same lists under the same names, on both sides.
macro_rules! same_lists {
    ($($name:ident),* $(,)?) => {
        impl From<ReportFilters> for report::ReportFilters {
            fn from(filters: ReportFilters) -> Self {
                Self { $($name: filters.$name),* }
            }
        }

        impl From<report::ReportFilters> for ReportFilters {
            fn from(filters: report::ReportFilters) -> Self {
                Self { $($name: filters.$name),* }
            }
        }
    };
}
same_lists! {
    requestor_source_ids, grantee_source_ids, grantee_identity_types, integration_ids,
    permission_names, resource_ids, resource_types, statuses, trigger_types, access_flow_ids,
}
