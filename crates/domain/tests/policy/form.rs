//! The questions of the request form, and their answers.

use std::collections::BTreeMap;

use latchkey_domain::{
    form::{check_answers, parse_form},
    settings::SettingSpec,
};
use serde_json::{Value, json};

fn select(values: &Value) -> Value {
    json!([{"id": "kind", "type": "SELECT", "label": "Kind", "values": values}])
}

#[test]
fn a_form_that_cannot_be_filled_in_is_refused() {
    let text = |id: &str| json!({"id": id, "type": "TEXT", "label": "A question"});
    let many: Vec<Value> = (0..51).map(|n| text(&format!("f{n}"))).collect();
    let key = |key: &str| json!({"key": key, "value": "shown"});
    for wrong in [
        json!(null),
        json!({}),
        json!(many),
        json!([text("a"), text("a")]),
        json!([text("")]),
        json!([text("with space")]),
        json!([text("break_glass")]),
        json!([{"id": "a", "type": "DATE", "label": "When"}]),
        json!([{"id": "a", "type": "TEXT", "label": " "}]),
        json!([{"id": "a", "type": "TEXT", "label": "A", "values": [key("x")]}]),
        json!([{"id": "a", "type": "TEXT", "label": "A", "unknown": 1}]),
        select(&json!([])),
        select(&json!([key("x"), key("x")])),
        select(&json!([key(" x")])),
        select(&json!([key("")])),
    ] {
        assert!(parse_form(&wrong).is_err(), "{wrong}");
        let spec = SettingSpec::get("request_custom_fields").unwrap();
        assert!(spec.check(&wrong).is_err(), "{wrong}");
    }
    assert!(parse_form(&select(&json!([key("x"), key("y")]))).is_ok());
}

#[test]
fn answers_are_there_and_among_the_choices() {
    let form = parse_form(&json!([
        {"id": "ticket", "type": "TEXT", "label": "Ticket", "required": true},
        {"id": "kind", "type": "SELECT", "label": "Kind", "default": "x", "values": [
            {"key": "x", "value": "X"}, {"key": "y", "value": "Y"},
        ]},
    ]))
    .unwrap();
    let wrong = |answers: &[(&str, &str)]| {
        let answers: BTreeMap<String, String> =
            answers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        check_answers(&form, &answers).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(wrong(&[]), ["ticket"]);
    assert_eq!(wrong(&[("ticket", " \n")]), ["ticket"]);
    assert_eq!(wrong(&[("ticket", "OPS-1"), ("kind", "z")]), ["kind"]);
    assert_eq!(wrong(&[("ticket", "OPS-1"), ("kind", "X")]), ["kind"], "keys, not labels");
    assert!(wrong(&[("ticket", "OPS-1"), ("kind", "y"), ("other", "kept")]).is_empty());
}
