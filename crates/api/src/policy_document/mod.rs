//! Policy as people write it into files: the bodies of the API, with a member `kind` that says
//! which. So what a file says, the API says too, in the same words.

mod stored;

use latchkey_app::{
    FieldError,
    groups::CreateGroup,
    integrations::{Format, IntegrationCommand},
    policy_as_code::{PolicyKind, Says},
    what_if,
};
use latchkey_domain::ids::{AccessScopeId, BundleId, FlowId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use stored::document_of;

use crate::{
    endpoints::{
        access_flows_v2::{input, wire::AccessFlowInput},
        access_scopes_v1::AccessScopeInput,
        bundles_v2::{self, BundleInput},
        integrations_v4::wire::IntegrationCreate,
        what_if_v1::Consequences,
    },
    error::ApiError,
};

/// A document.
#[derive(Debug)]
pub enum PolicyDocument {
    /// A managed group with its members.
    Group(GroupDocument),
    /// An integration.
    Integration(Box<IntegrationCreate>),
    /// An access scope.
    AccessScope(AccessScopeInput),
    /// A bundle.
    Bundle(BundleInput),
    /// An access flow.
    AccessFlow(Box<AccessFlowInput>),
}

/// What a document says of a managed group: what the API takes to create one, and the groups
/// inside it, which the API adds one by one.
#[derive(Debug, Deserialize)]
pub struct GroupDocument {
    name: String,
    members_emails: Vec<String>,
    #[serde(default)]
    member_groups: Vec<String>,
}

impl PolicyDocument {
    /// Reads a document of a kind, in whatever format it is.
    pub fn read<'de, D: Deserializer<'de>>(kind: PolicyKind, from: D) -> Result<Self, D::Error> {
        Ok(match kind {
            PolicyKind::Group => Self::Group(Deserialize::deserialize(from)?),
            PolicyKind::Integration => Self::Integration(Deserialize::deserialize(from)?),
            PolicyKind::AccessScope => Self::AccessScope(Deserialize::deserialize(from)?),
            PolicyKind::Bundle => Self::Bundle(Deserialize::deserialize(from)?),
            PolicyKind::AccessFlow => Self::AccessFlow(Box::new(Deserialize::deserialize(from)?)),
        })
    }

    /// What it wants; what is wrong with it otherwise. A secret that an integration's document
    /// leaves out stays as it is.
    pub fn says(self) -> Result<Says, Vec<FieldError>> {
        let said = match self {
            Self::Group(GroupDocument { name, members_emails, member_groups }) => {
                Ok(Says::Group(CreateGroup { name, members_emails, member_groups }))
            }
            Self::Integration(integration) => Ok(Says::Integration {
                integration_type: integration.integration_type.clone(),
                command: Box::new(IntegrationCommand {
                    format: Format::Document,
                    ..IntegrationCommand::from(*integration)
                }),
            }),
            Self::AccessScope(scope) => Ok(Says::AccessScope(scope.into())),
            Self::Bundle(bundle) => bundles_v2::command(bundle).map(Says::Bundle),
            Self::AccessFlow(flow) => {
                input::command(*flow).map(|command| Says::AccessFlow(Box::new(command)))
            }
        };
        said.map_err(ApiError::refused_inputs)
    }

    /// The change of policy that saving it would be; what is wrong with it otherwise. Without an
    /// id it is about the one of the same name. Integrations and groups are no policy by
    /// themselves.
    pub fn change(self, id: Option<String>) -> Result<what_if::PolicyChange, Vec<FieldError>> {
        Ok(match self.says()? {
            Says::AccessFlow(command) => {
                what_if::PolicyChange::Flow { id: id.map(FlowId::new), command }
            }
            Says::Bundle(command) => {
                what_if::PolicyChange::Bundle { id: id.map(BundleId::new), command }
            }
            Says::AccessScope(command) => {
                what_if::PolicyChange::AccessScope { id: id.map(AccessScopeId::new), command }
            }
            Says::Group(_) | Says::Integration { .. } => {
                let told = "what a change would do is told of access_scope, bundle and \
                            access_flow only";
                return Err(vec![FieldError::new("kind", told)]);
            }
        })
    }
}

/// What a change would do, as `POST /api/admin/v1/what-if` answers it.
pub fn consequences(told: what_if::Consequences) -> Result<Value, serde_json::Error> {
    serde_json::to_value(Consequences::from(told))
}
