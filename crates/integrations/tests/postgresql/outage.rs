//! A server of one's own that goes away and comes back; prepared transactions; a replica.

use latchkey_domain::provisioning::{ClaimState, FaultClass};
use latchkey_integrations::{ApplyError, Integration};
use latchkey_testkit::systems::{Durability, Postgres, PostgresVersion};

use crate::{
    contract::{CrashAt, Harness, Session, state, work, work_with},
    harness::{PgHarness, Place, run},
};

#[tokio::test]
async fn a_target_that_was_down_is_revoked_when_it_answers_on_15() {
    goes_away_and_comes_back(PostgresVersion::V15).await;
}

#[tokio::test]
async fn a_target_that_was_down_is_revoked_when_it_answers_on_18() {
    goes_away_and_comes_back(PostgresVersion::V18).await;
}

/// Runs a blocking step of the launcher.
async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(step).await.unwrap()
}

/// Down at a revoke: said so, and done as soon as the server answers. A restart in between is
/// noticed. Prepared transactions of the principal are rolled back first.
async fn goes_away_and_comes_back(version: PostgresVersion) {
    let mut server = blocking(move || {
        let mut server = Postgres::start_with(version, Durability::Unsynced).unwrap();
        server.sql("postgres", "ALTER SYSTEM SET max_prepared_transactions = 5").unwrap();
        server.restart().unwrap();
        server
    })
    .await;
    let h = PgHarness::on(Place::of(&server)).await;
    let session = Session::new();
    let write = h.table(&h.main, "orders", "READ_WRITE").await.claim("u", 600);
    let mut target = h.target();
    let place = format!("{}:{}", target.config["hostname"], target.config["port"]);
    target.config.insert("replicas".into(), place);
    let claim = [write];
    let desired = session.desire_login(&claim, &[]);
    let login = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let client = h.connect(&login, &h.main).await.unwrap();
    run(&client, "BEGIN; INSERT INTO public.orders(what) VALUES ('p')").await;
    run(&client, "PREPARE TRANSACTION 'it''s \\ mine'").await;

    // The module's connections are stale after this.
    server = blocking(move || {
        server.restart().unwrap();
        server
    })
    .await;
    let applied = h.module().apply(&target, &work(), &session.desire(&claim, &[])).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present);

    server = blocking(move || {
        server.stop().unwrap();
        server
    })
    .await;
    let down = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await;
    let Err(ApplyError::Fault(fault)) = down else { panic!("{down:?}") };
    assert_eq!(fault.class, FaultClass::Unreachable, "{fault}");
    assert!(h.module().expire(&target, &work()).await.is_err());

    let server = blocking(move || {
        server.start_again().unwrap();
        server
    })
    .await;
    let open = h.connect(&login, &h.main).await.unwrap();
    for point in ["pg.revoke.prepared_rolled_back", "pg.revoke.replica_clear"] {
        let crash = CrashAt::new(point, 1);
        let until_death = work_with(crash.clone());
        let desired = session.desire(&[], &claim);
        let run = h.module().apply(&target, &until_death, &desired);
        assert!(crash.run(run).await.is_none(), "{point} was not met");
    }
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Absent);
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    assert!(open.batch_execute("SELECT 1").await.is_err());
    let admin = h.admin_in(&h.main).await;
    let prepared = crate::harness::value(&admin, "SELECT count(*) FROM pg_prepared_xacts").await;
    assert_eq!(prepared, "0");
    drop(server);
}
