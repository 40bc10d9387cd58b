//! Activity: what was asked for, by whom, and how it went, as rows for lists and reports.
//!
//! A row is the part of one request that lies in one integration and is of one resource type, so
//! that every column of it has one meaning. Most requests are one row. A filter on what was asked
//! (integration, resource type, resource, permission) keeps the rows with an entitlement that
//! passes all of it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    flow::FlowTrigger,
    ids::{BundleId, FlowId, IntegrationId, RequestId, UserId},
    people::UnknownWord,
    policy::matching::WEBHOOK,
    request::{Decision, RequestState},
};

/// Which rows. Every part that is there must hold; empty lists hold for all, several values of
/// one list are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// Of requests filed at or after.
    pub from: Option<Timestamp>,
    /// Of requests filed before.
    pub until: Option<Timestamp>,
    /// Governed by one of these flows.
    pub access_flow_ids: Vec<FlowId>,
    /// One of these requests, by id or by the number people say (`AR-7`).
    pub request_ids: Vec<String>,
    /// Asked by one of these people: id, e-mail address, or id in their identity source.
    pub requestors: Vec<String>,
    /// For one of these people, named the same ways.
    pub grantees: Vec<String>,
    /// For a grantee of one of these kinds; there is one, [`GRANTEE_TYPE`].
    pub grantee_types: Vec<String>,
    /// In one of these integrations.
    pub integration_ids: Vec<IntegrationId>,
    /// Of one of these resource types.
    pub resource_types: Vec<String>,
    /// For one of these resources: id or name, letter for letter.
    pub resources: Vec<String>,
    /// For one of these permissions, by name, letter for letter.
    pub permissions: Vec<String>,
    /// In one of these states.
    pub states: Vec<RequestState>,
    /// Begun in one of these ways.
    pub triggers: Vec<FlowTrigger>,
}

/// The kind of every grantee.
pub const GRANTEE_TYPE: &str = "user";

/// One row of activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRow {
    /// The request.
    pub request_id: RequestId,
    /// The number people say: `AR-7`.
    pub number: i64,
    /// When it was filed.
    pub requested_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// When access began.
    pub granted_at: Option<Timestamp>,
    /// When access had ended, proved; `None` before, and if it never began.
    pub revoked_at: Option<Timestamp>,
    /// Who asked.
    pub requestor: ActivityPerson,
    /// For whom.
    pub grantee: ActivityPerson,
    /// The integration.
    pub integration_id: IntegrationId,
    /// Its name now, or what it was when asked for once it is deleted.
    pub integration: String,
    /// The resource type.
    pub resource_type: String,
    /// The resources, each once, in the order in which they were asked for.
    pub resources: Vec<ActivityResource>,
    /// Names of the permissions, each once.
    pub permissions: Vec<String>,
    /// Who decided, oldest decision first.
    pub decisions: Vec<ActivityDecision>,
    /// Why access was wanted.
    pub justification: Option<String>,
    /// Where the request stands.
    pub state: RequestState,
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// The governing flow.
    pub access_flow_id: FlowId,
    /// Its name now, or what it was when it governed once it is deleted.
    pub access_flow: String,
    /// The bundle it was asked through.
    pub bundle_id: Option<BundleId>,
    /// The bundle's name; what it was called last once it is deleted.
    pub bundle_name: Option<String>,
    /// How often it was prolonged.
    pub extension_count: u32,
}

/// A person in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityPerson {
    /// The person.
    pub id: UserId,
    /// The name people see.
    pub name: String,
    /// Main address.
    pub email: String,
}

/// A resource in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityResource {
    /// Its name when it was asked for.
    pub name: String,
    /// How its entitlements stand, in the words of v4, each once.
    pub statuses: Vec<&'static str>,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityDecider {
    /// A person.
    Person(ActivityPerson),
    /// A program that the access flow asks; people see the host of its address.
    Program {
        /// The host.
        host: String,
    },
}

impl ActivityDecider {
    /// The name people see.
    pub fn name(&self) -> &str {
        match self {
            Self::Person(person) => &person.name,
            Self::Program { host } => host,
        }
    }

    /// Main address; empty for a program.
    pub fn email(&self) -> &str {
        match self {
            Self::Person(person) => &person.email,
            Self::Program { .. } => "",
        }
    }

    /// The word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => GRANTEE_TYPE,
            Self::Program { .. } => WEBHOOK,
        }
    }
}

/// A decision in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityDecision {
    /// Who decided.
    pub by: ActivityDecider,
    /// What was said.
    pub decision: Decision,
    /// Why.
    pub reason: Option<String>,
    /// Whether an Admin decided in place of the approvers.
    pub forced: bool,
    /// When.
    pub at: Timestamp,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $word:literal),* $(,)?) => {
        /// A column of activity, for lists and reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ActivityField {
            $($(#[$doc])* $name,)*
        }

        impl ActivityField {
            /// Every column, in the order in which reports show them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The column's name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

fields! {
    /// The request's id.
    RequestId = "request_id",
    /// When it was filed.
    RequestDate = "request_date",
    /// When access began.
    RequestGrantDate = "request_grant_date",
    /// When access had ended.
    RequestRevokeDate = "request_revoke_date",
    /// Who asked.
    RequestorName = "requestor_name",
    /// Their address.
    RequestorEmail = "requestor_email",
    /// For whom.
    GranteeName = "grantee_name",
    /// Their id.
    GranteeId = "grantee_id",
    /// Their kind.
    GranteeType = "grantee_type",
    /// The integration's name.
    Integration = "integration",
    /// Names of the resources.
    Resources = "resources",
    /// Their type.
    ResourceType = "resource_type",
    /// Names of the permissions.
    Permissions = "permissions",
    /// Who decided.
    ApproverNames = "approver_names",
    /// Their addresses.
    ApproverEmails = "approver_emails",
    /// Their kinds.
    ApproverTypes = "approver_types",
    /// Why access was wanted.
    Justification = "justification",
    /// Where the request stands.
    Status = "status",
    /// Why it was decided so.
    ApproverReason = "approver_reason",
    /// How each resource stands.
    ResourcesStatus = "resources_status",
    /// Asked for, or automatic.
    TriggerType = "trigger_type",
    /// The governing flow's name.
    AccessFlow = "access_flow",
    /// The bundle's name.
    BundleName = "bundle_name",
    /// How often it was prolonged.
    ExtensionCount = "extension_count",
}

impl ActivityField {
    /// The column with this name.
    pub fn parse(name: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|field| field.as_str() == name).ok_or_else(|| {
            UnknownWord::new("field", name, Self::ALL.iter().map(|field| field.as_str()))
        })
    }
}

impl Serialize for ActivityField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ActivityField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl ActivityRow {
    /// The texts of one column: none where there is nothing to say, several where the column is a
    /// list. Lists about resources, and those about approvers, are in one order. Times are RFC
    /// 3339 in UTC.
    pub fn texts(&self, field: ActivityField) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        let time = |time: Option<Timestamp>| time.iter().map(Timestamp::to_string).collect();
        let of_deciders = |text: fn(&ActivityDecision) -> &str| {
            self.decisions.iter().map(text).map(str::to_owned)
        };
        match field {
            ActivityField::RequestId => one(self.request_id.as_str()),
            ActivityField::RequestDate => time(Some(self.requested_at)),
            ActivityField::RequestGrantDate => time(self.granted_at),
            ActivityField::RequestRevokeDate => time(self.revoked_at),
            ActivityField::RequestorName => one(&self.requestor.name),
            ActivityField::RequestorEmail => one(&self.requestor.email),
            ActivityField::GranteeName => one(&self.grantee.name),
            ActivityField::GranteeId => one(self.grantee.id.as_str()),
            ActivityField::GranteeType => one(GRANTEE_TYPE),
            ActivityField::Integration => one(&self.integration),
            ActivityField::Resources => {
                self.resources.iter().map(|resource| resource.name.clone()).collect()
            }
            ActivityField::ResourceType => one(&self.resource_type),
            ActivityField::Permissions => self.permissions.clone(),
            ActivityField::ApproverNames => of_deciders(|one| one.by.name()).collect(),
            ActivityField::ApproverEmails => of_deciders(|one| one.by.email()).collect(),
            ActivityField::ApproverTypes => of_deciders(|one| one.by.kind()).collect(),
            ActivityField::Justification => self.justification.iter().cloned().collect(),
            ActivityField::Status => one(self.state.wire_word()),
            ActivityField::ApproverReason => {
                self.decisions.iter().filter_map(|one| one.reason.clone()).collect()
            }
            ActivityField::ResourcesStatus => {
                self.resources.iter().map(|resource| resource.statuses.join("/")).collect()
            }
            ActivityField::TriggerType => one(self.trigger.as_str()),
            ActivityField::AccessFlow => one(&self.access_flow),
            ActivityField::BundleName => self.bundle_name.iter().cloned().collect(),
            ActivityField::ExtensionCount => vec![self.extension_count.to_string()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_found_by_its_name() {
        assert_eq!(ActivityField::ALL.len(), 24);
        for field in ActivityField::ALL {
            assert_eq!(ActivityField::parse(field.as_str()), Ok(*field));
        }
        let unknown = ActivityField::parse("shoe_size").unwrap_err();
        assert!(unknown.to_string().contains("extension_count"), "{unknown}");
    }
}
