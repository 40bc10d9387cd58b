//! Rules for the short texts that people write: names, addresses, reasons.
//!
//! Invariant: a text that passed holds no control characters, so it can neither forge a line of
//! a log nor move a terminal's cursor.

use crate::error::{AppError, FieldError};

/// The longest name, in characters.
pub const MAX_NAME: usize = 255;
/// The longest description, in characters.
pub const MAX_DESCRIPTION: usize = 4000;
/// The longest e-mail address, in bytes (RFC 5321, 4.5.3.1.3).
pub const MAX_EMAIL: usize = 254;

/// A name: 1 to [`MAX_NAME`] characters without control characters, not blank. Kept as written,
/// because clients expect the echo.
pub fn check_name(field: &str, name: &str) -> Result<(), FieldError> {
    if name.trim().is_empty() {
        return Err(FieldError::new(field, "must not be empty"));
    }
    check_line(field, name)
}

/// 409 if `name` belongs to another object than `except`; `owner` is whose it is, `what` the kind
/// of object, for the message.
pub(crate) fn name_is_free<Id: PartialEq>(
    what: &str,
    name: &str,
    owner: Option<&Id>,
    except: Option<&Id>,
) -> Result<(), AppError> {
    if owner.is_none() || owner == except {
        return Ok(());
    }
    Err(AppError::conflict(format!("the {what} name \"{name}\" is taken; choose another")))
}

/// One line that may be empty.
pub fn check_line(field: &str, text: &str) -> Result<(), FieldError> {
    if text.chars().count() > MAX_NAME {
        return Err(FieldError::new(field, format!("has more than {MAX_NAME} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(FieldError::new(field, "must not contain control characters"));
    }
    Ok(())
}

/// A description: a text of several lines that may be absent.
pub fn check_description(field: &str, text: Option<&str>) -> Result<(), FieldError> {
    if text.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        return Err(FieldError::new(field, format!("has more than {MAX_DESCRIPTION} characters")));
    }
    Ok(())
}

/// An e-mail address, checked for what would do harm and not for the whole of RFC 5322.
pub fn check_email(field: &str, email: &str) -> Result<(), FieldError> {
    let well_formed = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    let clean = !email.chars().any(|c| c.is_control() || c.is_whitespace());
    if well_formed && clean && email.len() <= MAX_EMAIL {
        return Ok(());
    }
    Err(FieldError::new(field, "is not an e-mail address, such as ana@example.com"))
}

/// A length of time in words, exactly: `1 day 2 hours`.
pub fn length_in_words(seconds: i64) -> String {
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, name) in [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")] {
        let count = rest / unit;
        rest %= unit;
        match count {
            0 => {}
            1 => words.push(format!("1 {name}")),
            many => words.push(format!("{many} {name}s")),
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_do_harm_are_refused() {
        for email in ["", "ana", "@x", "ana@", "a@b@c", "ana @x", "ana@x\n", "ana@x\u{1b}[2J"] {
            assert!(check_email("email", email).is_err(), "{email:?}");
        }
        assert!(check_email("email", "ana+test@example.com").is_ok());
        assert!(check_email("email", &format!("{}@example.com", "a".repeat(300))).is_err());
    }

    #[test]
    fn names_are_one_line_that_says_something() {
        assert!(check_name("name", "  ").is_err());
        assert!(check_name("name", "two\nlines").is_err());
        assert!(check_name("name", &"x".repeat(256)).is_err());
        assert!(check_name("name", "Équipe données 1").is_ok());
    }

    #[test]
    fn lengths_are_said_exactly() {
        assert_eq!(length_in_words(3600), "1 hour");
        assert_eq!(length_in_words(93_784), "1 day 2 hours 3 minutes 4 seconds");
    }
}
