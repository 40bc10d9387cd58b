//! `/api/v2/bulk/identities/attributes`: attributes of many people at once. A row that cannot be
//! done fails alone; the DELETE carries a body.

use std::collections::BTreeMap;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    attributes::{self, AttributeTypesOf, AttributesOf, RowOutcome},
    paging::{DEFAULT_LIMIT, MAX_LIMIT},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{ManageIdentityAttributes, May, ReadUsers},
    documentation::described,
    error::ApiError,
    query::Query,
    streaming::{Counted, OffsetPage, count32},
};

const TAG: &str = "Identities";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route("/api/v2/bulk/identities/attributes", methods())
}

fn methods() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        let summary = "Page through people with attributes that were set here, oldest first.";
        described(op, TAG, "listIdentityAttributesV2", summary)
    });
    let set = list.put_with(set, |op| {
        let summary = "Add and change attributes of people; those that a row does not name stay.";
        described(op, TAG, "upsertIdentityAttributesV2", summary)
    });
    set.delete_with(remove, |op| {
        let summary = "Drop attributes of people; the DELETE carries a body.";
        described(op, TAG, "deleteIdentityAttributesV2", summary)
    })
}

/// Attributes of a person that were set here.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct IdentityAttributes {
    /// The person's address.
    pub email: String,
    /// Value by type. The value of `manager` is the id or address of a user.
    pub attributes: BTreeMap<String, String>,
}

/// Attributes to drop from a person.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct IdentityAttributeKeys {
    /// The person's address.
    pub email: String,
    /// The types; one that the person has not is no error.
    pub attribute_types: Vec<String>,
}

/// Outcome of a bulk call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BulkResult {
    /// Counts.
    pub summary: BulkSummary,
    /// One outcome a row, in the order in which the rows were sent.
    pub results: Vec<BulkItemResult>,
}

/// Counts of a bulk call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BulkSummary {
    /// Rows in all.
    pub total: i32,
    /// Rows that were done.
    pub succeeded: i32,
    /// Rows that were not.
    pub failed: i32,
}

/// Outcome of a row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BulkItemResult {
    /// The address as it was sent.
    pub email: String,
    /// Whether all of the row was done; otherwise nothing of it was.
    pub success: bool,
    /// Why not.
    pub errors: Vec<BulkItemError>,
}

/// Why a row was not done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BulkItemError {
    /// `NotFound` for an address of nobody, `BadRequest` for anything else.
    pub error_code: String,
    /// What is wrong, for people.
    pub error_details: String,
}

impl From<Vec<RowOutcome>> for BulkResult {
    fn from(outcomes: Vec<RowOutcome>) -> Self {
        let results: Vec<BulkItemResult> = outcomes
            .into_iter()
            .map(|outcome| BulkItemResult {
                email: outcome.email,
                success: outcome.errors.is_empty(),
                errors: outcome
                    .errors
                    .into_iter()
                    .map(|error| BulkItemError {
                        error_code: error.code.to_owned(),
                        error_details: error.message,
                    })
                    .collect(),
            })
            .collect();
        let succeeded = results.iter().filter(|result| result.success).count();
        let summary = BulkSummary {
            total: count32(results.len()),
            succeeded: count32(succeeded),
            failed: count32(results.len() - succeeded),
        };
        Self { summary, results }
    }
}

/// Which people to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct ListQuery {
    /// Keep these addresses.
    #[serde(default)]
    emails: Vec<String>,
    /// Largest number of rows to return: 100 unless said, 1000 at most.
    #[schemars(extend("default" = 100, "minimum" = 1))]
    limit: Option<i32>,
    /// Rows to pass over.
    #[schemars(extend("default" = 0, "minimum" = 0))]
    skip: Option<i32>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
    Query(query): Query<ListQuery>,
) -> Result<Reply<Counted<IdentityAttributes>>, ApiError> {
    let limit = match query.limit.map(u32::try_from) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit > 0 => limit.min(MAX_LIMIT),
        Some(_) => return Err(ApiError::field("limit", "must be 1 or more")),
    };
    let skip = u32::try_from(query.skip.unwrap_or_default())
        .map_err(|_| ApiError::field("skip", "must be 0 or more"))?;
    let rows = attributes::list_own_attributes(&app, &actor, &query.emails, skip, limit).await?;
    let (people, total) = rows;
    let pagination = OffsetPage {
        total: i32::try_from(total).unwrap_or(i32::MAX),
        limit: i32::try_from(limit).unwrap_or(i32::MAX),
        offset: query.skip.unwrap_or_default(),
    };
    let data = people
        .into_iter()
        .map(|row| IdentityAttributes { email: row.email, attributes: row.attributes })
        .collect();
    Ok(Reply(Counted { data, pagination }))
}

async fn set(
    State(app): State<App>,
    May(actor, ..): May<ManageIdentityAttributes>,
    Body(rows): Body<Vec<IdentityAttributes>>,
) -> Result<Reply<BulkResult>, ApiError> {
    let rows = rows
        .into_iter()
        .map(|row| AttributesOf { email: row.email, attributes: row.attributes })
        .collect();
    Ok(Reply(attributes::set_attributes(&app, &actor, rows).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageIdentityAttributes>,
    Body(rows): Body<Vec<IdentityAttributeKeys>>,
) -> Result<Reply<BulkResult>, ApiError> {
    let rows = rows
        .into_iter()
        .map(|row| AttributeTypesOf { email: row.email, attribute_types: row.attribute_types })
        .collect();
    Ok(Reply(attributes::drop_attributes(&app, &actor, rows).await?.into()))
}
