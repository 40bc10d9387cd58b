//! People, flows and entitlements with as little said as possible.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{
        AccessFlow, ApprovalMode, ApproverGroup, ApproverPolicy, Condition, ConditionSet,
        FlowPolicy, FlowSettings, FlowTarget, FlowTrigger, IntegrationTarget, LegacyPolicy,
        LogicalOperator, MatchOperator,
    },
    ids::{
        AccessScopeId, ApprovalId, AttributeValueId, BundleId, FlowId, GroupId, IntegrationId,
        PermissionId, RequestId, ResourceId, SessionId, UnitId, UserId,
    },
    inventory::{Entitlement, Permission, Resource, ResourceStatus},
    people::{AttributeValue, Group, PersonAttribute, User, UserStatus},
    policy::{floors::Floor, matching::PersonFacts, programs::ProgramAnswer, targets::Contents},
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit, UnitState},
};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn noon() -> Timestamp {
    at("2026-05-13T12:00:00Z")
}

/// A person with the groups they are in.
#[derive(Debug, Clone)]
pub struct Person {
    pub user: User,
    pub groups: Vec<Group>,
    pub manager: Option<User>,
    pub attributes: Vec<PersonAttribute>,
}

impl Person {
    pub fn facts(&self) -> PersonFacts<'_> {
        PersonFacts {
            user: &self.user,
            groups: &self.groups,
            manager: self.manager.as_ref(),
            attributes: &self.attributes,
        }
    }

    pub fn under(mut self, manager: &Person) -> Self {
        self.user.manager_id = Some(manager.user.id.clone());
        self.manager = Some(manager.user.clone());
        self
    }

    /// With a value of an attribute that was set here.
    pub fn having(mut self, kind: &str, text: &str) -> Self {
        self.attributes.push(PersonAttribute {
            identity: AttributeValue {
                id: AttributeValueId::derive(kind, text),
                attribute_type: kind.to_owned(),
                value: text.to_owned(),
                source_integration_id: None,
                source_id: None,
                created_at: noon(),
            },
            text: text.to_owned(),
        });
        self
    }

    /// With a value of an attribute that `source` knows as `source_id`.
    pub fn having_from(mut self, source: &str, kind: &str, source_id: &str, text: &str) -> Self {
        let source = IntegrationId::new(source);
        self = self.having(kind, text);
        if let Some(PersonAttribute { identity, .. }) = self.attributes.last_mut() {
            identity.id = AttributeValueId::derive_from_source(kind, &source, source_id);
            identity.source_integration_id = Some(source);
            identity.source_id = Some(source_id.to_owned());
        }
        self
    }

    pub fn in_group(mut self, name: &str) -> Self {
        self.groups.push(group(name));
        self
    }

    pub fn alias(mut self, address: &str) -> Self {
        self.user.email_aliases.push(address.to_owned());
        self
    }

    pub fn disabled(mut self) -> Self {
        self.user.status = UserStatus::Disabled;
        self
    }
}

/// `alice` is Alice Example <alice@corp.example>, id `id-alice`.
pub fn person(name: &str) -> Person {
    let first: String = name
        .chars()
        .enumerate()
        .map(|(n, c)| if n == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    let user = User {
        id: UserId::new(format!("id-{name}")),
        email: format!("{name}@corp.example"),
        email_aliases: Vec::new(),
        first_name: first,
        last_name: "Example".to_owned(),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: noon(),
    };
    Person { user, groups: Vec::new(), manager: None, attributes: Vec::new() }
}

pub fn group(name: &str) -> Group {
    Group {
        id: GroupId::new(format!("id-{name}")),
        name: name.to_owned(),
        source_integration_id: None,
        source_id: None,
        created_at: noon(),
    }
}

pub fn condition(kind: &str, operator: MatchOperator, values: &[&str]) -> Condition {
    Condition {
        source_integration_id: None,
        attribute_type: kind.to_owned(),
        match_operator: Some(operator),
        values: Some(values.iter().map(|&value| value.to_owned()).collect()),
        pinned_ids: Vec::new(),
    }
}

pub fn user_is(name: &str) -> Condition {
    condition("user", MatchOperator::Is, &[&format!("{name}@corp.example")])
}

pub fn group_is(name: &str) -> Condition {
    condition("group", MatchOperator::Is, &[name])
}

/// A condition on approvers that means programs.
pub fn program_is(urls: &[&str]) -> Condition {
    condition("webhook", MatchOperator::Is, urls)
}

/// What came of asking a program.
pub fn answer(url: &str, decision: Option<Decision>, digest: &str) -> ProgramAnswer {
    ProgramAnswer {
        request_id: RequestId::new("request"),
        url: url.to_owned(),
        decision,
        reason: None,
        digest: digest.to_owned(),
        at: noon(),
    }
}

pub fn any_of(conditions: Vec<Condition>) -> ConditionSet {
    ConditionSet { logical_operator: LogicalOperator::Or, conditions }
}

pub fn all_of(conditions: Vec<Condition>) -> ConditionSet {
    ConditionSet { logical_operator: LogicalOperator::And, conditions }
}

/// Everybody at `corp.example`.
pub fn everybody() -> ConditionSet {
    any_of(vec![condition("user", MatchOperator::Contains, &["@corp.example"])])
}

pub fn approvers(operator: LogicalOperator, conditions: Vec<Condition>) -> ApproverGroup {
    ApproverGroup { logical_operator: operator, approvers: conditions }
}

pub fn approver_policy(mode: ApprovalMode, groups: Vec<ApproverGroup>) -> ApproverPolicy {
    ApproverPolicy { approval_mode: mode, approver_groups: groups }
}

/// Approval by any one of these people.
pub fn approved_by(names: &[&str]) -> ApproverPolicy {
    let conditions = names.iter().map(|name| user_is(name)).collect();
    approver_policy(ApprovalMode::AnyOf, vec![approvers(LogicalOperator::Or, conditions)])
}

/// Everybody may have `READ_ONLY` on every table of `shop`, for an hour, without approval.
pub fn policy() -> FlowPolicy {
    FlowPolicy {
        trigger: FlowTrigger::SelfServe,
        requestors: everybody(),
        request_for: None,
        request_for_others: false,
        access_targets: vec![tables(&["READ_ONLY"])],
        approver_policy: None,
        escalation_policy: None,
        grant_duration_in_min: Some(60),
        timeframe: None,
        settings: FlowSettings {
            justification_required: false,
            require_approver_reason: false,
            requestor_cannot_approve_himself: false,
            require_mfa: false,
            labels: Vec::new(),
            max_extensions: 0,
            extension_duration_in_min: 0,
            require_justification_on_request_again: false,
        },
        legacy: LegacyPolicy::default(),
    }
}

pub fn tables(permissions: &[&str]) -> FlowTarget {
    FlowTarget::Integration(IntegrationTarget {
        integration_id: IntegrationId::new("shop"),
        resource_type: "postgresql-table".to_owned(),
        permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
        resources_scopes: None,
    })
}

/// The shop's tables as a part of a bundle, for reading.
pub fn read_tables() -> BundleTarget {
    match tables(&["READ_ONLY"]) {
        FlowTarget::Integration(target) => BundleTarget::Integration(target),
        other => panic!("{other:?} is no part of an integration"),
    }
}

/// One bundle, and an access scope that selects reading one table.
#[derive(Debug)]
pub struct Held {
    pub bundle: BundleId,
    pub targets: Vec<BundleTarget>,
    pub scope: Option<(&'static str, &'static str)>,
    pub floor: Floor,
}

impl Held {
    pub fn bundle(name: &str, targets: Vec<BundleTarget>) -> Self {
        Self { bundle: BundleId::new(name), targets, scope: None, floor: Floor::default() }
    }
}

impl Contents for Held {
    fn bundle(&self, id: &BundleId) -> Option<&[BundleTarget]> {
        (*id == self.bundle).then_some(self.targets.as_slice())
    }

    fn scope_selects(&self, id: &AccessScopeId, entitlement: &Entitlement) -> bool {
        self.scope.is_some_and(|(scope, table)| {
            id.as_str() == scope
                && entitlement.resource.name == table
                && entitlement.permission.name == "READ_ONLY"
        })
    }

    fn floor_on(&self, _: &Entitlement) -> Floor {
        self.floor.clone()
    }
}

pub fn flow(name: &str, policy: FlowPolicy) -> AccessFlow {
    AccessFlow {
        id: FlowId::new(format!("id-{name}")),
        name: name.to_owned(),
        description: None,
        active: true,
        policy,
        version: 1,
        created_at: noon(),
        updated_at: None,
    }
}

pub fn resource(name: &str) -> Resource {
    let integration = IntegrationId::new("shop");
    Resource {
        id: ResourceId::derive(&integration, name),
        integration_id: integration,
        resource_type: "postgresql-table".to_owned(),
        source_id: name.to_owned(),
        name: name.to_owned(),
        path: format!("shop/public/{name}"),
        tags: BTreeMap::new(),
        user_tags: BTreeMap::new(),
        context: BTreeMap::new(),
        status: ResourceStatus::Active,
        risk: None,
        created_at: noon(),
    }
}

pub fn permission(name: &str) -> Permission {
    let integration = IntegrationId::new("shop");
    Permission {
        id: PermissionId::derive(&integration, "postgresql-table", name),
        integration_id: integration,
        resource_type: "postgresql-table".to_owned(),
        name: name.to_owned(),
        risk: None,
    }
}

pub fn entitlement(table: &str, permission_name: &str) -> Entitlement {
    Entitlement { resource: resource(table), permission: permission(permission_name) }
}

pub fn unit(name: &str, entitlement: &Entitlement, ends_at: Option<Timestamp>) -> RequestUnit {
    let Entitlement { resource, permission } = entitlement.clone();
    RequestUnit {
        id: UnitId::new(name),
        request_id: RequestId::new("request"),
        integration_id: resource.integration_id,
        resource_id: resource.id,
        resource_type: resource.resource_type,
        resource_source_id: resource.source_id,
        resource_name: resource.name,
        resource_path: resource.path,
        resource_context: resource.context,
        permission_id: permission.id,
        permission: permission.name,
        state: UnitState::Held,
        error: None,
        session_id: Some(SessionId::new("session")),
        ends_at,
        extends_to: None,
    }
}

pub fn request(flow: &AccessFlow, requestor: &Person, grantee: &Person) -> AccessRequest {
    AccessRequest {
        id: RequestId::new("request"),
        number: 7,
        requestor_id: requestor.user.id.clone(),
        grantee_id: grantee.user.id.clone(),
        asked_as_grantee: false,
        flow_id: flow.id.clone(),
        flow_version: flow.version,
        flow_policy: flow.policy.clone(),
        bundle_id: None,
        state: RequestState::Pending,
        state_reason: None,
        justification: Some("a ticket".to_owned()),
        duration_sec: Some(3_600),
        duration_was_asked: true,
        custom_fields: BTreeMap::new(),
        digest: String::new(),
        escalations: Vec::new(),
        created_at: noon(),
        decided_at: None,
        ends_at: None,
        extending_to: None,
        extension_count: 0,
        granted_at: None,
        grant_deadline: None,
        ended_at: None,
        revoke_requested_at: None,
        second_factor_at: None,
        version: 1,
    }
}

/// A digest as [`latchkey_domain::policy::digest`] writes it.
pub fn digest(letter: char, seconds: &str) -> String {
    format!("{}:{seconds}", letter.to_string().repeat(64))
}

pub fn decision(by: &Person, decision: Decision, digest: &str) -> Approval {
    Approval {
        id: ApprovalId::new("approval"),
        request_id: RequestId::new("request"),
        approver_id: by.user.id.clone(),
        decision,
        reason: None,
        digest: digest.to_owned(),
        forced: false,
        at: noon(),
    }
}
