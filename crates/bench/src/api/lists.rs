//! What is called: pages of lists, unpaged lists, and writes.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use latchkey_domain::{Clock, ids::UserId};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    bare::Bare,
    data::{REQUESTS_EACH, Tenant},
};
use crate::{
    http::Server,
    installation::Person,
    load::drive,
    machine::{self, megabytes},
    samples::{Sample, Series},
};

/// Latchkey with the large tenant, with the small one, and the rival.
pub(super) const MANY: &str = "Latchkey";
pub(super) const FEW: &str = "Latchkey, few requests";
pub(super) const BARE: &str = "bare handler";
/// A call has one part.
pub(super) const LIST_PARTS: &[&str] = &["call"];

const CLIENTS: [usize; 2] = [1, 32];

/// A list that is read page by page.
pub(super) struct CursorList {
    pub(super) operation: &'static str,
    /// The same page from Latchkey, for a caller.
    path: fn() -> String,
    /// And from the bare handler, which has to be told for whom.
    bare: fn(&UserId) -> String,
    /// Called with a token of somebody with a role.
    by_staff: bool,
}

/// The lists that are measured: of one person, of the tenant, and of wide rows.
pub(super) const CURSOR_LISTS: &[CursorList] = &[
    CursorList {
        operation: "own requests",
        path: || format!("/api/user/v4/access-requests?limit={REQUESTS_EACH}"),
        bare: |user| format!("/requests?limit={REQUESTS_EACH}&person={user}"),
        by_staff: false,
    },
    CursorList {
        operation: "users",
        path: || "/api/admin/v3/users?limit=100".to_owned(),
        bare: |_| "/users?limit=100".to_owned(),
        by_staff: true,
    },
    CursorList {
        operation: "flows",
        path: || "/api/admin/v2/access-flows?limit=100".to_owned(),
        bare: |_| "/flows?limit=100".to_owned(),
        by_staff: true,
    },
];

const WRITE: &str = "new group";

/// The three servers.
pub(super) struct Lists<'a> {
    pub(super) quick: bool,
    pub(super) many: &'a Tenant,
    pub(super) few: &'a Tenant,
    pub(super) bare: &'a Bare,
}

/// One call.
#[derive(Clone)]
struct Call {
    server: Server,
    method: Method,
    token: String,
    path: String,
    body: Option<Value>,
}

impl Lists<'_> {
    /// Pages and writes, at 1 and at 32 clients.
    pub(super) async fn run(&self) -> Result<Vec<Series>> {
        // An even number: every other round goes through the sides backwards, so that none has the
        // same one before it each time.
        let rounds = if self.quick { 2 } else { 6 };
        let mut all = Vec::new();
        for clients in CLIENTS {
            for list in CURSOR_LISTS {
                let mut series = [MANY, BARE, FEW]
                    .map(|side| Series::new(list.operation, side, clients, LIST_PARTS));
                for _ in 0..rounds {
                    for one in &mut series {
                        let calls = self.pages(list, one.side, self.count(clients));
                        one_round(&self.many.clock(), one, calls).await?;
                    }
                    series.reverse();
                }
                all.extend(series);
            }
            let mut series = [MANY, BARE].map(|side| Series::new(WRITE, side, clients, LIST_PARTS));
            for round in 0..rounds {
                for one in &mut series {
                    let calls = self.writes(one.side, clients, round);
                    one_round(&self.many.clock(), one, calls).await?;
                }
                series.reverse();
            }
            all.extend(series);
            println!("{clients} clients: measured");
        }
        Ok(all)
    }

    /// Calls in a round.
    fn count(&self, clients: usize) -> usize {
        let each = if self.quick { 20 } else { 100 };
        if clients == 1 { each } else { each * 16 }
    }

    fn pages(&self, list: &CursorList, side: &str, count: usize) -> Vec<Call> {
        let tenant = if side == FEW { self.few } else { self.many };
        tenant
            .callers
            .iter()
            .cycle()
            .take(count)
            .map(|(person, user)| {
                let token = if list.by_staff { &tenant.reader.token } else { &person.token };
                let (server, path) = if side == BARE {
                    (self.bare.server.clone(), (list.bare)(user))
                } else {
                    (tenant.server().clone(), (list.path)())
                };
                Call { server, method: Method::GET, token: token.clone(), path, body: None }
            })
            .collect()
    }

    fn writes(&self, side: &str, clients: usize, round: usize) -> Vec<Call> {
        let Person { token } = &self.many.writer;
        (0..self.count(clients))
            .map(|number| {
                let name = format!("{side} {clients} {round} {number}");
                let (server, path) = if side == BARE {
                    (self.bare.server.clone(), "/groups")
                } else {
                    (self.many.server().clone(), "/api/admin/v1/groups")
                };
                Call {
                    server,
                    method: Method::POST,
                    token: token.clone(),
                    path: path.to_owned(),
                    body: Some(json!({ "name": name, "members_emails": [] })),
                }
            })
            .collect()
    }

    /// Lists of the whole tenant in one answer.
    pub(super) async fn unpaged(&self) -> Result<Vec<Unpaged>> {
        let clock = self.many.clock();
        let rounds = if self.quick { 1 } else { 5 };
        let mut all = Vec::new();
        for (list, path, bare, count) in [
            ("users v2", "/api/v2/users", "/all-users", "\"email\":"),
            (
                "requests v3",
                "/api/v3/access-requests?days_offset=3650",
                "/all-requests",
                "\"request_id\":",
            ),
        ] {
            let mut one = Unpaged {
                list,
                rows: 0,
                seconds: Vec::new(),
                bare_seconds: Vec::new(),
                growth_mb: 0.0,
            };
            let pid = self.many.pid()?;
            // Once before, so that what is made once is there.
            read(self.many.server(), &self.many.reader.token, path, count).await?;
            let before = machine::resident_bytes(pid)?;
            machine::forget_peak(pid)?;
            for _ in 0..rounds {
                let began = clock.monotonic();
                one.rows = read(self.many.server(), &self.many.reader.token, path, count).await?;
                one.seconds.push(clock.monotonic().saturating_sub(began));
                let began = clock.monotonic();
                let rows = read(&self.bare.server, "", bare, count).await?;
                one.bare_seconds.push(clock.monotonic().saturating_sub(began));
                if rows != one.rows {
                    bail!("{list}: {} rows here, {rows} from the bare handler", one.rows);
                }
            }
            let peak = machine::peak_bytes(pid)?;
            one.growth_mb = megabytes(peak.saturating_sub(before));
            all.push(one);
        }
        Ok(all)
    }
}

async fn read(server: &Server, token: &str, path: &str, count: &str) -> Result<usize> {
    let body = server.bytes(Method::GET, token, path, None).await?;
    Ok(String::from_utf8_lossy(&body).matches(count).count())
}

async fn one_round(clock: &Arc<dyn Clock>, series: &mut Series, calls: Vec<Call>) -> Result<()> {
    let timer = Arc::clone(clock);
    let work = move |call: Call| {
        let timer = Arc::clone(&timer);
        async move {
            let began = timer.monotonic();
            call.server.bytes(call.method, &call.token, &call.path, call.body.as_ref()).await?;
            Ok(Sample(vec![timer.monotonic().saturating_sub(began)]))
        }
    };
    let (samples, busy) = drive(clock, series.clients, calls, work).await?;
    series.add(samples, busy);
    Ok(())
}

/// One list of the whole tenant.
#[derive(Debug)]
pub(super) struct Unpaged {
    pub(super) list: &'static str,
    pub(super) rows: usize,
    seconds: Vec<Duration>,
    bare_seconds: Vec<Duration>,
    /// The peak of resident memory over what was resident before.
    pub(super) growth_mb: f64,
}

impl Unpaged {
    pub(super) fn rows_per_second(&self) -> f64 {
        per_second(self.rows, &self.seconds)
    }

    pub(super) fn bare_rows_per_second(&self) -> f64 {
        per_second(self.rows, &self.bare_seconds)
    }

    pub(super) fn row(&self) -> Map<String, Value> {
        let seconds = |all: &[Duration]| all.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        Map::from_iter([
            ("name".to_owned(), json!("unpaged list")),
            ("list".to_owned(), json!(self.list)),
            ("rows".to_owned(), json!(self.rows)),
            ("rows_per_second".to_owned(), json!(self.rows_per_second())),
            ("bare_rows_per_second".to_owned(), json!(self.bare_rows_per_second())),
            ("samples_s".to_owned(), json!(seconds(&self.seconds))),
            ("bare_samples_s".to_owned(), json!(seconds(&self.bare_seconds))),
            ("memory_growth_mb".to_owned(), json!(self.growth_mb)),
        ])
    }
}

/// By the median of the rounds.
fn per_second(rows: usize, seconds: &[Duration]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).map_or(f64::NAN, Duration::as_secs_f64);
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) / median
}
