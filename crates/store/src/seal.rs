//! Sealing of secrets at rest: AES-256-GCM-SIV (RFC 8452) with a data key of its own for every
//! value, wrapped by a key derived from the master key.
//!
//! Table, row and column are associated data of both layers, so that a sealed value copied to
//! any other place does not open. A wrapped data key lets the master key be changed without
//! touching the values.

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_domain::Rng;
use zeroize::Zeroizing;

use crate::{
    error::{Result, StoreError},
    keys::KeyRing,
};

/// First byte of every sealed value: how the rest is laid out.
const VERSION: u8 = 1;
const NONCE: usize = 12;
/// A data key and its tag.
const WRAPPED: usize = 32 + 16;

/// Where a sealed value is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) row: &'a str,
    pub(crate) column: &'a str,
}

impl Place<'_> {
    /// Length-prefixed, so that no two places share a text.
    fn associated_data(&self, layer: &str) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [layer, self.table, self.row, self.column] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }

    fn damaged(&self) -> StoreError {
        StoreError::corrupt(format!(
            "the sealed value {}.{} of {}",
            self.table, self.column, self.row
        ))
    }
}

/// Seals `plain` for one place, as base64 of: version, nonce, wrapped data key, nonce, value.
pub(crate) fn seal(
    keys: &KeyRing,
    rng: &dyn Rng,
    place: Place<'_>,
    plain: &[u8],
) -> Result<String> {
    let data_key: Zeroizing<[u8; 32]> = Zeroizing::new(rng.bytes());
    let mut sealed = vec![VERSION];
    for (key, layer, message) in
        [(keys.wrapping_key(), "key", data_key.as_slice()), (&*data_key, "value", plain)]
    {
        let nonce: [u8; NONCE] = rng.bytes();
        let aad = place.associated_data(layer);
        let cipher = Aes256GcmSiv::new(key.into());
        let text = cipher
            .encrypt(Nonce::from_slice(&nonce), Payload { msg: message, aad: &aad })
            .map_err(|_| StoreError::Database("a secret could not be sealed".to_owned()))?;
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
    }
    Ok(STANDARD.encode(sealed))
}

/// Opens what [`seal`] made for this place.
pub(crate) fn open(keys: &KeyRing, place: Place<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD.decode(sealed).map_err(|_| place.damaged())?;
    let (version, rest) = bytes.split_first().ok_or_else(|| place.damaged())?;
    if *version != VERSION {
        return Err(place.damaged());
    }
    let (wrapped, value) = rest.split_at_checked(NONCE + WRAPPED).ok_or_else(|| place.damaged())?;
    let data_key = open_layer(keys.wrapping_key(), place, "key", wrapped)?;
    let data_key: &[u8; 32] = data_key.as_slice().try_into().map_err(|_| place.damaged())?;
    open_layer(data_key, place, "value", value)
}

fn open_layer(
    key: &[u8; 32],
    place: Place<'_>,
    layer: &str,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE).ok_or_else(|| place.damaged())?;
    let aad = place.associated_data(layer);
    Aes256GcmSiv::new(key.into())
        .decrypt(Nonce::from_slice(nonce), Payload { msg: text, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| place.damaged())
}
