//! Justifications and reasons.

use latchkey_domain::policy::texts::{
    JustificationProblem, JustificationRule, TextProblem, check_justification, check_reason,
};

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

#[test]
fn a_pattern_binds_where_a_justification_is_required_and_nowhere_else() {
    let mut asks = policy();
    asks.settings.justification_required = true;
    let rule = JustificationRule::new(Some("OPS-[0-9]+"), Some("Name the ticket.")).unwrap();
    let hint = Some("Name the ticket.".to_owned());
    let problem = JustificationProblem::Pattern { hint };
    assert_eq!(problem.to_string(), "Name the ticket.");
    assert_eq!(rule.check(&asks, Some("because"), false), Err(problem));
    assert_eq!(rule.check(&asks, Some("see OPS-7"), false), Ok(()));
    assert_eq!(rule.check(&asks, None, false), Err(TextProblem::Missing.into()));
    assert_eq!(rule.check(&policy(), Some("because"), false), Ok(()));
    assert_eq!(JustificationRule::default().check(&asks, Some("because"), false), Ok(()));
}

#[test]
fn a_pattern_that_is_wrong_or_huge_is_refused() {
    for wrong in ["(", "[z-a]", "a{1000}{1000}{1000}", "(?<x>a)\\k<x>"] {
        assert!(JustificationRule::new(Some(wrong), None).is_err(), "{wrong}");
    }
}
