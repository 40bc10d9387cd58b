//! The wire shapes of access flows, v2.
//!
//! What was sent comes back unchanged: absent blocks stay null, orders are kept, values are
//! echoed as text. Only references turn from "id or name" into id and name side by side.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    time::Timestamp,
    words::{
        ApprovalMode, DayOfWeek, FlowTrigger, LogicalOperator, MatchOperator, RequestScope,
        ResourceScopeType, ScopeMode,
    },
};

/// Access flow, v2 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessFlowV2")]
pub struct AccessFlow {
    /// Flow id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether new requests may use it.
    pub active: bool,
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// Who may ask, or, automatic, who gets it.
    pub requestors: ConditionSet,
    /// For whom requests may be made.
    pub request_for: Option<RequestFor>,
    /// What it gives.
    pub access_targets: Vec<Target>,
    /// Who has to agree; null means nobody.
    pub approver_policy: Option<ApproverPolicy>,
    /// Whom to ask when nobody answers.
    pub escalation_policy: Option<EscalationPolicy>,
    /// Longest grant in minutes; null means until revoked.
    pub grant_duration_in_min: Option<i32>,
    /// When access may exist; null means always.
    pub timeframe: Option<Timeframe>,
    /// Switches.
    pub settings: Settings,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was last changed; null if never.
    pub update_date: Option<Timestamp>,
}

/// Full access flow to store, v2. What is left out is cleared.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessFlowInputV2")]
pub struct AccessFlowInput {
    /// Unique display name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether new requests may use it.
    pub active: bool,
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// Who may ask, or, automatic, who gets it.
    pub requestors: ConditionSetInput,
    /// For whom requests may be made; the requestor alone when left out.
    pub request_for: Option<RequestForInput>,
    /// What it gives; at least one.
    pub access_targets: Vec<TargetInput>,
    /// Who has to agree; nobody when left out.
    pub approver_policy: Option<ApproverPolicyInput>,
    /// Whom to ask when nobody answers.
    pub escalation_policy: Option<EscalationPolicyInput>,
    /// Longest grant in minutes, 1 or more; until revoked when left out.
    #[schemars(extend("minimum" = 1))]
    pub grant_duration_in_min: Option<i32>,
    /// When access may exist.
    pub timeframe: Option<Timeframe>,
    /// Switches.
    pub settings: Settings,
    /// The older switch: requests for anybody. `request_for` wins when both are sent. Never
    /// returned.
    pub request_for_others: bool,
}

/// Conditions joined by one operator.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConditionSetV2")]
pub struct ConditionSet {
    /// How they combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// Conditions joined by one operator; at least one.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ConditionSetInputV2")]
pub struct ConditionSetInput {
    /// How they combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub conditions: Vec<ConditionInput>,
}

/// Test on a person.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConditionV2")]
pub struct Condition {
    /// Id of the identity source.
    pub source_integration_id: Option<String>,
    /// Name of the identity source.
    pub source_integration_name: Option<String>,
    /// Attribute type, as sent.
    #[serde(rename = "type")]
    pub attribute_type: String,
    /// Comparison, as sent.
    pub match_operator: Option<MatchOperator>,
    /// Values, as sent.
    pub values: Option<Vec<String>>,
}

/// Test on a person.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ConditionInputV2")]
pub struct ConditionInput {
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
    /// `user`, `group`, `manager`, `Owner` (capital O) or an attribute type. Case matters.
    #[serde(rename = "type")]
    pub attribute_type: String,
    /// Comparison; `is` when left out.
    pub match_operator: Option<MatchOperator>,
    /// Values; left out for `manager` and `Owner`.
    pub values: Option<Vec<String>>,
}

/// For whom requests may be made.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RequestForV2")]
pub struct RequestFor {
    /// The kinds of people.
    pub request_scopes: Vec<RequestScope>,
    /// Who the others may be.
    pub grantees: Option<ConditionSet>,
}

/// For whom requests may be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "RequestForInputV2")]
pub struct RequestForInput {
    /// The kinds of people; at least one.
    pub request_scopes: Vec<RequestScope>,
    /// Who the others may be; needed with `others`.
    pub grantees: Option<ConditionSetInput>,
}

/// What a flow gives; one member is filled.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "FlowTargetV2")]
pub struct Target {
    /// Resources of an integration.
    pub integration: Option<IntegrationTarget>,
    /// A bundle.
    pub bundle: Option<BundleTarget>,
    /// What an access scope selects.
    pub access_scope: Option<AccessScopeTarget>,
}

/// What a flow gives; fill exactly one member.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "FlowTargetInputV2")]
pub struct TargetInput {
    /// Resources of an integration.
    pub integration: Option<IntegrationTargetInput>,
    /// A bundle.
    pub bundle: Option<BundleTargetInput>,
    /// What an access scope selects.
    pub access_scope: Option<AccessScopeTargetInput>,
}

/// Resources of one type of an integration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IntegrationTargetV2")]
pub struct IntegrationTarget {
    /// Integration id.
    pub integration_id: String,
    /// Its name now.
    pub integration_name: String,
    /// Resource type.
    pub resource_type: String,
    /// Permission names.
    pub permissions: Vec<String>,
    /// Which resources; null means all of the type.
    pub resources_scopes: Option<Vec<ResourceScope>>,
}

/// Resources of one type of an integration.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationTargetInputV2")]
pub struct IntegrationTargetInput {
    /// Id or name of the integration.
    pub integration_reference: String,
    /// Resource type.
    pub resource_type: String,
    /// Permission names; at least one.
    pub permissions: Vec<String>,
    /// Which resources; all of the type when left out.
    pub resources_scopes: Option<Vec<ResourceScope>>,
}

/// Whole bundle.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BundleTargetV2")]
pub struct BundleTarget {
    /// Bundle id.
    pub bundle_id: String,
    /// Its name now.
    pub bundle_name: String,
}

/// Whole bundle.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "BundleTargetInputV2")]
pub struct BundleTargetInput {
    /// Id or name of the bundle.
    pub bundle_reference: String,
}

/// Saved query as a target.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessScopeTargetV2")]
pub struct AccessScopeTarget {
    /// Access scope id.
    pub access_scope_id: String,
    /// Its name now.
    pub access_scope_name: String,
}

/// Saved query as a target.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessScopeTargetInputV2")]
pub struct AccessScopeTargetInput {
    /// Id or name of the access scope.
    pub access_scope_reference: String,
}

/// Filter on an integration's resources.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ResourceScope {
    /// Keep or leave out.
    pub scope_mode: ScopeMode,
    /// What is compared.
    #[serde(rename = "type")]
    pub scope_type: ResourceScopeType,
    /// Tag key; needed with `TAG`, and with it only.
    pub key: Option<String>,
    /// Alternatives.
    pub values: Vec<String>,
}

/// Who has to agree.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApproverPolicyV2")]
pub struct ApproverPolicy {
    /// How the groups combine.
    pub approval_mode: ApprovalMode,
    /// The groups.
    pub approver_groups: Vec<ApproverGroup>,
}

/// Who has to agree.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ApproverPolicyInputV2")]
pub struct ApproverPolicyInput {
    /// How the groups combine.
    pub approval_mode: ApprovalMode,
    /// The groups; at least one.
    pub approver_groups: Vec<ApproverGroupInput>,
}

/// People who may decide.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApproverGroupV2")]
pub struct ApproverGroup {
    /// How the conditions combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub approvers: Vec<Condition>,
}

/// People who may decide.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ApproverGroupInputV2")]
pub struct ApproverGroupInput {
    /// How the conditions combine.
    pub logical_operator: LogicalOperator,
    /// The conditions; at least one.
    pub approvers: Vec<ConditionInput>,
}

/// Later approvers for requests that stay open.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EscalationPolicyV2")]
pub struct EscalationPolicy {
    /// Minutes between tiers.
    pub interval_in_min: i32,
    /// Tiers in order.
    pub approver_groups: Vec<ApproverGroup>,
}

/// Later approvers for requests that stay open.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "EscalationPolicyInputV2")]
pub struct EscalationPolicyInput {
    /// Minutes between tiers; 30 when left out.
    #[serde(default = "half_an_hour")]
    #[schemars(extend("minimum" = 1))]
    pub interval_in_min: i32,
    /// Tiers in order, one to five.
    pub approver_groups: Vec<ApproverGroupInput>,
}

fn half_an_hour() -> i32 {
    30
}

/// Window in which access may exist.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FlowTimeframeV2")]
pub struct Timeframe {
    /// Opening time of day: `HH:MM` or `HH:MM:SS`.
    pub start_time: String,
    /// Closing time of day; before the opening time it means the next day.
    pub end_time: String,
    /// Days on which it opens.
    pub days_of_week: Vec<DayOfWeek>,
    /// IANA name of the time zone.
    pub time_zone: String,
}

/// Switches of a flow.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FlowSettingsV2")]
#[expect(clippy::struct_excessive_bools, reason = "the wire format has these switches")]
pub struct Settings {
    /// The requestor has to say why.
    pub justification_required: bool,
    /// The approver has to say why.
    pub require_approver_reason: bool,
    /// Requestor and grantee are no approvers.
    pub requestor_cannot_approve_himself: bool,
    /// A second factor comes before the approvers are asked.
    pub require_mfa: bool,
    /// Free labels.
    pub labels: Vec<String>,
    /// How often a grant may be prolonged; 0 when left out.
    #[schemars(extend("minimum" = 0))]
    pub max_extensions: Option<i32>,
    /// Minutes that one extension adds; 0 when left out.
    #[schemars(extend("minimum" = 0))]
    pub extension_duration_in_min: Option<i32>,
}
