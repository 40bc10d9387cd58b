//! API tokens (`lk_…`) and connector tokens (`lkc_…`).
//!
//! `lk_<row, 22>_<secret, 43><checksum, 6>`, where the row is the token's id in base 62;
//! `lkc_<row>_<secret, 43><checksum, 6>`, where the row is the connector's id in hexadecimal,
//! because operators choose those ids freely. The checksum lets a mistyped or truncated token be
//! refused without asking the database, and lets scanners of source code know a real one.
//!
//! Invariant: nothing in here prints a secret, and nothing allocates more than a few hundred
//! bytes for a text that a stranger sent.

use std::fmt;

use hmac::{Hmac, Mac};
use latchkey_domain::{
    Rng,
    ids::{ConnectorId, TokenId},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base62;

/// What an API token starts with.
pub const TOKEN_PREFIX: &str = "lk_";
/// What a connector token starts with.
pub const CONNECTOR_PREFIX: &str = "lkc_";
/// The longest connector id that a token can name, in bytes.
pub const MAX_CONNECTOR_ID: usize = 128;

const ROW_WIDTH: usize = 22;
const SECRET_WIDTH: usize = 43;
const CHECKSUM_WIDTH: usize = 6;
const MAX_TOKEN: usize =
    CONNECTOR_PREFIX.len() + 2 * MAX_CONNECTOR_ID + 1 + SECRET_WIDTH + CHECKSUM_WIDTH;

/// The key under which secrets are hashed. It comes from the key ring, never from the database.
#[derive(Clone)]
pub struct TokenKey(Zeroizing<[u8; 32]>);

impl TokenKey {
    /// Takes 32 bytes of the key ring as the key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    pub(crate) fn hash(&self, row: &str, secret: &SecretString) -> String {
        // HMAC pads a short key with zeros to the block size (RFC 2104), so this is the key as is.
        let mut block = Zeroizing::new([0_u8; 64]);
        block.iter_mut().zip(self.0.iter()).for_each(|(to, from)| *to = *from);
        let mut mac = <Hmac<Sha256> as Mac>::new((&*block).into());
        mac.update(&(row.len() as u64).to_be_bytes());
        mac.update(row.as_bytes());
        mac.update(secret.expose_secret().as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// A token that was just made: the only moment at which its text exists on the server.
#[derive(Debug)]
pub struct NewToken {
    /// The whole token, to be shown once.
    pub token: SecretString,
    /// What to store: HMAC-SHA-256 in hexadecimal, 64 characters.
    pub hash: String,
}

/// An id that cannot be put into a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenIdError {
    /// API tokens are named by UUIDs.
    #[error("token id {0} is not a UUID; make it with TokenId::generate")]
    NotAUuid(TokenId),
    /// The connector's id does not fit.
    #[error("connector ids have 1 to {MAX_CONNECTOR_ID} bytes; choose a shorter id")]
    ConnectorIdLength,
}

/// A token that somebody presented: well-formed, and not yet verified.
#[derive(Debug)]
pub struct Parsed<Id> {
    /// The row to look up.
    pub id: Id,
    secret: SecretString,
}

/// A presented API token.
pub type ParsedToken = Parsed<TokenId>;
/// A presented connector token.
pub type ParsedConnectorToken = Parsed<ConnectorId>;

/// Makes the token whose row is `id`.
pub fn generate_token(
    rng: &dyn Rng,
    key: &TokenKey,
    id: &TokenId,
) -> Result<NewToken, TokenIdError> {
    let number = uuid_number(id.as_str()).ok_or_else(|| TokenIdError::NotAUuid(id.clone()))?;
    let row = base62::encode(&number.to_be_bytes(), ROW_WIDTH);
    Ok(assemble(rng, key, TOKEN_PREFIX, &row, id.as_str()))
}

/// Makes a token for the connector `id`. A connector has one token; a new one replaces it.
pub fn generate_connector_token(
    rng: &dyn Rng,
    key: &TokenKey,
    id: &ConnectorId,
) -> Result<NewToken, TokenIdError> {
    if id.as_str().is_empty() || id.as_str().len() > MAX_CONNECTOR_ID {
        return Err(TokenIdError::ConnectorIdLength);
    }
    Ok(assemble(rng, key, CONNECTOR_PREFIX, &hex::encode(id.as_str()), id.as_str()))
}

/// Takes a text as an API token; `None` if it cannot be one.
pub fn parse_token(text: &str) -> Option<ParsedToken> {
    let (row, secret) = take_apart(text, TOKEN_PREFIX)?;
    if row.len() != ROW_WIDTH {
        return None;
    }
    let id = TokenId::new(uuid_text(base62::decode_u128(row)?));
    Some(Parsed { id, secret })
}

/// Takes a text as a connector token; `None` if it cannot be one.
pub fn parse_connector_token(text: &str) -> Option<ParsedConnectorToken> {
    let (row, secret) = take_apart(text, CONNECTOR_PREFIX)?;
    let id = String::from_utf8(hex::decode(row).ok()?).ok()?;
    let canonical = !id.is_empty() && hex::encode(&id) == row;
    canonical.then(|| Parsed { id: ConnectorId::new(id), secret })
}

/// Whether `presented` is the token of the row whose stored hash is given. Without a row the
/// answer is no, after the same work. Whether the row's token is still in force (not expired,
/// not revoked, its user active) is for the caller to ask, on the row as it is now.
pub fn verify<Id: AsRef<str>>(
    key: &TokenKey,
    presented: &Parsed<Id>,
    stored_hash: Option<&str>,
) -> bool {
    const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    let expected = stored_hash.unwrap_or(NOBODY);
    let actual = key.hash(presented.id.as_ref(), &presented.secret);
    let same = expected.as_bytes().ct_eq(actual.as_bytes());
    bool::from(same) & stored_hash.is_some()
}

fn assemble(rng: &dyn Rng, key: &TokenKey, prefix: &str, row: &str, id: &str) -> NewToken {
    let random = Zeroizing::new(rng.bytes::<32>());
    let secret = SecretString::from(base62::encode(&*random, SECRET_WIDTH));
    let mut text = format!("{prefix}{row}_{}", secret.expose_secret());
    let checksum = checksum(&text);
    text.push_str(&checksum);
    NewToken { hash: key.hash(id, &secret), token: SecretString::from(text) }
}

/// The row part and the secret of a well-formed token.
fn take_apart<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, SecretString)> {
    if text.len() > MAX_TOKEN {
        return None;
    }
    let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_WIDTH)?)?;
    if checksum(body) != sum {
        return None;
    }
    let (row, secret) = body.strip_prefix(prefix)?.split_once('_')?;
    let well_formed = secret.len() == SECRET_WIDTH && base62::is_base62(secret);
    well_formed.then(|| (row, SecretString::from(secret)))
}

/// The first four bytes of SHA-256, in base 62. It guards against typing errors, not attackers.
fn checksum(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let first: Vec<u8> = digest.iter().copied().take(4).collect();
    base62::encode(&first, CHECKSUM_WIDTH)
}

fn uuid_number(text: &str) -> Option<u128> {
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    (uuid_text(number) == text).then_some(number)
}

fn uuid_text(number: u128) -> String {
    let hex = format!("{number:032x}");
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    ends.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}
