//! Policy as people write it into files: the bodies of the API, with a member `kind` that says
//! which. So what a file says, the API says too, in the same words.

use latchkey_app::{FieldError, what_if};
use latchkey_domain::ids::{AccessScopeId, BundleId, FlowId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    endpoints::{
        access_flows_v2::{input, wire::AccessFlowInput},
        access_scopes_v1::AccessScopeInput,
        bundles_v2::{self, BundleInput},
        what_if_v1::Consequences,
    },
    error::ApiError,
};

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// An access flow.
    AccessFlow,
    /// A bundle.
    Bundle,
    /// An access scope.
    AccessScope,
}

/// A document.
#[derive(Debug)]
pub enum PolicyDocument {
    /// An access flow.
    AccessFlow(Box<AccessFlowInput>),
    /// A bundle.
    Bundle(BundleInput),
    /// An access scope.
    AccessScope(AccessScopeInput),
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::AccessFlow, Self::Bundle, Self::AccessScope];

    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessFlow => "access_flow",
            Self::Bundle => "bundle",
            Self::AccessScope => "access_scope",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl PolicyDocument {
    /// Reads a document of a kind, in whatever format it is.
    pub fn read<'de, D: Deserializer<'de>>(kind: DocumentKind, from: D) -> Result<Self, D::Error> {
        Ok(match kind {
            DocumentKind::AccessFlow => Self::AccessFlow(Box::new(Deserialize::deserialize(from)?)),
            DocumentKind::Bundle => Self::Bundle(Deserialize::deserialize(from)?),
            DocumentKind::AccessScope => Self::AccessScope(Deserialize::deserialize(from)?),
        })
    }

    /// The change of policy that saving it would be; what is wrong with it otherwise. Without an
    /// id it is about the one of the same name.
    pub fn change(self, id: Option<String>) -> Result<what_if::PolicyChange, Vec<FieldError>> {
        let changed = match self {
            Self::AccessFlow(flow) => input::command(*flow).map(|command| {
                let id = id.map(FlowId::new);
                what_if::PolicyChange::Flow { id, command: Box::new(command) }
            }),
            Self::Bundle(bundle) => bundles_v2::command(bundle).map(|command| {
                let id = id.map(BundleId::new);
                what_if::PolicyChange::Bundle { id, command }
            }),
            Self::AccessScope(scope) => Ok(what_if::PolicyChange::AccessScope {
                id: id.map(AccessScopeId::new),
                command: scope.into(),
            }),
        };
        changed.map_err(|error: ApiError| error.refused_inputs())
    }
}

/// What a change would do, as `POST /api/admin/v1/what-if` answers it.
pub fn consequences(told: what_if::Consequences) -> Result<Value, serde_json::Error> {
    serde_json::to_value(Consequences::from(told))
}
