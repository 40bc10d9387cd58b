//! `POST /api/admin/v1/what-if`: ours, beside the common wire format. What a change of policy would
//! do before it is saved: who gains, who loses, what becomes of requests under way, and how the
//! requests of the last weeks would come out. Nothing is stored.

use aide::axum::{ApiRouter, routing::post_with};
use axum::extract::State;
use latchkey_app::{
    App,
    flows::Lowered,
    requests::RequestView,
    what_if::{
        self, Consequences as Told, Differing, Effect, Outcome, PeopleChanged, PersonChanged,
        PolicyChange, Replay as Replayed, RequestChanged, RequestsChanged, Subject as Changed,
        SubjectKind, Tally as Counted,
    },
};
use latchkey_domain::ids::{AccessScopeId, BundleId, FlowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    access_flows_v2::{input, wire::AccessFlowInput},
    access_scopes_v1::AccessScopeInput,
    available_access_v1::AvailableEntitlement,
    bundles_v2::{self, BundleInput},
    explain_v1::FlowRef,
    references::UserRef,
};
use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{May, TryPolicy},
    documentation::described,
    error::ApiError,
};

/// How many days of requests are replayed where nobody says.
const DAYS: i32 = 90;
/// How many people and requests are listed where nobody says.
const LIMIT: i32 = 100;

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/api/admin/v1/what-if",
        post_with(try_change, |op| {
            let summary = "Say what saving or deleting a flow, or saving a bundle or access scope, \
                           would do: who gains, who loses, which requests change, and how the \
                           requests of the last weeks would come out. Nothing is stored.";
            described(op, "Latchkey", "whatIf", summary)
        }),
    )
}

/// A change to try; fill exactly one of the first four members.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WhatIfInput {
    /// A flow that would be saved.
    pub access_flow: Option<AccessFlowInput>,
    /// Id or name of a flow that would be deleted.
    pub deleted_access_flow: Option<String>,
    /// A bundle that would be saved.
    pub bundle: Option<BundleInput>,
    /// An access scope that would be saved.
    pub access_scope: Option<AccessScopeInput>,
    /// Id of the one that it would replace; without it that is the one of the same name, and if
    /// there is none, it would be new.
    pub id: Option<String>,
    /// How many days of requests to replay, 0 to 366; 90 when left out.
    pub replay_days: Option<i32>,
    /// How many people and requests to list at most, 1 to 1000; 100 when left out. All are
    /// counted.
    pub limit: Option<i32>,
}

/// What a change would do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Consequences {
    /// What would be changed.
    pub subject: Subject,
    /// The flows that would give something else.
    pub access_flows: Vec<FlowRef>,
    /// Who could ask for more and who for less, for themselves.
    pub people: People,
    /// What becomes of requests under way.
    pub requests: Requests,
    /// Flows that ask more than the changed ones for something that both give, so that people
    /// would have it on easier terms.
    pub lowers: Vec<Lowers>,
    /// How earlier requests would come out if they were filed now.
    pub replay: Replay,
}

/// A flow that a changed one undercuts.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfLowers")]
pub struct Lowers {
    /// The flow that asks more.
    pub access_flow: FlowRef,
    /// What it asks and the other does not, in words.
    pub asks: Vec<&'static str>,
    /// How many entitlements both give.
    pub entitlements: i64,
}

/// What would be changed.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfSubject")]
pub struct Subject {
    /// `access_flow`, `deleted_access_flow`, `bundle` or `access_scope`.
    pub kind: &'static str,
    /// Its id; null if it would be new.
    pub id: Option<String>,
    /// What it would be called.
    pub name: String,
}

/// Who could ask for more and who for less.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfPeople")]
pub struct People {
    /// How many gain anything.
    pub gaining: i64,
    /// How many lose anything.
    pub losing: i64,
    /// The first of them.
    pub items: Vec<Person>,
}

/// What one person gains and loses.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfPerson")]
pub struct Person {
    /// The person.
    pub user: UserRef,
    /// How many entitlements the person could ask for and cannot now.
    pub gains: i64,
    /// How many the person can ask for now and could not then.
    pub loses: i64,
    /// Some of those gained.
    pub gained: Vec<AvailableEntitlement>,
    /// Some of those lost.
    pub lost: Vec<AvailableEntitlement>,
}

/// What becomes of requests under way.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfRequests")]
pub struct Requests {
    /// How many that wait for a decision change.
    pub pending: i64,
    /// How many that are in place change.
    pub live: i64,
    /// Whether all were looked at; of very many only the newest are.
    pub complete: bool,
    /// The newest of them.
    pub items: Vec<TouchedRequest>,
}

/// What becomes of one request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfRequest")]
pub struct TouchedRequest {
    /// The request.
    pub request: RequestRef,
    /// `cancelled`: with the change. `cancelled_when_decided`: once somebody decides about it.
    /// `asks_others`: others have to agree, beside those who were asked. `revoked`: access ends
    /// with the change. `kept`: access stays until its end, and could not be prolonged or asked
    /// for again.
    pub effect: &'static str,
    /// Why.
    pub reason: String,
}

/// Short form of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfRequestRef")]
pub struct RequestRef {
    /// Request id.
    pub id: String,
    /// The number people say: `AR-7`.
    pub number: String,
    /// How it stands.
    pub status: &'static str,
    /// Who asked.
    pub requestor: UserRef,
    /// Who receives the access.
    pub grantee: UserRef,
}

/// How the requests of the last weeks would come out if they were filed now.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfReplay")]
pub struct Replay {
    /// How many days were replayed.
    pub days: i64,
    /// How many requests were replayed.
    pub requests: i64,
    /// Whether that is all of them; of very many only the newest are.
    pub complete: bool,
    /// How they came out when they were filed.
    pub then: Tally,
    /// How they would come out by the policy of now.
    pub now: Tally,
    /// How they would come out after the change.
    pub after: Tally,
    /// How many come out differently by the change.
    pub changed: i64,
    /// How many come out differently than then, for whatever reason: people and inventory have
    /// changed too.
    pub differing: i64,
    /// The newest of those that the change makes come out differently, then of the others.
    pub items: Vec<Difference>,
}

/// How many requests come out how.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfTally")]
pub struct Tally {
    /// Nobody has to agree.
    pub auto_approved: i64,
    /// Somebody has to agree.
    pub needs_approval: i64,
    /// No flow allows it.
    pub denied: i64,
    /// What it asked for is gone.
    pub gone: i64,
}

/// A request that comes out differently: `auto_approved`, `needs_approval`, `denied` or `gone`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WhatIfDifference")]
pub struct Difference {
    /// The request.
    pub request: RequestRef,
    /// How it came out when it was filed.
    pub then: &'static str,
    /// By the policy of now.
    pub now: &'static str,
    /// After the change.
    pub after: &'static str,
    /// The flows that would govern it after the change, or why none would.
    pub by: String,
}

/// The change that a body says; 400 unless it is exactly one.
fn change(input: WhatIfInput) -> Result<PolicyChange, ApiError> {
    let WhatIfInput { access_flow, deleted_access_flow, bundle, access_scope, id, .. } = input;
    match (access_flow, deleted_access_flow, bundle, access_scope) {
        (Some(flow), None, None, None) => Ok(PolicyChange::Flow {
            id: id.map(FlowId::new),
            command: Box::new(input::command(flow)?),
        }),
        (None, Some(reference), None, None) => Ok(PolicyChange::DeleteFlow(reference)),
        (None, None, Some(bundle), None) => Ok(PolicyChange::Bundle {
            id: id.map(BundleId::new),
            command: bundles_v2::command(bundle)?,
        }),
        (None, None, None, Some(scope)) => {
            Ok(PolicyChange::AccessScope { id: id.map(AccessScopeId::new), command: scope.into() })
        }
        _ => Err(ApiError::bad_request(
            "fill exactly one of access_flow, deleted_access_flow, bundle and access_scope",
        )),
    }
}

/// The command that a body says.
pub fn command(input: WhatIfInput) -> Result<what_if::WhatIf, ApiError> {
    let small = |number: Option<i32>, usual: i32, field: &'static str| {
        let number = u32::try_from(number.unwrap_or(usual));
        number.map_err(|_| ApiError::field(field, "must be 0 or more"))
    };
    let replay_days = small(input.replay_days, DAYS, "replay_days")?;
    let limit = small(input.limit, LIMIT, "limit")?;
    Ok(what_if::WhatIf { change: change(input)?, replay_days, limit })
}

impl From<Told> for Consequences {
    fn from(told: Told) -> Self {
        let flows = told.flows.into_iter();
        Self {
            subject: told.subject.into(),
            access_flows: flows.map(|(id, name)| FlowRef { id: id.into(), name }).collect(),
            people: told.people.into(),
            requests: told.requests.into(),
            lowers: told.lowers.into_iter().map(Lowers::from).collect(),
            replay: told.replay.into(),
        }
    }
}

impl From<Lowered> for Lowers {
    fn from(lowered: Lowered) -> Self {
        Self {
            access_flow: FlowRef { id: lowered.flow_id.into(), name: lowered.flow_name },
            asks: lowered.asks,
            entitlements: count(lowered.entitlements),
        }
    }
}

impl From<Changed> for Subject {
    fn from(subject: Changed) -> Self {
        let kind = match subject.kind {
            SubjectKind::Flow => "access_flow",
            SubjectKind::DeletedFlow => "deleted_access_flow",
            SubjectKind::Bundle => "bundle",
            SubjectKind::AccessScope => "access_scope",
        };
        Self { kind, id: subject.id, name: subject.name }
    }
}

impl From<PeopleChanged> for People {
    fn from(changed: PeopleChanged) -> Self {
        Self {
            gaining: count(changed.gaining),
            losing: count(changed.losing),
            items: changed.people.into_iter().map(Person::from).collect(),
        }
    }
}

impl From<PersonChanged> for Person {
    fn from(changed: PersonChanged) -> Self {
        Self {
            user: UserRef::from(&changed.user),
            gains: count(changed.gains),
            loses: count(changed.loses),
            gained: changed.gained.into_iter().map(Into::into).collect(),
            lost: changed.lost.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<RequestsChanged> for Requests {
    fn from(changed: RequestsChanged) -> Self {
        Self {
            pending: count(changed.pending),
            live: count(changed.live),
            complete: changed.complete,
            items: changed.requests.into_iter().map(TouchedRequest::from).collect(),
        }
    }
}

impl From<RequestChanged> for TouchedRequest {
    fn from(changed: RequestChanged) -> Self {
        let effect = match changed.effect {
            Effect::Cancelled => "cancelled",
            Effect::CancelledWhenDecided => "cancelled_when_decided",
            Effect::AsksOthers => "asks_others",
            Effect::Revoked => "revoked",
            Effect::Kept => "kept",
        };
        Self { request: RequestRef::from(changed.seen), effect, reason: changed.reason }
    }
}

impl From<RequestView> for RequestRef {
    fn from(seen: RequestView) -> Self {
        Self {
            number: format!("AR-{}", seen.request.number),
            status: seen.request.state.as_str(),
            requestor: UserRef::from(&seen.requestor),
            grantee: UserRef::from(&seen.grantee),
            id: seen.request.id.into(),
        }
    }
}

impl From<Replayed> for Replay {
    fn from(replayed: Replayed) -> Self {
        Self {
            days: i64::from(replayed.days),
            requests: count(replayed.requests),
            complete: replayed.complete,
            then: replayed.then.into(),
            now: replayed.now.into(),
            after: replayed.after.into(),
            changed: count(replayed.changed),
            differing: count(replayed.differing),
            items: replayed.examples.into_iter().map(Difference::from).collect(),
        }
    }
}

impl From<Counted> for Tally {
    fn from(counted: Counted) -> Self {
        Self {
            auto_approved: count(counted.auto_approved),
            needs_approval: count(counted.needs_approval),
            denied: count(counted.denied),
            gone: count(counted.gone),
        }
    }
}

impl From<Differing> for Difference {
    fn from(differing: Differing) -> Self {
        Self {
            request: RequestRef::from(differing.seen),
            then: word(differing.then),
            now: word(differing.now),
            after: word(differing.after),
            by: differing.by,
        }
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AutoApproved => "auto_approved",
        Outcome::NeedsApproval => "needs_approval",
        Outcome::Denied => "denied",
        Outcome::Gone => "gone",
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn try_change(
    State(app): State<App>,
    May(actor, ..): May<TryPolicy>,
    Body(input): Body<WhatIfInput>,
) -> Result<Reply<Consequences>, ApiError> {
    Ok(Reply(what_if::what_if(&app, &actor, command(input)?).await?.into()))
}
