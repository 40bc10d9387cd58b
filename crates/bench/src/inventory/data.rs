//! The inventory, the flows and the people that everything here is measured with: made from
//! numbers, the same in every run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_aql::{Query, parse};
use latchkey_domain::{
    flow::{
        AccessFlow, Condition, ConditionSet, FlowPolicy, FlowSettings, FlowTarget, FlowTrigger,
        IntegrationTarget, LegacyPolicy, LogicalOperator, MatchOperator, ResourceScope,
        ResourceScopeType, ScopeMode,
    },
    ids::{AccessScopeId, FlowId, GroupId, IntegrationId, PermissionId, ResourceId, UserId},
    inventory::{Permission, Resource, ResourceStatus, RiskLevel},
    people::{Group, User, UserStatus},
    policy::matching::PersonFacts,
};

/// Resource types of every integration, with what share of a hundred resources each has.
pub(crate) const TYPES: [(&str, u64); 4] =
    [("database", 3), ("schema", 12), ("host", 15), ("table", 70)];

/// Permissions of every type.
pub(crate) const PERMISSIONS: [&str; 5] = ["READ_ONLY", "READ_WRITE", "ADMIN", "AUDIT", "OWNER"];

/// Tags of every resource, with how many values each has.
pub(crate) const TAGS: [(&str, u64); 8] = [
    ("env", 4),
    ("team", 200),
    ("region", 12),
    ("tier", 5),
    ("cost_center", 500),
    ("app", 2000),
    ("owner", 1000),
    ("pii", 2),
];

/// What names are made of.
pub(crate) const WORDS: [&str; 24] = [
    "orders",
    "invoice",
    "customer",
    "ledger",
    "shipment",
    "returns",
    "payment",
    "session",
    "archive",
    "events",
    "metrics",
    "audit",
    "catalog",
    "pricing",
    "stock",
    "supplier",
    "refund",
    "contract",
    "ticket",
    "profile",
    "journal",
    "forecast",
    "campaign",
    "warehouse",
];

/// Groups that people are in, and in how many each is.
pub(crate) const GROUPS: u64 = 1000;
const GROUPS_OF_ONE: u64 = 10;
/// Access scopes that flows name.
const SCOPES: u64 = 50;

/// Numbers that look random, by seed: splitmix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        // Mixed, or the numbers of one seed would be those of the one before, one further.
        Self(mixed(seed))
    }

    /// One below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0) % bound.max(1)
    }

    /// One of them.
    pub(crate) fn of<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.below(items.len() as u64);
        items.get(usize::try_from(at).ok()?).cloned()
    }

    /// One of these words.
    pub(crate) fn word(&mut self, words: &[&'static str]) -> &'static str {
        self.of(words).unwrap_or("")
    }
}

/// The value of a tag.
pub(crate) fn tag_value(key: &str, number: u64) -> String {
    match key {
        "pii" => (number == 0).to_string(),
        "env" => ["prod", "staging", "test", "dev"]
            .get(usize::try_from(number).unwrap_or_default())
            .map_or_else(String::new, |env| (*env).to_owned()),
        _ => format!("{key}-{number}"),
    }
}

/// The integration with this number.
pub(crate) fn integration(number: u64) -> IntegrationId {
    IntegrationId::new(format!("01980000-0000-7000-8000-{number:012}"))
}

/// Its permissions.
pub(crate) fn permissions(integration: &IntegrationId) -> Vec<Permission> {
    let of_type = |(kind, _): &(&str, u64)| {
        PERMISSIONS.map(|name| Permission {
            id: PermissionId::derive(integration, kind, name),
            integration_id: integration.clone(),
            resource_type: (*kind).to_owned(),
            name: name.to_owned(),
            risk: (name == "ADMIN").then_some(RiskLevel::High),
        })
    };
    TYPES.iter().flat_map(of_type).collect()
}

/// The name of a resource.
pub(crate) fn resource_name(number: u64) -> String {
    let mut numbers = Numbers::new(number ^ 0x6e61_6d65);
    let (one, other) = (numbers.word(&WORDS), numbers.word(&WORDS));
    format!("{one}_{other}_{number:06}")
}

/// A resource of an integration.
pub(crate) fn resource(integration_id: &IntegrationId, number: u64) -> Resource {
    let mut numbers = Numbers::new(number);
    let mut share = numbers.below(100);
    let kind = TYPES.iter().find(|(_, own)| {
        let is_it = share < *own;
        share = share.saturating_sub(*own);
        is_it
    });
    let kind = kind.map_or("table", |(kind, _)| kind);
    let name = resource_name(number);
    let path =
        format!("db{:02}/{}{}/{name}", numbers.below(40), numbers.word(&WORDS), numbers.below(20));
    let source_id = format!("{kind}:{path}");
    let tags = TAGS.map(|(key, values)| (key.to_owned(), tag_value(key, numbers.below(values))));
    Resource {
        id: ResourceId::derive(integration_id, &source_id),
        integration_id: integration_id.clone(),
        resource_type: kind.to_owned(),
        source_id,
        name,
        path,
        tags: BTreeMap::from(tags),
        user_tags: BTreeMap::new(),
        context: BTreeMap::from([("oid".to_owned(), (16_384 + number).to_string())]),
        status: ResourceStatus::Active,
        risk: (numbers.below(10) == 0).then_some(RiskLevel::High),
        // A page of a discovery run is stored at one time.
        created_at: Timestamp::from_second(
            1_700_000_000 + i64::try_from(number / 200).unwrap_or_default(),
        )
        .unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// A person with the groups that conditions look at.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) groups: Vec<Group>,
}

impl Person {
    pub(crate) fn facts(&self) -> PersonFacts<'_> {
        PersonFacts { user: &self.user, groups: &self.groups, manager: None, attributes: &[] }
    }
}

fn group_id(number: u64) -> GroupId {
    GroupId::new(format!("01980000-0000-7000-9000-{number:012}"))
}

/// A person.
pub(crate) fn person(number: u64) -> Person {
    let mut numbers = Numbers::new(number ^ 0x7065_6f70_6c65);
    let mut own = BTreeSet::new();
    while (own.len() as u64) < GROUPS_OF_ONE {
        own.insert(numbers.below(GROUPS));
    }
    let group = |number: u64| Group {
        id: group_id(number),
        name: format!("group {number}"),
        source_integration_id: None,
        source_id: None,
        created_at: Timestamp::UNIX_EPOCH,
    };
    Person {
        user: User {
            id: UserId::new(format!("01980000-0000-7000-a000-{number:012}")),
            email: format!("person{number}@example.com"),
            email_aliases: Vec::new(),
            first_name: "Person".to_owned(),
            last_name: number.to_string(),
            status: UserStatus::Active,
            roles: BTreeSet::new(),
            source_integration_id: None,
            source_id: None,
            manager_id: None,
            created_at: Timestamp::UNIX_EPOCH,
        },
        groups: own.into_iter().map(group).collect(),
    }
}

/// How many groups a flow names so that it concerns about this share of a hundred people.
fn groups_for(percent: u64) -> u64 {
    // Each person is in ten of a thousand: 1 - 0.99^groups.
    match percent {
        0..=1 => 1,
        2..=10 => 10,
        _ => 69,
    }
}

fn requestors(numbers: &mut Numbers, percent: u64) -> ConditionSet {
    let mut named = BTreeSet::new();
    while (named.len() as u64) < groups_for(percent) {
        named.insert(numbers.below(GROUPS));
    }
    let in_groups = Condition {
        source_integration_id: None,
        attribute_type: "group".to_owned(),
        match_operator: Some(MatchOperator::Is),
        values: Some(named.iter().map(|number| format!("group {number}")).collect()),
        pinned_ids: named.iter().map(|number| Some(group_id(*number).into())).collect(),
    };
    let mut conditions = vec![in_groups];
    if numbers.below(10) == 0 {
        conditions.push(Condition {
            source_integration_id: None,
            attribute_type: "user".to_owned(),
            match_operator: Some(MatchOperator::Contains),
            values: Some(vec!["@example.com".to_owned()]),
            pinned_ids: Vec::new(),
        });
    }
    ConditionSet { logical_operator: LogicalOperator::And, conditions }
}

fn tag_scope(numbers: &mut Numbers, scope_mode: ScopeMode) -> ResourceScope {
    let (key, values) = numbers.of(&TAGS).unwrap_or(("env", 4));
    let count = 1 + numbers.below(3);
    ResourceScope {
        scope_mode,
        scope_type: ResourceScopeType::Tag,
        key: Some(key.to_owned()),
        values: (0..count).map(|_| tag_value(key, numbers.below(values))).collect(),
    }
}

/// What flows reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Targets {
    /// Six targets in ten go by a tag, one each by a tag with an exception, by names, by type
    /// alone and by an access scope.
    Mixed,
    /// None goes by type alone; those go by a tag as well.
    Parts,
}

fn target(numbers: &mut Numbers, of: Targets, integrations: u64, resources: u64) -> FlowTarget {
    let kind = numbers.below(10);
    if kind == 9 {
        let scope = numbers.below(SCOPES);
        return FlowTarget::AccessScope(AccessScopeId::new(format!("scope-{scope}")));
    }
    let own = numbers.below(integrations);
    let scopes = match kind {
        0..=5 => Some(vec![tag_scope(numbers, ScopeMode::IncludeResources)]),
        8 if of == Targets::Parts => Some(vec![tag_scope(numbers, ScopeMode::IncludeResources)]),
        6 => Some(vec![
            tag_scope(numbers, ScopeMode::IncludeResources),
            ResourceScope {
                scope_mode: ScopeMode::ExcludeResources,
                scope_type: ResourceScopeType::Tag,
                key: Some("pii".to_owned()),
                values: vec!["true".to_owned()],
            },
        ]),
        7 => Some(vec![ResourceScope {
            scope_mode: ScopeMode::IncludeResources,
            scope_type: ResourceScopeType::Name,
            key: None,
            values: (0..20)
                .map(|_| {
                    let each = resources / integrations;
                    resource_name(own * each + numbers.below(each))
                })
                .collect(),
        }]),
        _ => None,
    };
    let first = usize::try_from(numbers.below(3)).unwrap_or_default();
    let permissions = PERMISSIONS.iter().skip(first).take(1 + first).map(|name| (*name).to_owned());
    FlowTarget::Integration(IntegrationTarget {
        integration_id: integration(own),
        resource_type: numbers.of(&TYPES).map_or("table", |(kind, _)| kind).to_owned(),
        permissions: permissions.collect(),
        resources_scopes: scopes,
    })
}

/// The flows: each concerns about `percent` of a hundred people.
pub(crate) fn flows(
    count: u64,
    percent: u64,
    of: Targets,
    integrations: u64,
    resources: u64,
) -> Vec<AccessFlow> {
    let flow = |number: u64| {
        let mut numbers = Numbers::new(number ^ 0x666c_6f77);
        let requestors = requestors(&mut numbers, percent);
        let targets = 1 + numbers.below(2);
        let access_targets =
            (0..targets).map(|_| target(&mut numbers, of, integrations, resources)).collect();
        AccessFlow {
            id: FlowId::new(format!("01980000-0000-7000-b000-{number:012}")),
            name: format!("flow {number}"),
            description: None,
            active: true,
            policy: FlowPolicy {
                trigger: FlowTrigger::SelfServe,
                requestors,
                request_for: None,
                request_for_others: false,
                access_targets,
                approver_policy: None,
                escalation_policy: None,
                grant_duration_in_min: Some(60),
                timeframe: None,
                settings: FlowSettings {
                    justification_required: false,
                    require_approver_reason: false,
                    requestor_cannot_approve_himself: true,
                    require_mfa: false,
                    labels: Vec::new(),
                    max_extensions: 0,
                    extension_duration_in_min: 0,
                    require_justification_on_request_again: false,
                },
                legacy: LegacyPolicy::default(),
            },
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: None,
        }
    };
    (0..count).map(flow).collect()
}

/// The access scopes that flows name.
pub(crate) fn access_scopes() -> Vec<(AccessScopeId, Query)> {
    let scope = |number: u64| {
        let mut numbers = Numbers::new(number ^ 0x7363_6f70_6573);
        let query =
            parse(&format!("({}) and ({})", condition(&mut numbers), condition(&mut numbers)));
        Some((AccessScopeId::new(format!("scope-{number}")), query.ok()?))
    };
    (0..SCOPES).filter_map(scope).collect()
}

/// A condition: half of them compare tags, a third names or paths, the rest anything else.
fn condition(numbers: &mut Numbers) -> String {
    match numbers.below(6) {
        0..=2 => {
            let (key, values) = numbers.of(&TAGS).unwrap_or(("env", 4));
            let mut value = || format!("\"{}\"", tag_value(key, numbers.below(values)));
            match value().len() % 2 {
                0 => format!("resource_tag[\"{key}\"] = {}", value()),
                _ => format!("resource_tag[\"{key}\"] in ({}, {}, {})", value(), value(), value()),
            }
        }
        3 => contains(numbers),
        4 => match numbers.below(4) {
            0 => format!("resource_path starts_with \"db{:02}/\"", numbers.below(40)),
            1 => format!("resource_path contains \"{}\"", numbers.word(&WORDS)),
            2 => format!("resource_name starts_with \"{}_\"", numbers.word(&WORDS)),
            _ => format!("resource_name ends_with \"{}\"", numbers.below(1000)),
        },
        _ => match numbers.below(4) {
            0 => "resource_type = \"table\"".to_owned(),
            1 => format!("permission_name = \"{}\"", numbers.word(&PERMISSIONS)),
            2 => "resource_risk_level in (\"high\", \"critical\")".to_owned(),
            _ => format!("integration = \"{}\"", integration(numbers.below(10))),
        },
    }
}

/// A part of names: rare, common, or within every name.
fn contains(numbers: &mut Numbers) -> String {
    let word = numbers.word(&WORDS);
    let part = match numbers.below(6) {
        0 => format!("{:04}", numbers.below(10_000)),
        1 => word.to_owned(),
        2 => word.chars().skip(1).take(4).collect(),
        3 => word.chars().take(2).collect(),
        4 => format!("{}_{}", word, numbers.word(&WORDS)),
        _ => format!("s_{}", word.chars().take(2).collect::<String>()),
    };
    format!("resource_name contains \"{part}\"")
}

/// A query of so many conditions: at least one `contains` over names, `not` before a quarter.
pub(crate) fn query(number: u64, conditions: u64) -> String {
    let mut numbers = Numbers::new(number ^ 0x7175_6572_7900);
    let mut text = String::new();
    for at in 0..conditions {
        if at > 0 {
            text.push_str(if numbers.below(3) == 0 { " and " } else { " or " });
        }
        if numbers.below(4) == 0 {
            text.push_str("not ");
        }
        text.push_str(&if at == 0 { contains(&mut numbers) } else { condition(&mut numbers) });
    }
    text
}
