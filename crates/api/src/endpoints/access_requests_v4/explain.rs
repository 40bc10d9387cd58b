//! `GET /api/user/v4/access-requests/{id}/explain`, and the same for any request under
//! `/api/admin/v1/explain`: why a stored request stands as it does. Ours, beside the common wire
//! format.

use aide::axum::routing::{ApiMethodRouter, get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    requests::{self, EntitlementExplained, FlowNow, ProgramSaid, RequestExplained, WaitingFor},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    choice::{Chosen, LaterApprovers, OpenTimeframe, PassedOver, Refusal},
    wire::RequestEntitlement,
};
use crate::{
    ApiState,
    body::Reply,
    caller::{ExplainAccess, May, ReadOwnRequests},
    documentation::described,
    endpoints::references::UserRef,
    error::ApiError,
    query::Id,
    time::{Timestamp, seconds32},
};

const TAG: &str = "Latchkey";

/// The route for the caller's own requests.
pub(super) fn route() -> ApiMethodRouter<ApiState> {
    get_with(own, |op| {
        let summary = "Explain why a request of the caller's stands as it does.";
        described(op, TAG, "explainAccessRequest", summary)
    })
}

/// The route for any request.
pub(crate) fn any_route() -> ApiMethodRouter<ApiState> {
    get_with(any, |op| {
        let summary = "Explain why any request stands as it does: how its flow was chosen, who \
                       may decide, what stands in its way.";
        described(op, TAG, "explainAnyAccessRequest", summary)
    })
}

/// Why a stored request stands as it does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestExplanation")]
struct Explanation {
    /// Request id.
    id: String,
    /// The number people say: `AR-7`.
    number: String,
    /// `Initializing`, `PendingMFA`, `Pending`, `Granting`, `Active`, `Rejected`, `Cancelled`,
    /// `Revoking`, `Revoked` or `Failed`.
    status: &'static str,
    /// Why it stands so, where there is something to say.
    status_reason: Option<String>,
    /// Who asked.
    requestor: UserRef,
    /// Who receives the access.
    grantee: UserRef,
    /// The flow that governs it.
    governed_by: GoverningFlow,
    /// How each entitlement would come to a flow, had it been asked for when the request was
    /// filed, with policy, people and inventory of today.
    entitlements: Vec<Choice>,
    /// Why it could not be granted now, or not be granted once more; null if it could.
    no_longer_allowed: Option<String>,
    /// How it stands with its approvers; null unless it waits for them.
    waiting_for: Option<Waiting>,
    /// Length of the grant; null means until revoked.
    duration_in_sec: Option<i32>,
    /// When access ends; of a request that waits, when it would end if it began now.
    ends_at: Option<Timestamp>,
    /// The timeframe it was filed under; null if it has none, or if that is closed now.
    timeframe: Option<OpenTimeframe>,
}

/// The flow that governs a request.
#[derive(Debug, Serialize, JsonSchema)]
struct GoverningFlow {
    /// Flow id.
    id: String,
    /// Its name now, or its last one.
    name: String,
    /// The version that the request was filed under.
    version: i64,
    /// What became of it since: `same`, `changed`, `inactive` or `deleted`.
    now: &'static str,
}

/// How one entitlement would come to a flow.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EntitlementChoice")]
struct Choice {
    /// The entitlement as it was asked for.
    entitlement: RequestEntitlement,
    /// Whether it is gone from the target.
    gone: bool,
    /// The name of the flow that would govern; null if none would.
    flow_name: Option<String>,
    /// Why none would.
    refusal: Option<Refusal>,
    /// Other flows, each with the first thing that stands in its way. Whoever is no viewer sees
    /// them only of their own requests, and only those whose requestor conditions they meet.
    passed_over: Vec<PassedOver>,
    /// The names of the floors that bind whichever flow governs.
    floors: Vec<String>,
}

/// How a request stands with its approvers.
#[derive(Debug, Serialize, JsonSchema)]
struct Waiting {
    /// Who may decide now.
    approvers: Vec<UserRef>,
    /// The programs that are asked.
    programs: Vec<AskedProgram>,
    /// Why they could not approve it, or not by every group; null if nothing is in the way.
    approval_trouble: Option<String>,
    /// When each tier of escalation was asked.
    escalated_at: Vec<Timestamp>,
    /// Who is asked later, if nobody decides.
    escalation: Vec<LaterApprovers>,
}

/// A program that is asked.
#[derive(Debug, Serialize, JsonSchema)]
struct AskedProgram {
    /// The host of its address.
    host: String,
    /// What it said: `approved`, `rejected`, or `nothing` that counts; null as long as it has not
    /// answered.
    said: Option<&'static str>,
}

impl From<requests::AskedProgram> for AskedProgram {
    fn from(program: requests::AskedProgram) -> Self {
        let said = program.said.map(|said| match said {
            ProgramSaid::Approved => "approved",
            ProgramSaid::Rejected => "rejected",
            ProgramSaid::Nothing => "nothing",
        });
        Self { host: program.host, said }
    }
}

impl From<RequestExplained> for Explanation {
    fn from(explained: RequestExplained) -> Self {
        let seen = explained.seen;
        let request = seen.request;
        Self {
            number: format!("AR-{}", request.number),
            status: request.state.as_str(),
            requestor: UserRef::from(&seen.requestor),
            grantee: UserRef::from(&seen.grantee),
            governed_by: GoverningFlow {
                id: request.flow_id.into(),
                name: seen.flow_name,
                version: request.flow_version,
                now: match explained.flow_now {
                    FlowNow::Same => "same",
                    FlowNow::Changed(_) => "changed",
                    FlowNow::Inactive => "inactive",
                    FlowNow::Deleted => "deleted",
                },
            },
            entitlements: explained.entitlements.into_iter().map(Choice::from).collect(),
            no_longer_allowed: explained.no_longer_allowed,
            waiting_for: explained.waiting.map(Waiting::from),
            duration_in_sec: request.duration_sec.map(seconds32),
            ends_at: explained.ends_at.map(Into::into),
            timeframe: explained.window.map(Into::into),
            status_reason: request.state_reason,
            id: request.id.into(),
        }
    }
}

impl From<EntitlementExplained> for Choice {
    fn from(explained: EntitlementExplained) -> Self {
        let gone = explained.explanation.is_none();
        let chosen = explained.explanation.map(Chosen::from).unwrap_or_default();
        let Chosen { flow_name, passed_over, floors } = chosen;
        Self {
            entitlement: RequestEntitlement::from(explained.unit),
            gone,
            flow_name,
            refusal: explained.refusal.map(Into::into),
            passed_over,
            floors,
        }
    }
}

impl From<WaitingFor> for Waiting {
    fn from(waiting: WaitingFor) -> Self {
        Self {
            approvers: waiting.asked.iter().map(Into::into).collect(),
            programs: waiting.programs.into_iter().map(AskedProgram::from).collect(),
            approval_trouble: waiting.trouble,
            escalated_at: waiting.tiers_told.into_iter().map(Into::into).collect(),
            escalation: waiting.tiers.into_iter().map(Into::into).collect(),
        }
    }
}

async fn own(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnRequests>,
    Id(id): Id,
) -> Result<Reply<Explanation>, ApiError> {
    Ok(Reply(requests::explain_own_request(&app, &actor, &id).await?.into()))
}

async fn any(
    State(app): State<App>,
    May(actor, ..): May<ExplainAccess>,
    Id(id): Id,
) -> Result<Reply<Explanation>, ApiError> {
    Ok(Reply(requests::explain_request(&app, &actor, &id).await?.into()))
}
