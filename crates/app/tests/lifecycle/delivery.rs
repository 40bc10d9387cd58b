//! Tasks are delivered at least once and applied once.

use futures::future::join_all;
use latchkey_app::{ConnectorActor, ErrorKind, connector_protocol::task_result};
use latchkey_domain::{
    ids::{ConnectorId, ConnectorSessionId},
    integration::{IntegrationStatus, SecretStore},
    request::RequestState,
};
use latchkey_protocol::{Heartbeat, Operation, SecretSource, TaskResult, VERSION, sealing};
use secrecy::{ExposeSecret, SecretString};

use crate::{ground::Ground, on_both_databases};

fn another_process(ground: &mut Ground) -> ConnectorSessionId {
    std::mem::replace(&mut ground.process, ConnectorSessionId::new("process-2"))
}

on_both_databases! {
    async fn a_task_whose_process_died_is_done_by_another_after_ten_seconds(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.lease().await.len(), 1);
        another_process(ground);
        ground.beat(None).await;
        assert!(ground.lease().await.is_empty(), "the lease still holds");
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn a_process_that_starts_again_takes_its_leases_back_at_once(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.lease().await.len(), 1);
        let former = another_process(ground);
        ground.beat(Some(former)).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn f05_a_late_result_of_a_former_lease_changes_nothing(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(300)).await;
        let late = ground.lease().await.remove(0);
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let Operation::Apply(desired) = &late.operation else { panic!("an apply task") };
        let outcome = ground.apply(desired);
        assert!(
            matches!(outcome, latchkey_protocol::Outcome::Fenced { .. }),
            "the target refuses the lower fence"
        );
        ground.answer(&late, outcome).await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        ground.pass(300).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
    }

    async fn an_answer_lost_after_the_grant_leads_to_the_same_access(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        let lost = ground.lease().await.remove(0);
        let Operation::Apply(desired) = &lost.operation else { panic!("an apply task") };
        let _ = ground.apply(desired);
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        assert_eq!(ground.target.len(), 1);
    }

    async fn a_change_that_comes_while_a_task_runs_is_applied_afterwards(ground) {
        ground.flow("read", Some(60), &[]).await;
        let first = ground.ask(&["orders"], None).await;
        let running = ground.lease().await.remove(0);
        let second = ground.ask(&["customers"], None).await;
        assert!(ground.lease().await.is_empty(), "one task a session at a time");
        let Operation::Apply(desired) = &running.operation else { panic!("an apply task") };
        let outcome = ground.apply(desired);
        ground.answer(&running, outcome).await;
        ground.settle().await;
        assert_eq!(ground.state(&first).await, RequestState::Active);
        assert_eq!(ground.state(&second).await, RequestState::Active);
        assert_eq!(ground.held().len(), 2);
    }

    async fn a_target_ahead_of_the_database_raises_the_fence_and_is_noticed(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        for principal in ground.target.values_mut() {
            principal.fence += 1000;
        }
        let id = request.request.id.as_str();
        latchkey_app::requests::revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(latchkey_app::reconcile::restore_is_unconfirmed(&ground.app).await.unwrap());
    }

    async fn results_that_arrive_together_are_stored_and_one_that_is_refused_takes_none_along(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        let task = ground.lease().await.remove(0);
        let Operation::Apply(desired) = &task.operation else { panic!("an apply task") };
        let outcome = ground.apply(desired);
        let stranger = ConnectorActor { connector_id: ConnectorId::new("stranger") };
        let senders = [&stranger, &ground.connector, &ground.connector, &stranger];
        let sent = senders.map(|sender| {
            let result = TaskResult {
                protocol: VERSION,
                session_id: ground.process.clone(),
                lease: task.lease,
                outcome: outcome.clone(),
            };
            task_result(&ground.app, sender, &task.id, result)
        });
        let answers = join_all(sent).await;
        assert_eq!(answers[0].as_ref().unwrap_err().kind, ErrorKind::NotFound);
        assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
        assert_eq!(ground.state(&request).await, RequestState::Active);
        assert!(ground.lease().await.is_empty());
    }

    async fn targets_are_said_again_when_they_have_changed(ground) {
        let first = ground.say(ground.heartbeat()).await;
        assert_eq!(first.integrations.len(), 1);
        assert_eq!(first.listens, ground.app.config().listens);
        assert!(!first.targets_unchanged);
        let knows = |version: &Option<String>| Heartbeat {
            targets: version.clone(),
            ..ground.heartbeat()
        };
        let again = ground.say(knows(&first.targets)).await;
        assert!(again.targets_unchanged && again.integrations.is_empty());
        assert_eq!(again.targets, first.targets);

        // A secret that is kept here, and then another.
        let id = ground.integration.clone();
        let mut former = first;
        for password in ["one", "two"] {
            ground
                .write(async |tx| {
                    let mut integration = tx.find_integration(&id).await.unwrap().unwrap();
                    let keys = vec!["password".to_owned()];
                    integration.secret_store = Some(SecretStore::Platform { keys });
                    tx.update_integration(&mut integration).await.unwrap();
                    let secret = [("password".to_owned(), SecretString::from(password))].into();
                    tx.put_integration_secret(&id, &secret).await.unwrap();
                })
                .await;
            let changed = ground.say(knows(&former.targets)).await;
            let SecretSource::Platform { sealed } = &changed.integrations[0].secret else {
                panic!("a secret that is kept here");
            };
            let opened = sealing::SealingKey::from_bytes([7; 32]).open_values(sealed).unwrap();
            assert_eq!(opened["password"].expose_secret(), password);
            assert!(ground.say(knows(&changed.targets)).await.targets_unchanged);
            // A process with another key has nothing of that.
            let other = sealing::SealingKey::from_bytes([8; 32]);
            let stranger = Heartbeat { public_key: other.public_key(), ..knows(&changed.targets) };
            let told = ground.say(stranger).await;
            let SecretSource::Platform { sealed } = &told.integrations[0].secret else {
                panic!("a secret that is kept here");
            };
            assert_eq!(other.open_values(sealed).unwrap()["password"].expose_secret(), password);
            former = changed;
        }

        // One that is switched off is not served any more.
        ground
            .write(async |tx| {
                let off = IntegrationStatus::Disabled;
                tx.set_integration_status(&id, off, None, None).await.unwrap();
            })
            .await;
        let off = ground.say(knows(&former.targets)).await;
        assert!(!off.targets_unchanged && off.integrations.is_empty());
    }
}
