//! What a flow gives: whether its targets cover an entitlement.

use crate::{
    flow::{
        FlowPolicy, FlowTarget, IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode,
    },
    inventory::{Entitlement, Resource, ResourceStatus},
};

/// Whether the pair can be given at all: the resource was seen by the last discovery, and the
/// permission is one of its own type in its own integration.
pub fn is_grantable(entitlement: &Entitlement) -> bool {
    let Entitlement { resource, permission } = entitlement;
    resource.status == ResourceStatus::Active
        && permission.integration_id == resource.integration_id
        && permission.resource_type == resource.resource_type
}

/// Whether any target of the flow covers the entitlement by itself. Bundles and access scopes
/// cover nothing here: they are resolved to their members first.
pub fn flow_covers(policy: &FlowPolicy, entitlement: &Entitlement) -> bool {
    policy.access_targets.iter().any(|target| match target {
        FlowTarget::Integration(target) => covers(target, entitlement),
        FlowTarget::Bundle(_) | FlowTarget::AccessScope(_) => false,
    })
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
