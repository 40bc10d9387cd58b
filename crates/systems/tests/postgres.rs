//! Servers start with authentication on, come back with their data, and leave nothing behind.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use latchkey_systems::{Durability, Postgres, PostgresVersion};

fn starts_and_refuses_a_wrong_password(version: PostgresVersion) {
    let mut server = Postgres::start_with(version, Durability::Unsynced).unwrap();
    let shown = server.sql("postgres", "SHOW server_version_num").unwrap();
    assert!(shown.starts_with(&version.major().to_string()), "{shown}");

    let wrong = std::process::Command::new(latchkey_systems::psql_program().unwrap())
        .args(["-X", "-c", "SELECT 1"])
        .arg(server.url_as(server.superuser(), "wrong", "postgres"))
        .output()
        .unwrap();
    assert!(!wrong.status.success());

    server.sql("postgres", "CREATE TABLE kept (n int)").unwrap();
    server.restart().unwrap();
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM kept").unwrap(), "0");
    server.crash().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM kept").unwrap(), "0");

    let address = format!("{}:{}", server.host(), server.port());
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn postgresql_15_starts_and_refuses_a_wrong_password() {
    starts_and_refuses_a_wrong_password(PostgresVersion::V15);
}

#[test]
fn postgresql_18_starts_and_refuses_a_wrong_password() {
    starts_and_refuses_a_wrong_password(PostgresVersion::V18);
}

#[test]
fn a_shared_server_is_the_same_for_every_caller() {
    for version in PostgresVersion::ALL {
        let first = Postgres::shared(version).unwrap();
        let second = Postgres::shared(version).unwrap();
        assert_eq!(first.port(), second.port());
        assert_eq!(first.sql("postgres", "SELECT 1").unwrap(), "1");
    }
}
