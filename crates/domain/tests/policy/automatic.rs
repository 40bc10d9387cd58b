//! Access that follows conditions: what has to happen, and how much of it at once.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{PermissionId, RequestId, ResourceId},
    policy::automatic::{Allowed, Holding, Pace, Pair, steps, turn},
};
use proptest::prelude::*;

fn pair(number: u8) -> Pair {
    (ResourceId::new(format!("r{number}")), PermissionId::new("p"))
}

fn pairs() -> impl Strategy<Value = BTreeSet<Pair>> {
    prop::collection::btree_set((0..6_u8).prop_map(pair), 0..6)
}

fn held() -> impl Strategy<Value = Vec<Holding>> {
    let holdings = prop::collection::vec(pairs(), 0..4);
    holdings.prop_map(|holdings| {
        let numbered = holdings.into_iter().enumerate();
        numbered
            .map(|(number, entitlements)| Holding {
                request: RequestId::new(format!("q{number}")),
                entitlements,
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn after_its_steps_a_person_holds_exactly_what_is_wanted(held in held(), wanted in pairs()) {
        let steps = steps(&held, &wanted);
        let stay = held.iter().filter(|one| !steps.end.contains(&one.request));
        let mut holds: BTreeSet<Pair> =
            stay.flat_map(|one| one.entitlements.iter().cloned()).collect();
        holds.extend(steps.give.iter().cloned());
        prop_assert_eq!(&holds, &wanted);
        // Given first and ended afterwards, what is wanted and was held is never gone.
        let before: BTreeSet<Pair> =
            held.iter().flat_map(|one| one.entitlements.iter().cloned()).collect();
        let turn = turn(&held, &wanted);
        prop_assert_eq!(turn.gains, !wanted.is_subset(&before));
        prop_assert_eq!(turn.loses, !before.is_subset(&wanted));
        if before == wanted && held.iter().all(|one| one.entitlements.is_subset(&wanted)) {
            prop_assert!(steps.give.is_empty() && steps.end.is_empty());
        }
    }

    #[test]
    fn no_hour_changes_more_people_than_the_limit(
        limit in 0..10_u64,
        changes in prop::collection::vec((0..4_u64, 0..4_u64, 0..900_i64), 1..40),
    ) {
        let mut pace = Pace::default();
        let mut now = Timestamp::UNIX_EPOCH;
        let mut done: Vec<(Timestamp, u64, u64)> = Vec::new();
        for (gaining, losing, pause) in changes {
            now += SignedDuration::from_secs(pause);
            let (allowed, _) = pace.admit(now, gaining, losing, limit);
            prop_assert_eq!(pace.held_back.is_none(), allowed.gains && allowed.losses);
            let gained = if allowed.gains { gaining } else { 0 };
            let lost = if allowed.losses { losing } else { 0 };
            pace.count(gained, lost);
            done.push((now, gained, lost));
            let since = pace.since.unwrap();
            let hour = || done.iter().filter(|(at, ..)| *at >= since);
            prop_assert!(hour().map(|(_, gained, _)| gained).sum::<u64>() <= limit);
            prop_assert!(hour().map(|(.., lost)| lost).sum::<u64>() <= limit);
        }
    }
}

#[test]
fn what_is_held_back_is_told_once_and_goes_ahead_on_a_word_that_is_good_for_as_many() {
    let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
    let mut pace = Pace::default();
    assert!(!pace.confirm(at(0)), "nothing is held back");
    let nothing = Allowed { gains: false, losses: true };
    assert_eq!(pace.admit(at(0), 5, 1, 2), (nothing, true));
    assert_eq!(pace.admit(at(1), 5, 0, 2), (nothing, false), "no news");
    assert_eq!(pace.admit(at(2), 6, 0, 2), (nothing, true), "more of them");
    assert_eq!(pace.held_back.unwrap().since, at(0));
    assert!(pace.confirm(at(3)));
    assert_eq!(pace.admit(at(4), 7, 0, 2).0, nothing, "that was not what was confirmed");
    assert!(pace.confirm(at(5)));
    assert_eq!(pace.admit(at(15), 7, 0, 2).0, nothing, "the word is too old");
    assert!(pace.confirm(at(16)));
    let all = Allowed { gains: true, losses: true };
    assert_eq!(pace.admit(at(17), 7, 0, 2), (all, false));
    assert_eq!(pace.held_back, None);
}
