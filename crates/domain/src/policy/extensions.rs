//! Prolonging a running grant.
//!
//! Invariants: an end moves only forward, by the flow's step, and only while it lies ahead; it
//! never moves out of the flow's window, nor more often than the flow allows; what has no end
//! gets none, and what has one keeps one. Approvals are not asked again, but everything else is:
//! both the policy that was frozen and the flow as it is now have to allow the grant, and of two
//! limits the tighter one holds.

use jiff::{SignedDuration, Timestamp};

use crate::{
    flow::FlowPolicy,
    policy::{
        deciding::{Facts, NoLongerAllowed, floor_now, still_allowed},
        ends::closing,
    },
    request::{AccessRequest, RequestState},
};

/// Less than this is no later end: targets and clocks do not tell them apart.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// Whether a request can be prolonged, as far as it can tell by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Yes.
    Available,
    /// It has no running grant that ends, or its flow knows no extensions.
    NotAvailable,
    /// It is being prolonged; the target has not confirmed the later end yet.
    Extending,
    /// As often as its flow allows, already.
    Exhausted,
}

/// What prolonging a request would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendOptions {
    /// Whether it can be done now.
    pub availability: Availability,
    /// How many seconds it would add at most.
    pub step_sec: i64,
    /// How often it can still be done.
    pub remaining: u32,
}

/// Why a request is not prolonged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    /// There is no access that could last longer.
    #[error("only access that is in place can be extended")]
    NotActive,
    /// It lasts until it is revoked.
    #[error("this access has no end, so there is nothing to extend")]
    NoEnd,
    /// Its end has come.
    #[error("the end of this access has come; ask again")]
    Over,
    /// An extension is under way.
    #[error("this access is being extended already; it lasts longer once its target says so")]
    UnderWay,
    /// The flow has no extensions.
    #[error("its access flow allows no extensions; ask again when it has ended")]
    NoneAllowed,
    /// The flow has no more.
    #[error("its access flow allows {most} extensions, and that many there were; ask again")]
    Exhausted {
        /// How many it allows.
        most: u32,
    },
    /// A floor allows no more in all.
    #[error("a floor allows at most {longest_sec} seconds in all, extensions included; ask again")]
    Floor {
        /// The longest, in seconds.
        longest_sec: i64,
    },
    /// The window closes at the end that there is.
    #[error("its access flow's timeframe closes when this access ends")]
    Timeframe,
    /// The later end is past the last day of the calendar.
    #[error("the later end would be past the last day of the calendar")]
    PastCalendar,
    /// It would not be granted now.
    #[error(transparent)]
    NotAllowed(#[from] NoLongerAllowed),
}

/// What can be said about prolonging the request without asking its flow as it is now.
pub fn options(request: &AccessRequest, now: Timestamp) -> ExtendOptions {
    let limits = Limits::of(&request.flow_policy);
    let remaining = limits.most.saturating_sub(request.extension_count);
    let is_running =
        request.state == RequestState::Active && request.ends_at.is_some_and(|end| end > now);
    let availability = if !is_running || limits.most == 0 || limits.step_sec == 0 {
        Availability::NotAvailable
    } else if request.extending_to.is_some() {
        Availability::Extending
    } else if remaining == 0 {
        Availability::Exhausted
    } else {
        Availability::Available
    };
    ExtendOptions { availability, step_sec: limits.step_sec, remaining }
}

/// The end that the request gets if it is prolonged now. Not in force before the target has it.
pub fn later_end(request: &AccessRequest, facts: &Facts<'_>) -> Result<Timestamp, NotExtended> {
    if request.state != RequestState::Active {
        return Err(NotExtended::NotActive);
    }
    let end = request.ends_at.ok_or(NotExtended::NoEnd)?;
    if end <= facts.now {
        return Err(NotExtended::Over);
    }
    if request.extending_to.is_some() {
        return Err(NotExtended::UnderWay);
    }
    let current = &still_allowed(facts)?.policy;
    let limits = Limits::of(facts.frozen).and(Limits::of(current));
    if limits.most == 0 || limits.step_sec == 0 {
        return Err(NotExtended::NoneAllowed);
    }
    if request.extension_count >= limits.most {
        return Err(NotExtended::Exhausted { most: limits.most });
    }
    let step = SignedDuration::from_secs(limits.step_sec);
    let mut later = end.checked_add(step).map_err(|_| NotExtended::PastCalendar)?;
    for timeframe in [&facts.frozen.timeframe, &current.timeframe].into_iter().flatten() {
        let closes = closing(facts.now, timeframe).map_err(|_| NotExtended::Timeframe)?;
        later = later.min(closes);
    }
    if let (Some(longest), Some(began)) = (floor_now(facts).longest_sec, request.decided_at) {
        let longest_sec = i64::from(longest);
        let last = began
            .checked_add(SignedDuration::from_secs(longest_sec))
            .map_err(|_| NotExtended::PastCalendar)?;
        later = later.min(last);
        if later.duration_since(end) < SHORTEST {
            return Err(NotExtended::Floor { longest_sec });
        }
    }
    if later.duration_since(end) < SHORTEST {
        return Err(NotExtended::Timeframe);
    }
    Ok(later)
}

/// How often, and by how much.
#[derive(Debug, Clone, Copy)]
struct Limits {
    most: u32,
    step_sec: i64,
}

impl Limits {
    fn of(policy: &FlowPolicy) -> Self {
        let settings = &policy.settings;
        Self {
            most: settings.max_extensions,
            step_sec: i64::from(settings.extension_duration_in_min) * 60,
        }
    }

    /// The tighter of both.
    fn and(self, other: Self) -> Self {
        Self { most: self.most.min(other.most), step_sec: self.step_sec.min(other.step_sec) }
    }
}
