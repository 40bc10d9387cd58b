//! How entitlements come to the flows that govern them: the shapes that a dry-run and the
//! explanation of a stored request share.

use latchkey_app::requests::{LaterTier, OpenWindow};
use latchkey_domain::policy::{
    explanation::{Explanation, PassedOver as Passed},
    selection::Refusal as Refused,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    endpoints::references::UserRef,
    time::{Timestamp, seconds32},
};

/// Why no flow governs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunRefusal")]
pub struct Refusal {
    /// The code that filing would be refused with.
    pub code: &'static str,
    /// What stands in the way.
    pub message: String,
    /// With `DurationTooLong`: the longest allowed.
    pub longest_duration_in_sec: Option<i32>,
    /// With `OutsideTimeframe`: when it would be allowed.
    pub next_opening: Option<Timestamp>,
}

/// A flow that does not govern.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DryRunPassedOver")]
pub struct PassedOver {
    /// The flow's name.
    pub flow_name: String,
    /// The first thing that stood in its way, for programs: `Inactive`, `PersonDisabled`,
    /// `Requestor`, `Grantee`, `BreakGlassNotAsked`, `NotThisBundle`, `Target`,
    /// `NotSelfServe`, `BelowFloor`, `Closed`, `TooLong`, `ClosedAndTooLong` or `Outranked`.
    pub code: &'static str,
    /// The same in words.
    pub reason: String,
    /// When its timeframe opens, where that is closed.
    pub next_opening: Option<Timestamp>,
    /// The longest it allows, where that is too short.
    pub longest_duration_in_sec: Option<i32>,
}

/// A timeframe that is open.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenTimeframe {
    /// When it closes: access ends then at the latest.
    pub closes_at: Timestamp,
    /// When it opens again; null if it does not in the next weeks.
    pub next_opening: Option<Timestamp>,
}

/// Approvers who are asked later, if nobody decides.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LaterApprovers {
    /// When they are asked.
    pub asked_at: Timestamp,
    /// Those who were not asked before.
    pub approvers: Vec<UserRef>,
    /// Hosts of the programs that were not asked before.
    pub programs: Vec<String>,
}

impl From<Refused> for Refusal {
    fn from(refusal: Refused) -> Self {
        let message = refusal.to_string();
        let (code, longest, next_opening) = match refusal {
            Refused::DurationTooLong { longest_sec } => {
                ("DurationTooLong", Some(longest_sec), None)
            }
            Refused::OutsideTimeframe { next_opening } => ("OutsideTimeframe", None, next_opening),
            Refused::NoMatchingFlow | Refused::BelowFloor { .. } => ("NoMatchingFlow", None, None),
        };
        Self {
            code,
            message,
            longest_duration_in_sec: longest.map(seconds32),
            next_opening: next_opening.map(Into::into),
        }
    }
}

impl From<Passed> for PassedOver {
    fn from(passed: Passed) -> Self {
        Self {
            flow_name: passed.flow_name,
            code: passed.reason.code(),
            reason: passed.reason.to_string(),
            next_opening: passed.reason.next_opening().map(Into::into),
            longest_duration_in_sec: passed.reason.longest_sec().map(seconds32),
        }
    }
}

impl From<OpenWindow> for OpenTimeframe {
    fn from(window: OpenWindow) -> Self {
        Self {
            closes_at: window.closes_at.into(),
            next_opening: window.next_opening.map(Into::into),
        }
    }
}

impl From<LaterTier> for LaterApprovers {
    fn from(tier: LaterTier) -> Self {
        Self {
            asked_at: tier.at.into(),
            approvers: tier.asked.iter().map(Into::into).collect(),
            programs: tier.programs.into_iter().map(|program| program.host).collect(),
        }
    }
}

/// How an entitlement came to its flow.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The chosen flow's name.
    pub(crate) flow_name: Option<String>,
    /// Those that were passed over.
    pub(crate) passed_over: Vec<PassedOver>,
    /// The names of the floors that bind it.
    pub(crate) floors: Vec<String>,
}

impl From<Explanation> for Chosen {
    fn from(explanation: Explanation) -> Self {
        Self {
            flow_name: explanation.chosen.map(|flow| flow.flow_name),
            passed_over: explanation.passed_over.into_iter().map(PassedOver::from).collect(),
            floors: explanation.floors,
        }
    }
}
