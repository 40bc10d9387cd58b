//! `POST /api/user/v4/access-requests/dry-run`: what a request would come to, and why. Ours,
//! beside the common wire format. Nothing is stored, and findings come in a 200.

use aide::axum::routing::{ApiMethodRouter, post_with};
use axum::extract::State;
use latchkey_app::{App, requests};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    choice::{Chosen, LaterApprovers, OpenTimeframe, PassedOver, Refusal},
    wire::AccessRequestCreate,
};
use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{DryRunRequest, May},
    documentation::described,
    endpoints::references::UserRef,
    error::ApiError,
    time::{Timestamp, seconds32},
};

pub(super) fn route() -> ApiMethodRouter<ApiState> {
    post_with(dry_run, |op| {
        let summary = "Say what a request would come to, without filing it.";
        described(op, "Latchkey", "dryRunAccessRequest", summary)
    })
}

/// What a request would come to.
#[derive(Debug, Serialize, JsonSchema)]
struct DryRun {
    /// The requests that would be filed; empty with a refusal.
    requests: Vec<WouldBeRequest>,
    /// Why nothing would be filed; null otherwise.
    refusal: Option<Refusal>,
    /// Whether the justification is missing, or is not what is asked for.
    justification_missing: bool,
    /// Members that are missing, or are not what is asked for; filing would be refused for them.
    missing_fields: Vec<MissingField>,
    /// How each entitlement came to its flow, in the order in which they were sent. Holds only
    /// flows whose requestor conditions the caller meets, unless the caller may see all flows.
    explanations: Vec<Explanation>,
}

/// A member that is missing, or is not what is asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct MissingField {
    /// The member: `justification` or `custom_fields.ID`.
    field: String,
    /// What is asked for.
    message: String,
}

/// One request that would be filed.
#[derive(Debug, Serialize, JsonSchema)]
struct WouldBeRequest {
    /// The governing flow's name.
    flow_name: String,
    /// Places, from 0, of its entitlements in the list that was sent.
    entitlements: Vec<u32>,
    /// Length of the grant; null means until revoked.
    duration_in_sec: Option<i32>,
    /// When access would end if it began now.
    ends_at: Option<Timestamp>,
    /// The flow's timeframe; null if it has none.
    timeframe: Option<OpenTimeframe>,
    /// Whether the flow is one for emergencies.
    break_glass: bool,
    /// Whether it would wait for your second factor before anybody is asked.
    needs_second_factor: bool,
    /// Whether somebody has to agree.
    needs_approval: bool,
    /// Who would be asked.
    approvers: Vec<UserRef>,
    /// Hosts of the programs that would be asked.
    programs: Vec<String>,
    /// Why they could not approve it, or not by every group; null if nothing is in the way.
    approval_trouble: Option<String>,
    /// Who would be asked later, if nobody decides.
    escalation: Vec<LaterApprovers>,
}

/// How one entitlement came to its flow.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunExplanation")]
struct Explanation {
    /// The governing flow's name; null if there is none.
    flow_name: Option<String>,
    /// Why there is none.
    refusal: Option<Refusal>,
    /// Other flows, each with the first thing that stood in its way.
    passed_over: Vec<PassedOver>,
    /// The names of the floors that bind whichever flow governs.
    floors: Vec<String>,
}

impl From<requests::DryRun> for DryRun {
    fn from(run: requests::DryRun) -> Self {
        let missing = run.missing.into_iter();
        let missing_fields: Vec<MissingField> =
            missing.map(|one| MissingField { field: one.field, message: one.message }).collect();
        let refused = run.refused;
        let explained = run.explanations.into_iter().enumerate().map(|(place, explanation)| {
            let refusal = refused.iter().find(|(at, _)| *at == place);
            let Chosen { flow_name, passed_over, floors } = explanation.into();
            let refusal = refusal.map(|(_, refusal)| refusal.clone().into());
            Explanation { flow_name, refusal, passed_over, floors }
        });
        Self {
            requests: run.parts.into_iter().map(WouldBeRequest::from).collect(),
            refusal: run.refusal.map(Into::into),
            justification_missing: missing_fields.iter().any(|one| one.field == "justification"),
            missing_fields,
            explanations: explained.collect(),
        }
    }
}

impl From<requests::DryRunPart> for WouldBeRequest {
    fn from(part: requests::DryRunPart) -> Self {
        let places = part.entitlements.into_iter();
        Self {
            flow_name: part.flow_name,
            entitlements: places.filter_map(|place| u32::try_from(place).ok()).collect(),
            duration_in_sec: part.duration_sec.map(seconds32),
            ends_at: part.ends_at.map(Into::into),
            timeframe: part.window.map(Into::into),
            break_glass: part.break_glass,
            needs_second_factor: part.needs_second_factor,
            needs_approval: part.needs_approval,
            approvers: part.asked.iter().map(Into::into).collect(),
            programs: part.programs.into_iter().map(|program| program.host).collect(),
            approval_trouble: part.trouble.filter(|_| part.needs_approval),
            escalation: part.tiers.into_iter().map(Into::into).collect(),
        }
    }
}

async fn dry_run(
    State(app): State<App>,
    May(actor, ..): May<DryRunRequest>,
    Body(input): Body<AccessRequestCreate>,
) -> Result<Reply<DryRun>, ApiError> {
    Ok(Reply(requests::dry_run_request(&app, &actor, input.into()).await?.into()))
}
