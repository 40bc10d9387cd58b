//! Justifications and reasons.

use latchkey_domain::policy::texts::{TextProblem, check_justification, check_reason};

use crate::builders::policy;

#[test]
fn a_text_that_is_asked_for_has_1_to_1000_characters() {
    let mut asks = policy();
    asks.settings.justification_required = true;
    asks.settings.require_approver_reason = true;
    for text in [None, Some(""), Some("  \n")] {
        assert_eq!(check_justification(&asks, text, false), Err(TextProblem::Missing));
        assert_eq!(check_reason(&asks, text), Err(TextProblem::Missing));
        assert_eq!(check_justification(&policy(), text, false), Ok(()));
        assert_eq!(check_reason(&policy(), text), Ok(()));
    }
    let longest = "ö".repeat(1_000);
    assert_eq!(check_justification(&asks, Some(&longest), false), Ok(()));
    let longer = "ö".repeat(1_001);
    assert_eq!(check_justification(&asks, Some(&longer), false), Err(TextProblem::TooLong));
    assert_eq!(check_reason(&policy(), Some(&longer)), Err(TextProblem::TooLong));
}

#[test]
fn asking_again_can_need_its_own_justification() {
    let mut again = policy();
    again.settings.require_justification_on_request_again = true;
    assert_eq!(check_justification(&again, None, false), Ok(()));
    assert_eq!(check_justification(&again, None, true), Err(TextProblem::Missing));
}
