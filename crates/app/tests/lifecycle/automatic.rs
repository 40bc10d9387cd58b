//! Access that follows the conditions of automatic flows.

use latchkey_app::{
    Actor, PageRequest,
    automatic::{Passed, confirm_automatic, follow_conditions, get_automatic},
    groups::{CreateGroup, add_group_member, create_group, remove_group_member},
    requests::{MyRequestsQuery, list_my_requests, revoke_request},
    settings::set_setting,
    users::{CreateUser, create_user, disable_user},
};
use latchkey_domain::{
    flow::{
        AccessFlow, ApprovalMode, ApproverGroup, ApproverPolicy, Condition, DayOfWeek, FlowTarget,
        FlowTrigger, LogicalOperator, ResourceScope, ResourceScopeType, ScopeMode, Timeframe,
    },
    ids::GroupId,
    request::RequestState,
};
use serde_json::json;

use crate::{
    ground::{Ground, Mood, is_user},
    on_both_databases,
};

async fn group(ground: &Ground, name: &str) -> GroupId {
    let command = CreateGroup { name: name.to_owned(), ..CreateGroup::default() };
    create_group(&ground.app, &Actor::command_line(), command).await.unwrap().group.id
}

/// A flow that gives the tables to a group, whoever asks for nothing.
async fn automatic(ground: &Ground, group: &GroupId) -> AccessFlow {
    let mut flow = ground.flow("on call", Some(60), &[&ground.bob]).await;
    flow.policy.trigger = FlowTrigger::Automatic;
    flow.policy.requestors.conditions = vec![Condition {
        source_integration_id: None,
        attribute_type: "group".to_owned(),
        match_operator: None,
        values: Some(vec![group.to_string()]),
        pinned_ids: vec![Some(group.to_string())],
    }];
    // All of this is for requests, and counts for nothing here.
    flow.policy.timeframe = Some(Timeframe {
        start_time: "01:00".to_owned(),
        end_time: "01:01".to_owned(),
        days_of_week: vec![DayOfWeek::Sunday],
        time_zone: "UTC".to_owned(),
    });
    flow.policy.settings.require_mfa = true;
    save(ground, &mut flow).await;
    flow
}

async fn save(ground: &Ground, flow: &mut AccessFlow) {
    ground.write(async |tx| tx.update_flow(flow).await.unwrap()).await;
}

async fn join(ground: &Ground, group: &GroupId, actor: &Actor) {
    let email = actor.user.email.as_str();
    add_group_member(&ground.app, &Actor::command_line(), group, email).await.unwrap();
}

async fn leave(ground: &Ground, group: &GroupId, actor: &Actor) {
    let email = actor.user.email.as_str();
    remove_group_member(&ground.app, &Actor::command_line(), group, email).await.unwrap();
}

async fn pass(ground: &mut Ground) -> Passed {
    let passed = follow_conditions(&ground.app).await.unwrap();
    ground.settle().await;
    passed
}

/// The states of what Ana has, oldest first.
async fn states(ground: &Ground) -> Vec<RequestState> {
    let query = MyRequestsQuery::default();
    let page = PageRequest::default();
    let page = list_my_requests(&ground.app, &ground.ana, &query, &page).await.unwrap();
    page.items.into_iter().map(|one| one.request.state).collect()
}

on_both_databases! {
    async fn who_joins_has_it_and_who_leaves_has_it_no_more(ground) {
        let team = group(ground, "team").await;
        automatic(ground, &team).await;
        assert_eq!(pass(ground).await, Passed::default());
        join(ground, &team, &ground.ana).await;
        assert_eq!(pass(ground).await, Passed { given: 1, ..Passed::default() });
        assert_eq!(ground.held().len(), 3);
        assert_eq!(states(ground).await, [RequestState::Active]);
        assert_eq!(pass(ground).await, Passed::default(), "once is enough");
        ground.pass(7200).await;
        ground.settle().await;
        assert_eq!(ground.held().len(), 3, "it has no end");
        leave(ground, &team, &ground.ana).await;
        assert_eq!(pass(ground).await, Passed { taken: 1, ..Passed::default() });
        assert!(ground.held().is_empty());
        assert_eq!(states(ground).await, [RequestState::Revoked]);
    }

    async fn nobody_may_ask_by_it_and_nobody_may_end_it_by_hand(ground) {
        let team = group(ground, "team").await;
        automatic(ground, &team).await;
        join(ground, &team, &ground.ana).await;
        pass(ground).await;
        let query = MyRequestsQuery::default();
        let page = PageRequest::default();
        let page = list_my_requests(&ground.app, &ground.ana, &query, &page).await.unwrap();
        let id = page.items[0].request.id.to_string();
        let refused = revoke_request(&ground.app, &ground.ana, &id).await.unwrap_err();
        assert_eq!(refused.code, "Conflict");
        assert!(refused.message.contains("on call"), "{}", refused.message);
        let command = latchkey_app::requests::RequestAccess {
            entitlements: vec![ground.entitlement("orders")],
            ..Default::default()
        };
        let refused = latchkey_app::requests::request_access(&ground.app, &ground.ana, command);
        assert_eq!(refused.await.unwrap_err().code, "NoMatchingFlow");
    }

    async fn what_stays_wanted_is_never_gone_in_between(ground) {
        let team = group(ground, "team").await;
        let mut flow = automatic(ground, &team).await;
        join(ground, &team, &ground.ana).await;
        pass(ground).await;
        let principals: Vec<String> = ground.target.keys().cloned().collect();
        let only = |tables: &[&str]| ResourceScope {
            scope_mode: ScopeMode::IncludeResources,
            scope_type: ResourceScopeType::Name,
            key: None,
            values: tables.iter().map(|table| (*table).to_owned()).collect(),
        };
        let narrow = |flow: &mut AccessFlow, tables: &[&str]| {
            let FlowTarget::Integration(target) = &mut flow.policy.access_targets[0] else {
                panic!("another target")
            };
            target.resources_scopes = Some(vec![only(tables)]);
        };
        narrow(&mut flow, &["orders", "customers"]);
        save(ground, &mut flow).await;
        assert_eq!(pass(ground).await.taken, 1);
        assert_eq!(ground.held().into_iter().collect::<Vec<_>>(), ["customers", "orders"]);
        narrow(&mut flow, &["orders", "customers", "invoices"]);
        save(ground, &mut flow).await;
        assert_eq!(pass(ground).await.given, 1);
        assert_eq!(ground.held().len(), 3);
        let now: Vec<String> = ground.target.keys().cloned().collect();
        assert_eq!(now, principals, "the same session all along");
    }

    async fn a_flow_that_asks_people_again_takes_what_it_gave_by_itself(ground) {
        let team = group(ground, "team").await;
        let mut flow = automatic(ground, &team).await;
        join(ground, &team, &ground.ana).await;
        pass(ground).await;
        flow.active = false;
        save(ground, &mut flow).await;
        assert_eq!(pass(ground).await, Passed::default(), "live access stays");
        join(ground, &team, &ground.bob).await;
        assert_eq!(pass(ground).await, Passed::default(), "and nobody gets it");
        flow.active = true;
        flow.policy.trigger = FlowTrigger::SelfServe;
        save(ground, &mut flow).await;
        assert_eq!(pass(ground).await.taken, 1);
        assert!(ground.held().is_empty());
    }

    async fn large_changes_are_held_back_until_somebody_confirms_them(ground) {
        let shell = Actor::command_line();
        set_setting(&ground.app, &shell, "automatic_change_limit", json!(2)).await.unwrap();
        let team = group(ground, "team").await;
        let flow = automatic(ground, &team).await;
        for actor in [&ground.ana, &ground.bob, &ground.cleo] {
            join(ground, &team, actor).await;
        }
        assert_eq!(pass(ground).await, Passed { held_back: 1, ..Passed::default() });
        assert!(ground.held().is_empty());
        let standing = get_automatic(&ground.app, &shell, &flow.id).await.unwrap();
        assert_eq!(standing.held_back.unwrap().gaining, 3);
        assert_eq!(pass(ground).await.held_back, 1, "still");

        // One more has come since: that was not what was confirmed.
        confirm_automatic(&ground.app, &shell, &flow.id).await.unwrap();
        let dora = CreateUser {
            email: "dora@example.com".to_owned(),
            first_name: "Dora".to_owned(),
            ..CreateUser::default()
        };
        create_user(&ground.app, &shell, dora).await.unwrap();
        add_group_member(&ground.app, &shell, &team, "dora@example.com").await.unwrap();
        assert_eq!(pass(ground).await.held_back, 1);
        confirm_automatic(&ground.app, &shell, &flow.id).await.unwrap();
        assert_eq!(pass(ground).await, Passed { given: 4, ..Passed::default() });
        let again = confirm_automatic(&ground.app, &shell, &flow.id).await.unwrap_err();
        assert_eq!(again.code, "Conflict", "nothing is held back any more");

        // A broken sync takes everybody out of the group.
        for email in ["ana", "bob", "cleo", "dora"].map(|name| format!("{name}@example.com")) {
            remove_group_member(&ground.app, &shell, &team, &email).await.unwrap();
        }
        assert_eq!(pass(ground).await, Passed { held_back: 1, ..Passed::default() });
        assert_eq!(get_automatic(&ground.app, &shell, &flow.id).await.unwrap().people, 4);
        for email in ["ana", "bob", "cleo", "dora"].map(|name| format!("{name}@example.com")) {
            add_group_member(&ground.app, &shell, &team, &email).await.unwrap();
        }
        assert_eq!(pass(ground).await, Passed::default(), "mended in time");
        let standing = get_automatic(&ground.app, &shell, &flow.id).await.unwrap();
        assert_eq!(standing.held_back, None);
        leave(ground, &team, &ground.ana).await;
        assert_eq!(pass(ground).await.taken, 1);

        // Who is switched off waits for nothing.
        disable_user(&ground.app, &shell, &ground.bob.user.email).await.unwrap();
        ground.settle().await;
        let standing = get_automatic(&ground.app, &shell, &flow.id).await.unwrap();
        assert_eq!(standing.people, 2);
        for email in ["cleo", "dora"].map(|name| format!("{name}@example.com")) {
            disable_user(&ground.app, &shell, &email).await.unwrap();
        }
        ground.settle().await;
    }

    async fn what_the_target_refuses_is_not_tried_all_the_time(ground) {
        let team = group(ground, "team").await;
        let mut flow = automatic(ground, &team).await;
        flow.policy.access_targets.truncate(1);
        save(ground, &mut flow).await;
        let FlowTarget::Integration(target) = &mut flow.policy.access_targets[0] else {
            panic!("another target")
        };
        target.resources_scopes = Some(vec![ResourceScope {
            scope_mode: ScopeMode::IncludeResources,
            scope_type: ResourceScopeType::Name,
            key: None,
            values: vec!["orders".to_owned()],
        }]);
        save(ground, &mut flow).await;
        join(ground, &team, &ground.ana).await;
        ground.mood = Mood::Refuses("orders");
        pass(ground).await;
        assert_eq!(states(ground).await, [RequestState::Failed]);
        pass(ground).await;
        assert_eq!(states(ground).await.len(), 1);
        ground.mood = Mood::Works;
        ground.pass(901).await;
        pass(ground).await;
        assert_eq!(states(ground).await, [RequestState::Failed, RequestState::Active]);
        leave(ground, &team, &ground.ana).await;
        pass(ground).await;
    }

    async fn approvers_of_an_automatic_flow_are_asked_nothing(ground) {
        let team = group(ground, "team").await;
        let mut flow = automatic(ground, &team).await;
        flow.policy.approver_policy = Some(ApproverPolicy {
            approval_mode: ApprovalMode::AllOf,
            approver_groups: vec![ApproverGroup {
                logical_operator: LogicalOperator::Or,
                approvers: vec![is_user(&ground.cleo.user)],
            }],
        });
        save(ground, &mut flow).await;
        join(ground, &team, &ground.ana).await;
        pass(ground).await;
        assert_eq!(states(ground).await, [RequestState::Active]);
        leave(ground, &team, &ground.ana).await;
        pass(ground).await;
    }
}
