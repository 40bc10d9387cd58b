//! Who is calling: the tokens that people, machines and connectors present; and what people sign
//! in with: passwords, one-time codes, recovery codes, and the secrets of their browsers.
//!
//! A token has three parts: the name of its row, a 256-bit secret, and a checksum. The server
//! keeps only an HMAC of the secret under a key that is outside the database, bound to the row
//! it belongs to; so a copy of the database signs in nobody, and a hash moved to another row
//! matches nothing.
//!
//! Invariant of this crate: whether a token's row exists cannot be told by how long the answer
//! takes. [`verify`] does the same work with a stored hash and without one; so does
//! [`verify_password`].

mod base62;
mod opaque;
mod password;
mod token;
mod totp;

pub use opaque::{
    OPAQUE_WIDTH, Purpose, generate_opaque, generate_recovery_code, is_opaque, is_opaque_hash,
    is_recovery_code, opaque_hash,
};
pub use password::{
    LONGEST_PASSWORD, PasswordError, SHORTEST_PASSWORD, check_password, hash_password,
    verify_password,
};
pub use totp::{
    CODE_DIGITS, STEP_SEC, accepted_step, generate_totp_secret, totp_address, totp_code,
    totp_secret_text,
};

pub use token::{
    CONNECTOR_PREFIX, MAX_CONNECTOR_ID, NewToken, Parsed, ParsedConnectorToken, ParsedToken,
    TOKEN_PREFIX, TokenIdError, TokenKey, generate_connector_token, generate_token,
    parse_connector_token, parse_token, verify,
};
