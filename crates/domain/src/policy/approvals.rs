//! Who has to agree, who may, and whether enough people have.
//!
//! Invariants: the outcome depends on the decisions as a set, not on their order or number of
//! times; nobody counts who would not be asked now; a person who may not decide about their own
//! request does not count under any account; a group that nobody can satisfy is never satisfied.

use crate::{
    flow::{ApprovalMode, ApproverGroup, ApproverPolicy, Condition, FlowPolicy, LogicalOperator},
    ids::UserId,
    people::{Role, User},
    policy::{
        digest,
        matching::{MANAGER, PersonFacts, matches, same_person},
    },
    request::{Approval, Decision},
};

/// What is to be decided, about whom.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who has to agree; `None` means nobody.
    pub policy: Option<&'a ApproverPolicy>,
    /// Whether requestor and grantee are no approvers.
    pub excludes_own: bool,
    /// Who asked.
    pub requestor: &'a User,
    /// Whose manager is meant by a manager: the requestor's, or the grantee's where policy looks
    /// at the grantee as if they had asked.
    pub asker: &'a User,
    /// Who is to have access.
    pub grantee: &'a User,
    /// The request's digest now.
    pub digest: &'a str,
}

/// A decision with its approver as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The decision.
    pub approval: &'a Approval,
    /// Who made it, with the groups they are in now.
    pub approver: PersonFacts<'a>,
}

/// Whether a person may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeciderStanding {
    /// Is an approver.
    Eligible,
    /// Would be, but it is their own request.
    OwnRequest,
    /// Is none, or is disabled.
    NotAnApprover,
}

/// How a request stands with its approvers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalOutcome {
    /// The policy is satisfied.
    Approved(ApprovedBy),
    /// An approver said no.
    Rejected {
        /// Who.
        by: UserId,
    },
    /// Not decided yet.
    Waiting(Waiting),
}

/// What satisfied the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovedBy {
    /// The flow asks nobody.
    Nobody,
    /// These approvers, in the order of their decisions.
    Approvers(Vec<UserId>),
    /// An Admin, in place of the approvers.
    Force(UserId),
}

/// What is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Who may still decide, of the people that were given.
    pub may_decide: Vec<UserId>,
    /// The places of groups that cannot be satisfied, because nobody of the people that were
    /// given may fill what is missing in them.
    pub empty_groups: Vec<usize>,
}

impl<'a> Question<'a> {
    /// The question that a flow's policy poses about a request.
    pub fn new(
        policy: &'a FlowPolicy,
        requestor: &'a User,
        grantee: &'a User,
        digest: &'a str,
    ) -> Self {
        Self {
            policy: policy.approver_policy.as_ref(),
            excludes_own: policy.settings.requestor_cannot_approve_himself,
            requestor,
            asker: requestor,
            grantee,
            digest,
        }
    }

    /// The same where policy looks at somebody else as if they had asked.
    #[must_use]
    pub fn asked_as(self, asker: &'a User) -> Self {
        Self { asker, ..self }
    }

    /// Whether the person may decide now.
    pub fn standing_of(&self, person: PersonFacts<'_>) -> DeciderStanding {
        if !person.user.is_active() || !self.is_asked(person) {
            return DeciderStanding::NotAnApprover;
        }
        if self.excludes_own && self.is_own(person.user) {
            return DeciderStanding::OwnRequest;
        }
        DeciderStanding::Eligible
    }

    /// Whether an Admin may approve in place of the approvers: never their own request, whatever
    /// the flow says.
    pub fn may_force(&self, person: PersonFacts<'_>) -> bool {
        person.user.is_active()
            && person.user.roles.contains(&Role::Admin)
            && !self.is_own(person.user)
    }

    /// How the request stands. `people` are all who may be among the approvers; they matter only
    /// for what [`Waiting`] says.
    pub fn evaluate(&self, given: &[Given<'_>], people: &[PersonFacts<'_>]) -> ApprovalOutcome {
        let Some(policy) = self.policy else {
            return ApprovalOutcome::Approved(ApprovedBy::Nobody);
        };
        let counts = |given: &&Given<'_>| {
            given.approval.approver_id == given.approver.user.id
                && digest::covers(&given.approval.digest, self.digest)
        };
        let eligible =
            |person: PersonFacts<'_>| self.standing_of(person) == DeciderStanding::Eligible;
        let of = |decision: Decision| {
            given
                .iter()
                .filter(counts)
                .filter(move |given| given.approval.decision == decision && !given.approval.forced)
                .filter(move |given| eligible(given.approver))
                .map(|given| given.approver)
        };
        if let Some(by) = of(Decision::Rejected).next() {
            return ApprovalOutcome::Rejected { by: by.user.id.clone() };
        }
        let forced = given.iter().filter(counts).find(|given| {
            given.approval.forced
                && given.approval.decision == Decision::Approved
                && self.may_force(given.approver)
        });
        if let Some(forced) = forced {
            let by = forced.approver.user.id.clone();
            return ApprovalOutcome::Approved(ApprovedBy::Force(by));
        }
        let approvers: Vec<PersonFacts<'_>> = of(Decision::Approved).collect();
        let satisfied = |group: &ApproverGroup| {
            let slots = slots(group);
            !slots.is_empty() && slots.iter().all(|slot| self.is_filled(group, slot, &approvers))
        };
        let mut groups = policy.approver_groups.iter();
        let approved = match policy.approval_mode {
            ApprovalMode::AnyOf => groups.any(satisfied),
            ApprovalMode::AllOf => !policy.approver_groups.is_empty() && groups.all(satisfied),
        };
        if approved {
            let mut by: Vec<UserId> = Vec::new();
            for approver in approvers {
                if !by.contains(&approver.user.id) {
                    by.push(approver.user.id.clone());
                }
            }
            return ApprovalOutcome::Approved(ApprovedBy::Approvers(by));
        }
        ApprovalOutcome::Waiting(self.missing(policy, &approvers, people))
    }

    fn missing(
        &self,
        policy: &ApproverPolicy,
        approvers: &[PersonFacts<'_>],
        people: &[PersonFacts<'_>],
    ) -> Waiting {
        let has_decided =
            |person: PersonFacts<'_>| approvers.iter().any(|one| one.user.id == person.user.id);
        let eligible: Vec<PersonFacts<'_>> = people
            .iter()
            .copied()
            .filter(|person| self.standing_of(*person) == DeciderStanding::Eligible)
            .collect();
        let hopeless = |group: &ApproverGroup| {
            let slots = slots(group);
            slots.is_empty()
                || slots.iter().any(|slot| {
                    !self.is_filled(group, slot, approvers)
                        && !self.is_filled(group, slot, &eligible)
                })
        };
        Waiting {
            may_decide: eligible
                .iter()
                .filter(|person| !has_decided(**person))
                .map(|person| person.user.id.clone())
                .collect(),
            empty_groups: policy
                .approver_groups
                .iter()
                .enumerate()
                .filter(|(_, group)| hopeless(group))
                .map(|(place, _)| place)
                .collect(),
        }
    }

    /// Whether any group asks the person, whosever request it is.
    fn is_asked(&self, person: PersonFacts<'_>) -> bool {
        self.policy.is_some_and(|policy| {
            policy
                .approver_groups
                .iter()
                .any(|group| slots(group).iter().any(|slot| self.is_filled(group, slot, &[person])))
        })
    }

    /// Whether one of the people fills the slot: meets one of its conditions, and every negative
    /// one of the group.
    fn is_filled(
        &self,
        group: &ApproverGroup,
        slot: &[&Condition],
        people: &[PersonFacts<'_>],
    ) -> bool {
        people.iter().any(|person| {
            let meets = |condition: &Condition| self.approver_matches(*person, condition);
            let mut negatives =
                group.approvers.iter().filter(|condition| condition.operator().is_negative());
            negatives.all(meets) && slot.iter().any(|condition| meets(condition))
        })
    }

    fn approver_matches(&self, person: PersonFacts<'_>, condition: &Condition) -> bool {
        if condition.attribute_type == MANAGER {
            let source = &condition.source_integration_id;
            let of_source = source.is_none() || *source == self.asker.source_integration_id;
            return condition.values().is_empty()
                && !condition.operator().is_negative()
                && of_source
                && self.asker.manager_id.as_ref() == Some(&person.user.id);
        }
        matches(person, condition)
    }

    fn is_own(&self, user: &User) -> bool {
        same_person(user, self.requestor) || same_person(user, self.grantee)
    }
}

/// What a group asks for: slots, each of which wants an approval by somebody who meets one of
/// its conditions. `Or` has one slot of all its conditions, `And` one for each positive
/// condition. No slots: the group says nothing that can be satisfied.
fn slots(group: &ApproverGroup) -> Vec<Vec<&Condition>> {
    let positive: Vec<&Condition> =
        group.approvers.iter().filter(|condition| !condition.operator().is_negative()).collect();
    match group.logical_operator {
        _ if positive.is_empty() => Vec::new(),
        LogicalOperator::And => positive.into_iter().map(|condition| vec![condition]).collect(),
        // Refused when a flow is saved: "anybody but Bob, or Alice" would ask nearly everybody.
        LogicalOperator::Or if positive.len() < group.approvers.len() => Vec::new(),
        LogicalOperator::Or => vec![positive],
    }
}
