//! `/api/client/v1/access-requests`: what approvers use, and the lists of the portal. Lists are
//! paged by skip and limit here, newest first.

mod wire;

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    Actor, App, PageRequest,
    paging::{DEFAULT_LIMIT, MAX_LIMIT},
    requests::{self, RequestView},
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::wire::{
    AccessRequest, ApprovalDecision, ListScope, Pagination, RequestPage, ShortenedApproval,
};
use super::access_requests_v4::states;
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{DecideRequest, ExtendOwnRequest, May, ReadOwnRequests, RevokeOwnRequest},
    documentation::{conflicts, described},
    error::ApiError,
    query::{Id, Query},
};

const TAG: &str = "Access Requests";
/// How many units a request names unless said otherwise.
const SUMMARY: usize = 5;
const DECIDED: &str = "The request is not waiting for a decision, or changed meanwhile.";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/client/v1/access-requests{rest}");
    ApiRouter::new()
        .api_route(
            &path(""),
            get_with(list, |op| {
                let summary = "Page through requests of one scope, newest first.";
                described(op, TAG, "listClientAccessRequests", summary)
            }),
        )
        .api_route(
            &path("/{id}"),
            get_with(read, |op| {
                let summary = "Read one request, as one of its parties or of those who may decide.";
                described(op, TAG, "getClientAccessRequest", summary)
            }),
        )
        .api_route(
            &path("/{id}/approve"),
            post_with(approve, |op| {
                let op = described(op, TAG, "approveClientAccessRequest", "Approve a request.");
                conflicts(op, DECIDED)
            }),
        )
        .api_route(
            &path("/{id}/approve-shortened"),
            post_with(approve_shortened, |op| {
                let summary = "Approve a request for a shorter time than was asked for.";
                conflicts(
                    described(op, "Latchkey", "approveShortenedAccessRequest", summary),
                    DECIDED,
                )
            }),
        )
        .api_route(
            &path("/{id}/extend"),
            post_with(extend, |op| {
                let summary = "Ask for a later end of running access, by the step of its flow; \
                               in force once the target has it, read the request to follow.";
                let op = described(op, TAG, "extendClientAccessRequest", summary);
                conflicts(op, "The request cannot be extended now; the message says why.")
            }),
        )
        .api_route(
            &path("/{id}/reject"),
            post_with(reject, |op| {
                let op = described(op, TAG, "rejectClientAccessRequest", "Reject a request.");
                conflicts(op, DECIDED)
            }),
        )
        .api_route(
            &path("/{id}/revoke"),
            post_with(revoke, |op| {
                let summary = "End a request and its access; asynchronous, read it to follow.";
                let op = described(op, TAG, "revokeClientAccessRequest", summary);
                conflicts(op, "The request is over already.")
            }),
        )
}

/// Which requests, and which part of them.
#[derive(Debug, Deserialize, JsonSchema)]
struct ListQuery {
    /// Which requests.
    scope: ListScope,
    /// Largest size of `access_units_summary`.
    #[serde(default = "five")]
    access_units_summary_limit: i32,
    /// Keep favourites.
    #[serde(default)]
    favorite_only: bool,
    /// For one of these users.
    #[serde(default)]
    grantee_ids: Vec<String>,
    /// Also list automatic grants.
    #[serde(default)]
    include_autogrant: bool,
    /// One of these, by long or short id.
    #[serde(default)]
    request_ids: Vec<String>,
    /// Filed by one of these users.
    #[serde(default)]
    requestor_ids: Vec<String>,
    /// In one of these states.
    #[serde(default)]
    statuses: Vec<String>,
    /// Largest number of rows: 1 to 1000, clamped.
    #[serde(default = "hundred")]
    limit: i32,
    /// Rows to pass over.
    #[serde(default)]
    #[schemars(extend("minimum" = 0))]
    skip: i32,
}

/// How much of one request to show.
#[derive(Debug, Deserialize, JsonSchema)]
struct ReadQuery {
    /// Largest size of `access_units_summary`.
    #[serde(default = "five")]
    access_units_summary_limit: i32,
}

fn units_shown(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

fn five() -> i32 {
    i32::try_from(SUMMARY).unwrap_or(i32::MAX)
}

fn hundred() -> i32 {
    i32::try_from(DEFAULT_LIMIT).unwrap_or(i32::MAX)
}

impl ListQuery {
    fn keeps(&self, view: &RequestView) -> bool {
        let request = &view.request;
        let is_in = |list: &[String], texts: &[&str]| {
            list.is_empty() || list.iter().any(|wanted| texts.contains(&wanted.as_str()))
        };
        let short = format!("AR-{}", request.number);
        let for_somebody_else = request.grantee_id != request.requestor_id;
        !self.favorite_only
            && (self.scope != ListScope::DelegatedRequests || for_somebody_else)
            && is_in(&self.grantee_ids, &[request.grantee_id.as_str(), &view.grantee.email])
            && is_in(&self.requestor_ids, &[request.requestor_id.as_str(), &view.requestor.email])
            && is_in(&self.request_ids, &[request.id.as_str(), &short])
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Query(query): Query<ListQuery>,
) -> Result<Reply<RequestPage>, ApiError> {
    let skip =
        usize::try_from(query.skip).map_err(|_| ApiError::field("skip", "must be 0 or more"))?;
    let limit = query.limit.clamp(1, i32::try_from(MAX_LIMIT).unwrap_or(i32::MAX));
    let size = usize::try_from(limit).unwrap_or(1);
    let mut rows = rows(&app, &actor, &query, skip.saturating_add(size).saturating_add(1)).await?;
    let has_more = rows.len() > skip.saturating_add(size);
    let summary = units_shown(query.access_units_summary_limit);
    let shown = rows.drain(..).skip(skip).take(size);
    let data = shown.map(|view| AccessRequest::of(&view, summary)).collect();
    let pagination = Pagination { limit, offset: query.skip, total: None, has_more };
    Ok(Reply(RequestPage { data, pagination }))
}

/// The first `wanted` rows of a list, newest first.
async fn rows(
    app: &App,
    actor: &Actor,
    query: &ListQuery,
    wanted: usize,
) -> Result<Vec<RequestView>, ApiError> {
    let states = states(&query.statuses)?;
    // Most calls are content with the first page, and that need not be longer than they ask for.
    let limit = u32::try_from(wanted).unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT);
    let mut page = PageRequest { after: None, limit };
    let mut rows = Vec::new();
    loop {
        let found = match query.scope {
            ListScope::Tasks => requests::list_my_tasks(app, actor, &page).await?,
            ListScope::Requests | ListScope::DelegatedRequests => {
                let with_automatic = query.include_autogrant;
                requests::list_client_requests(app, actor, &states, with_automatic, &page).await?
            }
            ListScope::HistoricTasks => {
                requests::list_decided_requests(app, actor, &states, &page).await?
            }
        };
        let is_wanted = |view: &RequestView| {
            query.keeps(view) && (states.is_empty() || states.contains(&view.request.state))
        };
        rows.extend(found.items.into_iter().filter(is_wanted));
        match found.next {
            Some(next) if rows.len() < wanted => page.after = Some(next),
            _ => return Ok(rows),
        }
    }
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Id(id): Id,
    Query(query): Query<ReadQuery>,
) -> Result<Reply<AccessRequest>, ApiError> {
    let view = requests::get_client_request(&app, &actor, &id).await?;
    Ok(Reply(AccessRequest::of(&view, units_shown(query.access_units_summary_limit))))
}

async fn approve(
    State(app): State<App>,
    May(actor, ..): May<DecideRequest>,
    Id(id): Id,
    Body(input): Body<ApprovalDecision>,
) -> Result<Reply<Message>, ApiError> {
    requests::approve_request(&app, &actor, &id, input.justification, None).await?;
    Ok(Message::reply("The request is approved."))
}

async fn approve_shortened(
    State(app): State<App>,
    May(actor, ..): May<DecideRequest>,
    Id(id): Id,
    Body(input): Body<ShortenedApproval>,
) -> Result<Reply<Message>, ApiError> {
    let seconds = Some(input.duration_in_sec.seconds());
    requests::approve_request(&app, &actor, &id, input.justification, seconds).await?;
    Ok(Message::reply("The request is approved for a shorter time."))
}

async fn extend(
    State(app): State<App>,
    May(actor, ..): May<ExtendOwnRequest>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    requests::extend_request(&app, &actor, &id).await?;
    Ok(Message::reply("The access is being extended; read it to follow."))
}

async fn reject(
    State(app): State<App>,
    May(actor, ..): May<DecideRequest>,
    Id(id): Id,
    Body(input): Body<ApprovalDecision>,
) -> Result<Reply<Message>, ApiError> {
    requests::reject_request(&app, &actor, &id, input.justification).await?;
    Ok(Message::reply("The request is rejected."))
}

async fn revoke(
    State(app): State<App>,
    May(actor, ..): May<RevokeOwnRequest>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    requests::revoke_request(&app, &actor, &id).await?;
    Ok(Message::reply("The request is being ended; read it to follow."))
}
