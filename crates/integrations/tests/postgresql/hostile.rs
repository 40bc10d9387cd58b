//! c01 and c02: names that try to be more than names, and objects that try to be others.

use latchkey_domain::provisioning::{ClaimState, DiscoveredResource};
use latchkey_integrations::Integration;
use secrecy::SecretString;
use tokio_postgres::Client;

use crate::{
    contract::{Entitlement, Harness, Probe, Session, fault, state, work},
    harness::{PgHarness, run, value},
    inventory::discover,
};

fn hostile_names() -> Vec<String> {
    [
        "a\"b",
        "x'; DROP TABLE public.orders; --",
        "$$; SELECT 1; $$",
        "line\nbreak",
        "%s %n *",
        "*",
        "back\\slash\\",
        "a/b",
        "a.b",
        "UPPER lower",
        "\u{43e}rders", // a Cyrillic letter in "orders"
        "orders ",
        "{{password}}",
        "\u{202e}sredro",
        "public",
        "current_user",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(["z".repeat(63), "ü".repeat(31)])
    .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn entitlement(found: &DiscoveredResource, permission: &str) -> Entitlement {
    Entitlement {
        claim: latchkey_domain::provisioning::DesiredClaim {
            unit_id: latchkey_domain::ids::UnitId::new("-"),
            resource_type: found.resource_type.clone(),
            source_id: found.source_id.clone(),
            path: found.path.clone(),
            context: found.context.clone(),
            permission: permission.into(),
            ends_at: None,
        },
        probe: Probe { object: String::new(), change: false },
    }
}

async fn canary(admin: &Client) -> String {
    value(admin, "SELECT count(*) FROM public.orders").await
}

/// Every hostile name of a schema or a table is granted and revoked as itself alone.
pub async fn names_of_schemas_and_tables(h: &PgHarness) {
    let owner = h.owner();
    let names = hostile_names();
    for name in &names {
        let schema = if name == "public" { "other".to_owned() } else { quoted(name) };
        run(
            &h.admin,
            &format!(
                "SET ROLE {owner}; CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {schema}.{table} (id \
                 int); CREATE TABLE {schema}.neighbour (id int); RESET ROLE",
                table = quoted(name)
            ),
        )
        .await;
    }
    let found = discover(h).await;
    let mut claims = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let resource = found
            .iter()
            .find(|r| r.resource_type == "postgresql-table" && r.name == *name)
            .unwrap_or_else(|| panic!("{name:?} was not found"));
        claims.push(entitlement(resource, "READ_ONLY").claim(&format!("u{index}"), 600));
    }
    let before = canary(&h.admin).await;
    let session = Session::new();
    let target = h.target();
    let desired = session.desire_login(&claims, &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    for (index, name) in names.iter().enumerate() {
        let unit = format!("u{index}");
        assert_eq!(
            state(&applied, &unit),
            ClaimState::Present,
            "{name:?}: {}",
            fault(&applied, &unit)
        );
    }
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    for name in &names {
        let schema = if name == "public" { "other".to_owned() } else { quoted(name) };
        run(&client, &format!("SELECT * FROM {schema}.{}", quoted(name))).await;
        let neighbour = format!("SELECT * FROM {schema}.neighbour");
        assert!(client.batch_execute(&neighbour).await.is_err(), "{name:?}");
    }
    assert!(client.batch_execute("SELECT * FROM public.orders").await.is_err());
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claims)).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    assert!(h.left_of(session.principal()).await.is_empty());
    assert_eq!(canary(&h.admin).await, before);
}

/// Hostile names of a database, an owner, a login and a password.
pub async fn names_of_databases_roles_and_passwords(h: &PgHarness) {
    let database = format!("{} \"'; $$ %*\\\n", h.main);
    let login = format!("{} \"'; $$\\", h.main);
    let password = "p'a\"s;s$$\\ %*ü\n{{password}}";
    let owner = h.owner();
    run(&h.admin, &format!("CREATE DATABASE {} OWNER {owner}", quoted(&database))).await;
    run(
        &h.admin,
        &format!(
            "CREATE ROLE {login} LOGIN NOINHERIT PASSWORD E'{}'; GRANT latchkey_provisioner TO {login}; \
             GRANT CONNECT ON DATABASE {} TO {login}",
            password.replace('\'', "''").replace('\\', "\\\\"),
            h.main,
            login = quoted(&login),
        ),
    )
    .await;
    h.provision(&database).await;
    let inside = h.admin_in(&database).await;
    run(&inside, &format!("SET ROLE {owner}; CREATE TABLE public.t (id int); RESET ROLE")).await;
    run(&inside, &format!("GRANT CONNECT ON DATABASE {} TO {}", quoted(&database), quoted(&login)))
        .await;
    let mut target = h.target();
    target.config.insert("databases".into(), format!("{},{database}", h.main));
    target.config.remove("databases");
    target.secret.insert("username".into(), SecretString::from(login.clone()));
    target.secret.insert("password".into(), SecretString::from(password));
    let encoded: String = database
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let claim =
        h.entitlement("database", &format!("database:{encoded}"), "READ_WRITE").claim("d", 600);
    let session = Session::new();
    let desired = session.desire_login(std::slice::from_ref(&claim), &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "d"), ClaimState::Present, "{}", fault(&applied, "d"));
    let client = h.connect(&applied.credentials.unwrap(), &database).await.unwrap();
    run(&client, "INSERT INTO public.t VALUES (1)").await;
    let details =
        h.module().access_details(&target, session.principal(), std::slice::from_ref(&claim));
    assert_eq!(details.parameters["database"], database);
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &[claim])).await.unwrap();
    assert!(!applied.receipt.principal_exists, "{:?}", applied.receipt);
    drop(inside);
    run(&h.admin, &format!("DROP DATABASE {} WITH (FORCE)", quoted(&database))).await;
    run(&h.admin, &format!("DROP OWNED BY {0}; DROP ROLE {0}", quoted(&login))).await;
}

/// A name with NUL, or longer than the server keeps, is refused and nothing happens.
pub async fn names_that_cannot_be_sent_are_refused(h: &PgHarness) {
    let owner = h.owner();
    let cut = "y".repeat(63);
    run(&h.admin, &format!("SET ROLE {owner}; CREATE TABLE public.{cut} (id int); RESET ROLE"))
        .await;
    let target = h.target();
    for name in [format!("{cut}y"), "a%00b".to_owned(), "%FF".to_owned(), String::new()] {
        let session = Session::new();
        let source = format!("table:{}/public/{name}", h.main);
        let claim = h.entitlement("table", &source, "READ_ONLY").claim("u", 600);
        let desired = session.desire_login(&[claim], &[]);
        let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
        assert_eq!(state(&applied, "u"), ClaimState::Absent, "{name:?}");
        assert!(!applied.receipt.principal_exists && !fault(&applied, "u").is_empty());
    }
    for principal in ["postgres", "lk_g_x", "", &format!("lk_u_{cut}"), "lk_u_\0"] {
        let session = Session::new();
        let mut desired = session.desire(&[], &[h.low_and_high().0.claim("u", 600)]);
        desired.principal = principal.to_owned();
        assert!(h.module().apply(&target, &work(), &desired).await.is_err(), "{principal:?}");
    }
}

/// Objects that shadow the system's own, reached by a search path set on the database, are never
/// used.
pub async fn search_path_shadows_nothing(h: &PgHarness) {
    run(
        &h.admin,
        &format!(
            "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC; \
             CREATE TABLE evil.touched (what text); GRANT ALL ON evil.touched TO PUBLIC; \
             CREATE FUNCTION evil.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS \
               $$ INSERT INTO evil.touched VALUES ('lock') $$; \
             CREATE FUNCTION evil.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS \
               $$ SELECT false $$; \
             CREATE FUNCTION evil.shobj_description(oid, text) RETURNS text LANGUAGE sql AS \
               $$ SELECT 'evil' $$; \
             CREATE VIEW evil.pg_roles AS SELECT 1 AS oid, 'x'::name AS rolname; \
             CREATE VIEW evil.pg_stat_activity AS SELECT 1 AS pid, 0::oid AS usesysid WHERE false; \
             CREATE FUNCTION evil.eq(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$; \
             CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.eq); \
             ALTER DATABASE {} SET search_path = evil, pg_catalog",
            h.main
        ),
    )
    .await;
    let session = Session::new();
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u", 600)];
    let target = h.target();
    let desired = session.desire_login(&claim, &[]);
    let applied = h.module().apply(&target, &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
    let open = h.log_in(&applied.credentials.unwrap(), &low).await.unwrap();
    discover(h).await;
    let applied = h.module().apply(&target, &work(), &session.desire(&[], &claim)).await.unwrap();
    assert!(!applied.receipt.principal_exists && applied.receipt.sessions_ended == 1);
    assert!(!h.is_open(&open).await);
    assert_eq!(value(&h.admin, "SELECT pg_catalog.count(*) FROM evil.touched").await, "0");
}

/// A role that sits on the name of a principal or a group without our marker gets nothing.
pub async fn roles_that_look_like_ours_are_refused(h: &PgHarness) {
    let (low, _) = h.low_and_high();
    let target = h.target();
    let claim = [low.claim("u", 600)];
    for comment in ["NULL", "'the application''s own'"] {
        let session = Session::new();
        let principal = session.principal();
        run(&h.admin, &format!("CREATE ROLE {principal} LOGIN PASSWORD 'known'; COMMENT ON ROLE {principal} IS {comment}")).await;
        let refused = h.module().apply(&target, &work(), &session.desire_login(&claim, &[])).await;
        assert!(refused.is_err(), "{refused:?}");
        let members =
            format!("SELECT count(*) FROM pg_auth_members WHERE member = '{principal}'::regrole");
        assert_eq!(h.value(&members).await, "0");
        run(&h.admin, &format!("DROP ROLE {principal}")).await;
    }
    // Another session's principal is not taken over.
    let (first, second) = (Session::new(), Session::new());
    h.module().apply(&target, &work(), &first.desire_login(&claim, &[])).await.unwrap();
    let mut stolen = second.desire_login(&claim, &[]);
    stolen.principal = first.principal().to_owned();
    stolen.fence = 100;
    assert!(h.module().apply(&target, &work(), &stolen).await.is_err());
    // A group that lost its marker is not trusted.
    let group = h
        .value(&format!(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE \
             m.member = '{}'::regrole AND g.rolname ~ '^lk_g_'",
            first.principal()
        ))
        .await;
    let marker =
        h.value(&format!("SELECT shobj_description('{group}'::regrole, 'pg_authid')")).await;
    run(&h.admin, &format!("COMMENT ON ROLE {group} IS 'mine'")).await;
    let applied =
        h.module().apply(&target, &work(), &second.desire_login(&claim, &[])).await.unwrap();
    assert_eq!(state(&applied, "u"), ClaimState::Absent);
    assert!(fault(&applied, "u").contains("marker"), "{}", fault(&applied, "u"));
    run(&h.admin, &format!("COMMENT ON ROLE {group} IS '{marker}'")).await;
}
