//! Creating, replacing and deleting flows, and what that does to requests under way.

use latchkey_domain::{flow::AccessFlow, ids::FlowId, policy::validation::validate_flow};
use latchkey_store::Tx;
use serde_json::json;

use super::{FlowView, input, input::FlowCommand, named_by_targets, pins, view};
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    lifecycle::{Because, cancel_open_requests_of_flow, end_everything_of_flow},
    texts, trail,
};

/// Creates a flow. 400 naming references that mean nothing and rules that are broken; 409 if the
/// name is taken.
pub async fn create_flow(
    app: &App,
    actor: &Actor,
    command: FlowCommand,
) -> Result<FlowView, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx| {
            let mut policy = input::resolve(tx, &command).await?;
            check(&command, &policy)?;
            name_is_free(tx, &command.name, None).await?;
            named_by_targets(&policy).hold(tx).await?;
            pins::pin(tx, &mut policy, None).await?;
            let now = tx.now();
            let flow = AccessFlow {
                id: FlowId::generate(now, app.rng()),
                name: command.name,
                description: command.description,
                active: command.active,
                policy,
                version: 1,
                created_at: now,
                updated_at: None,
            };
            tx.insert_flow(&flow).await?;
            let detail = json!({ "name": flow.name, "active": flow.active, "policy": flow.policy });
            let id = flow.id.as_str();
            trail::record(tx, &actor.audit(), "access_flow.created", "access_flow", id, detail)
                .await?;
            Ok(view(tx, flow).await?)
        })
        .await
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
        .write(async |tx| {
            let before = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
            let mut policy = input::resolve(tx, &command).await?;
            // Only the older format can say this; a newer client must not wipe it.
            policy.settings.require_justification_on_request_again |=
                before.policy.settings.require_justification_on_request_again;
            check(&command, &policy)?;
            name_is_free(tx, &command.name, Some(id)).await?;
            named_by_targets(&policy).hold(tx).await?;
            pins::pin(tx, &mut policy, Some(&before)).await?;
            let mut flow = AccessFlow {
                name: command.name,
                description: command.description,
                active: command.active,
                policy,
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
            let audit = actor.audit();
            trail::record(tx, &audit, "access_flow.updated", "access_flow", id.as_str(), detail)
                .await?;
            if before.active && !flow.active {
                let because = Because::FlowSwitchedOff;
                cancel_open_requests_of_flow(tx, &audit, id, &because).await?;
            }
            Ok(view(tx, flow).await?)
        })
        .await
}

/// Deletes a flow: its pending requests are cancelled and its live access is revoked.
pub async fn delete_flow(app: &App, actor: &Actor, id: &FlowId) -> Result<(), AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx| {
            tx.lock_flow(id).await?;
            let flow = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
            let audit = actor.audit();
            let ended = end_everything_of_flow(tx, &audit, id, &Because::FlowDeleted).await?;
            tx.delete_flow(id).await?;
            let detail = json!({ "name": flow.name, "requests_ended": ended });
            trail::record(tx, &audit, "access_flow.deleted", "access_flow", id.as_str(), detail)
                .await
        })
        .await
}

fn check(
    command: &FlowCommand,
    policy: &latchkey_domain::flow::FlowPolicy,
) -> Result<(), AppError> {
    let mut errors: Vec<FieldError> = validate_flow(&command.name, policy)
        .into_iter()
        .map(|problem| FieldError::new(problem.field, problem.message))
        .collect();
    if let Err(error) = texts::check_line("name", &command.name)
        && !errors.iter().any(|known| known.field == "name")
    {
        errors.push(error);
    }
    errors.extend(texts::check_description("description", command.description.as_deref()).err());
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}

async fn name_is_free(tx: &mut Tx, name: &str, except: Option<&FlowId>) -> Result<(), AppError> {
    match tx.find_flow_by_name(name).await? {
        Some(other) if Some(&other.id) != except => Err(AppError::conflict(format!(
            "the access flow name \"{name}\" is taken; choose another"
        ))),
        _ => Ok(()),
    }
}
