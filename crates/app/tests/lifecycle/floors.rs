//! Floors, from the setting to the request.

use latchkey_app::{
    Actor, PageRequest,
    automatic::follow_conditions,
    available_access::{AvailableQuery, available_entitlements},
    explain::explain_access,
    flows::warnings_about,
    requests::{RequestAccess, approve_request, dry_run_request, extend_request, request_access},
    settings::set_setting,
};
use latchkey_domain::{
    flow::{AccessFlow, FlowTrigger},
    request::RequestState,
};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, Mood, TABLES},
    on_both_databases,
};

const ORDERS: &str = "resource_name = \"orders\"";

async fn floors(ground: &Ground, floors: Value) {
    set_setting(&ground.app, &Actor::command_line(), "floors", floors).await.unwrap();
}

async fn save(ground: &Ground, flow: &mut AccessFlow) {
    ground.write(async |tx| tx.update_flow(flow).await.unwrap()).await;
}

fn asking(ground: &Ground, table: &str, duration_sec: Option<i64>) -> RequestAccess {
    RequestAccess {
        entitlements: vec![ground.entitlement(table)],
        duration_sec,
        justification: Some("to test".to_owned()),
        ..RequestAccess::default()
    }
}

/// The tables that Ana may ask for.
async fn available(ground: &Ground) -> Vec<String> {
    let query = AvailableQuery::default();
    let page = PageRequest::default();
    let page = available_entitlements(&ground.app, &ground.ana, &query, &page).await.unwrap();
    page.items.into_iter().map(|one| one.entitlement.resource.name).collect()
}

on_both_databases! {
    async fn a07_what_a_floor_wants_an_approval_for_is_given_by_no_flow_that_asks_nobody(ground) {
        ground.flow("open", Some(60), &[]).await;
        assert_eq!(available(ground).await.len(), TABLES.len());
        floors(ground, json!([{ "name": "production", "query": ORDERS, "approval": true }])).await;
        let left = available(ground).await;
        assert!(!left.contains(&"orders".to_owned()) && left.len() == TABLES.len() - 1, "{left:?}");
        let refused = request_access(&ground.app, &ground.ana, asking(ground, "orders", None)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, "NoMatchingFlow");
        assert!(refused.message.contains("the floor \"production\" wants an approval"), "{refused:?}");
        let dry = dry_run_request(&ground.app, &ground.ana, asking(ground, "orders", None)).await;
        let dry = dry.unwrap();
        assert_eq!(dry.explanations[0].passed_over[0].reason.code(), "BelowFloor");
        assert_eq!(dry.explanations[0].floors, ["production"]);
        let (resource, permission) = ground.entitlement("orders");
        let named = format!("{resource}:{permission}");
        let viewer = Actor::command_line();
        let why = explain_access(&ground.app, &viewer, "ana@example.com", &named).await.unwrap();
        assert!(!why.may_ask && why.flows.iter().all(|flow| !flow.gives), "{why:?}");
        assert_eq!(why.flows[0].below_floors, ["production"]);

        ground.flow("asks", Some(60), &[&ground.bob]).await;
        assert_eq!(available(ground).await.len(), TABLES.len());
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(request.flow_name, "asks");
        // The other tables are not under the floor.
        assert_eq!(ground.ask(&["customers"], None).await.flow_name, "open");
        ground.settle().await;
    }

    async fn a_floor_shortens_grants_and_extensions(ground) {
        let mut flow = ground.flow("open", Some(60), &[]).await;
        flow.policy.settings.max_extensions = 5;
        flow.policy.settings.extension_duration_in_min = 30;
        save(ground, &mut flow).await;
        floors(ground, json!([{ "name": "short", "query": ORDERS, "longest_sec": 600 }])).await;
        let long = request_access(&ground.app, &ground.ana, asking(ground, "orders", Some(601))).await;
        let long = long.unwrap_err();
        assert_eq!(long.code, "DurationTooLong");
        assert!(long.message.contains("600"), "{long:?}");
        // One request is one length: the floor on one of two tables binds both.
        let both = ground.ask(&["orders", "customers"], None).await;
        assert_eq!(both.request.duration_sec, Some(600));
        ground.settle().await;
        assert_eq!(ground.state(&both).await, RequestState::Active);
        let id = both.request.id.clone();
        let refused = extend_request(&ground.app, &ground.ana, id.as_str()).await.unwrap_err();
        assert!(refused.message.contains("at most 600 seconds in all"), "{refused:?}");
        floors(ground, json!([{ "name": "short", "query": ORDERS, "longest_sec": 900 }])).await;
        extend_request(&ground.app, &ground.ana, id.as_str()).await.unwrap();
        ground.settle().await;
        ground.pass(899).await;
        ground.settle().await;
        assert_eq!(ground.held().len(), 2);
        ground.pass(2).await;
        ground.settle().await;
        assert!(ground.held().is_empty(), "{:?}", ground.held());
    }

    async fn a07_a_floor_has_requests_wait_for_a_second_factor_whatever_their_flow_says(ground) {
        ground.flow("open", Some(60), &[]).await;
        let early = ground.ask(&["orders"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&early).await, RequestState::Active);
        floors(ground, json!([{ "name": "factor", "query": ORDERS, "mfa": true }])).await;
        let dry = dry_run_request(&ground.app, &ground.ana, asking(ground, "orders", None)).await;
        assert!(dry.unwrap().parts[0].needs_second_factor);
        let late = ground.ask(&["orders"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&late).await, RequestState::PendingMfa);
        let other = ground.ask(&["customers"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&other).await, RequestState::Active);
    }

    async fn a06_a_floor_that_comes_after_filing_cancels_what_does_not_reach_it(ground) {
        ground.flow("asks", Some(60), &[&ground.bob]).await;
        let request = ground.ask(&["orders"], Some(1200)).await;
        floors(ground, json!([{ "name": "short", "query": ORDERS, "longest_sec": 600 }])).await;
        let id = request.request.id.as_str();
        approve_request(&ground.app, &ground.bob, id, None, None).await.unwrap();
        assert_eq!(ground.state(&request).await, RequestState::Cancelled);
        ground.settle().await;
        assert!(ground.held().is_empty());
    }

    async fn automatic_flows_give_nothing_that_a_floor_is_about(ground) {
        let mut flow = ground.flow("given", None, &[&ground.bob]).await;
        flow.policy.trigger = FlowTrigger::Automatic;
        save(ground, &mut flow).await;
        follow_conditions(&ground.app).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.held().len(), TABLES.len());
        floors(ground, json!([{ "name": "short", "query": ORDERS, "longest_sec": 600 }])).await;
        follow_conditions(&ground.app).await.unwrap();
        ground.settle().await;
        let held = ground.held();
        assert!(!held.contains("orders") && held.len() == TABLES.len() - 1, "{held:?}");
        let passed = follow_conditions(&ground.app).await.unwrap();
        assert_eq!((passed.given, passed.taken), (0, 0), "and it is not tried again and again");
        assert_eq!(ground.mood, Mood::Works);
    }

    async fn floors_are_refused_with_the_place_of_what_is_wrong(ground) {
        let wrong = json!([{ "name": "prod", "query": "resource_name is 'x'", "mfa": true }]);
        let refused = set_setting(&ground.app, &Actor::command_line(), "floors", wrong).await;
        let refused = refused.unwrap_err();
        let told = format!("{} {:?}", refused.message, refused.errors);
        assert!(told.contains("floor \\\"prod\\\": line 1, column") || told.contains("floor \"prod\": line 1, column"), "{told}");
        let nothing = json!([{ "name": "prod", "query": ORDERS }]);
        let refused = set_setting(&ground.app, &Actor::command_line(), "floors", nothing).await;
        assert!(format!("{:?}", refused.unwrap_err()).contains("asks for nothing"));
    }

    async fn saving_a_flow_that_asks_less_names_the_one_that_asks_more(ground) {
        let strict = ground.flow("strict", Some(30), &[&ground.bob]).await;
        let easy = ground.flow("easy", Some(60), &[]).await;
        assert_eq!(warnings_about(&ground.app, &strict.id).await, Vec::<String>::new());
        let warned = warnings_about(&ground.app, &easy.id).await;
        assert_eq!(warned, [
            "lowers the control over 3 entitlements: the access flow \"strict\" gives them as well, \
             and asks for an approval and to come back sooner",
        ]);
        let mut glass = ground.flow("glass", None, &[]).await;
        glass.policy.settings.labels = vec!["break-glass".to_owned()];
        save(ground, &mut glass).await;
        assert_eq!(warnings_about(&ground.app, &glass.id).await, Vec::<String>::new());
    }
}
