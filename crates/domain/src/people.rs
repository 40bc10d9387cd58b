//! People, groups, roles and tokens' scopes.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AttributeValueId, GroupId, IntegrationId, TokenId, UserId};

/// Whether a person may act and hold access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// May sign in, ask, decide and hold access.
    Active,
    /// Switched off; everything that hung on the person has ended.
    Disabled,
}

/// A person (or machine) that can ask, decide or hold access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Never reused, even when the person is deleted and made anew.
    pub id: UserId,
    /// Primary e-mail address, as written; compared without letter case.
    pub email: String,
    /// Further addresses of the same person.
    pub email_aliases: Vec<String>,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Whether the person may act.
    pub status: UserStatus,
    /// Roles in the admin area; empty for people who use the portal only.
    pub roles: BTreeSet<Role>,
    /// The identity source this person was synced from; `None` when made here.
    pub source_integration_id: Option<IntegrationId>,
    /// The person's id in that source.
    pub source_id: Option<String>,
    /// The person's manager, where a source says so.
    pub manager_id: Option<UserId>,
    /// When the person was first known.
    pub created_at: Timestamp,
}

impl User {
    /// The name shown to people: given and family name, or the e-mail without them.
    pub fn display_name(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        match name.trim() {
            "" => self.email.clone(),
            name => name.to_owned(),
        }
    }

    /// Whether the person may act and hold access.
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }
}

/// An address in the form in which addresses are compared: trimmed, in lower case.
pub fn normalize_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Never reused.
    pub id: GroupId,
    /// Unique without letter case among managed groups.
    pub name: String,
    /// The identity source this group was synced from; `None` for managed groups.
    pub source_integration_id: Option<IntegrationId>,
    /// The group's id in that source.
    pub source_id: Option<String>,
    /// When the group was first known.
    pub created_at: Timestamp,
}

/// A value of an identity attribute other than user and group, such as `okta_city` = `Berlin`. It
/// is an identity of its own, which many people may have; what was set here and what a source
/// says are two identities, even with the same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeValue {
    /// Derived: from the text, or from the source's id for it.
    pub id: AttributeValueId,
    /// Its type, as conditions name it.
    pub attribute_type: String,
    /// The text that people see; compared without letter case.
    pub value: String,
    /// The identity source that says so; `None` when set here.
    pub source_integration_id: Option<IntegrationId>,
    /// The value's id in that source.
    pub source_id: Option<String>,
    /// When it was first known.
    pub created_at: Timestamp,
}

/// A person's value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAttribute {
    /// The value.
    pub identity: AttributeValue,
    /// Its text as it was sent for this person; may differ in letter case.
    pub text: String,
}

/// What can be named in a condition: a user, a group or a value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which of them.
    pub kind: IdentityKind,
    /// Its id here.
    pub id: String,
    /// The user's address, the group's name or the attribute's text.
    pub value: String,
    /// The identity source it comes from; `None` when made here.
    pub source_integration_id: Option<IntegrationId>,
    /// Its id in that source.
    pub source_id: Option<String>,
    /// When it was first known.
    pub created_at: Timestamp,
}

/// A kind of identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A value of an attribute of this type.
    Attribute(String),
}

/// A role in the admin area. What each may do: `docs/api.md`, "Roles".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Admin,
    /// Flows, bundles, scopes, groups, reports.
    #[serde(rename = "Power User")]
    PowerUser,
    /// Connectors and integrations; reads the rest.
    Deployment,
    /// Reads everything, changes nothing.
    Viewer,
}

impl Role {
    /// Every role, in the order in which they are documented.
    pub const ALL: [Self; 4] = [Self::Admin, Self::PowerUser, Self::Deployment, Self::Viewer];

    /// The role's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::PowerUser => "Power User",
            Self::Deployment => "Deployment",
            Self::Viewer => "Viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownWord::new("role", text, Self::ALL.map(Self::as_str)))
    }
}

/// What a token may be used for, at most. The effective right is this, cut by the roles its
/// user has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Read what the user may read.
    Read,
    /// File, end and repeat requests; read connection details; reset credentials.
    Request,
    /// Approve and reject.
    Decide,
    /// Change what the user's role may change.
    Admin,
    /// SCIM provisioning only.
    Scim,
    /// The connector protocol only.
    Connector,
}

impl TokenScope {
    /// Every scope, in the order in which they are documented.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Request, Self::Decide, Self::Admin, Self::Scim, Self::Connector];

    /// The scope's name on the command line and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Request => "request",
            Self::Decide => "decide",
            Self::Admin => "admin",
            Self::Scim => "scim",
            Self::Connector => "connector",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenScope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownWord::new("token scope", text, Self::ALL.map(Self::as_str)))
    }
}

/// An API token as stored: never the secret, only a keyed hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Names the token in lists and in the audit trail.
    pub id: TokenId,
    /// Whose token it is.
    pub user_id: UserId,
    /// The owner's label.
    pub name: String,
    /// Hash of the secret part; see the identity crate.
    pub secret_hash: String,
    /// What it may be used for, at most.
    pub scopes: BTreeSet<TokenScope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was ended early.
    pub revoked_at: Option<Timestamp>,
}

/// A word that is none of those a member accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {word:?}; use one of {}", .known.join(", "))]
pub struct UnknownWord {
    /// What the word should have named, such as `role`.
    pub what: &'static str,
    /// The word as it came.
    pub word: String,
    /// The words that are accepted.
    pub known: Vec<&'static str>,
}

impl UnknownWord {
    /// An error naming the accepted words.
    pub fn new(
        what: &'static str,
        word: &str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        Self { what, word: word.to_owned(), known: known.into_iter().collect() }
    }
}
