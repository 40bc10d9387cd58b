//! `/api/v3/activity`: every request with its timeline, filtered, the whole list at once.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App, PageRequest,
    activity::{ActivityField, ActivityFilter, ActivityRow as Row, list_activity},
};
use latchkey_domain::{
    flow::FlowTrigger,
    ids::{FlowId, IntegrationId},
    request::RequestState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    caller::{May, ReadActivity},
    documentation::described,
    error::ApiError,
    query::Query,
    streaming::{WholeList, pages},
    words::ReportField,
};

/// How many requests are read in one go; each has up to 500 entitlements.
const STRIDE: u32 = 200;
/// From here on a number of the period is one of milliseconds: as seconds it would be in the year
/// 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/api/v3/activity",
        get_with(list, |op| {
            let summary = "List requests with their timeline, by period and filters, oldest \
                           first. A row is the part of a request that is in one integration and \
                           of one resource type.";
            described(op, "Activity", "listActivityV3", summary)
        }),
    )
}

/// Line of the activity log; columns that were not asked for are null.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ActivityRow {
    /// Request id.
    pub request_id: Option<String>,
    /// When it was filed, RFC 3339.
    pub request_date: Option<String>,
    /// Who asked.
    pub requestor_name: Option<String>,
    /// Their address.
    pub requestor_email: Option<String>,
    /// Integration name.
    pub integration: Option<String>,
    /// Resource type.
    pub resource_type: Option<String>,
    /// Names of the resources.
    pub resources: Option<Vec<String>>,
    /// Names of the permissions.
    pub permissions: Option<Vec<String>>,
    /// Reason that was given.
    pub justification: Option<String>,
    /// How the request stands, in the words of v4.
    pub status: Option<String>,
    /// `SELF_SERVE` or `AUTOMATIC`.
    pub trigger_type: Option<String>,
    /// Name of the governing flow.
    pub access_flow: Option<String>,
    /// How often it was prolonged, as text.
    pub extension_count: Option<String>,
}

impl ActivityRow {
    /// The columns of `fields`; all of them if none is named.
    fn of(row: &Row, fields: &[ActivityField]) -> Self {
        let list = |field: ActivityField| {
            (fields.is_empty() || fields.contains(&field)).then(|| row.texts(field))
        };
        let text = |field| list(field).and_then(|texts| texts.into_iter().next());
        Self {
            request_id: text(ActivityField::RequestId),
            request_date: text(ActivityField::RequestDate),
            requestor_name: text(ActivityField::RequestorName),
            requestor_email: text(ActivityField::RequestorEmail),
            integration: text(ActivityField::Integration),
            resource_type: text(ActivityField::ResourceType),
            resources: list(ActivityField::Resources),
            permissions: list(ActivityField::Permissions),
            justification: text(ActivityField::Justification),
            status: text(ActivityField::Status),
            trigger_type: text(ActivityField::TriggerType),
            access_flow: text(ActivityField::AccessFlow),
            extension_count: text(ActivityField::ExtensionCount),
        }
    }
}

/// The period, the columns, and which requests. Values of one filter are alternatives.
#[derive(Debug, Deserialize, JsonSchema)]
struct Filters {
    /// Filed at or after: Unix time in seconds, or in milliseconds from 100,000,000,000 on.
    start_date: Option<i64>,
    /// Filed before: Unix time, likewise.
    end_date: Option<i64>,
    /// Columns to return; all when left out. Those that only reports have stay out.
    #[serde(default)]
    fields: Vec<ReportField>,
    /// Governed by one of these flows.
    #[serde(default, rename = "filter[access_flow_id]")]
    access_flow_id: Vec<String>,
    /// One of these requests, by id or short id.
    #[serde(default, rename = "filter[access_request_id]")]
    access_request_id: Vec<String>,
    /// In one of these integrations.
    #[serde(default, rename = "filter[integration_id]")]
    integration_id: Vec<String>,
    /// For one of these permissions, by name.
    #[serde(default, rename = "filter[permission]")]
    permission: Vec<String>,
    /// Asked by one of these users, by id or e-mail.
    #[serde(default, rename = "filter[requestor_id]")]
    requestor_id: Vec<String>,
    /// For one of these resources, by id or name.
    #[serde(default, rename = "filter[resource]")]
    resource: Vec<String>,
    /// Of one of these resource types.
    #[serde(default, rename = "filter[resource_type]")]
    resource_type: Vec<String>,
    /// In one of these states, in the words of v4 and any letter case.
    #[serde(default, rename = "filter[status]")]
    status: Vec<String>,
    /// Begun in one of these ways, in any letter case.
    #[serde(default, rename = "filter[trigger_type]")]
    trigger_type: Vec<String>,
}

impl Filters {
    /// What the use case understands, and the columns.
    fn read(self) -> Result<(ActivityFilter, Vec<ActivityField>), ApiError> {
        let from = self.start_date.map(|number| instant("start_date", number)).transpose()?;
        let until = self.end_date.map(|number| instant("end_date", number)).transpose()?;
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            return Err(ApiError::field("end_date", "is before start_date"));
        }
        let mut states = Vec::new();
        for word in &self.status {
            let known = RequestState::from_wire_word(word);
            states.extend(
                known.map_err(|unknown| ApiError::field("filter[status]", unknown.to_string()))?,
            );
        }
        let triggers = self.trigger_type.iter().map(|word| {
            let known = FlowTrigger::parse(word);
            known.map_err(|unknown| ApiError::field("filter[trigger_type]", unknown.to_string()))
        });
        let filter = ActivityFilter {
            from,
            until,
            triggers: triggers.collect::<Result<_, _>>()?,
            states,
            access_flow_ids: self.access_flow_id.into_iter().map(FlowId::new).collect(),
            request_ids: self.access_request_id,
            requestors: self.requestor_id,
            integration_ids: self.integration_id.into_iter().map(IntegrationId::new).collect(),
            resource_types: self.resource_type,
            resources: self.resource,
            permissions: self.permission,
            ..ActivityFilter::default()
        };
        Ok((filter, self.fields.into_iter().map(Into::into).collect()))
    }
}

fn instant(field: &str, number: i64) -> Result<jiff::Timestamp, ApiError> {
    let read = if number >= MILLISECONDS_FROM {
        jiff::Timestamp::from_millisecond(number)
    } else {
        jiff::Timestamp::from_second(number)
    };
    read.map_err(|_| ApiError::field(field, "is no Unix time that a calendar knows"))
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadActivity>,
    Query(filters): Query<Filters>,
) -> Result<WholeList<ActivityRow>, ApiError> {
    let (filter, fields) = filters.read()?;
    WholeList::of(pages((app, actor, filter, fields), |held, page| async move {
        let (app, actor, filter, fields) = &*held;
        let page = PageRequest { limit: STRIDE, ..page };
        let page = list_activity(app, actor, filter, &page).await?;
        Ok(page.map(|row| ActivityRow::of(&row, fields)))
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_from_some_size_on_milliseconds() {
        let at = |number| instant("start_date", number).unwrap().to_string();
        assert_eq!(at(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(at(1_700_000_000_500), "2023-11-14T22:13:20.5Z");
        assert_eq!(at(99_999_999_999), "5138-11-16T09:46:39Z");
        assert_eq!(at(-1), "1969-12-31T23:59:59Z");
        assert_eq!(instant("start_date", i64::MIN).unwrap_err().status(), 400);
        assert_eq!(instant("start_date", i64::MAX).unwrap_err().status(), 400);
    }
}
