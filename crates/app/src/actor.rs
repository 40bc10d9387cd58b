//! Who calls a use case.
//!
//! Invariant: an actor is made from rows read for this very call, never from a cache, so a role
//! that was taken away or a user who was disabled counts at once on every server.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::{ConnectorId, TokenId, UserId},
    people::{Role, TokenScope, User, UserStatus},
    sign_in::WebSession,
};

use crate::{
    authorization::{self, Operation},
    error::AppError,
};

/// A person who calls, or the command line on the server's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The person, as read for this call.
    pub user: User,
    /// What the token or browser session may be used for, at most.
    pub scopes: BTreeSet<TokenScope>,
    /// The token, where one was used.
    pub token_id: Option<TokenId>,
    /// The browser session, where that was used; never with a token.
    pub web_session: Option<WebSession>,
    /// Whether this is the command line; `user` is then a stand-in that no row refers to.
    command_line: bool,
}

impl Actor {
    /// A person with what the token in hand allows.
    pub fn new(user: User, scopes: BTreeSet<TokenScope>, token_id: Option<TokenId>) -> Self {
        Self { user, scopes, token_id, web_session: None, command_line: false }
    }

    /// A person in a browser, who may do what their roles allow.
    pub fn in_browser(user: User, session: WebSession) -> Self {
        let scopes =
            [TokenScope::Read, TokenScope::Request, TokenScope::Decide, TokenScope::Admin].into();
        Self { user, scopes, token_id: None, web_session: Some(session), command_line: false }
    }

    /// Somebody with a shell on the server's machine, who could read the database anyway: may
    /// do all that an Admin may do in the admin area, and nothing that needs a person of its own.
    pub fn command_line() -> Self {
        let user = User {
            id: UserId::new("command-line"),
            email: String::new(),
            email_aliases: Vec::new(),
            first_name: "Command".to_owned(),
            last_name: "line".to_owned(),
            status: UserStatus::Active,
            roles: BTreeSet::from([Role::Admin]),
            source_integration_id: None,
            source_id: None,
            manager_id: None,
            created_at: Timestamp::UNIX_EPOCH,
        };
        let scopes = TokenScope::ALL.into_iter().collect();
        Self { user, scopes, token_id: None, web_session: None, command_line: true }
    }

    /// Whether this is the command line and no person.
    pub fn is_command_line(&self) -> bool {
        self.command_line
    }

    /// Who this is in the audit trail.
    pub fn audit(&self) -> AuditActor {
        if self.command_line {
            return AuditActor::CommandLine;
        }
        AuditActor::User { user_id: self.user.id.clone(), token_id: self.token_id.clone() }
    }

    /// Whether the person has the role now.
    pub fn has_role(&self, role: Role) -> bool {
        self.user.roles.contains(&role)
    }

    /// Whether the table of [`authorization`] lets this actor do the operation.
    pub fn may(&self, operation: Operation) -> bool {
        self.require(operation).is_ok()
    }

    /// Refuses with 403 unless the table of [`authorization`] lets this actor do the operation.
    /// Called before anything is looked up, so that a refusal says nothing about what exists.
    pub fn require(&self, operation: Operation) -> Result<(), AppError> {
        authorization::check(self, operation)
    }
}

/// A connector that calls, through one of its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorActor {
    /// The connector whose token was shown.
    pub connector_id: ConnectorId,
}

impl ConnectorActor {
    /// Who this is in the audit trail.
    pub fn audit(&self) -> AuditActor {
        AuditActor::Connector { connector_id: self.connector_id.clone() }
    }
}
