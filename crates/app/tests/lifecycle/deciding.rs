//! Decisions: who may make them, what they are bound to, and in which order they may come.

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    groups::{CreateGroup, create_group},
    nested_groups::{add_child_group, remove_child_group},
    requests::{approve_request, list_my_tasks, reject_request, revoke_request},
};
use latchkey_domain::{
    flow::{Condition, LogicalOperator},
    people::UserStatus,
    request::RequestState,
};

use crate::{ground::is_user, on_both_databases};

on_both_databases! {
    async fn a_request_waits_for_its_approver_and_is_then_granted(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        ground.settle().await;
        assert!(ground.held().is_empty(), "no access before a decision");
        let page = PageRequest::default();
        let tasks = list_my_tasks(&ground.app, &ground.bob, &page).await.unwrap();
        assert_eq!(tasks.items.len(), 1);
        assert!(tasks.items[0].can_decide);
        let none = list_my_tasks(&ground.app, &ground.cleo, &page).await.unwrap();
        assert!(none.items.is_empty());
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn a04_nobody_decides_about_their_own_request_and_strangers_do_not_see_it(ground) {
        ground.flow("read", Some(60), &[&ground.ana, &ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let own = approve_request(&ground.app, &ground.ana, id, None, None).await.unwrap_err();
        assert_eq!(own.code, "SelfApproval");
        let stranger = approve_request(&ground.app, &ground.cleo, id, None, None).await;
        assert_eq!(stranger.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(ground.state(&request).await, RequestState::Pending);
    }

    async fn a04_who_is_an_approver_by_a_group_within_a_group_decides_for_others_only(ground) {
        let (app, office) = (&ground.app, Actor::command_line());
        let mut made = Vec::new();
        for (name, members) in [("leads", vec![]), ("team", vec![&ground.ana, &ground.bob])] {
            let members_emails = members.iter().map(|one| one.user.email.clone()).collect();
            let name = name.to_owned();
            let command = CreateGroup { name, members_emails, ..CreateGroup::default() };
            made.push(create_group(app, &office, command).await.unwrap().group.id);
        }
        add_child_group(app, &office, &made[0], &made[1]).await.unwrap();
        let mut flow = ground.flow("read", Some(60), &[&ground.cleo]).await;
        let approvers = flow.policy.approver_policy.as_mut().unwrap();
        approvers.approver_groups[0].approvers = vec![Condition {
            attribute_type: "group".to_owned(),
            values: Some(vec!["leads".to_owned()]),
            pinned_ids: vec![Some(made[0].to_string())],
            ..is_user(&ground.ana.user)
        }];
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let own = approve_request(app, &ground.ana, id, None, None).await.unwrap_err();
        assert_eq!(own.code, "SelfApproval");
        let page = PageRequest::default();
        assert_eq!(list_my_tasks(app, &ground.bob, &page).await.unwrap().items.len(), 1);
        remove_child_group(app, &office, &made[0], &made[1]).await.unwrap();
        let no_more = approve_request(app, &ground.bob, id, None, None).await;
        assert_eq!(no_more.unwrap_err().kind, ErrorKind::NotFound);
        add_child_group(app, &office, &made[0], &made[1]).await.unwrap();
        approve_request(app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn a08_a_decision_counts_once_and_never_after_the_end(ground) {
        ground.flow("read", Some(60), &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        for late in [
            approve_request(&ground.app, &ground.bob, id, None, None).await,
            approve_request(&ground.app, &ground.cleo, id, None, None).await,
            reject_request(&ground.app, &ground.cleo, id, None).await,
        ] {
            assert_eq!(late.unwrap_err().kind, ErrorKind::Conflict);
        }
        ground.settle().await;
        assert_eq!(ground.held().len(), 1, "granted once");

        let cancelled = ground.ask(&["customers"], None).await;
        let id = cancelled.request.id.as_str();
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        let late = approve_request(&ground.app, &ground.bob, id, None, None).await;
        assert_eq!(late.unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(ground.state(&cancelled).await, RequestState::Cancelled);
    }

    async fn a08_an_approval_after_the_request_has_expired_is_refused(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.pass(86_400).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        let id = request.request.id.as_str();
        let late = approve_request(&ground.app, &ground.bob, id, None, None).await;
        assert_eq!(late.unwrap_err().kind, ErrorKind::Conflict);
    }

    async fn one_rejection_ends_it(ground) {
        ground.flow("read", Some(60), &[&ground.bob, &ground.cleo]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        reject_request(&ground.app, &ground.cleo, id, Some("not now".to_owned())).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Rejected);
    }

    async fn a05_a_flow_tightened_after_an_approval_cancels_the_request(ground) {
        let mut flow = ground.flow("read", Some(60), &[&ground.bob, &ground.cleo]).await;
        let policy = flow.policy.approver_policy.as_mut().unwrap();
        policy.approver_groups[0].logical_operator = LogicalOperator::And;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        flow.policy.grant_duration_in_min = Some(1);
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        ground.settle().await;
        assert!(ground.held().is_empty());
    }

    async fn a06_a_grantee_disabled_between_filing_and_approval_gets_nothing(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], None).await;
        let mut user = ground.ana.user.clone();
        user.status = UserStatus::Disabled;
        ground.write(async |tx| tx.update_user(&user).await.unwrap()).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
    }

    async fn an_approver_may_shorten_and_never_lengthen(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        let id = request.request.id.as_str();
        let longer = approve_request(&ground.app, &ground.bob, id, None, Some(601)).await;
        assert_eq!(longer.unwrap_err().kind, ErrorKind::Invalid);
        approve_request(&ground.app, &ground.bob, id, None, Some(60)).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        ground.pass(60).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
    }

    async fn a_flow_that_names_nobody_else_leaves_the_request_pending_and_says_so(ground) {
        let mut flow = ground.flow("read", Some(60), &[&ground.ana]).await;
        flow.policy.approver_policy.as_mut().unwrap().approver_groups[0].approvers =
            vec![is_user(&ground.ana.user)];
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.state(&request).await, RequestState::Pending);
        assert!(request.request.state_reason.unwrap().contains("nobody may decide"));
    }
}
