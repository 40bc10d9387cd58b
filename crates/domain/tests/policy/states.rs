//! The table of request states, walked to its end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use latchkey_domain::request::{RequestState, TRANSITIONS, UnitState};

use RequestState::{
    Active, Cancelled, Failed, Granting, Initializing, Pending, PendingMfa, Rejected, Revoked,
    Revoking,
};

fn reachable(from: RequestState) -> BTreeSet<RequestState> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(state) = open.pop() {
        for next in RequestState::ALL.into_iter().filter(|next| state.may_become(*next)) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn every_state_is_reached_and_leads_to_an_end() {
    assert_eq!(reachable(Initializing).len(), RequestState::ALL.len());
    let finals: Vec<RequestState> =
        RequestState::ALL.into_iter().filter(|state| state.is_final()).collect();
    assert_eq!(finals, [Revoked, Rejected, Cancelled, Failed]);
    for state in RequestState::ALL {
        assert!(reachable(state).iter().any(|end| end.is_final()), "{state:?}");
    }
}

#[test]
fn nothing_ever_goes_back() {
    for (from, to) in TRANSITIONS {
        assert!(!reachable(*to).contains(from), "{from:?} → {to:?} is part of a circle");
    }
    let distinct: BTreeSet<_> = TRANSITIONS.iter().collect();
    assert_eq!(distinct.len(), TRANSITIONS.len(), "an arrow is written twice");
}

#[test]
fn access_begins_in_granting_alone_and_is_never_left_without_proof() {
    for (from, to) in TRANSITIONS {
        if to.may_hold_access() && !from.may_hold_access() {
            assert_eq!(*to, Granting);
        }
        if from.may_hold_access() && !to.may_hold_access() {
            assert!(
                matches!((from, to), (Granting, Failed) | (Revoking, Revoked)),
                "{from:?} → {to:?}"
            );
        }
        assert_eq!(*to == Failed, (*from, *to) == (Granting, Failed), "only Granting fails");
    }
    assert_eq!(reachable(Revoking), BTreeSet::from([Revoking, Revoked]));
    for state in [Rejected, Cancelled] {
        let before: Vec<_> = TRANSITIONS.iter().filter(|(_, to)| *to == state).collect();
        assert!(
            before.iter().all(|(from, _)| from.is_open()),
            "{state:?} means access never began"
        );
    }
}

#[test]
fn the_wire_knows_nine_words_in_any_case() {
    let words: BTreeSet<&str> =
        RequestState::ALL.into_iter().map(RequestState::wire_word).collect();
    assert_eq!(words.len(), 9);
    assert_eq!(RequestState::from_wire_word("REVOKED").unwrap(), [Revoked, Cancelled]);
    assert_eq!(RequestState::from_wire_word("pendingmfa").unwrap(), [PendingMfa]);
    for unknown in ["Cancelled", "", "Pending "] {
        assert!(RequestState::from_wire_word(unknown).is_err(), "{unknown}");
    }
    for state in RequestState::ALL {
        assert_eq!(RequestState::parse(state.as_str()), Some(state));
    }
}

/// A request with two units and what may happen to it, in the terms of the handbook. One step
/// is one transaction.
type World = (RequestState, [UnitState; 2]);

fn steps((state, units): World) -> Vec<World> {
    use UnitState::{Ended, Ending, Held, Idle, NotProven, Wanted};
    let mut next: Vec<World> = Vec::new();
    let claims = || units.iter().any(|unit| unit.is_claim());
    match state {
        Initializing => {
            next.extend([(PendingMfa, units), (Pending, units), (Cancelled, units)]);
            next.push((Granting, [Wanted; 2]));
        }
        PendingMfa => {
            next.extend([(Pending, units), (Rejected, units), (Cancelled, units)]);
            next.push((Granting, [Wanted; 2]));
        }
        Pending => {
            next.extend([(Rejected, units), (Cancelled, units)]);
            next.push((Granting, [Wanted; 2]));
        }
        // Ended by somebody, by time, or with the person, flow or connector.
        Granting | Active if claims() => {
            let ending = units.map(|unit| if unit.is_desired() { Ending } else { unit });
            next.push((Revoking, ending));
        }
        _ => {}
    }
    for (place, unit) in units.into_iter().enumerate() {
        let outcomes: &[UnitState] = match unit {
            // A target's refusal ends the unit, and so does the deadline of granting.
            Wanted => &[Held, Ending],
            Held | Idle | Ended | NotProven | UnitState::Failed => &[],
            // The read-back; or the target is gone for good.
            Ending => &[Ended, UnitState::Failed, NotProven],
        };
        for outcome in outcomes {
            // What was never held fails; a revoke ends it.
            let fits = match outcome {
                UnitState::Failed => state == Granting,
                Ended => state != Granting,
                _ => true,
            };
            if fits {
                let mut units = units;
                units[place] = *outcome;
                next.push((resolve(state, units), units));
            }
        }
    }
    next
}

/// What a request becomes when its units stand so: the last act of each step.
fn resolve(state: RequestState, units: [UnitState; 2]) -> RequestState {
    let open = units.iter().any(|unit| matches!(unit, UnitState::Wanted | UnitState::Ending));
    let held = units.contains(&UnitState::Held);
    match state {
        Granting if !open && held => Active,
        Granting if !open => Failed,
        Revoking if !open && !held => Revoked,
        other => other,
    }
}

#[test]
fn f01_in_every_reachable_world_access_has_a_record_and_every_record_has_an_end() {
    let start: World = (Initializing, [UnitState::Idle; 2]);
    let mut edges: BTreeMap<World, Vec<World>> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    let mut used: BTreeSet<(RequestState, RequestState)> = BTreeSet::new();
    while let Some(world) = open.pop_front() {
        if edges.contains_key(&world) {
            continue;
        }
        let next = steps(world);
        for after in &next {
            if world.0 != after.0 {
                assert!(world.0.may_become(after.0), "{world:?} → {after:?} has no arrow");
                used.insert((world.0, after.0));
            }
        }
        open.extend(next.iter().copied());
        edges.insert(world, next);
    }
    for (world, next) in &edges {
        let (state, units) = world;
        let claims = units.iter().any(|unit| unit.is_claim());
        assert!(!claims || state.may_hold_access(), "{world:?}: access without a record");
        if state.is_final() {
            assert!(next.is_empty() && !claims, "{world:?}: over, and something may be left");
        } else {
            assert!(!next.is_empty(), "{world:?}: a record without an end");
        }
        if matches!(state, Rejected | Cancelled) {
            assert_eq!(*units, [UnitState::Idle; 2], "{world:?}: never decided, yet touched");
        }
    }
    // Every arrow of the table is walked, so the table has none to spare.
    assert_eq!(used.len(), TRANSITIONS.len());
}

#[test]
fn v3_knows_seven_words() {
    let words: BTreeSet<&str> = RequestState::ALL.map(RequestState::legacy_word).into();
    let known = ["APPROVED", "EXPIRED", "FAILED", "GRANTED", "PENDING", "REJECTED", "REVOKING"];
    assert_eq!(words, known.into());
    assert_eq!(Cancelled.legacy_word(), Revoked.legacy_word());
    assert_eq!(PendingMfa.legacy_word(), Initializing.legacy_word());
}
