//! Ends without being told, and what nothing explains.

use std::time::Duration;

use futures::future::join_all;
use latchkey_domain::{
    ids::{InstallationId, UnitId},
    provisioning::{ClaimState, FaultClass, KnownSession},
};
use latchkey_integrations::{ApplyError, Integration, postgresql::PostgreSql};
use latchkey_testkit::wait_for;
use secrecy::ExposeSecret;

use crate::{
    contract::{CrashAt, Harness, Session, state, work, work_for, work_with},
    harness::{PgHarness, run, value},
    stalled::Stalled,
};

const LONG: Duration = Duration::from_mins(1);

/// Another process than the one that granted removes exactly what has ended, on time.
pub async fn claims_end_by_the_targets_clock(h: &PgHarness) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let other = h.other();
    let target = h.target();
    let claims = [low.claim("short", 3), other.claim("longer", 8)];
    let desired = session.desire_login(&claims, &[]);
    let login = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let open = h.log_in(&login, &low).await.unwrap();
    assert!(h.can(&open, &low.probe).await);
    let sweeper = PostgreSql::new();
    let first = wait_for("the first end", LONG, async || {
        sweeper.expire(&target, &work()).await.unwrap().pop()
    })
    .await
    .unwrap();
    assert_eq!(first.session_id, *session.id());
    assert_eq!(first.units, [UnitId::new("short")]);
    assert!(first.removed_at >= claims[0].ends_at.unwrap());
    assert!(!h.is_open(&open).await);
    let open = h.log_in(&login, &other).await.expect("the longer claim lives on");
    assert!(h.can(&open, &other.probe).await);
    let second = wait_for("the second end", LONG, async || {
        sweeper.expire(&target, &work()).await.unwrap().pop()
    })
    .await
    .unwrap();
    assert_eq!(second.units, [UnitId::new("longer")]);
    assert!(!h.is_open(&open).await);
    assert!(h.left_of(session.principal()).await.is_empty());
    // The server's own task finds it done.
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claims)).await.unwrap();
    assert_eq!(state(&applied, "short"), ClaimState::Absent);
    assert!(!applied.receipt.principal_exists);
}

/// With server and connectors down the server itself refuses new logins after the end.
pub async fn native_expiry_refuses_logins(h: &PgHarness) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let desired = session.desire_login(&[low.claim("u", 2)], &[]);
    let login =
        h.module().apply(&h.target(), &work(), &desired).await.unwrap().credentials.unwrap();
    wait_for("the login to be refused", LONG, async || {
        h.log_in(&login, &low).await.is_none().then_some(())
    })
    .await
    .unwrap();
    assert!(h.left_of(session.principal()).await.contains(&"role".to_owned()));
}

/// Principals of another installation on the same cluster are reported, never changed.
pub async fn another_installation_is_never_touched(h: &PgHarness) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let mut theirs = h.target();
    theirs.installation_id = InstallationId::new(format!("{}-other", theirs.installation_id));
    let desired = session.desire_login(&[low.claim("u", 1)], &[]);
    let login = h.module().apply(&theirs, &work(), &desired).await.unwrap().credentials.unwrap();
    wait_for("the end", LONG, async || h.log_in(&login, &low).await.is_none().then_some(()))
        .await
        .unwrap();
    let ours = h.target();
    assert!(h.module().expire(&ours, &work()).await.unwrap().is_empty());
    let drift = h.module().reconcile(&ours, &work(), &[], true).await.unwrap();
    let finding = drift.iter().find(|finding| finding.subject == session.principal()).unwrap();
    assert!(!finding.removed && finding.message.contains("another installation"));
    let refused =
        h.module().apply(&ours, &work(), &session.desire(&[], &[low.claim("u", 1)])).await;
    assert!(refused.unwrap_err().to_string().contains("not touched"));
    assert!(!h.left_of(session.principal()).await.is_empty());
    let expired = h.module().expire(&theirs, &work()).await.unwrap();
    assert_eq!(expired.len(), 1);
}

/// A principal that nothing explains is left alone for 15 minutes, then listed, then removed.
pub async fn reconcile_removes_only_old_principals_of_its_own(h: &PgHarness) {
    let session = Session::new();
    let principal = session.principal();
    let (low, _) = h.low_and_high();
    let target = h.target();
    let desired = session.desire_login(&[low.claim("u", 6000)], &[]);
    h.module().apply(&target, &work(), &desired).await.unwrap();
    let drift = h.module().reconcile(&target, &work(), &[], true).await.unwrap();
    assert!(!drift.iter().any(|finding| finding.subject == principal), "{drift:?}");
    // 16 minutes pass in the marker.
    let comment =
        value(&h.admin, &format!("SELECT shobj_description('{principal}'::regrole, 'pg_authid')"))
            .await;
    let mut marker: serde_json::Value = serde_json::from_str(&comment).unwrap();
    marker["created"] = (marker["created"].as_i64().unwrap() - 16 * 60 * 1000).into();
    run(&h.admin, &format!("COMMENT ON ROLE {principal} IS '{marker}'")).await;
    let known = [KnownSession {
        session_id: session.id().clone(),
        principal: principal.to_owned(),
        units: vec![UnitId::new("u")],
    }];
    let drift = h.module().reconcile(&target, &work(), &known, true).await.unwrap();
    assert!(!drift.iter().any(|finding| finding.subject == principal), "{drift:?}");
    let drift = h.module().reconcile(&target, &work(), &[], false).await.unwrap();
    assert!(drift.iter().any(|finding| finding.subject == principal && !finding.removed));
    assert!(!h.left_of(principal).await.is_empty());
    let drift = h.module().reconcile(&target, &work(), &[], true).await.unwrap();
    assert!(drift.iter().any(|finding| finding.subject == principal && finding.removed));
    assert!(h.left_of(principal).await.is_empty());
}

/// Drift: memberships, attributes and roles that hands changed.
pub async fn reconcile_reports_what_hands_changed(h: &PgHarness) {
    let session = Session::new();
    let principal = session.principal();
    let (low, _) = h.low_and_high();
    let target = h.target();
    let desired = session.desire_login(&[low.claim("u", 6000)], &[]);
    h.module().apply(&target, &work(), &desired).await.unwrap();
    let known = [KnownSession {
        session_id: session.id().clone(),
        principal: principal.to_owned(),
        units: vec![UnitId::new("u")],
    }];
    let look = async || {
        let drift = h.module().reconcile(&target, &work(), &known, true).await.unwrap();
        let of = drift.into_iter().find(|finding| finding.subject == principal);
        of.map_or(String::new(), |finding| finding.message)
    };
    assert_eq!(look().await, "");
    run(
        &h.admin,
        &format!("GRANT pg_read_all_data TO {principal}; ALTER ROLE {principal} NOLOGIN"),
    )
    .await;
    let message = look().await;
    assert!(message.contains("pg_read_all_data") && message.contains("LOGIN"), "{message}");
    h.drop_by_hand(principal).await;
    assert!(look().await.contains("not there"));
}

/// A group whose table is gone and that has no members goes; a live one stays.
pub async fn reconcile_drops_groups_whose_object_is_gone(h: &PgHarness) {
    let session = Session::new();
    let items = h.table(&h.main, "items", "READ_ONLY").await.claim("i", 600);
    let orders = h.table(&h.main, "orders", "READ_ONLY").await.claim("o", 600);
    let target = h.target();
    let both = [items, orders];
    h.module().apply(&target, &work(), &session.desire_login(&both, &[])).await.unwrap();
    h.module().apply(&target, &work(), &session.desire(&[], &both)).await.unwrap();
    let count = format!(
        "SELECT count(*) FROM pg_roles WHERE rolname ~ '^lk_g_' AND strpos(shobj_description(oid, \
         'pg_authid'), '{}') > 0",
        target.installation_id
    );
    assert_eq!(h.value(&count).await, "4", "two tables, a schema, a database");
    run(&h.admin, "DROP TABLE public.items").await;
    h.module().reconcile(&target, &work(), &[], true).await.unwrap();
    assert_eq!(h.value(&count).await, "3");
    // Eight days without a member pass in the markers; the parents go once nobody joins them.
    for _ in 0..5 {
        let age = format!(
            "DO $$ DECLARE g record; BEGIN FOR g IN SELECT rolname, shobj_description(oid, \
             'pg_authid')::jsonb AS m FROM pg_roles WHERE rolname ~ '^lk_g_' AND \
             strpos(shobj_description(oid, 'pg_authid'), '{}') > 0 LOOP IF g.m ? 'idle_since' THEN \
             EXECUTE format('COMMENT ON ROLE %I IS %L', g.rolname, jsonb_set(g.m, '{{idle_since}}', \
             to_jsonb((g.m->>'idle_since')::bigint - 8 * 86400000::bigint))); END IF; END LOOP; END $$",
            target.installation_id
        );
        run(&h.admin, &age).await;
        h.module().reconcile(&target, &work(), &[], true).await.unwrap();
    }
    assert_eq!(h.value(&count).await, "0");
}

/// Many that end in one second: none waits for another, and every open session ends.
pub async fn many_ends_in_one_second(h: &PgHarness) {
    let (low, _) = h.low_and_high();
    let target = h.target();
    let end = low.claim("u", 20);
    let mut open = Vec::new();
    let sessions: Vec<Session> = (0..12).map(|_| Session::new()).collect();
    for session in &sessions {
        let desired = session.desire_login(std::slice::from_ref(&end), &[]);
        let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
        open.push(h.log_in(&applied.credentials.unwrap(), &low).await.unwrap());
    }
    let mut expired = Vec::new();
    wait_for("all to end", LONG, async || {
        expired.extend(h.module().expire(&target, &work()).await.unwrap());
        (expired.len() >= sessions.len()).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(expired.len(), sessions.len(), "each is told once");
    for session in &open {
        assert!(!h.is_open(session).await);
    }
    for session in &sessions {
        assert!(h.left_of(session.principal()).await.is_empty());
    }
}

/// A lock that somebody holds in the target ends the attempt with its lease, as something that
/// passes; a database that is read-only by default is written to all the same.
pub async fn a_slow_target_is_tried_again(h: &PgHarness) {
    run(&h.admin, &format!("ALTER DATABASE {} SET default_transaction_read_only = on", h.main))
        .await;
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u", 600)];
    let target = h.target();
    let desired = session.desire_login(&claim, &[]);
    h.module().apply(&target, &work(), &desired).await.unwrap();
    let sql = format!("BEGIN READ WRITE; COMMENT ON ROLE {} IS 'held'", session.principal());
    run(&h.admin, &sql).await;
    let lease = work_for(Duration::from_secs(1));
    let stuck = h.module().apply(&target, &lease, &session.desire(&[], &claim)).await;
    let Err(ApplyError::Fault(fault)) = stuck else { panic!("{stuck:?}") };
    assert_eq!(fault.class, FaultClass::Transient, "{fault}");
    run(&h.admin, "ROLLBACK").await;
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
}

/// A sweep that dies between its steps is made good by the next one.
pub async fn killed_while_ending_access(h: &PgHarness) {
    let (low, _) = h.low_and_high();
    let other = h.other();
    let target = h.target();
    let points = [
        ("pg.expire.committed", true),
        ("pg.cut.sessions_ended", true),
        ("pg.revoke.ending", false),
        ("pg.revoke.sessions_ended", false),
        ("pg.revoke.emptied", false),
        ("pg.revoke.dropped", false),
    ];
    for (point, lives_on) in points {
        let session = Session::new();
        let mut claims = vec![low.claim("short", 2)];
        if lives_on {
            claims.push(other.claim("long", 600));
        }
        let desired = session.desire_login(&claims, &[]);
        let login = h.module().apply(&target, &work(), &desired).await.unwrap();
        let login = login.credentials.unwrap();
        let open = h.log_in(&login, &low).await.unwrap();
        wait_for("the sweep to die", LONG, async || {
            let crash = CrashAt::new(point, 1);
            let until_death = work_with(crash.clone());
            let sweep = h.module().expire(&target, &until_death);
            crash.run(sweep).await.is_none().then_some(())
        })
        .await
        .unwrap();
        h.module().expire(&target, &work()).await.unwrap();
        assert!(!h.is_open(&open).await, "{point}: an old session survived");
        if lives_on {
            let open = h.log_in(&login, &other).await.expect("the other claim lives on");
            assert!(h.can(&open, &other.probe).await);
            h.module().expire(&target, &work()).await.unwrap();
            assert!(h.is_open(&open).await, "{point}: a new session is left alone");
        } else {
            assert!(h.log_in(&login, &low).await.is_none(), "{point}");
        }
        let applied =
            h.module().apply(&target, &work(), &session.desire(&[], &claims)).await.unwrap();
        assert!(!applied.receipt.principal_exists, "{point}: {:?}", applied.receipt);
    }
}

/// Many that are revoked at once share their looks for sessions, and no more connections are
/// open to the target than its pool has places.
pub async fn many_are_revoked_at_once(h: &PgHarness) {
    let (low, _) = h.low_and_high();
    let target = h.target();
    let claim = low.claim("u", 600);
    let sessions: Vec<Session> = (0..16).map(|_| Session::new()).collect();
    let granted = sessions.iter().map(async |session| {
        let desired = session.desire_login(std::slice::from_ref(&claim), &[]);
        h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap()
    });
    let logins = join_all(granted).await;
    let mut open = Vec::new();
    for login in logins.iter().step_by(4) {
        open.push(h.log_in(login, &low).await.unwrap());
    }
    let revoked = sessions.iter().map(async |session| {
        let desired = session.desire(&[], std::slice::from_ref(&claim));
        h.module().apply(&target, &work(), &desired).await.unwrap()
    });
    for applied in join_all(revoked).await {
        assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
        assert_eq!(state(&applied, "u"), ClaimState::Absent);
    }
    for session in &open {
        assert!(!h.is_open(session).await);
    }
    let connections = h.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'latchkey' AND datname = current_database()").await;
    assert!(connections.parse::<u32>().unwrap() <= 16, "{connections}");
}

/// Where the provisioner may have two connections, what comes at once waits for one of them.
pub async fn a_connection_limit_makes_work_wait(h: &PgHarness) {
    let (low, _) = h.low_and_high();
    let claim = low.claim("u", 600);
    let narrow = format!("{}_narrow", h.owner());
    run(
        &h.admin,
        &format!(
            "CREATE ROLE {narrow} LOGIN PASSWORD 'narrow' CONNECTION LIMIT 2; \
             GRANT latchkey_provisioner TO {narrow}"
        ),
    )
    .await;
    let mut target = h.target();
    target.secret.insert("username".into(), narrow.as_str().into());
    target.secret.insert("password".into(), "narrow".into());
    let sessions: Vec<Session> = (0..8).map(|_| Session::new()).collect();
    for (claims, removed) in [(vec![claim.clone()], vec![]), (vec![], vec![claim])] {
        let all = sessions.iter().map(async |session| {
            let desired = session.desire(&claims, &removed);
            h.module().apply(&target, &work(), &desired).await.unwrap()
        });
        for applied in join_all(all).await {
            assert_eq!(applied.receipt.principal_exists, removed.is_empty(), "{applied:?}");
        }
    }
    run(&h.admin, &format!("DROP ROLE {narrow}")).await;
}

/// A login that has begun before a reset ends with the old password. It is ended by the sweeps,
/// which come often until no such login can be under way any more.
pub async fn a_login_that_stalls_across_a_reset_is_ended(h: &PgHarness) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u", 600)];
    let target = h.target();
    let desired = session.desire_login(&claim, &[]);
    let old = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let address = (target.config["hostname"].as_str(), target.config["port"].parse().unwrap());
    let (user, password) = (&old.username, old.password.expose_secret());
    let mut stalled = Stalled::begin(address, user, &h.main, password).await;
    let desired = session.desire_login(&claim, &[]);
    let new = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    assert!(h.module().sweep_often_until(&target.integration_id).is_some());
    assert!(stalled.finish().await, "the server lets it in: the sweep is needed");
    let open = h.log_in(&new, &low).await.unwrap();

    // Another process sees in the marker what is to be done.
    let sweeper = PostgreSql::new();
    assert!(sweeper.expire(&target, &work()).await.unwrap().is_empty());
    assert!(!stalled.is_open().await, "the old password let somebody in");
    assert!(h.is_open(&open).await, "the new one is left alone");
    assert!(sweeper.sweep_often_until(&target.integration_id).is_some());

    // The server gives a login a minute at most; then nothing more is looked for.
    let marker = format!("SELECT shobj_description('{user}'::regrole, 'pg_authid')");
    let mut noted: serde_json::Value = serde_json::from_str(&h.value(&marker).await).unwrap();
    noted["cut_until"] = (noted["cut_until"].as_i64().unwrap() - 120_000).into();
    run(&h.admin, &format!("COMMENT ON ROLE {user} IS '{noted}'")).await;
    for _ in 0..2 {
        sweeper.expire(&target, &work()).await.unwrap();
    }
    assert!(!h.value(&marker).await.contains("cut"));
    assert!(sweeper.sweep_often_until(&target.integration_id).is_none());
    assert!(h.is_open(&open).await);
}
