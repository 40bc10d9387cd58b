//! Who is calling: the tokens that people, machines and connectors present.
//!
//! A token has three parts: the name of its row, a 256-bit secret, and a checksum. The server
//! keeps only an HMAC of the secret under a key that is outside the database, bound to the row
//! it belongs to; so a copy of the database signs in nobody, and a hash moved to another row
//! matches nothing.
//!
//! Invariant of this crate: whether a token's row exists cannot be told by how long the answer
//! takes. [`verify`] does the same work with a stored hash and without one.

mod base62;
mod token;

pub use token::{
    CONNECTOR_PREFIX, MAX_CONNECTOR_ID, NewToken, Parsed, ParsedConnectorToken, ParsedToken,
    TOKEN_PREFIX, TokenIdError, TokenKey, generate_connector_token, generate_token,
    parse_connector_token, parse_token, verify,
};
