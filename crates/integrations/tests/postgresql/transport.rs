//! TLS: encrypted where asked, proven where asked, refused otherwise.

use std::{path::Path, process::Command};

use latchkey_domain::provisioning::{ClaimState, FaultClass};
use latchkey_integrations::{Integration, OwnAddresses, postgresql::PostgreSql};
use latchkey_testkit::systems::{Durability, Postgres, PostgresVersion};

use crate::{
    contract::{Harness, Session, fault, state, work},
    harness::{PgHarness, Place},
};

/// An authority and a certificate for `localhost`, signed by it.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
    );
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    std::fs::write(
        folder.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
}

#[tokio::test]
async fn tls_is_used_and_the_servers_name_is_proven() {
    let (server, authority) = tokio::task::spawn_blocking(|| {
        let folder = std::env::temp_dir().join(format!("latchkey-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        make_certificates(&folder);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let mut server = Postgres::start_with(PostgresVersion::V15, Durability::Unsynced).unwrap();
        for (name, mode) in [("server.key", "077"), ("server.crt", "022")] {
            let sql = format!(
                "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask {mode}; cat \
                 > {name}'",
                read(name).trim()
            );
            server.sql("postgres", &sql).unwrap();
        }
        server.sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
        server.restart().unwrap();
        let authority = read("ca.crt");
        std::fs::remove_dir_all(&folder).unwrap();
        (server, authority)
    })
    .await
    .unwrap();
    let h = PgHarness::on(Place::of(&server)).await;
    let with = |host: &str, mode: &str, root: Option<&str>| {
        let mut target = h.target();
        target.config.insert("hostname".into(), host.into());
        target.config.insert("sslmode".into(), mode.into());
        if let Some(root) = root {
            target.config.insert("sslrootcert".into(), root.into());
        }
        target
    };
    let (low, _) = h.low_and_high();
    for target in [
        with("127.0.0.1", "prefer", None),
        with("127.0.0.1", "require", None),
        with("localhost", "verify-full", Some(&authority)),
    ] {
        let session = Session::new();
        let claim = low.claim("u", 600);
        let desired = session.desire_login(std::slice::from_ref(&claim), &[]);
        let module = PostgreSql::new();
        let applied = module.apply(&target, &work(), &desired).await.unwrap();
        assert_eq!(state(&applied, "u"), ClaimState::Present, "{}", fault(&applied, "u"));
        let findings = module.validate(&target, &work()).await.unwrap();
        assert!(!findings.iter().any(|finding| finding.message.contains("not encrypted")));
        let proven = !findings.iter().any(|finding| finding.message.contains("not proven"));
        assert_eq!(proven, target.config["sslmode"] == "verify-full");
        let applied = module.apply(&target, &work(), &session.desire(&[], &[claim])).await.unwrap();
        assert!(!applied.receipt.principal_exists);
    }
    for target in [
        with("127.0.0.1", "verify-full", Some(&authority)),
        with("localhost", "verify-full", None),
        with("localhost", "verify-full", Some("not a certificate")),
    ] {
        let refused = PostgreSql::new().validate(&target, &work()).await.unwrap_err();
        assert!(
            matches!(refused.class, FaultClass::Unreachable | FaultClass::Refused),
            "{refused}"
        );
    }
    drop(server);
}

/// e01: a target that turns out to be where Latchkey listens is refused before a word is said,
/// by whatever name it goes; its neighbours are not.
#[tokio::test]
async fn e01_a_target_where_latchkey_listens_is_refused() {
    let h = PgHarness::start(PostgresVersion::V15).await;
    let (low, _) = h.low_and_high();
    let claim = [low.claim("u", 600)];
    let mut target = h.target();
    let port: u16 = target.config["port"].parse().unwrap();
    for listens in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        let mut work = work();
        work.own_addresses = OwnAddresses::new(vec![listens.parse().unwrap()]);
        for name in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
            // `localhost` may be another loopback address than the one that is listened on.
            if name == "localhost" && !listens.starts_with("0.0.0.0") {
                continue;
            }
            target.config.insert("hostname".into(), name.into());
            let desired = Session::new().desire_login(&claim, &[]);
            let refused = PostgreSql::new().apply(&target, &work, &desired).await.unwrap_err();
            assert!(refused.to_string().contains("itself listens"), "{name}: {refused}");
        }
    }
    let mut work = work();
    work.own_addresses =
        OwnAddresses::new(vec![format!("127.0.0.1:{}", port ^ 1).parse().unwrap()]);
    let desired = Session::new().desire_login(&claim, &[]);
    h.module().apply(&h.target(), &work, &desired).await.unwrap();
    h.clean().await;
}
