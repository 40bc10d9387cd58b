//! What is refused: with which message, at which place, with which suggestion.

use latchkey_aql::{Diagnostic, parse};

#[track_caller]
fn faults(text: &str) -> Vec<Diagnostic> {
    match parse(text) {
        Ok(query) => panic!("{text} is {query:?}"),
        Err(faults) => faults,
    }
}

/// The one thing that is wrong: the text it is about, the message and the hint.
#[track_caller]
fn fault(text: &str) -> (String, String, String) {
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{text}: {faults:?}");
    let Diagnostic { offset, length, message, hint, .. } = faults[0].clone();
    (text[offset..offset + length].to_owned(), message, hint.unwrap_or_default())
}

/// Text, place, message, hint.
const REJECTIONS: &[(&str, &str, &str, &str)] = &[
    // Quotes and line ends.
    ("resource_type = 'a'", "'a'", "values are written in straight double quotes", "write `\"a\"`"),
    ("resource_type = “a”", "“a”", "values are written in straight double quotes", "write `\"a\"`"),
    ("resource_type = \"a", "\"a", "this value has no closing quote", "close it with `\"`"),
    (
        "resource_type = \"a\n and permission = \"b\"",
        "\"a",
        "a value cannot go over the end of a line",
        "close it with `\"`",
    ),
    ("resource_type = a-b", "a-b", "a value is written in double quotes", "write \"a-b\""),
    ("resource_type = 5", "5", "a value is written in double quotes", "write \"5\""),
    // Fields.
    (
        "resource_types = \"a\"",
        "resource_types",
        "there is no field `resource_types`",
        "did you mean `resource_type`?",
    ),
    (
        "Resource_Type = \"a\"",
        "Resource_Type",
        "there is no field `Resource_Type`",
        "did you mean `resource_type`?",
    ),
    ("colour = \"a\"", "colour", "there is no field `colour`", ""),
    (
        "resource_tag.env = \"a\"",
        "resource_tag.env",
        "there is no field `resource_tag.env`",
        "did you mean resource_tag[\"env\"]?",
    ),
    (
        "resource_tag = \"a\"",
        "resource_tag",
        "`resource_tag` needs a key in brackets",
        "write resource_tag[\"env\"], with the key that is meant",
    ),
    ("resource_tag[env] = \"a\"", "env", "a key is written in double quotes", "write [\"env\"]"),
    (
        "resource_type[\"k\"] = \"a\"",
        "[\"k\"]",
        "`resource_type` takes no key",
        "take the brackets away",
    ),
    // Operators.
    (
        "resource contains \"a\"",
        "contains",
        "`contains` does not work on `resource`, which is compared as a whole",
        "did you mean `resource_name`? Otherwise use =, !=, in or not_in",
    ),
    (
        "resource_type starts_with \"a\"",
        "starts_with",
        "`starts_with` does not work on `resource_type`, which is compared as a whole",
        "use =, !=, in or not_in",
    ),
    ("resource_type == \"a\"", "==", "`==` is not written so", "did you mean `=`?"),
    ("resource_type <> \"a\"", "<>", "`<>` is not written so", "did you mean `!=`?"),
    (
        "resource_risk_level >= \"high\"",
        ">=",
        "values have no order, so they cannot be compared by size",
        "list the values, such as in (\"high\", \"critical\")",
    ),
    (
        "resource_risk_level < \"2\"",
        "<",
        "values have no order, so they cannot be compared by size",
        "list the values, such as in (\"high\", \"critical\")",
    ),
    (
        "resource_name =~ \"a.*\"",
        "=~",
        "there are no regular expressions",
        "use contains, starts_with or ends_with",
    ),
    (
        "resource_name matches \"a.*\"",
        "matches",
        "there are no regular expressions",
        "use contains, starts_with or ends_with",
    ),
    (
        "resource_name = /a.*/",
        "/a.*/",
        "there are no regular expressions",
        "use contains, starts_with or ends_with",
    ),
    (
        "resource_name like \"a%\"",
        "like",
        "there are no patterns",
        "use contains, starts_with or ends_with",
    ),
    (
        "resource_tag[\"env\"] is null",
        "is null",
        "there is no null to compare with",
        "a condition holds only where the key is there: starts_with \"\" asks for that, and \
             not (…) for the others",
    ),
    (
        "resource_tag[\"env\"] IS NOT NULL and resource = \"a\"",
        "IS NOT NULL",
        "there is no null to compare with",
        "a condition holds only where the key is there: starts_with \"\" asks for that, and \
             not (…) for the others",
    ),
    ("resource_type not in (\"a\")", "not in", "`not in` is one word", "did you mean `not_in`?"),
    ("resource_type IN (\"a\")", "IN", "there is no operator `IN`", "did you mean `in`?"),
    (
        "resource_name start_with \"a\"",
        "start_with",
        "there is no operator `start_with`",
        "did you mean `starts_with`?",
    ),
    (
        "resource_type",
        "",
        "an operator is missing after `resource_type`",
        "write an operator and a value, such as = \"prod\"",
    ),
    ("resource_type =", "", "a value is missing here", "write \"value\""),
    // Lists.
    ("resource_type in ()", "()", "the list is empty", "write at least one value"),
    ("resource_type in \"a\"", "in", "`in` needs a list in parentheses", "write in (\"a\", \"b\")"),
    ("resource_type in (\"a\",)", ",", "a value is missing after this comma", ""),
    (
        "resource_type in (\"a\" \"b\")",
        "\"b\"",
        "a comma is missing before this",
        "write a comma between two values",
    ),
    ("resource_type in (\"a\"", "(", "this list is not closed", "add a `)`"),
    (
        "resource_type = (\"a\", \"b\")",
        "(",
        "`=` takes one value without parentheses",
        "use `in` for several values",
    ),
    // The whole.
    (
        "",
        "",
        "the query is empty",
        "write a condition, such as resource_type = \"postgresql-table\"",
    ),
    (
        " \n ",
        "",
        "the query is empty",
        "write a condition, such as resource_type = \"postgresql-table\"",
    ),
    (
        "and resource = \"a\"",
        "and",
        "a condition is missing here",
        "write a condition, such as resource_type = \"postgresql-table\"",
    ),
    (
        "resource = \"a\" And resource = \"b\"",
        "And",
        "`And` is not written so",
        "did you mean `and`?",
    ),
    ("resource = \"a\" && resource = \"b\"", "&&", "`&&` is not written so", "did you mean `and`?"),
    (
        "resource = \"a\" resource = \"b\"",
        "resource",
        "a word is missing before this",
        "write `and` or `or` between two conditions",
    ),
    ("(resource = \"a\"", "(", "this `(` is not closed", "add a `)`"),
    ("resource = \"a\")", ")", "this `)` closes nothing", "take it away"),
    (
        "()",
        "()",
        "there is nothing between these parentheses",
        "write a condition inside, or take them away",
    ),
    (
        "\"a\" = resource",
        "\"a\"",
        "a condition begins with a field, not with a value",
        "write the field and the operator before it",
    ),
    ("resource = \"a\", resource = \"b\"", ",", "`,` does not belong here", ""),
];

#[test]
fn each_rejection_names_its_place_and_what_was_probably_meant() {
    for &(text, place, message, hint) in REJECTIONS {
        let told = fault(text);
        assert_eq!(told, (place.to_owned(), message.to_owned(), hint.to_owned()), "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_in_order() {
    let text = "(resource_types = 'a' or resource = b) and\n  permission contains \"c\" and";
    let told: Vec<(usize, usize, String)> =
        faults(text).into_iter().map(|fault| (fault.line, fault.column, fault.message)).collect();
    let expected = [
        (1, 2, "there is no field `resource_types`"),
        (1, 19, "values are written in straight double quotes"),
        (1, 37, "a value is written in double quotes"),
        (2, 14, "`contains` does not work on `permission`, which is compared as a whole"),
        (2, 30, "a condition is missing here"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(line, column, text)| (*line, *column, (*text).to_owned())).collect();
    assert_eq!(told, expected);
}

#[test]
fn columns_count_characters_and_offsets_count_bytes() {
    let text = "resource_name = \"größe\"\r\n\tand resurce = \"x\"";
    let fault = &faults(text)[0];
    assert_eq!((fault.offset, fault.length, fault.line, fault.column), (32, 7, 2, 6));
    assert_eq!(&text[32..39], "resurce");
    let text = "resource_name = \"größe\" and resurce = \"x\"";
    assert_eq!((faults(text)[0].offset, faults(text)[0].column), (30, 29));
}
