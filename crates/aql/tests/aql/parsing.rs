//! What is a query, and that any text gets an answer.

use latchkey_aql::{Expr, FieldName, MAX_BYTES, MAX_DEPTH, Operator, parse, parse_with_warnings};
use proptest::prelude::*;

use crate::{builders::nearly, laws};

fn is_query(text: &str) -> bool {
    parse(text).is_ok()
}

#[test]
fn the_examples_of_the_manual_are_queries() {
    for query in [
        r#"resource_type = "postgresql-database""#,
        r#"resource_type = "postgresql-table" and resource_path starts_with "shop/" and permission_name = "READ_ONLY""#,
        r#"(integration in ("crm-db") or integration_name contains "billing") and resource_tag["env"] = "prod""#,
        r#"not resource_tag["pii"] in ("true", "yes")"#,
    ] {
        assert!(is_query(query), "{query}: {:?}", parse(query));
    }
}

#[test]
fn every_example_in_the_documentation_parses() {
    let manual = include_str!("../../../../docs/aql.md");
    let mut blocks = 0;
    for block in manual.split("```aql\n").skip(1) {
        let query = block.split("```").next().unwrap();
        assert!(is_query(query), "{query}: {:?}", parse(query));
        blocks += 1;
    }
    assert!(blocks > 3, "the manual shows {blocks} queries");
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    let tree = |text: &str| parse(text).unwrap();
    let (a, b, c) = (r#"resource = "a""#, r#"resource = "b""#, r#"resource = "c""#);
    assert_eq!(tree(&format!("{a} or {b} and {c}")), tree(&format!("{a} or ({b} and {c})")));
    assert_ne!(tree(&format!("{a} or {b} and {c}")), tree(&format!("({a} or {b}) and {c}")));
    assert_eq!(tree(&format!("not {a} and {b}")), tree(&format!("(not {a}) and {b}")));
    assert_eq!(tree(&format!("NOT {a} AND {b} OR {c}")), tree(&format!("not {a} and {b} or {c}")));
    assert!(matches!(tree(&format!("not not {a}")).expr, Expr::Not(_)));
}

#[test]
fn blanks_and_line_breaks_may_stand_between_any_two_tokens() {
    let spread = "\n  ( resource_tag\r\n[ \"env\" ]\tin ( \"prod\"\n,\"dev\" ) )\n";
    let dense = r#"(resource_tag["env"]in("prod","dev"))"#;
    assert_eq!(parse(spread).unwrap(), parse(dense).unwrap());
}

#[test]
fn a_backslash_escapes_the_quote_and_itself_and_is_itself_before_anything_else() {
    let value = |text: &str| match parse(&format!("resource_name = {text}")).unwrap().expr {
        Expr::Condition(condition) => condition.values[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(value(r#""say \"hi\"""#), r#"say "hi""#);
    assert_eq!(value(r#""a\\b""#), r"a\b");
    assert_eq!(value(r#""CORP\user\n""#), r"CORP\user\n");
    assert_eq!(value(r#""'single' “curly” – ünïcödé""#), "'single' “curly” – ünïcödé");
    assert_eq!(value(r#""""#), "");
}

#[test]
fn every_field_takes_whole_comparisons_and_only_texts_take_parts() {
    for field in FieldName::ALL {
        let key = if field.takes_key() { "[\"k\"]" } else { "" };
        for operator in Operator::ALL {
            let value = if operator.takes_list() { r#"("v")"# } else { r#""v""# };
            let query = format!("{}{key} {} {value}", field.as_str(), operator.as_str());
            let is_text = field.takes_key()
                || ["_name", "_path", "_source_id"].iter().any(|end| field.as_str().ends_with(end));
            assert_eq!(is_query(&query), is_text || !operator.needs_text(), "{query}");
        }
    }
}

#[test]
fn queries_have_at_most_8_kib_and_64_levels() {
    let longest = format!("resource = \"{}\"", "x".repeat(MAX_BYTES - 13));
    assert_eq!(longest.len(), MAX_BYTES);
    assert!(is_query(&longest));
    let faults = parse(&format!("{longest} ")).unwrap_err();
    assert_eq!((faults.len(), faults[0].offset, faults[0].length), (1, MAX_BYTES, 1));

    let nested =
        |levels: usize| format!("{}resource = \"a\"{}", "(".repeat(levels), ")".repeat(levels));
    assert!(is_query(&nested(MAX_DEPTH)));
    let faults = parse(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!((faults.len(), faults[0].offset), (1, MAX_DEPTH), "{faults:?}");
    assert!(is_query(&format!("{}resource = \"a\"", "not ".repeat(MAX_DEPTH))));
    assert!(!is_query(&format!("{}resource = \"a\"", "not ".repeat(MAX_DEPTH + 1))));
    // The longest text of nothing but parentheses is told so too, and does not fill the stack.
    assert_eq!(parse(&"(".repeat(MAX_BYTES)).unwrap_err().len(), 1);
    // Many conditions side by side are no nesting.
    assert!(is_query(&vec![r#"resource = "a""#; 400].join(" or ")));
}

#[test]
fn a_value_that_nothing_ever_has_is_warned_about_and_allowed() {
    let warned = |text: &str| parse_with_warnings(text).unwrap().warnings;
    for (query, at, hint) in [
        (r#"resource_risk_level = "hgih""#, 22, Some("did you mean \"high\"?")),
        (r#"permission_risk_level in ("HIGH", "1")"#, 26, Some("did you mean \"high\"?")),
        (r#"resource_status = "Actve""#, 18, Some("the statuses are Active and Error")),
        (r#"resource_status = "deleted""#, 18, None),
    ] {
        let warnings = warned(query);
        assert_eq!(warnings.len(), 1, "{query}: {warnings:?}");
        assert_eq!((warnings[0].offset, warnings[0].hint.as_deref()), (at, hint), "{query}");
    }
    for fine in [
        r#"resource_status in ("ACTIVE", "error")"#,
        r#"resource_risk_level in ("1", "2", "3", "4", "low", "medium", "high", "critical")"#,
        r#"resource_type = "nothing has this type yet""#,
    ] {
        assert_eq!(warned(fine), [], "{fine}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_makes_the_parser_panic_and_every_place_lies_in_the_text(text in nearly()) {
        laws::reading(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn nor_does_any_text_at_all(text in any::<String>()) {
        laws::reading(&text).map_err(TestCaseError::fail)?;
    }
}
