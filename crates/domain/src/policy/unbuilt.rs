//! What a flow can say that is not enforced yet.
//!
//! Such a flow is stored and given back as it was sent, but it governs nothing: access under
//! half a policy would be access that the policy does not allow. The list only shrinks.

use crate::{
    flow::{Condition, ConditionSet, FlowPolicy, FlowTrigger},
    policy::matching::{GROUP, MANAGER, USER},
};

/// The flow is automatic.
pub const AUTOMATIC_TRIGGER: &str = "trigger: AUTOMATIC";
/// A requestor condition looks at something else than users and groups.
pub const REQUESTOR_ATTRIBUTE: &str = "requestors.conditions.type";
/// A grantee condition does.
pub const GRANTEE_ATTRIBUTE: &str = "request_for.grantees.conditions.type";
/// An approver condition looks at something else than users, groups and the manager.
pub const APPROVER_ATTRIBUTE: &str = "approver_policy.approver_groups.approvers.type";
/// Tiers of approvers.
pub const ESCALATION: &str = "escalation_policy";
/// A second factor.
pub const MFA: &str = "settings.require_mfa";
/// Prolonging a running grant.
pub const EXTENSIONS: &str = "settings.max_extensions";

/// Every member whose enforcement is not built yet.
pub const UNBUILT: &[&str] = &[
    AUTOMATIC_TRIGGER,
    REQUESTOR_ATTRIBUTE,
    GRANTEE_ATTRIBUTE,
    APPROVER_ATTRIBUTE,
    ESCALATION,
    MFA,
    EXTENSIONS,
];

/// The members of this flow whose enforcement is not built yet, in the order of [`UNBUILT`].
/// A flow with any of them governs nothing.
pub fn unsupported_members(policy: &FlowPolicy) -> Vec<&'static str> {
    UNBUILT.iter().copied().filter(|member| says(policy, member)).collect()
}

fn says(policy: &FlowPolicy, member: &str) -> bool {
    match member {
        AUTOMATIC_TRIGGER => policy.trigger == FlowTrigger::Automatic,
        REQUESTOR_ATTRIBUTE => has_foreign(&policy.requestors),
        GRANTEE_ATTRIBUTE => policy
            .request_for
            .as_ref()
            .and_then(|request_for| request_for.grantees.as_ref())
            .is_some_and(has_foreign),
        APPROVER_ATTRIBUTE => policy.approver_policy.as_ref().is_some_and(|approvers| {
            let mut groups = approvers.approver_groups.iter();
            groups.any(|group| group.approvers.iter().any(is_foreign_approver))
        }),
        ESCALATION => policy.escalation_policy.is_some(),
        MFA => policy.settings.require_mfa,
        EXTENSIONS => policy.settings.max_extensions > 0,
        _ => true,
    }
}

/// Whether the type of a condition on requestors or grantees cannot be looked at yet.
pub(super) fn is_foreign(condition: &Condition) -> bool {
    !matches!(condition.attribute_type.as_str(), USER | GROUP)
}

fn has_foreign(set: &ConditionSet) -> bool {
    set.conditions.iter().any(is_foreign)
}

/// The manager can be looked at only as a relation: without values, source or negation.
fn is_foreign_approver(condition: &Condition) -> bool {
    let relation = condition.attribute_type == MANAGER
        && condition.values().is_empty()
        && condition.source_integration_id.is_none()
        && !condition.operator().is_negative();
    is_foreign(condition) && !relation
}
