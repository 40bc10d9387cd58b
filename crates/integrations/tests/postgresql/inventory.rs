//! Discovery and validation.

use async_trait::async_trait;
use latchkey_domain::provisioning::{
    ClaimState, DiscoveredResource, FaultClass, Severity, TargetFault,
};
use latchkey_integrations::{DiscoverySink, Integration};
use secrecy::SecretString;

use crate::{
    contract::{Harness, Session, fault, state, work},
    harness::{PgHarness, run},
};

/// Keeps what is handed over.
#[derive(Default)]
struct Sink(Vec<DiscoveredResource>);

#[async_trait]
impl DiscoverySink for Sink {
    async fn resources(&mut self, found: Vec<DiscoveredResource>) -> Result<(), TargetFault> {
        assert!(found.len() <= 500);
        self.0.extend(found);
        Ok(())
    }
}

/// Everything that a run finds.
pub async fn discover(h: &PgHarness) -> Vec<DiscoveredResource> {
    let mut sink = Sink::default();
    h.module().discover(&h.target(), &work(), &mut sink).await.unwrap();
    sink.0
}

/// Databases, schemas, tables, views and roles, with tags and oids; nothing of the system.
pub async fn discovery_finds_what_there_is(h: &PgHarness) {
    let owner = h.owner();
    run(
        &h.admin,
        &format!(
            "SET ROLE {owner}; CREATE VIEW public.big AS SELECT 1; COMMENT ON TABLE public.orders IS \
             'env=prod; owner=team a'; CREATE TABLE public.parts (id int) PARTITION BY RANGE (id); \
             CREATE TABLE public.part1 PARTITION OF public.parts FOR VALUES FROM (0) TO (9); \
             DO $$ BEGIN FOR i IN 1..600 LOOP EXECUTE format('CREATE TABLE public.many_%s ()', i); \
             END LOOP; END $$; RESET ROLE"
        ),
    )
    .await;
    let mut target = h.target();
    let rules = format!("{{\"{}/public/ord*\": {{\"env\": \"live\"}}}}", h.main);
    target.config.insert("tags".into(), rules);
    let mut sink = Sink::default();
    h.module().discover(&target, &work(), &mut sink).await.unwrap();
    let find = |source: &str| sink.0.iter().find(|resource| resource.source_id == source);
    let orders = find(&format!("table:{}/public/orders", h.main)).unwrap();
    assert_eq!(orders.name, "orders");
    assert_eq!(orders.path, format!("{}/public/orders", h.main));
    assert_eq!(orders.tags["env"], "live");
    assert_eq!(orders.tags["comment/env"], "prod");
    assert_eq!(orders.tags["comment/owner"], "team a");
    assert_eq!(orders.context["oid"], h.value("SELECT 'public.orders'::regclass::oid").await);
    assert_eq!(find(&format!("table:{}/public/big", h.main)).unwrap().context["kind"], "view");
    assert!(find(&format!("database:{}", h.second)).is_some());
    assert!(find(&format!("schema:{}/public", h.second)).is_some());
    assert!(find(&format!("table:{}/public/parts", h.main)).is_some());
    assert!(find(&format!("table:{}/public/part1", h.main)).is_none());
    assert!(!sink.0.iter().any(|resource| resource.path.contains("pg_catalog")));
    let unique: std::collections::BTreeSet<_> = sink.0.iter().map(|r| &r.source_id).collect();
    assert_eq!(unique.len(), sink.0.len());
    // A right on all of them at once takes several transactions.
    let session = Session::new();
    let claim = h.entitlement("schema", &format!("schema:{}/public", h.main), "READ_ONLY");
    let desired = session.desire_login(&[claim.claim("all", 600)], &[]);
    let applied = h.module().apply(&h.target(), &work(), &desired).await.unwrap();
    assert_eq!(state(&applied, "all"), ClaimState::Present, "{}", fault(&applied, "all"));
    let client = h.connect(&applied.credentials.unwrap(), &h.main).await.unwrap();
    run(&client, "SELECT FROM public.many_1, public.many_600, public.parts, public.part1").await;
    let mut only = h.target();
    only.connected_resource_types = Some(vec!["postgresql-schema".into()]);
    let mut sink = Sink::default();
    h.module().discover(&only, &work(), &mut sink).await.unwrap();
    assert!(sink.0.iter().all(|resource| resource.resource_type == "postgresql-schema"));
}

/// A table, a name, a comment, a role: each moves the mark. Giving and taking access does not.
pub async fn the_mark_moves_with_what_there_is_and_not_with_access(h: &PgHarness) {
    let (module, whole) = (h.module(), h.target());
    // Roles are of the whole server, where other cases make theirs.
    let mut tables = h.target();
    tables.connected_resource_types =
        Some(["database", "schema", "table"].map(|kind| format!("postgresql-{kind}")).into());
    let mark = async || module.inventory_mark(&tables, &work()).await.unwrap().unwrap();
    let owner = h.owner();
    let mut last = mark().await;
    let session = Session::new();
    let claim = h.table(&h.main, "orders", "READ_ONLY").await.claim("c", 600);
    let given = session.desire_login(std::slice::from_ref(&claim), &[]);
    module.apply(&whole, &work(), &given).await.unwrap();
    assert_eq!(mark().await, last, "access was given");
    module.apply(&whole, &work(), &session.desire(&[], &[claim])).await.unwrap();
    assert_eq!(mark().await, last, "access was taken");
    for change in [
        format!("SET ROLE {owner}; CREATE TABLE public.newer (id int); RESET ROLE"),
        "ALTER TABLE public.newer RENAME TO newest".to_owned(),
        "COMMENT ON TABLE public.newest IS 'env=prod'".to_owned(),
        "COMMENT ON SCHEMA public IS 'env=prod'".to_owned(),
        format!("COMMENT ON DATABASE \"{}\" IS 'env=prod'", h.second),
        "DROP TABLE public.newest".to_owned(),
    ] {
        run(&h.admin, &change).await;
        let next = mark().await;
        assert_ne!(next, last, "{change}");
        assert_eq!(mark().await, next, "{change}");
        last = next;
    }
    let before = module.inventory_mark(&whole, &work()).await.unwrap();
    let role = format!("{}_marked", h.main);
    run(&h.admin, &format!("CREATE ROLE \"{role}\"")).await;
    assert_ne!(module.inventory_mark(&whole, &work()).await.unwrap(), before);
    run(&h.admin, &format!("DROP ROLE \"{role}\"")).await;
}

/// The least-privilege provisioner is enough; what is wrong is said in words.
pub async fn validate_says_what_is_missing(h: &PgHarness) {
    let findings = h.module().validate(&h.target(), &work()).await.unwrap();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Advice), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.message.contains("not encrypted")));
    run(&h.admin, "CREATE TABLE public.of_superuser (id int)").await;
    let mut wide = h.target();
    wide.config.insert("databases".into(), format!("{},no_such_database", h.main));
    let findings = h.module().validate(&wide, &work()).await.unwrap();
    let warnings: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
        .map(|finding| finding.message.as_str())
        .collect();
    assert!(warnings.iter().any(|message| message.contains("no_such_database")), "{warnings:?}");
    assert!(warnings.iter().any(|message| message.contains("provisioner.sql")), "{warnings:?}");

    let mut plain = h.target();
    plain.config.remove("role");
    let findings = h.module().validate(&plain, &work()).await.unwrap();
    assert!(
        findings.iter().any(|finding| finding.severity == Severity::Error
            && finding.message.contains("cannot create roles")),
        "{findings:?}"
    );

    let mut wrong = h.target();
    wrong.secret.insert("password".into(), SecretString::from("canary-4711"));
    let fault = h.module().validate(&wrong, &work()).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Refused);
    assert!(fault.message.contains("password") && !fault.message.contains("canary-4711"));

    let mut nowhere = h.target();
    nowhere.config.insert("port".into(), "1".into());
    let fault = h.module().validate(&nowhere, &work()).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Unreachable, "{fault}");

    let mut link_local = h.target();
    link_local.config.insert("hostname".into(), "169.254.169.254".into());
    let fault = h.module().validate(&link_local, &work()).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Refused, "{fault}");

    let mut tls = h.target();
    tls.config.insert("sslmode".into(), "require".into());
    assert!(h.module().validate(&tls, &work()).await.is_err(), "the server offers no TLS");
    let left = h.value("SELECT count(*) FROM pg_roles WHERE rolname ~ '^lk_t_' AND strpos(shobj_description(oid, 'pg_authid'), 'x') < 0").await;
    assert_eq!(left, "0");
}
