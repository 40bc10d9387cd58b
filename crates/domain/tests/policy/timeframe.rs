//! Windows in which access may exist, against an oracle that walks minute by minute.

use chrono::{Offset as _, TimeZone as _};
use jiff::{SignedDuration, Timestamp, tz::TimeZoneDatabase};
use latchkey_domain::{
    flow::{DayOfWeek, Timeframe},
    policy::timeframe::{TimeframeError, Window},
};
use proptest::prelude::*;

use crate::builders::at;

use DayOfWeek::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};

const WEEK: [DayOfWeek; 7] = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];

pub fn timeframe(start: &str, end: &str, days: &[DayOfWeek], zone: &str) -> Timeframe {
    Timeframe {
        start_time: start.to_owned(),
        end_time: end.to_owned(),
        days_of_week: days.to_vec(),
        time_zone: zone.to_owned(),
    }
}

/// Monday to Friday, nine to five in Berlin: 07:00 to 15:00 UTC in summer.
pub fn office_hours() -> Timeframe {
    timeframe("09:00", "17:00", &WEEK[..5], "Europe/Berlin")
}

fn window(start: &str, end: &str, days: &[DayOfWeek], zone: &str) -> Window {
    Window::parse(&timeframe(start, end, days, zone)).unwrap()
}

#[test]
fn the_first_instant_is_inside_and_the_last_is_not() {
    let office = Window::parse(&office_hours()).unwrap();
    assert!(!office.is_open(at("2026-05-13T06:59:59.999999999Z")));
    assert!(office.is_open(at("2026-05-13T07:00:00Z")));
    assert!(office.is_open(at("2026-05-13T14:59:59.999999999Z")));
    assert!(!office.is_open(at("2026-05-13T15:00:00Z")));
    assert_eq!(office.closes(at("2026-05-13T14:00:00Z")), Some(at("2026-05-13T15:00:00Z")));
    assert_eq!(office.closes(at("2026-05-13T15:00:00Z")), None);
    assert_eq!(office.opens(at("2026-05-15T15:00:00Z")), Some(at("2026-05-18T07:00:00Z")));
    assert_eq!(office.opens(at("2026-05-13T08:00:00Z")), Some(at("2026-05-13T08:00:00Z")));
}

#[test]
fn past_midnight_the_day_is_that_of_the_start() {
    let night = window("22:00", "06:00", &[Friday], "UTC");
    assert!(
        !night.is_open(at("2026-05-15T05:00:00Z")),
        "Friday's small hours are Thursday's night"
    );
    assert!(night.is_open(at("2026-05-15T22:00:00Z")));
    assert!(night.is_open(at("2026-05-16T05:59:59Z")));
    assert!(!night.is_open(at("2026-05-16T22:00:00Z")));
    assert_eq!(night.closes(at("2026-05-15T23:00:00Z")), Some(at("2026-05-16T06:00:00Z")));
    let until_midnight = window("18:00", "00:00", &[Friday], "UTC");
    assert_eq!(until_midnight.closes(at("2026-05-15T20:00:00Z")), Some(at("2026-05-16T00:00:00Z")));
}

#[test]
fn a10_an_hour_skipped_in_spring_shortens_the_window_and_can_swallow_it() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00, which is 01:00 UTC.
    let jump = at("2026-03-29T01:00:00Z");
    let across = window("01:30", "04:00", &WEEK, "Europe/Berlin");
    assert_eq!(across.closes(at("2026-03-29T00:45:00Z")), Some(at("2026-03-29T02:00:00Z")));
    let into = window("02:30", "04:00", &WEEK, "Europe/Berlin");
    assert_eq!(into.opens(at("2026-03-29T00:00:00Z")), Some(jump));
    let out_of = window("01:00", "02:30", &WEEK, "Europe/Berlin");
    assert_eq!(out_of.closes(at("2026-03-29T00:30:00Z")), Some(jump));
    let swallowed = window("02:10", "02:50", &[Sunday], "Europe/Berlin");
    assert_eq!(
        swallowed.opens(at("2026-03-28T12:00:00Z")),
        Some(at("2026-04-05T00:10:00Z")),
        "the Sunday after"
    );
}

#[test]
fn a10_an_hour_that_comes_twice_in_autumn_is_open_twice() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00 again, at 01:00 UTC.
    let twice = window("02:10", "02:50", &[Sunday], "Europe/Berlin");
    assert_eq!(twice.opens(at("2026-10-25T00:00:00Z")), Some(at("2026-10-25T00:10:00Z")));
    assert_eq!(twice.closes(at("2026-10-25T00:10:00Z")), Some(at("2026-10-25T00:50:00Z")));
    assert_eq!(twice.opens(at("2026-10-25T00:50:00Z")), Some(at("2026-10-25T01:10:00Z")));
    assert_eq!(twice.closes(at("2026-10-25T01:20:00Z")), Some(at("2026-10-25T01:50:00Z")));
}

#[test]
fn what_cannot_be_understood_is_refused_with_its_member() {
    let fine = office_hours();
    let with = |change: &dyn Fn(&mut Timeframe)| {
        let mut changed = fine.clone();
        change(&mut changed);
        let error = Window::parse(&changed).unwrap_err();
        (error.member(&changed), error)
    };
    for time in ["", "9:00", "24:00", "12:60", "12:00:60", "12", "12:00:00:00", "+1:00", "１２:00"]
    {
        let (member, error) = with(&|frame| frame.start_time = time.to_owned());
        assert_eq!((member, error), ("start_time", TimeframeError::Time(time.to_owned())));
        let (member, _) = with(&|frame| frame.end_time = time.to_owned());
        assert_eq!(member, "end_time");
    }
    assert_eq!(
        with(&|frame| frame.end_time = "09:00:00".to_owned()),
        ("end_time", TimeframeError::Empty)
    );
    assert_eq!(with(&|frame| frame.days_of_week.clear()), ("days_of_week", TimeframeError::NoDays));
    for zone in ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\0"] {
        let (member, _) = with(&|frame| frame.time_zone = zone.to_owned());
        assert_eq!(member, "time_zone", "{zone:?}");
    }
}

// The oracle has its offsets from another library with a zone database of its own, and counts days
// itself; it knows no calendar.

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Santiago",
    "Africa/Cairo",
    "Pacific/Apia",
];

#[derive(Debug, Clone)]
struct Plain {
    start: i64,
    end: i64,
    days: Vec<usize>,
    zone: &'static str,
}

impl Plain {
    fn window(&self) -> Window {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let days: Vec<DayOfWeek> = self.days.iter().map(|day| WEEK[*day]).collect();
        window(&clock(self.start), &clock(self.end), &days, self.zone)
    }

    fn is_open(&self, zone: chrono_tz::Tz, at: Timestamp) -> bool {
        let utc = chrono::DateTime::from_timestamp(at.as_second(), 0).unwrap().naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
        let local = at.as_second() + i64::from(offset);
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        // 1970-01-01 was a Thursday, and Monday is 0 here.
        let is_day = |days: i64| {
            self.days.iter().any(|day| i64::try_from(*day) == Ok((days + 3).rem_euclid(7)))
        };
        let minute = second / 60;
        if self.start < self.end {
            is_day(days) && minute >= self.start && minute < self.end
        } else {
            (is_day(days) && minute >= self.start) || (is_day(days - 1) && minute < self.end)
        }
    }
}

prop_compose! {
    fn some_window()(
        start in prop::sample::select(vec![0, 30, 90, 120, 150, 180, 540, 1_320, 1_439]),
        end in prop::sample::select(vec![1, 60, 119, 121, 150, 210, 1_020, 1_410]),
        days in prop::sample::subsequence((0..7).collect::<Vec<usize>>(), 1..=7),
        zone in prop::sample::select(ZONES.to_vec()),
    ) -> Plain {
        let end = if start == end { end + 1 } else { end };
        Plain { start, end, days, zone }
    }
}

/// Days of a century of zone rules: from 1970 to the end of 2069.
const CENTURY: std::ops::Range<i64> = 0..36_524;

/// Instants near the change of the clocks that follows a day more often than not, on whole minutes.
fn some_instant(zone: &'static str, day: i64, near: bool, minutes: i64) -> Timestamp {
    let base = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_hours(24 * day)).unwrap();
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    let jump = zone.following(base).next().map(|jump| jump.timestamp());
    let from = jump.filter(|_| near).unwrap_or(base);
    from.checked_add(SignedDuration::from_mins(minutes)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn a10_the_window_is_that_of_the_clock_on_the_wall(
        plain in some_window(), day in CENTURY, near in prop::bool::weighted(0.7),
        minutes in -2_000_i64..2_000,
    ) {
        let zone: chrono_tz::Tz = plain.zone.parse().unwrap();
        let window = plain.window();
        let now = some_instant(plain.zone, day, near, minutes);
        let open = plain.is_open(zone, now);
        prop_assert_eq!(window.is_open(now), open);
        let walk = |wanted: bool| {
            (0..15 * 1_440).map(|step| now.checked_add(SignedDuration::from_mins(step)).unwrap())
                .find(|instant| plain.is_open(zone, *instant) == wanted)
        };
        prop_assert_eq!(window.opens(now), walk(true));
        prop_assert_eq!(window.closes(now), if open { walk(false) } else { None });
    }

    #[test]
    fn closing_and_opening_are_the_only_changes(
        plain in some_window(), day in CENTURY, minutes in -4_000_i64..4_000, seconds in 0_i64..60,
    ) {
        let window = plain.window();
        let now = some_instant(plain.zone, day, true, minutes);
        let now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        if let Some(closes) = window.closes(now) {
            prop_assert!(closes > now);
            prop_assert!(!window.is_open(closes));
            let just_before = closes.checked_sub(SignedDuration::from_nanos(1)).unwrap();
            prop_assert!(window.is_open(just_before));
        }
        if let Some(opens) = window.opens(now) {
            prop_assert!(opens >= now);
            prop_assert!(window.is_open(opens));
        }
    }
}
