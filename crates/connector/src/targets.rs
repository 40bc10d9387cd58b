//! The target systems this connector knows, kept sealed under its own key: with the server away
//! it can still open each target and end what is over, also access that another process gave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use latchkey_domain::{clock::Rng, ids::IntegrationId};
use latchkey_protocol::{IntegrationTarget, SecretSource};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::{
    folder::{Folder, FolderError},
    keys::ConnectorKey,
};

const FILE: &str = "targets.sealed";
const LABEL: &str = "targets";

/// What a target comes to, secret included: sealing one secret twice gives two texts.
type Fingerprint = [u8; 32];

#[derive(Debug, Clone)]
struct Known {
    target: IntegrationTarget,
    fingerprint: Fingerprint,
}

/// The targets, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Targets {
    folder: Arc<Folder>,
    key: Arc<ConnectorKey>,
    rng: Arc<dyn Rng>,
    known: Mutex<BTreeMap<IntegrationId, Known>>,
    /// Held while the file is written, so that writes land in order.
    writing: tokio::sync::Mutex<()>,
}

impl Targets {
    /// Opens the folder's targets. A file that cannot be opened is left behind with a log line:
    /// the server says the targets again.
    pub(crate) fn open(
        folder: Arc<Folder>,
        key: Arc<ConnectorKey>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, FolderError> {
        let targets: Vec<IntegrationTarget> = match folder.read(FILE)? {
            None => Vec::new(),
            Some(sealed) => key
                .open_at_rest(LABEL, &sealed)
                .ok()
                .and_then(|plain| serde_json::from_slice(&plain).ok())
                .unwrap_or_else(|| {
                    tracing::error!(
                        "The connector's targets.sealed is damaged or was sealed by another \
                         connector.key; its targets are unknown until the server is reached."
                    );
                    Vec::new()
                }),
        };
        let known = targets
            .into_iter()
            .map(|target| {
                let fingerprint = fingerprint(&key, &target);
                (target.id.clone(), Known { target, fingerprint })
            })
            .collect();
        let writing = tokio::sync::Mutex::new(());
        Ok(Self { folder, key, rng, known: Mutex::new(known), writing })
    }

    /// The newest description of a target.
    pub(crate) fn find(&self, id: &IntegrationId) -> Option<IntegrationTarget> {
        self.lock().get(id).map(|known| known.target.clone())
    }

    /// Whether a target is known.
    pub(crate) fn knows(&self, id: &IntegrationId) -> bool {
        self.lock().contains_key(id)
    }

    /// Every integration with a known target.
    pub(crate) fn ids(&self) -> Vec<IntegrationId> {
        self.lock().keys().cloned().collect()
    }

    /// Takes in one target; returns once it is on disk.
    pub(crate) async fn learn(&self, target: &IntegrationTarget) -> Result<(), FolderError> {
        let former = self.lock().get(&target.id).cloned();
        let is_known = former.is_some_and(|known| {
            // Mostly it is sealed as before; else what it comes to counts.
            known.target == *target || known.fingerprint == fingerprint(&self.key, target)
        });
        if is_known {
            return Ok(());
        }
        self.change(std::slice::from_ref(target), |_| true).await
    }

    /// Takes in targets, and drops those that `keep` does not name.
    pub(crate) async fn learn_all(
        &self,
        targets: &[IntegrationTarget],
        keep: impl Fn(&IntegrationId) -> bool,
    ) -> Result<(), FolderError> {
        self.change(targets, keep).await
    }

    async fn change(
        &self,
        targets: &[IntegrationTarget],
        keep: impl Fn(&IntegrationId) -> bool,
    ) -> Result<(), FolderError> {
        let _in_order = self.writing.lock().await;
        let mut next = self.lock().clone();
        let mut changed = false;
        for target in targets {
            if next.get(&target.id).is_some_and(|known| known.target == *target) {
                continue;
            }
            let fingerprint = fingerprint(&self.key, target);
            if next.get(&target.id).is_none_or(|known| known.fingerprint != fingerprint) {
                next.insert(target.id.clone(), Known { target: target.clone(), fingerprint });
                changed = true;
            }
        }
        let before = next.len();
        next.retain(|id, _| keep(id));
        if changed || next.len() != before {
            self.write(&next).await?;
            *self.lock() = next;
        }
        Ok(())
    }

    async fn write(&self, known: &BTreeMap<IntegrationId, Known>) -> Result<(), FolderError> {
        let targets: Vec<&IntegrationTarget> = known.values().map(|known| &known.target).collect();
        let damaged =
            |message: String| FolderError::Damaged { path: self.folder.file(FILE), message };
        let plain = serde_json::to_vec(&targets).map_err(|error| damaged(error.to_string()))?;
        let plain = zeroize::Zeroizing::new(plain);
        let sealed = self
            .key
            .seal_at_rest(LABEL, &plain, self.rng.as_ref())
            .map_err(|error| damaged(error.to_string()))?;
        let folder = Arc::clone(&self.folder);
        tokio::task::spawn_blocking(move || folder.replace(FILE, sealed.as_bytes()))
            .await
            .map_err(|error| damaged(error.to_string()))?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<IntegrationId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same for two descriptions of one target with one secret. Stays in memory.
fn fingerprint(key: &ConnectorKey, target: &IntegrationTarget) -> Fingerprint {
    let mut bare = target.clone();
    let mut hash = Sha256::new();
    if let SecretSource::Platform { sealed } = &target.secret
        && let Ok(values) = key.open_values(sealed)
    {
        bare.secret = SecretSource::Platform { sealed: String::new() };
        for (name, value) in &values {
            for part in [name.as_str(), value.expose_secret()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
    }
    hash.update(serde_json::to_vec(&bare).unwrap_or_default());
    hash.finalize().into()
}
