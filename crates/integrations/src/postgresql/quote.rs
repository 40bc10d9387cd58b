//! Names and texts inside SQL. Every name that comes from a target, a request or an
//! installation goes through here, and nothing else builds SQL from such text.
//!
//! Invariant: what comes out is exactly one identifier or one string constant, whatever went
//! in, and it means the very same characters. The server silently cuts identifiers to 63 bytes,
//! so a longer one is refused: it would name another object.

use latchkey_domain::provisioning::{FaultClass, TargetFault};

/// Longest identifier of a server built with the usual `NAMEDATALEN`.
const LONGEST_NAME: usize = 63;

/// `name` as a quoted identifier.
pub(super) fn ident(name: &str) -> Result<String, TargetFault> {
    let refused = |why: &str| {
        Err(TargetFault::new(
            FaultClass::Refused,
            format!("the name {name:?} cannot be used with PostgreSQL: {why}"),
        ))
    };
    if name.is_empty() {
        return refused("it is empty");
    }
    if name.contains('\0') {
        return refused("it contains a NUL character");
    }
    if name.len() > LONGEST_NAME {
        return refused("it is longer than 63 bytes, and the server would cut it");
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// `text` as a string constant, the same with `standard_conforming_strings` on and off.
pub(super) fn literal(text: &str) -> Result<String, TargetFault> {
    if text.contains('\0') {
        return Err(TargetFault::new(
            FaultClass::Refused,
            "a text with a NUL character cannot be sent to PostgreSQL",
        ));
    }
    let quoted = text.replace('\'', "''");
    Ok(if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    })
}

/// An object's name as a string constant. The server cuts constants of the type `name` too, so
/// the same names are refused as by [`ident`].
pub(super) fn name_literal(name: &str) -> Result<String, TargetFault> {
    ident(name)?;
    literal(name)
}

/// A list of names as string constants for `IN (…)`; never empty SQL.
pub(super) fn name_literals<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<String, TargetFault> {
    let all: Vec<String> = names.into_iter().map(name_literal).collect::<Result<_, _>>()?;
    Ok(if all.is_empty() { "NULL".to_owned() } else { all.join(",") })
}

/// Names as an array constant.
pub(super) fn name_array<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<String, TargetFault> {
    Ok(format!("ARRAY[{}]::name[]", name_literals(names)?))
}

/// Oids as an array constant.
pub(super) fn oid_array(oids: impl IntoIterator<Item = u32>) -> String {
    format!("ARRAY[{}]::oid[]", self::oids(oids))
}

/// A list of oids for `IN (…)`; never empty SQL.
pub(super) fn oids(oids: impl IntoIterator<Item = u32>) -> String {
    let all: Vec<String> = oids.into_iter().map(|oid| oid.to_string()).collect();
    if all.is_empty() { "NULL".to_owned() } else { all.join(",") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_ends_only_at_its_own_quote() {
        assert_eq!(ident("a\"; DROP ROLE x; --").unwrap(), "\"a\"\"; DROP ROLE x; --\"");
        assert_eq!(ident("line\nbreak $$ % *").unwrap(), "\"line\nbreak $$ % *\"");
    }

    #[test]
    fn a_name_that_the_server_would_cut_is_refused() {
        assert!(ident(&"a".repeat(63)).is_ok());
        assert!(ident(&"a".repeat(64)).is_err());
        assert!(ident(&"ä".repeat(32)).is_err());
        assert!(ident("").is_err());
        assert!(ident("a\0b").is_err());
    }

    #[test]
    fn a_text_keeps_its_backslashes() {
        assert_eq!(literal("it's").unwrap(), "'it''s'");
        assert_eq!(literal("a\\'b").unwrap(), " E'a\\\\''b'");
        assert!(literal("\0").is_err());
    }

    /// Reads a quoted identifier the way the server's scanner does.
    fn scan_ident(sql: &str) -> Option<String> {
        let inner = sql.strip_prefix('"')?.strip_suffix('"')?;
        let mut name = String::new();
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            if character == '"' && characters.next() != Some('"') {
                return None;
            }
            name.push(character);
        }
        Some(name)
    }

    proptest! {
        #[test]
        fn every_name_reads_back_as_itself(name in "[^\0]{1,15}") {
            prop_assert_eq!(scan_ident(&ident(&name).unwrap()), Some(name));
        }
    }
}
