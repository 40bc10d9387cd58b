//! Programs that are asked like approvers: real servers on this machine, which an Admin has listed.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_app::{
    Actor, PageRequest,
    activity::{ActivityFilter, list_activity},
    notifications::{Deliverer, NotificationConfig, signature, webhook_secret},
    outbound::{Limits, Outbound, SystemResolver},
    requests::{
        AskedProgram, ProgramSaid, RequestAccess, RequestView, approve_request, dry_run_request,
        explain_own_request, get_client_request, list_my_tasks, reject_request, revoke_request,
    },
    settings::set_setting,
};
use latchkey_domain::{
    activity::ActivityField,
    flow::{AccessFlow, ApprovalMode, ApproverGroup, Condition, EscalationPolicy, LogicalOperator},
    request::RequestState,
};
use latchkey_store::AuditFilter;
use latchkey_testkit::wait_until;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    ground::{Ground, is_user},
    on_both_databases,
    receiver::{Answer, Receiver},
};

/// A program and its address, whose path and query are secret.
async fn program() -> (Receiver, String) {
    let server = Receiver::start("127.0.0.1:0", vec![Answer::status("500 Oops", "")]).await;
    let url = format!("http://{}/hush?key=hush", server.address);
    (server, url)
}

async fn list_this_machine(ground: &Ground) {
    let listed = json!(["127.0.0.1"]);
    let admin = Actor::command_line();
    set_setting(&ground.app, &admin, "outbound_allowed_addresses", listed).await.unwrap();
}

fn deliverer(ground: &Ground) -> Deliverer {
    waiting_for(ground, Duration::from_secs(20))
}

fn waiting_for(ground: &Ground, time: Duration) -> Deliverer {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limits = Limits { time, answer: 4096 };
    let outbound = Outbound::new(Arc::new(SystemResolver), limits);
    Deliverer::new(ground.app.clone(), NotificationConfig { outbound, ..Default::default() })
}

fn program_at(url: &str) -> Condition {
    Condition {
        source_integration_id: None,
        attribute_type: "webhook".to_owned(),
        match_operator: None,
        values: Some(vec![url.to_owned()]),
        pinned_ids: Vec::new(),
    }
}

fn group(operator: LogicalOperator, approvers: Vec<Condition>) -> ApproverGroup {
    ApproverGroup { logical_operator: operator, approvers }
}

/// A flow that asks these groups.
async fn asking(ground: &Ground, mode: ApprovalMode, groups: Vec<ApproverGroup>) -> AccessFlow {
    let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
    let policy = flow.policy.approver_policy.as_mut().unwrap();
    policy.approval_mode = mode;
    policy.approver_groups = groups;
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

/// A flow that asks this program alone.
async fn asking_alone(ground: &Ground, url: &str) -> AccessFlow {
    let alone = group(LogicalOperator::Or, vec![program_at(url)]);
    asking(ground, ApprovalMode::AnyOf, vec![alone]).await
}

/// A flow that asks this program and Bob, both.
async fn asking_beside_bob(ground: &Ground, url: &str) -> AccessFlow {
    let groups = vec![
        group(LogicalOperator::Or, vec![program_at(url)]),
        group(LogicalOperator::Or, vec![is_user(&ground.bob.user)]),
    ];
    asking(ground, ApprovalMode::AllOf, groups).await
}

fn answer(request: &RequestView, decision: &str) -> Value {
    json!({
        "request_id": request.request.id,
        "digest": request.request.digest,
        "decision": decision,
    })
}

fn ok(body: &Value) -> Answer {
    Answer::status("200 OK", &body.to_string())
}

/// Makes no answer of a right one.
type Spoil = fn(&mut Value);

/// Delivers, and again until a call that fails is given up.
async fn deliver_all(ground: &mut Ground, deliverer: &Deliverer) {
    for _ in 0..4 {
        deliverer.deliver_due().await.unwrap();
        ground.pass(60).await;
    }
}

async fn seen(ground: &Ground, request: &RequestView) -> RequestView {
    let id = request.request.id.as_str();
    get_client_request(&ground.app, &ground.ana, id).await.unwrap()
}

async fn explained(ground: &Ground, request: &RequestView) -> Vec<AskedProgram> {
    let id = request.request.id.as_str();
    let explained = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
    explained.waiting.map(|waiting| waiting.programs).unwrap_or_default()
}

fn here(said: Option<ProgramSaid>) -> Vec<AskedProgram> {
    vec![AskedProgram { host: "127.0.0.1".to_owned(), said }]
}

/// What the audit trail says about requests: actions with details, oldest first.
async fn audited(ground: &Ground, action: &str) -> Vec<Value> {
    ground
        .write(async |tx| {
            let page = latchkey_store::PageQuery::all();
            let records = tx.list_audit(&AuditFilter::default(), &page).await.unwrap();
            let found = records.into_iter().filter(|record| record.action == action);
            found.map(|record| record.detail).collect()
        })
        .await
}

on_both_databases! {
    async fn a_program_that_approves_is_asked_once_signed_and_its_yes_grants(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let command = RequestAccess {
            entitlements: vec![ground.entitlement("orders")],
            ..RequestAccess::default()
        };
        let dry = dry_run_request(&ground.app, &ground.ana, command).await.unwrap();
        assert_eq!(dry.parts[0].programs, here(None));
        assert_eq!(dry.parts[0].trouble, None);
        let request = ground.ask(&["orders"], Some(600)).await;
        assert_eq!(request.request.state, RequestState::Pending);
        assert_eq!(request.request.state_reason, None, "the program may say yes");
        assert_eq!(explained(ground, &request).await, here(None));
        assert_eq!(server.connections(), 0, "nobody is called in a transaction");

        let mut yes = answer(&request, "approve");
        yes["reason"] = json!("no freeze today");
        yes["unknown"] = json!({ "members": "are ignored" });
        server.answers_with([ok(&yes)]);
        deliver_all(ground, &deliverer).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        assert_eq!(ground.held().len(), 1);

        let received = server.received();
        assert_eq!(received.len(), 1);
        let call = &received[0];
        assert!(call.head.starts_with("POST /hush?key=hush HTTP/1.1"), "{}", call.head);
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(body["type"], "access_request.decision_wanted");
        let data = &body["data"];
        assert_eq!(data["request_id"], request.request.id.as_str());
        assert_eq!(data["number"], "AR-1");
        assert_eq!(data["digest"], request.request.digest);
        assert_eq!(data["requestor"]["email"], "ana@example.com");
        assert_eq!(data["grantee"]["email"], "ana@example.com");
        assert_eq!(data["access_flow"], "read");
        assert_eq!(data["justification"], "to test");
        assert_eq!(data["custom_fields"], json!({}));
        assert_eq!(data["duration_in_sec"], 600);
        assert_eq!(data["entitlements"][0]["resource"], "shop/public/orders");
        assert_eq!(data["entitlements"][0]["permission"], "READ_ONLY");
        let shown = webhook_secret(&ground.app, &Actor::command_line(), &url).unwrap();
        let secret = shown.exposed_secret().unwrap().strip_prefix("whsec_").unwrap().to_owned();
        let timestamp = call.header("webhook-timestamp").unwrap().parse().unwrap();
        let id = call.header("webhook-id").unwrap();
        let expected = signature(&STANDARD.decode(&secret).unwrap(), id, timestamp, &call.body);
        assert_eq!(call.header("webhook-signature"), Some(expected.as_str()));
        let other = format!("{url}2");
        let other = webhook_secret(&ground.app, &Actor::command_line(), &other).unwrap();
        assert_ne!(other.exposed_secret(), shown.exposed_secret());
        webhook_secret(&ground.app, &ground.ana, &url).unwrap_err();

        let told = audited(ground, "access_request.program_answered").await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["program"], "127.0.0.1");
        assert_eq!(told[0]["decision"], "approved");
        assert_eq!(told[0]["reason"], "no freeze today");
        let approved = audited(ground, "access_request.approved").await;
        assert_eq!(approved[0]["approved_by_programs"], json!(["127.0.0.1"]));
        let records = audited(ground, "access_request.pending").await;
        for record in told.iter().chain(&approved).chain(&records) {
            assert!(!record.to_string().contains("hush"), "{record}");
        }
        let page = PageRequest::default();
        let admin = Actor::command_line();
        let every = ActivityFilter::default();
        let activity = list_activity(&ground.app, &admin, &every, &page);
        let row = activity.await.unwrap().items.remove(0);
        assert_eq!(row.texts(ActivityField::ApproverNames), ["127.0.0.1"]);
        assert_eq!(row.texts(ActivityField::ApproverTypes), ["webhook"]);
        assert_eq!(row.texts(ActivityField::ApproverReason), ["no freeze today"]);
    }

    async fn a_program_that_rejects_rejects(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        let either = group(LogicalOperator::Or, vec![program_at(&url), is_user(&ground.bob.user)]);
        asking(ground, ApprovalMode::AnyOf, vec![either]).await;
        let request = ground.ask(&["orders"], None).await;
        server.answers_with([ok(&answer(&request, "reject"))]);
        deliver_all(ground, &deliverer).await;
        let rejected = seen(ground, &request).await.request;
        assert_eq!(rejected.state, RequestState::Rejected);
        assert!(rejected.state_reason.unwrap().contains("the program at 127.0.0.1"));
        assert!(rejected.decided_at.is_some());
        assert_eq!(server.connections(), 1);
    }

    async fn a_program_that_says_none_decides_nothing_and_the_request_waits_until_it_expires(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        server.answers_with([ok(&answer(&request, "none"))]);
        deliver_all(ground, &deliverer).await;
        assert_eq!(server.connections(), 1, "it has answered");
        let now = seen(ground, &request).await.request;
        assert_eq!(now.state, RequestState::Pending);
        let reason = now.state_reason.unwrap();
        assert!(reason.contains("nobody may decide"), "{reason}");
        assert!(reason.ends_with("no decision came from 127.0.0.1"), "{reason}");
        assert_eq!(explained(ground, &request).await, here(Some(ProgramSaid::Nothing)));
        let told = audited(ground, "access_request.program_answered").await;
        assert_eq!(told[0]["decision"], Value::Null);
        ground.pass(86_400).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        assert!(ground.held().is_empty());
    }

    async fn d02_whatever_is_no_answer_to_this_very_question_is_no_decision(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let former = ground.ask(&["customers"], None).await;
        revoke_request(&ground.app, &ground.ana, former.request.id.as_str()).await.unwrap();
        deliver_all(ground, &deliverer).await;
        assert_eq!(server.connections(), 0, "who was cancelled is not asked about");
        let spoilt: [(&str, Spoil); 13] = [
            ("another digest", |body| body["digest"] = json!(format!("{}:60", "a".repeat(64)))),
            ("a longer one", |body| {
                let digest = body["digest"].as_str().unwrap().replace(":3600", ":7200");
                body["digest"] = json!(digest);
            }),
            ("no digest", |body| body["digest"] = Value::Null),
            ("another request", |body| body["request_id"] = json!("ar-other")),
            ("its number", |body| body["request_id"] = json!("AR-2")),
            ("another word", |body| body["decision"] = json!("approved")),
            ("the word in capitals", |body| body["decision"] = json!("APPROVE")),
            ("a switch", |body| body["decision"] = json!(true)),
            ("a list", |body| *body = json!([body])),
            ("a bare list", |body| {
                *body = json!([body["request_id"], body["digest"], body["decision"]]);
            }),
            ("a text of it", |body| *body = json!(body.to_string())),
            ("a long reason", |body| body["reason"] = json!("x".repeat(1001))),
            ("a large answer", |body| body["padding"] = json!("x".repeat(5000))),
        ];
        let statuses = ["500 Oops", "404 Not Found", "302 Found", "410 Gone"];
        let count = spoilt.len() + statuses.len() + 2;
        for at in 0..count {
            let request = ground.ask(&["orders"], None).await;
            let mut body = answer(&request, "approve");
            let (name, says) = if let Some((name, spoil)) = spoilt.get(at) {
                spoil(&mut body);
                (*name, ok(&body))
            } else if let Some(status) = statuses.get(at - spoilt.len()) {
                (*status, Answer::status(status, &body.to_string()))
            } else if at + 1 == count {
                ("cut off", Answer::status("200 OK", &body.to_string()[1..]))
            } else {
                ("nothing", Answer::status("204 No Content", ""))
            };
            server.answers_with([says]);
            let before = server.connections();
            deliver_all(ground, &deliverer).await;
            assert_eq!(server.connections() - before, 3, "{name}");
            ground.settle().await;
            let now = seen(ground, &request).await.request;
            assert_eq!(now.state, RequestState::Pending, "{name}");
            assert!(now.state_reason.unwrap().contains("no decision came"), "{name}");
            let id = request.request.id.as_str();
            revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        }
        assert!(ground.held().is_empty());
    }

    async fn a_call_that_fails_is_made_again_with_the_same_id_and_may_still_approve(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        let [busy, broken] = ["503 Busy", "200 OK"].map(|status| Answer::status(status, "{"));
        server.answers_with([busy, broken, ok(&answer(&request, "approve"))]);
        deliverer.deliver_due().await.unwrap();
        deliverer.deliver_due().await.unwrap();
        assert_eq!(server.connections(), 1, "the second try waits for its time");
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        deliver_all(ground, &deliverer).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let received = server.received();
        let ids: Vec<_> = received.iter().map(|call| call.header("webhook-id")).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!((ids[0], ids[1]), (ids[1], ids[2]));
    }

    async fn a_program_that_never_answers_in_time_gives_no_decision(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = waiting_for(ground, Duration::from_millis(200));
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        server.answers_with([Answer::Sleeps]);
        deliver_all(ground, &deliverer).await;
        assert_eq!(server.connections(), 3);
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        assert_eq!(explained(ground, &request).await, here(Some(ProgramSaid::Nothing)));
    }

    async fn a_decision_without_the_reason_that_the_flow_asks_for_is_none(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        let mut flow = asking_alone(ground, &url).await;
        flow.policy.settings.require_approver_reason = true;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        for (reason, state) in
            [(" ", RequestState::Pending), ("in the plan", RequestState::Active)]
        {
            let request = ground.ask(&["orders"], None).await;
            let mut yes = answer(&request, "approve");
            yes["reason"] = json!(reason);
            server.answers_with([ok(&yes)]);
            deliver_all(ground, &deliverer).await;
            ground.settle().await;
            assert_eq!(ground.state(&request).await, state, "{reason:?}");
        }
    }

    async fn e01_a_program_at_a_private_address_that_nobody_listed_is_never_called(ground) {
        let (server, url) = program().await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        server.answers_with([ok(&answer(&request, "approve"))]);
        deliver_all(ground, &deliverer).await;
        ground.settle().await;
        assert_eq!(server.connections(), 0);
        let now = seen(ground, &request).await.request;
        assert_eq!(now.state, RequestState::Pending);
        assert!(now.state_reason.unwrap().ends_with("no decision came from 127.0.0.1"));
        let told = audited(ground, "access_request.program_answered").await;
        assert!(told[0]["reason"].as_str().unwrap().contains("outbound_allowed_addresses"));
    }

    async fn e01_a_redirect_of_a_program_is_not_followed(ground) {
        let (server, url) = program().await;
        let (elsewhere, _) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        elsewhere.answers_with([ok(&answer(&request, "approve"))]);
        server.answers_with([Answer::Says(format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
            elsewhere.address
        ))]);
        deliver_all(ground, &deliverer).await;
        assert_eq!((server.connections(), elsewhere.connections()), (3, 0));
        assert_eq!(ground.state(&request).await, RequestState::Pending);
    }

    async fn a08_an_answer_that_comes_after_the_end_does_nothing(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        let either = group(LogicalOperator::Or, vec![program_at(&url), is_user(&ground.bob.user)]);
        asking(ground, ApprovalMode::AnyOf, vec![either]).await;
        for (ends, state) in
            [("rejected", RequestState::Rejected), ("cancelled", RequestState::Cancelled)]
        {
            let request = ground.ask(&["orders"], None).await;
            let id = request.request.id.as_str();
            let (go, calls) = (Arc::new(Notify::new()), server.received().len());
            let body = answer(&request, "approve").to_string();
            let Answer::Says(yes) = Answer::status("200 OK", &body) else { panic!("it says so") };
            server.answers_with([Answer::Waits(go.clone(), yes)]);
            let meanwhile = async {
                wait_until("the call", Duration::from_secs(20), async || {
                    server.received().len() > calls
                })
                .await
                .unwrap();
                if ends == "rejected" {
                    reject_request(&ground.app, &ground.bob, id, None).await.unwrap();
                } else {
                    revoke_request(&ground.app, &ground.ana, id).await.unwrap();
                }
                go.notify_one();
            };
            let (sent, ()) = tokio::join!(deliverer.deliver_due(), meanwhile);
            sent.unwrap();
            deliver_all(ground, &deliverer).await;
            ground.settle().await;
            assert_eq!(ground.state(&request).await, state);
            assert_eq!(seen(ground, &request).await.program_answers, []);
        }
        assert_eq!(server.connections(), 2, "each was asked about once");
        assert!(ground.held().is_empty());
    }

    async fn a05_what_a_program_approved_is_void_once_the_request_asks_for_more(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_beside_bob(ground, &url).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        server.answers_with([ok(&answer(&request, "approve"))]);
        deliver_all(ground, &deliverer).await;
        assert_eq!(explained(ground, &request).await, here(Some(ProgramSaid::Approved)));
        ground
            .write(async |tx| {
                let mut row = tx.find_request(&request.request.id).await.unwrap().unwrap();
                row.duration_sec = Some(1200);
                tx.update_request(&mut row).await.unwrap();
            })
            .await;
        assert_eq!(explained(ground, &request).await, here(Some(ProgramSaid::Nothing)));
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        let now = seen(ground, &request).await.request;
        assert_eq!(now.state, RequestState::Pending);
        assert!(now.state_reason.unwrap().contains("no decision came from 127.0.0.1"));
        assert!(ground.held().is_empty());
    }

    async fn a05_an_answer_about_less_than_is_asked_by_now_is_no_decision(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        let go = Arc::new(Notify::new());
        let body = answer(&request, "approve").to_string();
        let Answer::Says(yes) = Answer::status("200 OK", &body) else { panic!("it says so") };
        server.answers_with([Answer::Waits(go.clone(), yes)]);
        let meanwhile = async {
            wait_until("the call", Duration::from_secs(20), async || server.received().len() == 1)
                .await
                .unwrap();
            ground
                .write(async |tx| {
                    let mut row = tx.find_request(&request.request.id).await.unwrap().unwrap();
                    row.duration_sec = Some(1200);
                    tx.update_request(&mut row).await.unwrap();
                })
                .await;
            go.notify_one();
        };
        let deliverer = deliverer(ground);
        let (sent, ()) = tokio::join!(deliverer.deliver_due(), meanwhile);
        sent.unwrap();
        ground.settle().await;
        let now = seen(ground, &request).await;
        assert_eq!(now.request.state, RequestState::Pending);
        assert_eq!(now.program_answers[0].decision, None);
    }

    async fn beside_a_person_both_have_to_agree_in_either_order_and_one_may_shorten(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        asking_beside_bob(ground, &url).await;
        for program_first in [true, false] {
            let request = ground.ask(&["orders"], Some(600)).await;
            let id = request.request.id.as_str();
            server.answers_with([ok(&answer(&request, "approve"))]);
            if program_first {
                deliver_all(ground, &deliverer).await;
                ground.settle().await;
                assert_eq!(ground.state(&request).await, RequestState::Pending);
                assert!(ground.held().is_empty());
                approve_request(&ground.app, &ground.bob, id, None, Some(300)).await.unwrap();
            } else {
                approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
                ground.settle().await;
                assert_eq!(ground.state(&request).await, RequestState::Pending);
                deliver_all(ground, &deliverer).await;
            }
            ground.settle().await;
            assert_eq!(ground.state(&request).await, RequestState::Active, "{program_first}");
            revoke_request(&ground.app, &ground.ana, id).await.unwrap();
            ground.settle().await;
        }
        let approved = audited(ground, "access_request.approved").await;
        for by in approved {
            assert_eq!(by["approved_by"], json!([ground.bob.user.id]));
            assert_eq!(by["approved_by_programs"], json!(["127.0.0.1"]));
        }
    }

    async fn a06_a_program_that_the_flow_asks_no_more_grants_nothing(ground) {
        let (server, url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        let mut flow = asking_alone(ground, &url).await;
        let request = ground.ask(&["orders"], None).await;
        let policy = flow.policy.approver_policy.as_mut().unwrap();
        policy.approver_groups = vec![group(LogicalOperator::Or, vec![program_at("https://x.org/")])];
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        server.answers_with([ok(&answer(&request, "approve"))]);
        deliver_all(ground, &deliverer).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        assert!(ground.held().is_empty());
    }

    async fn where_no_program_decides_the_next_tier_is_told_and_its_program_is_asked(ground) {
        let (server, url) = program().await;
        let (second, second_url) = program().await;
        list_this_machine(ground).await;
        let deliverer = deliverer(ground);
        let mut flow = asking_alone(ground, &url).await;
        let tier = vec![program_at(&second_url), is_user(&ground.cleo.user)];
        flow.policy.escalation_policy = Some(EscalationPolicy {
            interval_in_min: 600,
            approver_groups: vec![group(LogicalOperator::And, tier)],
        });
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(request.request.escalations, []);
        server.answers_with([ok(&answer(&request, "none"))]);
        second.answers_with([ok(&answer(&request, "approve"))]);
        deliverer.deliver_due().await.unwrap();
        assert_eq!(seen(ground, &request).await.request.escalations.len(), 1, "told at once");
        deliver_all(ground, &deliverer).await;
        assert_eq!((server.connections(), second.connections()), (1, 1));
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        let page = PageRequest::default();
        let tasks = list_my_tasks(&ground.app, &ground.cleo, &page).await.unwrap();
        assert_eq!(tasks.items.len(), 1);
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let escalated = audited(ground, "access_request.escalated").await;
        assert_eq!(escalated.len(), 1);
        assert_eq!(escalated[0]["programs_asked"], json!(["127.0.0.1"]));
    }
}
