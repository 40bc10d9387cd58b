//! Checking the audit trail: every hash is computed again, and the result compared with what is
//! stored, with every signed head, and with the heads that connectors keep. A problem names the
//! record it is about.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{audit::AuditActor, ids::AuditId};

use crate::{
    audit_chain::{AuditHead, Content, HEAD_COLUMNS, chain_hash, genesis, read_head},
    error::Result,
    sql::{Row, Sql, values},
    tx::{Store, Tx},
};

/// How many records are read at a time.
const BATCH: i64 = 1000;

/// How many problems are told one by one; a recomputed chain would else have thousands.
const TOLD: usize = 100;

/// How long a record may wait for its link.
const LINKED_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// What to check the trail against, beside itself.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Signed heads that were kept elsewhere, such as by connectors. Those that connectors
    /// echoed to this database are compared in any case.
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
    /// The newest signed head's number; records after it are covered by hashes only.
    pub signed_up_to: Option<i64>,
    /// What is wrong, the first hundred of it; empty for a trail that holds.
    pub problems: Vec<AuditProblem>,
    /// How many further problems there are.
    pub further_problems: u64,
}

impl AuditReport {
    /// Whether the trail holds.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    fn tell(&mut self, problem: AuditProblem) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        } else {
            self.further_problems += 1;
        }
    }
}

/// A record, as problems name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordName {
    /// Its place in the chain, if it has one.
    pub sequence: Option<i64>,
    /// Its id.
    pub id: AuditId,
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "record {sequence} ({})", self.id),
            None => write!(f, "record {} (not linked yet)", self.id),
        }
    }
}

/// One thing that is wrong with the trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditProblem {
    /// A record's content is not what was written.
    #[error("{record} was edited: its content does not match its hash")]
    Edited {
        /// The record.
        record: RecordName,
    },
    /// A record is not where it was linked.
    #[error(
        "{record} was moved, or its content and hash were replaced: it does not match its \
             place in the chain"
    )]
    Moved {
        /// The record.
        record: RecordName,
    },
    /// A record does not follow the one before it.
    #[error("{record} does not follow {before}: one of the two was replaced after it was linked")]
    Unchained {
        /// The later record.
        record: RecordName,
        /// The one before it.
        before: RecordName,
    },
    /// Numbers are missing.
    #[error("records {first} to {last} are missing: they were deleted")]
    Missing {
        /// The first missing number.
        first: i64,
        /// The last missing number.
        last: i64,
    },
    /// The chain ends before a head that was signed.
    #[error(
        "records {first} to {last} are missing at the end: number {last} was signed at {signed_at}"
    )]
    TailCut {
        /// The first missing number.
        first: i64,
        /// The signed number.
        last: i64,
        /// When it was signed.
        signed_at: Timestamp,
    },
    /// A record is not the one that was signed.
    #[error(
        "{record} is not the one that was signed at {signed_at}: the chain up to it was recomputed"
    )]
    Recomputed {
        /// The record.
        record: RecordName,
        /// When the real one was signed.
        signed_at: Timestamp,
    },
    /// A head that was not signed by this installation's key.
    #[error("the signed head of record {sequence} has a wrong signature: it was edited or forged")]
    BadSignature {
        /// The number it claims.
        sequence: i64,
    },
    /// A record has waited too long for its link.
    #[error("{record} of {at} is not linked into the chain; start a server, or look at its log")]
    Unlinked {
        /// The record.
        record: RecordName,
        /// When it was written.
        at: Timestamp,
    },
}

impl Store {
    /// Computes the whole chain again and compares it with what is stored, with every signed
    /// head, and with heads that connectors echoed.
    pub async fn verify_audit(&self, options: &VerifyOptions) -> Result<AuditReport> {
        self.read(async |tx| {
            let mut check = Check::begin(tx, options).await?;
            check.linked(tx).await?;
            check.beyond_the_end();
            check.unlinked(tx).await?;
            Ok(check.report)
        })
        .await
    }
}

/// A record with everything its hashes are made of.
struct Linked {
    content: Content,
    user: Option<String>,
    hash: String,
    sequence: Option<i64>,
    previous_hash: Option<String>,
    chain_hash: Option<String>,
}

const COLUMNS: &str = "id, at, actor, user_id, action, object_type, object_id, detail, hash, \
     sequence, previous_hash, chain_hash";

fn read_linked(row: &Row) -> Result<Linked> {
    Ok(Linked {
        content: Content {
            id: row.text("id")?,
            at: row.int("at")?,
            actor: row.text("actor")?,
            action: row.text("action")?,
            object_type: row.text("object_type")?,
            object_id: row.text("object_id")?,
            detail: row.text("detail")?,
        },
        user: row.opt_text("user_id")?,
        hash: row.text("hash")?,
        sequence: row.opt_int("sequence")?,
        previous_hash: row.opt_text("previous_hash")?,
        chain_hash: row.opt_text("chain_hash")?,
    })
}

impl Linked {
    fn name(&self) -> RecordName {
        RecordName { sequence: self.sequence, id: AuditId::new(self.content.id.as_str()) }
    }

    /// Whether the content is what was hashed, and the column for look-ups agrees with it.
    fn content_holds(&self) -> bool {
        let user = match serde_json::from_str(&self.content.actor) {
            Ok(AuditActor::User { user_id, .. }) => Some(String::from(user_id)),
            Ok(_) => None,
            Err(_) => return false,
        };
        self.content.hash() == self.hash && user == self.user
    }
}

struct Check {
    report: AuditReport,
    /// Heads still to be met, by number.
    heads: BTreeMap<i64, Vec<AuditHead>>,
    /// The record before, and its chain hash.
    before: Option<(RecordName, String)>,
    last: i64,
    genesis: String,
}

impl Check {
    async fn begin(tx: &mut Tx, options: &VerifyOptions) -> Result<Self> {
        let mut report = AuditReport::default();
        let mut heads: BTreeMap<i64, Vec<AuditHead>> = BTreeMap::new();
        let sql = format!("SELECT {HEAD_COLUMNS} FROM audit_heads ORDER BY sequence");
        let stored = tx.rows(Sql::new(&sql), read_head).await?;
        report.signed_up_to = stored.last().map(|head| head.sequence);
        let echoed = tx.echoed_heads().await?;
        for head in stored.into_iter().chain(echoed).chain(options.echoed_heads.iter().cloned()) {
            report.heads += 1;
            if head.is_signed_by(tx.keys(), tx.installation_id()) {
                heads.entry(head.sequence).or_default().push(head);
            } else {
                report.tell(AuditProblem::BadSignature { sequence: head.sequence });
            }
        }
        let genesis = genesis(tx.installation_id());
        Ok(Self { report, heads, before: None, last: 0, genesis })
    }

    async fn linked(&mut self, tx: &mut Tx) -> Result<()> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit_records WHERE sequence > $1 ORDER BY sequence LIMIT $2"
        );
        let mut from = i64::MIN;
        loop {
            let batch = tx.rows(Sql::with(&sql, values![from, BATCH]), read_linked).await?;
            let Some(sequence) = batch.last().and_then(|record| record.sequence) else {
                return Ok(());
            };
            from = sequence;
            for record in &batch {
                self.record(record);
            }
        }
    }

    fn record(&mut self, record: &Linked) {
        self.report.records += 1;
        let name = record.name();
        let sequence = record.sequence.unwrap_or_default();
        let previous = record.previous_hash.as_deref().unwrap_or_default();
        let chain = record.chain_hash.clone().unwrap_or_default();
        let gap = sequence != self.last + 1;
        if gap {
            let (first, last) = (self.last + 1, sequence - 1);
            self.report.tell(AuditProblem::Missing { first, last });
        }
        if !record.content_holds() {
            self.report.tell(AuditProblem::Edited { record: name.clone() });
        } else if chain_hash(previous, sequence, &record.hash) != chain {
            self.report.tell(AuditProblem::Moved { record: name.clone() });
        } else if !gap {
            match self.before.take() {
                Some((before, hash)) if hash != previous => {
                    self.report.tell(AuditProblem::Unchained { record: name.clone(), before });
                }
                None if self.genesis != previous => {
                    self.report.tell(AuditProblem::Moved { record: name.clone() });
                }
                _ => {}
            }
        }
        for head in self.heads.remove(&sequence).unwrap_or_default() {
            if head.hash != chain {
                let signed_at = head.signed_at;
                self.report.tell(AuditProblem::Recomputed { record: name.clone(), signed_at });
            }
        }
        self.before = Some((name, chain));
        self.last = sequence;
    }

    /// Signed heads after the last record.
    fn beyond_the_end(&mut self) {
        let beyond = self.heads.split_off(&(self.last + 1));
        if let Some(head) = beyond.last_key_value().and_then(|(_, heads)| heads.first()) {
            self.report.tell(AuditProblem::TailCut {
                first: self.last + 1,
                last: head.sequence,
                signed_at: head.signed_at,
            });
        }
    }

    async fn unlinked(&mut self, tx: &mut Tx) -> Result<()> {
        let late = tx.now().saturating_sub(LINKED_WITHIN).unwrap_or(Timestamp::MIN);
        let sql =
            format!("SELECT {COLUMNS} FROM audit_records WHERE sequence IS NULL ORDER BY at, id");
        for record in tx.rows(Sql::new(&sql), read_linked).await? {
            self.report.unlinked += 1;
            if !record.content_holds() {
                self.report.tell(AuditProblem::Edited { record: record.name() });
            }
            if let Ok(at) = Timestamp::from_microsecond(record.content.at)
                && at < late
            {
                self.report.tell(AuditProblem::Unlinked { record: record.name(), at });
            }
        }
        Ok(())
    }
}
