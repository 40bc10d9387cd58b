//! When a flow's window is open.
//!
//! Invariant: whether the window is open depends on nothing but what a clock on the wall of its
//! zone shows at that instant. So a window that the clock jumps into (an hour skipped in spring)
//! opens at the jump, one that the clock jumps out of closes at it, and hours that come twice in
//! autumn are open twice.
//!
//! Zones come from the data compiled into the program, so that two servers never disagree.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::flow::{DayOfWeek, Timeframe};

/// How far ahead an opening is looked for. A weekly window can fall into a skipped hour once,
/// hardly twice.
const HORIZON_DAYS: i64 = 22;

/// A timeframe, understood.
#[derive(Debug, Clone)]
pub struct Window {
    start: Time,
    end: Time,
    days: Vec<Weekday>,
    zone: TimeZone,
}

/// What is wrong with a timeframe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeframeError {
    /// Not a time of day.
    #[error("{0:?} is no time of day; write HH:MM or HH:MM:SS, from 00:00 to 23:59:59")]
    Time(String),
    /// Start and end are the same instant of the day.
    #[error("start and end are equal; for the whole day leave the timeframe out")]
    Empty,
    /// No days.
    #[error("give at least one day of the week")]
    NoDays,
    /// Not a zone.
    #[error("{0:?} is no time zone; use an IANA name such as Europe/Berlin or UTC")]
    Zone(String),
}

impl TimeframeError {
    /// The member of the timeframe that it is about.
    pub fn member(&self, timeframe: &Timeframe) -> &'static str {
        match self {
            Self::Time(text) if *text == timeframe.start_time => "start_time",
            Self::Time(_) | Self::Empty => "end_time",
            Self::NoDays => "days_of_week",
            Self::Zone(_) => "time_zone",
        }
    }
}

impl Window {
    /// Understands a timeframe.
    pub fn parse(timeframe: &Timeframe) -> Result<Self, TimeframeError> {
        let start = time_of_day(&timeframe.start_time)?;
        let end = time_of_day(&timeframe.end_time)?;
        if start == end {
            return Err(TimeframeError::Empty);
        }
        if timeframe.days_of_week.is_empty() {
            return Err(TimeframeError::NoDays);
        }
        let zone = TimeZoneDatabase::bundled()
            .get(&timeframe.time_zone)
            .map_err(|_| TimeframeError::Zone(timeframe.time_zone.clone()))?;
        let days = timeframe.days_of_week.iter().map(|day| weekday(*day)).collect();
        Ok(Self { start, end, days, zone })
    }

    /// Whether the window is open at `at`.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let (today, now) = (local.date(), local.time());
        let overnight = self.start > self.end;
        let from_today =
            self.is_day(Some(today)) && now >= self.start && (overnight || now < self.end);
        let from_yesterday = overnight && now < self.end && self.is_day(today.yesterday().ok());
        from_today || from_yesterday
    }

    /// The first instant after `at` at which the window is closed, if it is open at `at`.
    pub fn closes(&self, at: Timestamp) -> Option<Timestamp> {
        if !self.is_open(at) {
            return None;
        }
        let closing = self.changes_after(at).find(|change| !self.is_open(*change));
        // Equal times are refused, so every window closes within the day that follows.
        Some(closing.unwrap_or(at))
    }

    /// The first instant from `at` on at which the window is open; `None` if there is none in
    /// the next three weeks.
    pub fn opens(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(at) {
            return Some(at);
        }
        self.changes_after(at).find(|change| self.is_open(*change))
    }

    /// Every instant after `at`, in order, at which the answer of [`Self::is_open`] can change:
    /// where the wall clock shows a start, an end or midnight, and where it jumps.
    fn changes_after(&self, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let today = self.zone.to_datetime(at).date();
        let dates = (-1..HORIZON_DAYS).map_while(move |n| today.checked_add(n.days()).ok());
        let limit = at.checked_add(SignedDuration::from_hours(24 * HORIZON_DAYS)).ok();
        let jumps = self
            .zone
            .following(at)
            .map(|jump| jump.timestamp())
            .take_while(|jump| limit.is_some_and(|limit| *jump < limit));
        let mut changes: Vec<Timestamp> =
            dates.flat_map(|date| self.changes_on(date)).chain(jumps).collect();
        changes.retain(|change| *change > at);
        changes.sort_unstable();
        changes.dedup();
        changes.into_iter()
    }

    /// The instants at which the wall clock shows a boundary on `date`: two where that hour
    /// comes twice, and around a skipped one instants that do no harm.
    fn changes_on(&self, date: Date) -> Vec<Timestamp> {
        [Time::midnight(), self.start, self.end]
            .into_iter()
            .flat_map(|time| {
                let local = self.zone.to_ambiguous_timestamp(date.to_datetime(time));
                [local.earlier().ok(), local.later().ok()]
            })
            .flatten()
            .collect()
    }

    fn is_day(&self, date: Option<Date>) -> bool {
        date.is_some_and(|date| self.days.contains(&date.weekday()))
    }
}

/// The second of the day that a time of a timeframe stands for; `None` if it is no time.
pub fn seconds_of_day(text: &str) -> Option<u32> {
    let time = time_of_day(text).ok()?;
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()].map(i32::from);
    u32::try_from(hour * 3600 + minute * 60 + second).ok()
}

/// `HH:MM` or `HH:MM:SS`, nothing else.
fn time_of_day(text: &str) -> Result<Time, TimeframeError> {
    let wrong = || TimeframeError::Time(text.to_owned());
    let mut numbers = [0_i8; 3];
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return Err(wrong());
    }
    for (number, part) in numbers.iter_mut().zip(&parts) {
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        *number = part.parse().map_err(|_| wrong())?;
    }
    let [hour, minute, second] = numbers;
    Time::new(hour, minute, second, 0).map_err(|_| wrong())
}

fn weekday(day: DayOfWeek) -> Weekday {
    match day {
        DayOfWeek::Monday => Weekday::Monday,
        DayOfWeek::Tuesday => Weekday::Tuesday,
        DayOfWeek::Wednesday => Weekday::Wednesday,
        DayOfWeek::Thursday => Weekday::Thursday,
        DayOfWeek::Friday => Weekday::Friday,
        DayOfWeek::Saturday => Weekday::Saturday,
        DayOfWeek::Sunday => Weekday::Sunday,
    }
}
