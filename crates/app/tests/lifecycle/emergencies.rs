//! Emergencies, and looking at them afterwards.

use std::collections::BTreeSet;

use latchkey_app::{
    Actor, AppError, PageRequest,
    emergencies::{EmergencyView, count_unreviewed, list_emergencies, review_emergency},
    requests::{RequestAccess, RequestView, request_access, revoke_request},
};
use latchkey_domain::{
    emergency::Finding,
    people::{Role, TokenScope},
    request::RequestState,
};

use crate::{ground::Ground, on_both_databases};

/// A flow for emergencies, without a word about justifications.
async fn glass(ground: &Ground) {
    let mut flow = ground.flow("glass", Some(30), &[]).await;
    flow.policy.settings.labels = vec!["Break-Glass".to_owned()];
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
}

async fn break_glass(ground: &Ground, why: Option<&str>) -> Result<RequestView, AppError> {
    let command = RequestAccess {
        entitlements: vec![ground.entitlement("orders")],
        justification: why.map(str::to_owned),
        custom_fields: [("break_glass".to_owned(), "true".to_owned())].into(),
        ..RequestAccess::default()
    };
    Ok(request_access(&ground.app, &ground.ana, command).await?.remove(0))
}

/// Bob with a role, and a token that lets him use it.
fn with_role(ground: &Ground, role: Role) -> Actor {
    let mut user = ground.bob.user.clone();
    user.roles = BTreeSet::from([role]);
    let scopes = BTreeSet::from([TokenScope::Read, TokenScope::Admin]);
    Actor::new(user, scopes, None)
}

async fn listed(ground: &Ground, actor: &Actor, reviewed: Option<bool>) -> Vec<EmergencyView> {
    let page = PageRequest::default();
    list_emergencies(&ground.app, actor, reviewed, &page).await.unwrap().items
}

async fn found(ground: &Ground, actor: &Actor, id: &str) -> Result<EmergencyView, AppError> {
    review_emergency(&ground.app, actor, id, Finding::Justified, " it was one ").await
}

on_both_databases! {
    async fn an_emergency_is_always_told_why(ground) {
        glass(ground).await;
        for why in [None, Some(" ")] {
            let refused = break_glass(ground, why).await.unwrap_err();
            assert_eq!(refused.code, "JustificationRequired");
        }
        break_glass(ground, Some("checkout is down")).await.unwrap();
        ground.settle().await;
        assert!(ground.held().contains("orders"));
    }

    async fn an_emergency_is_looked_at_once_by_somebody_else_when_it_is_over(ground) {
        glass(ground).await;
        let request = break_glass(ground, Some("checkout is down")).await.unwrap();
        ground.settle().await;
        let id = request.request.id.as_str();
        let power = with_role(ground, Role::PowerUser);
        let waiting = listed(ground, &power, Some(false)).await;
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].seen.request.id, request.request.id);
        assert!(found(ground, &power, id).await.unwrap_err().message.contains("not over"));
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);

        let viewer = with_role(ground, Role::Viewer);
        assert_eq!(found(ground, &viewer, id).await.unwrap_err().code, "Forbidden");
        let mut own = power.clone();
        own.user.id = ground.ana.user.id.clone();
        assert_eq!(found(ground, &own, id).await.unwrap_err().code, "SelfApproval");
        let empty = review_emergency(&ground.app, &power, id, Finding::Justified, " ").await;
        assert!(format!("{:?}", empty.unwrap_err()).contains("1 to 1000 characters"));

        let seen = found(ground, &power, id).await.unwrap();
        let review = seen.emergency.review.unwrap();
        assert_eq!((review.finding, review.note.as_str()), (Finding::Justified, "it was one"));
        assert_eq!(seen.reviewer.unwrap().id, ground.bob.user.id);
        assert!(found(ground, &power, id).await.unwrap_err().message.contains("looked at this already"));
        assert!(listed(ground, &viewer, Some(false)).await.is_empty());
        assert_eq!(listed(ground, &viewer, Some(true)).await.len(), 1);
        assert_eq!(listed(ground, &viewer, None).await.len(), 1);
        assert_eq!(count_unreviewed(&ground.app, &viewer).await.unwrap(), 0);
    }

    async fn what_was_no_emergency_is_not_found_among_them(ground) {
        ground.flow("open", Some(30), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        let power = with_role(ground, Role::PowerUser);
        assert!(listed(ground, &power, None).await.is_empty());
        let id = request.request.id.as_str();
        let refused = review_emergency(&ground.app, &power, id, Finding::NotJustified, "no").await;
        assert_eq!(refused.unwrap_err().code, "NotFound");
    }
}
