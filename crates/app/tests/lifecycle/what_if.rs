//! What a change of policy would do, tried before it is saved.

use latchkey_app::{
    Actor,
    access_scopes::{AccessScopeCommand, create_access_scope},
    bundles::{BundleCommand, BundleTargetInput, create_bundle},
    flows::{
        ApproverGroupInput, ApproverPolicyInput, ConditionInput, ConditionSetInput, FlowCommand,
        IntegrationTargetInput, TargetInput, create_flow, get_flow,
    },
    requests::approve_request,
    what_if::{Consequences, Effect, Outcome, PolicyChange, SubjectKind, WhatIf, what_if},
};
use latchkey_domain::{
    flow::{ApprovalMode, FlowSettings, FlowTrigger, LogicalOperator},
    request::RequestState,
};

use crate::{
    ground::{Ground, PERMISSION},
    on_both_databases,
};

fn user(actor: &Actor) -> ConditionInput {
    ConditionInput {
        source_integration_reference: None,
        attribute_type: "user".to_owned(),
        match_operator: None,
        values: Some(vec![actor.user.email.clone()]),
    }
}

fn people(actors: &[&Actor]) -> ConditionSetInput {
    ConditionSetInput {
        logical_operator: LogicalOperator::Or,
        conditions: actors.iter().map(|actor| user(actor)).collect(),
    }
}

fn part() -> IntegrationTargetInput {
    IntegrationTargetInput {
        integration_reference: "shop".to_owned(),
        resource_type: "postgresql-table".to_owned(),
        permissions: vec![PERMISSION.to_owned()],
        resources_scopes: None,
    }
}

/// A flow by which these people may read the tables for an hour.
fn readers(requestors: &[&Actor], approvers: &[&Actor]) -> FlowCommand {
    FlowCommand {
        name: "read".to_owned(),
        description: None,
        active: true,
        trigger: FlowTrigger::SelfServe,
        requestors: people(requestors),
        request_for: None,
        request_for_others: false,
        access_targets: vec![TargetInput::Integration(part())],
        approver_policy: (!approvers.is_empty()).then(|| ApproverPolicyInput {
            approval_mode: ApprovalMode::AnyOf,
            approver_groups: vec![ApproverGroupInput {
                logical_operator: LogicalOperator::Or,
                approvers: approvers.iter().map(|actor| user(actor)).collect(),
            }],
        }),
        escalation_policy: None,
        grant_duration_in_min: Some(60),
        timeframe: None,
        settings: FlowSettings {
            justification_required: false,
            require_approver_reason: false,
            requestor_cannot_approve_himself: true,
            require_mfa: false,
            labels: Vec::new(),
            max_extensions: 0,
            extension_duration_in_min: 0,
            require_justification_on_request_again: false,
        },
    }
}

async fn try_change(ground: &Ground, change: PolicyChange) -> Consequences {
    let command = WhatIf { change, replay_days: 90, limit: 100 };
    what_if(&ground.app, &Actor::command_line(), command).await.unwrap()
}

async fn try_flow(ground: &Ground, command: FlowCommand) -> Consequences {
    try_change(ground, PolicyChange::Flow { id: None, command: Box::new(command) }).await
}

/// Name, gains and losses.
fn changes(told: &Consequences) -> Vec<(String, u64, u64)> {
    let people = told.people.people.iter();
    let mut changes: Vec<_> = people
        .map(|one| {
            let name = one.user.email.split('@').next().unwrap_or_default();
            (name.to_owned(), one.gains, one.loses)
        })
        .collect();
    changes.sort();
    changes
}

on_both_databases! {
    async fn a_new_flow_gives_and_nothing_is_stored(ground) {
        let told = try_flow(ground, readers(&[&ground.ana, &ground.bob], &[])).await;
        assert_eq!((told.subject.kind, &told.subject.id), (SubjectKind::Flow, &None));
        assert_eq!((told.people.gaining, told.people.losing), (2, 0));
        assert_eq!(changes(&told), [("ana".to_owned(), 3, 0), ("bob".to_owned(), 3, 0)]);
        assert_eq!(told.people.people[0].gained.len(), 3);
        assert_eq!(told.replay.requests, 0);
        let none = ground.write(async |tx| tx.find_flow_by_name("read").await.unwrap()).await;
        assert!(none.is_none(), "nothing is stored");
    }

    async fn who_has_it_by_another_flow_neither_gains_nor_loses(ground) {
        let shell = Actor::command_line();
        create_flow(&ground.app, &shell, readers(&[&ground.ana, &ground.bob], &[])).await.unwrap();
        let mut other = readers(&[&ground.ana], &[]);
        "other".clone_into(&mut other.name);
        create_flow(&ground.app, &shell, other).await.unwrap();
        let told = try_flow(ground, readers(&[&ground.cleo], &[])).await;
        assert!(told.subject.id.is_some(), "the one of the same name");
        assert_eq!(changes(&told), [("bob".to_owned(), 0, 3), ("cleo".to_owned(), 3, 0)]);
        let told = try_change(ground, PolicyChange::DeleteFlow("read".to_owned())).await;
        assert_eq!(told.subject.kind, SubjectKind::DeletedFlow);
        assert_eq!(changes(&told), [("bob".to_owned(), 0, 3)]);
    }

    async fn requests_under_way_are_named_with_what_becomes_of_them(ground) {
        let shell = Actor::command_line();
        let command = readers(&[&ground.ana], &[&ground.bob]);
        let flow = create_flow(&ground.app, &shell, command.clone()).await.unwrap();
        let running = ground.ask(&["orders"], None).await;
        let id = running.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        ground.pass(1).await;
        let waiting = ground.ask(&["customers"], None).await;
        let effects = |told: &Consequences| {
            let told = told.requests.requests.iter();
            told.map(|one| (one.seen.request.number, one.effect)).collect::<Vec<_>>()
        };
        let (live, pending) = (running.request.number, waiting.request.number);

        let same = try_flow(ground, command.clone()).await;
        assert!(effects(&same).is_empty() && same.requests.complete);

        let told = try_flow(ground, readers(&[&ground.cleo], &[&ground.bob])).await;
        let expected = [(pending, Effect::CancelledWhenDecided), (live, Effect::Kept)];
        assert_eq!(effects(&told), expected);
        assert_eq!((told.requests.pending, told.requests.live), (1, 1));

        let told = try_flow(ground, readers(&[&ground.ana], &[&ground.cleo])).await;
        assert_eq!(effects(&told), [(pending, Effect::AsksOthers)]);
        let mut program = readers(&[&ground.ana], &[&ground.bob]);
        program.approver_policy.as_mut().unwrap().approver_groups[0].approvers = vec![
            ConditionInput {
                attribute_type: "webhook".to_owned(),
                values: Some(vec!["https://approve.example.com/".to_owned()]),
                ..user(&ground.bob)
            },
        ];
        let told = try_flow(ground, program).await;
        assert_eq!(effects(&told), [(pending, Effect::AsksOthers)]);
        assert_eq!(told.people.losing, 0, "a flow that asks a program governs");

        let off = FlowCommand { active: false, ..command };
        let told = try_flow(ground, off).await;
        assert_eq!(effects(&told), [(pending, Effect::Cancelled), (live, Effect::Kept)]);

        let told = try_change(ground, PolicyChange::DeleteFlow(flow.flow.id.to_string())).await;
        assert_eq!(effects(&told), [(pending, Effect::Cancelled), (live, Effect::Revoked)]);
        assert_eq!(ground.state(&running).await, RequestState::Active, "nothing was done");
        get_flow(&ground.app, &shell, &flow.flow.id).await.unwrap();
    }

    async fn the_last_weeks_are_replayed(ground) {
        let shell = Actor::command_line();
        let open = readers(&[&ground.ana], &[]);
        create_flow(&ground.app, &shell, open.clone()).await.unwrap();
        let old = ground.ask(&["orders"], Some(60)).await;
        ground.pass(91 * 24 * 3600).await;
        ground.settle().await;
        assert_eq!(ground.state(&old).await, RequestState::Revoked);
        let long = ground.ask(&["orders", "customers"], Some(3600)).await;
        ground.ask(&["invoices"], Some(600)).await;

        let told = try_flow(ground, readers(&[&ground.ana], &[&ground.bob])).await.replay;
        assert_eq!((told.requests, told.complete), (2, true), "the old one is too old");
        assert_eq!((told.then.auto_approved, told.now.auto_approved), (2, 2));
        assert_eq!((told.after.needs_approval, told.changed, told.differing), (2, 2, 2));

        let mut shorter = open.clone();
        shorter.grant_duration_in_min = Some(10);
        let told = try_flow(ground, shorter).await.replay;
        assert_eq!((told.after.auto_approved, told.after.denied, told.changed), (1, 1, 1));
        assert_eq!(told.examples.len(), 1);
        assert_eq!(told.examples[0].seen.request.number, long.request.number);
        assert_eq!(told.examples[0].after, Outcome::Denied);
        assert!(told.examples[0].by.contains("600 seconds"), "{}", told.examples[0].by);

        let mut later = readers(&[&ground.ana], &[&ground.bob]);
        "beside".clone_into(&mut later.name);
        assert_eq!(try_flow(ground, later).await.replay.changed, 0, "the milder one governs");
    }

    async fn bundles_and_scopes_are_tried_with_the_flows_that_name_them(ground) {
        let shell = Actor::command_line();
        let query =
            |names: &str| format!("resource_name {names} and permission_name = \"READ_ONLY\"");
        let scope = AccessScopeCommand {
            name: "some".to_owned(),
            description: None,
            query: query("= \"orders\""),
        };
        create_access_scope(&ground.app, &shell, scope.clone()).await.unwrap();
        let bundle = BundleCommand {
            name: "pack".to_owned(),
            targets: vec![BundleTargetInput::AccessScope("some".to_owned())],
        };
        create_bundle(&ground.app, &shell, bundle.clone()).await.unwrap();
        let mut flow = readers(&[&ground.ana], &[]);
        flow.access_targets = vec![TargetInput::Bundle("pack".to_owned())];
        create_flow(&ground.app, &shell, flow).await.unwrap();

        let wider = AccessScopeCommand { query: query("contains \"o\""), ..scope };
        let told = try_change(
            ground,
            PolicyChange::AccessScope { id: None, command: wider },
        )
        .await;
        assert_eq!(told.flows[0].1, "read");
        assert_eq!(changes(&told), [("ana".to_owned(), 2, 0)]);

        let whole = BundleCommand { targets: vec![BundleTargetInput::Integration(part())], ..bundle };
        let change = |command| PolicyChange::Bundle { id: None, command };
        let told = try_change(ground, change(whole.clone())).await;
        assert_eq!(changes(&told), [("ana".to_owned(), 2, 0)]);
        let empty = BundleCommand { targets: Vec::new(), ..whole.clone() };
        assert_eq!(changes(&try_change(ground, change(empty)).await), [("ana".to_owned(), 0, 1)]);
        let other = BundleCommand { name: "another".to_owned(), ..whole };
        let told = try_change(ground, change(other)).await;
        assert!(told.flows.is_empty() && changes(&told).is_empty(), "no flow names it");
    }

    async fn what_could_not_be_saved_is_refused_alike(ground) {
        let shell = Actor::command_line();
        let mut wrong = readers(&[&ground.ana], &[]);
        wrong.access_targets = vec![TargetInput::Bundle("nothing".to_owned())];
        let command = WhatIf {
            change: PolicyChange::Flow { id: None, command: Box::new(wrong.clone()) },
            replay_days: 0,
            limit: 1,
        };
        let tried = what_if(&ground.app, &shell, command.clone()).await.unwrap_err();
        let saved = create_flow(&ground.app, &shell, wrong).await.unwrap_err();
        assert_eq!((tried.code, &tried.errors), (saved.code, &saved.errors));
        let too_far = WhatIf { replay_days: 367, ..command };
        let refused = what_if(&ground.app, &shell, too_far).await.unwrap_err();
        assert_eq!(refused.errors[0].field, "replay_days");
    }
}
