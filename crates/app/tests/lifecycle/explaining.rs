//! What a request would come to, and why a stored one stands as it does.

use jiff::SignedDuration;
use latchkey_app::{
    Actor,
    requests::{
        FlowNow, RequestAccess, approve_request, dry_run_request, explain_own_request,
        explain_request, request_access, request_again,
    },
    settings::set_setting,
};
use latchkey_domain::{
    Clock,
    flow::{
        AccessFlow, ApproverGroup, DayOfWeek, EscalationPolicy, FlowPolicy, LogicalOperator,
        Timeframe,
    },
    people::User,
    policy::explanation::{Advantage, Reason},
    request::RequestState,
};
use serde_json::json;

use crate::{
    ground::{Ground, is_user},
    on_both_databases,
};

/// Asks for the orders.
fn orders(ground: &Ground) -> RequestAccess {
    RequestAccess {
        entitlements: vec![ground.entitlement("orders")],
        justification: Some("to test".to_owned()),
        ..RequestAccess::default()
    }
}

/// A flow like the usual one, changed.
async fn other(
    ground: &Ground,
    name: &str,
    approvers: &[&Actor],
    change: impl FnOnce(&mut FlowPolicy),
) -> AccessFlow {
    let mut flow = ground.flow(name, Some(60), approvers).await;
    change(&mut flow.policy);
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

/// From nine to five on Mondays, and Fridays.
fn office() -> Timeframe {
    Timeframe {
        start_time: "09:00".to_owned(),
        end_time: "17:00".to_owned(),
        days_of_week: vec![DayOfWeek::Monday, DayOfWeek::Friday],
        time_zone: "UTC".to_owned(),
    }
}

async fn set(ground: &Ground, key: &str, value: serde_json::Value) {
    set_setting(&ground.app, &Actor::command_line(), key, value).await.unwrap();
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.email.as_str()).collect()
}

on_both_databases! {
    async fn a_dry_run_says_who_is_asked_now_and_who_later(ground) {
        other(ground, "read", &[&ground.bob], |policy| {
            policy.escalation_policy = Some(EscalationPolicy {
                interval_in_min: 10,
                approver_groups: vec![ApproverGroup {
                    logical_operator: LogicalOperator::Or,
                    approvers: vec![is_user(&ground.cleo.user)],
                }],
            });
        })
        .await;
        let run = dry_run_request(&ground.app, &ground.ana, orders(ground)).await.unwrap();
        let part = &run.parts[0];
        assert!(run.refusal.is_none() && part.needs_approval && part.trouble.is_none());
        assert_eq!(names(&part.asked), ["bob@example.com"]);
        assert_eq!(part.tiers.len(), 1);
        assert_eq!(names(&part.tiers[0].asked), ["cleo@example.com"]);
        assert_eq!(part.tiers[0].at, ground.clock.now() + SignedDuration::from_mins(10));
        assert_eq!(part.ends_at, Some(ground.clock.now() + SignedDuration::from_mins(60)));
    }

    async fn a_dry_run_says_that_nobody_could_approve(ground) {
        ground.flow("read", Some(60), &[&ground.ana]).await;
        let run = dry_run_request(&ground.app, &ground.ana, orders(ground)).await.unwrap();
        assert!(run.parts[0].asked.is_empty());
        assert!(run.parts[0].trouble.as_deref().unwrap().contains("nobody may decide"));
    }

    async fn a_dry_run_says_when_the_timeframe_closes_and_opens(ground) {
        other(ground, "office", &[], |policy| policy.timeframe = Some(office())).await;
        // A Monday, at half past four.
        ground.set_clock("2026-03-02T16:30:00Z".parse().unwrap()).await;
        let run = dry_run_request(&ground.app, &ground.ana, orders(ground)).await.unwrap();
        let window = run.parts[0].window.unwrap();
        assert_eq!(window.closes_at, "2026-03-02T17:00:00Z".parse().unwrap());
        assert_eq!(window.next_opening, Some("2026-03-06T09:00:00Z".parse().unwrap()));
        assert_eq!(run.parts[0].ends_at, Some(window.closes_at), "cut by the timeframe");
        ground.set_clock("2026-03-02T17:00:00Z".parse().unwrap()).await;
        let run = dry_run_request(&ground.app, &ground.ana, orders(ground)).await.unwrap();
        assert!(run.parts.is_empty());
        assert_eq!(run.refused.len(), 1);
        let reason = &run.explanations[0].passed_over[0].reason;
        assert_eq!(reason.code(), "Closed");
        assert_eq!(reason.next_opening(), window.next_opening);
    }

    async fn only_who_may_see_all_flows_is_told_of_those_that_are_not_for_them(ground) {
        ground.flow("read", Some(60), &[]).await;
        let bobs = vec![is_user(&ground.bob.user)];
        other(ground, "for bob", &[], |policy| policy.requestors.conditions = bobs).await;
        let run = dry_run_request(&ground.app, &ground.ana, orders(ground)).await.unwrap();
        assert!(run.explanations[0].passed_over.is_empty());
        let mut viewer = ground.ana.clone();
        viewer.user.roles.insert(latchkey_domain::people::Role::Viewer);
        let run = dry_run_request(&ground.app, &viewer, orders(ground)).await.unwrap();
        assert_eq!(run.explanations[0].passed_over[0].reason, Reason::Requestor);
    }

    async fn what_the_form_asks_has_to_be_answered(ground) {
        ground.flow("read", Some(60), &[]).await;
        let fields = json!([
            {"id": "ticket", "type": "TEXT", "label": "Ticket", "required": true},
            {"id": "kind", "type": "SELECT", "label": "Kind", "values": [
                {"key": "fix", "value": "A fix"}, {"key": "look", "value": "A look"},
            ]},
        ]);
        set(ground, "request_custom_fields", fields).await;
        let mut command = orders(ground);
        command.custom_fields.insert("kind".to_owned(), "party".to_owned());
        let run = dry_run_request(&ground.app, &ground.ana, command.clone()).await.unwrap();
        let missing: Vec<&str> = run.missing.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(missing, ["custom_fields.ticket", "custom_fields.kind"]);
        let refused = request_access(&ground.app, &ground.ana, command.clone()).await.unwrap_err();
        assert_eq!(refused.errors, run.missing, "filing refuses what the dry-run names");
        for (key, value) in [("kind", "look"), ("ticket", "  "), ("more", "is kept")] {
            command.custom_fields.insert(key.to_owned(), value.to_owned());
        }
        let blank = request_access(&ground.app, &ground.ana, command.clone()).await.unwrap_err();
        assert_eq!(blank.errors[0].field, "custom_fields.ticket");
        command.custom_fields.insert("ticket".to_owned(), "OPS-1".to_owned());
        let filed = request_access(&ground.app, &ground.ana, command).await.unwrap();
        assert_eq!(filed[0].request.custom_fields.len(), 3);
        ground.pass(3600).await;
        ground.settle().await;
        let id = filed[0].request.id.as_str();
        let again =
            request_again(&ground.app, &ground.ana, id, None, std::collections::BTreeMap::new());
        assert_eq!(again.await.unwrap_err().errors[0].field, "custom_fields.ticket");
    }

    async fn a_justification_that_is_required_holds_the_pattern(ground) {
        ground.flow("free", Some(30), &[]).await;
        other(ground, "strict", &[], |policy| policy.settings.justification_required = true).await;
        set(ground, "justification_pattern", json!("\\bOPS-[0-9]+\\b")).await;
        set(ground, "justification_hint", json!("Name the ticket, such as OPS-12.")).await;
        let mut command = orders(ground);
        command.duration_sec = Some(3600);
        let run = dry_run_request(&ground.app, &ground.ana, command.clone()).await.unwrap();
        assert_eq!(run.missing[0].field, "justification");
        assert_eq!(run.missing[0].message, "Name the ticket, such as OPS-12.");
        let refused = request_access(&ground.app, &ground.ana, command.clone()).await.unwrap_err();
        assert_eq!((refused.code, &refused.errors), ("JustificationRequired", &run.missing));
        command.justification = Some("for OPS-12, see there".to_owned());
        request_access(&ground.app, &ground.ana, command.clone()).await.unwrap();
        command.duration_sec = Some(600);
        command.justification = None;
        let run = dry_run_request(&ground.app, &ground.ana, command).await.unwrap();
        assert_eq!(run.parts[0].flow_name, "strict", "the longer one comes first");
    }

    async fn a_stored_request_says_why_it_stands_as_it_does(ground) {
        let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
        let mut slow = ground.flow("slow", Some(30), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let why = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
        assert_eq!(why.flow_now, FlowNow::Same);
        assert_eq!(why.no_longer_allowed, None);
        assert_eq!(names(&why.waiting.as_ref().unwrap().asked), ["bob@example.com"]);
        assert_eq!(why.ends_at, Some(ground.clock.now() + SignedDuration::from_mins(60)));
        let explanation = why.entitlements[0].explanation.as_ref().unwrap();
        assert_eq!(explanation.chosen.as_ref().unwrap().flow_name, "read");
        assert_eq!(explanation.passed_over[0].reason, Reason::Outranked(Advantage::LongerGrant));

        // The flow is tightened: the request would be cancelled, and another flow would do.
        flow.policy.requestors.conditions = vec![is_user(&ground.cleo.user)];
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let why = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
        assert_eq!(why.flow_now, FlowNow::Changed(2));
        assert!(why.no_longer_allowed.unwrap().contains("no longer meets"));
        let explanation = why.entitlements[0].explanation.as_ref().unwrap();
        assert_eq!(explanation.chosen.as_ref().unwrap().flow_name, "slow");
        assert!(explanation.passed_over.is_empty(), "it is not ana's any more");
        let whole = explain_request(&ground.app, &Actor::command_line(), id).await.unwrap();
        let passed = &whole.entitlements[0].explanation.as_ref().unwrap().passed_over;
        assert_eq!(passed[0].reason, Reason::Requestor);

        slow.active = false;
        ground.write(async |tx| tx.update_flow(&mut slow).await.unwrap()).await;
        let why = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
        assert!(why.entitlements[0].refusal.is_some());
        let unseen = explain_own_request(&ground.app, &ground.cleo, id).await.unwrap_err();
        assert_eq!(unseen.code, "NotFound");
    }

    async fn a_request_that_runs_says_when_it_ends_and_waits_for_nobody(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let why = explain_own_request(&ground.app, &ground.ana, id).await.unwrap();
        assert!(why.waiting.is_none());
        assert_eq!(why.ends_at, Some(ground.clock.now() + SignedDuration::from_secs(600)));
    }
}
