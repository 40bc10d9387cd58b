//! The audit chain: what makes an edit, a gap, a cut tail or a recomputed chain show.
//!
//! Every record carries the hash of its own content. One chainer at a time, under a lease, gives
//! unlinked records consecutive numbers and a hash over (the hash before, number, own hash), and
//! never renumbers. Heads of the chain are signed with a key that is not in the database;
//! connectors keep the newest one and echo it. Every hash is SHA-256 over length-prefixed parts.

use std::time::Duration;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use jiff::Timestamp;
use latchkey_domain::ids::InstallationId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    keys::KeyRing,
    sql::{Row, Sql, micros, values},
    tx::{Store, Tx},
};

/// The lease of the one process that links audit records. Whoever works on the database without
/// a server links what it wrote, and releases the lease, before it exits.
pub const AUDIT_CHAINER_LEASE: &str = "audit_chainer";

const LEASE: Duration = Duration::from_secs(10);

/// How many records one step links.
const BATCH: i64 = 500;

/// A signed head of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last record linked.
    pub sequence: i64,
    /// Its chain hash, hexadecimal.
    pub hash: String,
    /// When it was signed, in whole microseconds.
    pub signed_at: Timestamp,
    /// Ed25519 signature, hexadecimal.
    pub signature: String,
}

impl AuditHead {
    /// Whether the signature is that of this installation's audit key.
    pub fn is_signed_by(&self, keys: &KeyRing, installation: &InstallationId) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&keys.audit_public_key()) else { return false };
        let mut signature = [0; 64];
        if hex::decode_to_slice(&self.signature, &mut signature).is_err() {
            return false;
        }
        let message = head_message(installation, self.sequence, &self.hash, self.signed_at);
        key.verify_strict(&message, &Signature::from_bytes(&signature)).is_ok()
    }
}

/// A record's content as it is stored: exactly this is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) object_type: String,
    pub(crate) object_id: String,
    pub(crate) detail: String,
}

impl Content {
    pub(crate) fn hash(&self) -> String {
        hash(&[
            b"latchkey audit record 1",
            self.id.as_bytes(),
            &self.at.to_be_bytes(),
            self.actor.as_bytes(),
            self.action.as_bytes(),
            self.object_type.as_bytes(),
            self.object_id.as_bytes(),
            self.detail.as_bytes(),
        ])
    }
}

/// The hash that stands before record 1.
pub(crate) fn genesis(installation: &InstallationId) -> String {
    hash(&[b"latchkey audit chain 1", installation.as_str().as_bytes()])
}

/// The chain hash of a record.
pub(crate) fn chain_hash(previous: &str, sequence: i64, own: &str) -> String {
    hash(&[previous.as_bytes(), &sequence.to_be_bytes(), own.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn head_message(
    installation: &InstallationId,
    sequence: i64,
    chain_hash: &str,
    signed_at: Timestamp,
) -> Vec<u8> {
    hash(&[
        b"latchkey audit head 1",
        installation.as_str().as_bytes(),
        &sequence.to_be_bytes(),
        chain_hash.as_bytes(),
        &micros(signed_at).to_be_bytes(),
    ])
    .into_bytes()
}

/// Columns that [`read_head`] reads.
pub(crate) const HEAD_COLUMNS: &str = "sequence, hash, signed_at, signature";

pub(crate) fn read_head(row: &Row) -> Result<AuditHead> {
    Ok(AuditHead {
        sequence: row.int("sequence")?,
        hash: row.text("hash")?,
        signed_at: row.time("signed_at")?,
        signature: row.text("signature")?,
    })
}

impl Store {
    /// Links records that are not linked yet, if `owner` holds or gets the chainer's lease;
    /// returns how many. A bounded number at a time: call again while it is not 0.
    pub async fn link_audit(&self, owner: &str) -> Result<u64> {
        // A look costs no commit: an idle server writes nothing.
        if !self.read(async |tx| tx.has_unlinked().await).await? {
            return Ok(0);
        }
        self.write(async |tx| {
            if !tx.acquire_lease(AUDIT_CHAINER_LEASE, owner, LEASE).await? {
                return Ok(0);
            }
            tx.link_unlinked().await
        })
        .await
    }

    /// Signs the head of the chain if it has grown since the last signature; returns the newest
    /// signed head, `None` for an empty chain.
    pub async fn sign_audit_head(&self) -> Result<Option<AuditHead>> {
        self.write(async |tx| tx.sign_head().await).await
    }

    /// The newest signed head.
    pub async fn audit_head(&self) -> Result<Option<AuditHead>> {
        self.read(async |tx| tx.newest_head().await).await
    }
}

impl Tx {
    async fn has_unlinked(&mut self) -> Result<bool> {
        let sql = "SELECT 1 AS n FROM audit_records WHERE sequence IS NULL LIMIT 1";
        Ok(self.row(Sql::new(sql)).await?.is_some())
    }

    async fn link_unlinked(&mut self) -> Result<u64> {
        let sql = Sql::with(
            "SELECT id, hash FROM audit_records WHERE sequence IS NULL ORDER BY at, id LIMIT $1",
            values![BATCH],
        );
        let unlinked = self.rows(sql, |row| Ok((row.text("id")?, row.text("hash")?))).await?;
        if unlinked.is_empty() {
            return Ok(0);
        }
        let (mut sequence, mut previous) = self.end_of_chain().await?;
        let mut linked = 0;
        for (id, own) in unlinked {
            sequence += 1;
            let chain = chain_hash(&previous, sequence, &own);
            let sql = Sql::with(
                "UPDATE audit_records SET sequence = $2, previous_hash = $3, chain_hash = $4 \
                 WHERE id = $1 AND sequence IS NULL",
                values![id, sequence, previous, chain.as_str()],
            );
            linked += self.exec(sql).await?;
            previous = chain;
        }
        Ok(linked)
    }

    /// The last number given and its hash. A signed head beyond the last record means that the
    /// tail was cut: numbering goes on after it, so that the gap stays to be seen.
    async fn end_of_chain(&mut self) -> Result<(i64, String)> {
        let last = self.last_record().await?;
        let head = self.newest_head().await?.map(|head| (head.sequence, head.hash));
        Ok(match (last, head) {
            (Some(last), Some(head)) if head.0 > last.0 => head,
            (Some(last), _) => last,
            (None, Some(head)) => head,
            (None, None) => (0, genesis(self.installation_id())),
        })
    }

    async fn last_record(&mut self) -> Result<Option<(i64, String)>> {
        let sql = Sql::new(
            "SELECT sequence, chain_hash FROM audit_records WHERE sequence IS NOT NULL \
             ORDER BY sequence DESC LIMIT 1",
        );
        let row = self.row(sql).await?;
        row.map(|row| Ok((row.int("sequence")?, row.text("chain_hash")?))).transpose()
    }

    async fn newest_head(&mut self) -> Result<Option<AuditHead>> {
        let sql = format!("SELECT {HEAD_COLUMNS} FROM audit_heads ORDER BY sequence DESC LIMIT 1");
        self.row(Sql::new(&sql)).await?.as_ref().map(read_head).transpose()
    }

    async fn sign_head(&mut self) -> Result<Option<AuditHead>> {
        let newest = self.newest_head().await?;
        let Some((sequence, hash)) = self.last_record().await? else { return Ok(newest) };
        if newest.as_ref().is_some_and(|newest| newest.sequence >= sequence) {
            return Ok(newest);
        }
        let signed_at = self.now();
        let message = head_message(self.installation_id(), sequence, &hash, signed_at);
        let signature = self.keys().audit_signing_key().sign(&message);
        let head =
            AuditHead { sequence, hash, signed_at, signature: hex::encode(signature.to_bytes()) };
        // Two servers may sign the same head at once; one signature is enough.
        let sql = Sql::with(
            "INSERT INTO audit_heads (sequence, hash, signed_at, key_id, signature) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sequence) DO NOTHING",
            values![
                head.sequence,
                head.hash.as_str(),
                micros(head.signed_at),
                self.keys().id().to_owned(),
                head.signature.as_str(),
            ],
        );
        self.exec(sql).await?;
        Ok(Some(head))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> impl Strategy<Value = Content> {
        (any::<i64>(), proptest::collection::vec("[ab\"]{0,3}", 6)).prop_map(|(at, texts)| {
            Content {
                id: texts[0].clone(),
                at,
                actor: texts[1].clone(),
                action: texts[2].clone(),
                object_type: texts[3].clone(),
                object_id: texts[4].clone(),
                detail: texts[5].clone(),
            }
        })
    }

    proptest! {
        #[test]
        fn two_contents_share_a_hash_only_if_they_are_equal(one in content(), other in content()) {
            prop_assert_eq!(one.hash() == other.hash(), one == other);
        }

        #[test]
        fn text_moved_from_one_member_to_the_next_changes_the_hash(mut one in content()) {
            prop_assume!(!one.action.is_empty());
            let before = one.hash();
            let moved = one.action.remove(0);
            one.actor.push(moved);
            prop_assert_ne!(one.hash(), before);
        }
    }

    #[test]
    fn a_head_is_bound_to_installation_number_hash_and_time() {
        let keys = KeyRing::from_bytes([1; 32]);
        let installation = InstallationId::new("here");
        let message = head_message(&installation, 7, "abcd", Timestamp::UNIX_EPOCH);
        let signature = hex::encode(keys.audit_signing_key().sign(&message).to_bytes());
        let head = AuditHead {
            sequence: 7,
            hash: "abcd".to_owned(),
            signed_at: Timestamp::UNIX_EPOCH,
            signature,
        };
        assert!(head.is_signed_by(&keys, &installation));
        assert!(!head.is_signed_by(&keys, &InstallationId::new("there")));
        assert!(!head.is_signed_by(&KeyRing::from_bytes([2; 32]), &installation));
        for changed in [
            AuditHead { sequence: 8, ..head.clone() },
            AuditHead { hash: "abce".to_owned(), ..head.clone() },
            AuditHead { signed_at: Timestamp::MAX, ..head.clone() },
            AuditHead { signature: "00".repeat(64), ..head.clone() },
            AuditHead { signature: "no".to_owned(), ..head.clone() },
        ] {
            assert!(!changed.is_signed_by(&keys, &installation), "{changed:?}");
        }
    }
}
