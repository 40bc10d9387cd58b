//! f01: `kill -9` of server and connector at every step of a grant and of a revoke.
//!
//! For every crash point that the crates export, one life of an access is lived while the process
//! that passes the point kills itself there; it is started again at once, as a supervisor does.
//! Whatever was going on must come to its end: no access without a record (nothing stays in the
//! target, where reconcile would not touch anything this young), no record without an end (the
//! request comes to `Revoked`).

use std::time::Duration;

use latchkey_domain::Clock;
use latchkey_testkit::{DatabaseKind, TestClock, systems::PostgresVersion, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    caller::{Caller, PATIENCE},
    installation::{Agent, Installation, entitlement},
    shop::Shop,
};

/// Points that only an end which comes by itself passes.
const AT_THE_END: &[&str] = &[
    "app.jobs_claimed",
    "app.job_done",
    "connector.expiry_due",
    "connector.expired",
    "connector.expiry_journaled",
    "pg.expire.committed",
];

/// Points that are passed only where another claim of the same session lives on.
const BESIDE_ANOTHER: &[&str] = &["pg.cut.sessions_ended", "pg.expire.committed"];

/// Points that only access passes that is extended.
const EXTENDED: &[&str] = &["app.extension_asked"];

/// Points that this life does not pass; the suites of their crates do. The list only shrinks.
const NOT_PASSED: &[&str] = &[
    // Discovery runs on several pages, credentials that are made anew.
    "connector.page_sent",
    "app.reset_asked",
    // Prepared transactions, replicas, objects that a principal owns.
    "pg.revoke.prepared_rolled_back",
    "pg.revoke.replica_clear",
    "pg.revoke.graveyard_ready",
    "pg.revoke.objects_moved",
];

#[tokio::test]
async fn f01_killed_at_every_point_of_the_server_on_sqlite() {
    sweep(DatabaseKind::Sqlite, latchkey_app::crash_points::CRASH_POINTS).await;
}

#[tokio::test]
async fn f01_killed_at_every_point_of_the_connector_on_sqlite() {
    sweep(DatabaseKind::Sqlite, latchkey_connector::CRASH_POINTS).await;
}

#[tokio::test]
async fn f01_killed_at_every_point_in_the_target_on_sqlite() {
    sweep(DatabaseKind::Sqlite, latchkey_integrations::postgresql::CRASH_POINTS).await;
}

#[tokio::test]
async fn f01_killed_at_every_point_on_postgresql_one_half_a_day() {
    let days = TestClock::at_machine_time().now().as_second() / 86_400;
    let turn = usize::from(days % 2 != 0);
    let points: Vec<&str> = [
        latchkey_app::crash_points::CRASH_POINTS,
        latchkey_connector::CRASH_POINTS,
        latchkey_integrations::postgresql::CRASH_POINTS,
    ]
    .concat();
    let all = std::env::var_os("LATCHKEY_TEST_SOAK").is_some();
    let half: Vec<&str> = points
        .into_iter()
        .enumerate()
        .filter(|(at, _)| all || at % 2 == turn)
        .map(|(_, point)| point)
        .collect();
    println!("the half of today: {half:?}");
    sweep(DatabaseKind::Postgres(PostgresVersion::V15), &half).await;
}

struct Ground {
    installation: Installation,
    agent: Agent,
    shop: Shop,
    rita: Caller,
    otto: Caller,
    /// The table of this life: a new one each time, so that group roles are made each time.
    table: String,
    /// A request that lives beside.
    companion: Option<String>,
    /// Whether access is extended in this life.
    extends: bool,
    crashes: usize,
}

/// How often a point at the end is tried for.
const LIVES: usize = 5;

async fn sweep(kind: DatabaseKind, points: &[&str]) {
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let agent = installation.connector("rack-1");
    let shop = Shop::open().await;
    let (rita, otto) = (installation.person("rita"), installation.person("otto"));
    shop.add_tables((0..points.len()).map(|number| format!("step_{number}"))).await;
    installation.integrate(&shop, "rack-1", Some("otto@example.com")).await;
    let table = "orders".to_owned();
    let mut ground = Ground {
        installation,
        agent,
        shop,
        rita,
        otto,
        table,
        companion: None,
        extends: false,
        crashes: 0,
    };
    let mut missed = Vec::new();
    for (number, point) in points.iter().enumerate() {
        if NOT_PASSED.contains(point) {
            continue;
        }
        println!("killed at {point}");
        if BESIDE_ANOTHER.contains(point) {
            "customers".clone_into(&mut ground.table);
            let companion = ground.granted(None).await;
            ground.companion = Some(companion);
        }
        ground.table = format!("step_{number}");
        ground.extends = EXTENDED.contains(point);
        ground.crashes = 0;
        ground.arm(point).await;
        let ends_by_itself = AT_THE_END.contains(point);
        let in_connector = !point.starts_with("app.");
        // On a slow machine the end may come before the server is away; then once more.
        for _ in 0..LIVES {
            ground.live(ends_by_itself, ends_by_itself && in_connector).await;
            if ground.crashes > 0 || !ends_by_itself {
                break;
            }
        }
        if ground.crashes == 0 {
            missed.push(*point);
        }
        if let Some(companion) = ground.companion.take() {
            assert_eq!(ground.shop.readers("sales.customers").await.len(), 1, "{point}");
            ground.revoke(&companion).await;
            ground.wait_for(&companion, &["Revoked"]).await;
        }
        ground.shop.wait_until_empty().await;
    }
    assert_eq!(missed, Vec::<&str>::new(), "these points were not passed");
    ground.installation.verify_audit().await;
}

impl Ground {
    /// Starts the process that is to crash anew, with the order to do so.
    async fn arm(&mut self, point: &str) {
        let order = format!("{point}:1");
        let order = [("LATCHKEY_FAULT_CRASH", order.as_str())];
        if point.starts_with("app.") {
            self.installation.stop().await;
            self.installation.start(&order).await;
        } else {
            self.agent.kill();
            self.agent.start(&order);
        }
    }

    /// Starts again whatever has died.
    fn mend(&mut self) {
        if self.installation.server.as_mut().unwrap().ended().is_some() {
            self.crashes += 1;
            self.installation.launch(&[]);
        }
        if self.agent.process.as_mut().unwrap().ended().is_some() {
            self.crashes += 1;
            self.agent.start(&[]);
        }
    }

    /// One life: asked, approved, used, ended. `alone`: the server is away when the end comes.
    async fn live(&mut self, ends_by_itself: bool, alone: bool) {
        let length = if self.extends { Some(600) } else { ends_by_itself.then_some(5) };
        let request = self.granted(length).await;
        if self.extends {
            self.extend(&request).await;
        }
        if ends_by_itself {
            if alone {
                self.end_alone().await;
            }
        } else {
            self.look_at_details(&request).await;
            self.revoke(&request).await;
        }
        self.wait_for(&request, &["Revoked"]).await;
        let readers = self.shop.readers(&format!("sales.{}", self.table)).await;
        assert_eq!(readers, Vec::<String>::new(), "after the end");
    }

    /// A request for the table of this life that was decided and put in place.
    async fn granted(&mut self, length: Option<u32>) -> String {
        let request = self.request(length).await;
        self.decide(&request).await;
        // With a short length the end may come before anybody looks.
        let states: &[&str] = match length {
            None => &["Active"],
            Some(_) => &["Active", "Revoking", "Revoked"],
        };
        self.wait_for(&request, states).await;
        request
    }

    /// The request of this life: the one that is open, or a new one.
    async fn request(&mut self, length: Option<u32>) -> String {
        let wanted = entitlement(&self.rita, &self.table, "READ_ONLY").await;
        let body =
            json!({ "entitlements": [wanted], "duration_in_sec": length, "custom_fields": {} });
        for _ in 0..1000 {
            self.mend();
            if let Some(open) = self.open_request().await {
                return open;
            }
            let path = "/api/user/v4/access-requests";
            let answer = self.rita.try_call(Method::POST, path, Some(&body)).await;
            if let Some((200, made)) = answer {
                return made[0]["id"].as_str().unwrap().to_owned();
            }
            pause().await;
        }
        panic!("no request could be filed");
    }

    async fn open_request(&self) -> Option<String> {
        let path = "/api/user/v4/access-requests?limit=1000";
        let (_, list) = self.rita.try_call(Method::GET, path, None).await?;
        let open = |item: &&Value| {
            item["id"].as_str() != self.companion.as_deref()
                && !["Revoked", "Rejected", "Failed"]
                    .contains(&item["status"].as_str().unwrap_or(""))
        };
        let found = list["items"].as_array()?.iter().find(open)?;
        Some(found["id"].as_str()?.to_owned())
    }

    async fn decide(&mut self, request: &str) {
        let path = format!("/api/client/v1/access-requests/{request}/approve");
        for _ in 0..1000 {
            self.mend();
            match self.status(request).await.as_deref() {
                Some("Pending") => {
                    self.otto.try_call(Method::POST, &path, Some(&json!({}))).await;
                }
                Some(_) => return,
                None => pause().await,
            }
        }
        panic!("request {request} could not be approved");
    }

    /// Reads the connection details, which shows the credentials once.
    async fn look_at_details(&mut self, request: &str) {
        let path = format!("/api/user/v1/access-sessions?request_ids={request}");
        for _ in 0..1000 {
            self.mend();
            let answer = self.rita.try_call(Method::GET, &path, None).await;
            let id =
                answer.and_then(|(_, list)| list["items"][0]["id"].as_str().map(str::to_owned));
            if let Some(id) = id {
                let path = format!("/api/user/v1/access-sessions/{id}/access-details");
                if let Some((200, _)) = self.rita.try_call(Method::GET, &path, None).await {
                    return;
                }
            }
            pause().await;
        }
        panic!("no details of request {request}");
    }

    /// Extends the access once: a second try is refused, whether the first one was answered or
    /// not.
    async fn extend(&mut self, request: &str) {
        let path = format!("/api/client/v1/access-requests/{request}/extend");
        for _ in 0..1000 {
            self.mend();
            if let Some((409, _)) = self.rita.try_call(Method::POST, &path, None).await {
                return;
            }
            pause().await;
        }
        panic!("request {request} could not be extended");
    }

    async fn revoke(&mut self, request: &str) {
        let path = format!("/api/user/v4/access-requests/{request}/revoke");
        for _ in 0..1000 {
            self.mend();
            match self.status(request).await.as_deref() {
                Some("Revoking" | "Revoked") => return,
                Some(_) => {
                    self.rita.try_call(Method::POST, &path, None).await;
                }
                None => pause().await,
            }
        }
        panic!("request {request} could not be revoked");
    }

    /// Takes the server away until the connector has ended the access by itself.
    async fn end_alone(&mut self) {
        self.installation.kill();
        let table = format!("sales.{}", self.table);
        let shop = &self.shop;
        let agent = &mut self.agent;
        let crashes = &mut self.crashes;
        let emptied = wait_until("an empty target without the server", PATIENCE, async || {
            if agent.process.as_mut().unwrap().ended().is_some() {
                *crashes += 1;
                agent.start(&[]);
            }
            shop.readers(&table).await.is_empty()
        });
        emptied.await.unwrap();
        // What comes after the last right is gone is still the connector's to pass: the server
        // would do it first.
        for _ in 0..75 {
            if agent.process.as_mut().unwrap().ended().is_some() {
                *crashes += 1;
                agent.start(&[]);
            }
            if *crashes > 0 {
                break;
            }
            pause().await;
        }
        self.installation.start(&[]).await;
    }

    async fn wait_for(&mut self, request: &str, states: &[&str]) {
        let mut last = None;
        for _ in 0..1500 {
            self.mend();
            let found = self.status(request).await;
            if found.as_deref().is_some_and(|found| states.contains(&found)) {
                return;
            }
            last = found.or(last);
            pause().await;
        }
        panic!("request {request} is {last:?} and not one of {states:?}");
    }

    async fn status(&self, request: &str) -> Option<String> {
        let path = format!("/api/user/v4/access-requests/{request}");
        let (_, shown) = self.rita.try_call(Method::GET, &path, None).await?;
        Some(shown["status"].as_str()?.to_owned())
    }
}

/// Between two looks at something that another process does.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(40)).await;
}
