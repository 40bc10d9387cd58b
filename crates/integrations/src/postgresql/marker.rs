//! The marker in a role's comment: whose principal it is, which fence was seen last, and when
//! each claim ends. It is what fences work off and what lets any process of a connector end
//! access without a journal.
//!
//! Every role of the cluster can read it, so it names no person, no e-mail address and no
//! object: ids only.

use latchkey_domain::ids::{InstallationId, IntegrationId, SessionId, UnitId};
use serde::{Deserialize, Serialize};

use crate::Target;

/// SQL for the comment of the role with this oid, in which its marker stands. The function
/// `shobj_description` says the same and is planned anew by every statement that calls it, which
/// takes longer than all the rest of the statement.
pub(super) fn comment_sql(oid: &str) -> String {
    format!(
        "(SELECT description FROM pg_shdescription WHERE objoid = {oid} AND classoid = \
         'pg_authid'::regclass)"
    )
}

/// Marks a principal: a login role of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PrincipalMarker {
    /// The installation it belongs to.
    pub installation: InstallationId,
    /// The integration it belongs to.
    pub integration: IntegrationId,
    /// The session.
    pub session: SessionId,
    /// The session's generation.
    pub generation: i64,
    /// The highest fence that had an effect.
    pub fence: i64,
    /// Whether its end has begun.
    pub state: State,
    /// When it was made, in milliseconds since 1970 by the target's clock.
    pub created: i64,
    /// Sessions begun before this instant (same scale) are to be ended: they may still use a
    /// right or a password that was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<i64>,
    /// Until then such sessions may still appear: their login had begun when the password was
    /// replaced, and the server lets it end with the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_until: Option<i64>,
    /// Live claims.
    pub claims: Vec<MarkedClaim>,
}

/// Whether a principal lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It may log in.
    Live,
    /// Its end has begun; only removals follow.
    Ending,
}

/// One claim in a marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkedClaim {
    /// The unit.
    pub unit: UnitId,
    /// The oid of the role whose membership gives the right.
    pub role: u32,
    /// When it ends, in milliseconds since 1970 by the target's clock; absent: until revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
}

/// Marks a group role: one right on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupMarker {
    /// The installation it belongs to.
    pub installation: InstallationId,
    /// The integration it belongs to.
    pub integration: IntegrationId,
    /// Database oid.
    pub database: u32,
    /// `database`, `schema` or `table`.
    pub class: String,
    /// The object's oid.
    pub object: u32,
    /// The right.
    pub right: String,
    /// Since when it has had no members, as far as reconcile has seen (milliseconds since 1970
    /// by the target's clock).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<i64>,
}

/// Marks the role that owns what principals leave behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GraveyardMarker {
    /// The installation it belongs to.
    pub installation: InstallationId,
}

/// Marks the role with which `validate` tries a wrong password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProbeMarker {
    /// The installation it belongs to.
    pub installation: InstallationId,
}

/// Any marker, told apart by `latchkey`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "latchkey", rename_all = "snake_case")]
pub(super) enum Marker {
    /// A login role of one session.
    Principal(PrincipalMarker),
    /// One right on one object.
    Group(GroupMarker),
    /// The owner of what is left behind.
    Graveyard(GraveyardMarker),
    /// A role that lives for the length of one login attempt.
    Probe(ProbeMarker),
}

impl Marker {
    /// Reads a role's comment; `None` if it is no marker.
    pub(super) fn read(comment: Option<&str>) -> Option<Self> {
        comment.and_then(|comment| serde_json::from_str(comment).ok())
    }

    /// The comment to write.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl PrincipalMarker {
    /// Whether it belongs to this installation and integration.
    pub(super) fn is_of(&self, target: &Target) -> bool {
        self.installation == target.installation_id && self.integration == target.integration_id
    }
}

impl GroupMarker {
    /// Whether it belongs to this installation and integration.
    pub(super) fn is_of(&self, target: &Target) -> bool {
        self.installation == target.installation_id && self.integration == target.integration_id
    }

    /// The same marker, whatever was noted about its use.
    pub(super) fn same_right(&self, other: &Self) -> bool {
        Self { idle_since: None, ..self.clone() } == Self { idle_since: None, ..other.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_other_comments_are_none() {
        let marker = Marker::Principal(PrincipalMarker {
            installation: InstallationId::new("i"),
            integration: IntegrationId::new("t"),
            session: SessionId::new("s"),
            generation: 2,
            fence: 7,
            state: State::Live,
            created: 1,
            cut: None,
            cut_until: None,
            claims: vec![MarkedClaim { unit: UnitId::new("u"), role: 5, end: Some(9) }],
        });
        assert_eq!(Marker::read(Some(&marker.text())), Some(marker));
        assert_eq!(Marker::read(Some("the app's own role")), None);
        assert_eq!(Marker::read(None), None);
    }
}
