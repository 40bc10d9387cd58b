//! Programs that are asked like approvers.
//!
//! An approver of the type `webhook` is a program at an address: it is sent the request, and says
//! yes, no, or nothing. Invariants: a program counts like one person who meets the condition, and
//! no more; it is nobody's other account, so the rule on one's own request never meets it; what it
//! said is bound to what it was asked about, like an approval; who does not answer has decided
//! nothing.

use jiff::Timestamp;

use crate::{
    flow::{ApproverGroup, Condition, FlowPolicy, LogicalOperator, MatchOperator},
    ids::RequestId,
    policy::{escalation, matching::WEBHOOK},
    request::Decision,
};

/// The most programs that one flow may ask, tiers of escalation included.
pub const MOST_PROGRAMS: usize = 10;

/// What came of asking a program about a request. It is asked once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramAnswer {
    /// The request.
    pub request_id: RequestId,
    /// The program's address.
    pub url: String,
    /// What it said; `None` if it gave no decision, or none in time.
    pub decision: Option<Decision>,
    /// Why: in its own words or, where nothing that counts came back, in ours.
    pub reason: Option<String>,
    /// What it was asked about; see [`crate::policy::digest::covers`].
    pub digest: String,
    /// When.
    pub at: Timestamp,
}

/// Whether a condition on approvers means programs.
pub fn means_programs(condition: &Condition) -> bool {
    condition.attribute_type == WEBHOOK && condition.operator() == MatchOperator::Is
}

/// The conditions of a group by which programs have a say. Negative conditions on people do not
/// narrow programs; one on programs has no meaning, and no program has a say beside it.
pub fn program_conditions(group: &ApproverGroup) -> impl Iterator<Item = &Condition> {
    let mut negatives = group.approvers.iter().filter(|one| one.operator().is_negative());
    let have_a_say = match group.logical_operator {
        LogicalOperator::And => negatives.all(|one| one.attribute_type != WEBHOOK),
        LogicalOperator::Or => negatives.next().is_none(),
    };
    group.approvers.iter().filter(move |condition| have_a_say && means_programs(condition))
}

/// The addresses of the programs that the policy asks once so many tiers were told, each once.
pub fn programs(policy: &FlowPolicy, tiers_told: usize) -> Vec<&str> {
    let groups = policy.approver_policy.iter().flat_map(|approvers| &approvers.approver_groups);
    let groups = groups.chain(escalation::told(policy, tiers_told));
    let mut urls: Vec<&str> = Vec::new();
    for url in groups.flat_map(program_conditions).flat_map(Condition::values) {
        if !urls.contains(&url.as_str()) {
            urls.push(url);
        }
    }
    urls
}

/// Whether the policy asks programs at all, at once or later.
pub fn asks_programs(policy: &FlowPolicy) -> bool {
    !programs(policy, usize::MAX).is_empty()
}
