//! Access sessions: what a grantee connects with in one integration.
//!
//! One live session per (grantee, integration). Requests join it; each of their units is a
//! claim with its own end. A session whose last claim has begun to end takes no more joiners:
//! the next request gets a new session, with the next generation and a new principal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{IntegrationId, SessionId, UserId};

/// Whether a session takes joiners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Has claims, takes joiners.
    Live,
    /// Its last claim has begun to end; takes none.
    Ending,
    /// Its principal is proved gone.
    Ended,
}

impl SessionState {
    /// The state's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Live, Self::Ending, Self::Ended].into_iter().find(|s| s.as_str() == name)
    }
}

/// Whether a session's credentials can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CredentialsStatus {
    /// Made, not yet shown.
    Available,
    /// Shown once to the grantee.
    Viewed,
    /// New ones are on the way.
    Resetting,
    /// The session works without credentials.
    NotApplicable,
}

impl CredentialsStatus {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Viewed => "VIEWED",
            Self::Resetting => "RESETTING",
            Self::NotApplicable => "NOT_APPLICABLE",
        }
    }

    /// The status with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Available, Self::Viewed, Self::Resetting, Self::NotApplicable]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// What a grantee connects with in one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSession {
    /// Named in the target's marker.
    pub id: SessionId,
    /// Where it is.
    pub integration_id: IntegrationId,
    /// Whose it is.
    pub grantee_id: UserId,
    /// Grows by one per (grantee, integration); part of the principal's name, so that a late
    /// effect for an ended session can never hit its successor.
    pub generation: i64,
    /// The principal's name in the target, such as `lk_u_…`. No part of it names a person.
    pub principal: String,
    /// Whether it takes joiners.
    pub state: SessionState,
    /// What the fences of deliveries are counted from: a delivery's fence is this plus the
    /// number of its lease. Only grows, above every fence that was written at the target.
    pub fence: i64,
    /// Grows with every change of what the target should hold.
    pub desired_version: i64,
    /// The desired version that the target was last proved to hold.
    pub applied_version: i64,
    /// Whether credentials can be shown.
    pub credentials_status: CredentialsStatus,
    /// Whether the integration type makes credentials that can be made anew.
    pub can_reset_credentials: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When its principal was proved gone.
    pub ended_at: Option<Timestamp>,
}
