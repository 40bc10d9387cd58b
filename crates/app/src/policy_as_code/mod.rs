//! Policy as code: integrations, groups, access scopes, bundles and access flows as documents that
//! are kept outside and brought in together.
//!
//! Invariants: all documents of a run take effect in one transaction or none does; each goes
//! through the use case by which people change the same thing, with its checks, its audit record
//! and the work that follows; what says already what its document says is not written at all; a
//! trial is the very run, undone at its end.

mod apply;
mod export;
mod prune;

use latchkey_domain::{access_scope::AccessScope, people::Group};
use latchkey_store::{PageQuery, Tx};

pub use apply::apply_policy;
pub use export::export_policy;

use crate::{
    access_scopes::AccessScopeCommand,
    authorization::Operation,
    bundles::{BundleCommand, BundleView},
    error::AppError,
    flows::{FlowCommand, FlowView},
    groups::CreateGroup,
    integrations::{IntegrationCommand, IntegrationView},
};

/// A kind of thing that documents are about, in the order in which they take effect: what others
/// name comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// A managed group with its members.
    Group,
    /// An integration.
    Integration,
    /// An access scope.
    AccessScope,
    /// A bundle.
    Bundle,
    /// An access flow.
    AccessFlow,
}

impl PolicyKind {
    /// Every kind, in order.
    pub const ALL: [Self; 5] =
        [Self::Group, Self::Integration, Self::AccessScope, Self::Bundle, Self::AccessFlow];

    /// The word for it in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Integration => "integration",
            Self::AccessScope => "access_scope",
            Self::Bundle => "bundle",
            Self::AccessFlow => "access_flow",
        }
    }

    /// The words for it in sentences.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Integration => "integration",
            Self::AccessScope => "access scope",
            Self::Bundle => "bundle",
            Self::AccessFlow => "access flow",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    const fn reading(self) -> Operation {
        match self {
            Self::Group => Operation::ReadGroups,
            Self::Integration => Operation::ReadIntegrations,
            Self::AccessScope => Operation::ReadAccessScopes,
            Self::Bundle => Operation::ReadBundles,
            Self::AccessFlow => Operation::ReadFlows,
        }
    }

    const fn managing(self) -> Operation {
        match self {
            Self::Group => Operation::ManageGroups,
            Self::Integration => Operation::ManageIntegrations,
            Self::AccessScope => Operation::ManageAccessScopes,
            Self::Bundle => Operation::ManageBundles,
            Self::AccessFlow => Operation::ManageFlows,
        }
    }
}

/// What one document says.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it is about; without an id, what has the same name, or something new.
    pub id: Option<String>,
    /// What that is to be.
    pub says: Says,
}

/// What something is to be, whole.
#[derive(Debug, Clone)]
pub enum Says {
    /// A managed group.
    Group(CreateGroup),
    /// An integration.
    Integration {
        /// Its type, which never changes.
        integration_type: String,
        /// All else.
        command: Box<IntegrationCommand>,
    },
    /// An access scope.
    AccessScope(AccessScopeCommand),
    /// A bundle.
    Bundle(BundleCommand),
    /// An access flow.
    AccessFlow(Box<FlowCommand>),
}

impl Says {
    /// What kind of thing it is about.
    pub fn kind(&self) -> PolicyKind {
        match self {
            Self::Group(_) => PolicyKind::Group,
            Self::Integration { .. } => PolicyKind::Integration,
            Self::AccessScope(_) => PolicyKind::AccessScope,
            Self::Bundle(_) => PolicyKind::Bundle,
            Self::AccessFlow(_) => PolicyKind::AccessFlow,
        }
    }

    /// What it is to be called.
    pub fn name(&self) -> &str {
        match self {
            Self::Group(command) => &command.name,
            Self::Integration { command, .. } => &command.name,
            Self::AccessScope(command) => &command.name,
            Self::Bundle(command) => &command.name,
            Self::AccessFlow(command) => &command.name,
        }
    }
}

/// Something that documents are about, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyObject {
    /// A managed group.
    Group(GroupWithMembers),
    /// An integration.
    Integration(Box<IntegrationView>),
    /// An access scope.
    AccessScope(AccessScope),
    /// A bundle.
    Bundle(BundleView),
    /// An access flow.
    AccessFlow(Box<FlowView>),
}

/// A managed group and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupWithMembers {
    /// The group.
    pub group: Group,
    /// Main addresses of its members, sorted.
    pub members_emails: Vec<String>,
    /// Names of the groups inside it, sorted.
    pub member_groups: Vec<String>,
}

impl GroupWithMembers {
    async fn of(tx: &mut Tx, group: Group) -> Result<Self, AppError> {
        let members = tx.list_group_members(&group.id, &PageQuery::all()).await?;
        let mut members_emails: Vec<String> = members.into_iter().map(|user| user.email).collect();
        members_emails.sort_unstable();
        let children = tx.list_child_groups(&group.id, &PageQuery::all()).await?;
        let mut member_groups: Vec<String> = children.into_iter().map(|one| one.name).collect();
        member_groups.sort_unstable();
        Ok(Self { group, members_emails, member_groups })
    }
}

impl PolicyObject {
    /// What kind of thing it is.
    pub fn kind(&self) -> PolicyKind {
        match self {
            Self::Group(_) => PolicyKind::Group,
            Self::Integration(_) => PolicyKind::Integration,
            Self::AccessScope(_) => PolicyKind::AccessScope,
            Self::Bundle(_) => PolicyKind::Bundle,
            Self::AccessFlow(_) => PolicyKind::AccessFlow,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Group(with_members) => with_members.group.id.as_str(),
            Self::Integration(view) => view.integration.id.as_str(),
            Self::AccessScope(scope) => scope.id.as_str(),
            Self::Bundle(view) => view.bundle.id.as_str(),
            Self::AccessFlow(view) => view.flow.id.as_str(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Group(with_members) => &with_members.group.name,
            Self::Integration(view) => &view.integration.name,
            Self::AccessScope(scope) => &scope.name,
            Self::Bundle(view) => &view.bundle.name,
            Self::AccessFlow(view) => &view.flow.name,
        }
    }
}

/// Documents to bring in.
#[derive(Debug, Clone, Default)]
pub struct ApplyPolicy {
    /// The documents, in whatever order.
    pub documents: Vec<Document>,
    /// Delete what has no document, of the kinds that have any.
    pub prune: bool,
    /// Say what would happen, and undo it.
    pub dry_run: bool,
}

/// What became of a run.
#[derive(Debug)]
pub enum Outcome {
    /// It took effect, or would have.
    Applied(Applied),
    /// It did not; this is everything that was wrong. Never empty.
    Refused(Vec<Refusal>),
}

/// What a run changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The changes in the order in which they took effect.
    pub changes: Vec<Change>,
    /// How many documents say what is stored already.
    pub unchanged: u64,
}

/// One thing that was created, replaced or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The document's place in the list; `None` for what was deleted for want of one.
    pub document: Option<usize>,
    /// What it was; `None` for what is new.
    pub before: Option<PolicyObject>,
    /// What it is; `None` for what was deleted.
    pub after: Option<PolicyObject>,
    /// Whether a secret that the server keeps was replaced.
    pub new_secret: bool,
    /// How many requests ended with it, or were cancelled.
    pub requests_ended: u64,
}

/// Why a run did not take effect.
#[derive(Debug)]
pub struct Refusal {
    /// What is at fault.
    pub at: RefusedAt,
    /// What is wrong with it.
    pub error: AppError,
}

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedAt {
    /// The document at this place in the list.
    Document(usize),
    /// The document at the first place: the one at the second is about the same thing.
    Twice(usize, usize),
    /// Something that has no document and cannot be deleted: its kind and name.
    Unwanted(PolicyKind, String),
}
