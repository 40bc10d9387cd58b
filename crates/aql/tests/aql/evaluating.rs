//! Which entitlements a query selects.

use std::collections::BTreeSet;

use latchkey_aql::{Bounds, Expr, Query, Subject, parse};
use latchkey_domain::inventory::{Entitlement, ResourceStatus, RiskLevel};
use proptest::prelude::*;

use crate::builders::{SHOP, entitlement, expr, orders, selects};

#[test]
fn fields_are_compared_exactly() {
    let orders = orders();
    for (query, expected) in [
        (r#"resource = "r1""#, true),
        (r#"resource = "R1""#, false),
        (r#"resource_type = "postgresql-table""#, true),
        (r#"resource_name = "Orders""#, false),
        (r#"resource_name contains "rder""#, true),
        (r#"resource_name contains "RDER""#, false),
        (r#"resource_path starts_with "shop/""#, true),
        (r#"resource_path ends_with "/orders""#, true),
        (r#"resource_path not_contains "public""#, false),
        (r#"resource_source_id in ("x", "table:shop/public/orders")"#, true),
        (r#"resource_source_id not_in ("x", "y")"#, true),
        (r#"permission = "p1""#, true),
        (r#"permission_name != "READ_WRITE""#, true),
        (r#"integration = "shop-db""#, true),
        (r#"integration = "0198-shop""#, true),
        (r#"integration != "shop-db""#, false),
        (r#"integration not_in ("a", "0198-shop")"#, false),
        (r#"integration = "Shop-DB""#, false),
        (r#"integration_name = "0198-shop""#, false),
        (r#"integration_name ends_with "-db""#, true),
        (r#"resource_context["oid"] = "16384""#, true),
        (r#"resource_context["OID"] = "16384""#, false),
        (r#"resource_name contains """#, true),
    ] {
        assert_eq!(selects(query, &orders), expected, "{query}");
    }
}

#[test]
fn statuses_compare_without_case_and_risks_by_word_or_digit() {
    let mut orders = orders();
    assert!(selects(r#"resource_status = "ACTIVE""#, &orders));
    assert!(selects(r#"resource_status in ("error", "active")"#, &orders));
    for (risk, word, digit) in [
        (RiskLevel::Critical, "critical", "1"),
        (RiskLevel::High, "high", "2"),
        (RiskLevel::Medium, "medium", "3"),
        (RiskLevel::Low, "low", "4"),
    ] {
        orders.resource.risk = Some(risk);
        for value in [word, digit] {
            assert!(selects(&format!("resource_risk_level = \"{value}\""), &orders), "{value}");
            assert!(!selects(&format!("resource_risk_level != \"{value}\""), &orders), "{value}");
        }
        assert!(!selects(&format!("resource_risk_level = \"{}\"", word.to_uppercase()), &orders));
    }
}

#[test]
fn a_missing_key_never_matches_and_not_is_the_plain_complement() {
    let tagged = orders();
    let mut bare = orders();
    bare.resource.tags.clear();
    let dev = r#"resource_tag["env"] != "dev""#;
    let prod = r#"resource_tag["env"] != "prod""#;
    assert!(selects(dev, &tagged) && !selects(dev, &bare));
    assert!(!selects(prod, &tagged) && !selects(prod, &bare));
    let not = r#"not resource_tag["env"] = "prod""#;
    assert!(!selects(not, &tagged) && selects(not, &bare));
    for never in [
        r#"resource_tag["env"] not_in ("x")"#,
        r#"resource_tag["env"] not_contains "x""#,
        r#"resource_tag["env"] contains """#,
        r#"resource_context["nothing"] != "x""#,
        r#"permission_tag["k"] != "x""#,
        r#"permission_context["k"] != "x""#,
        r#"permission_risk_level != "high""#,
        r#"permission_risk_level not_in ("high", "low")"#,
    ] {
        assert!(!selects(never, &bare), "{never}");
        assert!(selects(&format!("not ({never})"), &bare), "{never}");
    }
}

#[test]
fn a_tag_that_people_set_wins_over_a_discovered_one() {
    let mut retagged = orders();
    retagged.resource.user_tags.insert("env".to_owned(), "dev".to_owned());
    assert!(selects(r#"resource_tag["env"] = "dev""#, &retagged));
    assert!(!selects(r#"resource_tag["env"] = "prod""#, &retagged));
}

#[test]
fn deleted_resources_are_never_selected() {
    let mut gone = orders();
    gone.resource.status = ResourceStatus::Deleted;
    for query in [
        r#"resource_status = "Deleted""#,
        r#"not resource_status = "Active""#,
        r#"resource_type = "postgresql-table""#,
    ] {
        assert!(!selects(query, &gone), "{query}");
    }
}

#[test]
fn the_examples_of_the_manual_select_what_it_says() {
    let orders = orders();
    let table = r#"resource_type = "postgresql-table" and resource_path starts_with "shop/" and permission_name = "READ_ONLY""#;
    assert!(selects(table, &orders));
    let union = r#"(integration in ("crm-db") or integration_name contains "shop") and resource_tag["env"] = "prod""#;
    assert!(selects(union, &orders));
    let unmarked = r#"not resource_tag["pii"] in ("true", "yes")"#;
    assert!(selects(unmarked, &orders));
    let mut marked = orders;
    marked.resource.tags.insert("pii".to_owned(), "yes".to_owned());
    assert!(!selects(unmarked, &marked));
}

#[test]
fn bounds_are_what_the_conditions_leave() {
    let bounds = |text: &str| parse(text).unwrap().bounds();
    let set = |values: &[&str]| Some(values.iter().map(|&value| value.to_owned()).collect());
    let narrow = bounds(
        r#"resource_type in ("a", "b") and (integration = "x" or integration_name = "y")
           and not resource_type = "a""#,
    );
    assert_eq!(narrow.resource_types, set(&["a", "b"]));
    assert_eq!(narrow.integrations, set(&["x", "y"]));
    let wide = bounds(r#"resource_type = "a" or resource_name = "n" or not integration = "x""#);
    assert_eq!(wide, Bounds::default());
}

fn holds(expr: Expr, entitlement: &Entitlement) -> bool {
    Query { expr }.selects(&Subject { entitlement, integration_name: SHOP })
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

proptest! {
    #[test]
    fn not_and_and_or_obey_the_laws_of_de_morgan(
        one in expr(), other in expr(), on in entitlement(),
    ) {
        let and = Expr::And(vec![one.clone(), other.clone()]);
        let or = Expr::Or(vec![one.clone(), other.clone()]);
        let and_of_nots = Expr::And(vec![not(one.clone()), not(other.clone())]);
        let or_of_nots = Expr::Or(vec![not(one.clone()), not(other.clone())]);
        prop_assert_eq!(holds(not(and.clone()), &on), holds(or_of_nots, &on));
        prop_assert_eq!(holds(not(or.clone()), &on), holds(and_of_nots, &on));
        prop_assert_eq!(holds(not(not(one.clone())), &on), holds(one.clone(), &on));
        prop_assert_eq!(holds(and, &on), holds(one.clone(), &on) && holds(other.clone(), &on));
        prop_assert_eq!(holds(or, &on), holds(one, &on) || holds(other, &on));
    }

    #[test]
    fn of_a_query_and_its_complement_exactly_one_selects_what_is_not_deleted(
        query in expr(), on in entitlement(),
    ) {
        let (yes, no) = (holds(query.clone(), &on), holds(not(query), &on));
        if on.resource.status == ResourceStatus::Deleted {
            prop_assert!(!yes && !no);
        } else {
            prop_assert!(yes != no);
        }
    }

    #[test]
    fn where_the_tag_is_missing_no_condition_on_it_holds(
        on in entitlement(), operator in prop::sample::select(vec![
            "= \"v\"", "!= \"v\"", "contains \"\"", "not_contains \"v\"", "starts_with \"\"",
            "ends_with \"\"", "in (\"v\")", "not_in (\"v\")",
        ]),
    ) {
        let mut on = on;
        on.resource.tags.remove("k");
        on.resource.user_tags.remove("k");
        let query = format!("resource_tag[\"k\"] {operator}");
        prop_assert!(!selects(&query, &on));
    }

    #[test]
    fn unequal_is_not_with_the_key_there(on in entitlement(), value in "[a-z]{0,3}") {
        let unequal = format!("resource_tag[\"env\"] != \"{value}\"");
        let complement =
            format!("not resource_tag[\"env\"] = \"{value}\" and resource_tag[\"env\"] contains \"\"");
        prop_assert_eq!(selects(&unequal, &on), selects(&complement, &on));
    }

    #[test]
    fn nothing_is_selected_outside_of_the_bounds(query in expr(), on in entitlement()) {
        let query = Query { expr: query };
        let bounds = query.bounds();
        if query.selects(&Subject { entitlement: &on, integration_name: SHOP }) {
            let resource = &on.resource;
            let has = |set: Option<&BTreeSet<String>>, text: &str| {
                set.is_none_or(|set| set.contains(text))
            };
            prop_assert!(has(bounds.resource_types.as_ref(), &resource.resource_type));
            let integrations = bounds.integrations.as_ref();
            prop_assert!(
                has(integrations, resource.integration_id.as_str()) || has(integrations, SHOP)
            );
        }
    }

    #[test]
    fn lists_are_alternatives(on in entitlement(), values in prop::collection::vec("[a-z]{0,2}", 1..4)) {
        let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        let each: Vec<String> =
            quoted.iter().map(|value| format!("resource_name = {value}")).collect();
        let list = quoted.join(", ");
        let any = selects(&each.join(" or "), &on);
        prop_assert_eq!(selects(&format!("resource_name in ({list})"), &on), any);
        if on.resource.status != ResourceStatus::Deleted {
            prop_assert_eq!(selects(&format!("resource_name not_in ({list})"), &on), !any);
        }
    }
}
