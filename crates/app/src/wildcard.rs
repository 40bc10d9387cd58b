//! Asterisks in name filters: `*x*` contains, `x*` begins with, `*x` ends with, `x` is the whole
//! name. An asterisk in the middle is a letter like any other.

use latchkey_store::TextMatch;

/// The filter that `pattern` means.
pub fn text_match(pattern: &str) -> TextMatch {
    let open_start = pattern.strip_prefix('*');
    let rest = open_start.unwrap_or(pattern);
    let open_end = rest.strip_suffix('*');
    let text = open_end.unwrap_or(rest).to_owned();
    match (open_start.is_some(), open_end.is_some()) {
        (true, true) => TextMatch::Contains(text),
        (false, true) => TextMatch::Prefix(text),
        // A lone asterisk is open on both sides.
        (true, false) if text.is_empty() => TextMatch::Contains(text),
        (true, false) => TextMatch::Suffix(text),
        (false, false) => TextMatch::Exact(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asterisks_count_at_the_ends_only() {
        assert_eq!(text_match("*prod*"), TextMatch::Contains("prod".to_owned()));
        assert_eq!(text_match("prod*"), TextMatch::Prefix("prod".to_owned()));
        assert_eq!(text_match("*prod"), TextMatch::Suffix("prod".to_owned()));
        assert_eq!(text_match("pr*od"), TextMatch::Exact("pr*od".to_owned()));
        assert_eq!(text_match("*"), TextMatch::Contains(String::new()));
        assert_eq!(text_match("**"), TextMatch::Contains(String::new()));
        assert_eq!(text_match(""), TextMatch::Exact(String::new()));
    }
}
