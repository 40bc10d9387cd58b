//! `POST /api/user/v4/access-requests/dry-run`: what a request would come to, and why. Ours,
//! beside the common wire format. Nothing is stored, and findings come in a 200.

use aide::axum::routing::{ApiMethodRouter, post_with};
use axum::extract::State;
use latchkey_app::{App, requests};
use latchkey_domain::policy::{
    explanation::Explanation as Explained, selection::Refusal as Refused,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::wire::AccessRequestCreate;
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
    /// Whether a flow asks for a justification and none was sent.
    justification_missing: bool,
    /// How each entitlement came to its flow, in the order in which they were sent. Holds only
    /// flows whose requestor conditions the caller meets.
    explanations: Vec<Explanation>,
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
    /// Whether somebody has to agree.
    needs_approval: bool,
    /// Who would be asked.
    approvers: Vec<UserRef>,
}

/// Why nothing would be filed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunRefusal")]
struct Refusal {
    /// The code that filing would be refused with.
    code: &'static str,
    /// What stands in the way.
    message: String,
    /// With `DurationTooLong`: the longest allowed.
    longest_duration_in_sec: Option<i32>,
    /// With `OutsideTimeframe`: when it would be allowed.
    next_opening: Option<Timestamp>,
}

/// How one entitlement came to its flow.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunExplanation")]
struct Explanation {
    /// The governing flow's name; null if there is none.
    flow_name: Option<String>,
    /// Other flows, each with the first thing that stood in its way.
    passed_over: Vec<PassedOver>,
}

/// A flow that does not govern.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunPassedOver")]
struct PassedOver {
    /// The flow's name.
    flow_name: String,
    /// The first thing that stood in its way.
    reason: String,
}

impl From<requests::DryRun> for DryRun {
    fn from(run: requests::DryRun) -> Self {
        let parts = run.parts.into_iter().map(|part| WouldBeRequest {
            flow_name: part.flow_name,
            entitlements: places(part.entitlements),
            duration_in_sec: part.duration_sec.map(seconds32),
            ends_at: part.ends_at.map(Into::into),
            needs_approval: part.needs_approval,
            approvers: part.asked.iter().map(Into::into).collect(),
        });
        Self {
            requests: parts.collect(),
            refusal: run.refusal.map(Into::into),
            justification_missing: run.justification_missing,
            explanations: run.explanations.into_iter().map(Into::into).collect(),
        }
    }
}

fn places(places: Vec<usize>) -> Vec<u32> {
    places.into_iter().filter_map(|place| u32::try_from(place).ok()).collect()
}

impl From<Refused> for Refusal {
    fn from(refusal: Refused) -> Self {
        let message = refusal.to_string();
        let (code, longest, next_opening) = match refusal {
            Refused::DurationTooLong { longest_sec } => {
                ("DurationTooLong", Some(longest_sec), None)
            }
            Refused::OutsideTimeframe { next_opening } => ("OutsideTimeframe", None, next_opening),
            Refused::NoMatchingFlow { .. } => ("NoMatchingFlow", None, None),
        };
        Self {
            code,
            message,
            longest_duration_in_sec: longest.map(seconds32),
            next_opening: next_opening.map(Into::into),
        }
    }
}

impl From<Explained> for Explanation {
    fn from(explained: Explained) -> Self {
        let others = explained.passed_over.into_iter();
        Self {
            flow_name: explained.chosen.map(|flow| flow.flow_name),
            passed_over: others
                .map(|flow| PassedOver {
                    reason: flow.reason.to_string(),
                    flow_name: flow.flow_name,
                })
                .collect(),
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
