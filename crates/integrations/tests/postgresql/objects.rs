//! What principals leave behind.

use latchkey_domain::provisioning::ClaimState;
use latchkey_integrations::{GeneratedCredentials, Integration};

use crate::{
    contract::{CrashAt, Harness, Session, fault, state, work, work_with},
    harness::{PgHarness, run},
};

async fn schema_admin(h: &PgHarness, session: &Session) -> GeneratedCredentials {
    let source = format!("schema:{}/public", h.main);
    let claims = [
        h.entitlement("schema", &source, "ADMIN").claim("s", 600),
        h.entitlement("schema", &format!("schema:{}/public", h.second), "ADMIN").claim("t", 600),
    ];
    let desired = session.desire_login(&claims, &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "s"), ClaimState::Present, "{}", fault(&applied, "s"));
    assert_eq!(state(&applied, "t"), ClaimState::Present, "{}", fault(&applied, "t"));
    applied.credentials.unwrap()
}

const OBJECTS: &str = "CREATE TABLE public.mine (id int); INSERT INTO public.mine VALUES (7); \
     CREATE VIEW public.my_view AS SELECT * FROM public.mine; CREATE TYPE public.my_type AS (a int); \
     CREATE FUNCTION public.my_function() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
     CREATE TEMP TABLE gone (id int); GRANT SELECT ON public.mine TO PUBLIC; \
     ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC";

/// Tables, views, types and functions in two databases live on, owned by the graveyard, which
/// keeps no right on the schema.
pub async fn objects_left_behind_go_to_the_graveyard(h: &PgHarness) {
    let session = Session::new();
    let login = schema_admin(h, &session).await;
    for database in [&h.main, &h.second] {
        run(&h.connect(&login, database).await.unwrap(), OBJECTS).await;
    }
    // A right by somebody else's hand, too.
    run(&h.admin, &format!("GRANT SELECT ON public.items TO {}", session.principal())).await;
    let applied = h.module().apply(&h.target(), &work(), &session.desire(&[], &[])).await.unwrap();
    let receipt = applied.receipt;
    assert!(!receipt.principal_exists && receipt.leftover.is_empty(), "{receipt:?}");
    assert_eq!(h.value("SELECT id FROM public.mine").await, "7");
    for database in [&h.main, &h.second] {
        let admin = h.admin_in(database).await;
        let owner = crate::harness::value(&admin, "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM pg_class WHERE relname IN ('mine', 'my_view')").await;
        assert!(owner.starts_with("lk_graveyard_"), "{owner}");
        let create = format!("SELECT has_schema_privilege('{owner}', 'public', 'CREATE')");
        assert_eq!(crate::harness::value(&admin, &create).await, "f");
    }
}

/// Killed between the steps of moving objects, and run again.
pub async fn killed_at_every_point_of_the_graveyard(h: &PgHarness) {
    for point in ["pg.revoke.graveyard_ready", "pg.revoke.objects_moved", "pg.revoke.emptied"] {
        let session = Session::new();
        let login = schema_admin(h, &session).await;
        let name = point.replace('.', "_");
        for database in [&h.main, &h.second] {
            let client = h.connect(&login, database).await.unwrap();
            run(&client, &format!("CREATE TABLE public.{name} (id int)")).await;
        }
        let crash = CrashAt::new(point, 1);
        let until_death = work_with(crash.clone());
        let (target, desired) = (h.target(), session.desire(&[], &[]));
        let run = h.module().apply(&target, &until_death, &desired);
        assert!(crash.run(run).await.is_none(), "{point} was not met");
        let applied = h.module().apply(&target, &work(), &session.desire(&[], &[])).await.unwrap();
        assert!(!applied.receipt.principal_exists, "{point}: {:?}", applied.receipt);
        assert!(h.left_of(session.principal()).await.is_empty());
    }
}

/// In a schema that the provisioner cannot touch the object stays with an inert role; access is
/// gone, and the rest follows when the right is given.
pub async fn an_object_that_cannot_be_moved_is_left_over(h: &PgHarness) {
    let session = Session::new();
    let principal = session.principal();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u", 600)];
    let target = h.target();
    let desired = session.desire_login(&claim, &[]);
    let login = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    run(
        &h.admin,
        &format!("CREATE SCHEMA locked; GRANT USAGE, CREATE ON SCHEMA locked TO {principal}"),
    )
    .await;
    let client = h.connect(&login, &h.main).await.unwrap();
    run(&client, "CREATE TABLE locked.mine (id int)").await;
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Absent, "access is gone");
    let receipt = applied.receipt;
    assert!(receipt.principal_exists && !receipt.can_log_in && receipt.open_sessions == 0);
    assert!(receipt.holds.is_empty() && !receipt.leftover.is_empty(), "{receipt:?}");
    assert!(client.batch_execute("SELECT 1").await.is_err());
    assert!(h.connect(&login, &h.main).await.is_err());
    run(&h.admin, "GRANT USAGE, CREATE ON SCHEMA locked TO latchkey_provisioner WITH GRANT OPTION")
        .await;
    run(&h.admin, &format!("REVOKE ALL ON SCHEMA locked FROM {principal}")).await;
    assert!(h.module().expire(&target, &work()).await.unwrap().is_empty(), "nothing to end");
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    assert!(h.left_of(principal).await.is_empty());
    assert_eq!(h.value("SELECT count(*) FROM locked.mine").await, "0");
}

/// On 15 a member can become its group and make objects as it; revoke moves them. From 16 on it
/// cannot become the group.
pub async fn what_a_member_makes_as_the_group_is_moved(h: &PgHarness) {
    let session = Session::new();
    let login = schema_admin(h, &session).await;
    let client = h.connect(&login, &h.main).await.unwrap();
    let group = h
        .value(&format!(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE \
             m.member = '{}'::regrole AND g.rolname ~ '^lk_g_' AND has_schema_privilege(g.oid, \
             'public', 'CREATE')",
            session.principal()
        ))
        .await;
    let became = client
        .batch_execute(&format!("SET ROLE {group}; CREATE TABLE public.as_group (id int)"))
        .await;
    let modern = h.value("SELECT current_setting('server_version_num')::int >= 160000").await;
    assert_eq!(became.is_err(), modern == "t");
    let applied = h.module().apply(&h.target(), &work(), &session.desire(&[], &[])).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    assert!(applied.receipt.notes.iter().all(|note| !note.contains("still owns")));
    if became.is_ok() {
        let owner = h
            .value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'as_group'")
            .await;
        assert!(owner.starts_with("lk_graveyard_"), "{owner}");
        let owns = format!(
            "SELECT count(*) FROM pg_auth_members WHERE roleid = '{group}'::regrole AND member = 'latchkey_provisioner'::regrole"
        );
        assert_eq!(h.value(&owns).await, "0");
    }
}
