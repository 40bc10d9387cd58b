//! The reasons people have to give.

use crate::flow::FlowPolicy;

/// The longest justification or reason, in characters.
pub const LONGEST_TEXT: usize = 1_000;

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

/// Checks a request's justification. `again` says that an earlier request is repeated.
pub fn check_justification(
    policy: &FlowPolicy,
    text: Option<&str>,
    again: bool,
) -> Result<(), TextProblem> {
    let settings = &policy.settings;
    let required = settings.justification_required
        || (again && settings.require_justification_on_request_again);
    check(required, text)
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
