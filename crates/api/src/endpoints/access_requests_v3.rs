//! `/api/v3/access-requests`: requests of the tenant in the oldest shape, and those that an Admin
//! files for somebody.

use std::borrow::Cow;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App, PageRequest,
    requests::{self, OfficeQuery, RequestForUser as Command, RequestSummary},
    sessions::{
        AccessDetailsView, RequestDetails, request_access_details, reset_request_credentials,
    },
};
use latchkey_domain::{ids::ResourceId, request::RequestState};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::access_sessions_v1::{PASSWORD_PLACE, PASSWORD_SHOWN};
use crate::{
    ApiState,
    body::{Body, Message, Reply, Unstored},
    caller::{
        May, ReadAnyAccessDetails, ReadAnyRequest, RequestForUser, ResetAnyCredentials,
        RevokeAnyRequest,
    },
    documentation::{conflicts, described},
    error::ApiError,
    query::{Id, Query},
    streaming::{WholeList, pages},
    time::DurationSec,
};

const TAG: &str = "Access Requests";
/// How many requests are read in one go; each has up to 500 entitlements.
const STRIDE: u32 = 200;
/// What stands in place of a password that is not the caller's.
const PASSWORD_NOT_YOURS: &str = "(shown to the grantee alone)";
const NOT_IN_PLACE: &str = "The request is not in place.";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/v3/access-requests", collection())
        .api_route(
            "/api/v3/access-requests-bulk/revoke",
            post_with(revoke, |op| {
                let summary = "End several requests, all of them or none; asynchronous.";
                let op = described(op, TAG, "bulkRevokeAccessRequestsV3", summary);
                conflicts(op, "One of them is over already; none was ended.")
            }),
        )
        .api_route(
            "/api/v3/access-requests/{id}",
            get_with(read, |op| {
                let summary = "Read one request, by id or by its short id.";
                described(op, TAG, "getAccessRequestV3", summary)
            }),
        )
        .api_route(
            "/api/v3/access-requests/{id}/access-details",
            get_with(details, |op| {
                let summary = "Read how to connect. Only the grantee is shown secrets, once.";
                let op = described(op, TAG, "getAccessRequestDetailsV3", summary);
                conflicts(op, NOT_IN_PLACE)
            }),
        )
        .api_route(
            "/api/v3/access-requests/{id}/reset",
            post_with(reset, |op| {
                let summary = "Have new credentials made; only the grantee will be shown them.";
                let op = described(op, TAG, "resetAccessRequestCredentialsV3", summary);
                conflicts(op, "The request is not in place, or has no credentials.")
            }),
        )
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        let summary = "List every request, of everybody or of one grantee, oldest first.";
        described(op, TAG, "listAccessRequestsV3", summary)
    });
    list.post_with(create, |op| {
        let summary = "File a request for a user, as if that user had asked: every permission on \
                       every resource, under one access flow. The caller is its requestor and \
                       decides about it no more than the user does.";
        let op = described(op, TAG, "createAccessRequestV3", summary);
        conflicts(op, "What was asked for changed meanwhile.")
    })
}

/// Access request, v3 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestV3")]
pub struct AccessRequest {
    /// Request id.
    pub request_id: String,
    /// Short id that people say: `AR-7`.
    pub friendly_request_id: String,
    /// Who receives the access.
    pub user_id: String,
    /// How it stands.
    pub status: Status,
    /// Integration of what was asked first.
    pub integration_id: String,
    /// Every resource, once.
    pub resource_ids: Vec<String>,
    /// Names of the permissions, each once.
    pub permissions: Vec<String>,
    /// Reason; an empty text when none was given.
    pub justification: String,
}

/// How a request stands, in the words of v3.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Status(&'static str);

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "LegacyRequestStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut words: Vec<&str> = RequestState::ALL.map(RequestState::legacy_word).to_vec();
        words.sort_unstable();
        words.dedup();
        json_schema!({
            "type": "string",
            "description": "How a request stands, in the words of v3.",
            "enum": words,
        })
    }
}

impl From<RequestSummary> for AccessRequest {
    fn from(request: RequestSummary) -> Self {
        Self {
            request_id: request.id.into(),
            friendly_request_id: format!("AR-{}", request.number),
            user_id: request.grantee_id.into(),
            status: Status(request.state.legacy_word()),
            integration_id: request.integration_id.into(),
            resource_ids: request.resource_ids.into_iter().map(Into::into).collect(),
            permissions: request.permissions,
            justification: request.justification.unwrap_or_default(),
        }
    }
}

/// New request for a user.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessRequestCreateV3")]
struct AccessRequestCreate {
    /// Id or e-mail of the receiver.
    user_id: String,
    /// Integration id.
    integration_id: String,
    /// Resources of it; at least one.
    #[schemars(extend("minItems" = 1))]
    resource_ids: Vec<String>,
    /// Names of permissions, each asked for on each resource; at least one.
    #[schemars(extend("minItems" = 1))]
    permissions: Vec<String>,
    /// Reason.
    justification: String,
    /// Wanted length of the grant in seconds; the governing flow's longest when left out.
    duration_in_sec: Option<DurationSec>,
}

impl From<AccessRequestCreate> for Command {
    fn from(input: AccessRequestCreate) -> Self {
        Self {
            user: input.user_id,
            integration: input.integration_id,
            resource_ids: input.resource_ids.into_iter().map(ResourceId::new).collect(),
            permissions: input.permissions,
            justification: input.justification,
            duration_sec: input.duration_in_sec.map(DurationSec::seconds),
        }
    }
}

/// Requests to end together.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BulkRevokeV3")]
struct BulkRevoke {
    /// Their ids or short ids; at least one.
    request_ids: Vec<String>,
}

/// Connection text, v3.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessDetailsV3")]
pub struct AccessDetails {
    /// How to connect, as one text.
    pub details: String,
}

impl From<RequestDetails> for AccessDetails {
    fn from(details: RequestDetails) -> Self {
        let several = details.parts.len() > 1;
        let text = |(name, view): (String, AccessDetailsView)| {
            let password = match &view.password {
                Some(password) => password.expose_secret(),
                None if details.is_grantee => PASSWORD_SHOWN,
                None => PASSWORD_NOT_YOURS,
            };
            let mut lines = Vec::new();
            lines.extend(several.then_some(name));
            lines.push(view.instructions.replace(PASSWORD_PLACE, password));
            lines.extend(view.custom_admin_message);
            lines.join("\n\n")
        };
        let parts: Vec<String> = details.parts.into_iter().map(text).collect();
        Self { details: parts.join("\n\n") }
    }
}

/// What to keep of the tenant's requests.
#[derive(Debug, Deserialize, JsonSchema)]
struct Filters {
    /// How many days to look back; everything when left out.
    #[schemars(extend("minimum" = 0))]
    days_offset: Option<i64>,
    /// Id or e-mail of who receives the access.
    user_id: Option<String>,
}

impl From<Filters> for OfficeQuery {
    fn from(filters: Filters) -> Self {
        Self { grantee: filters.user_id, days_back: filters.days_offset }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadAnyRequest>,
    Query(filters): Query<Filters>,
) -> Result<WholeList<AccessRequest>, ApiError> {
    let query = OfficeQuery::from(filters);
    WholeList::of(pages((app, actor, query), |held, page| async move {
        let (app, actor, query) = &*held;
        let page = PageRequest { limit: STRIDE, ..page };
        Ok(requests::list_requests(app, actor, query, &page).await?.map(AccessRequest::from))
    }))
    .await
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<RequestForUser>,
    Body(input): Body<AccessRequestCreate>,
) -> Result<Reply<AccessRequest>, ApiError> {
    Ok(Reply(requests::request_access_for(&app, &actor, input.into()).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadAnyRequest>,
    Id(id): Id,
) -> Result<Reply<AccessRequest>, ApiError> {
    Ok(Reply(requests::get_request(&app, &actor, &id).await?.into()))
}

async fn revoke(
    State(app): State<App>,
    May(actor, ..): May<RevokeAnyRequest>,
    Body(input): Body<BulkRevoke>,
) -> Result<Reply<Message>, ApiError> {
    requests::revoke_requests(&app, &actor, &input.request_ids).await?;
    Ok(Message::reply("The requests are being ended; read them to follow."))
}

async fn details(
    State(app): State<App>,
    May(actor, ..): May<ReadAnyAccessDetails>,
    Id(id): Id,
) -> Result<Unstored<AccessDetails>, ApiError> {
    Ok(Unstored(request_access_details(&app, &actor, &id).await?.into()))
}

async fn reset(
    State(app): State<App>,
    May(actor, ..): May<ResetAnyCredentials>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    reset_request_credentials(&app, &actor, &id).await?;
    Ok(Message::reply("New credentials are being made; only the grantee will be shown them."))
}
