//! Access flows in the oldest shape: a view of the stored ones, and changes that keep what the
//! shape cannot say.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{Ground, flow as flow_v2},
    requests::{Story, id_of},
};

const V1: &str = "/api/v1/access-flows";
const V2: &str = "/api/admin/v2/access-flows";

async fn id_at(ground: &Ground, path: &str) -> Value {
    ground.get(&ground.admin, path).await.ok()["id"].clone()
}

async fn user(ground: &Ground, name: &str) -> Value {
    id_at(ground, &format!("/api/admin/v3/users/{name}@example.com")).await
}

async fn shop(ground: &Ground) -> Value {
    ground.get(&ground.admin, "/api/v2/integrations").await.ok()["data"][0]["id"].clone()
}

/// A flow by which ana may read the shop's tables for 90 seconds if bob agrees.
pub async fn flow(ground: &Ground, name: &str) -> Value {
    json!({
        "name": name, "active": true,
        "trigger": {"type": "user_request", "timeframe": {
            "start_of_day_time_in_seconds": 0, "end_of_day_time_in_seconds": 86_399,
            "days_in_week": ["SUNDAY", "MONDAY"], "time_zone": "Europe/Berlin",
        }},
        "grantees": [{"id": user(ground, "ana").await, "type": "USER"}],
        "integration_targets": [{
            "integration_id": shop(ground).await, "resource_type": "postgresql-table",
            "resource_tag_includes": [
                {"name": "__name", "value": "orders"}, {"name": "env", "value": "prod"},
                {"name": "__name", "value": "customers"},
            ],
            "resource_tag_excludes": [{"name": "__id", "value": "f00d"}],
            "permissions": ["READ_ONLY"],
        }],
        "approvers": [{"id": user(ground, "bob").await, "type": "user"}],
        "revoke_after_in_sec": 90,
        "settings": {"require_all_approvers": true, "approver_cannot_approve_himself": null},
    })
}

/// A shop, ana, bob and no flow.
async fn ground() -> Ground {
    let story = Story::new(None).await;
    story.ground.delete(&story.ground.admin, &format!("{V2}/{}", id_of(&story.flow))).await.done();
    story.ground
}

#[tokio::test]
async fn a_v1_flow_comes_back_as_it_was_sent_and_is_a_v2_flow() {
    let ground = ground().await;
    let sent = flow(&ground, "readers").await;
    let answer = ground.post(&ground.admin, V1, sent.clone()).await;
    let (_, date) = answer.text.rsplit_once(r#""created_date":"#).unwrap();
    let date: String = date.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    assert_eq!(date.split_once('.').unwrap().1.len(), 9, "{date}");
    let made = answer.ok();
    for member in ["name", "active", "trigger", "revoke_after_in_sec"] {
        assert_eq!(made[member], sent[member], "{member}");
    }
    assert_eq!(made["bundle_targets"], json!([]));
    assert_eq!(made["grantees"], json!([{"id": user(&ground, "ana").await, "type": "user"}]));
    assert_eq!(made["approvers"], sent["approvers"]);
    let target = &made["integration_targets"][0];
    assert_eq!(
        target["resource_tag_includes"],
        json!([
            {"name": "__name", "value": "orders"}, {"name": "__name", "value": "customers"},
            {"name": "env", "value": "prod"},
        ]),
        "equal keys are one rule"
    );
    assert_eq!(
        made["settings"],
        json!({
            "require_justification_on_request_again": false, "require_all_approvers": true,
            "require_approver_justification": false, "approver_cannot_approve_himself": false,
        })
    );

    let newer = ground.get(&ground.admin, &format!("{V2}/{}", id_of(&made))).await.ok();
    assert_eq!(newer["trigger"], "SELF_SERVE");
    assert_eq!(newer["grant_duration_in_min"], 2, "90 seconds, rounded up for show");
    assert_eq!(newer["timeframe"]["start_time"], "00:00");
    assert_eq!(newer["timeframe"]["end_time"], "23:59:59");
    assert_eq!(newer["approver_policy"]["approval_mode"], "ALL_OF");
    assert_eq!(newer["requestors"]["conditions"][0]["match_operator"], "is");
    let scopes = &newer["access_targets"][0]["integration"]["resources_scopes"];
    assert_eq!(scopes[0]["values"], json!(["orders", "customers"]));
    assert_eq!((&scopes[0]["type"], &scopes[2]["type"]), (&json!("NAME"), &json!("APONO_ID")));
    assert_eq!(scopes[2]["scope_mode"], "exclude_resources");

    assert_eq!(ground.get(&ground.admin, &format!("{V1}/{}", id_of(&made))).await.ok(), made);
    let list = ground.get(&ground.admin, V1).await.ok();
    assert_eq!(
        list,
        json!({
            "data": [made], "pagination": {"total": 1, "limit": 1, "offset": 0},
        })
    );
    let path = format!("{V1}/{}", id_of(&made));
    assert!(ground.delete(&ground.admin, &path).await.ok()["message"].is_string());
    ground.get(&ground.admin, &path).await.refused(404, "NotFound");
    ground.delete(&ground.admin, &path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn every_way_of_saving_a_flow_that_asks_less_names_the_one_that_asks_more() {
    let ground = ground().await;
    let careful = flow_v2("careful größe", "ana", Some("bob"));
    let first = ground.post(&ground.admin, V2, careful).await;
    assert_eq!(first.headers.get("latchkey-warning"), None);
    let mut easy = flow(&ground, "easy").await;
    easy["approvers"] = json!([]);
    easy["integration_targets"][0]["resource_tag_includes"] = json!([]);
    easy["integration_targets"][0]["resource_tag_excludes"] = json!([]);
    let made = ground.post(&ground.admin, V1, easy).await;
    let id = id_of(&made.json).to_owned();
    let renamed = json!({"name": "easier"});
    let patched = ground.patch(&ground.admin, &format!("{V1}/{id}"), renamed).await;
    let body = flow_v2("easiest", "ana", None);
    let replaced = ground.put(&ground.admin, &format!("{V2}/{id}"), body.clone()).await;
    ground.delete(&ground.admin, &format!("{V2}/{id}")).await.done();
    let again = ground.post(&ground.admin, V2, body).await;
    for saved in [made, patched, replaced, again] {
        assert_eq!(saved.status, 200, "{}", saved.text);
        let warning = saved.headers["latchkey-warning"].to_str().unwrap();
        assert!(warning.contains(r#"the access flow "careful gr\u{f6}\u{df}e""#), "{warning}");
        assert!(warning.contains("asks for an approval"), "{warning}");
    }
}

#[tokio::test]
async fn seconds_are_exact_and_a_newer_client_does_not_round_them() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    ground.delete(&ground.admin, &format!("{V2}/{}", id_of(&story.flow))).await.done();
    let mut sent = flow(ground, "readers").await;
    sent["trigger"] = json!({"type": "user_request"});
    sent["approvers"] = json!([]);
    let made = ground.post(&ground.admin, V1, sent).await.ok();
    assert_eq!(story.ask("orders").await["duration_in_sec"], 90);
    let path = format!("{V2}/{}", id_of(&made));
    let mut newer = ground.get(&ground.admin, &path).await.ok();
    newer["request_for_others"] = json!(false);
    let shop = shop(ground).await;
    newer["access_targets"][0]["integration"]["integration_reference"] = shop;
    newer["description"] = json!("seen by a newer client");
    ground.put(&ground.admin, &path, newer.clone()).await.ok();
    let older = ground.get(&ground.admin, &format!("{V1}/{}", id_of(&made))).await.ok();
    assert_eq!(older["revoke_after_in_sec"], 90);
    assert_eq!(older["settings"]["require_all_approvers"], true, "said of nobody, and kept");
    newer["grant_duration_in_min"] = json!(3);
    ground.put(&ground.admin, &path, newer).await.ok();
    let older = ground.get(&ground.admin, &format!("{V1}/{}", id_of(&made))).await.ok();
    assert_eq!(older["revoke_after_in_sec"], 180);
    let path = format!("{V1}/{}", id_of(&made));
    let endless = json!({"revoke_after_in_sec": -1});
    assert_eq!(ground.patch(&ground.admin, &path, endless).await.ok()["revoke_after_in_sec"], -1);
}

/// Everything that v1 cannot say.
async fn rich_flow(ground: &Ground) -> Value {
    let mut rich = flow_v2("rich", "ana", Some("bob"));
    rich["description"] = json!("kept");
    rich["requestors"] = json!({"logical_operator": "AND", "conditions": [
        {"type": "user", "values": ["ana@example.com"]},
        {"type": "user", "match_operator": "contains", "values": ["@example.com"]},
    ]});
    rich["request_for"] = json!({"request_scopes": ["self", "direct_reports"]});
    rich["approver_policy"]["approver_groups"].as_array_mut().unwrap().push(json!({
        "logical_operator": "AND", "approvers": [
            {"type": "user", "values": ["bob@example.com"]},
            {"type": "user", "match_operator": "is_not", "values": ["ana@example.com"]},
        ],
    }));
    rich["escalation_policy"] = json!({"interval_in_min": 7, "approver_groups": [
        {"logical_operator": "OR", "approvers": [{"type": "user", "values": ["ada@example.com"]}]},
    ]});
    rich["timeframe"] = json!({
        "start_time": "08:00:00", "end_time": "17:30", "days_of_week": ["FRIDAY"],
        "time_zone": "UTC",
    });
    rich["settings"]["labels"] = json!(["b", "a"]);
    rich["settings"]["require_mfa"] = json!(true);
    rich["settings"]["max_extensions"] = json!(2);
    rich["settings"]["extension_duration_in_min"] = json!(15);
    ground.post(&ground.admin, V2, rich).await.ok()
}

#[tokio::test]
async fn patch_keeps_what_is_not_sent_and_what_v1_cannot_say() {
    let ground = ground().await;
    let before = rich_flow(&ground).await;
    let (path, newer) = (format!("{V1}/{}", id_of(&before)), format!("{V2}/{}", id_of(&before)));
    let older = ground.get(&ground.admin, &path).await.ok();
    assert_eq!(older["grantees"], json!([{"id": user(&ground, "ana").await, "type": "user"}]));
    assert_eq!(older["approvers"], json!([{"id": user(&ground, "bob").await, "type": "user"}]));
    assert_eq!(older["trigger"]["timeframe"]["start_of_day_time_in_seconds"], 8 * 3600);

    // Nothing, nulls, and all of it as it was shown: none of these changes anything.
    let mut echo = older.clone();
    for member in ["id", "created_date"] {
        echo.as_object_mut().unwrap().remove(member);
    }
    for nothing in [json!({}), json!({"name": null, "grantees": null, "settings": null}), echo] {
        assert_eq!(ground.patch(&ground.admin, &path, nothing.clone()).await.ok(), older);
        assert_eq!(ground.get(&ground.admin, &newer).await.ok(), before, "{nothing}");
    }

    let changed = ground.patch(&ground.admin, &path, json!({"name": "richer"})).await.ok();
    assert_eq!(changed["name"], "richer");
    let after = ground.get(&ground.admin, &newer).await.ok();
    for (member, value) in before.as_object().unwrap() {
        if !["name", "update_date"].contains(&member.as_str()) {
            assert_eq!(after[member], *value, "{member}");
        }
    }

    // One switch, one day: their siblings stay.
    let change = json!({
        "settings": {"require_approver_justification": true}, "trigger": {"type": "user_request"},
    });
    ground.patch(&ground.admin, &path, change).await.ok();
    let after = ground.get(&ground.admin, &newer).await.ok();
    assert_eq!(after["settings"]["require_approver_reason"], true);
    assert_eq!(after["settings"]["requestor_cannot_approve_himself"], true);
    assert_eq!(after["settings"]["labels"], json!(["b", "a"]));
    assert_eq!(after["timeframe"], before["timeframe"]);

    // Lists that are changed replace what was shown of them, and nothing else.
    let bob = json!([{"id": user(&ground, "bob").await, "type": "user"}]);
    let ada = json!([{"id": user(&ground, "ada").await, "type": "user"}]);
    let change = json!({"grantees": bob, "approvers": ada, "trigger": {
        "type": "user_request", "timeframe": null,
    }});
    let shown = ground.patch(&ground.admin, &path, change).await.ok();
    assert_eq!((&shown["grantees"], &shown["approvers"]), (&bob, &ada));
    let after = ground.get(&ground.admin, &newer).await.ok();
    assert_eq!(after["timeframe"], Value::Null);
    assert_eq!(after["requestors"]["logical_operator"], "AND");
    assert_eq!(
        after["requestors"]["conditions"][1], before["requestors"]["conditions"][1],
        "an operator that v1 cannot say"
    );
    let groups = after["approver_policy"]["approver_groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[1], before["approver_policy"]["approver_groups"][1]);
    assert_eq!(after["escalation_policy"], before["escalation_policy"]);
    let shown = ground.patch(&ground.admin, &path, json!({"approvers": []})).await.ok();
    assert_eq!(shown["approvers"], json!([]));
    let after = ground.get(&ground.admin, &newer).await.ok();
    assert_eq!(
        after["approver_policy"]["approver_groups"],
        json!([before["approver_policy"]["approver_groups"][1]]),
        "nobody takes away a control that they cannot see"
    );
}

#[tokio::test]
async fn v1_flows_name_the_member_that_means_nothing() {
    let ground = ground().await;
    let sent = flow(&ground, "readers").await;
    let made = ground.post(&ground.admin, V1, sent.clone()).await.ok();
    ground.post(&ground.admin, V1, sent.clone()).await.refused(409, "Conflict");
    let path = format!("{V1}/{}", id_of(&made));
    let bad = [
        ("trigger.type", json!({"trigger": {"type": "sometimes"}})),
        ("grantees[0].type", json!({"grantees": [{"id": "x", "type": "robot"}]})),
        ("grantees[0].id", json!({"grantees": [{"id": "ana@example.com", "type": "user"}]})),
        ("approvers[0].id", json!({"approvers": [{"id": "nobody", "type": "group"}]})),
        ("approvers[0].id", json!({"approvers": [{"id": "city", "type": "context_attribute"}]})),
        ("grantees.conditions", json!({"grantees": []})),
        ("integration_targets", json!({"integration_targets": []})),
        ("bundle_targets[0].bundle_id", json!({"bundle_targets": [{"bundle_id": "no"}]})),
        ("revoke_after_in_sec", json!({"revoke_after_in_sec": 0})),
        ("revoke_after_in_sec", json!({"revoke_after_in_sec": -2})),
        ("name", json!({"name": " "})),
    ];
    for (member, body) in bad {
        let answer = ground.patch(&ground.admin, &path, body).await;
        let named = answer.refused(400, "BadRequest")["errors"][0]["field"].clone();
        assert_eq!(named, member.trim_end_matches(".conditions"), "{member}");
    }
    let timeframe = |member: &str, value: Value| {
        let mut timeframe = sent["trigger"]["timeframe"].clone();
        timeframe[member] = value;
        json!({"trigger": {"type": "user_request", "timeframe": timeframe}})
    };
    for (member, value) in [
        ("start_of_day_time_in_seconds", json!(86_400)),
        ("start_of_day_time_in_seconds", json!(-1)),
        ("days_in_week", json!([])),
        ("time_zone", json!("Europe/Nowhere")),
    ] {
        let answer = ground.patch(&ground.admin, &path, timeframe(member, value)).await;
        answer.refuses(&format!("trigger.timeframe.{member}"));
    }
    let equal = timeframe("end_of_day_time_in_seconds", json!(0));
    let answer = ground.patch(&ground.admin, &path, equal).await;
    answer.refuses("trigger.timeframe.end_of_day_time_in_seconds");
    let mut target = sent["integration_targets"][0].clone();
    target["permissions"] = json!([]);
    let answer = ground.patch(&ground.admin, &path, json!({"integration_targets": [target]})).await;
    answer.refuses("integration_targets[0].permissions");
    target["integration_id"] = json!("shop");
    let answer = ground.patch(&ground.admin, &path, json!({"integration_targets": [target]})).await;
    answer.refuses("integration_targets[0].integration_id");
    assert_eq!(ground.get(&ground.admin, &path).await.ok(), made, "nothing was changed");
    ground.patch(&ground.admin, &format!("{V1}/unknown"), json!({})).await.refused(404, "NotFound");
}

#[tokio::test]
async fn an_automatic_flow_and_a_manager_can_be_said_in_v1() {
    let ground = ground().await;
    let mut sent = flow(&ground, "birthright").await;
    sent["trigger"] = json!({"type": "automatic"});
    sent["approvers"] = json!([{"id": "manager", "type": "CONTEXT_ATTRIBUTE"}]);
    let made = ground.post(&ground.admin, V1, sent).await.ok();
    assert_eq!(made["trigger"], json!({"type": "automatic", "timeframe": null}));
    assert_eq!(made["approvers"], json!([{"id": "manager", "type": "context_attribute"}]));
    let newer = ground.get(&ground.admin, &format!("{V2}/{}", id_of(&made))).await.ok();
    assert_eq!(newer["settings"]["justification_required"], false);
    let approver = &newer["approver_policy"]["approver_groups"][0]["approvers"][0];
    assert_eq!((&approver["type"], &approver["values"]), (&json!("manager"), &Value::Null));
    let vera = ground.somebody("vera", Some(Role::Viewer)).await;
    ground.get(&vera, V1).await.ok();
    ground
        .patch(&vera, &format!("{V1}/{}", id_of(&made)), json!({}))
        .await
        .refused(403, "Forbidden");
}
