//! Random people, flows and bundles, and what the plain evaluators say of them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_aql::{Query, Subject};
use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::{
        AccessFlow, ApprovalMode, ApproverPolicy, Condition, ConditionSet, FlowPolicy,
        FlowSettings, FlowTarget, FlowTrigger, LegacyPolicy, LogicalOperator, MatchOperator,
        RequestFor, RequestScope,
    },
    ids::{AccessScopeId, AttributeValueId, BundleId, FlowId, GroupId, IntegrationId, UserId},
    inventory::Entitlement,
    people::{AttributeValue, Group, PersonAttribute, User, UserStatus},
    policy::{
        floors::{Floor, FloorRule},
        matching::PersonFacts,
        targets,
    },
};
use latchkey_inventory::{Directory, Floors, Rules};
use proptest::prelude::*;

use crate::random::{Inventory, bundle_target, query, scope_id, target};

/// A person, with all that conditions look at.
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
}

/// Everybody.
pub struct Everybody<'p>(pub &'p [Person]);

impl Directory for Everybody<'_> {
    fn each(&self, show: &mut dyn FnMut(PersonFacts<'_>)) {
        self.0.iter().for_each(|person| show(person.facts()));
    }
}

/// Names that identities have, and that conditions name them by.
fn named() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "ana", "Ana", "ana@x.io", "ANA@x.io", " ben@x.io ", "ben", "ops", "Ops", "dev", "u0",
            "u1", "g0", "g1", "a0", "Berlin", "berlin", "", " ",
        ])
        .prop_map(str::to_owned),
        1 => "[a-cA-C ]{0,3}",
    ]
}

fn source() -> impl Strategy<Value = Option<IntegrationId>> {
    let known = prop::sample::select(vec!["okta", "ldap"]);
    prop::option::of(known.prop_map(IntegrationId::new))
}

fn user(id: u32) -> impl Strategy<Value = User> {
    let status = prop::bool::weighted(0.9);
    let aliases = prop::collection::vec(named(), 0..2);
    let manager = prop::option::of(0..6u32);
    (named(), aliases, named(), status, source(), prop::option::of(named()), manager).prop_map(
        move |(email, email_aliases, first_name, is_active, source, source_id, manager)| User {
            id: UserId::new(format!("u{id}")),
            email,
            email_aliases,
            first_name,
            last_name: String::new(),
            status: if is_active { UserStatus::Active } else { UserStatus::Disabled },
            roles: BTreeSet::new(),
            source_integration_id: source,
            source_id,
            manager_id: manager.map(|n| UserId::new(format!("u{n}"))),
            created_at: Timestamp::UNIX_EPOCH,
        },
    )
}

fn group() -> impl Strategy<Value = Group> {
    (0..4u32, named(), source(), prop::option::of(named())).prop_map(
        |(id, name, source_integration_id, source_id)| Group {
            id: GroupId::new(format!("g{id}")),
            name,
            source_integration_id,
            source_id,
            created_at: Timestamp::UNIX_EPOCH,
        },
    )
}

/// Attribute types; one is named like what conditions look at otherwise.
const ATTRIBUTES: [&str; 3] = ["city", "team", "group"];

fn attribute() -> impl Strategy<Value = PersonAttribute> {
    let kind = prop::sample::select(&ATTRIBUTES[..]);
    (0..4u32, kind, named(), source(), prop::option::of(named())).prop_map(
        |(id, kind, value, source_integration_id, source_id)| PersonAttribute {
            text: value.clone(),
            identity: AttributeValue {
                id: AttributeValueId::new(format!("a{id}")),
                attribute_type: kind.to_owned(),
                value,
                source_integration_id,
                source_id,
                created_at: Timestamp::UNIX_EPOCH,
            },
        },
    )
}

fn person(id: u32) -> impl Strategy<Value = Person> {
    let groups = prop::collection::vec(group(), 0..3);
    let attributes = prop::collection::vec(attribute(), 0..3);
    (user(id), groups, prop::option::of(user(9)), attributes).prop_map(
        |(user, groups, manager, attributes)| Person { user, groups, manager, attributes },
    )
}

/// Some people.
pub fn people() -> impl Strategy<Value = Vec<Person>> {
    (person(0), person(1), person(2), person(3), person(4))
        .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

fn condition() -> impl Strategy<Value = Condition> {
    let kind = prop::sample::select(vec!["user", "group", "manager", "city", "team", "Owner"]);
    let operator = prop_oneof![
        4 => Just(Some(MatchOperator::Is)),
        1 => Just(None),
        1 => Just(Some(MatchOperator::IsNot)),
        1 => Just(Some(MatchOperator::Contains)),
        1 => Just(Some(MatchOperator::DoesNotContain)),
        1 => Just(Some(MatchOperator::StartsWith)),
    ];
    let values = prop::option::weighted(0.9, prop::collection::vec(named(), 0..3));
    let pins = prop::collection::vec(prop::option::of(named()), 0..3);
    (source(), kind, operator, values, pins).prop_map(
        |(source_integration_id, kind, match_operator, values, pinned_ids)| Condition {
            source_integration_id,
            attribute_type: kind.to_owned(),
            match_operator,
            values,
            pinned_ids,
        },
    )
}

fn conditions() -> impl Strategy<Value = ConditionSet> {
    let operator = prop::sample::select(vec![LogicalOperator::And, LogicalOperator::Or]);
    (operator, prop::collection::vec(condition(), 0..3))
        .prop_map(|(logical_operator, conditions)| ConditionSet { logical_operator, conditions })
}

fn bundle_id() -> impl Strategy<Value = BundleId> {
    (0..3u32).prop_map(|n| BundleId::new(format!("b{n}")))
}

fn flow_target() -> impl Strategy<Value = FlowTarget> {
    prop_oneof![
        4 => target().prop_map(FlowTarget::Integration),
        1 => bundle_id().prop_map(FlowTarget::Bundle),
        1 => scope_id().prop_map(FlowTarget::AccessScope),
    ]
}

fn request_for() -> impl Strategy<Value = Option<RequestFor>> {
    let scope = prop::sample::select(vec![
        RequestScope::Myself,
        RequestScope::Others,
        RequestScope::DirectReports,
    ]);
    let some = (prop::collection::vec(scope, 0..3), prop::option::of(conditions()))
        .prop_map(|(request_scopes, grantees)| RequestFor { request_scopes, grantees });
    prop::option::weighted(0.4, some)
}

fn flow(id: usize) -> impl Strategy<Value = AccessFlow> {
    let targets = prop::collection::vec(flow_target(), 1..4);
    let switches = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    (conditions(), request_for(), any::<bool>(), targets, switches).prop_map(
        move |(requestors, request_for, request_for_others, access_targets, switches)| {
            let (active, self_serve, require_mfa, needs_approval) = switches;
            AccessFlow {
                id: FlowId::new(format!("f{id}")),
                name: format!("flow {id}"),
                description: None,
                active,
                policy: FlowPolicy {
                    trigger: if self_serve {
                        FlowTrigger::SelfServe
                    } else {
                        FlowTrigger::Automatic
                    },
                    requestors,
                    request_for,
                    request_for_others,
                    access_targets,
                    approver_policy: approvers(needs_approval),
                    escalation_policy: None,
                    grant_duration_in_min: None,
                    timeframe: None,
                    settings: FlowSettings {
                        justification_required: false,
                        require_approver_reason: false,
                        requestor_cannot_approve_himself: true,
                        require_mfa,
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
        },
    )
}

fn approvers(needed: bool) -> Option<ApproverPolicy> {
    needed
        .then(|| ApproverPolicy { approval_mode: ApprovalMode::AnyOf, approver_groups: Vec::new() })
}

fn bundle(id: u32) -> impl Strategy<Value = Bundle> {
    prop::collection::vec(bundle_target(), 0..4).prop_map(move |targets| Bundle {
        id: BundleId::new(format!("b{id}")),
        name: format!("bundle {id}"),
        targets,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    })
}

/// Up to two floors; now and then one whose query cannot be read.
fn floors() -> impl Strategy<Value = Floors> {
    let text = prop_oneof![
        9 => query().prop_map(|query| query.to_string()),
        1 => Just("resource_type like".to_owned()),
    ];
    let rule = (text, any::<bool>(), any::<bool>(), prop::option::of(1..9000u32)).prop_map(
        |(query, approval, mfa, longest_sec)| FloorRule {
            name: "floor".to_owned(),
            query,
            approval,
            mfa,
            longest_sec,
        },
    );
    prop::collection::vec(rule, 0..3).prop_map(Floors::new)
}

/// Any flows, with two bundles of the three and three access scopes of the four that they name.
pub fn rules() -> impl Strategy<Value = Rules> {
    let flows = (1..8usize).prop_flat_map(|count| (0..count).map(flow).collect::<Vec<_>>());
    let scopes = (query(), query(), query());
    (flows, bundle(0), bundle(1), scopes, floors()).prop_map(|(flows, a, b, (x, y, z), floors)| {
        let access_scopes = vec![
            (AccessScopeId::new("s0"), x),
            (AccessScopeId::new("s1"), y),
            (AccessScopeId::new("s2"), z),
        ];
        Rules { flows, bundles: vec![a, b], access_scopes, floors }
    })
}

/// What bundles and access scopes hold, by the plain evaluator.
#[derive(Debug)]
pub struct Plain<'a> {
    pub rules: &'a Rules,
    pub inventory: &'a Inventory,
}

impl Plain<'_> {
    fn query(&self, id: &AccessScopeId) -> Option<&Query> {
        self.rules.access_scopes.iter().find(|(known, _)| known == id).map(|(_, query)| query)
    }
}

impl targets::Contents for Plain<'_> {
    fn bundle(&self, id: &BundleId) -> Option<&[BundleTarget]> {
        let bundle = self.rules.bundles.iter().find(|bundle| bundle.id == *id);
        bundle.map(|bundle| bundle.targets.as_slice())
    }

    fn scope_selects(&self, id: &AccessScopeId, entitlement: &Entitlement) -> bool {
        let integration_name = self.inventory.name(&entitlement.resource.integration_id);
        self.query(id)
            .is_some_and(|query| query.selects(&Subject { entitlement, integration_name }))
    }

    fn floor_on(&self, entitlement: &Entitlement) -> Floor {
        let integration_name = self.inventory.name(&entitlement.resource.integration_id);
        self.rules.floors.on(&Subject { entitlement, integration_name })
    }
}
