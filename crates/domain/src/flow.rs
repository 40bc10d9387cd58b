//! Access flows: the policy as people write it. Deciding by it is in [`crate::policy`].
//!
//! The shapes follow the wire format closely, because clients expect to read back exactly what
//! they wrote; references are resolved to ids, and the text that was sent is kept beside them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccessScopeId, BundleId, FlowId, IntegrationId},
    people::UnknownWord,
};

/// A stored access flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFlow {
    /// Never reused.
    pub id: FlowId,
    /// Unique without letter case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether new requests may use it.
    pub active: bool,
    /// What it says.
    pub policy: FlowPolicy,
    /// Grows with every change; an approval is bound to it.
    pub version: i64,
    /// When it was made. The older of two equal flows governs.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
}

/// What a flow says; all of it takes part in the digest that approvals are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPolicy {
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// Who may ask (or, automatic, who gets it).
    pub requestors: ConditionSet,
    /// For whom; `None` means the requestor alone, unless `request_for_others`.
    pub request_for: Option<RequestFor>,
    /// The older switch: for anybody. `request_for` wins where both are there.
    pub request_for_others: bool,
    /// What it gives; at least one.
    pub access_targets: Vec<FlowTarget>,
    /// Who has to agree; `None` means nobody.
    pub approver_policy: Option<ApproverPolicy>,
    /// Whom to ask when nobody answers.
    pub escalation_policy: Option<EscalationPolicy>,
    /// Longest grant in minutes; `None` means until revoked.
    pub grant_duration_in_min: Option<u32>,
    /// When access may exist.
    pub timeframe: Option<Timeframe>,
    /// Switches.
    pub settings: FlowSettings,
    /// What only the oldest form of a flow can say.
    #[serde(default, skip_serializing_if = "LegacyPolicy::is_silent")]
    pub legacy: LegacyPolicy,
}

/// What v1 of the wire format can say of a flow and later versions cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LegacyPolicy {
    /// The longest grant in seconds, where that is no whole number of minutes;
    /// [`FlowPolicy::grant_duration_in_min`] is then the next one above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_duration_in_sec: Option<u32>,
    /// Whether all approvers would have to agree, said of a flow that has none.
    pub require_all_approvers: bool,
}

impl LegacyPolicy {
    /// Whether it says nothing, as most flows do.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether access is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FlowTrigger {
    /// A person files a request.
    SelfServe,
    /// Access follows the requestor conditions.
    Automatic,
}

impl FlowTrigger {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::SelfServe, Self::Automatic];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfServe => "SELF_SERVE",
            Self::Automatic => "AUTOMATIC",
        }
    }

    /// The trigger with this word, in any letter case.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|trigger| trigger.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownWord::new("trigger", word, Self::ALL.map(Self::as_str)))
    }
}

/// How sibling conditions combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LogicalOperator {
    /// All of them.
    And,
    /// Any of them.
    Or,
}

/// How a condition's values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOperator {
    /// The identity is one of the values.
    Is,
    /// The identity is none of the values.
    IsNot,
    /// The display text contains one of the values.
    Contains,
    /// The display text contains none of the values.
    DoesNotContain,
    /// The display text starts with one of the values.
    StartsWith,
}

impl MatchOperator {
    /// Whether the operator is satisfied by not being something.
    pub fn is_negative(self) -> bool {
        matches!(self, Self::IsNot | Self::DoesNotContain)
    }
}

/// Conditions on people, combined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionSet {
    /// How they combine.
    pub logical_operator: LogicalOperator,
    /// The conditions, in the order in which they were sent.
    pub conditions: Vec<Condition>,
}

/// One condition on a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The identity source it looks at, where the caller gave one.
    pub source_integration_id: Option<IntegrationId>,
    /// `user`, `group`, `manager`, `Owner`, or a discovered attribute type. As sent.
    pub attribute_type: String,
    /// How values are compared; `None` when the caller left it out, and then [`MatchOperator::Is`].
    pub match_operator: Option<MatchOperator>,
    /// The values as sent; `None` when the caller left them out.
    pub values: Option<Vec<String>>,
    /// For `is` and `is_not`: beside each value the id of the identity it was pinned to,
    /// once one with that text existed.
    #[serde(default)]
    pub pinned_ids: Vec<Option<String>>,
}

impl Condition {
    /// The operator in force.
    pub fn operator(&self) -> MatchOperator {
        self.match_operator.unwrap_or(MatchOperator::Is)
    }

    /// The values, empty when the caller left them out.
    pub fn values(&self) -> &[String] {
        self.values.as_deref().unwrap_or_default()
    }
}

/// For whom a requestor may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFor {
    /// The kinds of people, in the order in which they were sent.
    pub request_scopes: Vec<RequestScope>,
    /// Who the others may be; needed with [`RequestScope::Others`].
    pub grantees: Option<ConditionSet>,
}

/// A kind of people to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestScope {
    /// The requestor.
    #[serde(rename = "self")]
    Myself,
    /// People who match the grantee conditions.
    Others,
    /// People whose manager the requestor is.
    DirectReports,
}

/// What a flow gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowTarget {
    /// Resources of one type of one integration.
    Integration(IntegrationTarget),
    /// The members of a bundle.
    Bundle(BundleId),
    /// What an access scope's query selects.
    AccessScope(AccessScopeId),
}

/// Resources of one type of one integration, and permissions on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationTarget {
    /// The integration.
    pub integration_id: IntegrationId,
    /// The resource type.
    pub resource_type: String,
    /// Permission names.
    pub permissions: Vec<String>,
    /// Which resources; `None` means all. Entries that include are alternatives; those that
    /// exclude take away afterwards.
    pub resources_scopes: Option<Vec<ResourceScope>>,
}

/// Whether a resource scope keeps or leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeMode {
    /// Keep only these.
    IncludeResources,
    /// Leave these out.
    ExcludeResources,
}

/// What a resource scope compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResourceScopeType {
    /// The resource's id here.
    AponoId,
    /// The resource's name.
    Name,
    /// The value of a tag.
    Tag,
}

/// One rule over the resources of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceScope {
    /// Keep or leave out.
    pub scope_mode: ScopeMode,
    /// What is compared.
    #[serde(rename = "type")]
    pub scope_type: ResourceScopeType,
    /// The tag's key; needed with [`ResourceScopeType::Tag`], refused otherwise.
    pub key: Option<String>,
    /// Alternatives.
    pub values: Vec<String>,
}

/// How approver groups combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalMode {
    /// One satisfied group is enough.
    AnyOf,
    /// Every group must be satisfied.
    AllOf,
}

/// Who has to agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverPolicy {
    /// How the groups combine.
    pub approval_mode: ApprovalMode,
    /// The groups, in the order in which they were sent.
    pub approver_groups: Vec<ApproverGroup>,
}

/// A group of approvers. `Or`: one approval by anybody who matches any condition. `And`: every
/// positive condition needs an approval by somebody who matches it, and the negative ones
/// narrow who counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverGroup {
    /// How its conditions combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub approvers: Vec<Condition>,
}

/// Whom to ask when nobody answers: tier after tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationPolicy {
    /// Minutes between tiers.
    pub interval_in_min: u32,
    /// One to five tiers.
    pub approver_groups: Vec<ApproverGroup>,
}

/// Days and hours in which access may exist, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeframe {
    /// `HH:MM` or `HH:MM:SS`, as sent.
    pub start_time: String,
    /// `HH:MM` or `HH:MM:SS`, as sent; before the start it means the next day.
    pub end_time: String,
    /// `MONDAY` … `SUNDAY`, as sent.
    pub days_of_week: Vec<DayOfWeek>,
    /// IANA name.
    pub time_zone: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DayOfWeek {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A flow's switches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire format has these switches")]
pub struct FlowSettings {
    /// A request must say why.
    pub justification_required: bool,
    /// An approver must say why.
    pub require_approver_reason: bool,
    /// Requestor and grantee are no approvers.
    pub requestor_cannot_approve_himself: bool,
    /// The requestor passes a second factor before approvers are asked.
    pub require_mfa: bool,
    /// Labels, in the order in which they were sent.
    pub labels: Vec<String>,
    /// How often a running grant may be prolonged.
    pub max_extensions: u32,
    /// By how many minutes each time.
    pub extension_duration_in_min: u32,
    /// Only the v1 format can say this: asking again needs a justification too.
    #[serde(default)]
    pub require_justification_on_request_again: bool,
}
