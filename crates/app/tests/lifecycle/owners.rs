//! Approvers who are meant by what they are to a request: owners of what it asks for, and the
//! manager of who asks.

use std::collections::BTreeMap;

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    requests::{
        RequestAccess, approve_request, dry_run_request, get_client_request, list_my_tasks,
    },
};
use latchkey_domain::{
    flow::{AccessFlow, Condition, LogicalOperator, MatchOperator},
    integration::{OwnerRule, OwnersMapping},
    request::RequestState,
};

use crate::{
    ground::{Ground, is_user},
    on_both_databases,
};

fn alone(kind: &str, operator: Option<MatchOperator>) -> Condition {
    Condition {
        source_integration_id: None,
        attribute_type: kind.to_owned(),
        match_operator: operator,
        values: None,
        pinned_ids: Vec::new(),
    }
}

/// A flow whose one group of approvers has these conditions, all of which have to be met.
async fn flow_asking(ground: &Ground, conditions: Vec<Condition>) -> AccessFlow {
    let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
    let group = &mut flow.policy.approver_policy.as_mut().unwrap().approver_groups[0];
    group.logical_operator = LogicalOperator::And;
    group.approvers = conditions;
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

/// Cleo owns the shop, and the tag `team` names other owners by address.
async fn owned_by_cleo(ground: &Ground) {
    let owner = OwnerRule {
        attribute_type: "user".to_owned(),
        attribute_value: vec![ground.cleo.user.email.clone()],
        source_integration_id: None,
    };
    let mapping = OwnersMapping {
        key_name: "team".to_owned(),
        attribute_type: "user".to_owned(),
        source_integration_id: None,
    };
    ground
        .write(async |tx| {
            let mut shop = tx.find_integration(&ground.integration).await.unwrap().unwrap();
            shop.owner = Some(owner);
            shop.owners_mapping = Some(mapping);
            tx.update_integration(&mut shop).await.unwrap();
        })
        .await;
}

async fn tag(ground: &Ground, table: &str, owner: &str) {
    let (id, _) = ground.entitlement(table);
    let tags = BTreeMap::from([("team".to_owned(), owner.to_owned())]);
    ground.write(async |tx| assert!(tx.set_user_tags(&id, &tags).await.unwrap())).await;
}

async fn tasks_of(ground: &Ground, actor: &Actor) -> usize {
    let page = PageRequest::default();
    list_my_tasks(&ground.app, actor, &page).await.unwrap().items.len()
}

on_both_databases! {
    async fn a02_owners_approve_each_for_what_they_own(ground) {
        owned_by_cleo(ground).await;
        tag(ground, "orders", &ground.bob.user.email).await;
        flow_asking(ground, vec![alone("Owner", None)]).await;
        let request = ground.ask(&["orders", "customers"], None).await;
        assert_eq!(request.request.state_reason, None);
        let id = request.request.id.as_str();
        for owner in [&ground.bob, &ground.cleo] {
            assert_eq!(tasks_of(ground, owner).await, 1);
        }
        let seen = get_client_request(&ground.app, &ground.bob, id).await.unwrap();
        assert_eq!(seen.asked_approvers.len(), 2);
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Pending, "customers are Cleo's");
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);

        let only_bobs = ground.ask(&["orders"], None).await;
        let id = only_bobs.request.id.as_str();
        let no_owner = approve_request(&ground.app, &ground.cleo, id, None, None).await;
        assert_eq!(no_owner.unwrap_err().kind, ErrorKind::NotFound);
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&only_bobs).await, RequestState::Active);
    }

    async fn a06_an_approval_of_somebody_who_owns_it_no_more_does_not_count(ground) {
        owned_by_cleo(ground).await;
        tag(ground, "orders", &ground.bob.user.email).await;
        flow_asking(ground, vec![alone("Owner", None)]).await;
        let request = ground.ask(&["orders", "customers"], None).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        tag(ground, "orders", &ground.ana.user.email).await;
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        let seen = get_client_request(&ground.app, &ground.ana, id).await.unwrap().request;
        assert_eq!(seen.state, RequestState::Pending, "Ana owns orders now, and may not decide");
        assert!(seen.state_reason.unwrap().contains("approver group 1"));
    }

    async fn an_owner_who_cannot_be_told_leaves_the_request_pending_and_it_says_so(ground) {
        flow_asking(ground, vec![alone("Owner", None)]).await;
        let ownerless = ground.ask(&["orders"], None).await;
        assert_eq!(ownerless.request.state, RequestState::Pending);
        let reason = ownerless.request.state_reason.unwrap();
        assert!(reason.contains("nobody may decide"), "{reason}");
        assert!(reason.contains("who owns shop/public/orders"), "{reason}");

        owned_by_cleo(ground).await;
        tag(ground, "orders", "somebody@who.left").await;
        let ghost = ground.ask(&["orders"], None).await;
        assert!(ghost.request.state_reason.unwrap().contains("nobody may decide"));
        assert_eq!(tasks_of(ground, &ground.cleo).await, 0, "a tag that names nobody is no gap");
        let id = ghost.request.id.as_str();
        let cleo = approve_request(&ground.app, &ground.cleo, id, None, None).await;
        assert_eq!(cleo.unwrap_err().kind, ErrorKind::NotFound);
    }

    async fn a_dry_run_names_the_owners_who_would_be_asked(ground) {
        owned_by_cleo(ground).await;
        tag(ground, "orders", &ground.bob.user.email).await;
        flow_asking(ground, vec![alone("Owner", None)]).await;
        let command =
            RequestAccess { entitlements: vec![ground.entitlement("orders")], ..Default::default() };
        let run = dry_run_request(&ground.app, &ground.ana, command).await.unwrap();
        let asked: Vec<&str> = run.parts[0].asked.iter().map(|user| user.email.as_str()).collect();
        assert_eq!(asked, [ground.bob.user.email.as_str()]);
    }

    async fn a_negated_manager_narrows_who_counts(ground) {
        let mut ana = ground.ana.user.clone();
        ana.manager_id = Some(ground.bob.user.id.clone());
        ground.write(async |tx| tx.update_user(&ana).await.unwrap()).await;
        let anybody = Condition {
            match_operator: Some(MatchOperator::Contains),
            values: Some(vec!["@example.com".to_owned()]),
            pinned_ids: Vec::new(),
            ..is_user(&ana)
        };
        let not_manager = alone("manager", Some(MatchOperator::IsNot));
        flow_asking(ground, vec![anybody, not_manager]).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let manager = approve_request(&ground.app, &ground.bob, id, None, None).await;
        assert_eq!(manager.unwrap_err().kind, ErrorKind::NotFound);
        approve_request(&ground.app, &ground.cleo, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }
}
