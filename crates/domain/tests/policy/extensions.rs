//! Prolonging a running grant: when, how often, and how far.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    flow::{FlowPolicy, Timeframe},
    policy::{
        deciding::{Facts, NoLongerAllowed},
        extensions::{Availability, NotExtended, later_end, options},
        owners::Owners,
        timeframe::Window,
    },
    request::{AccessRequest, RequestState},
};
use proptest::prelude::*;

use crate::{
    builders::{
        Held, Person, any_of, at, entitlement, flow, noon, person, policy, read_tables, request,
        user_is,
    },
    timeframe::office_hours,
};

/// Alice holds something until one o'clock, and may extend it twice by half an hour.
struct Case {
    request: AccessRequest,
    current: FlowPolicy,
    is_active: bool,
    grantee: Person,
    now: Timestamp,
}

impl Case {
    fn new() -> Self {
        let mut current = policy();
        current.settings.max_extensions = 2;
        current.settings.extension_duration_in_min = 30;
        let mut request =
            request(&flow("reads", current.clone()), &person("alice"), &person("alice"));
        request.state = RequestState::Active;
        request.ends_at = Some(at("2026-05-13T13:00:00Z"));
        Self { request, current, is_active: true, grantee: person("alice"), now: noon() }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Result<Timestamp, NotExtended> {
        let mut case = Self::new();
        change(&mut case);
        case.later_end()
    }

    /// Both the policy that was frozen and the flow as it is now.
    fn say(&mut self, change: impl Fn(&mut FlowPolicy)) {
        change(&mut self.request.flow_policy);
        change(&mut self.current);
    }

    fn later_end(&self) -> Result<Timestamp, NotExtended> {
        let mut current = flow("reads", self.current.clone());
        current.active = self.is_active;
        let alice = person("alice");
        let facts = Facts {
            frozen: &self.request.flow_policy,
            current: Some(&current),
            requestor: alice.facts(),
            asker: alice.facts(),
            grantee: self.grantee.facts(),
            bundle: None,
            contents: &Held::bundle("b", vec![read_tables()]),
            entitlements: &[entitlement("orders", "READ_ONLY")],
            owners: Owners::NONE,
            tiers_told: 0,
            answers: &[],
            unit_count: 1,
            has_second_factor: true,
            duration_sec: self.request.duration_sec,
            digest: "",
            now: self.now,
        };
        later_end(&self.request, &facts)
    }
}

#[test]
fn an_extension_moves_the_end_by_the_flows_step() {
    assert_eq!(Case::with(|_| {}), Ok(at("2026-05-13T13:30:00Z")));
    let again = Case::with(|case| {
        case.request.extension_count = 1;
        case.request.ends_at = Some(at("2026-05-13T13:30:00Z"));
    });
    assert_eq!(again, Ok(at("2026-05-13T14:00:00Z")));
}

#[test]
fn a10_no_extension_over_the_cap_and_of_two_caps_the_tighter_one_holds() {
    let twice = Case::with(|case| case.request.extension_count = 2);
    assert_eq!(twice, Err(NotExtended::Exhausted { most: 2 }));
    let tightened = Case::with(|case| {
        case.request.extension_count = 1;
        case.current.settings.max_extensions = 1;
    });
    assert_eq!(tightened, Err(NotExtended::Exhausted { most: 1 }));
    let was_tight = Case::with(|case| case.request.flow_policy.settings.max_extensions = 0);
    assert_eq!(was_tight, Err(NotExtended::NoneAllowed), "approvers agreed to no extension");
    let shorter = Case::with(|case| case.current.settings.extension_duration_in_min = 5);
    assert_eq!(shorter, Ok(at("2026-05-13T13:05:00Z")));
    let by_nothing = Case::with(|case| case.say(|p| p.settings.extension_duration_in_min = 0));
    assert_eq!(by_nothing, Err(NotExtended::NoneAllowed));
}

#[test]
fn a10_the_last_millisecond_is_in_time_and_the_end_itself_is_not() {
    let end = at("2026-05-13T13:00:00Z");
    let just = Case::with(|case| case.now = end - SignedDuration::from_millis(1));
    assert_eq!(just, Ok(at("2026-05-13T13:30:00Z")));
    assert_eq!(Case::with(|case| case.now = end), Err(NotExtended::Over));
}

#[test]
fn b01_what_has_no_end_gets_none_and_one_extension_is_under_way_at_a_time() {
    assert_eq!(Case::with(|case| case.request.ends_at = None), Err(NotExtended::NoEnd));
    let later = at("2026-05-13T13:30:00Z");
    let twice = Case::with(|case| case.request.extending_to = Some(later));
    assert_eq!(twice, Err(NotExtended::UnderWay));
    for state in RequestState::ALL.into_iter().filter(|state| *state != RequestState::Active) {
        let refused = Case::with(|case| case.request.state = state);
        assert_eq!(refused, Err(NotExtended::NotActive), "{state:?}");
    }
}

#[test]
fn the_timeframe_caps_an_extension() {
    // Office hours end at 15:00 UTC.
    let late = |end: &str| {
        Case::with(|case| {
            case.say(|policy| policy.timeframe = Some(office_hours()));
            case.request.ends_at = Some(at(end));
            case.now = at("2026-05-13T14:00:00Z");
        })
    };
    let closes =
        Window::parse(&office_hours()).unwrap().closes(at("2026-05-13T14:00:00Z")).unwrap();
    assert_eq!(late("2026-05-13T14:50:00Z"), Ok(closes));
    assert_eq!(late(&closes.to_string()), Err(NotExtended::Timeframe));
}

#[test]
fn a06_what_would_not_be_granted_now_is_not_extended() {
    let refused = |change: fn(&mut Case)| Case::with(change).unwrap_err();
    assert_eq!(refused(|case| case.is_active = false), NoLongerAllowed::FlowInactive.into());
    assert_eq!(
        refused(|case| case.grantee = person("alice").disabled()),
        NoLongerAllowed::GranteeDisabled.into()
    );
    assert_eq!(
        refused(|case| case.current.requestors = any_of(vec![user_is("bob")])),
        NoLongerAllowed::Requestor.into()
    );
}

#[test]
fn what_can_be_said_beforehand_agrees() {
    let say = |change: fn(&mut AccessRequest)| {
        let mut case = Case::new();
        change(&mut case.request);
        let said = options(&case.request, case.now);
        (said.availability, said.step_sec, said.remaining)
    };
    assert_eq!(say(|_| {}), (Availability::Available, 1800, 2));
    let under_way = say(|request| request.extending_to = request.ends_at);
    assert_eq!(under_way, (Availability::Extending, 1800, 2));
    assert_eq!(say(|request| request.extension_count = 2), (Availability::Exhausted, 1800, 0));
    for not_available in [
        say(|request| request.state = RequestState::Pending),
        say(|request| request.ends_at = None),
        say(|request| request.ends_at = Some(noon())),
        say(|request| request.flow_policy.settings.max_extensions = 0),
    ] {
        assert_eq!(not_available.0, Availability::NotAvailable);
    }
}

fn some_timeframe() -> impl Strategy<Value = Option<Timeframe>> {
    prop::option::of(Just(office_hours()))
}

proptest! {
    #[test]
    fn b01_an_end_moves_only_forward_in_time_by_one_step_and_inside_the_window(
        left_ms in -5_000_i64..10_800_000,
        hour in 0_i64..24,
        count in 0_u32..4,
        most in (0_u32..4, 0_u32..4),
        step in (0_u32..240, 0_u32..240),
        timeframes in (some_timeframe(), some_timeframe()),
    ) {
        let mut case = Case::new();
        case.now = at("2026-05-13T00:00:00Z") + SignedDuration::from_hours(hour);
        let end = case.now + SignedDuration::from_millis(left_ms);
        case.request.ends_at = Some(end);
        case.request.extension_count = count;
        let limits = |policy: &mut FlowPolicy, most, step, timeframe| {
            policy.settings.max_extensions = most;
            policy.settings.extension_duration_in_min = step;
            policy.timeframe = timeframe;
        };
        limits(&mut case.request.flow_policy, most.0, step.0, timeframes.0.clone());
        limits(&mut case.current, most.1, step.1, timeframes.1.clone());
        match case.later_end() {
            Err(_) => {}
            Ok(later) => {
                let step = step.0.min(step.1);
                prop_assert!(case.now < end && end < later);
                prop_assert!(later <= end + SignedDuration::from_mins(i64::from(step)));
                prop_assert!(count < most.0.min(most.1));
                for timeframe in [timeframes.0, timeframes.1].into_iter().flatten() {
                    let window = Window::parse(&timeframe).unwrap();
                    prop_assert!(later <= window.closes(case.now).unwrap());
                }
            }
        }
    }
}
