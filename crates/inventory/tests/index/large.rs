//! An inventory that is large enough for every form in which the index keeps things.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_aql::parse;
use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::{IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode},
    ids::{BundleId, IntegrationId, PermissionId, ResourceId},
    inventory::{Permission, Resource, ResourceStatus, RiskLevel},
};
use latchkey_inventory::Rules;

use crate::random::{Inventory, Part, check_pages};

const ID: &str = "i1";

fn resource(number: u32) -> Resource {
    let integration_id = IntegrationId::new(ID);
    let name = match number % 11 {
        0 => format!("Invoices_Archive_{number:05}"),
        1 => format!("größen_tabelle_{number:05}"),
        _ => format!("orders_{}_{number:05}", ["eu", "us", "apac"][(number % 3) as usize]),
    };
    let path = match number % 17 {
        0 => format!("/mnt/{number}/somewhere/else/altogether"),
        _ => format!("shop{}/public{}/{name}", number % 7, number % 13),
    };
    let source_id = match number % 19 {
        0 => format!("arn:aws:something:{}", number * 7919),
        _ => format!("table:{path}"),
    };
    let tags = [
        ("env", ["prod", "dev", "test"][(number % 3) as usize].to_owned()),
        ("team", format!("team-{}", number % 250)),
        ("serial", format!("sn-{}", number.wrapping_mul(2_654_435_761))),
    ];
    let tags = tags.map(|(key, value)| (key.to_owned(), value));
    let tagged: BTreeMap<String, String> = tags.into_iter().take((number % 4) as usize).collect();
    let user_tags = number.is_multiple_of(29).then(|| ("env".to_owned(), "prod".to_owned()));
    Resource {
        id: ResourceId::derive(&integration_id, &source_id),
        integration_id,
        resource_type: ["table", "schema", "host"][(number % 5 % 3) as usize].to_owned(),
        source_id,
        name,
        path,
        tags: tagged,
        user_tags: user_tags.into_iter().collect(),
        context: BTreeMap::from([("oid".to_owned(), (number / 3).to_string())]),
        status: match number % 97 {
            0 => ResourceStatus::Deleted,
            1 => ResourceStatus::Error,
            _ => ResourceStatus::Active,
        },
        risk: number.is_multiple_of(6).then_some(RiskLevel::High),
        created_at: Timestamp::from_second(i64::from(number / 1000)).unwrap(),
    }
}

fn large() -> Inventory {
    let permission = |kind: &str, name: &str| Permission {
        id: PermissionId::derive(&IntegrationId::new(ID), kind, name),
        integration_id: IntegrationId::new(ID),
        resource_type: kind.to_owned(),
        name: name.to_owned(),
        risk: (name == "ADMIN").then_some(RiskLevel::Critical),
    };
    let permissions = vec![
        permission("table", "READ"),
        permission("table", "WRITE"),
        permission("table", "ADMIN"),
        permission("schema", "READ"),
        permission("host", "LOGIN"),
    ];
    let resources = crate::random::once((0..6000).map(resource).collect());
    Inventory { parts: vec![Part { id: ID, name: "shop", permissions, resources }] }
}

#[test]
fn f10_a_large_inventory_is_answered_as_the_plain_evaluator_answers() {
    let inventory = large();
    let snapshot = inventory.index().snapshot();
    let queries = [
        r#"resource_name contains "o""#,
        r#"resource_name contains "or""#,
        r#"resource_name contains "Inv""#,
        r#"resource_name contains "rders_e""#,
        r#"resource_name contains "ößen_t""#,
        r#"resource_name contains "0042""#,
        r#"resource_name contains "nowhere to be found""#,
        r#"resource_name not_contains "orders""#,
        r#"resource_name ends_with "7""#,
        r#"resource_name ends_with "_00042""#,
        r#"resource_name starts_with "orders_eu""#,
        r#"resource_name in ("orders_eu_00003", "orders_us_00004", "no")"#,
        r#"resource_path contains "public3/orders_us""#,
        r#"resource_path contains "1/public""#,
        r#"resource_path contains "c1/o""#,
        r#"resource_path starts_with "shop3/""#,
        r#"resource_path starts_with "shop3/public5/orders_""#,
        r#"resource_path ends_with "lic5/orders_us_00122""#,
        r#"resource_path ends_with "altogether""#,
        r#"resource_path = "shop3/public5/orders_us_00031""#,
        r#"resource_path != "shop3/public5/orders_us_00031""#,
        r#"resource_source_id starts_with "table:shop1/public2/orders_""#,
        r#"resource_source_id contains "e:shop1/public""#,
        r#"resource_source_id contains ":""#,
        r#"resource_source_id ends_with "public2/orders_us_00028""#,
        r#"resource_source_id contains "arn:aws""#,
        r#"resource_tag["serial"] contains "77""#,
        r#"resource_tag["serial"] starts_with "sn-2""#,
        r#"resource_tag["serial"] ends_with "9""#,
        r#"resource_tag["env"] != "prod""#,
        r#"not resource_tag["env"] in ("prod", "dev")"#,
        r#"resource_tag["team"] = "team-17" or resource_risk_level = "2""#,
        r#"resource_context["oid"] in ("5", "7", "1000")"#,
        r#"resource_status = "error""#,
        r#"permission_name = "READ" and resource_name contains "eu_""#,
        r#"not (permission_risk_level = "critical" or resource_type = "schema")"#,
        // What one condition settles, the ones that search texts leave alone.
        r#"resource_tag["env"] = "prod" and resource_name contains "orders""#,
        r#"resource_tag["team"] = "team-17" and not resource_name contains "us_""#,
        r#"resource_tag["env"] != "prod" or not resource_name contains "eu_0""#,
        r#"resource_tag["env"] = "dev" or not resource_path ends_with "1" and resource_name ends_with "11""#,
        r#"permission_name = "READ" or resource_name contains "ders_e" or not resource_path contains "public3""#,
        r#"permission_name = "READ" and not (resource_name contains "orders_e" or resource_tag["env"] = "prod") and resource_path contains "shop1""#,
        r#"not (permission_name != "ADMIN" and resource_name contains "größen") and resource_source_id contains "lic1/""#,
    ];
    for text in queries {
        let query = parse(text).unwrap();
        let expected = inventory.selects(&query);
        let selected = snapshot.select(&query);
        assert_eq!(selected.count(), expected.len() as u64, "{text}");
        check_pages(777, &expected, |after, limit| selected.page(after, limit)).unwrap();
    }
}

#[test]
fn a_resource_of_a_large_inventory_takes_few_bytes() {
    let inventory = large();
    let index = inventory.index();
    let per_resource = index.bytes() / inventory.parts[0].resources.len();
    assert!(per_resource < 400, "{per_resource} bytes a resource");
}

#[test]
fn targets_that_share_nothing_take_few_bytes_for_each_resource_that_they_name() {
    const TARGETS: u32 = 300;
    const NAMED: u32 = 400;
    let inventory = large();
    let index = inventory.index();
    let before = index.bytes();
    let resources = &inventory.parts[0].resources;
    let mut numbers = (0u32..).map(|number| number.wrapping_mul(2_654_435_761) >> 8);
    let target = |_| {
        let named = numbers.by_ref().take(NAMED as usize);
        let named = named.map(|number| resources[number as usize % resources.len()].name.clone());
        BundleTarget::Integration(IntegrationTarget {
            integration_id: IntegrationId::new(ID),
            resource_type: "table".to_owned(),
            permissions: vec!["READ".to_owned()],
            resources_scopes: Some(vec![ResourceScope {
                scope_mode: ScopeMode::IncludeResources,
                scope_type: ResourceScopeType::Name,
                key: None,
                values: named.collect(),
            }]),
        })
    };
    let targets: Vec<BundleTarget> = (0..TARGETS).map(target).collect();
    let bundle = Bundle {
        id: BundleId::new("b"),
        name: "bundle".to_owned(),
        targets,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    index.set_rules(Rules { bundles: vec![bundle], ..Rules::default() });
    let each = (index.bytes() - before) / (TARGETS * NAMED) as usize;
    assert!(each < 3, "{each} bytes for each");
}

#[test]
fn many_changes_in_turn_leave_the_outcome_in_the_index() {
    let mut inventory = large();
    let index = inventory.index();
    let id = IntegrationId::new(ID);
    let part = &mut inventory.parts[0];
    for (version, chunk) in (2..).zip((0..3000u32).collect::<Vec<_>>().chunks(100)) {
        let changed: Vec<Resource> = chunk
            .iter()
            .map(|at| {
                let old = &part.resources[(at * 2 % 6000) as usize];
                Resource { name: format!("changed-{version}"), ..old.clone() }
            })
            .collect();
        part.resources.extend(changed.iter().cloned());
        let pushed = index.push(&id, version, &changed, &[]).unwrap().unwrap();
        assert!(pushed.wants_rebuild() || version < 30, "{version}");
    }
    let mut by_id: BTreeMap<ResourceId, Resource> = BTreeMap::new();
    for one in std::mem::take(&mut part.resources) {
        by_id.insert(one.id.clone(), one);
    }
    part.resources = by_id.into_values().collect();
    let query =
        parse(r#"resource_name starts_with "changed" or resource_tag["env"] = "dev""#).unwrap();
    let expected = inventory.selects(&query);
    for _ in 0..2 {
        let snapshot = index.snapshot();
        let selected = snapshot.select(&query);
        assert_eq!(selected.count(), expected.len() as u64);
        check_pages(500, &expected, |after, limit| selected.page(after, limit)).unwrap();
        assert!(index.tidy(&id).unwrap() || snapshot.segment(&id).unwrap().version() > 1);
    }
}
