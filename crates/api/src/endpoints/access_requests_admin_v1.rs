//! `/api/admin/v1/access-requests`: ours, beside the common wire format. Deciding in place of the
//! approvers, and the evidence that access is gone.

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    requests::{self, ReceiptView},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{access_requests_v4::wire::RequestEntitlement, references::IntegrationRef};
use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{ForceDecision, May, ReadAnyRequest},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, NoFilters, PageOf},
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Latchkey";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/admin/v1/access-requests/{id}/force-approve",
            post_with(force_approve, |op| {
                let summary = "Approve a request in place of its approvers; recorded as such. \
                               Never a request of the caller's own, or for the caller.";
                let op = described(op, TAG, "forceApproveAccessRequest", summary);
                conflicts(op, "The request is not waiting for a decision.")
            }),
        )
        .api_route(
            "/api/admin/v1/access-requests/{id}/receipts",
            get_with(receipts, |op| {
                let summary = "Page through what was read back from the targets about a request, \
                               oldest first. The last receipt of a session is the evidence of how \
                               it ended.";
                described(op, TAG, "listAccessRequestReceipts", summary)
            }),
        )
}

/// Decision in place of the approvers.
#[derive(Debug, Deserialize, JsonSchema)]
struct ForcedApproval {
    /// Reason; needed where the flow asks approvers for one.
    justification: Option<String>,
}

/// What was read back from a target.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestReceipt")]
pub struct Receipt {
    /// Receipt id.
    pub id: String,
    /// The access session whose principal was looked at.
    pub session_id: String,
    /// Where that is.
    pub integration: IntegrationRef,
    /// The principal.
    pub principal: String,
    /// When it was read, by the target's own clock.
    pub observed_at: Timestamp,
    /// When the server took it.
    pub taken_at: Timestamp,
    /// The fence that was written with it; grows with each delivery.
    pub fence: i64,
    /// Whether the principal exists.
    pub principal_exists: bool,
    /// Whether it can log in.
    pub can_log_in: bool,
    /// Its open sessions, by the target's list.
    pub open_sessions: u32,
    /// Sessions that were ended by this run.
    pub sessions_ended: u32,
    /// Rights it holds, as the target names them.
    pub holds: Vec<String>,
    /// Objects that keep an inert principal alive.
    pub leftover: Vec<String>,
    /// Further lines of evidence.
    pub notes: Vec<String>,
    /// The request's entitlements that the session carries or carried, as they stand now.
    pub entitlements: Vec<RequestEntitlement>,
}

impl From<ReceiptView> for Receipt {
    fn from(view: ReceiptView) -> Self {
        let receipt = view.receipt;
        Self {
            id: view.id.into(),
            session_id: view.session_id.into(),
            integration: IntegrationRef {
                id: view.integration_id.into(),
                name: view.integration_name,
            },
            principal: receipt.principal,
            observed_at: receipt.observed_at.into(),
            taken_at: view.taken_at.into(),
            fence: view.fence,
            principal_exists: receipt.principal_exists,
            can_log_in: receipt.can_log_in,
            open_sessions: receipt.open_sessions,
            sessions_ended: receipt.sessions_ended,
            holds: receipt.holds,
            leftover: receipt.leftover,
            notes: receipt.notes,
            entitlements: view.units.into_iter().map(RequestEntitlement::from).collect(),
        }
    }
}

async fn force_approve(
    State(app): State<App>,
    May(actor, ..): May<ForceDecision>,
    Id(id): Id,
    Body(input): Body<ForcedApproval>,
) -> Result<Reply<Message>, ApiError> {
    requests::force_approve_request(&app, &actor, &id, input.justification).await?;
    Ok(Message::reply("The request is approved in place of its approvers."))
}

async fn receipts(
    State(app): State<App>,
    May(actor, ..): May<ReadAnyRequest>,
    Id(id): Id,
    listing: Listing<NoFilters>,
) -> Result<Reply<PageOf<Receipt>>, ApiError> {
    let page = requests::list_receipts(&app, &actor, &id, &listing.page).await?;
    Ok(listing.reply(page, Receipt::from))
}
