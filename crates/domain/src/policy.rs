//! Deciding by access flows: which flow governs a request, who has to agree, and until when
//! access may exist. `docs/policy.md` tells the same in prose, with examples.
//!
//! Invariant of this module: it fails closed. A condition that cannot be evaluated matches
//! nobody, whichever way it is meant; no flow governs below a floor; an approval that does not fit
//! what is asked *now* does not count.

pub mod approvals;
pub mod automatic;
pub mod claims;
pub mod deciding;
pub mod digest;
pub mod ends;
pub mod escalation;
pub mod explanation;
pub mod extensions;
pub mod floors;
pub mod grantees;
pub mod matching;
pub mod owners;
pub mod programs;
pub mod second_factor;
pub mod selection;
pub mod targets;
pub mod texts;
pub mod timeframe;
pub mod validation;
