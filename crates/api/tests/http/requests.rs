//! From asking to the end of access, over HTTP alone.

use latchkey_app::{Actor, settings::set_setting};
use serde_json::{Value, json};

use crate::ground::{Answer, CANARY, Ground, flow};

pub const REQUESTS: &str = "/api/user/v4/access-requests";
const CLIENT: &str = "/api/client/v1/access-requests";
const SESSIONS: &str = "/api/user/v1/access-sessions";

/// A shop with one flow: ana asks, bob approves (or nobody has to).
pub struct Story {
    pub ground: Ground,
    pub connector: String,
    pub ana: String,
    pub bob: String,
    pub flow: Value,
}

impl Story {
    pub async fn new(approver: Option<&str>) -> Self {
        let ground = Ground::new().await;
        let connector = ground.connector("edge").await;
        ground.shop(&connector, "edge").await;
        let ana = ground.somebody("ana", None).await;
        let bob = ground.somebody("bob", None).await;
        let body = flow("readers", "ana", approver);
        let flow = ground.post(&ground.admin, "/api/admin/v2/access-flows", body).await.ok();
        Self { ground, connector, ana, bob, flow }
    }

    /// The body that asks for the table `name`.
    pub async fn body(&self, name: &str) -> Value {
        let path = format!("/api/user/v1/available-access/entitlements?resource_name={name}");
        let page = self.ground.get(&self.ana, &path).await.ok();
        let row = &page["items"][0];
        json!({
            "entitlements": [{
                "resource_id": row["resource"]["id"], "permission_id": row["permission"]["id"],
            }],
            "justification": "incident 7",
        })
    }

    pub async fn ask(&self, name: &str) -> Value {
        let asked = self.ground.post(&self.ana, REQUESTS, self.body(name).await).await.ok();
        assert_eq!(asked.as_array().unwrap().len(), 1);
        asked[0].clone()
    }

    /// The body by which an Admin asks for the table `name` for ana.
    pub async fn body_v3(&self, name: &str) -> Value {
        let ana = self.ground.get(&self.ground.admin, "/api/admin/v3/users/ana@example.com").await;
        let shop = self.ground.get(&self.ground.admin, "/api/admin/v4/integrations").await;
        json!({
            "user_id": ana.ok()["id"], "integration_id": shop.ok()["items"][0]["id"],
            "resource_ids": [self.body(name).await["entitlements"][0]["resource_id"]],
            "permissions": ["READ_ONLY"], "justification": "incident 7",
        })
    }

    /// A request of ana's for bob, under a flow that lets ana ask for anybody.
    pub async fn ask_for_bob(&self, name: &str) -> Value {
        let mut delegates = flow("delegates", "ana", Some("bob"));
        delegates["request_for_others"] = json!(true);
        let admin = &self.ground.admin;
        self.ground.post(admin, "/api/admin/v2/access-flows", delegates).await.ok();
        let mut body = self.body(name).await;
        body["grantee"] = json!("bob@example.com");
        self.ground.post(&self.ana, REQUESTS, body).await.ok()[0].clone()
    }

    pub async fn request(&self, request: &Value) -> Value {
        let path = format!("{REQUESTS}/{}", id_of(request));
        self.ground.get(&self.ana, &path).await.ok()
    }

    pub async fn act(&self, token: &str, request: &Value, act: &str, body: Value) -> Answer {
        let path = format!("{CLIENT}/{}/{act}", id_of(request));
        self.ground.post(token, &path, body).await
    }

    pub async fn session(&self) -> Value {
        self.ground.get(&self.ana, SESSIONS).await.ok()["items"][0].clone()
    }
}

/// The flow of the story, by which access may be extended once by half an hour.
pub fn extendable(approver: &str) -> Value {
    let mut body = flow("readers", "ana", Some(approver));
    body["settings"]["max_extensions"] = json!(1);
    body["settings"]["extension_duration_in_min"] = json!(30);
    body
}

pub fn id_of(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

#[tokio::test]
async fn access_is_extended_and_says_so_until_its_target_has_the_later_end() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, flow } = &story;
    let path = format!("/api/admin/v2/access-flows/{}", id_of(flow));
    ground.put(&ground.admin, &path, extendable("bob")).await.ok();
    let asked = story.ask("orders").await;
    story.act(ana, &asked, "extend", json!({})).await.refused(409, "Conflict");
    story.act(bob, &asked, "approve", json!({})).await.ok();
    ground.work(connector).await;
    let path = format!("{CLIENT}/{}", id_of(&asked));
    let seen = async || ground.get(ana, &path).await.ok();
    let options = |seen: &Value| {
        let options = &seen["extend_options"];
        (options["extension_availability"].clone(), options["remaining_extensions"].clone())
    };
    let active = seen().await;
    assert_eq!(
        active["extend_options"],
        json!({
            "can_extend": true, "extension_availability": "AVAILABLE",
            "extend_duration_in_sec": 1800, "remaining_extensions": 1,
        })
    );
    story.act(bob, &asked, "extend", json!({})).await.refused(404, "NotFound");
    story.act(ana, &asked, "extend", json!({})).await.ok();
    let extending = seen().await;
    let ends = |seen: &Value| seen["status"]["metadata"]["ends_at"].clone();
    assert_eq!(options(&extending), (json!("EXTENDING"), json!(1)));
    assert_eq!(ends(&extending), ends(&active), "the old end stands");
    let later = extending["status"]["metadata"]["extending_to"].clone();
    assert!(extending["status"]["description"].as_str().unwrap().starts_with("extending to"));
    ground.work(connector).await;
    let extended = seen().await;
    assert_eq!(ends(&extended), later);
    assert_eq!(extended["extension_count"], 1);
    assert_eq!(options(&extended), (json!("EXHAUSTED"), json!(0)));
    story.act(ana, &asked, "extend", json!({})).await.refused(409, "Conflict");
}

#[tokio::test]
async fn a_request_goes_from_asking_to_its_end() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, .. } = &story;
    let asked = story.ask("orders").await;
    assert_eq!(asked["status"], "Pending");
    assert_eq!(asked["duration_in_sec"], 3600);
    assert_eq!(asked["justification"], "incident 7");
    for caller_or_absent in ["requestor", "grantee", "bundle", "revocation_date"] {
        assert_eq!(asked[caller_or_absent], Value::Null, "{caller_or_absent}");
    }
    assert_eq!(asked["custom_fields"], json!({}));
    assert_eq!(asked["access_groups"][0]["integration"]["name"], "shop");
    assert_eq!(asked["access_groups"][0]["resource_types"][0]["id"], "postgresql-table");

    let tasks = ground.get(bob, &format!("{CLIENT}?scope=MyTasks")).await.ok();
    assert_eq!(tasks["pagination"], json!({"limit": 100, "offset": 0, "has_more": false}));
    let task = &tasks["data"][0];
    assert_eq!(task["id"], "AR-1");
    assert_eq!(task["requestor"]["email"], "ana@example.com");
    assert_eq!(task["access_groups"][0]["integration"]["type_display_name"], "PostgreSQL");
    assert_eq!(task["access_groups"][0]["resource_types"][0]["display_path"], "PostgreSQL Table");
    assert_eq!(task["challenge"]["approvers"][0]["status"], "Pending");
    assert!(task.get("revocation_time").is_none());
    let one = format!("{CLIENT}/{}", id_of(&asked));
    assert_eq!(ground.get(bob, &one).await.ok(), *task);
    story.act(bob, task, "approve", json!({"justification": null})).await.ok();
    story.act(bob, task, "approve", json!({})).await.refused(409, "Conflict");

    assert_eq!(story.request(&asked).await["status"], "Granting");
    ground.work(connector).await;
    assert_eq!(story.request(&asked).await["status"], "Active");
    let units = format!("{REQUESTS}/{}/entitlements", id_of(&asked));
    let units = ground.get(ana, &units).await.ok();
    assert_eq!(units["items"][0]["status"], "Active");
    assert_eq!(units["items"][0]["permission"], json!({"name": "READ_ONLY"}));

    let path = format!("{REQUESTS}/{}/revoke", id_of(&asked));
    assert!(ground.post(ana, &path, json!({})).await.ok()["message"].is_string());
    assert_eq!(story.request(&asked).await["status"], "Revoking");
    ground.work(connector).await;
    let over = story.request(&asked).await;
    assert_eq!(over["status"], "Revoked");
    assert!(over["revocation_date"].is_string());
    ground.post(ana, &path, json!({})).await.refused(409, "Conflict");
    assert_eq!(ground.get(ana, SESSIONS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a01_members_of_a_create_body_that_decide_are_ignored() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, .. } = &story;
    let plain = story.request(&story.ask("orders").await).await;
    let mut body = story.body("orders").await;
    let decided = json!({
        "status": "Active", "state": "Active", "id": "chosen", "requestor_id": "bob@example.com",
        "requestor": "bob@example.com", "user_id": "bob@example.com", "approved": true,
        "approvers": [{ "email": "ana@example.com", "status": "Approved" }],
        "approver_policy": null, "flow_id": "another", "access_flow_id": "another",
        "expires_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
        "revocation_date": "2099-01-01T00:00:00Z", "creation_date": "2001-01-01T00:00:00Z",
        "decided_at": "2001-01-01T00:00:00Z", "forced": true, "digest": "",
    });
    body.as_object_mut().unwrap().extend(decided.as_object().unwrap().clone());
    let asked = ground.post(ana, REQUESTS, body).await.ok();
    let mut asked = story.request(&asked[0]).await;
    assert_eq!(asked["status"], "Pending", "it waits for bob like any other");
    assert!(asked["id"] != plain["id"] && asked["id"] != "chosen", "{asked}");
    asked["id"] = plain["id"].clone();
    assert_eq!(asked, plain, "nothing of what was sent along is in it");
    ground.work(connector).await;
    assert_eq!(ground.get(ana, SESSIONS).await.ok()["items"], json!([]), "nothing is granted");
}

#[tokio::test]
async fn a_credential_is_shown_once_and_to_the_grantee_alone() {
    let story = Story::new(None).await;
    let Story { ground, connector, ana, bob, .. } = &story;
    story.ask("orders").await;
    ground.work(connector).await;
    let session = story.session().await;
    assert_eq!(session["credentials_status"], "AVAILABLE");
    assert_eq!(session["can_reset_credentials"], true);
    let one = format!("{SESSIONS}/{}", id_of(&session));
    let details = format!("{one}/access-details");
    for stranger in [bob, &ground.admin] {
        ground.get(stranger, &one).await.refused(404, "NotFound");
        ground.get(stranger, &details).await.refused(404, "NotFound");
    }
    let first = ground.get(ana, &details).await;
    assert_eq!(first.headers["cache-control"], "no-store");
    let first = first.ok();
    assert_eq!(first["parameters"]["password"], CANARY);
    assert!(first["instructions"].as_str().unwrap().contains(CANARY));
    let second = ground.get(ana, &details).await;
    assert_eq!(second.headers["cache-control"], "no-store");
    assert!(!second.text.contains(CANARY), "{}", second.text);
    assert_eq!(story.session().await["credentials_status"], "VIEWED");

    ground.post(ana, &format!("{one}/reset-credentials"), json!({})).await.ok();
    assert_eq!(story.session().await["credentials_status"], "RESETTING");
    ground.work(connector).await;
    assert_eq!(story.session().await["credentials_status"], "AVAILABLE");
    assert!(ground.get(ana, &details).await.text.contains(CANARY));
}

#[tokio::test]
async fn members_that_only_a_decision_may_set_are_ignored_when_asking() {
    let story = Story::new(Some("bob")).await;
    let mut body = story.body("orders").await;
    for (member, value) in [
        ("status", json!("Active")),
        ("approvers", json!(["ana@example.com"])),
        ("expires_at", json!("2099-01-01T00:00:00Z")),
        ("requestor_id", json!("somebody")),
        ("approver_policy", json!(null)),
    ] {
        body[member] = value;
    }
    let asked = story.ground.post(&story.ana, REQUESTS, body).await.ok();
    assert_eq!(asked[0]["status"], "Pending");
    assert_eq!(asked[0]["requestor"], Value::Null);
}

#[tokio::test]
async fn others_neither_see_nor_decide_a_request() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let carl = story.ground.somebody("carl", None).await;
    let path = format!("{REQUESTS}/{}", id_of(&asked));
    let unseen = story.ground.get(&carl, &path).await;
    let unknown = story.ground.get(&carl, &format!("{REQUESTS}/unknown")).await;
    assert_eq!(unseen.text, unknown.text);
    unseen.refused(404, "NotFound");
    story.act(&carl, &asked, "approve", json!({})).await.refused(404, "NotFound");
    story.act(&carl, &asked, "revoke", json!({})).await.refused(404, "NotFound");
    let own = story.act(&story.ana, &asked, "approve", json!({})).await;
    assert_eq!(own.status, 403, "{}", own.text);
    assert_eq!(story.request(&asked).await["status"], "Pending");
    story.act(&story.bob, &asked, "reject", json!({"justification": "no"})).await.ok();
    assert_eq!(story.request(&asked).await["status"], "Rejected");
    for (token, decided) in [(&story.bob, 1), (&story.ana, 0), (&carl, 0)] {
        let path = format!("{CLIENT}?scope=MyHistoricTasks");
        let page = story.ground.get(token, &path).await.ok();
        assert_eq!(page["data"].as_array().unwrap().len(), decided);
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_stores_nothing() {
    let story = Story::new(Some("bob")).await;
    let path = format!("{REQUESTS}/dry-run");
    let mut body = story.body("orders").await;
    let run = story.ground.post(&story.ana, &path, body.clone()).await.ok();
    assert_eq!(run["refusal"], Value::Null);
    assert_eq!(run["requests"][0]["flow_name"], "readers");
    assert_eq!(run["requests"][0]["needs_approval"], true);
    assert_eq!(run["requests"][0]["approvers"][0]["source_id"], "bob@example.com");
    body["duration_in_sec"] = json!(7200);
    let run = story.ground.post(&story.ana, &path, body.clone()).await.ok();
    assert_eq!(run["refusal"]["code"], "DurationTooLong");
    assert_eq!(run["refusal"]["longest_duration_in_sec"], 3600);
    story.ground.post(&story.ana, REQUESTS, body.clone()).await.refused(400, "DurationTooLong");
    body.as_object_mut().unwrap().remove("duration_in_sec");
    story.ground.post(&story.bob, REQUESTS, body).await.refused(403, "NoMatchingFlow");
    assert_eq!(story.ground.get(&story.ana, REQUESTS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_dry_run_names_what_the_form_still_wants() {
    let story = Story::new(Some("bob")).await;
    let shell = Actor::command_line();
    for (key, value) in [
        (
            "request_custom_fields",
            json!([
                {"id": "ticket", "type": "TEXT", "label": "Ticket", "required": true},
            ]),
        ),
        ("justification_pattern", json!("OPS-[0-9]+")),
    ] {
        set_setting(&story.ground.app, &shell, key, value).await.unwrap();
    }
    let mut body = story.body("orders").await;
    let path = format!("{REQUESTS}/dry-run");
    let run = story.ground.post(&story.ana, &path, body.clone()).await.ok();
    assert_eq!(run["justification_missing"], false, "the flow asks for none");
    assert_eq!(run["missing_fields"][0]["field"], "custom_fields.ticket");
    story.ground.post(&story.ana, REQUESTS, body.clone()).await.refuses("custom_fields.ticket");
    body["custom_fields"] = json!({"ticket": "OPS-1"});
    let run = story.ground.post(&story.ana, &path, body.clone()).await.ok();
    assert_eq!(run["missing_fields"], json!([]));
    story.ground.post(&story.ana, REQUESTS, body).await.ok();
    // Who files for somebody by the oldest path has no form.
    let body = story.body_v3("orders").await;
    story.ground.post(&story.ground.admin, "/api/v3/access-requests", body).await.ok();
}

#[tokio::test]
async fn a_stored_request_is_explained_to_its_people_and_to_viewers() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let own = format!("{REQUESTS}/{}/explain", id_of(&asked));
    let why = story.ground.get(&story.ana, &own).await.ok();
    assert_eq!((&why["number"], &why["status"]), (&json!("AR-1"), &json!("Pending")));
    assert_eq!(why["governed_by"]["name"], "readers");
    assert_eq!(why["governed_by"]["now"], "same");
    assert_eq!(why["entitlements"][0]["flow_name"], "readers");
    assert_eq!(why["entitlements"][0]["entitlement"]["resource"]["name"], "orders");
    assert_eq!(why["waiting_for"]["approvers"][0]["source_id"], "bob@example.com");
    assert_eq!(why["waiting_for"]["programs"], json!([]));
    assert_eq!(why["no_longer_allowed"], Value::Null);
    story.ground.get(&story.bob, &own).await.refused(404, "NotFound");
    let any = format!("/api/admin/v1/explain/access-requests/{}", id_of(&asked));
    story.ground.get(&story.bob, &any).await.refused(403, "Forbidden");
    assert_eq!(story.ground.get(&story.ground.admin, &any).await.ok(), why);
    let by_number = "/api/admin/v1/explain/access-requests/AR-1";
    assert_eq!(story.ground.get(&story.ground.admin, by_number).await.ok(), why);
    let unknown = "/api/admin/v1/explain/access-requests/AR-9";
    story.ground.get(&story.ground.admin, unknown).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_request_that_is_over_can_be_asked_again() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let path = format!("{REQUESTS}/{}/request-again", id_of(&asked));
    story.ground.post(&story.ana, &path, json!({})).await.refused(409, "Conflict");
    story.act(&story.bob, &asked, "reject", json!({})).await.ok();
    let again = story.ground.post(&story.ana, &path, json!({"justification": "now"})).await.ok();
    assert_ne!(again[0]["id"], asked["id"]);
    assert_eq!(again[0]["justification"], "now");
    let rejected = story.ground.get(&story.ana, &format!("{REQUESTS}?statuses=rejected")).await;
    assert_eq!(rejected.ok()["items"].as_array().unwrap().len(), 1);
    let unknown = format!("{REQUESTS}?statuses=Asleep");
    story.ground.get(&story.ana, &unknown).await.refuses("statuses");
}

#[tokio::test]
async fn client_lists_are_paged_by_skip_and_limit_newest_first() {
    let story = Story::new(Some("bob")).await;
    for table in ["orders", "customers", "orders"] {
        story.ask(table).await;
        story.ground.pass(1);
    }
    let page = async |query: &str| {
        let path = format!("{CLIENT}?scope=MyRequests&{query}");
        let page = story.ground.get(&story.ana, &path).await.ok();
        let rows = page["data"].as_array().unwrap().iter();
        let ids: Vec<String> = rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        (ids.join(" "), page["pagination"].clone())
    };
    assert_eq!(page("").await.0, "AR-3 AR-2 AR-1");
    let (ids, block) = page("limit=2").await;
    assert_eq!((ids.as_str(), &block["has_more"]), ("AR-3 AR-2", &json!(true)));
    let (ids, block) = page("limit=2&skip=2").await;
    assert_eq!((ids.as_str(), &block["offset"]), ("AR-1", &json!(2)));
    assert_eq!(page("skip=9").await.0, "");
    assert_eq!(page("limit=0").await.1["limit"], 1);
    assert_eq!(page("limit=5000").await.1["limit"], 1000);
    assert_eq!(page("request_ids=AR-2").await.0, "AR-2");
    let path = format!("{CLIENT}?scope=Everything");
    story.ground.get(&story.ana, &path).await.refuses("scope");
    story.ground.get(&story.ana, CLIENT).await.refuses("scope");
}

#[tokio::test]
async fn an_approver_may_shorten_a_grant_and_not_lengthen_it() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let act = "approve-shortened";
    for bad in [json!(0), json!(-5), json!(1.5), json!(null)] {
        let answer = story.act(&story.bob, &asked, act, json!({"duration_in_sec": bad})).await;
        answer.refuses("duration_in_sec");
    }
    let longer = story.act(&story.bob, &asked, act, json!({"duration_in_sec": 7200})).await;
    assert_eq!(longer.status, 400, "{}", longer.text);
    story.act(&story.bob, &asked, act, json!({"duration_in_sec": 60})).await.ok();
    assert_eq!(story.request(&asked).await["duration_in_sec"], 60);
}
