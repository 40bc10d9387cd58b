//! What a process leaves to the next one on the same data folder: which process it was, so that
//! its leases are taken back at once; the newest audit head it saw, to be echoed; how far the
//! server's clock was off. Holds no secret.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use latchkey_domain::ids::{ConnectorSessionId, InstallationId};
use latchkey_protocol::{AuditHead, HeartbeatAnswer};
use serde::{Deserialize, Serialize};

use crate::folder::{Folder, FolderError};

const FILE: &str = "state.json";

/// A change of the clock's offset below this is not worth a write.
const OFFSET_WORTH_NOTING_MS: i64 = 100;

/// The content of the file. Unknown members are ignored, so that an older version can start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(default)]
    pub(crate) session_id: Option<ConnectorSessionId>,
    #[serde(default)]
    pub(crate) installation_id: Option<InstallationId>,
    #[serde(default)]
    pub(crate) audit_head: Option<AuditHead>,
    #[serde(default)]
    pub(crate) server_offset_ms: i64,
}

/// The file, and its content in memory.
#[derive(Debug)]
pub(crate) struct StateFile {
    folder: Arc<Folder>,
    state: Mutex<State>,
}

impl StateFile {
    /// Reads the folder's state. One that cannot be read is left behind: everything in it is
    /// learned again.
    pub(crate) fn open(folder: Arc<Folder>) -> Result<Self, FolderError> {
        let state = match folder.read(FILE)? {
            None => State::default(),
            Some(content) => serde_json::from_slice(&content).unwrap_or_else(|error| {
                tracing::warn!(error = %error, "The connector's state.json was damaged and is made anew.");
                State::default()
            }),
        };
        Ok(Self { folder, state: Mutex::new(state) })
    }

    /// The state as it is.
    pub(crate) fn get(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what a heartbeat brought, and that the server knows this process. An older
    /// audit head never takes a newer one's place: that a chain got shorter is what shows.
    pub(crate) async fn heard(
        &self,
        session: &ConnectorSessionId,
        answer: &HeartbeatAnswer,
        offset: SignedDuration,
    ) {
        let former = self.get();
        let mut next = former.clone();
        next.session_id = Some(session.clone());
        if next.installation_id.as_ref() != Some(&answer.installation_id) {
            next.installation_id = Some(answer.installation_id.clone());
            next.audit_head = None;
        }
        if let Some(head) = &answer.audit_head {
            let is_newer =
                next.audit_head.as_ref().is_none_or(|known| head.sequence > known.sequence);
            if is_newer {
                next.audit_head = Some(head.clone());
            }
        }
        let offset_ms = i64::try_from(offset.as_millis()).unwrap_or(0);
        if offset_ms.abs_diff(next.server_offset_ms) >= OFFSET_WORTH_NOTING_MS.unsigned_abs() {
            next.server_offset_ms = offset_ms;
        }
        if next == former {
            return;
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        let folder = Arc::clone(&self.folder);
        let written = tokio::task::spawn_blocking(move || {
            let content = serde_json::to_vec(&next).unwrap_or_default();
            folder.replace(FILE, &content)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(error = %error, "The connector's state.json could not be written.");
        }
    }
}
