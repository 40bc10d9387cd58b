//! b07: a clock that jumps, and servers that disagree by minutes.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::Clock as _;
use latchkey_testkit::{DatabaseKind, TestClock, systems::PostgresVersion};

use crate::{
    caller::Caller,
    installation::{Installation, ask, credentials, free_port, revoke},
    shifted_clock::ShiftedClock,
    shop::Shop,
};

const HOUR: Duration = Duration::from_hours(1);
const HOUR_MS: i64 = 3_600_000;

fn now() -> Timestamp {
    TestClock::at_machine_time().now()
}

#[tokio::test]
async fn b07_a_servers_clock_that_jumps_ends_access_once_and_revives_none() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    let clock = ShiftedClock::new(&installation, "clock", 0);
    installation.start(&[("LATCHKEY_FAULT_CLOCK", &clock.path())]).await;
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "local", None).await;
    let before = ask(&rita, "orders", "READ_ONLY", Some(HOUR)).await;
    rita.wait_for_status(&before, "Active").await;

    // A day back: nothing ends, nothing is stuck, and what begins now ends by this clock.
    clock.set(-24 * HOUR_MS);
    let during = ask(&rita, "customers", "READ_ONLY", Some(HOUR)).await;
    rita.wait_for_status(&during, "Active").await;
    rita.wait_for_status(&before, "Active").await;
    let login = credentials(&rita, &before).await;
    shop.login(&login).await.unwrap();

    // Forth past both ends.
    clock.set(2 * HOUR_MS);
    for request in [&before, &during] {
        rita.wait_for_status(request, "Revoked").await;
    }
    shop.wait_until_empty().await;

    // Before the first end again: it came, and it stays.
    clock.set(0);
    let after = ask(&rita, "orders", "READ_ONLY", Some(HOUR)).await;
    rita.wait_for_status(&after, "Active").await;
    for request in [&before, &during] {
        rita.wait_for_status(request, "Revoked").await;
    }
    assert!(shop.login(&login).await.is_err(), "the old password is gone with its role");
    assert_eq!(shop.readers("sales.customers").await, Vec::<String>::new());
    revoke(&rita, &after).await;
    rita.wait_for_status(&after, "Revoked").await;
    shop.wait_until_empty().await;
    installation.verify_audit().await;
}

#[tokio::test]
async fn b07_servers_that_disagree_by_minutes_end_each_grant_and_keep_none() {
    let kind = DatabaseKind::Postgres(PostgresVersion::V15);
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let (fast, slow) = (free_port(), free_port());
    let mut others = Vec::new();
    for (port, off_ms) in [(fast, 180_000), (slow, -180_000)] {
        let clock = ShiftedClock::new(&installation, &format!("clock-{port}"), off_ms);
        others.push(installation.start_server(port, &[("LATCHKEY_FAULT_CLOCK", &clock.path())]));
        installation.ready(port).await;
    }
    let right = installation.port;
    let connector = installation.connector("rack-1");
    let shop = Shop::open().await;
    installation.integrate(&shop, "rack-1", None).await;

    for (number, port) in [right, fast, slow].into_iter().enumerate() {
        let person = installation.person(&format!("person{number}")).at(port);
        // Long enough for whatever the clocks say, and gone when its holder gives it back.
        let long = ask(&person, "orders", "READ_ONLY", Some(HOUR)).await;
        person.wait_for_status(&long, "Active").await;
        let login = credentials(&person, &long).await;
        shop.login(&login).await.unwrap();
        revoke(&person, &long).await;
        ended_everywhere(&person, &[right, fast, slow], &long).await;
        assert!(shop.login(&login).await.is_err());
        // Whichever server is asked and whichever ends it, it lasts as long as was asked for: each
        // goes by the database's clock.
        let asked = now();
        let short = ask(&person, "customers", "READ_ONLY", Some(Duration::from_secs(5))).await;
        person.wait_for_status(&short, "Active").await;
        ended_everywhere(&person, &[right, fast, slow], &short).await;
        let lasted = now().duration_since(asked);
        assert!((5..60).contains(&lasted.as_secs()), "{lasted:?}");
        shop.wait_until_empty().await;
    }
    drop((connector, others));
    installation.verify_audit().await;
}

/// Waits until every server tells that the request is over.
async fn ended_everywhere(person: &Caller, ports: &[u16], request: &str) {
    for port in ports {
        person.at(*port).wait_for_status(request, "Revoked").await;
    }
}
