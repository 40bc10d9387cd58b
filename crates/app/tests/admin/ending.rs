//! What deleting, disabling and retiring do to requests and access under way.

use latchkey_app::{
    Actor, ErrorKind,
    authenticate::authenticate,
    flows::{delete_flow, update_flow},
    integrations::{
        IntegrationCommand, delete_integration, get_integration, refresh_integration,
        retire_integration, update_integration,
    },
    requests::{RequestAccess, request_access},
    users::disable_user,
};
use latchkey_domain::{integration::IntegrationStatus, request::RequestState};
use serde_json::json;

use crate::{
    flows::command,
    ground::{Ground, Mood, TABLES},
    office::{first_admin, kind_of, records_of, token_for},
};

fn asking(ground: &Ground) -> RequestAccess {
    RequestAccess { entitlements: vec![ground.entitlement(TABLES[0])], ..RequestAccess::default() }
}

both_databases! {
    async fn b02_a_disabled_user_holds_and_waits_for_nothing(ground) {
        let admin = first_admin(ground).await;
        let token = token_for(ground, &ground.ana.user).await;
        ground.flow("free", Some(60), &[]).await;
        let live = ground.ask(&[TABLES[0]], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&live).await, RequestState::Active);

        disable_user(&ground.app, &admin, "ANA@example.com").await.unwrap();
        let bearer = authenticate(&ground.app, &token.token).await;
        assert_eq!(kind_of(bearer), ErrorKind::Unauthorized);
        ground.settle().await;
        assert_eq!(ground.state(&live).await, RequestState::Revoked);
        assert!(ground.held().is_empty());
        disable_user(&ground.app, &admin, "ana@example.com").await.unwrap();
        assert_eq!(records_of(ground, "user.disabled").await, 1);
    }

    async fn a_deleted_flow_ends_what_it_governs(ground) {
        let admin = first_admin(ground).await;
        let free = ground.flow("free", Some(60), &[]).await;
        let live = ground.ask(&[TABLES[0]], None).await;
        ground.settle().await;
        delete_flow(&ground.app, &admin, &free.id).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&live).await, RequestState::Revoked);

        let asked = ground.flow("asked", Some(60), &[&ground.bob]).await;
        let pending = ground.ask(&[TABLES[0]], None).await;
        assert_eq!(ground.state(&pending).await, RequestState::Pending);
        delete_flow(&ground.app, &admin, &asked.id).await.unwrap();
        assert_eq!(ground.state(&pending).await, RequestState::Cancelled);
    }

    async fn a_flow_that_is_switched_off_keeps_live_access(ground) {
        let admin = first_admin(ground).await;
        let free = ground.flow("free", Some(60), &[]).await;
        let live = ground.ask(&[TABLES[0]], None).await;
        ground.settle().await;
        let off = latchkey_app::flows::FlowCommand { active: false, ..command("free") };
        update_flow(&ground.app, &admin, &free.id, off).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&live).await, RequestState::Active);

        let asked = ground.flow("asked", Some(60), &[&ground.bob]).await;
        let pending = ground.ask(&[TABLES[0]], None).await;
        let off = latchkey_app::flows::FlowCommand { active: false, ..command("asked") };
        update_flow(&ground.app, &admin, &asked.id, off).await.unwrap();
        assert_eq!(ground.state(&pending).await, RequestState::Cancelled);
    }

    async fn b04_a_request_that_races_the_end_of_its_flow_leaves_nothing(ground) {
        let admin = first_admin(ground).await;
        for round in 0..10 {
            let flow = ground.flow(&format!("flow {round}"), Some(60), &[]).await;
            let (asked, deleted) = tokio::join!(
                request_access(&ground.app, &ground.ana, asking(ground)),
                delete_flow(&ground.app, &admin, &flow.id),
            );
            deleted.unwrap();
            match asked {
                Ok(filed) => {
                    ground.settle().await;
                    assert!(ground.state(&filed[0]).await.is_final());
                }
                Err(error) => {
                    assert!(matches!(error.kind, ErrorKind::Conflict | ErrorKind::Forbidden));
                }
            }
            assert!(ground.held().is_empty());
        }
    }

    async fn b03_a_request_that_races_its_requestor_leaves_nothing(ground) {
        let admin = first_admin(ground).await;
        ground.flow("free", Some(60), &[]).await;
        let (asked, disabled) = tokio::join!(
            request_access(&ground.app, &ground.ana, asking(ground)),
            disable_user(&ground.app, &admin, ground.ana.user.id.as_str()),
        );
        disabled.unwrap();
        if let Ok(filed) = asked {
            ground.settle().await;
            assert!(ground.state(&filed[0]).await.is_final());
        }
        assert!(ground.held().is_empty());
        let late = request_access(&ground.app, &ground.ana, asking(ground)).await;
        assert_eq!(kind_of(late), ErrorKind::Conflict, "the actor was read before");
    }

    async fn b04_an_integration_in_use_is_not_deleted(ground) {
        let admin = first_admin(ground).await;
        let flow = ground.flow("asked", Some(60), &[&ground.bob]).await;
        let pending = ground.ask(&[TABLES[0]], None).await;
        let refused =
            delete_integration(&ground.app, &admin, &ground.integration).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains("\"asked\""), "{refused}");
        assert!(refused.message.contains(&format!("AR-{}", pending.request.number)), "{refused}");
        delete_flow(&ground.app, &admin, &flow.id).await.unwrap();

        let free = ground.flow("free", Some(60), &[]).await;
        ground.ask(&[TABLES[0]], None).await;
        ground.settle().await;
        let off = latchkey_app::flows::FlowCommand { active: false, ..command("free") };
        update_flow(&ground.app, &admin, &free.id, off).await.unwrap();
        let refused =
            delete_integration(&ground.app, &admin, &ground.integration).await.unwrap_err();
        assert!(refused.message.contains("live access"), "{refused}");
        delete_flow(&ground.app, &admin, &free.id).await.unwrap();
        ground.settle().await;
        delete_integration(&ground.app, &admin, &ground.integration).await.unwrap();
    }

    async fn what_claims_hang_on_stays_while_they_live(ground) {
        let admin = first_admin(ground).await;
        let command = |role: &str| {
            let serde_json::Value::Object(config) =
                json!({ "hostname": "h", "secret_ref": "env:SHOP", "role": role })
            else {
                unreachable!("configuration is an object")
            };
            IntegrationCommand { name: "shop".to_owned(), config, ..IntegrationCommand::default() }
        };
        let id = &ground.integration.clone();
        update_integration(&ground.app, &admin, id, command("one")).await.unwrap();
        ground.flow("free", Some(60), &[]).await;
        ground.ask(&[TABLES[0]], None).await;
        let refused = update_integration(&ground.app, &admin, id, command("two")).await;
        assert_eq!(kind_of(refused), ErrorKind::Conflict);
        update_integration(&ground.app, &admin, id, command("one")).await.unwrap();
        // A discovery run is due; what these tests settle are grants.
        retire_integration(&ground.app, &admin, id, "the test is over").await.unwrap();
    }

    async fn a_retired_target_closes_its_claims_without_proof(ground) {
        let admin = first_admin(ground).await;
        ground.flow("free", Some(60), &[]).await;
        let live = ground.ask(&[TABLES[0], TABLES[1]], None).await;
        ground.settle().await;
        ground.mood = Mood::Unreachable;
        let id = &ground.integration.clone();

        let nobody = retire_integration(&ground.app, &ground.bob, id, "gone").await;
        assert_eq!(kind_of(nobody), ErrorKind::Forbidden);
        let silent = retire_integration(&ground.app, &Actor::command_line(), id, " ").await;
        assert_eq!(kind_of(silent), ErrorKind::Invalid);

        let retired =
            retire_integration(&ground.app, &Actor::command_line(), id, "rack sold").await.unwrap();
        assert_eq!((retired.claims_not_proven, retired.requests_ended), (2, 1));
        assert_eq!(ground.state(&live).await, RequestState::Revoked);
        let view = get_integration(&ground.app, &admin, id).await.unwrap();
        assert_eq!(view.integration.status, IntegrationStatus::Disabled);
        assert_eq!(view.integration.status_detail.as_deref(), Some("retired: rack sold"));
        assert_eq!(
            kind_of(refresh_integration(&ground.app, &admin, id).await),
            ErrorKind::Conflict
        );
        assert_eq!(records_of(ground, "integration.retired").await, 1);
        assert_eq!(records_of(ground, "access_session.not_proven").await, 1);

        let asked = request_access(&ground.app, &ground.ana, asking(ground)).await;
        assert_eq!(kind_of(asked), ErrorKind::Invalid, "nothing of it can be asked for any more");

        let again = retire_integration(&ground.app, &admin, id, "rack sold").await.unwrap();
        assert_eq!((again.claims_not_proven, again.requests_ended), (0, 0));
    }
}
