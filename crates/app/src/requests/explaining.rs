//! Why a stored request stands as it does: how its flow was chosen, what stands in its way now,
//! who may decide and who will be asked next, and until when access exists.
//!
//! The choice is worked out anew for the instant at which the request was filed, with the policy,
//! people and inventory of today: what differs from the flow that governs shows what has changed
//! since. Whoever is no viewer sees other flows only where they asked themselves, and then only
//! those whose requestor conditions they meet.

use jiff::Timestamp;
use latchkey_domain::{
    flow::AccessFlow,
    inventory::Entitlement,
    people::User,
    policy::{
        deciding::still_allowed,
        ends::fix_end,
        explanation::Explanation,
        selection::{Asking, Preference, Refusal, select},
    },
    request::{AccessRequest, RequestState},
    settings::SettingSpec,
};
use latchkey_store::Tx;

use super::{
    approvers::{Parties, parties_of, people_to_ask},
    dry_run::{LaterTier, OpenWindow, later_tiers, open_window},
    filing::names_emergency,
    owners::owners_of_units,
    people::People,
    programs::AskedProgram,
    reading::{find_by_reference, find_own},
    seen_again::SeenAgain,
    view::{RequestView, UnitView, view},
};
use crate::{Actor, App, Operation, contents::Contents, error::AppError};

/// Why a stored request stands as it does.
#[derive(Debug, Clone)]
pub struct RequestExplained {
    /// The request.
    pub seen: RequestView,
    /// The governing flow as it is now.
    pub flow_now: FlowNow,
    /// Each of its entitlements.
    pub entitlements: Vec<EntitlementExplained>,
    /// Why it could not be granted now, or not be granted once more.
    pub no_longer_allowed: Option<String>,
    /// How it stands with its approvers; `None` unless it waits for them.
    pub waiting: Option<WaitingFor>,
    /// When access ends; of a request that waits, when it would end if it began now.
    pub ends_at: Option<Timestamp>,
    /// The timeframe it was filed under, if it has one that is open now.
    pub window: Option<OpenWindow>,
}

/// A flow, compared with what it was when a request was filed under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowNow {
    /// As it was.
    Same,
    /// Changed meanwhile; this version.
    Changed(i64),
    /// Switched off.
    Inactive,
    /// Gone.
    Deleted,
}

/// How one entitlement of a request would come to a flow.
#[derive(Debug, Clone)]
pub struct EntitlementExplained {
    /// The entitlement as it was asked for.
    pub unit: UnitView,
    /// How flows would be chosen; `None` where the entitlement is gone.
    pub explanation: Option<Explanation>,
    /// Why none would be.
    pub refusal: Option<Refusal>,
}

/// How a request stands with its approvers.
#[derive(Debug, Clone)]
pub struct WaitingFor {
    /// Who may decide now.
    pub asked: Vec<User>,
    /// The programs that are asked, with what they said.
    pub programs: Vec<AskedProgram>,
    /// Why they could not approve it, or not by every group.
    pub trouble: Option<String>,
    /// When each tier of escalation was told.
    pub tiers_told: Vec<Timestamp>,
    /// The tiers that come.
    pub tiers: Vec<LaterTier>,
}

/// Explains a request that the caller filed or is the grantee of, by id or `AR-n`.
pub async fn explain_own_request(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<RequestExplained, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<RequestExplained, AppError> {
            let request = find_own(tx, actor, id).await?;
            let may_see_all = actor.may(Operation::ExplainAccess);
            let is_asker = request.requestor_id == actor.user.id && !request.asked_as_grantee;
            let mut explained = explain(tx, request).await?;
            for one in &mut explained.entitlements {
                let Some(whole) = one.explanation.take() else { continue };
                one.explanation = Some(match (may_see_all, is_asker) {
                    (true, _) => whole,
                    (false, true) => whole.for_requestor(),
                    (false, false) => Explanation { passed_over: Vec::new(), ..whole },
                });
            }
            Ok(explained)
        })
        .await
}

/// Explains any request, by id or `AR-n`.
pub async fn explain_request(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<RequestExplained, AppError> {
    actor.require(Operation::ExplainAccess)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<RequestExplained, AppError> {
            let request = find_by_reference(tx, id).await?;
            explain(tx, request).await
        })
        .await
}

async fn explain(tx: &mut Tx, request: AccessRequest) -> Result<RequestExplained, AppError> {
    let now = tx.now();
    let seen = view(tx, request).await?;
    let request = &seen.request;
    let again = SeenAgain::read(tx, request, &seen.units).await?;
    let allowed = again.facts(request, now).map(|facts| still_allowed(&facts).map(|_| ()))?;
    let no_longer_allowed = allowed.err().map(|reason| reason.to_string());
    let current = tx.find_flow(&request.flow_id).await?;
    let people = People::read(tx, parties_of(request)).await?;
    let entitlements = choices(tx, &seen, &again, &people, current.as_ref()).await?;
    let ends_at = match request.state {
        state if state.is_open() => {
            fix_end(now, request.duration_sec, request.flow_policy.timeframe.as_ref())
                .unwrap_or_default()
        }
        _ => request.ends_at,
    };
    Ok(RequestExplained {
        flow_now: flow_now(request, current.as_ref()),
        entitlements,
        no_longer_allowed,
        waiting: waiting_for(tx, &seen, &again, &people).await?,
        ends_at,
        window: open_window(&request.flow_policy, now),
        seen,
    })
}

fn flow_now(request: &AccessRequest, current: Option<&AccessFlow>) -> FlowNow {
    match current {
        None => FlowNow::Deleted,
        Some(flow) if !flow.active => FlowNow::Inactive,
        Some(flow) if flow.version != request.flow_version => FlowNow::Changed(flow.version),
        Some(_) => FlowNow::Same,
    }
}

/// How each entitlement would come to a flow, had it been asked for when the request was filed.
async fn choices(
    tx: &mut Tx,
    seen: &RequestView,
    again: &SeenAgain,
    people: &People,
    governing: Option<&AccessFlow>,
) -> Result<Vec<EntitlementExplained>, AppError> {
    let request = &seen.request;
    let mut flows = tx.active_flows().await?;
    // One that was switched off is still the one that is asked about.
    flows.extend(governing.filter(|flow| !flow.active).cloned());
    let contents = Contents::of(tx, flows.iter().map(|flow| &flow.policy)).await?;
    let spec = SettingSpec::get("flow_selection").map_err(AppError::internal)?;
    let word = tx.setting(spec).await?;
    let parties = Parties::among(people, request)?;
    let asking = Asking {
        requestor: parties.asker.facts(),
        grantee: parties.grantee.facts(),
        bundle: request.bundle_id.as_ref(),
        contents: &contents,
        duration_sec: request.duration_sec.filter(|_| request.duration_was_asked),
        break_glass: names_emergency(&request.custom_fields),
        now: request.created_at,
        preference: Preference::from_setting(word.as_str().unwrap_or_default()),
    };
    let explained = seen.units.iter().map(|unit| {
        let is_it = |one: &&Entitlement| {
            one.resource.id == unit.resource_id && one.permission.id == unit.permission_id
        };
        let entitlement = again.entitlements().iter().find(is_it);
        let selection = entitlement.map(|one| select(&flows, &asking, one));
        let (explanation, refusal) = match selection {
            Some(selection) => (Some(selection.explanation), selection.outcome.err()),
            None => (None, None),
        };
        EntitlementExplained { unit: seen.unit(unit.clone()), explanation, refusal }
    });
    Ok(explained.collect())
}

async fn waiting_for(
    tx: &mut Tx,
    seen: &RequestView,
    again: &SeenAgain,
    people: &People,
) -> Result<Option<WaitingFor>, AppError> {
    let request = &seen.request;
    if request.state != RequestState::Pending {
        return Ok(None);
    }
    let policy = &request.flow_policy;
    let owners = owners_of_units(tx, &[policy], &seen.units).await?;
    let parties = Parties::among(people, request)?;
    let told = request.escalations.len();
    let asked = people_to_ask(tx, policy, told, parties, &owners, again.heard()).await?;
    let asked_at = request.created_at.max(request.second_factor_at.unwrap_or(request.created_at));
    let last = request.escalations.last().copied().unwrap_or(asked_at);
    Ok(Some(WaitingFor {
        asked: asked.people,
        programs: asked.programs,
        trouble: asked.trouble,
        tiers_told: request.escalations.clone(),
        tiers: later_tiers(tx, policy, told, last, parties, &owners).await?,
    }))
}
