//! Access requests: what was asked, how it stands, and which step may follow which.
//!
//! [`TRANSITIONS`] holds every arrow between states, and nothing else changes a state: the app
//! calls [`RequestState::may_become`] in the transaction that writes the new one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    flow::FlowPolicy,
    ids::{
        ApprovalId, BundleId, FlowId, IntegrationId, PermissionId, RequestId, ResourceId,
        SessionId, UnitId, UserId,
    },
    people::UnknownWord,
};

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RequestState {
    /// Being filed; never outlives its transaction unless that transaction decides so.
    Initializing,
    /// Waits for the requestor's second factor.
    #[serde(rename = "PendingMFA")]
    PendingMfa,
    /// Waits for approvers.
    Pending,
    /// Decided; being put in place, or being cleaned up after it could not be.
    Granting,
    /// In place, at least in part.
    Active,
    /// Being removed; never given up.
    Revoking,
    /// Gone, with a receipt.
    Revoked,
    /// An approver said no.
    Rejected,
    /// Ended before access began: by the requestor, the flow, or an approval that expired.
    Cancelled,
    /// Could not be put in place, and a read-back showed that nothing is left.
    Failed,
}

/// Every arrow there is.
pub const TRANSITIONS: &[(RequestState, RequestState)] = {
    use RequestState::{
        Active, Cancelled, Failed, Granting, Initializing, Pending, PendingMfa, Rejected, Revoked,
        Revoking,
    };
    &[
        (Initializing, PendingMfa),
        (Initializing, Pending),
        (Initializing, Granting),
        (Initializing, Cancelled),
        (PendingMfa, Pending),
        (PendingMfa, Granting),
        (PendingMfa, Rejected),
        (PendingMfa, Cancelled),
        (Pending, Granting),
        (Pending, Rejected),
        (Pending, Cancelled),
        (Granting, Active),
        (Granting, Failed),
        (Granting, Revoking),
        (Active, Revoking),
        (Revoking, Revoked),
    ]
};

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Initializing,
        Self::PendingMfa,
        Self::Pending,
        Self::Granting,
        Self::Active,
        Self::Revoking,
        Self::Revoked,
        Self::Rejected,
        Self::Cancelled,
        Self::Failed,
    ];

    /// The state's own name, as the portal, the audit trail and the database say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "Initializing",
            Self::PendingMfa => "PendingMFA",
            Self::Pending => "Pending",
            Self::Granting => "Granting",
            Self::Active => "Active",
            Self::Revoking => "Revoking",
            Self::Revoked => "Revoked",
            Self::Rejected => "Rejected",
            Self::Cancelled => "Cancelled",
            Self::Failed => "Failed",
        }
    }

    /// The state with this name of its own.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The word on the wire of v4, delegated requests and the client API, which know nine.
    pub fn wire_word(self) -> &'static str {
        match self {
            Self::Cancelled => Self::Revoked.as_str(),
            other => other.as_str(),
        }
    }

    /// The word on the wire of v3, which knows seven.
    pub fn legacy_word(self) -> &'static str {
        match self {
            Self::Initializing | Self::PendingMfa | Self::Pending => "PENDING",
            Self::Granting => "APPROVED",
            Self::Active => "GRANTED",
            Self::Rejected => "REJECTED",
            Self::Revoking => "REVOKING",
            Self::Revoked | Self::Cancelled => "EXPIRED",
            Self::Failed => "FAILED",
        }
    }

    /// The states a wire word stands for, in any letter case.
    pub fn from_wire_word(word: &str) -> Result<Vec<Self>, UnknownWord> {
        let states: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|state| state.wire_word().eq_ignore_ascii_case(word))
            .collect();
        if states.is_empty() {
            let known = Self::ALL.into_iter().filter(|state| *state != Self::Cancelled);
            return Err(UnknownWord::new("status", word, known.map(Self::as_str)));
        }
        Ok(states)
    }

    /// Whether the arrow from here to `next` exists.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.contains(&(self, next))
    }

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        !TRANSITIONS.iter().any(|(from, _)| *from == self)
    }

    /// Whether a decision or a second factor is still awaited.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Initializing | Self::PendingMfa | Self::Pending)
    }

    /// Whether access may exist in a target because of a request in this state.
    pub fn may_hold_access(self) -> bool {
        matches!(self, Self::Granting | Self::Active | Self::Revoking)
    }
}

/// A request for access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// Names it on the wire.
    pub id: RequestId,
    /// The number people say: `AR-7`. Grows by one per request.
    pub number: i64,
    /// Who asked.
    pub requestor_id: UserId,
    /// Who is to have access.
    pub grantee_id: UserId,
    /// Whether an Admin filed it so that policy looks at the grantee as if they had asked. The
    /// Admin is the requestor all the same, and decides about it no more than the grantee does.
    pub asked_as_grantee: bool,
    /// The governing flow.
    pub flow_id: FlowId,
    /// Its version when it was chosen.
    pub flow_version: i64,
    /// What it said then. The request must satisfy this, and still be allowed by the flow's
    /// current version, at decision and at grant.
    pub flow_policy: FlowPolicy,
    /// The bundle it was asked through.
    pub bundle_id: Option<BundleId>,
    /// Where it stands.
    pub state: RequestState,
    /// Why it stands there, where somebody or something other than the plain course decided.
    pub state_reason: Option<String>,
    /// Why access is wanted.
    pub justification: Option<String>,
    /// Granted length in seconds; `None` means until revoked. An approver may shorten it.
    pub duration_sec: Option<i64>,
    /// Whether the caller named the duration (and not the flow's maximum was taken).
    pub duration_was_asked: bool,
    /// Further fields of the form.
    pub custom_fields: BTreeMap<String, String>,
    /// What was asked, made short by [`crate::policy::digest::request_digest`]; approvals are
    /// bound to it.
    pub digest: String,
    /// When each tier of escalation was told, in order; empty before any.
    pub escalations: Vec<Timestamp>,
    /// When it was filed.
    pub created_at: Timestamp,
    /// When it was decided (also when no approval was needed).
    pub decided_at: Option<Timestamp>,
    /// The end of access, fixed when Granting began; `None` before, or without an end. Only an
    /// extension moves it, and not before the target has the later end.
    pub ends_at: Option<Timestamp>,
    /// The later end that was asked for and that not every target has yet; until then
    /// `ends_at` stands.
    pub extending_to: Option<Timestamp>,
    /// How often the end was moved.
    pub extension_count: u32,
    /// When access began: the first unit was proved in place.
    pub granted_at: Option<Timestamp>,
    /// When granting stops being tried.
    pub grant_deadline: Option<Timestamp>,
    /// When access had ended, proved by a receipt; `None` if it never began.
    pub ended_at: Option<Timestamp>,
    /// When it was asked to end early.
    pub revoke_requested_at: Option<Timestamp>,
    /// When the requestor gave the second factor for it; `None` if it was filed without one.
    pub second_factor_at: Option<Timestamp>,
    /// Grows with every change of the row; guards against lost updates.
    pub version: i64,
}

/// One entitlement of a request. What it names is frozen at submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestUnit {
    /// Names the unit and its claim.
    pub id: UnitId,
    /// The request it belongs to.
    pub request_id: RequestId,
    /// The integration of the resource.
    pub integration_id: IntegrationId,
    /// The resource.
    pub resource_id: ResourceId,
    /// Its type when asked.
    pub resource_type: String,
    /// Its native id when asked.
    pub resource_source_id: String,
    /// Its name when asked.
    pub resource_name: String,
    /// Its path when asked.
    pub resource_path: String,
    /// Its context when asked: a table whose oid has changed since is another table.
    pub resource_context: BTreeMap<String, String>,
    /// The permission.
    pub permission_id: PermissionId,
    /// Its name.
    pub permission: String,
    /// How it stands.
    pub state: UnitState,
    /// Why it failed, in words a person can act on.
    pub error: Option<String>,
    /// The session that carries its claim, once Granting began.
    pub session_id: Option<SessionId>,
    /// When its claim ends; the request's end. `None` without an end, or before Granting.
    pub ends_at: Option<Timestamp>,
    /// The later end that the target does not have yet.
    pub extends_to: Option<Timestamp>,
}

/// How one unit stands. From [`UnitState::Wanted`] to before [`UnitState::Ended`] the unit is a
/// *claim*: it counts on its (principal, target, permission) triple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitState {
    /// The request is not decided, or was decided against: no claim.
    Idle,
    /// To be put in place.
    Wanted,
    /// Proved in place.
    Held,
    /// To be removed.
    Ending,
    /// Proved gone.
    Ended,
    /// Could not be put in place; proved gone.
    Failed,
    /// Closed by `admin integration retire`: the target is gone for good, nothing was proved.
    NotProven,
}

impl UnitState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Wanted,
        Self::Held,
        Self::Ending,
        Self::Ended,
        Self::Failed,
        Self::NotProven,
    ];

    /// The state's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Wanted => "wanted",
            Self::Held => "held",
            Self::Ending => "ending",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::NotProven => "not_proven",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the unit counts on its triple: the target should hold, or may still hold, it.
    pub fn is_claim(self) -> bool {
        matches!(self, Self::Wanted | Self::Held | Self::Ending)
    }

    /// Whether the target should hold it.
    pub fn is_desired(self) -> bool {
        matches!(self, Self::Wanted | Self::Held)
    }

    /// The word on the wire for a unit that stands so, of a request in `state`.
    pub fn wire_word(self, state: RequestState) -> &'static str {
        match self {
            Self::Idle => state.wire_word(),
            Self::Wanted => RequestState::Granting.as_str(),
            Self::Held => RequestState::Active.as_str(),
            Self::Ending => RequestState::Revoking.as_str(),
            Self::Ended | Self::NotProven => RequestState::Revoked.as_str(),
            Self::Failed => RequestState::Failed.as_str(),
        }
    }
}

impl RequestUnit {
    /// The word on the wire for this unit of a request in `state`.
    pub fn wire_word(&self, state: RequestState) -> &'static str {
        self.state.wire_word(state)
    }
}

/// What an approver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

/// One decision of one person about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Names the decision.
    pub id: ApprovalId,
    /// The request.
    pub request_id: RequestId,
    /// Who decided.
    pub approver_id: UserId,
    /// What was said.
    pub decision: Decision,
    /// Why.
    pub reason: Option<String>,
    /// What it was said about; it counts only while [`crate::policy::digest::covers`] says that
    /// this still covers the request's digest.
    pub digest: String,
    /// Whether an Admin decided in place of the approvers.
    pub forced: bool,
    /// When.
    pub at: Timestamp,
}
