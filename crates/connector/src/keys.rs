//! The connector's own key, made at the first start and kept in its data folder. From it come
//! the key pair that the server seals platform-stored secrets to, and the key under which the
//! connector keeps at rest what it needs while the server is away.

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_domain::clock::Rng;
use latchkey_protocol::sealing::{SealError, SealingKey, SecretValues};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::folder::{Folder, FolderError};

/// File name in the data folder.
const FILE: &str = "connector.key";

/// Bytes of an AES-GCM-SIV nonce (RFC 8452).
const NONCE_BYTES: usize = 12;

/// The keys of one data folder.
pub(crate) struct ConnectorKey {
    sealing: SealingKey,
    at_rest: Aes256GcmSiv,
}

impl std::fmt::Debug for ConnectorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorKey").finish_non_exhaustive()
    }
}

impl ConnectorKey {
    /// Reads the folder's key, or makes one.
    pub(crate) fn open_or_create(folder: &Folder, rng: &dyn Rng) -> Result<Self, FolderError> {
        if let Some(content) = folder.read(FILE)? {
            let content = Zeroizing::new(content);
            let mut secret = Zeroizing::new([0_u8; 32]);
            hex::decode_to_slice(content.trim_ascii(), secret.as_mut()).map_err(|_| {
                FolderError::Damaged {
                    path: folder.file(FILE),
                    message: "it should hold 64 hexadecimal digits. Restore it, or remove it \
                              together with targets.sealed: the connector then makes a new key"
                        .to_owned(),
                }
            })?;
            return Ok(Self::derive(&secret));
        }
        let secret = Zeroizing::new(rng.bytes::<32>());
        let text = Zeroizing::new(hex::encode(secret.as_ref()));
        folder.replace(FILE, text.as_bytes())?;
        Ok(Self::derive(&secret))
    }

    fn derive(secret: &[u8; 32]) -> Self {
        let derived = |purpose: &str| -> [u8; 32] {
            Sha256::new()
                .chain_update(purpose)
                .chain_update([0])
                .chain_update(secret)
                .finalize()
                .into()
        };
        let at_rest = Zeroizing::new(derived("latchkey connector at rest"));
        Self {
            sealing: SealingKey::from_bytes(derived("latchkey connector x25519")),
            at_rest: Aes256GcmSiv::new(at_rest.as_ref().into()),
        }
    }

    /// The public key that secrets for this connector are sealed to, base64.
    pub(crate) fn public_key(&self) -> String {
        self.sealing.public_key()
    }

    /// Opens secret values that the server sealed to this connector.
    pub(crate) fn open_values(&self, sealed: &str) -> Result<SecretValues, SealError> {
        self.sealing.open_values(sealed)
    }

    /// Seals `plain` for this folder's own use; `label` says what it is and is checked when it
    /// is opened.
    pub(crate) fn seal_at_rest(
        &self,
        label: &str,
        plain: &[u8],
        rng: &dyn Rng,
    ) -> Result<String, SealError> {
        let nonce = rng.bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: label.as_bytes() };
        let sealed = self
            .at_rest
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| SealError::CannotSeal)?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Self::seal_at_rest`] made.
    pub(crate) fn open_at_rest(
        &self,
        label: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| SealError::CannotOpen)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(SealError::CannotOpen)?;
        let payload = Payload { msg: sealed, aad: label.as_bytes() };
        self.at_rest
            .decrypt(Nonce::from_slice(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| SealError::CannotOpen)
    }
}
