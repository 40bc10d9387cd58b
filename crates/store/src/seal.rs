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

#[cfg(test)]
mod tests {
    use latchkey_testkit::SeededRng;
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'_> = Place { table: "t", row: "r", column: "c" };

    fn keys() -> KeyRing {
        KeyRing::from_bytes([1; 32])
    }

    #[test]
    fn a_value_sealed_twice_looks_different_and_tells_only_its_length() {
        let rng = SeededRng::default();
        let one = seal(&keys(), &rng, HERE, b"secret").unwrap();
        let two = seal(&keys(), &rng, HERE, b"secret").unwrap();
        assert_ne!(one, two);
        assert_eq!(one.len(), two.len());
    }

    #[test]
    fn another_key_does_not_open_it() {
        let sealed = seal(&keys(), &SeededRng::default(), HERE, b"secret").unwrap();
        assert!(open(&KeyRing::from_bytes([2; 32]), HERE, &sealed).is_err());
        assert_eq!(*open(&keys(), HERE, &sealed).unwrap(), b"secret");
    }

    proptest! {
        #[test]
        fn it_opens_in_its_place_and_in_no_other(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            place in ("[a-c]{0,3}", "[a-c]{0,3}", "[a-c]{0,3}"),
            other in ("[a-c]{0,3}", "[a-c]{0,3}", "[a-c]{0,3}"),
        ) {
            let at = |(table, row, column): &(String, String, String)| {
                (table.clone(), row.clone(), column.clone())
            };
            let ((t, r, c), (t2, r2, c2)) = (at(&place), at(&other));
            let here = Place { table: &t, row: &r, column: &c };
            let there = Place { table: &t2, row: &r2, column: &c2 };
            let sealed = seal(&keys(), &SeededRng::default(), here, &plain).unwrap();
            prop_assert_eq!(&*open(&keys(), here, &sealed).unwrap(), &plain);
            prop_assert_eq!(open(&keys(), there, &sealed).is_ok(), place == other);
        }

        #[test]
        fn no_byte_of_it_can_be_changed(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
            let sealed = seal(&keys(), &SeededRng::default(), HERE, b"secret").unwrap();
            let mut bytes = STANDARD.decode(sealed).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(open(&keys(), HERE, &STANDARD.encode(bytes)).is_err());
        }
    }
}
