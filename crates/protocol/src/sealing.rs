//! Secrets on the way between server and connector: sealed boxes (X25519, XSalsa20-Poly1305,
//! the construction of libsodium's `crypto_box_seal`) to the receiver's public key, so that
//! neither a proxy that ends TLS nor a log can read them.

use base64::{Engine, engine::general_purpose::STANDARD};
use crypto_box::{PublicKey, SecretKey, aead::OsRng};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What a connector made for a principal. Lives in memory only as long as it takes to seal it.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Credentials {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.password);
    }
}

/// Secret values by name, such as `username` and `password` of an admin account.
pub type SecretValues = BTreeMap<String, SecretString>;

/// Why a sealed text could not be made or opened. Says nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is not 32 bytes of base64.
    #[error("the public key is not 32 bytes in base64")]
    BadKey,
    /// The text is damaged or was sealed to another key.
    #[error("the sealed text is damaged, or was sealed to another key")]
    CannotOpen,
    /// Sealing failed.
    #[error("sealing failed")]
    CannotSeal,
}

/// A key pair that secrets are sealed to.
pub struct SealingKey(SecretKey);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SealingKey").finish()
    }
}

impl SealingKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SecretKey::from_bytes(bytes))
    }

    /// The public half, base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key().as_bytes())
    }

    /// Opens what [`seal`] made for this key.
    pub fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| SealError::CannotOpen)?;
        self.0.unseal(&bytes).map(Zeroizing::new).map_err(|_| SealError::CannotOpen)
    }

    /// Opens sealed secret values.
    pub fn open_values(&self, sealed: &str) -> Result<SecretValues, SealError> {
        let plain = self.open(sealed)?;
        let map: BTreeMap<String, String> =
            serde_json::from_slice(&plain).map_err(|_| SealError::CannotOpen)?;
        Ok(map.into_iter().map(|(key, value)| (key, SecretString::from(value))).collect())
    }

    /// Opens sealed credentials.
    pub fn open_credentials(&self, sealed: &str) -> Result<Credentials, SealError> {
        let plain = self.open(sealed)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::CannotOpen)
    }
}

/// Seals `plain` to the holder of `public_key` (base64, 32 bytes).
pub fn seal(public_key: &str, plain: &[u8]) -> Result<String, SealError> {
    let bytes = STANDARD.decode(public_key).map_err(|_| SealError::BadKey)?;
    let key = PublicKey::from_slice(&bytes).map_err(|_| SealError::BadKey)?;
    let sealed = key.seal(&mut OsRng, plain).map_err(|_| SealError::CannotSeal)?;
    Ok(STANDARD.encode(sealed))
}

/// Seals secret values.
pub fn seal_values(public_key: &str, values: &SecretValues) -> Result<String, SealError> {
    let exposed: BTreeMap<&str, &str> =
        values.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect();
    let plain = Zeroizing::new(serde_json::to_vec(&exposed).map_err(|_| SealError::CannotSeal)?);
    seal(public_key, &plain)
}

/// Seals credentials.
pub fn seal_credentials(public_key: &str, made: &Credentials) -> Result<String, SealError> {
    let plain = Zeroizing::new(serde_json::to_vec(made).map_err(|_| SealError::CannotSeal)?);
    seal(public_key, &plain)
}
