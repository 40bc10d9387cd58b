//! When access and waiting end.
//!
//! Invariant: an end is fixed once, lies after the instant at which it is fixed, never later than
//! what was asked, and never outside the flow's window. All arithmetic saturates or refuses, so
//! no number that anybody sends can wrap around into an endless grant.

use jiff::{SignedDuration, Timestamp};

use crate::{
    flow::{FlowPolicy, Timeframe},
    policy::timeframe::Window,
};

/// The longest duration that can be asked for, in seconds: what the wire format's 32-bit minutes
/// can say, some 4,000 years.
pub const LONGEST_DURATION_SEC: i64 = i32::MAX as i64 * 60;

/// A duration that nobody can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the duration must be a whole number of seconds from 1 to {LONGEST_DURATION_SEC}, not {0}")]
pub struct DurationOutOfRange(pub i64);

/// Why an end cannot be fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndError {
    /// The duration is out of range.
    #[error(transparent)]
    Duration(#[from] DurationOutOfRange),
    /// The flow's window is closed.
    #[error("access exists only inside the flow's timeframe, which is closed now")]
    OutsideTimeframe {
        /// When it opens next.
        next_opening: Option<Timestamp>,
    },
    /// The duration leads past the end of the calendar.
    #[error("the duration leads past the last day of the calendar; ask for less")]
    PastCalendar,
}

/// Checks a duration that somebody asked for.
pub fn check_duration(seconds: i64) -> Result<i64, DurationOutOfRange> {
    if (1..=LONGEST_DURATION_SEC).contains(&seconds) {
        return Ok(seconds);
    }
    Err(DurationOutOfRange(seconds))
}

/// The longest grant that the flow allows, in seconds; `None` means until revoked.
pub fn longest_grant(policy: &FlowPolicy) -> Option<i64> {
    let minutes = policy.grant_duration_in_min?;
    let seconds = policy.legacy.grant_duration_in_sec.map(i64::from);
    Some(seconds.unwrap_or_else(|| i64::from(minutes) * 60))
}

/// Whether what was asked is allowed where grants last so long at most. What is left out takes
/// the longest, so it is always covered; what nobody can ask for never is.
pub fn covers_duration(longest_sec: Option<i64>, asked: Option<i64>) -> bool {
    match (asked, longest_sec) {
        (Some(asked), _) if check_duration(asked).is_err() => false,
        (Some(asked), Some(longest)) => asked <= longest,
        _ => true,
    }
}

/// The length of the grant, in seconds: what was asked, or the flow's maximum.
pub fn granted_duration(policy: &FlowPolicy, asked: Option<i64>) -> Option<i64> {
    asked.or_else(|| longest_grant(policy))
}

/// The end of access that begins to be granted at `now`. To be called in the transaction that
/// enters Granting, and never again for that request. Without a duration and without a
/// timeframe there is no end.
pub fn fix_end(
    now: Timestamp,
    duration_sec: Option<i64>,
    timeframe: Option<&Timeframe>,
) -> Result<Option<Timestamp>, EndError> {
    let by_duration = match duration_sec {
        Some(seconds) => {
            let length = SignedDuration::from_secs(check_duration(seconds)?);
            Some(now.checked_add(length).map_err(|_| EndError::PastCalendar)?)
        }
        None => None,
    };
    let by_window = match timeframe {
        Some(timeframe) => Some(closing(now, timeframe)?),
        None => None,
    };
    Ok(by_duration.into_iter().chain(by_window).min())
}

/// When a request filed at `created_at` stops waiting for its decision.
pub fn decision_deadline(created_at: Timestamp, expiry_sec: i64) -> Timestamp {
    created_at.checked_add(SignedDuration::from_secs(expiry_sec.max(0))).unwrap_or(Timestamp::MAX)
}

/// An end on another clock: as far from `there` as it is from `here`. Targets judge ends by
/// their own clock, and clocks disagree.
pub fn end_on_clock_of(end: Timestamp, here: Timestamp, there: Timestamp) -> Timestamp {
    let left = end.duration_since(here);
    let limit = if left.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    there.checked_add(left).unwrap_or(limit)
}

/// When the open window closes. A timeframe that cannot be understood counts as closed.
pub(super) fn closing(now: Timestamp, timeframe: &Timeframe) -> Result<Timestamp, EndError> {
    let window =
        Window::parse(timeframe).map_err(|_| EndError::OutsideTimeframe { next_opening: None })?;
    window.closes(now).ok_or_else(|| EndError::OutsideTimeframe { next_opening: window.opens(now) })
}
