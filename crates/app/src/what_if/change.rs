//! The change itself: checked as saving would check it, and applied to a copy of the rules.

use std::collections::BTreeSet;

use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::{AccessFlow, FlowTarget},
    ids::{AccessScopeId, BundleId, FlowId},
};
use latchkey_inventory::Rules;
use latchkey_store::Tx;

use crate::{
    App,
    access_scopes::{self, AccessScopeCommand},
    bundles::{self, BundleCommand},
    error::AppError,
    flows::{self, FlowCommand},
};

/// A change of policy. Without an id, what has the same name would be replaced; if nothing has,
/// it would be new.
#[derive(Debug, Clone)]
pub enum PolicyChange {
    /// A flow would be saved.
    Flow {
        /// Which one it replaces.
        id: Option<FlowId>,
        /// What it would say.
        command: Box<FlowCommand>,
    },
    /// A flow would be deleted, by id or name.
    DeleteFlow(String),
    /// A bundle would be saved.
    Bundle {
        /// Which one it replaces.
        id: Option<BundleId>,
        /// What it would hold.
        command: BundleCommand,
    },
    /// An access scope would be saved.
    AccessScope {
        /// Which one it replaces.
        id: Option<AccessScopeId>,
        /// What it would select.
        command: AccessScopeCommand,
    },
}

/// What would be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its id; `None` if it would be new.
    pub id: Option<String>,
    /// What it would be called.
    pub name: String,
}

/// A kind of thing that policy is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// An access flow.
    Flow,
    /// An access flow that would be deleted.
    DeletedFlow,
    /// A bundle.
    Bundle,
    /// An access scope.
    AccessScope,
}

/// The rules as they would be.
pub(super) struct Changed {
    pub(super) rules: Rules,
    /// Every flow that says or gives something else.
    pub(super) flows: BTreeSet<FlowId>,
    pub(super) subject: Subject,
}

/// Applies a change to rules.
pub(super) async fn apply(
    tx: &mut Tx,
    app: &App,
    rules: Rules,
    change: &PolicyChange,
) -> Result<Changed, AppError> {
    match change {
        PolicyChange::Flow { id, command } => save_flow(tx, app, rules, id.as_ref(), command).await,
        PolicyChange::DeleteFlow(reference) => delete_flow(tx, rules, reference).await,
        PolicyChange::Bundle { id, command } => {
            save_bundle(tx, app, rules, id.as_ref(), command).await
        }
        PolicyChange::AccessScope { id, command } => {
            save_scope(tx, app, rules, id.as_ref(), command).await
        }
    }
}

async fn save_flow(
    tx: &mut Tx,
    app: &App,
    mut rules: Rules,
    id: Option<&FlowId>,
    command: &FlowCommand,
) -> Result<Changed, AppError> {
    let before = match id {
        Some(id) => Some(tx.find_flow(id).await?.ok_or_else(|| unknown("access flow"))?),
        None => tx.find_flow_by_name(&command.name).await?,
    };
    let flow = flows::would_be(tx, app, before.as_ref(), command.clone()).await?;
    let subject = Subject {
        kind: SubjectKind::Flow,
        id: before.map(|before| before.id.to_string()),
        name: flow.name.clone(),
    };
    let flows = BTreeSet::from([flow.id.clone()]);
    match rules.flows.iter_mut().find(|known| known.id == flow.id) {
        Some(known) => *known = flow,
        None => rules.flows.push(flow),
    }
    Ok(Changed { rules, flows, subject })
}

async fn delete_flow(tx: &mut Tx, mut rules: Rules, reference: &str) -> Result<Changed, AppError> {
    let flow = match tx.find_flow(&FlowId::new(reference)).await? {
        Some(flow) => Some(flow),
        None => tx.find_flow_by_name(reference).await?,
    };
    let flow: AccessFlow = flow.ok_or_else(|| {
        AppError::invalid("deleted_access_flow", "names no access flow by id or name")
    })?;
    rules.flows.retain(|known| known.id != flow.id);
    Ok(Changed {
        rules,
        flows: BTreeSet::from([flow.id.clone()]),
        subject: Subject {
            kind: SubjectKind::DeletedFlow,
            id: Some(flow.id.into()),
            name: flow.name,
        },
    })
}

async fn save_bundle(
    tx: &mut Tx,
    app: &App,
    mut rules: Rules,
    id: Option<&BundleId>,
    command: &BundleCommand,
) -> Result<Changed, AppError> {
    let before = match id {
        Some(id) => Some(tx.find_bundle(id).await?.ok_or_else(|| unknown("bundle"))?),
        None => tx.find_bundle_by_name(&command.name).await?,
    };
    let bundle: Bundle = bundles::would_be(tx, app, before.as_ref(), command).await?;
    let subject = Subject {
        kind: SubjectKind::Bundle,
        id: before.map(|before| before.id.to_string()),
        name: bundle.name.clone(),
    };
    let flows =
        flows_with(&rules, |target| matches!(target, FlowTarget::Bundle(id) if *id == bundle.id));
    match rules.bundles.iter_mut().find(|known| known.id == bundle.id) {
        Some(known) => *known = bundle,
        None => rules.bundles.push(bundle),
    }
    Ok(Changed { rules, flows, subject })
}

async fn save_scope(
    tx: &mut Tx,
    app: &App,
    mut rules: Rules,
    id: Option<&AccessScopeId>,
    command: &AccessScopeCommand,
) -> Result<Changed, AppError> {
    let before = match id {
        Some(id) => Some(tx.find_access_scope(id).await?.ok_or_else(|| unknown("access scope"))?),
        None => tx.find_access_scope_by_name(&command.name).await?,
    };
    let query = access_scopes::would_be(tx, before.as_ref(), command).await?;
    let scope = match &before {
        Some(before) => before.id.clone(),
        None => AccessScopeId::generate(tx.now(), app.rng()),
    };
    let is_it =
        |target: &BundleTarget| matches!(target, BundleTarget::AccessScope(id) if *id == scope);
    let holding = rules.bundles.iter().filter(|bundle| bundle.targets.iter().any(is_it));
    let holding: BTreeSet<BundleId> = holding.map(|bundle| bundle.id.clone()).collect();
    let flows = flows_with(&rules, |target| match target {
        FlowTarget::AccessScope(id) => *id == scope,
        FlowTarget::Bundle(id) => holding.contains(id),
        FlowTarget::Integration(_) => false,
    });
    match rules.access_scopes.iter_mut().find(|(known, _)| *known == scope) {
        Some((_, known)) => *known = query,
        None => rules.access_scopes.push((scope, query)),
    }
    let subject = Subject {
        kind: SubjectKind::AccessScope,
        id: before.map(|before| before.id.to_string()),
        name: command.name.clone(),
    };
    Ok(Changed { rules, flows, subject })
}

/// The flows with such a target.
fn flows_with(rules: &Rules, is_it: impl Fn(&FlowTarget) -> bool) -> BTreeSet<FlowId> {
    let flows = rules.flows.iter().filter(|flow| flow.policy.access_targets.iter().any(&is_it));
    flows.map(|flow| flow.id.clone()).collect()
}

fn unknown(kind: &str) -> AppError {
    AppError::invalid("id", format!("names no {kind}; leave it out for a new one"))
}
