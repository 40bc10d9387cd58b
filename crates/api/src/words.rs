//! The closed word lists of the wire format, each beside the domain type it stands for.
//!
//! The domain knows no OpenAPI; these do, and convert both ways, so that a word added on one
//! side does not compile until the other has it.

use latchkey_app::connectors;
use latchkey_domain::{activity, flow, integration, inventory, report, session};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $domain:path { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)*
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($word),*]})
            }
        }

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                match word {
                    $(<$domain>::$variant => Self::$variant,)*
                }
            }
        }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }
    )*};
}

words! {
    /// Whether access is asked for or follows by itself.
    FlowTrigger = flow::FlowTrigger {
        /// A person files a request.
        SelfServe = "SELF_SERVE",
        /// Access follows the requestor conditions.
        Automatic = "AUTOMATIC",
    }
    /// How sibling conditions combine.
    LogicalOperator = flow::LogicalOperator {
        /// All of them.
        And = "AND",
        /// Any of them.
        Or = "OR",
    }
    /// How a condition's values are compared.
    MatchOperator = flow::MatchOperator {
        /// One of the values.
        Is = "is",
        /// None of the values.
        IsNot = "is_not",
        /// The text contains one of them.
        Contains = "contains",
        /// The text contains none of them.
        DoesNotContain = "does_not_contain",
        /// The text starts with one of them.
        StartsWith = "starts_with",
    }
    /// How approver groups combine.
    ApprovalMode = flow::ApprovalMode {
        /// One group is enough.
        AnyOf = "ANY_OF",
        /// Every group has to agree.
        AllOf = "ALL_OF",
    }
    /// For whom a requestor may ask.
    RequestScope = flow::RequestScope {
        /// The requestor.
        Myself = "self",
        /// People who match the grantee conditions.
        Others = "others",
        /// People whose manager the requestor is.
        DirectReports = "direct_reports",
    }
    /// Whether a resource scope keeps or leaves out.
    ScopeMode = flow::ScopeMode {
        /// Keep only these.
        IncludeResources = "include_resources",
        /// Leave these out.
        ExcludeResources = "exclude_resources",
    }
    /// What a resource scope compares.
    ResourceScopeType = flow::ResourceScopeType {
        /// The resource's id here.
        AponoId = "APONO_ID",
        /// Its name.
        Name = "NAME",
        /// The value of a tag.
        Tag = "TAG",
    }
    /// A day of the week.
    DayOfWeek = flow::DayOfWeek {
        /// Monday.
        Monday = "MONDAY",
        /// Tuesday.
        Tuesday = "TUESDAY",
        /// Wednesday.
        Wednesday = "WEDNESDAY",
        /// Thursday.
        Thursday = "THURSDAY",
        /// Friday.
        Friday = "FRIDAY",
        /// Saturday.
        Saturday = "SATURDAY",
        /// Sunday.
        Sunday = "SUNDAY",
    }
    /// Whether a session's credentials can be shown.
    CredentialsStatus = session::CredentialsStatus {
        /// Made, not yet shown.
        Available = "AVAILABLE",
        /// Shown once.
        Viewed = "VIEWED",
        /// New ones are on the way.
        Resetting = "RESETTING",
        /// The session works without.
        NotApplicable = "NOT_APPLICABLE",
    }
    /// Whether any process of a connector is alive.
    ConnectorStatus = connectors::ConnectorStatus {
        /// At least one is.
        Connected = "CONNECTED",
        /// None is.
        Disconnected = "DISCONNECTED",
    }
    /// A column of activity and of its reports.
    ReportField = activity::ActivityField {
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
    /// A kind of file.
    ReportFormat = report::ReportFormat {
        /// For programs and spreadsheets.
        Csv = "csv",
        /// For people and printers.
        Pdf = "pdf",
    }
    /// What a sliding window is counted in.
    RelativeUnit = report::RelativeUnit {
        /// Hours.
        Hour = "hour",
        /// Days.
        Day = "day",
        /// Months of the calendar.
        Month = "month",
    }
    /// Where an integration stands.
    IntegrationStatus = integration::IntegrationStatus {
        /// Not validated and discovered yet.
        Initializing = "INITIALIZING",
        /// A discovery run is under way.
        Refreshing = "REFRESHING",
        /// Validated and discovered.
        Active = "ACTIVE",
        /// Nothing of it works.
        Error = "ERROR",
        /// Part of it does not work.
        Warning = "WARNING",
        /// Switched off.
        Disabled = "DISABLED",
    }
    /// Where an integration stands, as the older paths spell it.
    LegacyIntegrationStatus = integration::IntegrationStatus {
        /// Not validated and discovered yet.
        Initializing = "Initializing",
        /// A discovery run is under way.
        Refreshing = "Refreshing",
        /// Validated and discovered.
        Active = "Active",
        /// Nothing of it works.
        Error = "Error",
        /// Part of it does not work.
        Warning = "Warning",
        /// Switched off.
        Disabled = "Disabled",
    }
    /// Whether a resource can be asked for.
    LegacyResourceStatus = inventory::ResourceStatus {
        /// Seen by the last discovery run.
        Active = "Active",
        /// Seen, but in a state in which access cannot be given.
        Error = "Error",
        /// Gone from the target.
        Deleted = "Deleted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_domain() {
        let word = serde_json::to_string(&RequestScope::from(flow::RequestScope::Myself)).unwrap();
        assert_eq!(word, "\"self\"");
        let status = flow::ResourceScopeType::from(ResourceScopeType::AponoId);
        assert_eq!(serde_json::to_string(&status).unwrap(), "\"APONO_ID\"");
        for status in integration::IntegrationStatus::ALL {
            let word = serde_json::to_value(IntegrationStatus::from(status)).unwrap();
            assert_eq!(word, status.as_str());
        }
    }
}
