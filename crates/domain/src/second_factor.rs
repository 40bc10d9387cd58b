//! Second factors: what proves, beside a password, that it is the person.
//!
//! Invariant: a proof has an age. It counts from the moment it was given, and never from a moment
//! that has yet to come, whatever clocks do.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{RequestId, SecondFactorId, StepUpPageId, UserId, WebSessionId};

/// How many recovery codes a person has at first.
pub const RECOVERY_CODES: usize = 10;

/// A second factor of a person, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// Names it.
    pub id: SecondFactorId,
    /// Whose it is.
    pub user_id: UserId,
    /// When its secret was shown.
    pub created_at: Timestamp,
    /// When a first code proved that the person has it; `None` before, and it counts for nothing
    /// then.
    pub confirmed_at: Option<Timestamp>,
    /// The last time step whose code was used. No code of this step or of an earlier one counts.
    pub last_step: Option<i64>,
}

/// One showing of the page that asks for the second factor, and what it named. A success covers
/// these requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUpPage {
    /// Names the showing.
    pub id: StepUpPageId,
    /// The browser session that it was shown in, and counts for.
    pub web_session_id: WebSessionId,
    /// The requests that it named.
    pub request_ids: Vec<RequestId>,
    /// When.
    pub shown_at: Timestamp,
}

/// Whether a second factor that was given at `given` still covers what is done `now`, where it
/// does so for `age_sec` seconds.
pub fn is_fresh(given: Option<Timestamp>, age_sec: i64, now: Timestamp) -> bool {
    given.is_some_and(|given| {
        let age = now.duration_since(given);
        !age.is_negative() && age < SignedDuration::from_secs(age_sec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d08_a_proof_has_an_age_and_none_from_the_future_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_fresh(Some(at(1000)), 3600, at(1000)));
        assert!(is_fresh(Some(at(1000)), 3600, at(4599)));
        assert!(!is_fresh(Some(at(1000)), 3600, at(4600)));
        assert!(!is_fresh(Some(at(1001)), 3600, at(1000)), "the clock was set back");
        assert!(!is_fresh(Some(at(1000)), 0, at(1000)), "switched off");
        assert!(!is_fresh(None, 3600, at(1000)));
    }
}
