//! The master key, and the keys derived from it.
//!
//! The master key is the one secret that is not in the database; whoever has both can read
//! everything, and whoever has only the database can read nothing that is sealed. It is 32
//! random bytes, kept as 64 hexadecimal digits in a file that only its owner may read. Every
//! use has a key of its own, derived by HMAC-SHA256 with a label, so that no use can be turned
//! against another.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ed25519_dalek::SigningKey;
use hmac::{Hmac, Mac};
use latchkey_domain::Rng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Name of the key file in the data folder.
const FILE: &str = "master.key";

/// Why the master key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("the master key {path} cannot be read or made: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// Others may read it.
    #[error("the master key {path} may be read by others (mode {mode:04o}); run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a key.
    #[error(
        "{path} is not a master key: it must hold 64 hexadecimal digits; restore it from your \
         backup of the key"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// The keys of one installation. Cloning shares them.
#[derive(Clone)]
pub struct KeyRing(Arc<Keys>);

struct Keys {
    id: String,
    wrapping: Zeroizing<[u8; 32]>,
    server_box: Zeroizing<[u8; 32]>,
    cursor: Zeroizing<[u8; 32]>,
    token: Zeroizing<[u8; 32]>,
    webhook: Zeroizing<[u8; 32]>,
    audit: SigningKey,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// The keys derived from this master key.
    pub fn from_bytes(master: [u8; 32]) -> Self {
        let master = Zeroizing::new(master);
        let id = derive(&master, "latchkey/1/key-id");
        Self(Arc::new(Keys {
            id: hex::encode(id.get(..8).unwrap_or_default()),
            wrapping: derive(&master, "latchkey/1/seal"),
            server_box: derive(&master, "latchkey/1/server-x25519"),
            cursor: derive(&master, "latchkey/1/cursor"),
            token: derive(&master, "latchkey/1/token"),
            webhook: derive(&master, "latchkey/1/webhook"),
            audit: SigningKey::from_bytes(&derive(&master, "latchkey/1/audit-ed25519")),
        }))
    }

    /// The key in `folder/master.key`; made there if there is none. Two processes that start at
    /// once end up with the same key.
    pub fn open_or_create(folder: &Path, rng: &dyn Rng) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        let at = |error| KeyError::Io { path: path.clone(), error };
        match fs::symlink_metadata(&path) {
            Ok(_) => return Self::open_file(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(error)),
        }
        let master: Zeroizing<[u8; 32]> = Zeroizing::new(rng.bytes());
        let suffix: [u8; 8] = rng.bytes();
        let draft = folder.join(format!("{FILE}.{}", hex::encode(suffix)));
        let made = write_key(&draft, &master).and_then(|()| match fs::hard_link(&draft, &path) {
            // Somebody else was first; theirs is the key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
        let removed = fs::remove_file(&draft);
        made.and(removed).and_then(|()| fs::File::open(folder)?.sync_all()).map_err(at)?;
        Self::open_file(&path)
    }

    /// The key in the file at `path`, which must exist and be readable by its owner alone.
    pub fn open_file(path: &Path) -> Result<Self, KeyError> {
        let at = |error| KeyError::Io { path: path.to_owned(), error };
        let file = fs::File::open(path).map_err(at)?;
        let mode = file.metadata().map_err(at)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(128));
        file.take(128).read_to_string(&mut text).map_err(at)?;
        let mut master = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), master.as_mut_slice())
            .map_err(|_| KeyError::Malformed { path: path.to_owned() })?;
        Ok(Self::from_bytes(*master))
    }

    /// Names the master key without telling anything of it; stored in the database.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The X25519 secret key that connectors seal generated credentials to.
    pub fn server_box_key(&self) -> &[u8; 32] {
        &self.0.server_box
    }

    /// The HMAC key that page cursors are signed with.
    pub fn cursor_key(&self) -> &[u8; 32] {
        &self.0.cursor
    }

    /// The HMAC key that tokens are hashed with.
    pub fn token_key(&self) -> &[u8; 32] {
        &self.0.token
    }

    /// The HMAC key that the secrets of webhooks are derived with.
    pub fn webhook_key(&self) -> &[u8; 32] {
        &self.0.webhook
    }

    /// The Ed25519 public key that signed audit heads are checked with.
    pub fn audit_public_key(&self) -> [u8; 32] {
        self.0.audit.verifying_key().to_bytes()
    }

    pub(crate) fn audit_signing_key(&self) -> &SigningKey {
        &self.0.audit
    }

    pub(crate) fn wrapping_key(&self) -> &[u8; 32] {
        &self.0.wrapping
    }
}

fn write_key(path: &Path, master: &[u8; 32]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex::encode(master))));
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn derive(master: &[u8; 32], label: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // HMAC takes keys of every length, so this never fails.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(master) {
        mac.update(label.as_bytes());
        key.copy_from_slice(&mac.finalize().into_bytes());
    }
    key
}
