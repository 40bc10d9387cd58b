//! Checking the audit trail.

use latchkey_domain::ids::AuditId;

use crate::{audit_chain::AuditHead, error::Result, tx::Store};

/// What to check the trail against, beside itself.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Signed heads that were kept elsewhere, such as by connectors.
    pub echoed_heads: Vec<AuditHead>,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many linked records were checked.
    pub records: u64,
    /// How many records are not linked yet.
    pub unlinked: u64,
    /// How many signed heads were checked.
    pub heads: u64,
    /// What is wrong; empty for a trail that holds.
    pub problems: Vec<AuditProblem>,
}

impl AuditReport {
    /// Whether the trail holds.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong with the trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditProblem {
    /// A record's content is not what was written.
    #[error("record {sequence} ({id}) was edited: its content does not match its hash")]
    Edited {
        /// Its place in the chain.
        sequence: i64,
        /// The record.
        id: AuditId,
    },
}

impl Store {
    /// Computes the whole chain again and compares it with what is stored, with every signed
    /// head, and with heads that connectors echoed.
    pub async fn verify_audit(&self, options: &VerifyOptions) -> Result<AuditReport> {
        let _ = options;
        unimplemented!()
    }
}
