//! Overlapping grants, in every order of ending.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::SessionId,
    policy::claims::{Desired, Triple, Until, crossings, desired, native_end},
    request::{RequestUnit, UnitState},
};
use proptest::prelude::*;

use crate::builders::{entitlement, noon, unit};

fn after(seconds: i64) -> Timestamp {
    noon().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn claim(name: &str, table: &str, ends: Option<i64>) -> RequestUnit {
    unit(name, &entitlement(table, "READ_ONLY"), ends.map(after))
}

/// A target that does only what crossings say.
#[derive(Default)]
struct Target {
    holds: BTreeSet<Triple>,
    known: Desired,
}

impl Target {
    fn bring_to(&mut self, wanted: Desired) {
        let change = crossings(&self.known, &wanted);
        for triple in change.appear {
            assert!(self.holds.insert(triple), "given twice");
        }
        for triple in change.vanish {
            assert!(self.holds.remove(&triple), "removed what was not there");
        }
        self.known = wanted;
    }

    fn holds(&self, table: &str) -> bool {
        let id = entitlement(table, "READ_ONLY").resource.id;
        self.holds.iter().any(|triple| triple.resource == id)
    }
}

fn orders_of(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let shorter = orders_of(n - 1);
    (0..n)
        .flat_map(|at| {
            shorter.iter().map(move |order| {
                let mut longer = order.clone();
                longer.insert(at.min(longer.len()), n - 1);
                longer
            })
        })
        .collect()
}

#[test]
fn a09_in_every_order_of_ending_the_right_goes_with_the_last_claim() {
    for n in 1..=5 {
        for order in orders_of(n) {
            let mut units: Vec<RequestUnit> =
                (0..n).map(|k| claim(&format!("u{k}"), "orders", None)).collect();
            let mut target = Target::default();
            target.bring_to(desired(&units, noon()));
            for (step, who) in order.iter().enumerate() {
                assert!(target.holds("orders"), "lost early: {order:?} before step {step}");
                units[*who].state = UnitState::Ending;
                target.bring_to(desired(&units, noon()));
                units[*who].state = UnitState::Ended;
                target.bring_to(desired(&units, noon()));
            }
            assert!(target.holds.is_empty(), "left behind: {order:?}");
        }
    }
}

#[test]
fn a09_a_claim_that_starts_in_the_second_in_which_another_ends_keeps_the_right() {
    let mut units = vec![claim("first", "orders", Some(60))];
    let mut target = Target::default();
    target.bring_to(desired(&units, noon()));
    units.push(claim("second", "orders", Some(120)));
    target.bring_to(desired(&units, after(60)));
    assert!(target.holds("orders"));
    assert_eq!(target.known.values().map(|claimed| claimed.count).collect::<Vec<_>>(), [1]);
    target.bring_to(desired(&units, after(120)));
    assert!(!target.holds("orders"));
}

#[test]
fn a_claim_ends_at_its_end_and_not_after_it() {
    let units = [claim("one", "orders", Some(60))];
    let just_before = after(60).checked_sub(SignedDuration::from_nanos(1)).unwrap();
    assert_eq!(desired(&units, just_before).len(), 1);
    assert!(desired(&units, after(60)).is_empty());
}

#[test]
fn only_wanted_and_held_units_of_a_session_are_desired() {
    for state in UnitState::ALL {
        let mut one = claim("one", "orders", None);
        one.state = state;
        let wanted = matches!(state, UnitState::Wanted | UnitState::Held);
        assert_eq!(desired([&one], noon()).len(), usize::from(wanted), "{state:?}");
        one.session_id = None;
        assert!(desired([&one], noon()).is_empty(), "{state:?}");
    }
}

#[test]
fn the_native_end_is_the_latest_and_no_end_is_later_than_all() {
    let session = SessionId::new("session");
    let mut units = vec![claim("one", "orders", Some(60)), claim("two", "carts", Some(600))];
    assert_eq!(native_end(&desired(&units, noon()), &session), Some(Until::At(after(600))));
    assert_eq!(native_end(&desired(&units, noon()), &SessionId::new("other")), None);
    units.push(claim("three", "orders", None));
    assert_eq!(native_end(&desired(&units, noon()), &session), Some(Until::Never));
    assert_eq!(Option::<Timestamp>::from(Until::Never), None);
}

#[derive(Debug, Clone)]
enum Event {
    /// A unit on this table, for so many seconds.
    Grant(usize, Option<i64>),
    /// The unit with this place (modulo how many there are) is revoked.
    Revoke(usize),
    /// Time passes.
    Wait(i64),
}

fn some_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..3, prop::option::of(0_i64..5))
            .prop_map(|(table, ends)| Event::Grant(table, ends)),
        (0_usize..10).prop_map(Event::Revoke),
        (0_i64..3).prop_map(Event::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a09_after_any_course_the_target_holds_exactly_what_some_claim_still_gives(
        events in prop::collection::vec(some_event(), 1..30),
    ) {
        let tables = ["orders", "carts", "people"];
        let mut units: Vec<RequestUnit> = Vec::new();
        let mut target = Target::default();
        let mut clock = 0;
        for event in events {
            match event {
                Event::Grant(table, ends) => {
                    let name = format!("u{}", units.len());
                    units.push(claim(&name, tables[table], ends.map(|length| clock + length)));
                },
                Event::Revoke(place) if !units.is_empty() => {
                    let place = place % units.len();
                    units[place].state = UnitState::Ending;
                },
                Event::Revoke(_) => {},
                Event::Wait(seconds) => clock += seconds,
            }
            target.bring_to(desired(&units, after(clock)));
            for table in tables {
                let given = units.iter().any(|unit| {
                    unit.resource_name == table
                        && unit.state == UnitState::Held
                        && unit.ends_at.is_none_or(|end| end > after(clock))
                });
                prop_assert_eq!(target.holds(table), given);
            }
        }
    }

    #[test]
    fn b07_a_clock_that_goes_back_revives_nothing_that_has_begun_to_end(
        jumps in prop::collection::vec(-500_i64..500, 1..30),
    ) {
        let mut units =
            vec![claim("one", "orders", Some(100)), claim("two", "carts", Some(200))];
        let mut clock = 0;
        let mut gone: BTreeSet<Triple> = BTreeSet::new();
        for jump in jumps {
            clock += jump;
            let now = after(clock);
            for unit in &mut units {
                // What the server does when it finds an end passed, in one transaction.
                if unit.state == UnitState::Held && unit.ends_at.is_some_and(|end| end <= now) {
                    gone.extend(desired([&*unit], noon()).into_keys());
                    unit.state = UnitState::Ending;
                }
            }
            let wanted = desired(&units, now);
            prop_assert!(gone.iter().all(|triple| !wanted.contains_key(triple)));
        }
    }
}
