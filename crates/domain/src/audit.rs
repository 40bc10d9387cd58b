//! Who did what: the actor of a use case, and the record it leaves.

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectorId, TokenId, UserId};

/// Who acts, as the audit trail names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditActor {
    /// A person, through a token or a browser session.
    User {
        /// The person.
        user_id: UserId,
        /// The token, where one was used.
        #[serde(skip_serializing_if = "Option::is_none")]
        token_id: Option<TokenId>,
    },
    /// A connector.
    Connector {
        /// The connector.
        connector_id: ConnectorId,
    },
    /// The server itself: a timer, a reconciler.
    System,
    /// Somebody with a shell on the server's machine.
    CommandLine,
}

/// What to write into the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Who acted.
    pub actor: AuditActor,
    /// What was done, in dotted form: `access_request.created`.
    pub action: &'static str,
    /// The kind of the thing it was done to: `access_request`.
    pub object_type: &'static str,
    /// Its id.
    pub object_id: String,
    /// Further facts. Never a secret.
    pub detail: serde_json::Value,
}
