//! The reasons people have to give.

use regex::{Regex, RegexBuilder};

use crate::{flow::FlowPolicy, policy::selection::is_break_glass};

/// The longest justification or reason, in characters.
pub const LONGEST_TEXT: usize = 1_000;

/// The largest a pattern may become once it is understood, in bytes: a short text can mean a
/// huge one.
const LARGEST_PATTERN: usize = 1 << 18;

/// What is wrong with a justification or an approver's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextProblem {
    /// The flow asks for one.
    #[error("this access flow asks for a text here: say in 1 to {LONGEST_TEXT} characters why")]
    Missing,
    /// Too long.
    #[error("this text has more than {LONGEST_TEXT} characters; shorten it")]
    TooLong,
}

/// What a justification has to hold, wherever a flow requires one.
#[derive(Debug, Clone, Default)]
pub struct JustificationRule {
    pattern: Option<Regex>,
    hint: Option<String>,
}

/// What is wrong with a justification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JustificationProblem {
    /// As of any text.
    #[error(transparent)]
    Text(#[from] TextProblem),
    /// It does not hold what every justification has to.
    #[error("{}", hint.as_deref().unwrap_or("a justification has to name what it is for, such as \
        a ticket; an administrator knows which form is asked for"))]
    Pattern {
        /// What people are told.
        hint: Option<String>,
    },
}

/// A regular expression that people wrote. Matching takes time linear in the text.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build()
}

impl JustificationRule {
    /// The rule that a pattern and what is told of it make.
    pub fn new(text: Option<&str>, hint: Option<&str>) -> Result<Self, regex::Error> {
        let pattern = text.map(pattern).transpose()?;
        Ok(Self { pattern, hint: hint.map(str::to_owned) })
    }

    /// Checks a request's justification; see [`check_justification`].
    pub fn check(
        &self,
        policy: &FlowPolicy,
        text: Option<&str>,
        again: bool,
    ) -> Result<(), JustificationProblem> {
        check_justification(policy, text, again)?;
        let Some(pattern) = self.pattern.as_ref().filter(|_| is_required(policy, again)) else {
            return Ok(());
        };
        if pattern.is_match(text.unwrap_or_default()) {
            return Ok(());
        }
        Err(JustificationProblem::Pattern { hint: self.hint.clone() })
    }
}

/// Checks a request's justification. `again` says that an earlier request is repeated.
pub fn check_justification(
    policy: &FlowPolicy,
    text: Option<&str>,
    again: bool,
) -> Result<(), TextProblem> {
    // An emergency is always told why, and never held up for the form of what is told.
    check(is_required(policy, again) || is_break_glass(policy), text)
}

fn is_required(policy: &FlowPolicy, again: bool) -> bool {
    let settings = &policy.settings;
    settings.justification_required || (again && settings.require_justification_on_request_again)
}

/// Checks the reason of an approver's decision.
pub fn check_reason(policy: &FlowPolicy, text: Option<&str>) -> Result<(), TextProblem> {
    check(policy.settings.require_approver_reason, text)
}

fn check(required: bool, text: Option<&str>) -> Result<(), TextProblem> {
    let length = text.map_or(0, |text| text.trim().chars().count());
    match length {
        0 if required => Err(TextProblem::Missing),
        length if length > LONGEST_TEXT => Err(TextProblem::TooLong),
        _ => Ok(()),
    }
}
