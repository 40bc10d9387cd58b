//! Who has to agree, who may, and whether enough people have.
//!
//! Invariants: the outcome depends on the decisions as a set, not on their order or number of
//! times; nobody counts who would not be asked now; a person who may not decide about their own
//! request does not count under any account; a group that nobody can satisfy is never satisfied; a
//! program that is asked counts like one person, and its silence for nothing.

use crate::{
    flow::{ApprovalMode, ApproverGroup, ApproverPolicy, Condition, FlowPolicy, LogicalOperator},
    ids::UserId,
    people::{Role, User},
    policy::{
        digest, escalation,
        matching::{MANAGER, OWNER, PersonFacts, matches, same_person},
        owners::Owners,
        programs::{ProgramAnswer, means_programs, program_conditions},
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
    pub asker: PersonFacts<'a>,
    /// Who is to have access.
    pub grantee: &'a User,
    /// Who owns what is asked for.
    pub owners: &'a Owners,
    /// The tiers of escalation that were told; one that is satisfied is enough.
    pub tiers: &'a [ApproverGroup],
    /// What came of asking programs so far.
    pub answers: &'a [ProgramAnswer],
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
    /// A program that is asked said no.
    RejectedByProgram {
        /// Its address.
        url: String,
    },
    /// Not decided yet.
    Waiting(Waiting),
}

/// What satisfied the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovedBy {
    /// The flow asks nobody.
    Nobody,
    /// These approvers.
    Approvers {
        /// People, in the order of their decisions.
        people: Vec<UserId>,
        /// Addresses of programs, in the order of their answers.
        programs: Vec<String>,
    },
    /// An Admin, in place of the approvers.
    Force(UserId),
}

/// What is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Who may still decide, of the people that were given.
    pub may_decide: Vec<UserId>,
    /// The places of groups that cannot be satisfied, because nobody of the people that were
    /// given, and no program that has yet to answer, may fill what is missing in them.
    pub empty_groups: Vec<usize>,
    /// Whether these people and the programs that have not answered yet, agreeing all together,
    /// still could not approve the request.
    pub is_stuck: bool,
}

impl<'a> Question<'a> {
    /// The question that a flow's policy poses about a request of something that nobody owns.
    pub fn new(
        policy: &'a FlowPolicy,
        requestor: PersonFacts<'a>,
        grantee: &'a User,
        digest: &'a str,
    ) -> Self {
        Self {
            policy: policy.approver_policy.as_ref(),
            excludes_own: policy.settings.requestor_cannot_approve_himself,
            requestor: requestor.user,
            asker: requestor,
            grantee,
            owners: Owners::NONE,
            tiers: &[],
            answers: &[],
            digest,
        }
    }

    /// The same where policy looks at somebody else as if they had asked.
    #[must_use]
    pub fn asked_as(self, asker: PersonFacts<'a>) -> Self {
        Self { asker, ..self }
    }

    /// The same about something that these people own.
    #[must_use]
    pub fn owned_by(self, owners: &'a Owners) -> Self {
        Self { owners, ..self }
    }

    /// The same after so many tiers of the policy were told.
    #[must_use]
    pub fn escalated(self, policy: &'a FlowPolicy, count: usize) -> Self {
        Self { tiers: escalation::told(policy, count), ..self }
    }

    /// The same with what came of asking programs so far.
    #[must_use]
    pub fn answered(self, answers: &'a [ProgramAnswer]) -> Self {
        Self { answers, ..self }
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
        if let Some(no) = self.answers_that_say(Decision::Rejected).next() {
            return ApprovalOutcome::RejectedByProgram { url: no.url.clone() };
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
        if self.is_approved_by(policy, &approvers, Silence::IsNothing) {
            let mut by: Vec<UserId> = Vec::new();
            for approver in approvers {
                if !by.contains(&approver.user.id) {
                    by.push(approver.user.id.clone());
                }
            }
            let yes = self.answers_that_say(Decision::Approved);
            let programs = yes.map(|answer| answer.url.clone()).collect();
            return ApprovalOutcome::Approved(ApprovedBy::Approvers { people: by, programs });
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
        let all: Vec<PersonFacts<'_>> = approvers.iter().chain(&eligible).copied().collect();
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
                .filter(|(_, group)| !self.is_satisfied(group, &all, Silence::MayBecomeYes))
                .map(|(place, _)| place)
                .collect(),
            is_stuck: !self.is_approved_by(policy, &all, Silence::MayBecomeYes),
        }
    }

    /// Whether the approvals of these people, with what programs have said, are all that the
    /// policy wants.
    fn is_approved_by(
        &self,
        policy: &ApproverPolicy,
        people: &[PersonFacts<'_>],
        silence: Silence,
    ) -> bool {
        let satisfied = |group: &ApproverGroup| self.is_satisfied(group, people, silence);
        let mut groups = policy.approver_groups.iter();
        let by_groups = match policy.approval_mode {
            ApprovalMode::AnyOf => groups.any(satisfied),
            ApprovalMode::AllOf => !policy.approver_groups.is_empty() && groups.all(satisfied),
        };
        by_groups || self.tiers.iter().any(satisfied)
    }

    /// Whether any group asks the person, whosever request it is.
    fn is_asked(&self, person: PersonFacts<'_>) -> bool {
        self.policy.is_some_and(|policy| {
            policy.approver_groups.iter().chain(self.tiers).any(|group| {
                self.narrows_to(group, person)
                    && positives(group).any(|condition| self.is_meant(person, condition))
            })
        })
    }

    /// The answers that say so about what is asked now, of programs that are asked now.
    fn answers_that_say(
        &self,
        decision: Decision,
    ) -> impl Iterator<Item = &'a ProgramAnswer> + use<'a> {
        let (digest, policy, tiers) = (self.digest, self.policy, self.tiers);
        let says_so = move |answer: &&ProgramAnswer| {
            answer.decision == Some(decision) && digest::covers(&answer.digest, digest)
        };
        let is_asked = move |answer: &&ProgramAnswer| {
            let groups = policy.iter().flat_map(|policy| &policy.approver_groups).chain(tiers);
            let mut urls = groups.flat_map(program_conditions).flat_map(Condition::values);
            urls.any(|url| *url == answer.url)
        };
        self.answers.iter().filter(says_so).filter(is_asked)
    }

    /// Whether a program has agreed or, where its silence may become a yes, may still.
    fn has_program(&self, url: &str, silence: Silence) -> bool {
        let is_silent = || self.answers.iter().all(|answer| answer.url != url);
        self.answers_that_say(Decision::Approved).any(|answer| answer.url == url)
            || (silence == Silence::MayBecomeYes && is_silent())
    }

    /// Whether these people together, with the programs, satisfy the group.
    fn is_satisfied(
        &self,
        group: &ApproverGroup,
        people: &[PersonFacts<'_>],
        silence: Silence,
    ) -> bool {
        let counting: Vec<PersonFacts<'_>> =
            people.iter().copied().filter(|person| self.narrows_to(group, *person)).collect();
        let has_slot = positives(group).next().is_some();
        let by_programs = |condition: &Condition| {
            program_conditions(group).any(|one| one == condition)
                && condition.values().iter().any(|url| self.has_program(url, silence))
        };
        let mut slots = positives(group).map(|condition| {
            if means_programs(condition) {
                return by_programs(condition);
            }
            self.is_filled(condition, &counting)
        });
        match group.logical_operator {
            LogicalOperator::And => has_slot && slots.all(|filled| filled),
            LogicalOperator::Or => slots.any(|filled| filled),
        }
    }

    /// Whether the people fill the slot of a positive condition: one of them meets it, or, of
    /// owners, one for each owner that there is.
    fn is_filled(&self, condition: &Condition, people: &[PersonFacts<'_>]) -> bool {
        if condition.attribute_type == OWNER {
            let owns = |rule: &Condition| people.iter().any(|person| matches(*person, rule));
            return stands_alone(condition) && self.owners.are_all(owns);
        }
        people.iter().any(|person| self.is_meant(*person, condition))
    }

    /// Whether the person meets every negative condition of the group. In an `Or` group there
    /// can be none: that is refused when a flow is saved, because "anybody but Bob, or Alice"
    /// would ask nearly everybody.
    fn narrows_to(&self, group: &ApproverGroup, person: PersonFacts<'_>) -> bool {
        let mut negatives =
            group.approvers.iter().filter(|condition| condition.operator().is_negative());
        match group.logical_operator {
            LogicalOperator::And => negatives.all(|condition| self.is_meant(person, condition)),
            LogicalOperator::Or => negatives.next().is_none(),
        }
    }

    /// Whether the person meets one condition, as it is meant of approvers.
    fn is_meant(&self, person: PersonFacts<'_>, condition: &Condition) -> bool {
        match condition.attribute_type.as_str() {
            MANAGER => stands_alone(condition) && self.is_as_to_manager(person, condition),
            OWNER if !stands_alone(condition) => false,
            OWNER if condition.operator().is_negative() => self.owners.exclude(person),
            OWNER => self.owners.include(person),
            _ => matches(person, condition),
        }
    }

    /// Whether the person is the asker's manager, or is known not to be. The right goes to the
    /// very account that is the manager; it is kept from every account of the manager's.
    fn is_as_to_manager(&self, person: PersonFacts<'_>, condition: &Condition) -> bool {
        let source = &condition.source_integration_id;
        let of_source = source.is_none() || *source == self.asker.user.source_integration_id;
        if condition.operator().is_negative() {
            let manager = self.asker.manager;
            return of_source && manager.is_some_and(|manager| !same_person(manager, person.user));
        }
        of_source && self.asker.user.manager_id.as_ref() == Some(&person.user.id)
    }

    fn is_own(&self, user: &User) -> bool {
        same_person(user, self.requestor) || same_person(user, self.grantee)
    }
}

/// What a program counts for that has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// For nothing: is the request approved?
    IsNothing,
    /// For a yes that may come: can it still be?
    MayBecomeYes,
}

/// Whether the policy asks owners, so that it matters who they are.
pub fn asks_owners(policy: &FlowPolicy) -> bool {
    let groups = policy.approver_policy.iter().flat_map(|approvers| &approvers.approver_groups);
    let groups = groups.chain(escalation::tiers(policy));
    groups.flat_map(|group| &group.approvers).any(|condition| condition.attribute_type == OWNER)
}

/// The conditions of a group that say who approves; each is a slot that wants an approval.
fn positives(group: &ApproverGroup) -> impl Iterator<Item = &Condition> {
    group.approvers.iter().filter(|condition| !condition.operator().is_negative())
}

/// Whether a condition that stands for somebody by itself does so: with values it says nothing.
fn stands_alone(condition: &Condition) -> bool {
    condition.values().is_empty()
}
