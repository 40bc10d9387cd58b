//! `/api/user/v4/access-requests`: asking for access and following it. The answer to asking is
//! an array, one request for each governing flow.

pub(crate) mod choice;
mod dry_run;
pub(super) mod explain;
pub(super) mod wire;

use std::collections::BTreeMap;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    Actor, App,
    requests::{self, EntitlementQuery, MyRequestsQuery, RequestAccess, RequestView},
};
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    request::RequestState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::wire::{AccessRequest, AccessRequestCreate, RequestAgain, RequestEntitlement};
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{May, ReadOwnRequests, RequestAccess as MayRequestAccess, RevokeOwnRequest},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    prefer::Wait,
    query::Id,
    time::DurationSec,
};

const TAG: &str = "Access Requests";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/user/v4/access-requests{rest}");
    ApiRouter::new()
        .api_route(&path(""), collection())
        .api_route(&path("/dry-run"), dry_run::route())
        .api_route(
            &path("/{id}"),
            get_with(read, |op| {
                let summary = "Read one request that the caller filed or is the grantee of.";
                described(op, TAG, "getAccessRequestV4", summary)
            }),
        )
        .api_route(&path("/{id}/explain"), explain::route())
        .api_route(
            &path("/{id}/entitlements"),
            get_with(entitlements, |op| {
                let summary = "Page through the entitlements of a request.";
                described(op, TAG, "listAccessRequestEntitlementsV4", summary)
            }),
        )
        .api_route(
            &path("/{id}/request-again"),
            post_with(again, |op| {
                let summary = "File a request that is over once more.";
                let op = described(op, TAG, "requestAccessAgainV4", summary);
                conflicts(op, "The request is not over yet.")
            }),
        )
        .api_route(
            &path("/{id}/revoke"),
            post_with(revoke, |op| {
                let summary = "End a request and its access; asynchronous, read it to follow.";
                let op = described(op, TAG, "revokeAccessRequestV4", summary);
                conflicts(op, "The request is over already.")
            }),
        )
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        let summary = "Page through requests for the caller, oldest first.";
        described(op, TAG, "listAccessRequestsV4", summary)
    });
    list.post_with(create, |op| {
        let summary = "Ask for a bundle or entitlements; one request for each governing flow, all \
                       or nothing.";
        let op = described(op, TAG, "createAccessRequestV4", summary);
        conflicts(op, "What was asked for changed meanwhile.")
    })
}

/// What to keep of the caller's requests.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Id or e-mail of the user who asked; the caller when left out.
    requestor: Option<String>,
    /// In one of these states, in any letter case.
    #[serde(default)]
    statuses: Vec<String>,
}

/// What to keep of a request's entitlements.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct EntitlementFilters {
    /// In one of these integrations.
    #[serde(default)]
    integration_ids: Vec<String>,
    /// Of one of these resource types.
    #[serde(default)]
    resource_types: Vec<String>,
    /// In one of these states, in any letter case.
    #[serde(default)]
    statuses: Vec<String>,
}

impl EntitlementFilters {
    fn query(&self) -> Result<EntitlementQuery, ApiError> {
        states(&self.statuses)?;
        Ok(EntitlementQuery {
            integration_ids: self.integration_ids.iter().map(IntegrationId::new).collect(),
            resource_types: self.resource_types.clone(),
            statuses: self.statuses.clone(),
        })
    }
}

/// The states that status words stand for; an unknown word is 400.
pub(crate) fn states(words: &[String]) -> Result<Vec<RequestState>, ApiError> {
    let mut states = Vec::new();
    for word in words {
        let known = RequestState::from_wire_word(word);
        states.extend(known.map_err(|unknown| ApiError::field("statuses", unknown.to_string()))?);
    }
    Ok(states)
}

impl From<AccessRequestCreate> for RequestAccess {
    fn from(input: AccessRequestCreate) -> Self {
        let pairs = input.entitlements.unwrap_or_default().into_iter();
        Self {
            bundle_reference: input.bundle_reference,
            entitlements: pairs
                .map(|pair| {
                    (ResourceId::new(pair.resource_id), PermissionId::new(pair.permission_id))
                })
                .collect(),
            justification: input.justification,
            duration_sec: input.duration_in_sec.map(DurationSec::seconds),
            custom_fields: input.custom_fields.unwrap_or_default(),
            grantee: input.grantee,
        }
    }
}

fn seen_by(actor: &Actor, views: Vec<RequestView>) -> Reply<Vec<AccessRequest>> {
    Reply(views.into_iter().map(|view| AccessRequest::seen_by(actor, view.into())).collect())
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<AccessRequest>>, ApiError> {
    let requestor = listing.filters.requestor.clone();
    let query = MyRequestsQuery { requestor, states: states(&listing.filters.statuses)? };
    let page = requests::list_my_requests(&app, &actor, &query, &listing.page).await?;
    Ok(listing.reply(page, |view| AccessRequest::seen_by(&actor, view)))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<MayRequestAccess>,
    Wait(wait): Wait,
    Body(input): Body<AccessRequestCreate>,
) -> Result<Reply<Vec<AccessRequest>>, ApiError> {
    let filed = requests::request_access(&app, &actor, input.into()).await?;
    Ok(seen_by(&actor, requests::at_rest(&app, &actor, filed, wait).await))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Wait(wait): Wait,
    Id(id): Id,
) -> Result<Reply<AccessRequest>, ApiError> {
    let view = requests::get_my_request_at_rest(&app, &actor, &id, wait).await?;
    Ok(Reply(AccessRequest::seen_by(&actor, view.into())))
}

async fn entitlements(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Id(id): Id,
    listing: Listing<EntitlementFilters>,
) -> Result<Reply<PageOf<RequestEntitlement>>, ApiError> {
    let query = listing.filters.query()?;
    let page = &listing.page;
    let page = requests::list_request_entitlements(&app, &actor, &id, &query, page).await?;
    Ok(listing.reply(page, RequestEntitlement::from))
}

async fn again(
    State(app): State<App>,
    May(actor, ..): May<MayRequestAccess>,
    Wait(wait): Wait,
    Id(id): Id,
    Body(input): Body<RequestAgain>,
) -> Result<Reply<Vec<AccessRequest>>, ApiError> {
    let fields: BTreeMap<_, _> = input.custom_fields.unwrap_or_default();
    let reason = input.justification;
    let filed = requests::request_again(&app, &actor, &id, reason, fields).await?;
    Ok(seen_by(&actor, requests::at_rest(&app, &actor, filed, wait).await))
}

async fn revoke(
    State(app): State<App>,
    May(actor, ..): May<RevokeOwnRequest>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    requests::revoke_request(&app, &actor, &id).await?;
    Ok(Message::reply("The request is being ended; read it to follow."))
}
