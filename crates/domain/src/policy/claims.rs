//! Counted claims: one request's end never removes what another still gives.
//!
//! Every unit that should be in place is a claim on a triple: the principal (of one session),
//! the resource and the permission. A target changes only where the count of a triple crosses
//! between 0 and 1. The server sends the whole desired state, and the connector compares; this
//! module says what that state is, and is what both are tested against.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    ids::{PermissionId, ResourceId, SessionId},
    request::RequestUnit,
};

/// What claims are counted on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Triple {
    /// The session, and with it the principal.
    pub session: SessionId,
    /// The resource.
    pub resource: ResourceId,
    /// The permission.
    pub permission: PermissionId,
}

/// An end that can be compared: `Never` is later than every instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Until {
    /// At this instant.
    At(Timestamp),
    /// Until revoked.
    Never,
}

impl From<Option<Timestamp>> for Until {
    fn from(end: Option<Timestamp>) -> Self {
        end.map_or(Self::Never, Self::At)
    }
}

impl From<Until> for Option<Timestamp> {
    fn from(until: Until) -> Self {
        match until {
            Until::At(end) => Some(end),
            Until::Never => None,
        }
    }
}

/// The claims on one triple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// How many; never 0.
    pub count: usize,
    /// When the last of them ends.
    pub until: Until,
}

/// Everything that should be in place.
pub type Desired = BTreeMap<Triple, Claimed>;

/// What should be in place at `now` because of these units: those wanted or held, with a
/// session, whose end has not come. A unit whose end is this very instant has ended.
pub fn desired<'a>(units: impl IntoIterator<Item = &'a RequestUnit>, now: Timestamp) -> Desired {
    let mut desired = Desired::new();
    for unit in units {
        let Some(session) = &unit.session_id else { continue };
        let until = Until::from(unit.ends_at);
        if !unit.state.is_desired() || until <= Until::At(now) {
            continue;
        }
        let triple = Triple {
            session: session.clone(),
            resource: unit.resource_id.clone(),
            permission: unit.permission_id.clone(),
        };
        let claimed = desired.entry(triple).or_insert(Claimed { count: 0, until });
        claimed.count += 1;
        claimed.until = claimed.until.max(until);
    }
    desired
}

/// The latest end of a session's claims: what its principal's native expiry is set to. `None`
/// when nothing should be in place.
pub fn native_end(desired: &Desired, session: &SessionId) -> Option<Until> {
    let of_session = desired.iter().filter(|(triple, _)| triple.session == *session);
    of_session.map(|(_, claimed)| claimed.until).max()
}

/// What a change of the desired state means for the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crossings {
    /// Triples whose count left 0.
    pub appear: Vec<Triple>,
    /// Triples whose count reached 0: remove, commit, then end open connections.
    pub vanish: Vec<Triple>,
}

/// Where counts cross between 0 and 1.
pub fn crossings(before: &Desired, after: &Desired) -> Crossings {
    let only_in = |one: &Desired, other: &Desired| {
        one.keys().filter(|triple| !other.contains_key(triple)).cloned().collect()
    };
    Crossings { appear: only_in(after, before), vanish: only_in(before, after) }
}
