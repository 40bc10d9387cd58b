//! Access flows as they are written and read.

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    attributes::{
        AttributeTypesOf, AttributesOf, drop_attributes, list_own_attributes, set_attributes,
    },
    flows::{
        ApproverGroupInput, ApproverPolicyInput, ConditionInput, ConditionSetInput, FlowCommand,
        IntegrationTargetInput, TargetInput, create_flow, delete_flow, get_flow, list_flows,
        update_flow,
    },
    groups::{CreateGroup, create_group, delete_group, rename_group},
    settings::set_setting,
    users::create_user,
};
use latchkey_domain::{
    flow::{ApprovalMode, Condition, FlowSettings, FlowTrigger, LogicalOperator, MatchOperator},
    ids::AttributeValueId,
};
use serde_json::json;

use crate::office::{fields_of, first_admin, kind_of, person, records_of};

pub fn condition(attribute_type: &str, values: &[&str]) -> ConditionInput {
    ConditionInput {
        source_integration_reference: None,
        attribute_type: attribute_type.to_owned(),
        match_operator: None,
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

pub fn command(name: &str) -> FlowCommand {
    FlowCommand {
        name: name.to_owned(),
        description: None,
        active: true,
        trigger: FlowTrigger::SelfServe,
        requestors: ConditionSetInput {
            logical_operator: LogicalOperator::Or,
            conditions: vec![condition("user", &["Ana@Example.com"])],
        },
        request_for: None,
        request_for_others: false,
        access_targets: vec![target("shop")],
        approver_policy: None,
        escalation_policy: None,
        grant_duration_in_min: Some(60),
        timeframe: None,
        settings: FlowSettings {
            justification_required: false,
            require_approver_reason: false,
            requestor_cannot_approve_himself: false,
            require_mfa: false,
            labels: Vec::new(),
            max_extensions: 0,
            extension_duration_in_min: 0,
            require_justification_on_request_again: false,
        },
    }
}

fn target(integration: &str) -> TargetInput {
    TargetInput::Integration(IntegrationTargetInput {
        integration_reference: integration.to_owned(),
        resource_type: "postgresql-table".to_owned(),
        permissions: vec!["READ_ONLY".to_owned()],
        resources_scopes: None,
    })
}

fn approved_by(group: &str) -> ApproverPolicyInput {
    ApproverPolicyInput {
        approval_mode: ApprovalMode::AnyOf,
        approver_groups: vec![ApproverGroupInput {
            logical_operator: LogicalOperator::Or,
            approvers: vec![condition("group", &[group])],
        }],
    }
}

fn first_requestor(view: &latchkey_app::flows::FlowView) -> &Condition {
    &view.flow.policy.requestors.conditions[0]
}

both_databases! {
    async fn references_are_ids_or_names_and_come_back_with_both(ground) {
        let admin = first_admin(ground).await;
        for (name, reference) in [("by name", "SHOP"), ("by id", ground.integration.as_str())] {
            let flow = FlowCommand { access_targets: vec![target(reference)], ..command(name) };
            let view = create_flow(&ground.app, &admin, flow).await.unwrap();
            assert_eq!(view.integration_names[&ground.integration], "shop");
            assert_eq!(get_flow(&ground.app, &admin, &view.flow.id).await.unwrap(), view);
        }
        let page = list_flows(&ground.app, &admin, &PageRequest::default()).await.unwrap();
        assert_eq!(page.items.len(), 2);
    }

    async fn references_that_mean_nothing_are_all_named(ground) {
        let admin = first_admin(ground).await;
        let mut flow = command("x");
        flow.access_targets = vec![
            target("nowhere"),
            TargetInput::Bundle("b".to_owned()),
            TargetInput::AccessScope("s".to_owned()),
        ];
        flow.requestors.conditions[0].source_integration_reference = Some("shop".to_owned());
        let fields = fields_of(create_flow(&ground.app, &admin, flow).await);
        assert_eq!(
            fields.into_iter().collect::<Vec<_>>(),
            [
                "access_targets[0].integration.integration_reference",
                "access_targets[1].bundle.bundle_reference",
                "access_targets[2].access_scope.access_scope_reference",
                "requestors.conditions[0].source_integration_reference",
            ]
        );
    }

    async fn broken_rules_are_named(ground) {
        let admin = first_admin(ground).await;
        let mut flow = command(" ");
        flow.requestors.conditions.clear();
        flow.access_targets.clear();
        flow.grant_duration_in_min = Some(0);
        let fields = fields_of(create_flow(&ground.app, &admin, flow).await);
        for field in ["name", "access_targets", "grant_duration_in_min"] {
            assert!(fields.contains(field), "{fields:?}");
        }
        assert_eq!(records_of(ground, "access_flow.created").await, 0);
    }

    async fn names_are_unique_without_letter_case(ground) {
        let admin = first_admin(ground).await;
        let view = create_flow(&ground.app, &admin, command("Reads")).await.unwrap();
        assert_eq!(
            kind_of(create_flow(&ground.app, &admin, command("reads")).await),
            ErrorKind::Conflict
        );
        update_flow(&ground.app, &admin, &view.flow.id, command("READS")).await.unwrap();
    }

    async fn values_come_back_as_sent_beside_the_pinned_identity(ground) {
        let admin = first_admin(ground).await;
        let view = create_flow(&ground.app, &admin, command("x")).await.unwrap();
        let condition = first_requestor(&view);
        assert_eq!(condition.values(), ["Ana@Example.com"]);
        assert_eq!(condition.pinned_ids, [Some(ground.ana.user.id.to_string())]);
        assert_eq!(condition.match_operator, None, "what was left out stays out");
    }

    async fn text_operators_are_not_pinned(ground) {
        let admin = first_admin(ground).await;
        let mut flow = command("x");
        flow.requestors.conditions[0].match_operator = Some(MatchOperator::Contains);
        let view = create_flow(&ground.app, &admin, flow).await.unwrap();
        assert!(first_requestor(&view).pinned_ids.is_empty());
    }

    async fn a_condition_waits_for_somebody_of_that_address(ground) {
        let admin = first_admin(ground).await;
        let mut flow = command("x");
        flow.requestors.conditions[0] = condition("user", &["ana@example.com", "dan@example.com"]);
        let before = create_flow(&ground.app, &admin, flow).await.unwrap();
        assert_eq!(first_requestor(&before).pinned_ids[1], None);
        let dan = create_user(&ground.app, &admin, person("dan")).await.unwrap();
        let after = get_flow(&ground.app, &admin, &before.flow.id).await.unwrap();
        assert_eq!(first_requestor(&after).pinned_ids[1], Some(dan.id.to_string()));
        assert_eq!(after.flow.version, before.flow.version + 1);
        assert_eq!(records_of(ground, "access_flow.pinned").await, 1);
    }

    async fn b06_a_group_that_takes_over_a_name_inherits_nothing(ground) {
        let admin = first_admin(ground).await;
        let named = |name: &str| CreateGroup { name: name.to_owned(), ..CreateGroup::default() };
        let old = create_group(&ground.app, &admin, named("DBA")).await.unwrap().group;
        let flow = FlowCommand { approver_policy: Some(approved_by("dba")), ..command("x") };
        let view = create_flow(&ground.app, &admin, flow.clone()).await.unwrap();
        rename_group(&ground.app, &admin, &old.id, "Old DBA".to_owned()).await.unwrap();
        create_group(&ground.app, &admin, named("DBA")).await.unwrap();

        let pinned = |view: &latchkey_app::flows::FlowView| {
            let policy = view.flow.policy.approver_policy.clone().unwrap();
            policy.approver_groups[0].approvers[0].pinned_ids.clone()
        };
        let id = &view.flow.id;
        assert_eq!(
            pinned(&get_flow(&ground.app, &admin, id).await.unwrap()),
            [Some(old.id.to_string())]
        );
        let saved_again = update_flow(&ground.app, &admin, id, flow).await.unwrap();
        assert_eq!(pinned(&saved_again), [Some(old.id.to_string())]);
    }

    async fn b04_a_group_that_a_flow_names_is_not_deleted(ground) {
        let admin = first_admin(ground).await;
        let named = CreateGroup { name: "DBA".to_owned(), ..CreateGroup::default() };
        let group = create_group(&ground.app, &admin, named).await.unwrap().group;
        let flow = FlowCommand {
            approver_policy: Some(approved_by(group.id.as_str())),
            ..command("Reads")
        };
        let view = create_flow(&ground.app, &admin, flow).await.unwrap();
        let refused = delete_group(&ground.app, &admin, &group.id).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains("\"Reads\""), "{refused}");
        delete_flow(&ground.app, &admin, &view.flow.id).await.unwrap();
        delete_group(&ground.app, &admin, &group.id).await.unwrap();
    }

    async fn e01_an_address_of_a_program_that_cannot_be_called_is_refused_by_its_member(ground) {
        let admin = first_admin(ground).await;
        let with = |url: &str| FlowCommand {
            approver_policy: Some(ApproverPolicyInput {
                approval_mode: ApprovalMode::AnyOf,
                approver_groups: vec![ApproverGroupInput {
                    logical_operator: LogicalOperator::And,
                    approvers: vec![
                        condition("user", &["ana@example.com"]),
                        condition("webhook", &["https://approve.example.com/latchkey", url]),
                    ],
                }],
            }),
            ..command("asks a program")
        };
        let member = "approver_policy.approver_groups[0].approvers[1].values[1]".to_owned();
        for wrong in [
            "approve.example.com",
            "https://",
            "https:// approve.example.com/",
            "mailto:approve@example.com",
            "https://me:secret@approve.example.com/",
            "https://me@approve.example.com/",
            "http://approve.example.com/",
            "http://93.184.216.34/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://10.1.2.3/hook",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:10.1.2.3]/",
        ] {
            let refused = create_flow(&ground.app, &admin, with(wrong)).await;
            assert_eq!(fields_of(refused), [member.clone()].into(), "{wrong}");
        }
        let listed = json!(["10.1.2.3"]);
        set_setting(&ground.app, &admin, "outbound_allowed_addresses", listed).await.unwrap();
        for fine in ["https://10.1.2.3/hook", "http://10.1.2.3/", "http://approve.internal/"] {
            let view = create_flow(&ground.app, &admin, with(fine)).await.unwrap();
            let again = update_flow(&ground.app, &admin, &view.flow.id, with("https://10.1.2.4/"));
            assert_eq!(fields_of(again.await), [member.clone()].into());
            delete_flow(&ground.app, &admin, &view.flow.id).await.unwrap();
        }
    }

    async fn conditions_on_attributes_are_pinned_once_their_value_is_known(ground) {
        let admin = first_admin(ground).await;
        let mut flow = command("x");
        flow.requestors.conditions =
            vec![condition("okta_city", &["berlin", "Paris"]), condition("manager", &["Bob@x.org"])];
        let view = create_flow(&ground.app, &admin, flow).await.unwrap();
        assert_eq!(first_requestor(&view).pinned_ids, [None, None]);
        let row = |email: &str, pairs: &[(&str, &str)]| AttributesOf {
            email: email.to_owned(),
            attributes: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let ana = ground.ana.user.email.clone();
        let rows = vec![
            row("nobody@x.org", &[("okta_city", "Paris")]),
            row(&ana, &[("okta_city", "Berlin"), ("team", "data")]),
            row(&ana, &[("okta_city", "BERLIN")]),
        ];
        let outcomes = set_attributes(&ground.app, &admin, rows).await.unwrap();
        let failed: Vec<bool> = outcomes.iter().map(|row| !row.errors.is_empty()).collect();
        assert_eq!(failed, [true, false, false]);
        let view = get_flow(&ground.app, &admin, &view.flow.id).await.unwrap();
        let berlin = AttributeValueId::derive("okta_city", "Berlin").to_string();
        assert_eq!(first_requestor(&view).pinned_ids, [Some(berlin.clone()), None]);
        assert_eq!(records_of(ground, "access_flow.pinned").await, 1);
        assert_eq!(records_of(ground, "user.attributes_changed").await, 2);

        let mut again = command("y");
        again.requestors.conditions = vec![condition("okta_city", &["BERLIN "])];
        let view = create_flow(&ground.app, &admin, again).await.unwrap();
        assert_eq!(first_requestor(&view).pinned_ids, [Some(berlin)]);
        assert_eq!(first_requestor(&view).values(), ["BERLIN "], "as it was sent");

        let keys = |email: &str, types: &[&str]| AttributeTypesOf {
            email: email.to_owned(),
            attribute_types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let rows = vec![keys(&ana, &["okta_city", "absent"]), keys("nobody@x.org", &["team"])];
        let outcomes = drop_attributes(&ground.app, &admin, rows).await.unwrap();
        assert!(outcomes[0].errors.is_empty());
        assert_eq!(outcomes[1].errors[0].code, "NotFound");
        let (left, total) = list_own_attributes(&ground.app, &admin, &[], 0, 10).await.unwrap();
        assert_eq!((left, total), (vec![row(&ana, &[("team", "data")])], 1));
    }

    async fn an_update_replaces_everything_and_counts(ground) {
        let admin = first_admin(ground).await;
        let with_approvers = FlowCommand {
            description: Some("why".to_owned()),
            approver_policy: Some(approved_by("x")),
            ..command("x")
        };
        let view = create_flow(&ground.app, &admin, with_approvers).await.unwrap();
        let updated = update_flow(&ground.app, &admin, &view.flow.id, command("x")).await.unwrap();
        assert_eq!(updated.flow.description, None);
        assert_eq!(updated.flow.policy.approver_policy, None);
        assert_eq!(updated.flow.version, view.flow.version + 1);
        assert!(updated.flow.updated_at.is_some());
        assert_eq!(updated.flow.created_at, view.flow.created_at);
        assert_eq!(get_flow(&ground.app, &admin, &view.flow.id).await.unwrap(), updated);
    }

    async fn somebody_without_the_role_learns_nothing(ground) {
        let admin = first_admin(ground).await;
        let view = create_flow(&ground.app, &admin, command("x")).await.unwrap();
        let unknown = latchkey_domain::ids::FlowId::new("unknown");
        let bob: &Actor = &ground.bob;
        for id in [&view.flow.id, &unknown] {
            assert_eq!(kind_of(get_flow(&ground.app, bob, id).await), ErrorKind::Forbidden);
            assert_eq!(kind_of(delete_flow(&ground.app, bob, id).await), ErrorKind::Forbidden);
        }
        assert_eq!(kind_of(delete_flow(&ground.app, &admin, &unknown).await), ErrorKind::NotFound);
    }
}
