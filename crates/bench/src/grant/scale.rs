//! One server with much to do at once: ends that come together, everything revoked by one call,
//! a start with a hundred thousand live grants; and what it keeps in memory.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    latchkey::{Entitlement, Side},
    live, megabytes,
    target::{Target, count_roles},
};
use crate::{
    installation::{Installation, Person},
    load::drive,
    machine,
    report::number,
};

/// Grants that expire together.
const TOGETHER: usize = 400;
/// Grants that are revoked at once: one more than direct grants on one table can be.
const OUTSTANDING: usize = 2_441;
/// Live grants at a start.
const LIVE: usize = 100_000;
/// How many grants the large parts are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    together: usize,
    outstanding: usize,
    live: usize,
}

impl Counts {
    /// What is promised, or a tenth of it to see that everything runs.
    pub(super) fn new(tenth: bool) -> Self {
        let share = if tenth { 10 } else { 1 };
        Self { together: TOGETHER / share, outstanding: OUTSTANDING / share, live: LIVE / share }
    }
}

/// People who take turns in the rounds.
const PEOPLE: usize = 320;
/// Clients that ask for the grants of a large part.
const ASKING: usize = 32;
/// What principals' names begin with.
const PRINCIPALS: &str = "lk_u_";
/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What was measured besides the rounds.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) idle_bytes: Option<u64>,
    pub(super) after_load_bytes: Option<u64>,
    pub(super) together: Option<Together>,
    pub(super) outstanding: Option<Outstanding>,
    pub(super) live: Option<Live>,
}

/// 400 grants whose ends are one instant.
#[derive(Debug)]
pub(super) struct Together {
    count: usize,
    /// From the end to the last role gone from the target.
    last_gone_s: f64,
    /// From the end to the last request Revoked.
    last_receipt_s: f64,
    /// (seconds after the end, roles left) as they were seen.
    course: Vec<(f64, i64)>,
}

/// 2,441 grants revoked by one call.
#[derive(Debug)]
pub(super) struct Outstanding {
    count: usize,
    /// How long making them took.
    issued_s: f64,
    /// How long the call took.
    call_s: f64,
    /// From the call to the last role gone from the target.
    last_gone_s: f64,
    /// From the call to the last request Revoked.
    last_receipt_s: f64,
    /// (seconds after the call, roles left) as they were seen.
    course: Vec<(f64, i64)>,
}

/// Starts with many live grants.
#[derive(Debug)]
pub(super) struct Live {
    count: usize,
    starts_s: Vec<f64>,
    resident_bytes: u64,
}

impl Together {
    /// The figure, if it is about as many grants as were promised.
    pub(super) fn last_gone_s(&self) -> Option<f64> {
        (self.count >= TOGETHER).then_some(self.last_gone_s)
    }
}

impl Outstanding {
    /// The figure, if it is about as many grants as were promised.
    pub(super) fn last_receipt_s(&self) -> Option<f64> {
        (self.count >= OUTSTANDING).then_some(self.last_receipt_s)
    }
}

impl Live {
    /// The slowest start; `None` where fewer than the promised grants were live.
    pub(super) fn start_s(&self) -> Option<f64> {
        let slowest = self.starts_s.iter().copied().fold(f64::NAN, f64::max);
        (self.count >= LIVE && !slowest.is_nan()).then_some(slowest)
    }
}

impl Figures {
    /// Rows of the report.
    pub(super) fn rows(&self) -> Vec<Map<String, Value>> {
        let row = |name: &str, figures: Value| {
            let mut row = Map::new();
            row.insert("name".to_owned(), json!(name));
            row.insert("side".to_owned(), json!(super::latchkey::SIDE));
            if let Value::Object(figures) = figures {
                row.extend(figures);
            }
            row
        };
        let mut rows = vec![row(
            "memory",
            json!({
                "idle_bytes": self.idle_bytes,
                "after_load_bytes": self.after_load_bytes,
                "with_live_grants_bytes": self.live.as_ref().map(|live| live.resident_bytes),
            }),
        )];
        if let Some(one) = &self.together {
            rows.push(row(
                "expiring together",
                json!({
                    "grants": one.count, "last_gone_s": one.last_gone_s,
                    "last_receipt_s": one.last_receipt_s, "samples_s_and_left": one.course,
                }),
            ));
        }
        if let Some(one) = &self.outstanding {
            rows.push(row(
                "outstanding, revoked at once",
                json!({
                    "grants": one.count, "issued_s": one.issued_s, "call_s": one.call_s,
                    "last_gone_s": one.last_gone_s, "last_receipt_s": one.last_receipt_s,
                    "samples_s_and_left": one.course,
                }),
            ));
        }
        if let Some(one) = &self.live {
            rows.push(row(
                "start with live grants",
                json!({ "grants": one.count, "samples_s": one.starts_s }),
            ));
        }
        rows
    }

    /// Prints them for people.
    pub(super) fn print(&self) {
        println!();
        println!(
            "resident memory: idle {}, after the rounds {}, with live grants {}",
            megabytes(self.idle_bytes),
            megabytes(self.after_load_bytes),
            megabytes(self.live.as_ref().map(|live| live.resident_bytes)),
        );
        if let Some(one) = &self.together {
            println!(
                "{} expiring together: last role gone {} s after they were due, last receipt {} s",
                one.count,
                number(Some(one.last_gone_s)),
                number(Some(one.last_receipt_s)),
            );
        }
        if let Some(one) = &self.outstanding {
            println!(
                "{} outstanding (made in {} s) revoked at once: the call {} s, last role gone {} s, \
                 last receipt {} s",
                one.count,
                number(Some(one.issued_s)),
                number(Some(one.call_s)),
                number(Some(one.last_gone_s)),
                number(Some(one.last_receipt_s)),
            );
        }
        if let Some(one) = &self.live {
            let starts: Vec<String> = one.starts_s.iter().map(|s| number(Some(*s))).collect();
            println!("start with {} live grants: {} s", one.count, starts.join(", "));
        }
    }
}

/// The server of the rounds and of the large parts, with its people.
pub(super) struct Scale {
    installation: Installation,
    integration: String,
    side: Side,
    taking_turns: Vec<Person>,
    together: Vec<Person>,
    outstanding: Vec<Person>,
}

impl Scale {
    /// Starts a server with everybody who will ask for something, and connects the database.
    pub(super) async fn start(
        program: &Path,
        scratch: &Path,
        target: &Target,
        counts: Counts,
    ) -> Result<Self> {
        let mut installation = Installation::create(program, scratch.join("server"))?;
        let taking_turns = installation.add_people("turns", PEOPLE).await?;
        let together = installation.add_people("together", counts.together).await?;
        let outstanding = installation.add_people("outstanding", counts.outstanding).await?;
        installation.start().await?;
        let integration = installation.connect_database(target).await?;
        installation.add_flow("turns", &integration, None).await?;
        let entitlement = entitlement(&installation, &taking_turns).await?;
        let side = installation.side(target, &entitlement);
        Ok(Self { installation, integration, side, taking_turns, together, outstanding })
    }

    pub(super) fn installation(&self) -> &Installation {
        &self.installation
    }

    /// What clients call.
    pub(super) fn side(&self) -> Side {
        self.side.clone()
    }

    /// People without access at present.
    pub(super) fn people(&self, count: usize) -> Vec<Person> {
        self.taking_turns.iter().take(count).cloned().collect()
    }

    /// Resident memory now.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        machine::resident_bytes(self.installation.pid()?)
    }

    /// Resident memory of a server that has a database connected and nothing to do.
    pub(super) async fn idle_bytes(&self) -> Result<u64> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.resident_bytes()
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        self.installation.stop()
    }

    /// Grants that a flow's window ends all at one instant.
    pub(super) async fn expire_together(&self, target: &Target) -> Result<Together> {
        let clock = &self.installation.surroundings().clock;
        let lead = SignedDuration::from_secs(60);
        let end = clock.now().saturating_add(lead)?.round(jiff::Unit::Second)?;
        self.installation.add_flow("together", &self.integration, Some(window(end)?)).await?;
        println!("{} grants that end together at {end}", self.together.len());
        let (made, _) = self.ask_all(self.together.clone()).await?;
        let watcher = target.watcher().await?;
        let before = count_roles(&watcher, PRINCIPALS).await?;
        if usize::try_from(before)? != made {
            bail!("{before} roles instead of {made}");
        }
        let revoked_before = self.installation.entered("Revoked").await?;
        let left = end.duration_since(clock.now());
        let Ok(left) = Duration::try_from(left) else {
            bail!("the grants were not in place before their end")
        };
        tokio::time::sleep(left).await;
        let after =
            |clock: &dyn latchkey_domain::Clock| clock.now().duration_since(end).as_secs_f64();
        let mut course = Vec::new();
        let mut last_gone_s = None;
        loop {
            let left = count_roles(&watcher, PRINCIPALS).await?;
            let now = after(clock.as_ref());
            course.push((now, left));
            if left == 0 && last_gone_s.is_none() {
                last_gone_s = Some(now);
            }
            if let Some(last_gone_s) = last_gone_s {
                let revoked = self.installation.entered("Revoked").await? - revoked_before;
                if usize::try_from(revoked)? >= made {
                    let last_receipt_s = after(clock.as_ref());
                    return Ok(Together { count: made, last_gone_s, last_receipt_s, course });
                }
            }
            if now > PATIENCE.as_secs_f64() {
                bail!("{left} roles are left: {}", self.installation.log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Grants of one flow that the deletion of the flow revokes all at once.
    pub(super) async fn revoke_at_once(&self, target: &Target) -> Result<Outstanding> {
        let clock = &self.installation.surroundings().clock;
        let flow = self.installation.add_flow("outstanding", &self.integration, None).await?;
        println!("{} grants, then all revoked at once", self.outstanding.len());
        let (made, busy) = self.ask_all(self.outstanding.clone()).await?;
        let watcher = target.watcher().await?;
        let before = count_roles(&watcher, PRINCIPALS).await?;
        if usize::try_from(before)? != made {
            bail!("{before} roles instead of {made}");
        }
        let revoked_before = self.installation.entered("Revoked").await?;
        let began = clock.monotonic();
        let after = || clock.monotonic().saturating_sub(began).as_secs_f64();
        self.installation.delete_flow(&flow).await?;
        let call_s = after();
        let mut course = Vec::new();
        let mut last_gone_s = None;
        loop {
            let left = count_roles(&watcher, PRINCIPALS).await?;
            let now = after();
            course.push((now, left));
            if left == 0 && last_gone_s.is_none() {
                last_gone_s = Some(now);
            }
            if let Some(last_gone_s) = last_gone_s {
                let revoked = self.installation.entered("Revoked").await? - revoked_before;
                if usize::try_from(revoked)? >= made {
                    return Ok(Outstanding {
                        count: made,
                        issued_s: busy.as_secs_f64(),
                        call_s,
                        last_gone_s,
                        last_receipt_s: after(),
                        course,
                    });
                }
            }
            if now > PATIENCE.as_secs_f64() {
                bail!("{left} roles are left: {}", self.installation.log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Has everybody ask, and waits until all have access.
    async fn ask_all(&self, people: Vec<Person>) -> Result<(usize, Duration)> {
        let clock = &self.installation.surroundings().clock;
        let side = self.side();
        let work = move |person| {
            let side = side.clone();
            async move { side.ask(person, None).await }
        };
        let (made, busy) = drive(clock, ASKING, people, work).await?;
        Ok((made.len(), busy))
    }
}

async fn entitlement(installation: &Installation, people: &[Person]) -> Result<Entitlement> {
    match people.first() {
        Some(person) => installation.entitlement(person).await,
        None => bail!("nobody is there to ask"),
    }
}

/// A daily window that is open now and closes at `end`.
fn window(end: Timestamp) -> Result<Value> {
    let closes = end.to_zoned(TimeZone::UTC);
    let opens = end.saturating_sub(SignedDuration::from_hours(12))?.to_zoned(TimeZone::UTC);
    Ok(json!({
        "start_time": opens.strftime("%H:%M:%S").to_string(),
        "end_time": closes.strftime("%H:%M:%S").to_string(),
        "days_of_week": [
            "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY",
        ],
        "time_zone": "Etc/UTC",
    }))
}

/// Starts a server that has many live grants, again and again.
pub(super) async fn start_with_live_grants(
    program: &Path,
    scratch: &Path,
    target: &Target,
    counts: Counts,
    quick: bool,
) -> Result<Live> {
    let mut installation = Installation::create(program, scratch.join("live"))?;
    let people = installation.add_people("first", 1).await?;
    installation.start().await?;
    let integration = installation.connect_database(target).await?;
    let flow = installation.add_flow("first", &integration, None).await?;
    // Somebody has to see the inventory: only what can be asked for can have been granted.
    entitlement(&installation, &people).await?;
    installation.stop()?;
    println!("A start with {} live grants; putting them in place", counts.live);
    live::add_grants(&installation, &integration, &flow, counts.live).await?;
    let mut starts_s = Vec::new();
    let mut resident_bytes = 0;
    for _ in 0..if quick { 1 } else { 3 } {
        starts_s.push(installation.start().await?.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(5)).await;
        resident_bytes = resident_bytes.max(machine::resident_bytes(installation.pid()?)?);
        installation.stop()?;
    }
    Ok(Live { count: counts.live, starts_s, resident_bytes })
}
