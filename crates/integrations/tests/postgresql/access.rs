//! What each right gives and what it does not; what is refused.

use latchkey_domain::provisioning::ClaimState;
use latchkey_integrations::Integration;

use crate::{
    contract::{Harness, Session, fault, state, work},
    harness::{PgHarness, run, value},
};

/// `READ_WRITE` writes, also through the table's sequence; it does not empty the table. ADMIN does.
pub async fn the_next_right_up_works_when_granted(h: &PgHarness) {
    let session = Session::new();
    let write = h.table(&h.main, "orders", "READ_WRITE").await;
    let claim = write.claim("w", 600);
    let target = h.target();
    let desired = session.desire_login(std::slice::from_ref(&claim), &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    let login = applied.credentials.unwrap();
    let client = h.connect(&login, &h.main).await.unwrap();
    run(&client, "INSERT INTO public.orders(what) VALUES ('x'); UPDATE public.orders SET what = 'y'; DELETE FROM public.orders WHERE what = 'z'").await;
    for refused in [
        "TRUNCATE public.orders",
        "CREATE TRIGGER t BEFORE INSERT ON public.orders EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE public.orders ADD COLUMN x int",
        "SELECT * FROM public.items",
    ] {
        assert!(client.batch_execute(refused).await.is_err(), "{refused}");
    }
    // Without a grant option this gives a warning and nothing else.
    run(&client, "GRANT SELECT ON public.orders TO PUBLIC").await;
    let public = "SELECT has_table_privilege('public', 'public.orders', 'SELECT')";
    assert_eq!(value(&h.admin, public).await, "f");
    let admin = h.table(&h.main, "orders", "ADMIN").await.claim("a", 600);
    let applied =
        h.module().apply(&target, &work(), &session.desire(&[claim, admin], &[])).await.unwrap();
    assert_eq!(state(&applied, "a"), ClaimState::Present, "{}", fault(&applied, "a"));
    run(&client, "TRUNCATE public.orders").await;
    assert!(client.batch_execute("DROP TABLE public.orders").await.is_err());
}

/// A right on a schema covers tables, views and sequences; one made later joins at the next
/// discovery.
pub async fn a_schema_right_covers_its_tables(h: &PgHarness) {
    let owner = h.owner();
    run(
        &h.admin,
        &format!(
            "SET ROLE {owner}; CREATE VIEW public.big AS SELECT * FROM public.orders; RESET ROLE"
        ),
    )
    .await;
    let session = Session::new();
    let source = format!("schema:{}/public", h.main);
    let claim = h.entitlement("schema", &source, "READ_ONLY").claim("s", 600);
    let target = h.target();
    let desired = session.desire_login(&[claim], &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "s"), ClaimState::Present, "{}", fault(&applied, "s"));
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.orders, public.items, public.big; SELECT last_value FROM public.orders_id_seq").await;
    assert!(client.batch_execute("CREATE TABLE public.mine (id int)").await.is_err());
    run(&h.admin, &format!("SET ROLE {owner}; CREATE TABLE public.later (id int); RESET ROLE"))
        .await;
    assert!(client.batch_execute("SELECT * FROM public.later").await.is_err());
    crate::inventory::discover(h).await;
    run(&client, "SELECT * FROM public.later").await;
}

/// A right on a database covers every schema of its own; ADMIN makes objects in them.
pub async fn a_database_right_covers_its_schemas(h: &PgHarness) {
    let owner = h.owner();
    run(
        &h.admin,
        &format!(
            "SET ROLE {owner}; CREATE SCHEMA more; CREATE TABLE more.things (id int); RESET ROLE"
        ),
    )
    .await;
    let session = Session::new();
    let claim = h.entitlement("database", &format!("database:{}", h.main), "ADMIN").claim("d", 600);
    let target = h.target();
    let desired = session.desire_login(std::slice::from_ref(&claim), &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "d"), ClaimState::Present, "{}", fault(&applied, "d"));
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.orders, more.things; CREATE TABLE more.mine (id int); TRUNCATE more.things").await;
    assert!(client.batch_execute("CREATE SCHEMA mine").await.is_err());
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &[claim])).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
}

/// A plain role is given; one that is or reaches something powerful is not.
pub async fn a_role_is_given_by_membership_unless_it_is_powerful(h: &PgHarness) {
    let owner = h.owner();
    let (plain, strong, reaching) =
        (format!("{owner}_plain"), format!("{owner}_strong"), format!("{owner}_reaching"));
    run(
        &h.admin,
        &format!(
            "CREATE ROLE {plain}; CREATE ROLE {strong} CREATEROLE; CREATE ROLE {reaching}; \
             GRANT pg_read_server_files TO {reaching}; GRANT USAGE ON SCHEMA public TO {plain}; \
             GRANT SELECT ON public.items TO {plain}; \
             GRANT {plain}, {strong}, {reaching} TO latchkey_provisioner WITH ADMIN OPTION"
        ),
    )
    .await;
    let session = Session::new();
    let role = |name: &str, unit: &str| {
        h.entitlement("role", &format!("role:{name}"), "MEMBER").claim(unit, 600)
    };
    let claims = [
        role(&plain, "plain"),
        role(&strong, "strong"),
        role(&reaching, "reaching"),
        role("latchkey_provisioner", "provisioner"),
        role("pg_signal_backend", "signal"),
        role("pg_execute_server_program", "program"),
    ];
    let target = h.target();
    let desired = session.desire_login(&claims, &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "plain"), ClaimState::Present, "{}", fault(&applied, "plain"));
    for unit in ["strong", "reaching", "provisioner", "signal", "program"] {
        assert_eq!(state(&applied, unit), ClaimState::Absent, "{unit}");
        assert!(fault(&applied, unit).contains("is not given"), "{}", fault(&applied, unit));
    }
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.items").await;
    // What was given becomes powerful later: it is taken away at the next look.
    let found = crate::inventory::discover(h).await;
    let roles: Vec<&str> = found
        .iter()
        .filter(|resource| resource.resource_type == "postgresql-role")
        .map(|resource| resource.name.as_str())
        .collect();
    assert!(roles.contains(&plain.as_str()));
    assert!(!roles.contains(&strong.as_str()) && !roles.contains(&reaching.as_str()));
    assert!(!roles.iter().any(|role| role.starts_with("lk_")));
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claims)).await.unwrap();
    assert!(!applied.receipt.principal_exists);
    run(&h.admin, &format!("DROP OWNED BY {plain}; DROP ROLE {plain}, {strong}, {reaching}")).await;
}

/// One claim that cannot be given does not keep the others from being given.
pub async fn what_cannot_be_given_is_refused_claim_by_claim(h: &PgHarness) {
    run(&h.admin, "CREATE TABLE public.of_superuser (id int)").await;
    let session = Session::new();
    let good = h.table(&h.main, "orders", "READ_ONLY").await.claim("good", 600);
    let table = |path: &str, permission: &str, unit: &str| {
        h.entitlement("table", &format!("table:{path}"), permission).claim(unit, 600)
    };
    let main = &h.main;
    let claims = [
        good,
        table(&format!("{main}/public/nothing"), "READ_ONLY", "gone"),
        table(&format!("{main}/public/orders"), "EVERYTHING", "permission"),
        table(&format!("{main}/pg_catalog/pg_authid"), "READ_ONLY", "system"),
        table("postgres/public/x", "READ_ONLY", "unmanaged"),
        table(&format!("{main}/public/of_superuser"), "READ_ONLY", "superuser"),
        h.entitlement("table", "nonsense", "READ_ONLY").claim("nonsense", 600),
    ];
    let desired = session.desire_login(&claims, &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "good"), ClaimState::Present, "{}", fault(&applied, "good"));
    for (unit, words) in [
        ("gone", "does not exist any more"),
        ("permission", "is no permission"),
        ("system", "system"),
        ("unmanaged", "databases"),
        ("superuser", "member of the owner"),
        ("nonsense", "native id"),
    ] {
        assert_eq!(state(&applied, unit), ClaimState::Absent, "{unit}");
        assert!(fault(&applied, unit).contains(words), "{unit}: {}", fault(&applied, unit));
    }
    // Nothing at all can be given: no principal is made.
    let session = Session::new();
    let desired = session.desire_login(&claims[1..2], &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "gone"), ClaimState::Absent);
    assert!(applied.credentials.is_none() && !applied.receipt.principal_exists);
}

/// A table with another oid than the approved one is refused, unless names are followed.
pub async fn a_table_made_anew_is_another_table(h: &PgHarness) {
    let approved = h.table(&h.main, "items", "READ_ONLY").await;
    let owner = h.owner();
    run(&h.admin, &format!("SET ROLE {owner}; DROP TABLE public.items; CREATE TABLE public.items (id int); RESET ROLE")).await;
    let session = Session::new();
    let desired = session.desire_login(&[approved.claim("u", 600)], &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Absent);
    assert!(fault(&applied, "u").contains("made again"), "{}", fault(&applied, "u"));
    let mut target = h.target();
    target.config.insert("follow_names".into(), "true".into());
    let desired = session.desire_login(&[approved.claim("u", 600)], &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
}

/// What was learned about a table's groups is a guess: once the table is another, the guess is
/// wrong, and what is read then counts.
pub async fn a_table_made_anew_has_groups_of_its_own(h: &PgHarness) {
    let items = h.table(&h.main, "items", "READ_ONLY").await;
    let desired = Session::new().desire_login(&[items.claim("u", 600)], &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
    let owner = h.owner();
    run(&h.admin, &format!("SET ROLE {owner}; DROP TABLE public.items; CREATE TABLE public.items (id int); RESET ROLE")).await;
    let again = Session::new().desire_login(&[items.claim("u", 600)], &[]);
    let refused = h.module().apply(&h.target(), &work(), &again).await.unwrap();
    assert_eq!(state(&refused, "u"), ClaimState::Absent);
    assert!(fault(&refused, "u").contains("made again"), "{}", fault(&refused, "u"));
    let mut target = h.target();
    target.config.insert("follow_names".into(), "true".into());
    let again = Session::new().desire_login(&[items.claim("u", 600)], &[]);
    let applied = h.module().apply(&target, &work(), &again).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.items").await;
}

/// Too much on the group's own object is taken away; membership of something else is refused.
pub async fn a_group_changed_by_hand_is_repaired_or_refused(h: &PgHarness) {
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let target = h.target();
    let desired = session.desire_login(&[low.claim("u", 600)], &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    let login = applied.credentials.unwrap();
    let group = h
        .value(&format!(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN \
             pg_roles u ON u.oid = m.member WHERE u.rolname = '{}' AND g.rolname ~ '^lk_g_'",
            session.principal()
        ))
        .await;
    run(&h.admin, &format!("GRANT DELETE ON public.orders TO {group}; GRANT SELECT ON public.items TO {group}; GRANT UPDATE (what) ON public.orders TO {group}")).await;
    let applied = h
        .module()
        .apply(&target, &work(), &session.desire(&[low.claim("u", 600)], &[]))
        .await
        .unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
    let client = h.connect(&login, &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.orders").await;
    for refused in [
        "DELETE FROM public.orders",
        "SELECT * FROM public.items",
        "UPDATE public.orders SET what = 'x'",
    ] {
        assert!(client.batch_execute(refused).await.is_err(), "{refused}");
    }
    run(&h.admin, &format!("GRANT pg_read_all_data TO {group}")).await;
    let newcomer = Session::new();
    let desired = newcomer.desire_login(&[low.claim("n", 600)], &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "n"), ClaimState::Absent);
    assert!(fault(&applied, "n").contains("pg_read_all_data"), "{}", fault(&applied, "n"));
}

/// NOLOGIN, a membership more and one less are put right; a dangerous attribute is refused.
pub async fn a_principal_changed_by_hand_is_put_right(h: &PgHarness) {
    let session = Session::new();
    let principal = session.principal();
    let (low, _) = h.low_and_high();
    let target = h.target();
    let claim = [low.claim("u", 600)];
    let desired = session.desire_login(&claim, &[]);
    let login = h.module().apply(&target, &work(), &desired).await.unwrap().credentials.unwrap();
    let owner = h.owner();
    let sql = format!(
        "ALTER ROLE {principal} NOLOGIN VALID UNTIL 'infinity'; DO $$ DECLARE g text; BEGIN FOR g IN \
         SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = \
         '{principal}'::regrole LOOP EXECUTE format('SET ROLE latchkey_provisioner; REVOKE %I FROM \
         {principal}', g); END LOOP; END $$; RESET ROLE"
    );
    run(&h.admin, &sql).await;
    let applied = h.module().apply(&target, &work(), &session.desire(&claim, &[])).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
    let client = h.connect(&login, &h.main).await.unwrap();
    run(&client, "SELECT * FROM public.orders").await;
    let until = format!(
        "SELECT rolvaliduntil < now() + interval '601 s' FROM pg_roles WHERE rolname = '{principal}'"
    );
    assert_eq!(value(&h.admin, &until).await, "t");
    run(&h.admin, &format!("ALTER ROLE {principal} CREATEDB; GRANT {owner} TO {principal}")).await;
    let refused = h.module().apply(&target, &work(), &session.desire(&claim, &[])).await;
    assert!(refused.unwrap_err().to_string().contains("CREATEDB"));
    // The end takes it all the same.
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    assert!(h.left_of(principal).await.is_empty());
}

/// A membership that the provisioner cannot end is not called gone: the outcome says what to do,
/// the marker keeps the claim, and a later sweep ends it once it can.
pub async fn a_claim_that_cannot_be_taken_is_not_called_gone(h: &PgHarness) {
    let session = Session::new();
    let principal = session.principal();
    let (low, other) = (h.low_and_high().0, h.other());
    let (ends, stays) = (low.claim("ends", 600), other.claim("stays", 600));
    let target = h.target();
    let desired = session.desire_login(&[ends.clone(), stays.clone()], &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "ends"), ClaimState::Present, "{}", fault(&applied, "ends"));
    let is_16 = h.value("SELECT current_setting('server_version_num')::int >= 160000").await == "t";
    let group = h
        .value(&format!(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN \
             pg_shdepend s ON s.refobjid = g.oid WHERE m.member = '{principal}'::regrole AND \
             s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND \
             s.objid = 'public.orders'::regclass"
        ))
        .await;
    // From 16 on somebody else's grant stays; on 15 a membership of a superuser's role does.
    let (sever, mend) = if is_16 {
        (
            format!("GRANT {group} TO {principal}"),
            format!("REVOKE {group} FROM {principal} GRANTED BY CURRENT_USER"),
        )
    } else {
        (format!("ALTER ROLE {group} SUPERUSER"), format!("ALTER ROLE {group} NOSUPERUSER"))
    };
    run(&h.admin, &sever).await;
    for _ in 0..2 {
        let desired = session.desire(std::slice::from_ref(&stays), std::slice::from_ref(&ends));
        let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
        assert_eq!(state(&applied, "ends"), ClaimState::Unknown, "{:?}", applied.receipt);
        assert!(fault(&applied, "ends").contains("REVOKE"), "{}", fault(&applied, "ends"));
        assert_eq!(state(&applied, "stays"), ClaimState::Present);
        assert!(applied.receipt.notes.iter().any(|note| note.contains(&group)));
    }
    let marker = format!("SELECT shobj_description('{principal}'::regrole, 'pg_authid')");
    assert!(h.value(&marker).await.contains("\"ends\""));
    let stuck = h.module().expire(&target, &work()).await.unwrap_err();
    assert!(stuck.message.contains(&group), "{stuck}");
    run(&h.admin, &mend).await;
    if is_16 {
        // What somebody else took back is noticed.
        let expired = h.module().expire(&target, &work()).await.unwrap();
        assert_eq!(expired.len(), 1, "{expired:?}");
    } else {
        let expired = h.module().expire(&target, &work()).await.unwrap();
        assert_eq!(expired[0].units, [latchkey_domain::ids::UnitId::new("ends")]);
    }
    assert!(!h.value(&marker).await.contains("\"ends\""));
    let applied = h.module().apply(&target, &work(), &session.desire(&[stays], &[ends])).await;
    let applied = applied.unwrap();
    assert_eq!(state(&applied, "ends"), ClaimState::Absent);
    assert_eq!(state(&applied, "stays"), ClaimState::Present);
}
