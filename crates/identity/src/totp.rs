//! One-time codes by the clock (RFC 6238): SHA-1, six digits, thirty seconds, which is what every
//! authenticator app speaks.
//!
//! Invariants: a code is exactly six ASCII digits, and nothing is trimmed off what was typed; the
//! codes of three steps are compared in constant time, whichever fits; no step counts that is not
//! after the last one that was used.

use std::fmt::Write as _;

use jiff::Timestamp;
use latchkey_domain::Rng;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// The length of a time step, in seconds.
pub const STEP_SEC: i64 = 30;
/// How many digits a code has.
pub const CODE_DIGITS: usize = 6;
/// Clocks of telephones may be off by so many steps, either way.
const SKEW: i64 = 1;

/// A new secret: 160 bits, as RFC 4226 recommends.
pub fn generate_totp_secret(rng: &dyn Rng) -> SecretSlice<u8> {
    SecretSlice::from(rng.bytes::<20>().to_vec())
}

/// The secret as people type it into an app: base 32 without padding.
pub fn totp_secret_text(secret: &SecretSlice<u8>) -> SecretString {
    SecretString::from(Secret::from(secret.expose_secret().to_vec()).to_base32())
}

/// The secret as apps read it from a picture. `account` says whose it is, `issuer` where it is
/// for; both are shown by the app.
pub fn totp_address(secret: &SecretSlice<u8>, issuer: &str, account: &str) -> SecretString {
    let (issuer, account) = (escape(issuer), escape(account));
    let text = totp_secret_text(secret);
    SecretString::from(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&\
         period=30",
        text.expose_secret()
    ))
}

/// The time step to which `code` belongs, if it is one of those around `at` and comes after the
/// last that was used.
pub fn accepted_step(
    secret: &SecretSlice<u8>,
    code: &SecretString,
    at: Timestamp,
    last_used: Option<i64>,
) -> Option<i64> {
    let typed = code.expose_secret().as_bytes();
    if typed.len() != CODE_DIGITS || !typed.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let totp = totp(secret)?;
    let now = at.as_second().div_euclid(STEP_SEC);
    let mut found = i64::MIN;
    for step in (now - SKEW)..=(now + SKEW) {
        let Some(code) = code_of(&totp, step) else { continue };
        let same = code.as_bytes().ct_eq(typed);
        found = i64::conditional_select(&found, &step, same);
    }
    let is_after = last_used.is_none_or(|last| found > last);
    (found != i64::MIN && is_after).then_some(found)
}

/// The code of a time step, for whoever has the secret.
pub fn totp_code(secret: &SecretSlice<u8>, step: i64) -> Option<SecretString> {
    Some(SecretString::from(code_of(&totp(secret)?, step)?.as_str()))
}

/// `None` for a secret that is too short to be one.
fn totp(secret: &SecretSlice<u8>) -> Option<Totp> {
    Builder::new().with_secret(secret.expose_secret().to_vec()).build().ok()
}

fn code_of(totp: &Totp, step: i64) -> Option<Zeroizing<String>> {
    let seconds = u64::try_from(step.checked_mul(STEP_SEC)?).ok()?;
    Some(Zeroizing::new(totp.generate(seconds).to_string()))
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            // Writing into a text never fails.
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}
