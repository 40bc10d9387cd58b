//! Names of the roles that Latchkey makes besides principals. They are hashes: nothing in them
//! can be guessed into meaning, and none is longer than the server keeps.

use sha2::{Digest, Sha256};

use super::rights::Right;
use crate::Target;

/// What a group role is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// A database.
    Database,
    /// A schema.
    Schema,
    /// A table or view.
    Table,
}

impl Class {
    /// The word in markers and hashes.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Table => "table",
        }
    }
}

/// The group role for one right on one object.
pub(super) fn group(
    target: &Target,
    database: u32,
    class: Class,
    object: u32,
    right: Right,
) -> String {
    let digest = digest(&[
        "group",
        target.installation_id.as_str(),
        target.integration_id.as_str(),
        &database.to_string(),
        class.as_str(),
        &object.to_string(),
        right.as_str(),
    ]);
    format!("lk_g_{}", base32(&digest, 24))
}

/// The role that owns what principals of this installation leave behind.
pub(super) fn graveyard(target: &Target) -> String {
    format!("lk_graveyard_{}", base32(&digest(&["graveyard", target.installation_id.as_str()]), 16))
}

/// The key of the advisory lock for a role's or object's name.
pub(super) fn lock_key(name: &str) -> i64 {
    let digest = digest(&["lock", name]);
    digest.iter().take(8).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// The first `length` characters of the lower-case base32 form (RFC 4648).
fn base32(bytes: &[u8], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(length);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 && text.len() < length {
            bits -= 5;
            let index = ((buffer >> bits) & 31) as usize;
            text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
        }
        buffer &= 0xff;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_rfc() {
        assert_eq!(base32(b"fooba", 16), "mzxw6ytb");
    }
}
