//! Floors: what has to be asked for some entitlements, whatever an access flow says.
//!
//! Invariant: no flow gives anything below a floor. A floor tightens the flow that governs, for
//! the whole request: the second factor is asked for, the grant is no longer than the floor
//! allows. What a flow does not say cannot be made up, though: one without approvers governs
//! nothing for which a floor wants an approval. Automatic flows ask nobody anything and end at no
//! set time, so no floor lets them give.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    flow::FlowPolicy,
    policy::{automatic::is_automatic, ends::longest_grant},
};

/// The most floors there may be.
const MOST_FLOORS: usize = 50;
/// The longest name of a floor, in characters.
const LONGEST_NAME: usize = 100;

/// A floor, as the setting `floors` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorRule {
    /// What it is called where it stands in somebody's way; unique.
    pub name: String,
    /// What it is about: an AQL query.
    pub query: String,
    /// Whether somebody has to agree.
    #[serde(default)]
    pub approval: bool,
    /// Whether the requestor has to pass a second factor.
    #[serde(default)]
    pub mfa: bool,
    /// The longest that access may last, extensions included, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_sec: Option<u32>,
}

/// What all floors together ask for an entitlement, or for several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    /// The names of the floors that ask for anything here.
    pub names: BTreeSet<String>,
    /// Whether somebody has to agree.
    pub approval: bool,
    /// Whether the requestor has to pass a second factor.
    pub second_factor: bool,
    /// The longest that access may last, in seconds.
    pub longest_sec: Option<u32>,
}

/// The floors that a setting's value lists; what is wrong with it otherwise. Whether the queries
/// can be read is not looked at.
pub fn parse_floors(value: &serde_json::Value) -> Result<Vec<FloorRule>, String> {
    let rules: Vec<FloorRule> =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    if rules.len() > MOST_FLOORS {
        return Err(format!("there are at most {MOST_FLOORS} floors"));
    }
    let mut names = BTreeSet::new();
    for rule in &rules {
        rule.check().map_err(|problem| format!("floor {:?}: {problem}", rule.name))?;
        if !names.insert(&rule.name) {
            return Err(format!("floor {:?} is there twice", rule.name));
        }
    }
    Ok(rules)
}

impl FloorRule {
    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() || self.name.chars().count() > LONGEST_NAME {
            return Err(format!("a name has 1 to {LONGEST_NAME} characters"));
        }
        if !self.approval && !self.mfa && self.longest_sec.is_none() {
            return Err("asks for nothing; say approval, mfa or longest_sec".to_owned());
        }
        if self.longest_sec == Some(0) {
            return Err("longest_sec is at least one second".to_owned());
        }
        Ok(())
    }

    /// Whether the floor keeps the flow from giving what it is about.
    pub fn bars(&self, policy: &FlowPolicy) -> bool {
        bars(self.approval, policy)
    }
}

impl From<&FloorRule> for Floor {
    fn from(rule: &FloorRule) -> Self {
        Self {
            names: BTreeSet::from([rule.name.clone()]),
            approval: rule.approval,
            second_factor: rule.mfa,
            longest_sec: rule.longest_sec,
        }
    }
}

impl Floor {
    /// What both ask for.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.approval |= other.approval;
        self.second_factor |= other.second_factor;
        self.longest_sec = self.longest_sec.into_iter().chain(other.longest_sec).min();
        self
    }

    /// Whether nothing is asked for.
    pub fn is_none(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the flow may give nothing for which this is asked.
    pub fn bars(&self, policy: &FlowPolicy) -> bool {
        !self.is_none() && bars(self.approval, policy)
    }

    /// The names of the floors, quoted, for people.
    pub fn quoted_names(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| format!("\"{name}\"")).collect();
        names.join(", ")
    }

    /// The longest grant by the flow, in seconds; `None` means until revoked.
    pub fn longest_grant(&self, policy: &FlowPolicy) -> Option<i64> {
        longest_grant(policy).into_iter().chain(self.longest_sec.map(i64::from)).min()
    }

    /// Whether a second factor is asked for, by the flow or by a floor.
    pub fn needs_second_factor(&self, policy: &FlowPolicy) -> bool {
        self.second_factor || policy.settings.require_mfa
    }

    /// The policy as it governs what this is asked for.
    #[must_use]
    pub fn tighten<'p>(&self, policy: &'p FlowPolicy) -> Cow<'p, FlowPolicy> {
        if self.is_none() {
            return Cow::Borrowed(policy);
        }
        let mut tight = policy.clone();
        tight.settings.require_mfa = self.needs_second_factor(policy);
        if let Some(seconds) = self.longest_sec
            && longest_grant(policy).is_none_or(|own| own > i64::from(seconds))
        {
            // Whole minutes are what every client shows; the seconds are what counts.
            tight.grant_duration_in_min = Some(seconds.div_ceil(60));
            tight.legacy.grant_duration_in_sec = Some(seconds);
        }
        Cow::Owned(tight)
    }
}

/// Whether a floor keeps the flow from giving anything.
fn bars(needs_approval: bool, policy: &FlowPolicy) -> bool {
    is_automatic(policy) || needs_approval && policy.approver_policy.is_none()
}
