//! Queries and entitlements of any kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_aql::{Condition, Expr, Field, FieldName, Kind, Operator, Subject, parse};
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::{Entitlement, Permission, Resource, ResourceStatus, RiskLevel},
};
use proptest::prelude::*;

pub const SHOP: &str = "shop-db";

/// `READ_ONLY` on `shop/public/orders`, which has the tag `env` = `prod`.
pub fn orders() -> Entitlement {
    let integration_id = IntegrationId::new("0198-shop");
    let tags = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    Entitlement {
        resource: Resource {
            id: ResourceId::new("r1"),
            integration_id: integration_id.clone(),
            resource_type: "postgresql-table".to_owned(),
            source_id: "table:shop/public/orders".to_owned(),
            name: "orders".to_owned(),
            path: "shop/public/orders".to_owned(),
            tags,
            user_tags: BTreeMap::new(),
            context: BTreeMap::from([("oid".to_owned(), "16384".to_owned())]),
            status: ResourceStatus::Active,
            risk: Some(RiskLevel::High),
            created_at: Timestamp::UNIX_EPOCH,
        },
        permission: Permission {
            id: PermissionId::new("p1"),
            integration_id,
            resource_type: "postgresql-table".to_owned(),
            name: "READ_ONLY".to_owned(),
            risk: None,
        },
    }
}

/// Whether the query selects the entitlement in the integration `shop-db`.
#[track_caller]
pub fn selects(query: &str, entitlement: &Entitlement) -> bool {
    let parsed = parse(query).unwrap_or_else(|faults| panic!("{query}: {faults:?}"));
    parsed.selects(&Subject { entitlement, integration_name: SHOP })
}

/// Texts that are often equal, so that conditions are often met.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "prod", "dev", "env", "shop", "orders", "", "READ_ONLY", "high", "1", "critical",
            "Active", "error", "shop/public/orders", SHOP, "0198-shop", "r1", "p1", "or",
        ])
        .prop_map(str::to_owned),
        1 => "[^\r\n]{0,12}",
        1 => "[\"\\\\ a]{0,6}",
    ]
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

/// Any tree that a query can have.
pub fn expr() -> impl Strategy<Value = Expr> {
    let leaf = condition().prop_map(Expr::Condition);
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn risk() -> impl Strategy<Value = Option<RiskLevel>> {
    prop::option::of(prop::sample::select(vec![
        RiskLevel::Low,
        RiskLevel::Medium,
        RiskLevel::High,
        RiskLevel::Critical,
    ]))
}

/// Any entitlement.
pub fn entitlement() -> impl Strategy<Value = Entitlement> {
    let tags = || prop::collection::btree_map(word(), word(), 0..3);
    let status = prop::sample::select(vec![
        ResourceStatus::Active,
        ResourceStatus::Active,
        ResourceStatus::Error,
        ResourceStatus::Deleted,
    ]);
    (word(), word(), tags(), tags(), tags(), status, risk(), risk()).prop_map(
        |(name, permission, tags, user_tags, context, status, risk, permission_risk)| {
            let mut any = orders();
            any.resource =
                Resource { name, tags, user_tags, context, status, risk, ..any.resource };
            any.permission.name = permission;
            any.permission.risk = permission_risk;
            any
        },
    )
}

/// Text that is nearly a query.
pub fn nearly() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => prop::sample::select(vec![
            "resource_type", "resource_tag", "integration", "Resource", "and", "or", "not", "AND",
            "Or", "in", "not_in", "contains", "like", "is", "null", "=", "!=", "==", "<", "=~",
            "&&", "(", ")", "(", ")", "[", "]", ",", "\"a\"", "\"b\\\"\"", "'a'", "\"", "'", "“x”",
            "\\", "\n", "\r\n", " ", "\t", "é", "x", "#", "/a/",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(|any| any.to_string()),
        1 => "\\PC{0,8}",
    ];
    let joint = prop::sample::select(vec!["", " "]);
    (prop::collection::vec(part, 0..40), joint).prop_map(|(parts, joint)| parts.join(joint))
}
