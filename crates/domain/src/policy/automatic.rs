//! Automatic flows: access that follows conditions, without a request of anybody's.
//!
//! Invariants: a person holds by an automatic flow exactly what it covers while they meet its
//! conditions; what stays wanted is never taken away in between; and more people than are allowed
//! an hour are never changed without somebody's word, because a broken sync of people looks just
//! like a company that changed its mind.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    flow::{FlowPolicy, FlowTrigger},
    ids::{PermissionId, RequestId, ResourceId},
};

/// An entitlement by its ids.
pub type Pair = (ResourceId, PermissionId);

/// How long changes are counted together.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How long somebody's word for a held-back change is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);

/// What a person holds by one request of an automatic flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The request.
    pub request: RequestId,
    /// What it is for.
    pub entitlements: BTreeSet<Pair>,
}

/// What has to happen for a person to hold exactly what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// What to give, by one new request; before anything ends, so that what stays is never gone.
    pub give: BTreeSet<Pair>,
    /// The requests to end.
    pub end: Vec<RequestId>,
}

/// Whether a person's access changes, and which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Something is wanted that is not held.
    pub gains: bool,
    /// Something is held that is not wanted.
    pub loses: bool,
}

/// How an automatic flow gets on: kept beside it, one for each flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// When the hour began in which people are counted.
    pub since: Option<Timestamp>,
    /// How many were given access in it.
    pub gained: u64,
    /// How many lost access in it.
    pub lost: u64,
    /// What is held back.
    pub held_back: Option<HeldBack>,
    /// What somebody said may go ahead.
    pub confirmed: Option<Confirmed>,
}

/// Changes that were too many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// How many people would get access.
    pub gaining: u64,
    /// How many people would lose access.
    pub losing: u64,
    /// Since when.
    pub since: Timestamp,
}

/// Somebody's word that held-back changes may go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// How many people may get access.
    pub gaining: u64,
    /// How many people may lose access.
    pub losing: u64,
    /// When it was given.
    pub at: Timestamp,
}

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Access may be given.
    pub gains: bool,
    /// Access may be taken.
    pub losses: bool,
}

/// What an automatic flow says: conditions and targets. All else is for requests, and is stored
/// and shown only.
#[must_use]
pub fn effective(policy: &FlowPolicy) -> FlowPolicy {
    let mut effective = FlowPolicy {
        request_for: None,
        request_for_others: false,
        approver_policy: None,
        escalation_policy: None,
        grant_duration_in_min: None,
        timeframe: None,
        ..policy.clone()
    };
    effective.settings.require_approver_reason = false;
    effective.settings.require_mfa = false;
    effective.settings.max_extensions = 0;
    effective
}

/// Whether the flow gives access without being asked.
pub fn is_automatic(policy: &FlowPolicy) -> bool {
    policy.trigger == FlowTrigger::Automatic
}

/// What has to happen for somebody with these holdings to hold exactly `wanted`. A request is
/// ended whole, and what it shares with `wanted` is given anew.
pub fn steps(held: &[Holding], wanted: &BTreeSet<Pair>) -> Steps {
    let (stay, go): (Vec<&Holding>, Vec<&Holding>) =
        held.iter().partition(|holding| holding.entitlements.is_subset(wanted));
    let covered: BTreeSet<&Pair> = stay.iter().flat_map(|one| &one.entitlements).collect();
    Steps {
        give: wanted.iter().filter(|pair| !covered.contains(pair)).cloned().collect(),
        end: go.into_iter().map(|holding| holding.request.clone()).collect(),
    }
}

/// Which way somebody's access changes.
pub fn turn(held: &[Holding], wanted: &BTreeSet<Pair>) -> Turn {
    let has: BTreeSet<&Pair> = held.iter().flat_map(|holding| &holding.entitlements).collect();
    Turn {
        gains: wanted.iter().any(|pair| !has.contains(pair)),
        loses: has.iter().any(|pair| !wanted.contains(*pair)),
    }
}

impl Pace {
    /// Whether changes for so many people may be made now, of which at most `limit` an hour may
    /// either way; what may not is written down as held back. True beside it if that is news.
    /// What is then made is told to [`Self::count`].
    pub fn admit(
        &mut self,
        now: Timestamp,
        gaining: u64,
        losing: u64,
        limit: u64,
    ) -> (Allowed, bool) {
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (self.since, self.gained, self.lost) = (Some(now), 0, 0);
        }
        self.confirmed = self.confirmed.filter(|word| now.duration_since(word.at) < GOOD_FOR);
        let word = self.confirmed.map_or((0, 0), |word| (word.gaining, word.losing));
        let within = |done: u64, more: u64, word: u64| {
            more == 0 || done.saturating_add(more) <= limit || more <= word
        };
        let allowed = Allowed {
            gains: within(self.gained, gaining, word.0),
            losses: within(self.lost, losing, word.1),
        };
        let before = self.held_back;
        self.held_back = (!allowed.gains || !allowed.losses).then(|| HeldBack {
            gaining: if allowed.gains { 0 } else { gaining },
            losing: if allowed.losses { 0 } else { losing },
            since: before.map_or(now, |before| before.since),
        });
        let counts = |held: Option<HeldBack>| held.map(|held| (held.gaining, held.losing));
        (allowed, self.held_back.is_some() && counts(before) != counts(self.held_back))
    }

    /// Counts people whose access was changed.
    pub fn count(&mut self, gained: u64, lost: u64) {
        self.gained = self.gained.saturating_add(gained);
        self.lost = self.lost.saturating_add(lost);
    }

    /// Lets what is held back go ahead, as it is now and no more; false if nothing is.
    pub fn confirm(&mut self, now: Timestamp) -> bool {
        let Some(held) = self.held_back else { return false };
        self.confirmed = Some(Confirmed { gaining: held.gaining, losing: held.losing, at: now });
        true
    }
}
