//! Programs that a flow asks like approvers, looked at when the flow is saved.

use latchkey_domain::{
    flow::{Condition, FlowPolicy},
    policy::programs::means_programs,
};
use latchkey_store::Tx;

use crate::{
    error::{AppError, FieldError},
    outbound::{allow_list, check_callable},
};

/// The members that hold an address which could not be called as things stand.
pub(super) async fn uncallable(
    tx: &mut Tx,
    policy: &FlowPolicy,
) -> Result<Vec<FieldError>, AppError> {
    let named = named(policy);
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let allowed = allow_list(tx).await?;
    let problem = |(field, url): (String, &str)| {
        let problem = check_callable(url, &allowed).err()?;
        Some(FieldError::new(field, problem))
    };
    Ok(named.into_iter().filter_map(problem).collect())
}

/// The address of every program, with the member that holds it.
fn named(policy: &FlowPolicy) -> Vec<(String, &str)> {
    let approvers = policy.approver_policy.iter().flat_map(|policy| &policy.approver_groups);
    let tiers = policy.escalation_policy.iter().flat_map(|policy| &policy.approver_groups);
    let approvers = approvers.enumerate().map(|(place, group)| ("approver_policy", place, group));
    let tiers = tiers.enumerate().map(|(place, group)| ("escalation_policy", place, group));
    let mut named = Vec::new();
    for (member, place, group) in approvers.chain(tiers) {
        let conditions = group.approvers.iter().enumerate();
        for (nth, condition) in conditions.filter(|(_, condition)| means_programs(condition)) {
            let field = format!("{member}.approver_groups[{place}].approvers[{nth}].values");
            named.extend(addresses(condition).map(|(at, url)| (format!("{field}[{at}]"), url)));
        }
    }
    named
}

/// Blank ones are refused already.
fn addresses(condition: &Condition) -> impl Iterator<Item = (usize, &str)> {
    let values = condition.values().iter().map(String::as_str).enumerate();
    values.filter(|(_, url)| !url.trim().is_empty())
}
