//! A server of one's own that goes away and comes back; prepared transactions; a replica.

use latchkey_domain::provisioning::{ClaimState, FaultClass};
use latchkey_integrations::{ApplyError, Integration, postgresql::PostgreSql};
use latchkey_testkit::systems::{Durability, Postgres, PostgresVersion};

use crate::{
    contract::{CrashAt, Harness, Session, fault, state, work, work_with},
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

#[tokio::test]
async fn sessions_of_a_role_dropped_by_hand_on_15() {
    a_role_is_dropped_under_its_sessions(PostgresVersion::V15).await;
}

#[tokio::test]
async fn sessions_of_a_role_dropped_by_hand_on_18() {
    a_role_is_dropped_under_its_sessions(PostgresVersion::V18).await;
}

/// Who remembers the role's oid ends its sessions and no others. Who does not ends none: what may
/// be the principal's is told, and the request is not over.
async fn a_role_is_dropped_under_its_sessions(version: PostgresVersion) {
    let server =
        blocking(move || Postgres::start_with(version, Durability::Unsynced).unwrap()).await;
    let h = PgHarness::on(Place::of(&server)).await;
    run(&h.admin, "GRANT pg_signal_backend TO latchkey_provisioner").await;
    let (low, _) = h.low_and_high();
    let target = h.target();
    let drop_only = async |principal: &str| {
        run(&h.admin, &format!("DROP ROLE {principal}")).await;
    };
    // Somebody else's session, of a role that is gone.
    let (foreign, claim) = (Session::new(), low.claim("f", 600));
    let desired = foreign.desire_login(std::slice::from_ref(&claim), &[]);
    let login = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let of_another = h.log_in(&login, &low).await.unwrap();
    drop_only(foreign.principal()).await;

    for remembers in [false, true] {
        let (session, claim) = (Session::new(), [low.claim("u", 600)]);
        let desired = session.desire_login(&claim, &[]);
        let login = h.module().apply(&target, &work(), &desired).await.unwrap();
        let open = h.log_in(&login.credentials.unwrap(), &low).await.unwrap();
        drop_only(session.principal()).await;
        let stranger = PostgreSql::new();
        let module = if remembers { h.module() } else { &stranger };
        let applied = module.apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
        if remembers {
            assert_eq!(state(&applied, "u"), ClaimState::Absent);
            assert_eq!(applied.receipt.sessions_ended, 1);
        } else {
            assert_eq!(state(&applied, "u"), ClaimState::Unknown);
            assert_eq!(applied.receipt.open_sessions, 2, "its own and the other's");
            let said = fault(&applied, "u");
            assert!(said.contains("pg_terminate_backend"), "{said}");
        }
        assert_eq!(h.is_open(&open).await, !remembers);
        assert!(h.is_open(&of_another).await, "another's session was ended");
    }
    drop(server);
}
