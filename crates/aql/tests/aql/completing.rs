//! What may be written at a place: one test for each kind of place, and that it parses.

use latchkey_aql::{
    Completion, CompletionKind, Field, FieldName, Known, KnownKey, KnownValue, MAX_BYTES,
    MAX_DEPTH, MAX_KNOWN, Query, complete, parse, sought,
};
use proptest::prelude::*;

use crate::{
    builders::{expr, nearly},
    laws,
};

fn known() -> Known {
    let key = |field, key: &str| KnownKey { field, key: key.to_owned() };
    let value = |text: &str| KnownValue { text: text.to_owned(), detail: None };
    Known {
        keys: vec![
            key(FieldName::ResourceTag, "env"),
            key(FieldName::ResourceTag, "a \"key\""),
            key(FieldName::ResourceContext, "oid"),
        ],
        values: ["prod", "Prod-eu", "dev", "CORP\\user", "say \"hi\"", "two\nlines"]
            .map(value)
            .to_vec(),
    }
}

/// The text with its `|` taken out, and where that was.
fn at(marked: &str) -> (String, usize) {
    let cursor = marked.find('|').unwrap();
    (marked.replacen('|', "", 1), cursor)
}

/// What is offered at the `|`.
fn items(marked: &str) -> Vec<Completion> {
    let (text, cursor) = at(marked);
    complete(&text, cursor, &known()).items
}

fn texts(marked: &str) -> Vec<String> {
    items(marked).into_iter().map(|item| item.text).collect()
}

/// The text after the item has been taken.
#[track_caller]
fn taken(marked: &str, item: &str) -> String {
    let (mut text, cursor) = at(marked);
    let offered = complete(&text, cursor, &known());
    let found = offered.items.iter().find(|offered| offered.text.trim_end() == item);
    let found = found.unwrap_or_else(|| panic!("{item} is not among {:?}", offered.items));
    text.replace_range(offered.replace.start..offered.replace.end, &found.text);
    text
}

const JOINTS: [&str; 2] = ["and", "or"];

#[test]
fn a_condition_begins_with_a_field_a_not_or_a_parenthesis() {
    for marked in ["|", " \n |", "resource = \"a\" and |", "(|", "not |", "resource = \"a\" OR (|"]
    {
        let texts = texts(marked);
        assert_eq!(texts[0], "resource", "{marked}");
        assert_eq!(texts[texts.len() - 2..], ["not", "("], "{marked}");
        for field in FieldName::ALL {
            let word = field.as_str();
            let plain = texts.contains(&word.to_owned());
            let open = texts.contains(&format!("{word}[\""));
            assert_eq!((plain, open), (!field.takes_key(), field.takes_key()), "{marked} {word}");
        }
        assert!(texts.contains(&"resource_tag[\"a \\\"key\\\"\"]".to_owned()), "{marked}");
    }
}

#[test]
fn fields_are_offered_by_what_is_begun_in_any_letter_case() {
    assert_eq!(texts("integ|"), ["integration", "integration_name"]);
    assert_eq!(texts("RESOURCE_R|"), ["resource_risk_level"]);
    assert_eq!(
        texts("resource_tag|"),
        ["resource_tag[\"env\"]", "resource_tag[\"a \\\"key\\\"\"]", "resource_tag[\""]
    );
    assert_eq!(texts("colour|"), [""; 0]);
    let item = &items("resource_pa|")[0];
    assert_eq!((item.kind, item.detail.as_deref()), (CompletionKind::Field, Some("Its path.")));
}

#[test]
fn the_rest_of_a_word_is_replaced_with_its_beginning() {
    assert_eq!(taken("resource_t|xyz = \"a\"", "resource_type"), "resource_type = \"a\"");
    assert_eq!(
        taken("resource_t|ag[\"env\"] = \"a\"", "resource_tag"),
        "resource_tag[\"env\"] = \"a\""
    );
    assert_eq!(taken("resource !|< \"a\"", "!="), "resource != \"a\"");
}

#[test]
fn a_word_before_another_gets_a_blank_between() {
    assert_eq!(taken("|resource = \"a\"", "not"), "not resource = \"a\"");
    assert_eq!(
        taken("resource = \"a\"|permission = \"b\"", "or"),
        "resource = \"a\"or permission = \"b\""
    );
}

#[test]
fn brackets_hold_known_keys_of_their_field() {
    assert_eq!(texts("resource_tag |"), ["[\"env\"]", "[\"a \\\"key\\\"\"]", "[\""]);
    assert_eq!(texts("resource_tag[|"), ["\"env\"]", "\"a \\\"key\\\"\"]"]);
    assert_eq!(texts("resource_context[\"|"), ["\"oid\"]"]);
    assert_eq!(texts("resource_tag[\"a |"), ["\"a \\\"key\\\"\"]"]);
    assert_eq!(texts("resource_tag[e|"), ["\"env\"]"]);
    assert_eq!(texts("permission_tag[\"|"), [""; 0]);
    assert_eq!(texts("resource_type[\"|"), [""; 0], "it takes no key");
    assert_eq!(texts("resource_tag[\"env\" |"), ["]"]);
    let replaced = "resource_tag[\"env\"] = \"a\"";
    assert_eq!(taken("resource_tag[\"e|x\"] = \"a\"", "\"env\"]"), replaced);
    assert_eq!(taken("resource_tag[\"e| ] = \"a\"", "\"env\"]"), replaced);
}

#[test]
fn a_field_is_followed_by_the_operators_that_work_on_it() {
    let whole = ["=", "!=", "in", "not_in"];
    assert_eq!(texts("resource_type |"), whole);
    for marked in ["resource_name |", "resource_tag[\"env\"]|", "not (resource_context[ \"a\" ] |"]
    {
        assert_eq!(texts(marked).len(), 8, "{marked}");
    }
    assert_eq!(texts("resource_name n|"), ["not_contains", "not_in"]);
    assert_eq!(texts("resource_name !|"), ["!="]);
    assert_eq!(texts("resource_types |"), whole, "also where the field is misspelled");
    assert_eq!(items("resource |")[0].kind, CompletionKind::Operator);
}

#[test]
fn values_are_the_known_ones_that_begin_so_quoted_and_escaped() {
    let all = ["\"prod\"", "\"Prod-eu\"", "\"dev\"", "\"CORP\\\\user\"", "\"say \\\"hi\\\"\""];
    for marked in ["integration = |", "integration =|", "integration = \"|", "integration in (|"] {
        assert_eq!(texts(marked), all, "{marked}: a name of two lines cannot be written");
    }
    assert_eq!(texts("integration != \"P|"), ["\"Prod-eu\"", "\"prod\""], "the same case first");
    assert_eq!(texts("integration = pro|"), ["\"prod\"", "\"Prod-eu\""]);
    assert_eq!(texts("integration = 'de|'"), ["\"dev\""]);
    assert_eq!(texts("integration in (\"a\", \"d|"), ["\"dev\""]);
    assert_eq!(texts("integration = \"CORP\\|"), ["\"CORP\\\\user\""]);
    assert_eq!(texts("integration = \"say \\\"|"), ["\"say \\\"hi\\\"\""]);
    assert_eq!(texts("integration = \"say \\|\"hi\\\"\""), ["\"say \\\"hi\\\"\""]);
    assert_eq!(texts("colour = \"|"), [""; 0], "of no field nothing is known");
}

#[test]
fn statuses_and_risk_levels_need_no_inventory() {
    let none = Known::default();
    let texts = |text: &str| -> Vec<String> {
        complete(text, text.len(), &none).items.into_iter().map(|item| item.text).collect()
    };
    assert_eq!(texts("resource_status = "), ["\"Active\"", "\"Error\""]);
    assert_eq!(texts("resource_status = \"a"), ["\"Active\""]);
    let levels = ["\"low\"", "\"medium\"", "\"high\"", "\"critical\""];
    assert_eq!(texts("permission_risk_level in ("), levels);
    assert_eq!(texts("resource_risk_level = \"h"), ["\"high\""]);
}

#[test]
fn a_value_is_replaced_up_to_its_own_closing_quote() {
    for (marked, whole) in [
        ("integration = \"d|\"", "integration = \"dev\""),
        (
            "integration = \"d|x\" and resource = \"b\"",
            "integration = \"dev\" and resource = \"b\"",
        ),
        // Left open: the quotes that follow belong to the next value.
        ("integration = \"d| and resource = \"b\"", "integration = \"dev\" and resource = \"b\""),
        ("integration in (\"d|, \"b\")", "integration in (\"dev\", \"b\")"),
        (
            "integration = \"d|\n and resource = \"b\"",
            "integration = \"dev\"\n and resource = \"b\"",
        ),
        (
            "integration = \"|a\\\"b\" and resource = \"c\"",
            "integration = \"dev\" and resource = \"c\"",
        ),
        ("integration = “d|” and resource = \"c\"", "integration = \"dev\" and resource = \"c\""),
    ] {
        let taken = taken(marked, "\"dev\"");
        assert_eq!(taken, whole, "{marked}");
        assert!(parse(&taken).is_ok(), "{marked}");
    }
}

#[test]
fn a_list_opens_goes_on_and_ends() {
    assert_eq!(texts("integration in |"), ["("]);
    assert_eq!(texts("integration not_in (\"a\" |"), [",", ")"]);
    assert_eq!(texts("integration in (\"a\"|"), [",", ")"]);
    assert_eq!(texts("(integration in (\"a\")|"), ["and", "or", ")"], "the group is open still");
}

#[test]
fn after_a_condition_come_joints_and_the_end_of_what_is_open() {
    assert_eq!(texts("resource = \"a\" |"), JOINTS);
    assert_eq!(texts("resource = \"a\"|"), JOINTS);
    assert_eq!(texts("not not resource = \"a\" |"), JOINTS);
    assert_eq!(texts("(resource = \"a\" or not (permission = \"b\") |"), ["and", "or", ")"]);
    assert_eq!(texts("(resource = \"a\") |"), JOINTS);
    assert_eq!(texts("resource = \"a\" a|"), ["and"]);
}

#[test]
fn a_broken_beginning_hides_nothing_of_what_comes_after_it() {
    for broken in [
        "colour = \"a\"",
        "resource_name like \"a%\"",
        "resource_tag[\"env\"] is null",
        "resource >= \"a\"",
        "\"a\" = resource",
        "resource in ()",
        "resource = 'a'",
        "resource_name not contains \"a\"",
        "resource",
        "resource =",
        "resource in (\"a\" \"b\")",
        ") , ]",
    ] {
        for joint in ["and", "or", "&&"] {
            assert_eq!(texts(&format!("{broken} {joint} integration_n|")), ["integration_name"]);
        }
    }
    assert_eq!(texts("(resource like \"a\" and resource = \"b\" |"), ["and", "or", ")"]);
    assert_eq!(texts("resource == |")[0], "\"prod\"");
    assert_eq!(texts("resource not in |"), ["("]);
    assert_eq!(texts("resource like |"), [""; 0], "nothing makes sense of this");
}

#[test]
fn nothing_is_offered_that_nests_too_deep_or_does_not_fit() {
    let deepest = "not ".repeat(MAX_DEPTH);
    let offered = texts(&format!("{deepest}|"));
    assert!(!offered.contains(&"not".to_owned()) && !offered.contains(&"(".to_owned()));
    assert_eq!(texts(&format!("{deepest}not |")), [""; 0], "it is too deep already");
    assert!(texts(&format!("{deepest}resource = \"a\" and |")).contains(&"not".to_owned()));

    let filled = format!("resource = \"{}\" ", "a".repeat(MAX_BYTES - 16));
    assert_eq!(texts(&format!("{filled}|")), ["or"], "there is room for two letters");
    let blanks = " ".repeat(MAX_BYTES + 1);
    let offered = complete(&blanks, 7, &known());
    assert_eq!((offered.replace.start, offered.replace.end, offered.items), (7, 7, vec![]));
}

#[test]
fn no_more_than_fifty_values_are_offered_and_each_once() {
    let value = |n: usize| KnownValue { text: format!("{}", n / 2), detail: None };
    let known = Known { keys: Vec::new(), values: (0..1000).map(value).collect() };
    let offered = complete("resource = ", 11, &known).items;
    assert!(offered.len() <= MAX_KNOWN, "{}", offered.len());
    assert_eq!(offered[1].text, "\"1\"");
}

#[test]
fn a_cursor_outside_of_the_text_or_within_a_character_is_moved_to_the_nearest_place_before() {
    let text = "integration = \"é";
    assert_eq!(complete(text, 16, &known()).replace.end, complete(text, 15, &known()).replace.end);
    assert_eq!(complete(text, usize::MAX, &known()), complete(text, text.len(), &known()));
}

#[test]
fn what_is_worth_looking_up_is_named_before() {
    let sought = |marked: &str| {
        let (text, cursor) = at(marked);
        let sought = sought(&text, cursor);
        let keys: Vec<&str> = sought.keys_of.iter().map(|name| name.as_str()).collect();
        (keys.join(" "), sought.values_of, sought.prefix)
    };
    let none = String::new;
    let all = "resource_tag resource_context permission_tag permission_context";
    assert_eq!(sought("|"), (all.to_owned(), None, none()));
    assert_eq!(sought("Resource_t|"), ("resource_tag".to_owned(), None, none()));
    assert_eq!(sought("resource_tag[\"e|"), ("resource_tag".to_owned(), None, "e".to_owned()));
    let tag = Field { name: FieldName::ResourceTag, key: Some("env".to_owned()) };
    let prefix = "say \"".to_owned();
    assert_eq!(sought("resource_tag[\"env\"] in (\"say \\\"|"), (none(), Some(tag), prefix));
    for nothing in ["resource_status = \"|", "resource |", "resource = \"a\" |", "colour = \"|"] {
        assert_eq!(sought(nothing), (none(), None, none()), "{nothing}");
    }
}

/// A query, written somehow, and a place in it.
fn query_and_place() -> impl Strategy<Value = (String, usize)> {
    (expr(), any::<bool>(), any::<prop::sample::Index>()).prop_map(|(expr, on_one_line, place)| {
        let query = Query { expr };
        let text = if on_one_line { query.to_string() } else { query.format() };
        let cursor = place.index(text.len() + 1);
        (text, cursor)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_offered_at_the_end_of_any_beginning_of_a_query_parses(at in query_and_place()) {
        let (text, cursor) = at;
        let beginning = &text[..text.floor_char_boundary(cursor)];
        laws::completing(beginning, cursor).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn what_is_offered_within_a_query_parses(at in query_and_place()) {
        laws::completing(&at.0, at.1).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_text_and_any_place_will_do(text in nearly(), cursor in 0_usize..200) {
        laws::completing(&text, cursor).map_err(TestCaseError::fail)?;
    }
}
