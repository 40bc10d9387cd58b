//! Which flow governs a request.
//!
//! Invariants: the answer does not depend on the order in which flows are given; exactly one
//! flow governs an entitlement, whole, or none does; none governs below a floor.

use std::{borrow::Cow, cmp::Ordering};

use jiff::Timestamp;

use crate::{
    flow::{AccessFlow, FlowPolicy, FlowTrigger},
    ids::BundleId,
    inventory::Entitlement,
    policy::{
        ends::{LONGEST_DURATION_SEC, covers_duration, longest_grant},
        explanation::{Advantage, ChosenFlow, Explanation, PassedOver, Reason},
        floors::Floor,
        grantees::may_ask_for,
        matching::{PersonFacts, meets},
        targets::{Contents, bundle_covers, flow_covers, targets_bundle},
        timeframe::Window,
    },
};

/// The label of flows for emergencies.
pub const BREAK_GLASS: &str = "break-glass";

/// Who asks for what kind of grant, and when. The entitlements are given beside it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Who asks.
    pub requestor: PersonFacts<'a>,
    /// Who is to have access; often the requestor.
    pub grantee: PersonFacts<'a>,
    /// The bundle it is asked through. The entitlements are then its members.
    pub bundle: Option<&'a BundleId>,
    /// What the bundles and access scopes hold that the flows name.
    pub contents: &'a dyn Contents,
    /// Seconds, checked by [`super::ends::check_duration`]; `None` takes the flow's maximum.
    pub duration_sec: Option<i64>,
    /// Whether an emergency was named: `custom_fields.break_glass` is `"true"`.
    pub break_glass: bool,
    /// Now.
    pub now: Timestamp,
    /// The setting `flow_selection`.
    pub preference: Preference,
}

/// Which of several flows that would do governs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// No approval, no second factor, the longest grant, the oldest.
    LeastFriction,
    /// Approval, a second factor, the shortest grant that covers the request, the oldest.
    Strictest,
}

impl Preference {
    /// From the value of the setting `flow_selection`.
    pub fn from_setting(word: &str) -> Self {
        // The setting takes two words; anything else can only be damage, and then the careful
        // one is right.
        if word == "least_friction" { Self::LeastFriction } else { Self::Strictest }
    }
}

/// Why no flow governs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only the duration stands in the way.
    #[error("no access flow allows this for so long; the longest allowed is {longest_sec} seconds")]
    DurationTooLong {
        /// The longest that would be allowed, in seconds.
        longest_sec: i64,
    },
    /// Only the time of asking does.
    #[error("{}", closed_until(*next_opening))]
    OutsideTimeframe {
        /// When it would be allowed.
        next_opening: Option<Timestamp>,
    },
    /// A flow would allow it, were it not for a floor.
    #[error(
        "the floor {} wants an approval for this, and the access flow \"{flow_name}\" asks nobody",
        floor.quoted_names()
    )]
    BelowFloor {
        /// What is wanted.
        floor: Floor,
        /// The flow.
        flow_name: String,
    },
    /// Anything else.
    #[error("no access flow allows this")]
    NoMatchingFlow,
}

/// The outcome for one entitlement.
#[derive(Debug, Clone)]
pub struct Selection<'f> {
    /// The governing flow, or why there is none.
    pub outcome: Result<&'f AccessFlow, Refusal>,
    /// What the floors ask for it.
    pub floor: Floor,
    /// How it came to that, with everything in it: cut it before a requestor sees it.
    pub explanation: Explanation,
}

/// The outcome for all entitlements of one create call.
#[derive(Debug, Clone)]
pub struct Split<'f> {
    /// One request each, in the order in which their first entitlements were given.
    pub parts: Vec<Part<'f>>,
    /// The places of entitlements that no flow governs, with the reason. Not empty: nothing is
    /// created.
    pub refused: Vec<(usize, Refusal)>,
    /// One explanation for each entitlement, in order.
    pub explanations: Vec<Explanation>,
}

/// One request to be: its governing flow and the places of its entitlements.
#[derive(Debug, Clone)]
pub struct Part<'f> {
    /// The governing flow.
    pub flow: &'f AccessFlow,
    /// What the floors ask for its entitlements, all together.
    pub floor: Floor,
    /// Places in the list that was given, ascending, without repetition.
    pub entitlements: Vec<usize>,
}

impl Part<'_> {
    /// The governing policy: the flow's, tightened by the floors.
    pub fn policy(&self) -> Cow<'_, FlowPolicy> {
        self.floor.tighten(&self.flow.policy)
    }
}

/// Finds the flow that governs one entitlement.
pub fn select<'f>(
    flows: &'f [AccessFlow],
    asking: &Asking<'_>,
    entitlement: &Entitlement,
) -> Selection<'f> {
    let standings: Vec<Standing<'f>> = flows.iter().map(|flow| stand(flow, asking)).collect();
    choose(&standings, asking, entitlement)
}

/// The same among flows that were looked up: those that are left out are not explained, and only
/// those may be left out that do not give the entitlement.
pub fn select_among<'f>(
    flows: &[&'f AccessFlow],
    asking: &Asking<'_>,
    entitlement: &Entitlement,
) -> Selection<'f> {
    let standings: Vec<Standing<'f>> = flows.iter().map(|flow| stand(flow, asking)).collect();
    choose(&standings, asking, entitlement)
}

/// Finds the governing flow of each entitlement and puts those of one flow together. An
/// entitlement that was given twice counts once.
pub fn split<'f>(
    flows: &'f [AccessFlow],
    asking: &Asking<'_>,
    entitlements: &[Entitlement],
) -> Split<'f> {
    let standings: Vec<Standing<'f>> = flows.iter().map(|flow| stand(flow, asking)).collect();
    let mut split = Split { parts: Vec::new(), refused: Vec::new(), explanations: Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    for (place, entitlement) in entitlements.iter().enumerate() {
        let selection = choose(&standings, asking, entitlement);
        split.explanations.push(selection.explanation);
        if !seen.insert((&entitlement.resource.id, &entitlement.permission.id)) {
            continue;
        }
        match selection.outcome {
            Err(refusal) => split.refused.push((place, refusal)),
            Ok(flow) => match split.parts.iter_mut().find(|part| part.flow.id == flow.id) {
                Some(part) => {
                    part.floor = std::mem::take(&mut part.floor).and(selection.floor);
                    part.entitlements.push(place);
                }
                None => split.parts.push(Part {
                    flow,
                    floor: selection.floor,
                    entitlements: vec![place],
                }),
            },
        }
    }
    split
}

impl Split<'_> {
    /// The one answer for the whole call, if anything was refused: the duration that would be
    /// allowed for everything, the instant at which everything would be, or plainly no.
    pub fn refusal(&self) -> Option<Refusal> {
        let refusals = || self.refused.iter().map(|(_, refusal)| refusal);
        let first = refusals().next()?;
        let mut answer = first.clone();
        for refusal in refusals() {
            answer = match (answer, refusal) {
                (
                    Refusal::DurationTooLong { longest_sec: one },
                    Refusal::DurationTooLong { longest_sec: other },
                ) => Refusal::DurationTooLong { longest_sec: one.min(*other) },
                (
                    Refusal::OutsideTimeframe { next_opening: one },
                    Refusal::OutsideTimeframe { next_opening: other },
                ) => Refusal::OutsideTimeframe {
                    next_opening: one.zip(*other).map(|(one, other)| one.max(other)),
                },
                (below @ Refusal::BelowFloor { .. }, Refusal::BelowFloor { .. }) => below,
                _ => return Some(Refusal::NoMatchingFlow),
            };
        }
        Some(answer)
    }
}

/// Whether the flow could govern requests of these two people at all, whatever the time and the
/// duration: what "available access" is made of.
pub fn is_usable_by(
    flow: &AccessFlow,
    requestor: PersonFacts<'_>,
    grantee: PersonFacts<'_>,
) -> bool {
    flow.active
        && flow.policy.trigger == FlowTrigger::SelfServe
        && requestor.user.is_active()
        && grantee.user.is_active()
        && meets(requestor, &flow.policy.requestors)
        && may_ask_for(&flow.policy, requestor, grantee)
}

/// Whether the flow is for emergencies.
pub fn is_break_glass(policy: &FlowPolicy) -> bool {
    policy.settings.labels.iter().any(|label| label.trim().eq_ignore_ascii_case(BREAK_GLASS))
}

/// Whether time and duration let the flow govern, whose grants last so long at most; the reason
/// if not.
pub(super) fn check_time(
    policy: &FlowPolicy,
    longest_sec: Option<i64>,
    duration_sec: Option<i64>,
    now: Timestamp,
) -> Result<(), Reason> {
    let closed = policy.timeframe.as_ref().and_then(|timeframe| match Window::parse(timeframe) {
        Ok(window) if window.is_open(now) => None,
        Ok(window) => Some(window.opens(now)),
        Err(_) => Some(None),
    });
    let too_long = !covers_duration(longest_sec, duration_sec);
    let longest_sec = longest_sec.unwrap_or(LONGEST_DURATION_SEC);
    match closed {
        None if too_long => Err(Reason::TooLong { longest_sec }),
        None => Ok(()),
        Some(next_opening) if too_long => {
            Err(Reason::ClosedAndTooLong { next_opening, longest_sec })
        }
        Some(next_opening) => Err(Reason::Closed { next_opening }),
    }
}

/// What can be said about a flow before looking at an entitlement.
struct Standing<'f> {
    flow: &'f AccessFlow,
    /// The first thing in its way that has nothing to do with the entitlement.
    people: Result<(), Reason>,
    /// What comes after the target in the order of reasons, where no floor has a say.
    time: Result<(), Reason>,
    known_to_requestor: bool,
}

fn stand<'f>(flow: &'f AccessFlow, asking: &Asking<'_>) -> Standing<'f> {
    let policy = &flow.policy;
    let known_to_requestor = meets(asking.requestor, &policy.requestors);
    let people = if !flow.active {
        Err(Reason::Inactive)
    } else if !asking.requestor.user.is_active() || !asking.grantee.user.is_active() {
        Err(Reason::PersonDisabled)
    } else if !known_to_requestor {
        Err(Reason::Requestor)
    } else if !may_ask_for(policy, asking.requestor, asking.grantee) {
        Err(Reason::Grantee)
    } else if is_break_glass(policy) && !asking.break_glass {
        Err(Reason::BreakGlassNotAsked)
    } else {
        Ok(())
    };
    let time = check_time(policy, longest_grant(policy), asking.duration_sec, asking.now);
    Standing { flow, people, time, known_to_requestor }
}

/// The whole verdict on one flow for one entitlement.
fn judge(
    standing: &Standing<'_>,
    asking: &Asking<'_>,
    entitlement: &Entitlement,
    floor: &Floor,
) -> Result<(), Reason> {
    standing.people.clone()?;
    let policy = &standing.flow.policy;
    let is_covered = match asking.bundle {
        Some(bundle) if !targets_bundle(policy, bundle) => return Err(Reason::NotThisBundle),
        Some(bundle) => bundle_covers(bundle, asking.contents, entitlement),
        None => flow_covers(policy, asking.contents, entitlement),
    };
    if !is_covered {
        return Err(Reason::Target);
    }
    if policy.trigger != FlowTrigger::SelfServe {
        return Err(Reason::NotSelfServe);
    }
    if floor.bars(policy) {
        return Err(Reason::BelowFloor(floor.clone()));
    }
    if floor.longest_sec.is_none() {
        return standing.time.clone();
    }
    check_time(policy, floor.longest_grant(policy), asking.duration_sec, asking.now)
}

fn choose<'f>(
    standings: &[Standing<'f>],
    asking: &Asking<'_>,
    entitlement: &Entitlement,
) -> Selection<'f> {
    let floor = asking.contents.floor_on(entitlement);
    let judged = |standing| (standing, judge(standing, asking, entitlement, &floor));
    let verdicts: Vec<(&Standing<'f>, Result<(), Reason>)> = standings.iter().map(judged).collect();
    let rank = |one: &AccessFlow, other: &AccessFlow| rank(one, other, &floor, asking.preference);
    let chosen = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.is_ok())
        .map(|(standing, _)| standing.flow)
        .min_by(|one, other| rank(one, other).0);
    let outcome = chosen.ok_or_else(|| refuse(&verdicts));
    let passed_over = verdicts
        .into_iter()
        .filter(|(standing, _)| chosen.is_none_or(|chosen| chosen.id != standing.flow.id))
        .map(|(standing, verdict)| {
            let outranked = || {
                let advantage = chosen.map(|chosen| rank(chosen, standing.flow));
                Reason::Outranked(advantage.map_or(Advantage::Older, |(_, advantage)| advantage))
            };
            PassedOver {
                flow_id: standing.flow.id.clone(),
                flow_name: standing.flow.name.clone(),
                reason: verdict.err().unwrap_or_else(outranked),
                known_to_requestor: standing.known_to_requestor,
            }
        })
        .collect();
    let chosen = chosen.map(|flow| ChosenFlow {
        flow_id: flow.id.clone(),
        flow_name: flow.name.clone(),
        needs_approval: flow.policy.approver_policy.is_some(),
        longest_sec: floor.longest_grant(&flow.policy),
    });
    let floors = floor.names.iter().cloned().collect();
    Selection { outcome, floor, explanation: Explanation { chosen, passed_over, floors } }
}

/// Which flow comes first (`Less` is first) above this floor, and what decided between them.
/// Total: ids differ.
fn rank(
    one: &AccessFlow,
    other: &AccessFlow,
    floor: &Floor,
    preference: Preference,
) -> (Ordering, Advantage) {
    let strict = preference == Preference::Strictest;
    let pick = |ordering: Ordering, mild: Advantage, stern: Advantage| {
        if strict { (ordering.reverse(), stern) } else { (ordering, mild) }
    };
    let approval = |flow: &AccessFlow| flow.policy.approver_policy.is_some();
    let factor = |flow: &AccessFlow| floor.needs_second_factor(&flow.policy);
    let longest = |flow: &AccessFlow| floor.longest_grant(&flow.policy).unwrap_or(i64::MAX);
    let by_approval = approval(one).cmp(&approval(other));
    let by_factor = factor(one).cmp(&factor(other));
    let by_length = longest(other).cmp(&longest(one));
    if by_approval.is_ne() {
        pick(by_approval, Advantage::NoApproval, Advantage::Approval)
    } else if by_factor.is_ne() {
        pick(by_factor, Advantage::NoSecondFactor, Advantage::SecondFactor)
    } else if by_length.is_ne() {
        pick(by_length, Advantage::LongerGrant, Advantage::ShorterGrant)
    } else {
        let by_age = one.created_at.cmp(&other.created_at).then_with(|| one.id.cmp(&other.id));
        (by_age, Advantage::Older)
    }
}

/// Why none of the flows governs.
fn refuse(verdicts: &[(&Standing<'_>, Result<(), Reason>)]) -> Refusal {
    let reasons = || verdicts.iter().filter_map(|(_, verdict)| verdict.as_ref().err());
    let longest = reasons().filter_map(|reason| match reason {
        Reason::TooLong { longest_sec } => Some(*longest_sec),
        _ => None,
    });
    if let Some(longest_sec) = longest.max() {
        return Refusal::DurationTooLong { longest_sec };
    }
    let mut closed = false;
    let openings = reasons().filter_map(|reason| match reason {
        Reason::Closed { next_opening } => {
            closed = true;
            *next_opening
        }
        _ => None,
    });
    let next_opening = openings.min();
    if closed {
        return Refusal::OutsideTimeframe { next_opening };
    }
    let below = verdicts.iter().filter_map(|(standing, verdict)| match verdict {
        Err(Reason::BelowFloor(floor)) => Some((standing.flow, floor)),
        _ => None,
    });
    // Any of them would do to say it; always the same one does.
    match below.min_by(|(one, _), (other, _)| one.id.cmp(&other.id)) {
        Some((flow, floor)) => {
            Refusal::BelowFloor { floor: floor.clone(), flow_name: flow.name.clone() }
        }
        None => Refusal::NoMatchingFlow,
    }
}

fn closed_until(next_opening: Option<Timestamp>) -> String {
    match next_opening {
        Some(next) => {
            format!("access flows allow this only inside their timeframe; the next opens at {next}")
        }
        None => {
            "access flows allow this only inside their timeframe, and none opens in the next weeks"
                .to_owned()
        }
    }
}
