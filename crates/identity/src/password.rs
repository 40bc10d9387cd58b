//! Passwords: Argon2id (RFC 9106), with the parameters that OWASP recommends (19 MiB, two passes,
//! one lane).
//!
//! Invariant: whether somebody has a password cannot be told by how long the answer takes;
//! [`verify_password`] does the same work without a stored hash.
//!
//! Both functions keep a processor busy for some ten milliseconds: call them where that keeps
//! nobody else waiting.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::SaltString,
};
use latchkey_domain::Rng;
use secrecy::{ExposeSecret, SecretString};

/// The fewest characters of a password.
pub const SHORTEST_PASSWORD: usize = 12;
/// The most bytes of one: longer texts are no passwords but work for us.
pub const LONGEST_PASSWORD: usize = 256;

/// Of no password: what is compared with where nobody has one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5aGFzdGhpc29uZQ\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a text is not taken as a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too few characters.
    #[error("a password has at least {SHORTEST_PASSWORD} characters")]
    TooShort,
    /// Too many bytes.
    #[error("a password has at most {LONGEST_PASSWORD} bytes")]
    TooLong,
    /// The hash could not be computed.
    #[error("the password could not be hashed")]
    NotHashed,
}

/// Whether a text may be a password. Only its length counts; spaces and letters of every script
/// are welcome, and nothing is cut off.
pub fn check_password(password: &SecretString) -> Result<(), PasswordError> {
    let text = password.expose_secret();
    if text.chars().count() < SHORTEST_PASSWORD {
        return Err(PasswordError::TooShort);
    }
    if text.len() > LONGEST_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    Ok(())
}

/// What to store of a password: a hash in the PHC format, with its salt and parameters.
pub fn hash_password(
    rng: &dyn Rng,
    password: &SecretString,
) -> Result<SecretString, PasswordError> {
    check_password(password)?;
    let salt = SaltString::encode_b64(&rng.bytes::<16>()).map_err(|_| PasswordError::NotHashed)?;
    let hash = argon2()
        .hash_password(password.expose_secret().as_bytes(), &salt)
        .map_err(|_| PasswordError::NotHashed)?;
    Ok(SecretString::from(hash.to_string()))
}

/// Whether this is the password whose stored hash is given. Without one the answer is no, after
/// the same work.
pub fn verify_password(password: &SecretString, stored: Option<&SecretString>) -> bool {
    let text = password.expose_secret().as_bytes();
    let is_overlong = text.len() > LONGEST_PASSWORD;
    let text = if is_overlong { &[] } else { text };
    let hash = PasswordHash::new(stored.map_or(NOBODY, ExposeSecret::expose_secret));
    let same = hash.is_ok_and(|hash| argon2().verify_password(text, &hash).is_ok());
    same && stored.is_some() && !is_overlong
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d01_the_hash_of_nobody_costs_what_every_hash_costs() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!(params.m_cost(), Params::DEFAULT.m_cost());
        assert_eq!(params.t_cost(), Params::DEFAULT.t_cost());
        assert_eq!(params.p_cost(), Params::DEFAULT.p_cost());
        assert_eq!(nobody.hash.unwrap().len(), 32);
    }
}
