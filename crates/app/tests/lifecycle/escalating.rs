//! Tiers of approvers: told one after the other, or at once where nobody else is left.

use jiff::SignedDuration;
use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    jobs::ESCALATE,
    requests::{RequestView, approve_request, get_client_request, list_my_tasks, reject_request},
};
use latchkey_domain::{
    Clock,
    flow::{AccessFlow, ApproverGroup, EscalationPolicy, LogicalOperator},
    request::RequestState,
};
use latchkey_store::NewJob;
use serde_json::json;

use crate::{
    ground::{Ground, is_user},
    on_both_databases,
};

/// A flow that asks the first of these, and every ten minutes the next.
async fn escalating(ground: &Ground, people: &[&Actor]) -> AccessFlow {
    let mut flow = ground.flow("read", Some(60), &people[..1]).await;
    let tier = |actor: &&Actor| ApproverGroup {
        logical_operator: LogicalOperator::Or,
        approvers: vec![is_user(&actor.user)],
    };
    flow.policy.escalation_policy = Some(EscalationPolicy {
        interval_in_min: 10,
        approver_groups: people[1..].iter().map(tier).collect(),
    });
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

async fn has_task(ground: &Ground, actor: &Actor) -> bool {
    let page = PageRequest::default();
    !list_my_tasks(&ground.app, actor, &page).await.unwrap().items.is_empty()
}

async fn seen(ground: &Ground, request: &RequestView) -> RequestView {
    let id = request.request.id.as_str();
    get_client_request(&ground.app, &ground.ana, id).await.unwrap()
}

on_both_databases! {
    async fn the_next_tier_is_told_after_the_interval_and_not_before(ground) {
        escalating(ground, &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        ground.pass(599).await;
        ground.settle().await;
        assert!(!has_task(ground, &ground.cleo).await);
        let early = approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap_err();
        assert_eq!(early.kind, ErrorKind::NotFound, "a tier that was not told has no say");
        ground.pass(1).await;
        ground.settle().await;
        assert!(has_task(ground, &ground.cleo).await);
        assert!(has_task(ground, &ground.bob).await, "who was told before may still decide");
        let now = seen(ground, &request).await;
        assert_eq!(now.request.escalations, [ground.clock.now()]);
        assert_eq!(now.asked_in_tier.get(&ground.cleo.user.id), Some(&1));
        assert_eq!(now.asked_in_tier.get(&ground.bob.user.id), None);
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn the_first_approvers_and_a_no_of_any_tier_still_count(ground) {
        escalating(ground, &[&ground.bob, &ground.cleo]).await;
        let approved = ground.ask(&["orders"], None).await;
        let rejected = ground.ask(&["customers"], None).await;
        ground.pass(600).await;
        ground.settle().await;
        let id = approved.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        let id = rejected.request.id.as_str();
        reject_request(&ground.app, &ground.cleo, id, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&approved).await, RequestState::Active);
        assert_eq!(ground.state(&rejected).await, RequestState::Rejected);
    }

    async fn a04_a_group_that_the_self_rule_empties_escalates_at_once(ground) {
        escalating(ground, &[&ground.ana, &ground.ana, &ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(request.request.state, RequestState::Pending);
        assert_eq!(request.request.escalations.len(), 2, "the first tier is Ana again");
        assert!(has_task(ground, &ground.bob).await);
        assert!(!has_task(ground, &ground.cleo).await);
        assert!(!has_task(ground, &ground.ana).await);
        ground.pass(600).await;
        ground.settle().await;
        assert!(has_task(ground, &ground.cleo).await, "the third tier comes in its time");
    }

    async fn where_no_tier_is_left_the_request_says_that_nobody_may_decide(ground) {
        escalating(ground, &[&ground.ana, &ground.ana]).await;
        let request = ground.ask(&["orders"], None).await;
        assert!(request.request.state_reason.unwrap().contains("nobody may decide"));
        ground.pass(86_400).await;
        ground.settle().await;
        let id = request.request.id.as_str();
        let late = get_client_request(&ground.app, &ground.ana, id).await.unwrap();
        assert_eq!(late.request.state, RequestState::Cancelled);
    }

    async fn a_timer_that_runs_twice_tells_one_tier(ground) {
        escalating(ground, &[&ground.bob, &ground.bob, &ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.pass(600).await;
        ground.settle().await;
        let again = NewJob {
            kind: ESCALATE,
            dedupe_key: None,
            payload: json!({ "request_id": request.request.id, "tier": 1 }),
            run_at: ground.clock.now(),
        };
        ground.write(async |tx| tx.enqueue_job(&again).await.unwrap()).await;
        ground.settle().await;
        assert_eq!(seen(ground, &request).await.request.escalations.len(), 1);
        ground.set_clock(ground.clock.now() + SignedDuration::from_hours(3)).await;
        ground.settle().await;
        let told = seen(ground, &request).await.request.escalations;
        assert_eq!(told.len(), 2, "late timers do not tell several tiers in one moment");
    }

    async fn what_is_decided_escalates_no_more(ground) {
        escalating(ground, &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        reject_request(&ground.app, &ground.bob, id, None).await.unwrap();
        ground.pass(600).await;
        ground.settle().await;
        assert_eq!(seen(ground, &request).await.request.escalations, []);
    }

    async fn a06_a_tier_that_the_flow_has_no_more_grants_nothing(ground) {
        let mut flow = escalating(ground, &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.pass(600).await;
        ground.settle().await;
        flow.policy.escalation_policy = None;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        ground.settle().await;
        assert!(ground.held().is_empty());
    }
}
