//! Secrets that are looked up by a hash of them: the cookie of a browser session, a link that
//! signs somebody in, a recovery code; and values that are derived from a secret instead of being
//! kept, such as the token in a form.
//!
//! Invariant: every use has a label of its own in the hash, so that what is good for one use is
//! good for no other.

use latchkey_domain::Rng;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{base62, token::TokenKey};

/// How many characters an opaque secret has: 256 bits in base 62.
pub const OPAQUE_WIDTH: usize = 43;

/// The letters of recovery codes: none that is mistaken for another.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Groups of a recovery code, and letters of a group: 79 bits.
const GROUPS: usize = 4;
const GROUP: usize = 4;

/// What an opaque secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Names a browser session; the cookie.
    WebSession,
    /// A link that signs somebody in.
    SignInLink,
    /// Stands in for the second factor.
    RecoveryCode,
    /// Proves that a form came from a page of ours.
    FormToken,
    /// Names what somebody tries, where tries are counted.
    Tried,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::WebSession => "web-session",
            Self::SignInLink => "sign-in-link",
            Self::RecoveryCode => "recovery-code",
            Self::FormToken => "form-token",
            Self::Tried => "tried",
        }
    }
}

/// A new secret of 256 bits.
pub fn generate_opaque(rng: &dyn Rng) -> SecretString {
    let random = Zeroizing::new(rng.bytes::<32>());
    SecretString::from(base62::encode(&*random, OPAQUE_WIDTH))
}

/// Whether a text has the form of an opaque secret.
pub fn is_opaque(text: &str) -> bool {
    text.len() == OPAQUE_WIDTH && base62::is_base62(text)
}

/// A keyed hash of a secret for one use, 64 hexadecimal digits. `owner` binds it to whom it
/// belongs; empty where the secret alone finds its row.
pub fn opaque_hash(key: &TokenKey, purpose: Purpose, owner: &str, secret: &SecretString) -> String {
    key.hash(&format!("{}/{owner}", purpose.label()), secret)
}

/// Whether `presented` is the hash of the secret, compared in constant time.
pub fn is_opaque_hash(
    key: &TokenKey,
    purpose: Purpose,
    owner: &str,
    secret: &SecretString,
    presented: &str,
) -> bool {
    opaque_hash(key, purpose, owner, secret).as_bytes().ct_eq(presented.as_bytes()).into()
}

/// A new recovery code, such as `k3fm-9pqr-xw2h-7nvd`.
pub fn generate_recovery_code(rng: &dyn Rng) -> SecretString {
    let mut code = String::with_capacity(GROUPS * (GROUP + 1));
    while code.len() < GROUPS * (GROUP + 1) - 1 {
        if code.len() % (GROUP + 1) == GROUP {
            code.push('-');
            continue;
        }
        let [random] = rng.bytes::<1>();
        // Thrown again rather than bent, so that all letters are equally likely.
        if let Some(letter) = LETTERS.get(usize::from(random & 31)) {
            code.push(char::from(*letter));
        }
    }
    SecretString::from(code)
}

/// Whether a text has the form of a recovery code. Nothing is trimmed, and letter case counts.
pub fn is_recovery_code(code: &SecretString) -> bool {
    let text = code.expose_secret().as_bytes();
    text.len() == GROUPS * (GROUP + 1) - 1
        && text.iter().enumerate().all(|(at, letter)| {
            if at % (GROUP + 1) == GROUP { *letter == b'-' } else { LETTERS.contains(letter) }
        })
}
