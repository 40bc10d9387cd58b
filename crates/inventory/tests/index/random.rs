//! Random inventories, queries and targets, of words that often meet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_aql::{Condition, Expr, Field, FieldName, Kind, Operator, Query, Subject};
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode},
    ids::{AccessScopeId, IntegrationId, PermissionId, ResourceId},
    inventory::{Entitlement, Permission, Resource, ResourceStatus, RiskLevel},
};
use latchkey_inventory::{Index, Position, Segment, SegmentBuilder, Selected};
use proptest::prelude::*;

/// The integrations there are: ids and names. The second is named like the first's id.
pub const INTEGRATIONS: [(&str, &str); 3] = [("i1", "shop"), ("i2", "i1"), ("i3", "Größe \"x\"")];
const TYPES: [&str; 3] = ["table", "schema", "host"];

/// For properties of which one case already asks many questions.
pub fn a_quarter() -> ProptestConfig {
    let whole = ProptestConfig::default();
    ProptestConfig { cases: whole.cases.div_ceil(4), ..whole }
}

/// Texts that are often equal, or parts of each other.
pub fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "prod", "dev", "Prod", "env", "shop", "shop/public/orders", "orders", "", "o", "or",
            "READ", "WRITE", "high", "1", "critical", "Active", "error", "größe", "ΟΔΟΣ", "i1",
            "r1", "r2", "p1", "public", "/", "table:", "s", "aab", "ab", "aaab",
        ])
        .prop_map(str::to_owned),
        1 => "[^\r\n]{0,6}",
        1 => "[ab/]{0,5}",
    ]
}

fn risk() -> impl Strategy<Value = Option<RiskLevel>> {
    use RiskLevel::{Critical, High, Low, Medium};
    prop::option::of(prop::sample::select(vec![Low, Medium, High, Critical]))
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(word(), word(), 0..3)
}

/// One of a few resources, or with an id of the form that ours have.
pub fn resource_id() -> impl Strategy<Value = ResourceId> {
    prop_oneof![
        3 => (0..30u32).prop_map(|n| ResourceId::new(format!("r{n}"))),
        1 => (0..9u32).prop_map(|n| ResourceId::new(format!("{n:064x}"))),
    ]
}

/// A resource of an integration.
pub fn resource(integration: &'static str) -> impl Strategy<Value = Resource> {
    let status = prop::sample::select(vec![
        ResourceStatus::Active,
        ResourceStatus::Active,
        ResourceStatus::Active,
        ResourceStatus::Error,
        ResourceStatus::Deleted,
    ]);
    let texts = prop_oneof![
        // As discovery makes them: the path ends with the name, the native id with the path.
        3 => (word(), word(), word()).prop_map(|(head, dir, name)| {
            let path = format!("{dir}{name}");
            (format!("{head}{path}"), path, name)
        }),
        1 => (word(), word(), word()),
    ];
    let seen = prop_oneof![3 => 0..4i64, 1 => -5..100i64];
    (
        resource_id(),
        prop::sample::select(&TYPES[..]),
        texts,
        tags(),
        tags(),
        tags(),
        status,
        risk(),
        seen,
    )
        .prop_map(
            move |(
                id,
                kind,
                (source_id, path, name),
                tags,
                user_tags,
                context,
                status,
                risk,
                seen,
            )| {
                Resource {
                    id,
                    integration_id: IntegrationId::new(integration),
                    resource_type: kind.to_owned(),
                    source_id,
                    name,
                    path,
                    tags,
                    user_tags,
                    context,
                    status,
                    risk,
                    created_at: Timestamp::from_second(seen).unwrap(),
                }
            },
        )
}

/// Resources of an integration, each once.
pub fn resources(integration: &'static str) -> impl Strategy<Value = Vec<Resource>> {
    prop::collection::vec(resource(integration), 0..30).prop_map(once)
}

/// The last of each id.
pub fn once(resources: Vec<Resource>) -> Vec<Resource> {
    let by_id: BTreeMap<ResourceId, Resource> =
        resources.into_iter().map(|one| (one.id.clone(), one)).collect();
    by_id.into_values().collect()
}

/// The permissions of an integration; sometimes a type has more than fit into one word.
pub fn permissions(integration: &'static str) -> impl Strategy<Value = Vec<Permission>> {
    let one = (prop::sample::select(&TYPES[..]), word(), risk());
    let few = prop::collection::vec(one, 0..7);
    (few, prop::bool::weighted(0.1)).prop_map(move |(few, many)| {
        let permission = |(kind, name, risk): (&str, String, Option<RiskLevel>)| Permission {
            id: PermissionId::derive(&IntegrationId::new(integration), kind, &name),
            integration_id: IntegrationId::new(integration),
            resource_type: kind.to_owned(),
            name,
            risk,
        };
        let wide = (0..if many { 150 } else { 0 }).map(|n| ("host", format!("role-{n}"), None));
        let all: BTreeMap<PermissionId, Permission> =
            few.into_iter().chain(wide).map(permission).map(|one| (one.id.clone(), one)).collect();
        all.into_values().collect()
    })
}

/// One integration with what is in it.
#[derive(Debug, Clone)]
pub struct Part {
    pub id: &'static str,
    pub name: &'static str,
    pub permissions: Vec<Permission>,
    pub resources: Vec<Resource>,
}

/// An inventory that everything can be looked up in one by one.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub parts: Vec<Part>,
}

/// Any inventory.
pub fn inventory() -> impl Strategy<Value = Inventory> {
    let part = |at: usize| {
        let (id, name) = INTEGRATIONS[at];
        (permissions(id), resources(id)).prop_map(move |(permissions, resources)| Part {
            id,
            name,
            permissions,
            resources,
        })
    };
    (part(0), part(1), part(2)).prop_map(|(a, b, c)| Inventory { parts: vec![a, b, c] })
}

impl Part {
    /// Its segment.
    pub fn segment(&self, version: i64) -> Segment {
        let id = IntegrationId::new(self.id);
        let mut builder = SegmentBuilder::new(id, self.name, version, self.permissions.clone());
        for page in self.resources.chunks(7) {
            builder.push(page).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Every entitlement, of deleted resources as well.
    pub fn entitlements(&self) -> Vec<Entitlement> {
        let of_resource = |resource: &Resource| {
            let own = |permission: &&Permission| permission.resource_type == resource.resource_type;
            let resource = resource.clone();
            let pair = move |permission: &Permission| Entitlement {
                resource: resource.clone(),
                permission: permission.clone(),
            };
            self.permissions.iter().filter(own).map(pair).collect::<Vec<_>>()
        };
        self.resources.iter().flat_map(of_resource).collect()
    }
}

impl Inventory {
    /// Its index.
    pub fn index(&self) -> Index {
        let index = Index::default();
        for part in &self.parts {
            assert!(index.put(part.segment(1)));
        }
        index
    }

    /// The entitlements that pass a test, in the order of lists.
    pub fn where_(&self, test: impl Fn(&Entitlement, &str) -> bool) -> Vec<Entitlement> {
        let mut found: Vec<Entitlement> = Vec::new();
        for part in &self.parts {
            found.extend(part.entitlements().into_iter().filter(|one| test(one, part.name)));
        }
        found.sort_by_key(Position::of);
        found
    }

    /// What the query selects, by the plain evaluator.
    pub fn selects(&self, query: &Query) -> Vec<Entitlement> {
        self.where_(|entitlement, integration_name| {
            query.selects(&Subject { entitlement, integration_name })
        })
    }

    /// The name of an integration.
    pub fn name(&self, id: &IntegrationId) -> &'static str {
        self.parts.iter().find(|part| part.id == id.as_str()).map_or("", |part| part.name)
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    let field = prop::sample::select(FieldName::ALL.to_vec());
    let operator = prop::sample::select(Operator::ALL.to_vec());
    let values = prop::collection::vec(word(), 1..4);
    (field, word(), operator, values).prop_map(|(name, key, operator, mut values)| {
        let operator = match name.kind() {
            Kind::Id if operator.needs_text() => Operator::NotEquals,
            _ => operator,
        };
        if !operator.takes_list() {
            values.truncate(1);
        }
        let key = name.takes_key().then_some(key);
        Condition { field: Field { name, key }, operator, values }
    })
}

/// Any query.
pub fn query() -> impl Strategy<Value = Query> {
    let leaf = condition().prop_map(Expr::Condition);
    let expr = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    });
    expr.prop_map(|expr| Query { expr })
}

fn resource_scope() -> impl Strategy<Value = ResourceScope> {
    let mode = prop::sample::select(vec![ScopeMode::IncludeResources, ScopeMode::ExcludeResources]);
    let by_id = prop::collection::vec(resource_id().prop_map(String::from), 1..8)
        .prop_map(|values| (ResourceScopeType::AponoId, None, values));
    let by_name = prop::collection::vec(word(), 1..5)
        .prop_map(|values| (ResourceScopeType::Name, None, values));
    let by_tag = (word(), prop::collection::vec(word(), 1..5))
        .prop_map(|(key, values)| (ResourceScopeType::Tag, Some(key), values));
    (mode, prop_oneof![by_id, by_name, by_tag]).prop_map(
        |(scope_mode, (scope_type, key, values))| ResourceScope {
            scope_mode,
            scope_type,
            key,
            values,
        },
    )
}

/// Any part of an integration.
pub fn target() -> impl Strategy<Value = IntegrationTarget> {
    let integration = prop::sample::select(INTEGRATIONS.map(|(id, _)| id).to_vec());
    let kind = prop::sample::select(&TYPES[..]);
    let names = prop_oneof![
        prop::collection::vec(word(), 0..6),
        Just(vec!["role-3".to_owned(), "role-70".to_owned(), "role-149".to_owned()]),
    ];
    let scopes = prop::option::of(prop::collection::vec(resource_scope(), 0..3));
    (integration, kind, names, scopes).prop_map(|(id, kind, permissions, resources_scopes)| {
        IntegrationTarget {
            integration_id: IntegrationId::new(id),
            resource_type: kind.to_owned(),
            permissions,
            resources_scopes,
        }
    })
}

/// One of a few access scopes; the last is never known.
pub fn scope_id() -> impl Strategy<Value = AccessScopeId> {
    (0..4u32).prop_map(|n| AccessScopeId::new(format!("s{n}")))
}

/// What a bundle may hold.
pub fn bundle_target() -> impl Strategy<Value = BundleTarget> {
    prop_oneof![
        3 => target().prop_map(BundleTarget::Integration),
        1 => scope_id().prop_map(BundleTarget::AccessScope),
    ]
}

/// Checks count, pages and membership of what is selected against a list.
pub fn check_selected(
    selected: &Selected<'_>,
    expected: &[Entitlement],
    inventory: &Inventory,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(selected.count(), expected.len() as u64);
    prop_assert_eq!(&selected.page(None, usize::MAX), expected);
    let key = |one: &Entitlement| {
        let Entitlement { resource, permission } = one;
        (resource.integration_id.clone(), resource.id.clone(), permission.id.clone())
    };
    let members: BTreeSet<_> = expected.iter().map(key).collect();
    for entitlement in inventory.where_(|_, _| true) {
        let (integration, resource, permission) = key(&entitlement);
        let is_member = selected.contains(&integration, &resource, &permission);
        prop_assert_eq!(is_member, members.contains(&key(&entitlement)));
    }
    Ok(())
}

/// Checks that pages of a size put together are the whole.
pub fn check_pages(
    size: usize,
    expected: &[Entitlement],
    page: impl Fn(Option<&Position>, usize) -> Vec<Entitlement>,
) -> Result<(), TestCaseError> {
    let mut all: Vec<Entitlement> = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let next = page(after.as_ref(), size);
        prop_assert!(next.len() <= size);
        after = next.last().map(Position::of);
        let is_last = next.len() < size;
        all.extend(next);
        if is_last {
            break;
        }
    }
    prop_assert_eq!(all, expected);
    Ok(())
}
