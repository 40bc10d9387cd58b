//! Coverage that fails when you forget: every operation of the OpenAPI document is called without
//! a token and with a token too weak, and every one that changes something leaves an audit
//! record. The lists of what is left out only shrink.

use latchkey_testkit::DatabaseKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    installation::{Installation, ask, credentials, entitlement, flow_body, revoke},
    process,
    shop::Shop,
};

/// Operations that need no token: what anybody may know.
const OPEN: &[&str] = &[];

/// Operations that change something and whose record is not looked for here, with the reason.
const NOT_AUDITED_HERE: &[(&str, &str)] = &[
    // Beats every three seconds; only a process that is new leaves a record.
    ("POST /api/connector/v1/changes", "what discovery finds is no act of a person"),
    ("POST /api/connector/v1/heartbeat", "a new process is recorded, a beat is not"),
    ("POST /api/connector/v1/lease", "a lease changes nothing; the result is recorded"),
    ("POST /api/connector/v1/tasks/{id}/result", "recorded with the request it settles"),
    ("POST /api/user/v4/access-requests/dry-run", "changes nothing"),
    ("POST /api/admin/v1/what-if", "changes nothing"),
    ("POST /api/admin/v1/access-scopes/preview", "changes nothing"),
    ("POST /api/admin/v1/access-scopes/complete", "changes nothing"),
    ("POST /api/admin/v1/access-requests/{id}/force-approve", AT_THE_ROUTER),
    ("POST /api/admin/v1/access-flows/{id}/automatic/confirm", AT_THE_ROUTER),
    ("POST /api/admin/v1/access-scopes", AT_THE_ROUTER),
    ("PUT /api/admin/v1/access-scopes/{id}", AT_THE_ROUTER),
    ("DELETE /api/admin/v1/access-scopes/{id}", AT_THE_ROUTER),
    ("POST /api/admin/v2/bundles", AT_THE_ROUTER),
    ("PUT /api/admin/v2/bundles/{id}", AT_THE_ROUTER),
    ("DELETE /api/admin/v2/bundles/{id}", AT_THE_ROUTER),
    ("POST /api/v1/access-bundles", AT_THE_ROUTER),
    ("DELETE /api/v1/access-bundles/{id}", AT_THE_ROUTER),
    ("PATCH /api/v1/access-bundles/{id}", AT_THE_ROUTER),
    ("POST /api/v1/access-flows", AT_THE_ROUTER),
    ("DELETE /api/v1/access-flows/{id}", AT_THE_ROUTER),
    ("PATCH /api/v1/access-flows/{id}", AT_THE_ROUTER),
    ("POST /api/v3/access-requests", AT_THE_ROUTER),
    ("POST /api/v3/access-requests-bulk/revoke", AT_THE_ROUTER),
    ("POST /api/v3/access-requests/{id}/reset", AT_THE_ROUTER),
];

/// The same walk over the router, in crates/api/tests/http/coverage.rs, finds these records.
const AT_THE_ROUTER: &str = "its record is looked for at the router";

struct Operation {
    method: Method,
    path: String,
    needs: String,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with something in the place of each parameter.
    fn example(&self) -> String {
        let mut path = String::new();
        let mut inside = false;
        for letter in self.path.chars() {
            match letter {
                '{' => {
                    inside = true;
                    path.push_str("nothing");
                }
                '}' => inside = false,
                _ if inside => {}
                letter => path.push(letter),
            }
        }
        path
    }
}

async fn operations(caller: &Caller) -> Vec<Operation> {
    let document = caller.get("/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                continue;
            }
            let needs = operation["security"][0].as_object().and_then(|needs| needs.keys().next());
            let needs = needs.cloned().unwrap_or_default();
            operations.push(Operation { method, path: path.clone(), needs });
        }
    }
    assert!(operations.len() > 30, "the document lists {} operations", operations.len());
    operations
}

#[tokio::test]
async fn every_operation_refuses_a_call_without_a_token_and_one_with_a_weak_token() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let nobody = Caller::new(installation.port, None);
    let forged = Caller::new(installation.port, Some("lk_00000000000000000000000000000000"));
    installation.person("rita");
    let made = installation.admin_command(&[
        "token",
        "create",
        "--email",
        "ada@example.com",
        "--scope",
        "scim",
    ]);
    let weak = Caller::new(installation.port, made["token"].as_str());
    let made = installation.admin_command(&["connector-token", "create", "--id", "rack-1"]);
    let connector = Caller::new(installation.port, made["token"].as_str());
    for operation in operations(&nobody).await {
        let name = operation.name();
        if OPEN.contains(&name.as_str()) {
            continue;
        }
        let path = operation.example();
        let body = json!({});
        let body = (operation.method != Method::GET).then_some(&body);
        for caller in [&nobody, &forged] {
            let (status, answer) = caller.call(operation.method.clone(), &path, body).await;
            assert_eq!(status, 401, "{name} without a token: {answer}");
        }
        let (status, answer) = weak.call(operation.method.clone(), &path, body).await;
        let expected: &[u16] =
            if operation.needs == "connectorToken" { &[401] } else { &[403, 404] };
        assert!(expected.contains(&status), "{name} with a weak token: {status} {answer}");
        if operation.needs != "connectorToken" {
            let (status, answer) = connector.call(operation.method.clone(), &path, body).await;
            assert_eq!(status, 401, "{name} with a connector's token: {answer}");
        }
    }
}

#[tokio::test]
async fn d05_every_admin_operation_refuses_a_person_without_a_role() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let rita = installation.person("rita");
    for operation in operations(&Caller::new(installation.port, None)).await {
        let needs_role = ["/api/admin/", "/api/v1/", "/api/v2/", "/api/v3/"];
        if !needs_role.iter().any(|prefix| operation.path.starts_with(prefix)) {
            continue;
        }
        let body = json!({});
        let body = (operation.method != Method::GET).then_some(&body);
        let (status, answer) =
            rita.call(operation.method.clone(), &operation.example(), body).await;
        assert_eq!(status, 403, "{}: {answer}", operation.name());
    }
}

/// How many audit records there are.
fn records(installation: &Installation) -> u64 {
    let mut words = vec!["audit".to_owned(), "verify".to_owned()];
    words.extend(installation.place());
    let output = process::run(&words);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["records"].as_u64().unwrap() + report["unlinked"].as_u64().unwrap()
}

/// Calls an operation with success and notes that it left a record.
struct Auditor<'a> {
    installation: &'a Installation,
    seen: Vec<String>,
}

impl Auditor<'_> {
    async fn call(
        &mut self,
        caller: &Caller,
        method: Method,
        template: &str,
        id: &str,
        body: Option<Value>,
    ) -> Value {
        let before = records(self.installation);
        let path = template.replace("{id}", id);
        let (status, answer) = caller.call(method.clone(), &path, body.as_ref()).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        let after = records(self.installation);
        assert!(after > before, "{method} {template} left no audit record");
        self.seen.push(format!("{method} {template}"));
        answer
    }
}

/// What the older paths change, and what they alone can.
async fn change_by_older_paths(
    auditor: &mut Auditor<'_>,
    admin: &Caller,
    shop: &Shop,
    integration: &str,
) {
    let body = json!({
        "name": "older", "type": "postgresql", "provisioner_id": "local",
        "metadata": shop.config(),
        "secret_config": { "type": "APONO", "parameters": {
            "username": shop.provisioner, "password": shop.password,
        }},
    });
    let integrations = "/api/v2/integrations";
    let older = auditor.call(admin, Method::POST, integrations, "", Some(body.clone())).await;
    let older = older["id"].as_str().unwrap().to_owned();
    let one = "/api/v2/integrations/{id}";
    auditor.call(admin, Method::PUT, one, &older, Some(body)).await;
    let refresh = "/api/v2/integrations/{id}/refresh";
    auditor.call(admin, Method::POST, refresh, &older, None).await;
    auditor.call(admin, Method::DELETE, one, &older, None).await;

    let found = admin.get(&format!("/api/v3/integrations/{integration}/resources")).await;
    let resource = found["data"][0]["id"].as_str().unwrap().to_owned();
    let tags = "/api/v3/integrations/resources/{resource_id}/user-tags";
    let path = tags.replace("{resource_id}", &resource);
    let body = json!({ "tags": { "team": "makers" } });
    auditor.call(admin, Method::PUT, &path, "", Some(body)).await;
    auditor.seen.push(format!("PUT {tags}"));

    let attributes = "/api/v2/bulk/identities/attributes";
    let body = json!([{ "email": "rita@example.com", "attributes": { "okta_city": "Berlin" } }]);
    auditor.call(admin, Method::PUT, attributes, "", Some(body)).await;
    let body = json!([{ "email": "rita@example.com", "attribute_types": ["okta_city"] }]);
    auditor.call(admin, Method::DELETE, attributes, "", Some(body)).await;
}

/// What there is to do with groups.
async fn change_groups(auditor: &mut Auditor<'_>, admin: &Caller) {
    let groups = "/api/admin/v1/groups";
    let body = json!({ "name": "Engineers", "members_emails": ["rita@example.com"] });
    let group = auditor.call(admin, Method::POST, groups, "", Some(body)).await;
    let group = group["id"].as_str().unwrap().to_owned();
    let one = "/api/admin/v1/groups/{id}";
    let name = "/api/admin/v1/groups/{id}/name";
    auditor.call(admin, Method::PUT, name, &group, Some(json!({ "name": "Makers" }))).await;
    let members = "/api/admin/v1/groups/{id}/members";
    let body = json!({ "members_emails": ["otto@example.com"] });
    auditor.call(admin, Method::PUT, members, &group, Some(body)).await;
    for method in [Method::PUT, Method::DELETE] {
        let template = "/api/admin/v1/groups/{id}/members/{email}";
        let before = records(auditor.installation);
        let path = template.replace("{id}", &group).replace("{email}", "rita@example.com");
        let (status, answer) = admin.call(method.clone(), &path, None).await;
        assert_eq!(status, 204, "{answer}");
        assert!(records(auditor.installation) > before, "{method} {template} left no audit record");
        auditor.seen.push(format!("{method} {template}"));
    }
    let body = json!({ "name": "Apprentices", "members_emails": [] });
    let child = admin.post(groups, &body).await["id"].as_str().unwrap().to_owned();
    for method in [Method::PUT, Method::DELETE] {
        let template = "/api/admin/v1/groups/{id}/groups/{group_id}";
        let path = template.replace("{group_id}", &child);
        auditor.call(admin, method.clone(), &path, &group, None).await;
        auditor.seen.push(format!("{method} {template}"));
    }
    auditor.call(admin, Method::DELETE, one, &group, None).await;
}

/// Rita names an emergency, and an Admin looks at it afterwards.
async fn review_an_emergency(
    auditor: &mut Auditor<'_>,
    admin: &Caller,
    rita: &Caller,
    integration: &str,
) {
    let mut glass = flow_body("glass", integration, None);
    glass["settings"]["labels"] = json!(["break-glass"]);
    admin.post("/api/admin/v2/access-flows", &glass).await;
    let body = json!({
        "entitlements": [entitlement(rita, "orders", "READ_ONLY").await],
        "justification": "checkout is down",
        "custom_fields": { "break_glass": "true" },
    });
    let made = rita.post("/api/user/v4/access-requests", &body).await;
    let request = made[0]["id"].as_str().unwrap().to_owned();
    rita.wait_for_status(&request, "Active").await;
    revoke(rita, &request).await;
    rita.wait_for_status(&request, "Revoked").await;
    let review = "/api/admin/v1/emergencies/{id}/review";
    let found = json!({ "finding": "justified", "note": "it was one" });
    auditor.call(admin, Method::POST, review, &request, Some(found)).await;
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_an_audit_record() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let shop = Shop::open().await;
    let (rita, otto) = (installation.person("rita"), installation.person("otto"));
    let integration = installation.integrate(&shop, "local", Some("otto@example.com")).await;
    let admin = installation.admin.clone();
    let mut auditor = Auditor { installation: &installation, seen: Vec::new() };

    change_groups(&mut auditor, &admin).await;

    // Reports.
    let reports = "/api/admin/v1/activity-reports";
    let timeframe = json!({ "relative": { "last": 7, "unit": "day" } });
    let body = json!({ "name": "Week", "filters": {}, "timeframe": timeframe });
    let report = auditor.call(&admin, Method::POST, reports, "", Some(body.clone())).await;
    let report = report["id"].as_str().unwrap().to_owned();
    let one = "/api/admin/v1/activity-reports/{id}";
    auditor.call(&admin, Method::PUT, one, &report, Some(body)).await;
    auditor.call(&admin, Method::DELETE, one, &report, None).await;

    // Connectors.
    installation.admin_command(&["connector-token", "create", "--id", "spare"]);
    let one = "/api/admin/v3/connectors/{id}";
    auditor.call(&admin, Method::PUT, one, "spare", Some(json!({ "name": "Spare" }))).await;
    auditor.call(&admin, Method::DELETE, one, "spare", None).await;

    // Flows.
    let flow = installation.flow("spare", &integration, None).await;
    auditor.seen.push("POST /api/admin/v2/access-flows".to_owned());
    let id = flow["id"].as_str().unwrap().to_owned();
    let mut changed = flow_body("spare", &integration, None);
    changed["description"] = json!("changed");
    let one = "/api/admin/v2/access-flows/{id}";
    auditor.call(&admin, Method::PUT, one, &id, Some(changed)).await;
    auditor.call(&admin, Method::DELETE, one, &id, None).await;

    // Integrations.
    let body = json!({
        "name": "other", "type": "postgresql", "connector_id": "local",
        "integration_config": shop.config(),
        "secret_store_config": { "apono": { "parameters": {
            "username": shop.provisioner, "password": shop.password,
        }}},
    });
    let integrations = "/api/admin/v4/integrations";
    let other = auditor.call(&admin, Method::POST, integrations, "", Some(body.clone())).await;
    let other = other["id"].as_str().unwrap().to_owned();
    let one = "/api/admin/v4/integrations/{id}";
    auditor.call(&admin, Method::PUT, one, &other, Some(body)).await;
    auditor.call(&admin, Method::DELETE, one, &other, None).await;

    change_by_older_paths(&mut auditor, &admin, &shop, &integration).await;

    // Requests and sessions.
    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    auditor.seen.push("POST /api/user/v4/access-requests".to_owned());
    let reject = "/api/client/v1/access-requests/{id}/reject";
    auditor.call(&otto, Method::POST, reject, &request, Some(json!({}))).await;
    let again = "/api/user/v4/access-requests/{id}/request-again";
    let body = json!({ "justification": "again", "custom_fields": {} });
    let made = auditor.call(&rita, Method::POST, again, &request, Some(body)).await;
    let request = made[0]["id"].as_str().unwrap().to_owned();
    let approve = "/api/client/v1/access-requests/{id}/approve";
    auditor.call(&otto, Method::POST, approve, &request, Some(json!({}))).await;
    rita.wait_for_status(&request, "Active").await;
    credentials(&rita, &request).await;
    let list = rita.get(&format!("/api/user/v1/access-sessions?request_ids={request}")).await;
    let session = list["items"][0]["id"].as_str().unwrap().to_owned();
    let reset = "/api/user/v1/access-sessions/{id}/reset-credentials";
    auditor.call(&rita, Method::POST, reset, &session, None).await;
    let end = "/api/user/v4/access-requests/{id}/revoke";
    auditor.call(&rita, Method::POST, end, &request, None).await;
    rita.wait_for_status(&request, "Revoked").await;
    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    let shortened = "/api/client/v1/access-requests/{id}/approve-shortened";
    let body = json!({ "duration_in_sec": 600 });
    auditor.call(&otto, Method::POST, shortened, &request, Some(body)).await;
    rita.wait_for_status(&request, "Active").await;
    let extend = "/api/client/v1/access-requests/{id}/extend";
    auditor.call(&rita, Method::POST, extend, &request, None).await;
    let end = "/api/client/v1/access-requests/{id}/revoke";
    auditor.call(&rita, Method::POST, end, &request, None).await;
    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    revoke(&rita, &request).await;
    review_an_emergency(&mut auditor, &admin, &rita, &integration).await;

    // Second factors.
    let pass = "/api/client/v1/access-requests/pass-mfa";
    auditor.call(&rita, Method::POST, pass, "", None).await;
    let reset = "/api/admin/v1/users/{id}/reset-second-factor";
    auditor.call(&admin, Method::POST, reset, "rita@example.com", None).await;

    let mut forgotten = Vec::new();
    for operation in operations(&admin).await {
        let name = operation.name();
        let excused = NOT_AUDITED_HERE.iter().any(|(known, _)| *known == name);
        if operation.method != Method::GET && !excused && !auditor.seen.contains(&name) {
            forgotten.push(name);
        }
    }
    assert_eq!(forgotten, Vec::<String>::new(), "call them here and look for their record");
}
