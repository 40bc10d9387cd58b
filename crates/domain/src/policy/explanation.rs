//! Why a flow governs, or does not: what dry-run and `explain` show.

use std::fmt;

use jiff::Timestamp;

use crate::{ids::FlowId, policy::floors::Floor};

/// How one entitlement came to its governing flow, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The governing flow.
    pub chosen: Option<ChosenFlow>,
    /// Every other flow, in the order in which flows were given, with the first thing that
    /// stood in its way.
    pub passed_over: Vec<PassedOver>,
    /// The names of the floors that bind whichever flow governs.
    pub floors: Vec<String>,
}

/// The flow that governs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFlow {
    /// Its id.
    pub flow_id: FlowId,
    /// Its name.
    pub flow_name: String,
    /// Whether somebody has to agree.
    pub needs_approval: bool,
    /// The longest grant, in seconds; `None` means until revoked.
    pub longest_sec: Option<i64>,
}

/// A flow that does not govern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its id.
    pub flow_id: FlowId,
    /// Its name.
    pub flow_name: String,
    /// The first thing that stood in its way.
    pub reason: Reason,
    /// Whether the requestor meets its requestor conditions, and so may know of it.
    pub known_to_requestor: bool,
}

/// Why a flow does not govern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Switched off.
    Inactive,
    /// The requestor or the grantee is disabled.
    PersonDisabled,
    /// The requestor does not meet its conditions.
    Requestor,
    /// It does not let the requestor ask for this grantee.
    Grantee,
    /// It is for emergencies, and none was named.
    BreakGlassNotAsked,
    /// The request goes through a bundle that it does not target.
    NotThisBundle,
    /// It does not give this permission on this resource.
    Target,
    /// It gives access automatically, not on request.
    NotSelfServe,
    /// A floor wants what it does not ask for.
    BelowFloor(Floor),
    /// Its timeframe is closed.
    Closed {
        /// When it opens.
        next_opening: Option<Timestamp>,
    },
    /// It allows only a shorter grant.
    TooLong {
        /// The longest it allows, in seconds.
        longest_sec: i64,
    },
    /// Both at once.
    ClosedAndTooLong {
        /// When it opens.
        next_opening: Option<Timestamp>,
        /// The longest it allows, in seconds.
        longest_sec: i64,
    },
    /// It would do; the chosen one comes first.
    Outranked(Advantage),
}

/// What puts the chosen flow before another that would do as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advantage {
    /// Nobody has to agree.
    NoApproval,
    /// Somebody has to agree.
    Approval,
    /// No second factor.
    NoSecondFactor,
    /// A second factor.
    SecondFactor,
    /// A longer grant.
    LongerGrant,
    /// A shorter grant.
    ShorterGrant,
    /// It was made earlier.
    Older,
}

impl Explanation {
    /// What the requestor may see: nothing of flows that are not for them.
    #[must_use]
    pub fn for_requestor(mut self) -> Self {
        self.passed_over.retain(|flow| flow.known_to_requestor);
        self
    }
}

impl Reason {
    /// A word for programs; it never changes its meaning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Inactive => "Inactive",
            Self::PersonDisabled => "PersonDisabled",
            Self::Requestor => "Requestor",
            Self::Grantee => "Grantee",
            Self::BreakGlassNotAsked => "BreakGlassNotAsked",
            Self::NotThisBundle => "NotThisBundle",
            Self::Target => "Target",
            Self::NotSelfServe => "NotSelfServe",
            Self::BelowFloor(_) => "BelowFloor",
            Self::Closed { .. } => "Closed",
            Self::TooLong { .. } => "TooLong",
            Self::ClosedAndTooLong { .. } => "ClosedAndTooLong",
            Self::Outranked(_) => "Outranked",
        }
    }

    /// When the flow's timeframe opens, if it is closed and opens in the next weeks.
    pub fn next_opening(&self) -> Option<Timestamp> {
        match self {
            Self::Closed { next_opening } | Self::ClosedAndTooLong { next_opening, .. } => {
                *next_opening
            }
            _ => None,
        }
    }

    /// The longest grant that the flow allows, in seconds, if it is too short.
    pub fn longest_sec(&self) -> Option<i64> {
        match self {
            Self::TooLong { longest_sec } | Self::ClosedAndTooLong { longest_sec, .. } => {
                Some(*longest_sec)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("the flow is inactive"),
            Self::PersonDisabled => f.write_str("the requestor or the grantee is disabled"),
            Self::Requestor => f.write_str("the requestor does not meet its conditions"),
            Self::Grantee => f.write_str("it does not let the requestor ask for this grantee"),
            Self::BreakGlassNotAsked => {
                f.write_str("it is for emergencies only; ask for break-glass if this is one")
            }
            Self::NotThisBundle => f.write_str("it does not target the bundle asked for"),
            Self::Target => f.write_str("it does not give this permission on this resource"),
            Self::NotSelfServe => f.write_str("it gives access automatically, not on request"),
            Self::BelowFloor(floor) => write!(
                f,
                "the floor {} wants an approval, and it asks nobody",
                floor.quoted_names()
            ),
            Self::Closed { next_opening } => write!(f, "{}", Opening(*next_opening)),
            Self::TooLong { longest_sec } => {
                write!(f, "it allows at most {longest_sec} seconds")
            }
            Self::ClosedAndTooLong { next_opening, longest_sec } => {
                write!(f, "{}, and it allows at most {longest_sec} seconds", Opening(*next_opening))
            }
            Self::Outranked(advantage) => {
                write!(f, "another flow comes first: {}", advantage.as_str())
            }
        }
    }
}

impl Advantage {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoApproval => "it needs no approval",
            Self::Approval => "it needs an approval",
            Self::NoSecondFactor => "it needs no second factor",
            Self::SecondFactor => "it needs a second factor",
            Self::LongerGrant => "it allows a longer grant",
            Self::ShorterGrant => "it allows a shorter grant",
            Self::Older => "it is older",
        }
    }
}

/// A closed timeframe in words.
struct Opening(Option<Timestamp>);

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(next) => write!(f, "its timeframe is closed until {next}"),
            None => f.write_str("its timeframe is closed and does not open in the next weeks"),
        }
    }
}
