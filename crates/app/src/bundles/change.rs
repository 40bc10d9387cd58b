//! Creating, changing and deleting bundles.

use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::IntegrationTarget,
    ids::BundleId,
    policy::validation::validate_integration_target,
    resource_tags::as_tags_say,
};
use latchkey_store::Tx;
use serde_json::json;

use super::{BundleView, view};
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    targets::{self, IntegrationTargetInput, Named},
    texts, trail,
};

/// Everything that can be said about a bundle, for creating and for replacing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleCommand {
    /// Unique without letter case.
    pub name: String,
    /// What it holds; may be empty.
    pub targets: Vec<BundleTargetInput>,
}

/// Something that a bundle is to hold. The surface has checked that exactly one kind was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleTargetInput {
    /// Resources of one type of one integration.
    Integration(IntegrationTargetInput),
    /// The same, in the older format: the integration by id only.
    IntegrationById(IntegrationTarget),
    /// An access scope, by id or name.
    AccessScope(String),
}

/// What the older format changes of a bundle; `None` keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundlePatch {
    /// The name.
    pub name: Option<String>,
    /// The parts of integrations. Access scopes are kept, which this format cannot say; so is a
    /// part that this format shows as it was sent.
    pub integration_targets: Option<Vec<IntegrationTarget>>,
}

/// The bundle that saving a command would store in place of `before`, or anew. Checked like the
/// real thing; nothing is stored.
pub(crate) async fn would_be(
    tx: &mut Tx,
    app: &App,
    before: Option<&Bundle>,
    command: &BundleCommand,
) -> Result<Bundle, AppError> {
    let targets = read_targets(tx, command).await?;
    name_is_free(tx, &command.name, before.map(|before| &before.id)).await?;
    let now = tx.now();
    Ok(Bundle {
        id: before.map_or_else(|| BundleId::generate(now, app.rng()), |before| before.id.clone()),
        name: command.name.clone(),
        targets,
        version: before.map_or(1, |before| before.version + 1),
        created_at: before.map_or(now, |before| before.created_at),
        updated_at: now,
    })
}

/// Creates a bundle. 400 naming references that mean nothing and rules that are broken; 409 if
/// the name is taken.
pub async fn create_bundle(
    app: &App,
    actor: &Actor,
    command: BundleCommand,
) -> Result<BundleView, AppError> {
    actor.require(Operation::ManageBundles)?;
    app.store().write(async |tx| create(tx, app, actor, command).await).await
}

/// Creates a bundle. The caller has asked whether the actor may.
pub(crate) async fn create(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    command: BundleCommand,
) -> Result<BundleView, AppError> {
    let targets = resolve(tx, &command).await?;
    name_is_free(tx, &command.name, None).await?;
    let now = tx.now();
    let bundle = Bundle {
        id: BundleId::generate(now, app.rng()),
        name: command.name,
        targets,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.insert_bundle(&bundle).await?;
    let detail = json!({ "name": bundle.name, "targets": bundle.targets });
    record(tx, actor, "bundle.created", &bundle.id, detail).await?;
    view(tx, bundle).await
}

/// Replaces a bundle. Flows that target it follow; pending requests are judged by it when they
/// are decided, and live access stays.
pub async fn update_bundle(
    app: &App,
    actor: &Actor,
    id: &BundleId,
    command: BundleCommand,
) -> Result<BundleView, AppError> {
    actor.require(Operation::ManageBundles)?;
    app.store()
        .write(async |tx| {
            let before = tx.find_bundle(id).await?.ok_or_else(AppError::not_found)?;
            let targets = resolve(tx, &command).await?;
            save(tx, actor, before, command.name, targets).await
        })
        .await
}

/// Replaces a bundle where a command says something else than it; `None` where it does not. The
/// caller has asked whether the actor may.
pub(crate) async fn replace_if_different(
    tx: &mut Tx,
    actor: &Actor,
    before: Bundle,
    command: BundleCommand,
) -> Result<Option<BundleView>, AppError> {
    let targets = resolve(tx, &command).await?;
    if (&command.name, &targets) == (&before.name, &before.targets) {
        return Ok(None);
    }
    save(tx, actor, before, command.name, targets).await.map(Some)
}

/// Changes what the older format can say of a bundle, and keeps the rest.
pub async fn patch_bundle(
    app: &App,
    actor: &Actor,
    id: &BundleId,
    patch: BundlePatch,
) -> Result<BundleView, AppError> {
    actor.require(Operation::ManageBundles)?;
    app.store()
        .write(async |tx| {
            let before = tx.find_bundle(id).await?.ok_or_else(AppError::not_found)?;
            let name = patch.name.unwrap_or_else(|| before.name.clone());
            let sent = match patch.integration_targets {
                Some(sent) => keep_what_tags_cannot_say(&before, sent),
                None => parts(&before).cloned().collect(),
            };
            let targets = sent.into_iter().map(BundleTargetInput::IntegrationById).collect();
            let command = BundleCommand { name, targets };
            let targets = resolve(tx, &command).await?;
            let targets = merge(&before, targets);
            save(tx, actor, before, command.name, targets).await
        })
        .await
}

/// Deletes a bundle. 409, naming them, while flows target it.
pub async fn delete_bundle(app: &App, actor: &Actor, id: &BundleId) -> Result<(), AppError> {
    actor.require(Operation::ManageBundles)?;
    app.store().write(async |tx| delete(tx, actor, id).await).await
}

/// Deletes a bundle. The caller has asked whether the actor may.
pub(crate) async fn delete(tx: &mut Tx, actor: &Actor, id: &BundleId) -> Result<(), AppError> {
    tx.lock_bundle(id).await?;
    let bundle = tx.find_bundle(id).await?.ok_or_else(AppError::not_found)?;
    let flows = tx.flows_using_bundle(id).await?;
    if !flows.is_empty() {
        let names: Vec<String> =
            flows.iter().map(|flow| format!("the access flow \"{}\"", flow.name)).collect();
        return Err(AppError::conflict(format!(
            "the bundle is used by {}; take it out of there first",
            names.join(", ")
        )));
    }
    tx.delete_bundle(id).await?;
    let detail = json!({ "name": bundle.name, "targets": bundle.targets });
    record(tx, actor, "bundle.deleted", id, detail).await
}

async fn save(
    tx: &mut Tx,
    actor: &Actor,
    before: Bundle,
    name: String,
    targets: Vec<BundleTarget>,
) -> Result<BundleView, AppError> {
    name_is_free(tx, &name, Some(&before.id)).await?;
    let mut bundle = Bundle { name, targets, updated_at: tx.now(), ..before.clone() };
    tx.update_bundle(&mut bundle).await?;
    let detail = json!({
        "before": { "name": before.name, "targets": before.targets },
        "after": { "name": bundle.name, "targets": bundle.targets },
    });
    record(tx, actor, "bundle.updated", &bundle.id, detail).await?;
    view(tx, bundle).await
}

/// The parts of integrations in a bundle.
fn parts(bundle: &Bundle) -> impl Iterator<Item = &IntegrationTarget> {
    bundle.targets.iter().filter_map(|target| match target {
        BundleTarget::Integration(target) => Some(target),
        BundleTarget::AccessScope(_) => None,
    })
}

/// The parts as sent, except that those which the older format shows just so stay as they were:
/// it can say less about resource scopes, and must not wipe what it cannot say.
fn keep_what_tags_cannot_say(
    before: &Bundle,
    sent: Vec<IntegrationTarget>,
) -> Vec<IntegrationTarget> {
    let shown = |target: &IntegrationTarget| IntegrationTarget {
        resources_scopes: as_tags_say(target.resources_scopes.as_deref()),
        ..target.clone()
    };
    let mut stored: Vec<&IntegrationTarget> = parts(before).collect();
    let keep = |sent: IntegrationTarget| match stored.iter().position(|one| shown(one) == sent) {
        Some(at) => stored.remove(at).clone(),
        None => sent,
    };
    sent.into_iter().map(keep).collect()
}

/// Puts the parts of integrations in the places of those before; what is too many comes after
/// the last of them. Access scopes stay where they are.
fn merge(before: &Bundle, parts: Vec<BundleTarget>) -> Vec<BundleTarget> {
    let is_part = |target: &BundleTarget| matches!(target, BundleTarget::Integration(_));
    let last = before.targets.iter().rposition(is_part);
    let mut parts = parts.into_iter();
    let mut merged = Vec::new();
    for (at, target) in before.targets.iter().enumerate() {
        if is_part(target) {
            merged.extend(parts.next());
        } else {
            merged.push(target.clone());
        }
        if Some(at) == last {
            merged.extend(parts.by_ref());
        }
    }
    merged.extend(parts);
    merged
}

/// What the targets name.
pub(super) fn named<'t>(targets: impl IntoIterator<Item = &'t BundleTarget>) -> Named {
    let mut named = Named::default();
    for target in targets {
        match target {
            BundleTarget::Integration(target) => {
                named.integrations.insert(target.integration_id.clone());
            }
            BundleTarget::AccessScope(id) => {
                named.access_scopes.insert(id.clone());
            }
        }
    }
    named
}

/// The targets that a command says, with references resolved and held; 400 naming everything
/// that is wrong.
async fn resolve(tx: &mut Tx, command: &BundleCommand) -> Result<Vec<BundleTarget>, AppError> {
    let resolved = read_targets(tx, command).await?;
    named(&resolved).hold(tx).await?;
    Ok(resolved)
}

/// The same, not held.
async fn read_targets(tx: &mut Tx, command: &BundleCommand) -> Result<Vec<BundleTarget>, AppError> {
    let mut errors: Vec<FieldError> = Vec::new();
    errors.extend(texts::check_name("name", &command.name).err());
    let mut resolved = Vec::with_capacity(command.targets.len());
    for (at, sent) in command.targets.iter().enumerate() {
        let field = format!("access_targets[{at}]");
        let part = match sent {
            BundleTargetInput::Integration(sent) => {
                let found = targets::integration_target(tx, &field, sent).await?;
                found.map(|target| (format!("{field}.integration"), target))
            }
            BundleTargetInput::IntegrationById(target) => {
                let field = format!("integration_targets[{at}]");
                match tx.find_integration(&target.integration_id).await? {
                    Some(_) => Ok((field, target.clone())),
                    None => Err(FieldError::new(
                        format!("{field}.integration_id"),
                        "names no integration by id",
                    )),
                }
            }
            BundleTargetInput::AccessScope(reference) => {
                match targets::access_scope_target(tx, &field, reference).await? {
                    Ok(id) => resolved.push(BundleTarget::AccessScope(id)),
                    Err(error) => errors.push(error),
                }
                continue;
            }
        };
        match part {
            Ok((field, part)) => {
                let problems = validate_integration_target(&field, &part).into_iter();
                errors.extend(problems.map(|one| FieldError::new(one.field, one.message)));
                resolved.push(BundleTarget::Integration(part));
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(AppError::invalid_fields(errors));
    }
    Ok(resolved)
}

async fn name_is_free(tx: &mut Tx, name: &str, except: Option<&BundleId>) -> Result<(), AppError> {
    let owner = tx.find_bundle_by_name(name).await?;
    texts::name_is_free("bundle", name, owner.as_ref().map(|other| &other.id), except)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: &BundleId,
    detail: serde_json::Value,
) -> Result<(), AppError> {
    trail::record(tx, &actor.audit(), action, "bundle", id.as_str(), detail).await
}
