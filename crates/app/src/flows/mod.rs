//! Access flows: the policy, as people write and read it.
//!
//! Invariants: references are stored as ids and shown with the names they have now; what was
//! sent comes back unchanged; a condition keeps the identity it was pinned to, so that nobody
//! inherits a right by taking a name that became free. Deciding by flows is in the domain.

mod change;
mod input;
mod legacy;
mod lowering;
pub(crate) mod pins;
mod programs;

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    flow::{AccessFlow, Condition, FlowPolicy, FlowTarget},
    ids::{AccessScopeId, BundleId, FlowId, IntegrationId},
};
use latchkey_store::{PageKey, StoreError, Tx};

pub(crate) use change::{create, delete, replace_if_different, would_be};
pub use change::{create_flow, delete_flow, update_flow};
pub use input::{
    ApproverGroupInput, ApproverPolicyInput, ConditionInput, ConditionSetInput,
    EscalationPolicyInput, FlowCommand, RequestForInput, TargetInput,
};
pub use legacy::{
    LegacyChange, LegacyFlow, LegacyIdentity, LegacyKind, LegacySettings, LegacySettingsChange,
    LegacyTimeframe, create_legacy_flow, patch_legacy_flow,
};
pub(crate) use lowering::lowered;
pub use lowering::{Lowered, warnings_about};

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
            Ok(Page { items: views(tx, page.items).await?, next: page.next })
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

/// A flow with the names of what it refers to.
pub(crate) async fn view(tx: &mut Tx, flow: AccessFlow) -> Result<FlowView, StoreError> {
    let names = Names::of(tx, std::slice::from_ref(&flow)).await?;
    Ok(names.view(flow))
}

/// The flows with the names of what they refer to, read once for all of them.
pub(crate) async fn views(
    tx: &mut Tx,
    flows: Vec<AccessFlow>,
) -> Result<Vec<FlowView>, StoreError> {
    let names = Names::of(tx, &flows).await?;
    Ok(flows.into_iter().map(|flow| names.view(flow)).collect())
}

/// Names of what several flows refer to.
struct Names {
    integrations: BTreeMap<IntegrationId, String>,
    bundles: BTreeMap<BundleId, String>,
    access_scopes: BTreeMap<AccessScopeId, String>,
}

impl Names {
    async fn of(tx: &mut Tx, flows: &[AccessFlow]) -> Result<Self, StoreError> {
        let mut integrations = BTreeSet::new();
        let mut named = Named::default();
        for flow in flows {
            integrations.extend(integrations_of(flow));
            let targets = named_by_targets(&flow.policy);
            named.bundles.extend(targets.bundles);
            named.access_scopes.extend(targets.access_scopes);
        }
        let integrations: Vec<IntegrationId> = integrations.into_iter().collect();
        let bundles: Vec<BundleId> = named.bundles.into_iter().collect();
        let access_scopes: Vec<AccessScopeId> = named.access_scopes.into_iter().collect();
        let access_scopes = tx.find_access_scopes(&access_scopes).await?;
        Ok(Self {
            integrations: tx.integration_names(&integrations).await?,
            bundles: tx.bundle_names(&bundles).await?,
            access_scopes: access_scopes.into_iter().map(|scope| (scope.id, scope.name)).collect(),
        })
    }

    fn view(&self, flow: AccessFlow) -> FlowView {
        let targets = named_by_targets(&flow.policy);
        FlowView {
            integration_names: those(&self.integrations, &integrations_of(&flow)),
            bundle_names: those(&self.bundles, &targets.bundles),
            access_scope_names: those(&self.access_scopes, &targets.access_scopes),
            flow,
        }
    }
}

/// The names of these ids.
fn those<I: Ord + Clone>(names: &BTreeMap<I, String>, ids: &BTreeSet<I>) -> BTreeMap<I, String> {
    let known = ids.iter().filter_map(|id| Some((id.clone(), names.get(id)?.clone())));
    known.collect()
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
