//! Access flows: the policy, as people write and read it.
//!
//! Invariants: references are stored as ids and shown with the names they have now; what was
//! sent comes back unchanged; a condition keeps the identity it was pinned to, so that nobody
//! inherits a right by taking a name that became free. Deciding by flows is in the domain.

mod change;
mod input;
pub(crate) mod pins;

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    flow::{AccessFlow, Condition, FlowPolicy, FlowTarget},
    ids::{AccessScopeId, BundleId, FlowId, IntegrationId},
    policy::unbuilt::unsupported_members,
};
use latchkey_store::{PageKey, StoreError, Tx};

pub use change::{create_flow, delete_flow, update_flow};
pub use input::{
    ApproverGroupInput, ApproverPolicyInput, ConditionInput, ConditionSetInput,
    EscalationPolicyInput, FlowCommand, RequestForInput, TargetInput,
};

pub use crate::targets::IntegrationTargetInput;
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::AppError,
    paging::{Page, PageRequest},
    targets::Named,
};

/// A flow with the names of what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowView {
    /// The flow.
    pub flow: AccessFlow,
    /// Names of the integrations it refers to, targets and identity sources alike.
    pub integration_names: BTreeMap<IntegrationId, String>,
    /// Names of the bundles it targets.
    pub bundle_names: BTreeMap<BundleId, String>,
    /// Names of the access scopes it targets.
    pub access_scope_names: BTreeMap<AccessScopeId, String>,
    /// Members whose enforcement is not built yet; a flow with any governs nothing.
    pub unsupported_members: Vec<&'static str>,
}

/// Lists flows in order of creation.
pub async fn list_flows(
    app: &App,
    actor: &Actor,
    page: &PageRequest,
) -> Result<Page<FlowView>, AppError> {
    actor.require(Operation::ReadFlows)?;
    app.store()
        .read(async |tx| {
            let rows = tx.list_flows(&page.query()).await?;
            let page = page.page(rows, |flow| PageKey::new(flow.created_at, flow.id.as_str()));
            let mut items = Vec::with_capacity(page.items.len());
            for flow in page.items {
                items.push(view(tx, flow).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
}

/// Reads one flow.
pub async fn get_flow(app: &App, actor: &Actor, id: &FlowId) -> Result<FlowView, AppError> {
    actor.require(Operation::ReadFlows)?;
    app.store()
        .read(async |tx| {
            let flow = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
            Ok(view(tx, flow).await?)
        })
        .await
}

async fn view(tx: &mut Tx, flow: AccessFlow) -> Result<FlowView, StoreError> {
    let ids: Vec<IntegrationId> = integrations_of(&flow).into_iter().collect();
    let integration_names = tx
        .find_integrations(&ids)
        .await?
        .into_iter()
        .map(|integration| (integration.id, integration.name))
        .collect();
    let named = named_by_targets(&flow.policy);
    let bundles: Vec<BundleId> = named.bundles.into_iter().collect();
    let bundle_names = tx.bundle_names(&bundles).await?;
    let scopes: Vec<AccessScopeId> = named.access_scopes.into_iter().collect();
    let access_scope_names = tx
        .find_access_scopes(&scopes)
        .await?
        .into_iter()
        .map(|scope| (scope.id, scope.name))
        .collect();
    let unsupported_members = unsupported_members(&flow.policy);
    Ok(FlowView { flow, integration_names, bundle_names, access_scope_names, unsupported_members })
}

/// What the targets of a flow name.
pub(crate) fn named_by_targets(policy: &FlowPolicy) -> Named {
    let mut named = Named::default();
    for target in &policy.access_targets {
        match target {
            FlowTarget::Integration(target) => {
                named.integrations.insert(target.integration_id.clone());
            }
            FlowTarget::Bundle(id) => {
                named.bundles.insert(id.clone());
            }
            FlowTarget::AccessScope(id) => {
                named.access_scopes.insert(id.clone());
            }
        }
    }
    named
}

fn integrations_of(flow: &AccessFlow) -> BTreeSet<IntegrationId> {
    let sources =
        conditions_of(flow).filter_map(|condition| condition.source_integration_id.clone());
    sources.chain(named_by_targets(&flow.policy).integrations).collect()
}

/// Every condition of a flow, wherever it stands.
fn conditions_of(flow: &AccessFlow) -> impl Iterator<Item = &Condition> {
    let policy = &flow.policy;
    let grantees = policy.request_for.as_ref().and_then(|request| request.grantees.as_ref());
    let approvers = policy.approver_policy.iter().flat_map(|policy| &policy.approver_groups);
    let tiers = policy.escalation_policy.iter().flat_map(|policy| &policy.approver_groups);
    policy
        .requestors
        .conditions
        .iter()
        .chain(grantees.into_iter().flat_map(|grantees| &grantees.conditions))
        .chain(approvers.chain(tiers).flat_map(|group| group.approvers.iter()))
}
