//! Access flows, groups and users: what is sent comes back, lists page, names are unique.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::ground::{Ground, flow};

const FLOWS: &str = "/api/admin/v2/access-flows";
const GROUPS: &str = "/api/admin/v1/groups";

#[tokio::test]
async fn a_flow_comes_back_as_it_was_sent() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let mut sent = flow("readers", "ada", Some("ada"));
    sent["description"] = json!("  two blanks before ");
    sent["access_targets"][0]["integration"]["resources_scopes"] = json!([
        {"scope_mode": "include_resources", "type": "TAG", "key": "env", "values": ["b", "a"]},
        {"scope_mode": "exclude_resources", "type": "NAME", "values": ["secrets"]},
    ]);
    sent["timeframe"] = json!({
        "start_time": "08:00", "end_time": "17:30:00",
        "days_of_week": ["FRIDAY", "MONDAY"], "time_zone": "Europe/Berlin",
    });
    let made = ground.post(&ground.admin, FLOWS, sent.clone()).await.ok();
    for member in ["name", "description", "active", "trigger", "grant_duration_in_min", "timeframe"]
    {
        assert_eq!(made[member], sent[member], "{member}");
    }
    let condition = &made["requestors"]["conditions"][0];
    assert_eq!(
        *condition,
        json!({
            "source_integration_id": null, "source_integration_name": null, "type": "user",
            "match_operator": null, "values": ["ada@example.com"],
        })
    );
    let target = &made["access_targets"][0];
    assert_eq!(target["bundle"], Value::Null);
    assert_eq!(target["integration"]["integration_name"], "shop");
    let scopes = &target["integration"]["resources_scopes"];
    assert_eq!(scopes[0]["values"], json!(["b", "a"]));
    assert_eq!(scopes[1]["key"], Value::Null);
    assert_eq!(made["settings"]["max_extensions"], 0);
    for absent in ["request_for", "escalation_policy", "update_date"] {
        assert_eq!(made[absent], Value::Null, "{absent}");
    }
    assert!(made.get("request_for_others").is_none());
    let path = format!("{FLOWS}/{}", made["id"].as_str().unwrap());
    assert_eq!(ground.get(&ground.admin, &path).await.ok(), made);
}

#[tokio::test]
async fn replacing_a_flow_clears_what_is_left_out() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let mut sent = flow("readers", "ada", Some("ada"));
    sent["description"] = json!("words");
    let made = ground.post(&ground.admin, FLOWS, sent).await.ok();
    let path = format!("{FLOWS}/{}", made["id"].as_str().unwrap());
    let mut next = flow("readers", "ada", None);
    next.as_object_mut().unwrap().remove("grant_duration_in_min");
    let replaced = ground.put(&ground.admin, &path, next).await.ok();
    for cleared in ["description", "approver_policy", "grant_duration_in_min"] {
        assert_eq!(replaced[cleared], Value::Null, "{cleared}");
    }
    assert!(replaced["update_date"].is_string());
    ground.delete(&ground.admin, &path).await.done();
    ground.get(&ground.admin, &path).await.refused(404, "NotFound");
    ground.delete(&ground.admin, &path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_flow_that_says_nonsense_is_refused_by_the_member_that_does() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let cases = [
        ("/trigger", json!("SOMETIMES"), "trigger"),
        ("/access_targets/0", json!({}), "access_targets[0]"),
        (
            "/access_targets/0/integration/integration_reference",
            json!("nowhere"),
            "access_targets[0].integration.integration_reference",
        ),
        ("/grant_duration_in_min", json!(0), "grant_duration_in_min"),
        ("/settings/labels", json!(null), "settings.labels"),
        ("/requestors/conditions/0/values", json!([7]), "requestors.conditions[0].values[0]"),
    ];
    for (pointer, value, field) in cases {
        let mut sent = flow("readers", "ada", None);
        *sent.pointer_mut(pointer).unwrap() = value;
        ground.post(&ground.admin, FLOWS, sent).await.refuses(field);
    }
}

#[tokio::test]
async fn lists_page_through_with_the_token_alone() {
    let ground = Ground::new().await;
    for number in 0..10 {
        let name = if number % 2 == 0 { "team" } else { "crew" };
        let body = json!({"name": format!("{name}-{}", number / 2), "members_emails": []});
        ground.post(&ground.admin, GROUPS, body).await.ok();
        ground.pass(1);
    }
    let mut names = Vec::new();
    let mut path = format!("{GROUPS}?name=TEAM*&limit=2");
    loop {
        let page = ground.get(&ground.admin, &path).await.ok();
        let rows = page["items"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        match page["pagination"]["next_page_token"].as_str() {
            Some(token) => path = format!("{GROUPS}?page_token={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["team-0", "team-1", "team-2", "team-3", "team-4"]);
}

#[tokio::test]
async fn a_page_token_of_another_list_or_other_filters_is_refused() {
    let ground = Ground::new().await;
    for name in ["a", "b"] {
        ground.post(&ground.admin, GROUPS, json!({"name": name, "members_emails": []})).await.ok();
    }
    let page = ground.get(&ground.admin, &format!("{GROUPS}?limit=1")).await.ok();
    let token = page["pagination"]["next_page_token"].as_str().unwrap();
    let users = format!("/api/admin/v3/users?page_token={token}");
    ground.get(&ground.admin, &users).await.refuses("page_token");
    let other = format!("{GROUPS}?page_token={token}&name=a");
    ground.get(&ground.admin, &other).await.refuses("name");
    ground.get(&ground.admin, &format!("{GROUPS}?page_token=x")).await.refuses("page_token");
    ground.get(&ground.admin, &format!("{GROUPS}?limit=0")).await.refuses("limit");
}

#[tokio::test]
async fn groups_and_their_members_can_be_managed() {
    let ground = Ground::new().await;
    ground.somebody("bob", None).await;
    let body = json!({"name": "readers", "members_emails": ["bob@example.com"]});
    let group = ground.post(&ground.admin, GROUPS, body.clone()).await.ok();
    assert_eq!(group["source_id"], Value::Null);
    ground.post(&ground.admin, GROUPS, body).await.refused(409, "Conflict");
    let one = format!("{GROUPS}/{}", group["id"].as_str().unwrap());
    assert_eq!(ground.get(&ground.admin, &one).await.ok(), group);
    let members = format!("{one}/members");
    let page = ground.get(&ground.admin, &members).await.ok();
    assert_eq!(page["items"], json!([{"email": "bob@example.com"}]));
    ground.delete(&ground.admin, &format!("{members}/BOB%40example.com")).await.done();
    ground.delete(&ground.admin, &format!("{members}/bob@example.com")).await.done();
    ground.call("PUT", &ground.admin, &format!("{members}/bob@example.com"), None).await.done();
    let nobody = format!("{members}/nobody@example.com");
    ground.call("PUT", &ground.admin, &nobody, None).await.refused(404, "NotFound");
    ground.put(&ground.admin, &members, json!({"members_emails": []})).await.done();
    assert_eq!(ground.get(&ground.admin, &members).await.ok()["items"], json!([]));
    let renamed = ground.put(&ground.admin, &format!("{one}/name"), json!({"name": "all"})).await;
    assert_eq!(renamed.ok()["name"], "all");
    ground.delete(&ground.admin, &one).await.done();
    ground.get(&ground.admin, &members).await.refused(404, "NotFound");
}

#[tokio::test]
async fn users_are_listed_by_name_and_role() {
    let ground = Ground::new().await;
    ground.somebody("bob", Some(Role::PowerUser)).await;
    let page = ground.get(&ground.admin, "/api/admin/v3/users?role=Power%20User").await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let bob = &page["items"][0];
    assert_eq!(bob["roles"], json!(["Power User"]));
    assert_eq!(bob["active"], true);
    assert_eq!(bob["email_aliases"], json!([]));
    let by_mail = ground.get(&ground.admin, "/api/admin/v3/users/bob@example.com").await.ok();
    assert_eq!(by_mail, *bob);
    let none = ground.get(&ground.admin, "/api/admin/v3/users?first_name=zoe").await.ok();
    assert_eq!(none["items"], json!([]));
    ground.get(&ground.admin, "/api/admin/v3/users?role=King").await.refuses("role");
    ground.get(&ground.admin, "/api/admin/v3/users/unknown").await.refused(404, "NotFound");
}
