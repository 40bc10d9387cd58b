//! Whether a request that was filed earlier may be granted now.
//!
//! Between filing, decision and grant the world moves: people leave, resources are retagged,
//! flows are tightened. So both the policy that was frozen into the request and the flow as it
//! stands now are asked again, in the transaction that decides, with rows read in it.

use jiff::Timestamp;

use crate::{
    flow::{AccessFlow, FlowPolicy},
    ids::{BundleId, UserId},
    inventory::Entitlement,
    policy::{
        approvals::{ApprovalOutcome, ApprovedBy, Given, Question, Waiting},
        ends::longest_grant,
        explanation::Reason,
        floors::Floor,
        grantees::may_ask_for,
        matching::{PersonFacts, meets},
        owners::Owners,
        programs::ProgramAnswer,
        second_factor::needs_second_factor,
        selection::check_time,
        targets::{Contents, flow_covers, gives_through, is_grantable},
    },
};

/// Everything that is asked again. People and entitlements as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The policy that the request was filed under.
    pub frozen: &'a FlowPolicy,
    /// The flow as it is now; `None` if it was deleted.
    pub current: Option<&'a AccessFlow>,
    /// Who asked.
    pub requestor: PersonFacts<'a>,
    /// At whom policy looks as the one who asked: the requestor, or the grantee where an Admin
    /// filed it for them.
    pub asker: PersonFacts<'a>,
    /// Who is to have access.
    pub grantee: PersonFacts<'a>,
    /// The bundle it was asked through.
    pub bundle: Option<&'a BundleId>,
    /// What the bundles and access scopes hold that the two policies name, as it is now.
    pub contents: &'a dyn Contents,
    /// The entitlements as they are now. One that is gone is left out; see `unit_count`.
    pub entitlements: &'a [Entitlement],
    /// Who owns them, as it is written down now.
    pub owners: &'a Owners,
    /// How many tiers of escalation were told.
    pub tiers_told: usize,
    /// What came of asking programs about it.
    pub answers: &'a [ProgramAnswer],
    /// How many entitlements the request has.
    pub unit_count: usize,
    /// Whether the requestor gave a second factor for it, or cannot but give one before anybody
    /// is asked.
    pub has_second_factor: bool,
    /// The length that would be granted, in seconds; `None` means until revoked.
    pub duration_sec: Option<i64>,
    /// The request's digest, computed from its rows now.
    pub digest: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Enter Granting.
    Grant(ApprovedBy),
    /// Stay Pending.
    Wait(Waiting),
    /// Reject it.
    Reject {
        /// Who said no.
        by: UserId,
    },
    /// Reject it, because a program said no.
    RejectByProgram {
        /// The program's address.
        url: String,
    },
    /// Cancel it, for this reason; it can be asked again.
    Cancel(NoLongerAllowed),
}

/// Why a request cannot be granted any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLongerAllowed {
    /// The flow is gone.
    #[error("its access flow was deleted; ask again")]
    FlowDeleted,
    /// The flow is switched off.
    #[error("its access flow was made inactive; ask again")]
    FlowInactive,
    /// The requestor is disabled.
    #[error("its requestor is disabled")]
    RequestorDisabled,
    /// The grantee is disabled.
    #[error("its grantee is disabled")]
    GranteeDisabled,
    /// The requestor does not meet the conditions any more.
    #[error("its requestor no longer meets the access flow's conditions")]
    Requestor,
    /// The flow does not let the requestor ask for this grantee any more.
    #[error("its access flow no longer lets the requestor ask for this grantee")]
    Grantee,
    /// An entitlement is gone from the target.
    #[error("something it asks for no longer exists; refresh the integration and ask again")]
    EntitlementGone,
    /// An entitlement is not the flow's any more.
    #[error("its access flow no longer covers {permission} on {path}")]
    NotCovered {
        /// The resource's path.
        path: String,
        /// The permission's name.
        permission: String,
    },
    /// The flow now allows only a shorter grant.
    #[error("its access flow now allows at most {longest_sec} seconds; ask again for less")]
    DurationTooLong {
        /// The longest, in seconds.
        longest_sec: i64,
    },
    /// The timeframe is closed.
    #[error("its access flow's timeframe is closed; ask again when it is open")]
    OutsideTimeframe {
        /// When it opens.
        next_opening: Option<Timestamp>,
    },
    /// A floor now wants an approval, and the flow asks nobody.
    #[error(
        "the floor {} wants an approval for this now, and its access flow asks nobody; ask again",
        .0.quoted_names()
    )]
    BelowFloor(Floor),
    /// A floor now allows only a shorter grant.
    #[error("a floor now allows at most {longest_sec} seconds; ask again for less")]
    TooLongForFloor {
        /// The longest, in seconds.
        longest_sec: i64,
    },
    /// A floor now wants a second factor.
    #[error("the floor {} wants a second factor for this now; ask again", .0.quoted_names())]
    SecondFactorForFloor(Floor),
    /// A second factor is asked for, and none was given.
    #[error("its access flow now asks for a second factor; ask again")]
    SecondFactor,
    /// The flow now asks for approvals that were not given.
    #[error("its access flow now asks for other approvals; ask again")]
    AsksForMore,
}

/// What to do with a pending request, given every decision so far. `people` are all who may be
/// among the approvers; they matter only for what [`Verdict::Wait`] says.
pub fn decide(facts: &Facts<'_>, given: &[Given<'_>], people: &[PersonFacts<'_>]) -> Verdict {
    let question = |policy| {
        Question::new(policy, facts.requestor, facts.grantee.user, facts.digest)
            .asked_as(facts.asker)
            .owned_by(facts.owners)
            .escalated(policy, facts.tiers_told)
            .answered(facts.answers)
    };
    let outcome = question(facts.frozen).evaluate(given, people);
    match outcome {
        ApprovalOutcome::Rejected { by } => return Verdict::Reject { by },
        ApprovalOutcome::RejectedByProgram { url } => return Verdict::RejectByProgram { url },
        ApprovalOutcome::Approved(_) | ApprovalOutcome::Waiting(_) => {}
    }
    let current = match still_allowed(facts) {
        Ok(current) => current,
        Err(reason) => return Verdict::Cancel(reason),
    };
    match outcome {
        ApprovalOutcome::Rejected { by } => Verdict::Reject { by },
        ApprovalOutcome::RejectedByProgram { url } => Verdict::RejectByProgram { url },
        ApprovalOutcome::Waiting(waiting) => Verdict::Wait(waiting),
        ApprovalOutcome::Approved(by) => match question(&current.policy).evaluate(given, people) {
            ApprovalOutcome::Approved(_) => Verdict::Grant(by),
            _ => Verdict::Cancel(NoLongerAllowed::AsksForMore),
        },
    }
}

/// Whether both the frozen policy and the flow as it is now still allow the request, approvals
/// aside. Gives the flow as it is now.
pub fn still_allowed<'a>(facts: &Facts<'a>) -> Result<&'a AccessFlow, NoLongerAllowed> {
    let current = facts.current.ok_or(NoLongerAllowed::FlowDeleted)?;
    if !current.active {
        return Err(NoLongerAllowed::FlowInactive);
    }
    if !facts.requestor.user.is_active() {
        return Err(NoLongerAllowed::RequestorDisabled);
    }
    if !facts.grantee.user.is_active() {
        return Err(NoLongerAllowed::GranteeDisabled);
    }
    if facts.entitlements.len() < facts.unit_count || !facts.entitlements.iter().all(is_grantable) {
        return Err(NoLongerAllowed::EntitlementGone);
    }
    allowed_by(facts.frozen, facts)?;
    allowed_by(&current.policy, facts)?;
    above_floor(facts, &current.policy)?;
    // Of the frozen policy too: then it is a defect that it got here, and nothing is given by it.
    if !facts.has_second_factor
        && [facts.frozen, &current.policy].into_iter().any(needs_second_factor)
    {
        return Err(NoLongerAllowed::SecondFactor);
    }
    Ok(current)
}

/// What the floors ask for what is asked for now, all together.
pub(super) fn floor_now(facts: &Facts<'_>) -> Floor {
    let floors = facts.entitlements.iter().map(|one| facts.contents.floor_on(one));
    floors.fold(Floor::default(), Floor::and)
}

/// Whether what was frozen and what the flow says now is enough for the floors as they are now.
fn above_floor(facts: &Facts<'_>, current: &FlowPolicy) -> Result<(), NoLongerAllowed> {
    let floor = floor_now(facts);
    if floor.bars(facts.frozen) || floor.bars(current) {
        return Err(NoLongerAllowed::BelowFloor(floor));
    }
    if floor.second_factor && !facts.has_second_factor {
        return Err(NoLongerAllowed::SecondFactorForFloor(floor));
    }
    match floor.longest_sec.map(i64::from) {
        Some(longest_sec) if facts.duration_sec.is_none_or(|length| length > longest_sec) => {
            Err(NoLongerAllowed::TooLongForFloor { longest_sec })
        }
        _ => Ok(()),
    }
}

fn allowed_by(policy: &FlowPolicy, facts: &Facts<'_>) -> Result<(), NoLongerAllowed> {
    if !meets(facts.asker, &policy.requestors) {
        return Err(NoLongerAllowed::Requestor);
    }
    if !may_ask_for(policy, facts.asker, facts.grantee) {
        return Err(NoLongerAllowed::Grantee);
    }
    if let Some(lost) = facts.entitlements.iter().find(|one| !gives(policy, facts, one)) {
        return Err(NoLongerAllowed::NotCovered {
            path: lost.resource.path.clone(),
            permission: lost.permission.name.clone(),
        });
    }
    // A request without a duration is one without an end, not one that takes what is allowed.
    if let (None, Some(longest_sec)) = (facts.duration_sec, longest_grant(policy)) {
        return Err(NoLongerAllowed::DurationTooLong { longest_sec });
    }
    let longest_sec = longest_grant(policy);
    check_time(policy, longest_sec, facts.duration_sec, facts.now).map_err(|reason| match reason {
        Reason::TooLong { longest_sec } | Reason::ClosedAndTooLong { longest_sec, .. } => {
            NoLongerAllowed::DurationTooLong { longest_sec }
        }
        Reason::Closed { next_opening } => NoLongerAllowed::OutsideTimeframe { next_opening },
        _ => NoLongerAllowed::OutsideTimeframe { next_opening: None },
    })
}

/// Whether the flow gives the entitlement: through the bundle it was asked through, if it was.
fn gives(policy: &FlowPolicy, facts: &Facts<'_>, entitlement: &Entitlement) -> bool {
    match facts.bundle {
        Some(bundle) => gives_through(policy, bundle, facts.contents, entitlement),
        None => flow_covers(policy, facts.contents, entitlement),
    }
}
