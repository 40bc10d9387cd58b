//! Prolonging running access: in force once the target has it, and never endless.

use jiff::{SignedDuration, Timestamp};
use latchkey_app::{
    AppError, ErrorKind,
    requests::{RequestView, extend_request, get_client_request},
    wildcard::text_match,
};
use latchkey_domain::{
    Clock,
    flow::AccessFlow,
    ids::RequestId,
    people::UserStatus,
    policy::extensions::Availability,
    request::{AccessRequest, RequestState},
};
use latchkey_protocol::Operation;
use latchkey_store::{AuditFilter, PageQuery};

use crate::{
    ground::{Ground, Mood},
    on_both_databases,
};

/// A flow by which Ana may read for an hour, and extend that twice by half an hour.
async fn extendable(ground: &Ground) -> AccessFlow {
    let mut flow = ground.flow("read", Some(60), &[]).await;
    flow.policy.settings.max_extensions = 2;
    flow.policy.settings.extension_duration_in_min = 30;
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    flow
}

/// Ana's access to these tables, in place.
async fn active(ground: &mut Ground, tables: &[&str]) -> RequestView {
    let request = ground.ask(tables, None).await;
    ground.settle().await;
    assert_eq!(ground.state(&request).await, RequestState::Active);
    request
}

async fn extend(ground: &Ground, request: &RequestView) -> Result<RequestId, AppError> {
    extend_request(&ground.app, &ground.ana, request.request.id.as_str()).await
}

async fn seen(ground: &Ground, request: &RequestView) -> RequestView {
    let id = request.request.id.as_str();
    get_client_request(&ground.app, &ground.ana, id).await.unwrap()
}

async fn row(ground: &Ground, request: &RequestView) -> AccessRequest {
    seen(ground, request).await.request
}

fn after(from: Timestamp, minutes: i64) -> Timestamp {
    from + SignedDuration::from_mins(minutes)
}

async fn records_of(ground: &Ground, action: &str) -> usize {
    let filter = AuditFilter { actions: vec![text_match(action)], ..AuditFilter::default() };
    let page = PageQuery::first(100);
    ground.write(async |tx| tx.list_audit(&filter, &page).await.unwrap()).await.len()
}

on_both_databases! {
    async fn an_extension_is_in_force_once_the_target_has_it_and_not_before(ground) {
        extendable(ground).await;
        let began = ground.clock.now();
        let request = active(ground, &["orders", "customers"]).await;
        let options = seen(ground, &request).await.extend_options;
        let said = (options.availability, options.remaining, options.step_sec);
        assert_eq!(said, (Availability::Available, 2, 1800));
        ground.pass(600).await;
        extend(ground, &request).await.unwrap();

        let now = seen(ground, &request).await;
        assert_eq!(now.request.ends_at, Some(after(began, 60)), "the old end stands");
        assert_eq!(now.request.extending_to, Some(after(began, 90)));
        assert_eq!(now.extend_options.availability, Availability::Extending);
        assert_eq!(extend(ground, &request).await.unwrap_err().kind, ErrorKind::Conflict);

        ground.settle().await;
        let now = seen(ground, &request).await;
        assert_eq!((now.request.ends_at, now.request.extending_to), (Some(after(began, 90)), None));
        assert_eq!((now.request.extension_count, now.extend_options.remaining), (1, 1));
        assert!(now.units.iter().all(|unit| unit.ends_at == Some(after(began, 90))));

        ground.pass(3000).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active, "the old end has passed");
        assert_eq!(ground.held().len(), 2);
        ground.pass(1800).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
        for action in ["access_request.extension_asked", "access_request.extended"] {
            assert_eq!(records_of(ground, action).await, 1, "{action}");
        }
    }

    async fn a10_the_flow_says_how_often_and_its_present_version_counts(ground) {
        let mut flow = extendable(ground).await;
        let request = active(ground, &["orders"]).await;
        for _ in 0..2 {
            extend(ground, &request).await.unwrap();
            ground.settle().await;
        }
        let refused = extend(ground, &request).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(refused.message.contains("allows 2 extensions"), "{refused}");
        assert_eq!(row(ground, &request).await.extension_count, 2);

        let other = active(ground, &["customers"]).await;
        flow.policy.settings.max_extensions = 0;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        assert_eq!(extend(ground, &other).await.unwrap_err().kind, ErrorKind::Conflict);
        flow.policy.settings.max_extensions = 2;
        flow.active = false;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let inactive = extend(ground, &other).await.unwrap_err();
        assert!(inactive.message.contains("inactive"), "{inactive}");
        flow.active = true;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let mut ana = ground.ana.user.clone();
        ana.status = UserStatus::Disabled;
        ground.write(async |tx| tx.update_user(&ana).await.unwrap()).await;
        assert_eq!(extend(ground, &other).await.unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(row(ground, &other).await.extending_to, None);
    }

    async fn b01_an_extension_in_the_last_millisecond_never_makes_access_endless(ground) {
        extendable(ground).await;
        let request = active(ground, &["orders"]).await;
        let end = row(ground, &request).await.ends_at.unwrap();
        ground.set_clock(end - SignedDuration::from_millis(1)).await;
        extend(ground, &request).await.unwrap();
        ground.set_clock(end).await;
        assert_eq!(extend(ground, &request).await.unwrap_err().kind, ErrorKind::Conflict);
        ground.settle().await;
        let now = row(ground, &request).await;
        assert_eq!((now.state, now.ends_at), (RequestState::Revoked, Some(end)));
        assert_eq!((now.extending_to, now.extension_count), (None, 0), "it never was in force");
        assert!(ground.target.is_empty());
    }

    async fn b01_a_target_that_takes_the_later_end_too_late_loses_the_access(ground) {
        extendable(ground).await;
        let request = active(ground, &["orders"]).await;
        let end = row(ground, &request).await.ends_at.unwrap();
        ground.set_clock(end - SignedDuration::from_secs(1)).await;
        extend(ground, &request).await.unwrap();
        let tasks = ground.lease().await;
        let [task] = tasks.as_slice() else { panic!("one task, not {}", tasks.len()) };
        let Operation::Apply(desired) = task.operation.clone() else { panic!("an apply task") };
        assert_eq!(desired.extensions.len(), 1);
        assert_eq!(desired.claims[0].ends_at, Some(end), "the end that stands goes with it");
        let outcome = ground.apply(&desired);
        ground.set_clock(end).await;
        ground.answer(task, outcome).await;
        assert_eq!(row(ground, &request).await.ends_at, Some(end));
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn one_claim_without_the_later_end_keeps_the_old_one_for_all(ground) {
        extendable(ground).await;
        let request = active(ground, &["orders", "customers"]).await;
        let end = row(ground, &request).await.ends_at.unwrap();
        ground.mood = Mood::ExtendsAllBut("customers");
        extend(ground, &request).await.unwrap();
        ground.work().await;
        let now = row(ground, &request).await;
        assert_eq!((now.ends_at, now.extension_count), (Some(end), 0));
        assert!(now.extending_to.is_some());
        ground.set_clock(end).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        ground.mood = Mood::Works;
        assert!(ground.target.is_empty());
    }

    async fn a_target_that_was_away_extends_as_soon_as_it_answers(ground) {
        extendable(ground).await;
        let request = active(ground, &["orders"]).await;
        let end = row(ground, &request).await.ends_at.unwrap();
        ground.mood = Mood::Unreachable;
        extend(ground, &request).await.unwrap();
        ground.work().await;
        assert_eq!(row(ground, &request).await.ends_at, Some(end));
        ground.mood = Mood::Works;
        ground.pass(60).await;
        ground.settle().await;
        assert_eq!(row(ground, &request).await.ends_at, Some(after(end, 30)));
    }

    async fn access_that_is_ended_early_takes_its_extension_with_it(ground) {
        extendable(ground).await;
        let request = active(ground, &["orders"]).await;
        extend(ground, &request).await.unwrap();
        let id = request.request.id.as_str();
        latchkey_app::requests::revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        ground.settle().await;
        let now = row(ground, &request).await;
        assert_eq!((now.state, now.extending_to), (RequestState::Revoked, None));
        assert_eq!(extend(ground, &request).await.unwrap_err().kind, ErrorKind::Conflict);
    }

    async fn nobody_extends_the_access_of_others(ground) {
        let mut flow = ground.flow("read", Some(60), &[&ground.bob]).await;
        flow.policy.settings.max_extensions = 1;
        flow.policy.settings.extension_duration_in_min = 30;
        ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
        let request = ground.ask(&["orders"], None).await;
        let id = request.request.id.as_str();
        let early = extend(ground, &request).await.unwrap_err();
        assert_eq!(early.kind, ErrorKind::Conflict, "not in place yet");
        latchkey_app::requests::approve_request(&ground.app, &ground.bob, id, None, None)
            .await
            .unwrap();
        ground.settle().await;
        for other in [&ground.bob, &ground.cleo] {
            let refused = extend_request(&ground.app, other, id).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::NotFound);
        }
    }
}
