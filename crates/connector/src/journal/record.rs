//! The journal's records and how a line holds one: 16 hexadecimal digits of the SHA-256 of the
//! rest, a space, the record as JSON, a newline. A line that ends early or does not match its
//! digits is no record.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, SessionId, UnitId},
    provisioning::ExpiredClaim,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// First line of every journal: what the file is, and the version of its records.
pub(crate) const HEADER: &str = "latchkey-journal 1\n";

const DIGITS: usize = 16;

/// A principal in an integration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The integration.
    pub integration: IntegrationId,
    /// The principal's name in the target.
    pub principal: String,
}

/// A claim that is, or may be, in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalClaim {
    /// The unit that claims it.
    pub unit: UnitId,
    /// When it ends, on the server's clock; `None` until revoked.
    pub ends_at: Option<Timestamp>,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Written before a grant: from here on these claims may be in the target.
    Leased {
        /// Who holds them.
        #[serde(flatten)]
        holder: Holder,
        /// The session the principal belongs to.
        session: SessionId,
        /// The fence of the delivery.
        fence: i64,
        /// The claims; a claim that is known takes the new end.
        claims: Vec<JournalClaim>,
    },
    /// A receipt showed that these claims are not in the target, or need no watching.
    Settled {
        /// Who held them.
        #[serde(flatten)]
        holder: Holder,
        /// The claims; `None` for all of the holder.
        units: Option<Vec<UnitId>>,
        /// Given where the evidence is a sweep of ended claims: a claim whose end was moved
        /// beyond it since stays.
        #[serde(default)]
        ended_by: Option<Timestamp>,
    },
    /// The connector removed claims at their end by itself.
    Expired {
        /// Who held them.
        #[serde(flatten)]
        holder: Holder,
        /// The claims, and when they were removed by the target's clock.
        claims: Vec<ExpiredClaim>,
        /// The server's time as the connector knew it; a claim that ends later stays watched.
        ended_by: Timestamp,
    },
    /// The server has been told of claims that the connector ended.
    Reported {
        /// Who held them.
        #[serde(flatten)]
        holder: Holder,
        /// The claims.
        units: Vec<UnitId>,
    },
}

impl Record {
    /// The line that holds the record, with its newline.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        let json = serde_json::to_string(self)?;
        Ok(format!("{} {json}\n", checksum(&json)))
    }
}

fn checksum(json: &str) -> String {
    hex::encode(Sha256::digest(json.as_bytes())).chars().take(DIGITS).collect()
}

/// What was read from a journal file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Where the last whole line ends, in bytes: what follows is a torn write.
    pub whole: u64,
    /// Lines before the last that are no records: the file was damaged, not torn.
    pub damaged: usize,
}

/// Reads the content of a journal file. A torn tail is left out; it was never relied upon,
/// since a grant starts only after its record is on disk.
pub fn replay(content: &[u8]) -> Result<Replay, UnknownVersion> {
    let mut replay = Replay::default();
    let mut at = 0_u64;
    let mut lines = content.split_inclusive(|byte| *byte == b'\n').peekable();
    match lines.next() {
        Some(header) if header == HEADER.as_bytes() => at += header.len() as u64,
        Some(torn) if HEADER.as_bytes().starts_with(torn) => return Ok(replay),
        None => return Ok(replay),
        Some(_) => return Err(UnknownVersion),
    }
    replay.whole = at;
    while let Some(line) = lines.next() {
        at += line.len() as u64;
        match read_line(line) {
            Some(record) => {
                replay.records.push(record);
                replay.whole = at;
            }
            None if lines.peek().is_some() => replay.damaged += 1,
            None => {}
        }
    }
    Ok(replay)
}

/// The file does not begin like a journal of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a journal of this version of Latchkey; start the newer version that wrote it")]
pub struct UnknownVersion;

fn read_line(line: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (digits, json) = text.split_once(' ')?;
    (digits == checksum(json)).then(|| serde_json::from_str(json).ok()).flatten()
}
