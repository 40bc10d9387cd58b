//! Lengths of time on the command line: `90d`, `12h`, `1h 30m`. A bare number is refused, because
//! nobody could tell seconds from minutes by looking at it.

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// Reads a length of time above zero. A day is 24 hours.
pub fn parse(text: &str) -> Result<SignedDuration, String> {
    let help = || format!("{text:?} is no length of time; write it like 90d, 12h or 30m");
    let span: Span = text.trim().parse().map_err(|_| help())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| help())?;
    if length <= SignedDuration::ZERO {
        return Err(format!("{text:?} is not longer than nothing; write it like 90d, 12h or 30m"));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_hours_and_minutes_are_understood() {
        assert_eq!(parse("90d"), Ok(SignedDuration::from_hours(90 * 24)));
        assert_eq!(parse("1h 30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(parse("45s"), Ok(SignedDuration::from_secs(45)));
    }

    #[test]
    fn bare_numbers_negative_and_endless_lengths_are_refused() {
        for text in ["", "90", "-1h", "0s", "NaN", "1e18", "1 month"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
