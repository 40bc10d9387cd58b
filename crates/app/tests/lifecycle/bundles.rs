//! Asking through bundles and access scopes: which flow governs, what is frozen, and that the
//! transaction which decides looks again.

use std::collections::BTreeMap;

use latchkey_app::{
    AppError, ErrorKind, PageRequest,
    available_access::{AvailableQuery, available_bundles, available_entitlements},
    requests::{
        RequestAccess, RequestView, approve_request, dry_run_request, request_access, request_again,
    },
    wildcard::text_match,
};
use latchkey_domain::{
    access_scope::AccessScope,
    bundle::{Bundle, BundleTarget},
    flow::{AccessFlow, FlowTarget, IntegrationTarget},
    ids::{AccessScopeId, BundleId},
    request::RequestState,
};
use latchkey_store::Tx;

use crate::{ground::Ground, on_both_databases};

fn kind_and_code<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> (ErrorKind, &'static str) {
    let error = outcome.unwrap_err();
    (error.kind, error.code)
}

async fn scope(ground: &Ground, query: &str) -> AccessScopeId {
    let now = ground.app.clock().now();
    let scope = AccessScope {
        id: AccessScopeId::generate(now, ground.app.rng()),
        name: "scope".to_owned(),
        description: None,
        query: query.to_owned(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    ground.write(async |tx| tx.insert_access_scope(&scope).await.unwrap()).await;
    scope.id
}

async fn bundle(ground: &Ground, targets: Vec<BundleTarget>) -> Bundle {
    let now = ground.app.clock().now();
    let bundle = Bundle {
        id: BundleId::generate(now, ground.app.rng()),
        name: "Analysts".to_owned(),
        targets,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    ground.write(async |tx| tx.insert_bundle(&bundle).await.unwrap()).await;
    bundle
}

/// The flow with another target.
async fn retarget(ground: &Ground, flow: &mut AccessFlow, target: FlowTarget) {
    flow.policy.access_targets = vec![target];
    ground.write(async |tx| tx.update_flow(flow).await.unwrap()).await;
}

fn part_of(flow: &AccessFlow) -> IntegrationTarget {
    match &flow.policy.access_targets[0] {
        FlowTarget::Integration(target) => target.clone(),
        other => panic!("{other:?} is no part of an integration"),
    }
}

fn through(reference: &str) -> RequestAccess {
    RequestAccess { bundle_reference: Some(reference.to_owned()), ..RequestAccess::default() }
}

async fn ask_through(ground: &Ground, reference: &str) -> RequestView {
    let mut filed = request_access(&ground.app, &ground.ana, through(reference)).await.unwrap();
    assert_eq!(filed.len(), 1, "one flow governs a bundle");
    filed.remove(0)
}

fn tables_of(view: &RequestView) -> Vec<&str> {
    let mut names: Vec<&str> = view.units.iter().map(|unit| unit.resource_name.as_str()).collect();
    names.sort_unstable();
    names
}

async fn available(ground: &Ground) -> Vec<String> {
    let (query, page) = (AvailableQuery::default(), PageRequest::default());
    let rows = available_entitlements(&ground.app, &ground.ana, &query, &page).await.unwrap();
    let mut names: Vec<String> =
        rows.items.into_iter().map(|row| row.entitlement.resource.name).collect();
    names.sort_unstable();
    names
}

async fn tag(ground: &Ground, table: &str, env: &str) {
    let (id, _) = ground.entitlement(table);
    let tags = BTreeMap::from([("env".to_owned(), env.to_owned())]);
    ground.write(async |tx| assert!(tx.set_user_tags(&id, &tags).await.unwrap())).await;
}

on_both_databases! {
    async fn what_a_bundle_holds_is_asked_for_and_granted_together(ground) {
        let mut by_bundle = ground.flow("by bundle", Some(60), &[]).await;
        let all = bundle(ground, vec![BundleTarget::Integration(part_of(&by_bundle))]).await;
        retarget(ground, &mut by_bundle, FlowTarget::Bundle(all.id.clone())).await;
        let names = ["other".to_owned(), "ana*".to_owned()].map(|name| text_match(&name));
        let page = PageRequest::default();
        let shown = available_bundles(&ground.app, &ground.ana, None, &names, &page).await.unwrap();
        assert_eq!(shown.items.len(), 1);
        assert_eq!((&shown.items[0].id, shown.items[0].name.as_str()), (&all.id, "Analysts"));
        let of_bob = available_bundles(&ground.app, &ground.bob, None, &[], &page).await.unwrap();
        assert!(of_bob.items.is_empty());

        let asked = ask_through(ground, "ANALYSTS").await;
        assert_eq!(tables_of(&asked), ["customers", "invoices", "orders"]);
        assert_eq!(asked.request.bundle_id.as_ref(), Some(&all.id));
        assert_eq!(asked.bundle_name.as_deref(), Some("Analysts"));
        ground.settle().await;
        assert_eq!(ground.state(&asked).await, RequestState::Active);
        assert_eq!(ground.held().len(), 3);
        assert_eq!(available(ground).await, tables_of(&asked), "one by one too");
        ground.pass(3600).await;
        ground.settle().await;
        assert!(ground.target.is_empty());

        // Asked again, it is the bundle that is asked for; without it, what it was.
        let again = async || {
            let id = asked.request.id.as_str();
            let fields = BTreeMap::new();
            request_again(&ground.app, &ground.ana, id, None, fields).await.unwrap().remove(0)
        };
        assert_eq!(again().await.request.bundle_id, Some(all.id.clone()));
        let part = FlowTarget::Integration(part_of(&ground.flow("x", Some(5), &[]).await));
        retarget(ground, &mut by_bundle, part).await;
        ground.write(async |tx| assert!(tx.delete_bundle(&all.id).await.unwrap())).await;
        let again = again().await;
        assert_eq!((again.request.bundle_id.as_ref(), again.units.len()), (None, 3));
    }

    async fn a_bundle_considers_only_flows_that_target_it(ground) {
        let mut by_bundle = ground.flow("by bundle", Some(60), &[&ground.bob]).await;
        let all = bundle(ground, vec![BundleTarget::Integration(part_of(&by_bundle))]).await;
        let direct = ground.flow("direct, without approval", None, &[]).await;
        let refused = request_access(&ground.app, &ground.ana, through("Analysts")).await;
        assert_eq!(kind_and_code(refused), (ErrorKind::Forbidden, "NoMatchingFlow"));
        retarget(ground, &mut by_bundle, FlowTarget::Bundle(all.id.clone())).await;
        let asked = ask_through(ground, all.id.as_str()).await;
        assert_eq!(asked.request.flow_id, by_bundle.id);
        assert_eq!(asked.request.state, RequestState::Pending);
        let dry = dry_run_request(&ground.app, &ground.ana, through("analysts")).await.unwrap();
        assert_eq!(dry.parts[0].flow_name, "by bundle");
        assert_eq!(ground.ask(&["orders"], None).await.request.flow_id, direct.id);
        let unknown = request_access(&ground.app, &ground.ana, through("nothing")).await;
        assert_eq!(kind_and_code(unknown), (ErrorKind::Invalid, "BadRequest"));
    }

    async fn an_access_scope_gives_what_its_query_selects_now(ground) {
        let mut flow = ground.flow("by scope", Some(60), &[]).await;
        let prod = scope(
            ground,
            r#"integration = "shop" and resource_tag["env"] = "prod" and permission_name = "READ_ONLY""#,
        )
        .await;
        retarget(ground, &mut flow, FlowTarget::AccessScope(prod)).await;
        assert!(available(ground).await.is_empty());
        let command = RequestAccess {
            entitlements: vec![ground.entitlement("orders")],
            ..RequestAccess::default()
        };
        let refused = request_access(&ground.app, &ground.ana, command.clone()).await;
        assert_eq!(kind_and_code(refused), (ErrorKind::Forbidden, "NoMatchingFlow"));
        tag(ground, "orders", "prod").await;
        assert_eq!(available(ground).await, ["orders"]);
        let asked = request_access(&ground.app, &ground.ana, command).await.unwrap().remove(0);
        ground.settle().await;
        assert_eq!(ground.state(&asked).await, RequestState::Active);
    }

    async fn the_list_is_frozen_when_it_is_filed(ground) {
        let mut flow = ground.flow("by bundle", Some(60), &[&ground.bob]).await;
        let prod = scope(ground, r#"resource_tag["env"] = "prod" and permission_name = "READ_ONLY""#);
        let all = bundle(ground, vec![BundleTarget::AccessScope(prod.await)]).await;
        retarget(ground, &mut flow, FlowTarget::Bundle(all.id.clone())).await;
        let empty = request_access(&ground.app, &ground.ana, through("Analysts")).await;
        assert_eq!(kind_and_code(empty), (ErrorKind::Invalid, "BadRequest"));
        tag(ground, "orders", "prod").await;
        let asked = ask_through(ground, "Analysts").await;
        tag(ground, "customers", "prod").await;
        let id = asked.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&asked).await, RequestState::Active);
        assert_eq!(ground.held().len(), 1, "what joined later is not in it");
        assert_eq!(tables_of(&ask_through(ground, "Analysts").await), ["customers", "orders"]);
    }

    async fn a_bundle_holds_what_another_server_changed_just_now(ground) {
        let mut flow = ground.flow("by bundle", Some(60), &[&ground.bob]).await;
        let prod = scope(ground, r#"resource_tag["env"] = "prod" and permission_name = "READ_ONLY""#);
        let part = BundleTarget::Integration(part_of(&flow));
        let all = bundle(ground, vec![BundleTarget::AccessScope(prod.await)]).await;
        retarget(ground, &mut flow, FlowTarget::Bundle(all.id.clone())).await;
        tag(ground, "orders", "prod").await;
        tag(ground, "invoices", "prod").await;
        assert_eq!(tables_of(&ask_through(ground, "Analysts").await), ["invoices", "orders"]);
        // No time passes, and nothing tells this server of it.
        let other = ground.second_server().await;
        for (table, env) in [("customers", "prod"), ("orders", "dev")] {
            let (id, _) = ground.entitlement(table);
            let tags = BTreeMap::from([("env".to_owned(), env.to_owned())]);
            let write = async |tx: &mut Tx| tx.set_user_tags(&id, &tags).await;
            assert!(other.store().write(write).await.unwrap());
        }
        assert_eq!(tables_of(&ask_through(ground, "Analysts").await), ["customers", "invoices"]);

        // Targets that hold the same come to each member once.
        let mut bundle = all;
        bundle.targets.push(part);
        ground.write(async |tx| tx.update_bundle(&mut bundle).await.unwrap()).await;
        let asked = ask_through(ground, "Analysts").await;
        assert_eq!(tables_of(&asked), ["customers", "invoices", "orders"]);
    }

    async fn a06_what_left_the_bundle_before_the_decision_is_not_granted(ground) {
        let mut flow = ground.flow("by bundle", Some(60), &[&ground.bob]).await;
        let prod = scope(ground, r#"resource_tag["env"] = "prod" and permission_name = "READ_ONLY""#);
        let all = bundle(ground, vec![BundleTarget::AccessScope(prod.await)]).await;
        retarget(ground, &mut flow, FlowTarget::Bundle(all.id.clone())).await;
        tag(ground, "orders", "prod").await;
        let retagged = ask_through(ground, "Analysts").await;
        tag(ground, "orders", "dev").await;
        let id = retagged.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&retagged).await, RequestState::Cancelled);

        tag(ground, "orders", "prod").await;
        let emptied = ask_through(ground, "Analysts").await;
        let mut bundle = all;
        bundle.targets.clear();
        ground.write(async |tx| tx.update_bundle(&mut bundle).await.unwrap()).await;
        let id = emptied.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&emptied).await, RequestState::Cancelled);
        ground.settle().await;
        assert!(ground.target.is_empty());
    }
}
