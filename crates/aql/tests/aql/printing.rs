//! From the tree back to text.

use latchkey_aql::{Query, parse};
use proptest::prelude::*;

use crate::builders::expr;

#[test]
fn a_short_query_stays_on_one_line_with_no_more_parentheses_than_it_needs() {
    for (text, printed) in [
        (r#"((resource   = "a"))"#, r#"resource = "a""#),
        (
            r#"(resource = "a" and resource = "b") OR not (resource = "c")"#,
            r#"resource = "a" and resource = "b" or not resource = "c""#,
        ),
        (r#"NOT (resource = "a" or resource = "b")"#, r#"not (resource = "a" or resource = "b")"#),
        (r#"resource_tag[ "a\"b" ] in("x\\y" ,"z")"#, r#"resource_tag["a\"b"] in ("x\\y", "z")"#),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), printed);
        assert_eq!(parse(text).unwrap().format(), printed);
    }
}

#[test]
fn a_long_query_gets_a_line_for_each_part() {
    let text = r#"resource_type in ("postgresql-table", "postgresql-view") and (integration = "crm-db" or integration_name contains "billing" and not resource_tag["pii"] in ("true", "yes")) and permission_name = "READ_ONLY""#;
    assert_eq!(
        parse(text).unwrap().format(),
        r#"resource_type in ("postgresql-table", "postgresql-view")
and (
  integration = "crm-db"
  or integration_name contains "billing"
    and not resource_tag["pii"] in ("true", "yes")
)
and permission_name = "READ_ONLY""#
    );
    let names: Vec<String> = (0..6).map(|n| format!("\"a long name of a table {n}\"")).collect();
    let text = format!("not resource_name in ({})", names.join(","));
    let lines: Vec<String> = names.iter().map(|name| format!("  {name}")).collect();
    let expected = format!("not resource_name in (\n{}\n)", lines.join(",\n"));
    assert_eq!(parse(&text).unwrap().format(), expected);
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_tree(expr in expr()) {
        let query = Query { expr };
        for text in [query.to_string(), query.format()] {
            prop_assume!(text.len() <= latchkey_aql::MAX_BYTES);
            let parsed = parse(&text);
            prop_assert_eq!(parsed.as_ref(), Ok(&query), "{}", text);
        }
    }

    #[test]
    fn layout_is_settled_after_the_first_time(expr in expr()) {
        let once = Query { expr }.format();
        prop_assume!(once.len() <= latchkey_aql::MAX_BYTES);
        prop_assert_eq!(parse(&once).unwrap().format(), once);
    }
}
