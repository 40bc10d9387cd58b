//! The wire shape of requests on the client API. Its clients are strict: a member that may be
//! left out must not be null, `justification` is always a text, times are numbers with nine
//! digits of fraction.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_app::{catalogue::kind_of_resource, requests::RequestView};
use latchkey_domain::{
    flow::ApprovalMode,
    people::User as Person,
    policy::extensions::{self, Availability},
    request::{Decision, RequestState, RequestUnit, UnitState},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{DurationSec, EpochSeconds, seconds32};

/// Access request, client view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessRequest")]
pub(super) struct AccessRequest {
    /// The id people see and type: `AR-7`. Calls take it and the long one.
    id: String,
    /// Who asked.
    requestor: User,
    /// Who receives the access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Grantee")]
    grantee: Option<Grantee>,
    /// When it was filed.
    creation_time: EpochSeconds,
    /// When access had ended; left out until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EpochSeconds")]
    revocation_time: Option<EpochSeconds>,
    /// How it stands.
    status: Status,
    /// Reason; an empty text when none was given.
    justification: String,
    /// One part for each integration.
    access_groups: Vec<AccessGroup>,
    /// Bundle that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Bundle")]
    bundle: Option<Bundle>,
    /// Approval asked for; left out when nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Challenge")]
    challenge: Option<Challenge>,
    /// Length of the grant; left out means until revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    duration_in_sec: Option<i32>,
    /// Answers by field id.
    custom_fields: BTreeMap<String, String>,
    /// Approvers must say why.
    require_approver_reason: bool,
    /// Flagged by the caller.
    favorite: bool,
    /// First few units.
    access_units_summary: Vec<UnitSummary>,
    /// Names of the resources.
    distinct_resource_names: Vec<String>,
    /// Extensions so far.
    extension_count: i32,
    /// What extending would do.
    extend_options: ExtendOptions,
}

/// Person as the client shows them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientUser")]
pub(super) struct User {
    /// User id.
    id: String,
    /// Full name.
    name: String,
    /// Main address.
    email: String,
    /// Picture address; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    photo: Option<String>,
}

/// Receiver of access.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientGrantee")]
struct Grantee {
    /// User id.
    id: String,
    /// Main address.
    source_id: String,
    /// Name to show.
    display_name: String,
    /// Kind of identity: `user`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// State of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientRequestStatus")]
struct Status {
    /// One of the nine words, letter for letter.
    #[serde(rename = "status")]
    word: &'static str,
    /// Longer text; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    description: Option<String>,
    /// `ends_at`: when access ends, RFC 3339, once that is fixed. `extending_to`: the later end
    /// that was asked for, while the target does not have it; until then `ends_at` stands.
    metadata: BTreeMap<String, String>,
}

/// Part of a request that belongs to one integration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessGroup")]
struct AccessGroup {
    /// Where it is.
    integration: Integration,
    /// Types in it.
    resource_types: Vec<ResourceType>,
    /// Group id.
    id: String,
    /// Whether access details are to be read.
    has_new_credentials: bool,
    /// Result so far.
    status: GroupStatus,
    /// Resources in it.
    total_resources: i32,
    /// Permissions in it.
    total_permissions: i32,
}

/// Connected system.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientIntegration")]
struct Integration {
    /// Integration id.
    id: String,
    /// Type.
    #[serde(rename = "type")]
    kind: String,
    /// Type, for people.
    type_display_name: String,
    /// Name.
    name: String,
    /// Pictures.
    icons: Icons,
}

/// Picture addresses; empty texts where there is none.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "ClientIcons")]
struct Icons {
    /// Raster picture.
    png: String,
    /// Vector picture.
    svg: String,
}

/// Kind of resource.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientResourceType")]
struct ResourceType {
    /// Type key.
    id: String,
    /// Name.
    name: String,
    /// Full name for lists.
    display_path: String,
    /// Several permissions may be asked for at once.
    allow_multiple_permissions: bool,
    /// Pictures.
    icons: Icons,
}

/// Result of granting one group, with a remark.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessGroupStatus")]
struct GroupStatus {
    /// Result.
    status: GroupOutcome,
    /// Remark; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    message: Option<String>,
}

/// Result of granting one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessGroupOutcome")]
enum GroupOutcome {
    Success,
    Failure,
    Warning,
}

/// Named set of access.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientBundle")]
struct Bundle {
    /// Bundle id.
    id: String,
    /// Name.
    name: String,
    /// Labels.
    labels: BTreeMap<String, String>,
}

/// Approval that is asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientChallenge")]
struct Challenge {
    /// Whether one approver or all have to agree.
    logical_relation: Relation,
    /// Those who were asked.
    approvers: Vec<Approver>,
}

/// Whether one approver or all have to agree.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ClientChallengeRelation")]
enum Relation {
    AnyOf,
    AllOf,
}

/// Approver who was asked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientChallengeApprover")]
struct Approver {
    /// Name to show.
    name: String,
    /// Kind of approver: `user`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where the approver stands.
    status: ApproverStatus,
    /// Further data.
    metadata: BTreeMap<String, String>,
    /// Escalation step; left out before any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    tier: Option<i32>,
    /// When that step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EpochSeconds")]
    tier_escalated_at: Option<EpochSeconds>,
}

/// Where an approver stands.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ClientChallengeStatus")]
enum ApproverStatus {
    Approved,
    Rejected,
    Pending,
}

/// Names of one unit.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessUnitSummary")]
struct UnitSummary {
    /// Resource.
    resource_name: String,
    /// Permission.
    permission_name: String,
}

/// What extending would do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientExtendOptions")]
struct ExtendOptions {
    /// It can be extended now.
    can_extend: bool,
    /// `AVAILABLE`; or why not: `NOT_AVAILABLE`, `EXTENDING` until the target has the later end,
    /// `EXHAUSTED`.
    extension_availability: &'static str,
    /// Seconds that one extension adds.
    extend_duration_in_sec: i32,
    /// How many are left.
    remaining_extensions: i32,
}

/// Requests, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientAccessRequestPage")]
pub(super) struct RequestPage {
    /// Rows of this page.
    pub(super) data: Vec<AccessRequest>,
    /// Where it stands in the list.
    pub(super) pagination: Pagination,
}

/// Counter block of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ClientPagination")]
pub(super) struct Pagination {
    /// Page size that was applied; clients add it to `skip`.
    pub(super) limit: i32,
    /// The skip that was applied.
    pub(super) offset: i32,
    /// Rows that match in all; left out, since it is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub(super) total: Option<i32>,
    /// Whether rows follow.
    pub(super) has_more: bool,
}

/// Which requests to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "RequestListScope")]
pub(super) enum ListScope {
    /// Filed by the caller, or for the caller.
    #[serde(rename = "MyRequests")]
    Requests,
    /// Waiting for the caller's decision.
    #[serde(rename = "MyTasks")]
    Tasks,
    /// Decided by the caller.
    #[serde(rename = "MyHistoricTasks")]
    HistoricTasks,
    /// Filed by the caller for others.
    #[serde(rename = "MyDelegatedRequests")]
    DelegatedRequests,
}

/// Decision of an approver.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ApprovalDecision {
    /// Reason; needed where the flow asks for one.
    pub(super) justification: Option<String>,
}

/// Approval for a shorter time than was asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ShortenedApproval {
    /// For how many seconds; fewer than the request says.
    pub(super) duration_in_sec: DurationSec,
    /// Reason; needed where the flow asks for one.
    pub(super) justification: Option<String>,
}

impl AccessRequest {
    /// A request with the names of its first `summary` units.
    pub(super) fn of(view: &RequestView, summary: usize) -> Self {
        let request = &view.request;
        let names: BTreeSet<&str> =
            view.units.iter().map(|unit| unit.resource_name.as_str()).collect();
        let units = view.units.iter().take(summary);
        Self {
            id: format!("AR-{}", request.number),
            requestor: User::of(&view.requestor),
            grantee: Some(Grantee::of(&view.grantee)),
            creation_time: request.created_at.into(),
            revocation_time: request.ended_at.map(Into::into),
            status: Status::of(view),
            justification: request.justification.clone().unwrap_or_default(),
            access_groups: AccessGroup::all_of(view),
            bundle: request.bundle_id.as_ref().map(|id| Bundle {
                id: id.to_string(),
                name: view.bundle_name.clone().unwrap_or_else(|| id.to_string()),
                labels: BTreeMap::new(),
            }),
            challenge: Challenge::of(view),
            duration_in_sec: request.duration_sec.map(seconds32),
            custom_fields: request.custom_fields.clone(),
            require_approver_reason: request.flow_policy.settings.require_approver_reason,
            favorite: false,
            access_units_summary: units.map(UnitSummary::of).collect(),
            distinct_resource_names: names.into_iter().map(str::to_owned).collect(),
            extension_count: count_of(request.extension_count),
            extend_options: ExtendOptions::of(&view.extend_options),
        }
    }
}

impl User {
    fn of(user: &Person) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.display_name(),
            email: user.email.clone(),
            photo: None,
        }
    }
}

impl Grantee {
    fn of(user: &Person) -> Self {
        Self {
            id: user.id.to_string(),
            source_id: user.email.clone(),
            display_name: user.display_name(),
            kind: "user",
        }
    }
}

impl Status {
    fn of(view: &RequestView) -> Self {
        let request = &view.request;
        let end = request.ends_at.map(|end| ("ends_at".to_owned(), end.to_string()));
        let later = request.extending_to.map(|end| ("extending_to".to_owned(), end.to_string()));
        let extending = request.extending_to.map(|later| {
            format!("extending to {later}; until its target has that, the present end stands")
        });
        Self {
            word: request.state.wire_word(),
            description: request.state_reason.clone().or(extending),
            metadata: end.into_iter().chain(later).collect(),
        }
    }
}

impl ExtendOptions {
    fn of(options: &extensions::ExtendOptions) -> Self {
        Self {
            can_extend: options.availability == Availability::Available,
            extension_availability: match options.availability {
                Availability::Available => "AVAILABLE",
                Availability::NotAvailable => "NOT_AVAILABLE",
                Availability::Extending => "EXTENDING",
                Availability::Exhausted => "EXHAUSTED",
            },
            extend_duration_in_sec: seconds32(options.step_sec),
            remaining_extensions: count_of(options.remaining),
        }
    }
}

impl AccessGroup {
    fn all_of(view: &RequestView) -> Vec<Self> {
        let group = |(id, name): (&latchkey_domain::ids::IntegrationId, &String)| {
            let units: Vec<&RequestUnit> =
                view.units.iter().filter(|unit| unit.integration_id == *id).collect();
            let types: BTreeSet<&str> =
                units.iter().map(|unit| unit.resource_type.as_str()).collect();
            let resources: BTreeSet<_> = units.iter().map(|unit| &unit.resource_id).collect();
            let kind = types.first().and_then(|key| kind_of_resource(key));
            Self {
                integration: Integration {
                    id: id.to_string(),
                    kind: kind.map_or("", |kind| kind.integration_type).to_owned(),
                    type_display_name: kind.map_or("", |kind| kind.integration_label).to_owned(),
                    name: name.clone(),
                    icons: Icons::default(),
                },
                resource_types: types.iter().map(|key| ResourceType::of(key)).collect(),
                id: format!("{}.{id}", view.request.id),
                has_new_credentials: view.request.state == RequestState::Active,
                status: GroupStatus::of(&units),
                total_resources: count(resources.len()),
                total_permissions: count(units.len()),
            }
        };
        view.integrations.iter().map(group).collect()
    }
}

impl ResourceType {
    fn of(key: &str) -> Self {
        let kind = kind_of_resource(key);
        let display_path = kind.map_or_else(
            || key.to_owned(),
            |kind| format!("{} {}", kind.integration_label, kind.label),
        );
        Self {
            id: key.to_owned(),
            name: kind.map_or(key, |kind| kind.label).to_owned(),
            display_path,
            allow_multiple_permissions: true,
            icons: Icons::default(),
        }
    }
}

impl GroupStatus {
    /// The wire has no word for "still running": that is `Success` until something failed.
    fn of(units: &[&RequestUnit]) -> Self {
        let failed = units.iter().filter(|unit| unit.state == UnitState::Failed).count();
        let status = match failed {
            0 => GroupOutcome::Success,
            all if all == units.len() => GroupOutcome::Failure,
            _ => GroupOutcome::Warning,
        };
        Self { status, message: units.iter().find_map(|unit| unit.error.clone()) }
    }
}

impl UnitSummary {
    fn of(unit: &RequestUnit) -> Self {
        Self { resource_name: unit.resource_name.clone(), permission_name: unit.permission.clone() }
    }
}

impl Challenge {
    /// Who was asked, while and after somebody is; `None` where nobody has to agree. Programs are
    /// left out: clients take a list with anybody in it to mean that a person has to act.
    fn of(view: &RequestView) -> Option<Self> {
        let policy = view.request.flow_policy.approver_policy.as_ref()?;
        let decided = |user: &Person| {
            let mut theirs = view.approvals.iter().rev();
            theirs.find(|approval| approval.approver_id == user.id).map(|found| found.decision)
        };
        let tier = |user: &Person| view.asked_in_tier.get(&user.id).copied();
        let told_at = |tier: usize| {
            let told = view.request.escalations.get(tier.checked_sub(1)?);
            told.copied().map(EpochSeconds::from)
        };
        let approvers: Vec<Approver> = view
            .asked_approvers
            .iter()
            .map(|user| Approver {
                name: user.display_name(),
                kind: "user",
                status: match decided(user) {
                    Some(Decision::Approved) => ApproverStatus::Approved,
                    Some(Decision::Rejected) => ApproverStatus::Rejected,
                    None => ApproverStatus::Pending,
                },
                metadata: BTreeMap::new(),
                tier: tier(user).map(count),
                tier_escalated_at: tier(user).and_then(told_at),
            })
            .collect();
        let logical_relation = match policy.approval_mode {
            ApprovalMode::AnyOf => Relation::AnyOf,
            ApprovalMode::AllOf => Relation::AllOf,
        };
        (!approvers.is_empty()).then_some(Self { logical_relation, approvers })
    }
}

fn count_of(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
