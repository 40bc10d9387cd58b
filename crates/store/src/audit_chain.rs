//! The audit chain.

use jiff::Timestamp;

use crate::{error::Result, tx::Store};

/// A signed head of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of the last record linked.
    pub sequence: i64,
    /// Its chain hash, hexadecimal.
    pub hash: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Ed25519 signature, hexadecimal.
    pub signature: String,
}

impl Store {
    /// Links records that are not linked yet, if `owner` holds or gets the chainer's lease;
    /// returns how many. A bounded number at a time: call again while it is not 0.
    pub async fn link_audit(&self, owner: &str) -> Result<u64> {
        let _ = owner;
        unimplemented!()
    }

    /// Signs the head of the chain if it has grown since the last signature; returns the newest
    /// signed head, `None` for an empty chain.
    pub async fn sign_audit_head(&self) -> Result<Option<AuditHead>> {
        unimplemented!()
    }

    /// The newest signed head.
    pub async fn audit_head(&self) -> Result<Option<AuditHead>> {
        unimplemented!()
    }
}
