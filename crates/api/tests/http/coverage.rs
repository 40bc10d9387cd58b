//! Walks the OpenAPI document: no operation without a token, none with a token that is too weak,
//! and no change without an audit record. A new operation is covered by being documented; what
//! is left out is in a list here that only shrinks.

use std::collections::BTreeSet;

use latchkey_api::openapi_document;
use latchkey_domain::people::{Role, TokenScope};
use serde_json::{Value, json};

use crate::{
    automatic::held_back,
    ground::{CANARY, Ground, flow},
    requests::{Story, extendable, id_of},
};

/// Operations that are no GET and change nothing that an audit record would tell: connectors ask
/// for work by the second and tell what discovery finds, and the others store nothing.
const WITHOUT_RECORD: [&str; 6] = [
    "completeAccessScope",
    "dryRunAccessRequest",
    "leaseConnectorTasks",
    "previewAccessScope",
    "reportConnectorChanges",
    "whatIf",
];

pub struct Operation {
    pub id: String,
    pub method: String,
    pub template: String,
    scope: Option<String>,
    roles: Vec<String>,
}

impl Operation {
    pub fn all() -> Vec<Self> {
        let document = openapi_document();
        let mut all = Vec::new();
        for (template, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let roles = operation["x-roles"].as_array().into_iter().flatten();
                all.push(Self {
                    id: operation["operationId"].as_str().unwrap().to_owned(),
                    method: method.to_uppercase(),
                    template: template.clone(),
                    scope: operation["x-scope"].as_str().map(str::to_owned),
                    roles: roles.map(|role| role.as_str().unwrap().to_owned()).collect(),
                });
            }
        }
        assert!(all.len() > 40, "the document lists {} operations", all.len());
        all
    }

    /// The path with ids that name nothing.
    fn path(&self) -> String {
        let parts = self.template.split('/').map(|part| match part {
            "{email}" => "nobody@example.com",
            part if part.starts_with('{') => "unknown",
            part => part,
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// Whether it belongs to the admin area: the older paths do, whose version comes first.
    fn is_for_roles(&self) -> bool {
        ["/api/admin/", "/api/v1/", "/api/v2/", "/api/v3/"]
            .iter()
            .any(|prefix| self.template.starts_with(prefix))
    }

    fn is_for_connectors(&self) -> bool {
        self.template.starts_with("/api/connector/")
    }

    /// Whether a path is one of this operation's.
    pub fn fits(&self, path: &str) -> bool {
        self.is(&format!("{} {path}", self.method))
    }

    /// Whether this operation is what was called by `call`, a method and a path.
    fn is(&self, call: &str) -> bool {
        let (method, path) = call.split_once(' ').unwrap();
        let (path, template): (Vec<_>, Vec<_>) =
            (path.split('/').collect(), self.template.split('/').collect());
        method == self.method
            && path.len() == template.len()
            && path.iter().zip(template).all(|(a, b)| *a == b || b.starts_with('{'))
    }
}

async fn call(ground: &Ground, operation: &Operation, token: &str) -> crate::ground::Answer {
    let body = (operation.method != "GET").then(|| json!({}));
    ground.call(&operation.method, token, &operation.path(), body).await
}

#[tokio::test]
async fn every_operation_refuses_a_call_without_a_valid_token() {
    let ground = Ground::new().await;
    for operation in Operation::all() {
        for token in
            ["", "x", "lk_0000000000000000000000_0000000000000000000000000000000000000000000aaaaaa"]
        {
            let answer = call(&ground, &operation, token).await;
            assert_eq!(answer.status, 401, "{} {}", operation.id, answer.text);
            answer.refused(401, "Unauthorized");
        }
    }
}

#[tokio::test]
async fn every_operation_refuses_every_token_that_lacks_its_scope() {
    let ground = Ground::new().await;
    for scope in TokenScope::ALL {
        let token = ground.token("ada", &[scope]).await;
        for operation in Operation::all() {
            let answer = call(&ground, &operation, &token).await;
            let status = answer.status.as_u16();
            if operation.is_for_connectors() {
                assert_eq!(status, 401, "{} {}", operation.id, answer.text);
            } else if operation.scope.as_deref() == Some(scope.as_str()) {
                assert!(![401, 403, 500].contains(&status), "{} {}", operation.id, answer.text);
            } else {
                assert_eq!(status, 403, "{} with {scope}: {}", operation.id, answer.text);
            }
        }
    }
}

#[tokio::test]
async fn every_operation_refuses_every_role_that_may_not_do_it() {
    let ground = Ground::new().await;
    let mut people = vec![("nobody".to_owned(), ground.somebody("nobody", None).await)];
    for (number, role) in Role::ALL.into_iter().enumerate() {
        let name = format!("person{number}");
        ground.somebody(&name, Some(role)).await;
        let token = ground.token(&name, &TokenScope::ALL[..4]).await;
        people.push((role.to_string(), token));
    }
    for operation in Operation::all().iter().filter(|operation| !operation.is_for_connectors()) {
        assert_eq!(operation.is_for_roles(), !operation.roles.is_empty(), "{}", operation.id);
        for (role, token) in &people {
            let answer = call(&ground, operation, token).await;
            let may = operation.roles.is_empty() || operation.roles.contains(role);
            assert_eq!(answer.status == 403, !may, "{} as {role}: {}", operation.id, answer.text);
        }
    }
}

#[tokio::test]
async fn every_change_leaves_an_audit_record() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, flow: readers } = &story;
    let admin = &ground.admin;
    change_policy(ground).await;
    change_systems(ground).await;
    change_in_the_office(&story).await;

    let path = format!("/api/admin/v2/access-flows/{}", id_of(readers));
    ground.put(admin, &path, extendable("bob")).await.ok();
    let first = story.ask("orders").await;
    story.act(bob, &first, "reject", json!({})).await.ok();
    let path = format!("/api/user/v4/access-requests/{}/request-again", id_of(&first));
    let second = ground.post(ana, &path, json!({})).await.ok()[0].clone();
    story.act(bob, &second, "approve", json!({})).await.ok();
    ground.work(connector).await;
    let session = story.session().await;
    let path = format!("/api/user/v1/access-sessions/{}/reset-credentials", id_of(&session));
    ground.post(ana, &path, json!({})).await.ok();
    ground.work(connector).await;
    story.act(ana, &second, "extend", json!({})).await.ok();
    ground.work(connector).await;
    story.act(ana, &second, "revoke", json!({})).await.ok();
    ground.work(connector).await;
    let shortened = story.ask("customers").await;
    let body = json!({"duration_in_sec": 60});
    story.act(bob, &shortened, "approve-shortened", body).await.ok();
    let third = story.ask("customers").await;
    let path = format!("/api/user/v4/access-requests/{}/revoke", id_of(&third));
    ground.post(ana, &path, json!({})).await.ok();
    let path = format!("/api/admin/v2/access-flows/{}", id_of(readers));
    ground.put(admin, &path, flow("readers", "ana", None)).await.ok();
    ground.delete(admin, &path).await.done();
    review_an_emergency(&story).await;

    let audited = ground.audited.lock().unwrap().clone();
    let silent: BTreeSet<String> = Operation::all()
        .into_iter()
        .filter(|operation| operation.method != "GET")
        .filter(|operation| !audited.iter().any(|call| operation.is(call)))
        .map(|operation| operation.id)
        .collect();
    assert_eq!(silent, WITHOUT_RECORD.map(str::to_owned).into());
}

/// What people with a role do about the requests of others.
async fn change_in_the_office(story: &Story) {
    let Story { ground, connector, .. } = story;
    let admin = &ground.admin;
    let filed = ground.post(admin, "/api/v3/access-requests", story.body_v3("orders").await).await;
    let filed = filed.ok()["request_id"].as_str().unwrap().to_owned();
    let ruth = ground.somebody("ruth", Some(Role::Admin)).await;
    let path = format!("/api/admin/v1/access-requests/{filed}/force-approve");
    ground.post(&ruth, &path, json!({})).await.ok();
    ground.work(connector).await;
    ground.post(admin, &format!("/api/v3/access-requests/{filed}/reset"), json!({})).await.ok();
    ground.work(connector).await;
    ground.post(&story.ana, "/api/client/v1/access-requests/pass-mfa", json!({})).await.ok();
    let path = "/api/admin/v1/users/ruth@example.com/reset-second-factor";
    ground.post(admin, path, json!({})).await.ok();
    let body = json!({"request_ids": [filed]});
    ground.post(admin, "/api/v3/access-requests-bulk/revoke", body).await.ok();
    ground.work(connector).await;
}

async fn review_an_emergency(story: &Story) {
    let Story { ground, connector, ana, .. } = story;
    let mut glass = flow("glass", "ana", None);
    glass["settings"]["labels"] = json!(["break-glass"]);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", glass).await.ok();
    let mut body = story.body("orders").await;
    body["custom_fields"] = json!({"break_glass": "true"});
    body["justification"] = json!("checkout is down");
    let asked = ground.post(ana, "/api/user/v4/access-requests", body).await.ok()[0].clone();
    ground.work(connector).await;
    story.act(ana, &asked, "revoke", json!({})).await.ok();
    ground.work(connector).await;
    let path = format!("/api/admin/v1/emergencies/{}/review", id_of(&asked));
    let found = json!({"finding": "justified", "note": "it was one"});
    ground.post(&ground.admin, &path, found).await.ok();
}

async fn change_policy(ground: &Ground) {
    let admin = &ground.admin;
    let groups = "/api/admin/v1/groups";
    let body = json!({"name": "team", "members_emails": []});
    let group = ground.post(admin, groups, body).await.ok();
    let group = format!("{groups}/{}", id_of(&group));
    ground.put(admin, &format!("{group}/name"), json!({"name": "crew"})).await.ok();
    let member = format!("{group}/members/ana@example.com");
    ground.call("PUT", admin, &member, None).await.done();
    ground.delete(admin, &member).await.done();
    let members = json!({"members_emails": ["bob@example.com"]});
    ground.put(admin, &format!("{group}/members"), members).await.done();
    let child = ground.post(admin, groups, json!({"name": "part", "members_emails": []})).await;
    let child = format!("{group}/groups/{}", id_of(&child.ok()));
    ground.call("PUT", admin, &child, None).await.done();
    ground.delete(admin, &child).await.done();
    let automatic = held_back(ground).await;
    let automatic = format!("/api/admin/v1/access-flows/{}/automatic/confirm", id_of(&automatic));
    ground.post(admin, &automatic, json!({})).await.ok();
    let flows = "/api/v1/access-flows";
    let body = crate::access_flows_v1::flow(ground, "oldest").await;
    let made = ground.post(admin, flows, body).await.ok();
    let made = format!("{flows}/{}", id_of(&made));
    ground.patch(admin, &made, json!({"name": "older"})).await.ok();
    ground.delete(admin, &made).await.ok();
    ground.delete(admin, &group).await.done();
    let attributes = "/api/v2/bulk/identities/attributes";
    let rows = json!([{"email": "ana@example.com", "attributes": {"okta_city": "Berlin"}}]);
    ground.put(admin, attributes, rows).await.ok();
    let rows = json!([{"email": "ana@example.com", "attribute_types": ["okta_city"]}]);
    ground.call("DELETE", admin, attributes, Some(rows)).await.ok();
    let reports = "/api/admin/v1/activity-reports";
    let report = ground.post(admin, reports, report("week")).await.ok();
    let report = format!("{reports}/{}", id_of(&report));
    ground.put(admin, &report, self::report("weeks")).await.ok();
    ground.delete(admin, &report).await.ok();
    change_bundles(ground).await;
}

async fn change_bundles(ground: &Ground) {
    let admin = &ground.admin;
    for (path, body) in [
        ("/api/admin/v1/access-scopes", json!({"name": "all", "query": "not resource = \"x\""})),
        ("/api/admin/v2/bundles", json!({"name": "empty", "access_targets": []})),
    ] {
        let made = ground.post(admin, path, body.clone()).await.ok();
        let made = format!("{path}/{}", id_of(&made));
        ground.put(admin, &made, body).await.ok();
        ground.delete(admin, &made).await.done();
    }
    let older = "/api/v1/access-bundles";
    let body = json!({"name": "empty", "integration_targets": []});
    let made = ground.post(admin, older, body.clone()).await.ok();
    let made = format!("{older}/{}", id_of(&made));
    ground.call("PATCH", admin, &made, Some(body)).await.ok();
    ground.delete(admin, &made).await.ok();
}

fn report(name: &str) -> Value {
    let timeframe = json!({"relative": {"last": 7, "unit": "day"}});
    json!({"name": name, "filters": {}, "timeframe": timeframe})
}

async fn change_systems(ground: &Ground) {
    let admin = &ground.admin;
    ground.connector("spare").await;
    let spare = "/api/admin/v3/connectors/spare";
    ground.put(admin, spare, json!({"name": "Spare"})).await.ok();
    let mut body: Value = json!({
        "name": "other", "type": "postgresql", "connector_id": "spare",
        "integration_config": {
            "hostname": "127.0.0.1", "dbname": "other", "secret_ref": "env:OTHER",
        },
    });
    let integrations = "/api/admin/v4/integrations";
    let made = ground.post(admin, integrations, body.clone()).await.ok();
    let made = format!("{integrations}/{}", id_of(&made));
    body["name"] = json!("another");
    ground.put(admin, &made, body).await.ok();
    ground.delete(admin, &made).await.done();
    change_systems_in_older_words(ground).await;
    ground.delete(admin, spare).await.done();
}

async fn change_systems_in_older_words(ground: &Ground) {
    let admin = &ground.admin;
    let body = json!({
        "name": "older", "type": "postgresql", "provisioner_id": "spare",
        "metadata": {"hostname": "127.0.0.1", "secret_ref": "env:OLDER"},
    });
    let made = ground.post(admin, "/api/v2/integrations", body.clone()).await.ok();
    let made = format!("/api/v2/integrations/{}", id_of(&made));
    ground.put(admin, &made, body).await.ok();
    ground.call("POST", admin, &format!("{made}/refresh"), None).await.ok();
    ground.delete(admin, &made).await.ok();
    let shop = ground.get(admin, "/api/v2/integrations").await.ok()["data"][0].clone();
    let found = format!("/api/v3/integrations/{}/resources", id_of(&shop));
    let found = ground.get(admin, &found).await.ok()["data"][0].clone();
    let tags = format!("/api/v3/integrations/resources/{}/user-tags", id_of(&found));
    ground.put(admin, &tags, json!({"tags": {"env": "prod"}})).await.ok();
}

#[tokio::test]
async fn no_secret_is_in_any_answer_audit_record_or_file() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, flow: readers } = &story;
    let asked = story.ask("orders").await;
    story.act(bob, &asked, "approve", json!({})).await.ok();
    ground.work(connector).await;
    let session = story.session().await;
    let body = json!({"name": "team", "members_emails": []});
    let group = ground.post(&ground.admin, "/api/admin/v1/groups", body).await.ok();
    let body = json!({"name": "team", "access_targets": []});
    let bundle = ground.post(&ground.admin, "/api/admin/v2/bundles", body).await.ok();
    let body = json!({"name": "none", "query": "resource = \"none\""});
    let scope = ground.post(&ground.admin, "/api/admin/v1/access-scopes", body).await.ok();
    let reports = "/api/admin/v1/activity-reports";
    let report = ground.post(&ground.admin, reports, report("all")).await.ok();
    let integration = &asked["access_groups"][0]["integration"];
    let resources = format!("/api/v3/integrations/{}/resources", id_of(integration));
    let resource = ground.get(&ground.admin, &resources).await.ok()["data"][0].clone();
    let delegated = story.ask_for_bob("orders").await;
    let automatic = held_back(ground).await;
    let ids = [
        ("/api/admin/v4/integrations", id_of(integration)),
        ("/api/admin/v2/access-flows", id_of(readers)),
        ("/api/admin/v1/access-flows", id_of(&automatic)),
        ("/api/admin/v2/bundles", id_of(&bundle)),
        ("/api/v1/access-bundles", id_of(&bundle)),
        ("/api/admin/v1/access-scopes", id_of(&scope)),
        ("/api/admin/v3/connectors", "edge"),
        ("/api/admin/v3/users", "ana@example.com"),
        ("/api/v2/users", "ana@example.com"),
        ("/api/v2/integrations-catalog", "postgresql"),
        ("/api/v2/integrations", id_of(integration)),
        ("/api/v3/integrations/resources", id_of(&resource)),
        ("/api/v3/integrations", id_of(integration)),
        ("/api/v3/selectable-integrations", id_of(integration)),
        ("/api/v3/access-requests", id_of(&asked)),
        ("/api/v1/access-flows", id_of(readers)),
        ("/api/user/v1/delegated-access-requests", id_of(&delegated)),
        ("/api/admin/v1/access-requests", id_of(&asked)),
        ("/api/admin/v1/explain/access-requests", id_of(&asked)),
        ("/api/admin/v1/groups", id_of(&group)),
        (reports, id_of(&report)),
        ("/api/user/v4/access-requests", id_of(&asked)),
        ("/api/client/v1/access-requests", id_of(&asked)),
        ("/api/user/v1/access-sessions", id_of(&session)),
    ];
    let details = format!("/api/user/v1/access-sessions/{}/access-details", id_of(&session));
    assert!(ground.get(ana, &details).await.text.contains(CANARY), "shown once, and here");

    let available = "/api/user/v1/available-access/entitlements";
    let row = ground.get(ana, available).await.ok()["items"][0].clone();
    let entitlement = format!("{}:{}", id_of(&row["resource"]), id_of(&row["permission"]));
    let asked = format!("user=ana@example.com&entitlement={entitlement}");

    for operation in Operation::all().iter().filter(|operation| operation.method == "GET") {
        let found = ids.iter().find(|(prefix, _)| operation.template.starts_with(prefix));
        let id = found.map_or("unknown", |(_, id)| id);
        let places = ["{id}", "{type}", "{resource_id}", "{integration_id}"].iter();
        let path = places.fold(operation.template.clone(), |path, place| path.replace(place, id));
        let path = path.replace("{resource_type}", "postgresql-table");
        for (whose, token) in [("admin", &ground.admin), ("ana", ana), ("bob", bob)] {
            let answer = ground.get(token, &format!("{path}?scope=MyRequests&{asked}")).await;
            assert_ne!(answer.status, 500, "{} as {whose}: {}", operation.id, answer.text);
            assert!(!answer.text.contains(CANARY), "{} as {whose}: {}", operation.id, answer.text);
        }
        let seen_by_somebody = [&ground.admin, ana, bob];
        let mut statuses = Vec::new();
        for token in seen_by_somebody {
            statuses.push(ground.get(token, &format!("{path}?scope=MyTasks&{asked}")).await.status);
        }
        assert!(statuses.iter().any(|status| *status == 200), "{}: {statuses:?}", operation.id);
    }
    let (records, files) = ground.everything_stored().await;
    assert!(records.contains("access_session"), "the audit trail was read");
    assert!(!records.contains(CANARY), "{records}");
    assert!(!files.is_empty());
    assert!(!files.windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()));
}
