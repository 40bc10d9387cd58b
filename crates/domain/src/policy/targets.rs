//! What a flow gives: whether its targets cover an entitlement.

use std::fmt;

use crate::{
    bundle::BundleTarget,
    flow::{
        FlowPolicy, FlowTarget, IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode,
    },
    ids::{AccessScopeId, BundleId},
    inventory::{Entitlement, Resource, ResourceStatus},
    policy::floors::Floor,
};

/// What bundles and access scopes hold and what floors ask for, as it was read in the transaction
/// that decides. What is not known holds nothing.
pub trait Contents: fmt::Debug {
    /// The targets of a bundle.
    fn bundle(&self, id: &BundleId) -> Option<&[BundleTarget]>;

    /// Whether the query of an access scope selects the entitlement, by the plain evaluator.
    fn scope_selects(&self, id: &AccessScopeId, entitlement: &Entitlement) -> bool;

    /// What the floors ask for this entitlement, whatever its flow says.
    fn floor_on(&self, entitlement: &Entitlement) -> Floor;
}

/// No bundles, no access scopes and no floors.
#[derive(Debug, Clone, Copy)]
pub struct NoContents;

impl Contents for NoContents {
    fn bundle(&self, _: &BundleId) -> Option<&[BundleTarget]> {
        None
    }

    fn scope_selects(&self, _: &AccessScopeId, _: &Entitlement) -> bool {
        false
    }

    fn floor_on(&self, _: &Entitlement) -> Floor {
        Floor::default()
    }
}

/// Whether the pair can be given at all: the resource was seen by the last discovery, and the
/// permission is one of its own type in its own integration.
pub fn is_grantable(entitlement: &Entitlement) -> bool {
    let Entitlement { resource, permission } = entitlement;
    resource.status == ResourceStatus::Active
        && permission.integration_id == resource.integration_id
        && permission.resource_type == resource.resource_type
}

/// Whether any target of the flow covers the entitlement. A bundle covers what its own targets
/// cover, an access scope what its query selects.
pub fn flow_covers(
    policy: &FlowPolicy,
    contents: &dyn Contents,
    entitlement: &Entitlement,
) -> bool {
    policy.access_targets.iter().any(|target| match target {
        FlowTarget::Integration(target) => covers(target, entitlement),
        FlowTarget::Bundle(id) => bundle_covers(id, contents, entitlement),
        FlowTarget::AccessScope(id) => scope_covers(id, contents, entitlement),
    })
}

/// Whether the flow gives the entitlement through this very bundle.
pub fn gives_through(
    policy: &FlowPolicy,
    bundle: &BundleId,
    contents: &dyn Contents,
    entitlement: &Entitlement,
) -> bool {
    targets_bundle(policy, bundle) && bundle_covers(bundle, contents, entitlement)
}

/// Whether the flow targets the bundle.
pub fn targets_bundle(policy: &FlowPolicy, bundle: &BundleId) -> bool {
    let mut targets = policy.access_targets.iter();
    targets.any(|target| matches!(target, FlowTarget::Bundle(id) if id == bundle))
}

/// Whether the bundle holds the entitlement now.
pub fn bundle_covers(
    bundle: &BundleId,
    contents: &dyn Contents,
    entitlement: &Entitlement,
) -> bool {
    let targets = contents.bundle(bundle).unwrap_or_default();
    targets.iter().any(|target| match target {
        BundleTarget::Integration(target) => covers(target, entitlement),
        BundleTarget::AccessScope(id) => scope_covers(id, contents, entitlement),
    })
}

fn scope_covers(scope: &AccessScopeId, contents: &dyn Contents, entitlement: &Entitlement) -> bool {
    is_grantable(entitlement) && contents.scope_selects(scope, entitlement)
}

/// Whether the target covers the entitlement.
pub fn covers(target: &IntegrationTarget, entitlement: &Entitlement) -> bool {
    is_grantable(entitlement)
        && target.permissions.contains(&entitlement.permission.name)
        && covers_resource(target, &entitlement.resource)
}

/// Whether the resource is among the target's, whatever the permission.
pub fn covers_resource(target: &IntegrationTarget, resource: &Resource) -> bool {
    target.integration_id == resource.integration_id
        && target.resource_type == resource.resource_type
        && in_scopes(target.resources_scopes.as_deref().unwrap_or_default(), resource)
}

/// Including scopes are alternatives, and without any of them everything is included; excluding
/// ones take away afterwards.
fn in_scopes(scopes: &[ResourceScope], resource: &Resource) -> bool {
    let of_mode = |mode| scopes.iter().filter(move |scope| scope.scope_mode == mode);
    let included = of_mode(ScopeMode::IncludeResources).next().is_none()
        || of_mode(ScopeMode::IncludeResources).any(|scope| selects(scope, resource));
    let excluded = of_mode(ScopeMode::ExcludeResources).any(|scope| selects(scope, resource));
    included && !excluded
}

/// Whether one of the scope's values is the resource's. Letter case matters, as it does in the
/// target systems.
fn selects(scope: &ResourceScope, resource: &Resource) -> bool {
    let text = match scope.scope_type {
        ResourceScopeType::AponoId => Some(resource.id.as_str()),
        ResourceScopeType::Name => Some(resource.name.as_str()),
        ResourceScopeType::Tag => scope.key.as_deref().and_then(|key| resource.tag(key)),
    };
    text.is_some_and(|text| scope.values.iter().any(|value| value == text))
}
