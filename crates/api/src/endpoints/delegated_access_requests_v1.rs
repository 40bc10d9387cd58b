//! `/api/user/v1/delegated-access-requests`: requests that the caller filed for others.

use std::collections::BTreeMap;

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    Actor, App,
    requests::{self, RequestOverview},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    access_requests_v4::{
        states,
        wire::{AccessGroup, AccessRequest},
    },
    references::{BundleRef, UserRef},
};
use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadOwnRequests},
    documentation::described,
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Delegated Access Requests";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/user/v1/delegated-access-requests",
            get_with(list, |op| {
                let summary = "Page through the requests that the caller filed for others, oldest \
                               first.";
                described(op, TAG, "listDelegatedAccessRequestsV1", summary)
            }),
        )
        .api_route(
            "/api/user/v1/delegated-access-requests/{id}",
            get_with(read, |op| {
                let summary = "Read one request that the caller filed for somebody else.";
                described(op, TAG, "getDelegatedAccessRequestV1", summary)
            }),
        )
}

/// Access request made for somebody else.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DelegatedAccessRequest {
    /// Request id.
    pub id: String,
    /// `Initializing`, `PendingMFA`, `Pending`, `Granting`, `Active`, `Rejected`, `Revoking`,
    /// `Revoked` or `Failed`.
    pub status: String,
    /// Length of the grant; null means until revoked.
    pub duration_in_sec: Option<i32>,
    /// Reason that was given.
    pub justification: Option<String>,
    /// When it was filed.
    pub creation_date: Timestamp,
    /// When access had ended; null before, and if it never began.
    pub revocation_date: Option<Timestamp>,
    /// Further answers, by field name.
    pub custom_fields: BTreeMap<String, String>,
    /// The request's parts, one an integration.
    pub access_groups: Vec<AccessGroup>,
    /// Who asked; null when that is the caller.
    pub requestor: Option<UserRef>,
    /// Who receives the access.
    pub grantee: UserRef,
    /// Bundle that was asked for.
    pub bundle: Option<BundleRef>,
}

impl DelegatedAccessRequest {
    fn seen_by(actor: &Actor, seen: RequestOverview) -> Self {
        let grantee = UserRef::from(&seen.grantee);
        let request = AccessRequest::seen_by(actor, seen);
        Self {
            id: request.id,
            status: request.status,
            duration_in_sec: request.duration_in_sec,
            justification: request.justification,
            creation_date: request.creation_date,
            revocation_date: request.revocation_date,
            custom_fields: request.custom_fields,
            access_groups: request.access_groups,
            requestor: request.requestor,
            grantee,
            bundle: request.bundle,
        }
    }
}

/// What to keep of the requests for others.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Id or e-mail of who receives the access.
    grantee: Option<String>,
    /// In one of these states, in any letter case.
    #[serde(default)]
    statuses: Vec<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<DelegatedAccessRequest>>, ApiError> {
    let grantee = listing.filters.grantee.as_deref();
    let states = states(&listing.filters.statuses)?;
    let page = &listing.page;
    let page = requests::list_delegated_requests(&app, &actor, grantee, &states, page).await?;
    Ok(listing.reply(page, |view| DelegatedAccessRequest::seen_by(&actor, view)))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Id(id): Id,
) -> Result<Reply<DelegatedAccessRequest>, ApiError> {
    let view = requests::get_delegated_request(&app, &actor, &id).await?;
    Ok(Reply(DelegatedAccessRequest::seen_by(&actor, view.into())))
}
