//! When access ends.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::policy::ends::{
    EndError, LONGEST_DURATION_SEC, check_duration, covers_duration, decision_deadline,
    end_on_clock_of, fix_end, granted_duration, longest_grant,
};
use proptest::prelude::*;

use crate::{
    builders::{at, noon, policy},
    timeframe::office_hours,
};

#[test]
fn a10_durations_are_whole_seconds_from_one_on() {
    for seconds in [0, -1, -3_600, i64::MIN, i64::MAX, 1_000_000_000_000_000_000] {
        assert_eq!(check_duration(seconds).unwrap_err().0, seconds);
        assert!(matches!(fix_end(noon(), Some(seconds), None), Err(EndError::Duration(_))));
        assert!(!covers_duration(longest_grant(&policy()), Some(seconds)));
    }
    assert_eq!(fix_end(noon(), Some(1), None), Ok(Some(at("2026-05-13T12:00:01Z"))));
    assert_eq!(check_duration(LONGEST_DURATION_SEC), Ok(LONGEST_DURATION_SEC));
    assert!(check_duration(LONGEST_DURATION_SEC + 1).is_err());
}

#[test]
fn a10_a_flow_covers_its_own_maximum_and_not_a_second_more() {
    assert!(covers_duration(longest_grant(&policy()), Some(3_600)));
    assert!(!covers_duration(longest_grant(&policy()), Some(3_601)));
    assert!(covers_duration(longest_grant(&policy()), None));
    assert_eq!(granted_duration(&policy(), None), Some(3_600));
    assert_eq!(granted_duration(&policy(), Some(90)), Some(90));
    let mut endless = policy();
    endless.grant_duration_in_min = None;
    assert_eq!(granted_duration(&endless, None), None);
    assert_eq!(fix_end(noon(), None, None), Ok(None));
    endless.grant_duration_in_min = Some(u32::MAX);
    assert_eq!(longest_grant(&endless), Some(i64::from(u32::MAX) * 60), "no wrap-around");
}

#[test]
fn a10_the_window_caps_the_end_across_a_change_of_clocks() {
    let hours = |hours: i64| Some(hours * 3_600);
    let capped = fix_end(at("2026-05-13T14:00:00Z"), hours(8), Some(&office_hours()));
    assert_eq!(capped, Ok(Some(at("2026-05-13T15:00:00Z"))));
    let winter = fix_end(at("2026-03-27T15:00:00Z"), hours(8), Some(&office_hours()));
    assert_eq!(winter, Ok(Some(at("2026-03-27T16:00:00Z"))), "an hour later by UTC in winter");
    let endless = fix_end(at("2026-05-13T14:00:00Z"), None, Some(&office_hours()));
    assert_eq!(endless, Ok(Some(at("2026-05-13T15:00:00Z"))), "a window is always an end");
    let closed = fix_end(at("2026-05-13T15:00:00Z"), hours(1), Some(&office_hours()));
    let next_opening = Some(at("2026-05-14T07:00:00Z"));
    assert_eq!(closed, Err(EndError::OutsideTimeframe { next_opening }));
}

#[test]
fn a_timeframe_that_cannot_be_understood_is_closed() {
    let mut broken = office_hours();
    broken.time_zone = "Atlantis".to_owned();
    let refused = fix_end(noon(), Some(60), Some(&broken));
    assert_eq!(refused, Err(EndError::OutsideTimeframe { next_opening: None }));
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_second()..=Timestamp::MAX.as_second())
        .prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #[test]
    fn a10_no_number_becomes_an_endless_or_a_longer_grant(
        now in any_instant(), seconds in prop::num::i64::ANY, timed in prop::bool::ANY,
    ) {
        let frame = office_hours();
        match fix_end(now, Some(seconds), timed.then_some(&frame)) {
            Err(_) => {},
            Ok(None) => prop_assert!(false, "a duration always gives an end"),
            Ok(Some(end)) => {
                prop_assert!(end > now);
                prop_assert!(end.duration_since(now) <= SignedDuration::from_secs(seconds));
            },
        }
    }

    #[test]
    fn a10_durations_within_bounds_are_kept_to_the_second(
        seconds in 1..=LONGEST_DURATION_SEC, nanos in 0..1_000_000_000_i64,
    ) {
        let now = noon().checked_add(SignedDuration::from_nanos(nanos)).unwrap();
        let end = fix_end(now, Some(seconds), None).unwrap().unwrap();
        prop_assert_eq!(end.duration_since(now), SignedDuration::from_secs(seconds));
    }

    #[test]
    fn b07_an_end_is_as_far_away_on_every_clock(
        end in any_instant(), here in any_instant(), there in any_instant(),
    ) {
        let moved = end_on_clock_of(end, here, there);
        let (left, moved_left) = (end.duration_since(here), moved.duration_since(there));
        if moved == Timestamp::MAX {
            prop_assert!(moved_left <= left);
        } else if moved == Timestamp::MIN {
            prop_assert!(moved_left >= left && left.is_negative());
        } else {
            prop_assert_eq!(left, moved_left);
        }
    }

    #[test]
    fn b07_a_clock_that_jumps_gives_each_grant_its_own_length_and_no_more(
        jumps in prop::collection::vec(-600_i64..600, 1..20),
    ) {
        let mut now = noon();
        for jump in jumps {
            now = now.checked_add(SignedDuration::from_mins(jump)).unwrap();
            let end = fix_end(now, Some(1_800), None).unwrap().unwrap();
            prop_assert_eq!(end.duration_since(now), SignedDuration::from_mins(30));
        }
    }

    #[test]
    fn waiting_for_a_decision_ends(created in any_instant(), expiry in prop::num::i64::ANY) {
        prop_assert!(decision_deadline(created, expiry) >= created);
    }
}

#[test]
fn a_longest_grant_may_be_no_whole_number_of_minutes() {
    let mut odd = policy();
    odd.grant_duration_in_min = Some(2);
    odd.legacy.grant_duration_in_sec = Some(90);
    assert_eq!(longest_grant(&odd), Some(90));
    assert!(!covers_duration(longest_grant(&odd), Some(91)));
    odd.grant_duration_in_min = None;
    assert_eq!(longest_grant(&odd), None, "no minutes is no end, whatever else is said");
}
