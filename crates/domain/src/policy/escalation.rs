//! Whom to ask when those who were asked do not bring a request to an end.
//!
//! Invariants: tiers are told one after the other and never untold: everybody who was told may
//! still decide. One satisfied tier approves the request, beside the approver groups and not in
//! their place; a rejection by anybody who was told rejects it. A tier that has not been told has
//! no say at all.

use jiff::{SignedDuration, Timestamp};

use crate::flow::{ApproverGroup, FlowPolicy};

/// All tiers of a flow, in order; none without an escalation policy, or where nobody has to
/// agree in the first place.
pub fn tiers(policy: &FlowPolicy) -> &[ApproverGroup] {
    let asks = policy.approver_policy.is_some();
    let escalation = policy.escalation_policy.as_ref().filter(|_| asks);
    escalation.map_or(&[], |escalation| &escalation.approver_groups)
}

/// The tiers that have a say once so many were told.
pub fn told(policy: &FlowPolicy, count: usize) -> &[ApproverGroup] {
    let tiers = tiers(policy);
    tiers.get(..count).unwrap_or(tiers)
}

/// When the next tier is told, if nothing was decided by then: an interval after the last one was
/// told, or after the request began to wait. `None` once all were told.
pub fn next_at(policy: &FlowPolicy, count: usize, last: Timestamp) -> Option<Timestamp> {
    if count >= tiers(policy).len() {
        return None;
    }
    let minutes = policy.escalation_policy.as_ref()?.interval_in_min;
    let interval = SignedDuration::from_mins(i64::from(minutes.max(1)));
    Some(last.checked_add(interval).unwrap_or(Timestamp::MAX))
}
