//! Creating, replacing and deleting flows, and what that does to requests under way.

use latchkey_domain::{
    flow::{AccessFlow, FlowPolicy, LegacyPolicy},
    ids::FlowId,
    policy::validation::validate_flow,
};
use latchkey_store::Tx;
use serde_json::json;

use super::{FlowView, input, input::FlowCommand, named_by_targets, pins, programs, view};
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    lifecycle::{Because, cancel_open_requests_of_flow, end_everything_of_flow},
    texts, trail,
};

/// A flow as it is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) active: bool,
    /// With references resolved; pinned when it is stored.
    pub(super) policy: FlowPolicy,
}

impl Draft {
    /// The flow as it is.
    pub(super) fn of(flow: &AccessFlow) -> Self {
        Self {
            name: flow.name.clone(),
            description: flow.description.clone(),
            active: flow.active,
            policy: flow.policy.clone(),
        }
    }

    /// Whether both say the same, as far as a command can say it.
    fn says_the_same(&self, mut other: Self) -> bool {
        let mut this = self.clone();
        for policy in [&mut this.policy, &mut other.policy] {
            pins::forget(policy);
            policy.legacy = LegacyPolicy::default();
        }
        this == other
    }

    async fn read(tx: &mut Tx, command: FlowCommand) -> Result<Self, AppError> {
        let policy = input::resolve(tx, &command).await?;
        let FlowCommand { name, description, active, .. } = command;
        Ok(Self { name, description, active, policy })
    }
}

/// The flow that saving a command would store in place of `before`, or anew. Checked like the real
/// thing; nothing is stored.
pub(crate) async fn would_be(
    tx: &mut Tx,
    app: &App,
    before: Option<&AccessFlow>,
    command: FlowCommand,
) -> Result<AccessFlow, AppError> {
    let mut draft = Draft::read(tx, command).await?;
    if let Some(before) = before {
        keep_what_only_v1_says(&before.policy, &mut draft.policy);
    }
    check(tx, &draft).await?;
    name_is_free(tx, &draft.name, before.map(|before| &before.id)).await?;
    pins::pin(tx, &mut draft.policy, before).await?;
    let now = tx.now();
    Ok(AccessFlow {
        id: before.map_or_else(|| FlowId::generate(now, app.rng()), |before| before.id.clone()),
        name: draft.name,
        description: draft.description,
        active: draft.active,
        policy: draft.policy,
        version: before.map_or(1, |before| before.version + 1),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: before.map(|_| now),
    })
}

/// Creates a flow. 400 naming references that mean nothing and rules that are broken; 409 if the
/// name is taken.
pub async fn create_flow(
    app: &App,
    actor: &Actor,
    command: FlowCommand,
) -> Result<FlowView, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store().write(async |tx| create(tx, app, actor, command).await).await
}

/// Creates a flow. The caller has asked whether the actor may.
pub(crate) async fn create(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    command: FlowCommand,
) -> Result<FlowView, AppError> {
    let draft = Draft::read(tx, command).await?;
    let flow = insert(tx, app, actor, draft).await?;
    Ok(view(tx, flow).await?)
}

/// Stores a new flow. The caller has asked whether the actor may.
pub(super) async fn insert(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    mut draft: Draft,
) -> Result<AccessFlow, AppError> {
    check(tx, &draft).await?;
    name_is_free(tx, &draft.name, None).await?;
    named_by_targets(&draft.policy).hold(tx).await?;
    pins::pin(tx, &mut draft.policy, None).await?;
    let now = tx.now();
    let flow = AccessFlow {
        id: FlowId::generate(now, app.rng()),
        name: draft.name,
        description: draft.description,
        active: draft.active,
        policy: draft.policy,
        version: 1,
        created_at: now,
        updated_at: None,
    };
    tx.insert_flow(&flow).await?;
    let detail = json!({ "name": flow.name, "active": flow.active, "policy": flow.policy });
    let id = flow.id.as_str();
    trail::record(tx, &actor.audit(), "access_flow.created", "access_flow", id, detail).await?;
    Ok(flow)
}

/// Replaces a flow. One that is switched off has its pending requests cancelled; live access
/// stays. Pending requests under a changed flow are judged by it when they are decided.
pub async fn update_flow(
    app: &App,
    actor: &Actor,
    id: &FlowId,
    command: FlowCommand,
) -> Result<FlowView, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<FlowView, AppError> {
            let before = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
            let mut draft = Draft::read(tx, command).await?;
            keep_what_only_v1_says(&before.policy, &mut draft.policy);
            let flow = replace(tx, actor, before, draft).await?;
            Ok(view(tx, flow).await?)
        })
        .await
}

/// Replaces a flow where a command says something else than it; `None` where it does not. Beside
/// the flow it tells how many requests that cancelled. The caller has asked whether the actor may.
pub(crate) async fn replace_if_different(
    tx: &mut Tx,
    actor: &Actor,
    before: AccessFlow,
    command: FlowCommand,
) -> Result<Option<(FlowView, u64)>, AppError> {
    let mut draft = Draft::read(tx, command).await?;
    keep_what_only_v1_says(&before.policy, &mut draft.policy);
    if draft.says_the_same(Draft::of(&before)) {
        return Ok(None);
    }
    let (flow, cancelled) = replace_counting(tx, actor, before, draft).await?;
    Ok(Some((view(tx, flow).await?, cancelled)))
}

/// A newer client cannot send what only the oldest form says, and must not wipe it.
fn keep_what_only_v1_says(before: &FlowPolicy, policy: &mut FlowPolicy) {
    policy.settings.require_justification_on_request_again |=
        before.settings.require_justification_on_request_again;
    if policy.grant_duration_in_min == before.grant_duration_in_min {
        policy.legacy.grant_duration_in_sec = before.legacy.grant_duration_in_sec;
    }
    if policy.approver_policy.is_none() {
        policy.legacy.require_all_approvers = before.legacy.require_all_approvers;
    }
}

/// Stores a flow in place of what it was. The caller has asked whether the actor may.
pub(super) async fn replace(
    tx: &mut Tx,
    actor: &Actor,
    before: AccessFlow,
    draft: Draft,
) -> Result<AccessFlow, AppError> {
    Ok(replace_counting(tx, actor, before, draft).await?.0)
}

/// The same; tells how many requests that cancelled.
async fn replace_counting(
    tx: &mut Tx,
    actor: &Actor,
    before: AccessFlow,
    mut draft: Draft,
) -> Result<(AccessFlow, u64), AppError> {
    check(tx, &draft).await?;
    name_is_free(tx, &draft.name, Some(&before.id)).await?;
    named_by_targets(&draft.policy).hold(tx).await?;
    pins::pin(tx, &mut draft.policy, Some(&before)).await?;
    let mut flow = AccessFlow {
        name: draft.name,
        description: draft.description,
        active: draft.active,
        policy: draft.policy,
        updated_at: Some(tx.now()),
        ..before.clone()
    };
    tx.update_flow(&mut flow).await?;
    let detail = json!({
        "name": flow.name,
        "active": flow.active,
        "version": flow.version,
        "before": before.policy,
        "policy": flow.policy,
    });
    let (audit, id) = (actor.audit(), flow.id.as_str());
    trail::record(tx, &audit, "access_flow.updated", "access_flow", id, detail).await?;
    let mut cancelled = 0;
    if before.active && !flow.active {
        let because = Because::FlowSwitchedOff;
        cancelled = cancel_open_requests_of_flow(tx, &audit, &flow.id, &because).await?;
    }
    Ok((flow, cancelled))
}

/// Deletes a flow: its pending requests are cancelled and its live access is revoked.
pub async fn delete_flow(app: &App, actor: &Actor, id: &FlowId) -> Result<(), AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store().write(async |tx| delete(tx, actor, id).await.map(drop)).await
}

/// Deletes a flow; tells how many requests that ended. The caller has asked whether the actor may.
pub(crate) async fn delete(tx: &mut Tx, actor: &Actor, id: &FlowId) -> Result<u64, AppError> {
    tx.lock_flow(id).await?;
    let flow = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
    let audit = actor.audit();
    let ended = end_everything_of_flow(tx, &audit, id, &Because::FlowDeleted).await?;
    tx.delete_flow(id).await?;
    let detail = json!({ "name": flow.name, "requests_ended": ended });
    trail::record(tx, &audit, "access_flow.deleted", "access_flow", id.as_str(), detail).await?;
    Ok(ended)
}

async fn check(tx: &mut Tx, draft: &Draft) -> Result<(), AppError> {
    let mut errors: Vec<FieldError> = validate_flow(&draft.name, &draft.policy)
        .into_iter()
        .map(|problem| FieldError::new(problem.field, problem.message))
        .collect();
    if let Err(error) = texts::check_line("name", &draft.name)
        && !errors.iter().any(|known| known.field == "name")
    {
        errors.push(error);
    }
    errors.extend(programs::uncallable(tx, &draft.policy).await?);
    errors.extend(texts::check_description("description", draft.description.as_deref()).err());
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}

async fn name_is_free(tx: &mut Tx, name: &str, except: Option<&FlowId>) -> Result<(), AppError> {
    let owner = tx.find_flow_by_name(name).await?;
    texts::name_is_free("access flow", name, owner.as_ref().map(|other| &other.id), except)
}
