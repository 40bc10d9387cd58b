//! `grant`: how long a person waits for access, and how soon it is gone, beside the same SQL by
//! hand and beside OpenBao, on the same PostgreSQL in the same run.

mod many;

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::Arguments;
use crate::by_hand::ByHand;
use crate::latchkey::{Latchkey, Parts, Person, Wanted};
use crate::openbao::OpenBao;
use crate::report::{Bound, Report, Row};
use crate::statistics::{Samples, Stopwatch};
use crate::target::Shop;

const CLIENTS: [usize; 3] = [1, 8, 32];

/// How much is measured.
pub(crate) struct Size {
    /// Grants of one client in one row.
    rounds: usize,
    expiring: usize,
    outstanding: usize,
    live: usize,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Report> {
    let size = if arguments.quick {
        Size { rounds: 3, expiring: 20, outstanding: 40, live: 1_000 }
    } else {
        Size { rounds: 40, expiring: 400, outstanding: 2_441, live: 100_000 }
    };
    let mut report = Report::new(&arguments.commit);
    let shop = Shop::open(&arguments.provisioner)?;
    let mut latchkey = Latchkey::start(&arguments.program).await?;
    many::idle_memory(&mut report, &latchkey).await?;

    let integration = latchkey.connect(&shop).await?;
    latchkey.flow(&integration, "bench").await?;
    let people = latchkey.people("bench", CLIENTS.into_iter().max().unwrap_or(1), true)?;
    let Some(first) = people.first() else { return Ok(report) };
    let wanted = latchkey.wanted(first).await?;
    // Everything is loaded and connected once before it is measured, on every side.
    let (id, _) = latchkey.grant(&shop, first, &wanted).await?;
    latchkey.revoke(first, &id).await?;
    let openbao = OpenBao::start(&shop).await;

    for clients in CLIENTS {
        let hand = by_hand(&mut report, &shop, clients, size.rounds).await?;
        let ours =
            ours(&mut report, &shop, &latchkey, &people, &wanted, clients, size.rounds).await?;
        let mut best_rival = None;
        match &openbao {
            Ok(openbao) => {
                for role in ["group", "direct"] {
                    let rate =
                        rival(&mut report, &shop, openbao, role, clients, size.rounds).await?;
                    best_rival = Some(
                        best_rival.map_or(rate.per_second, |best: f64| best.max(rate.per_second)),
                    );
                }
            }
            Err(error) => println!("OpenBao did not run: {error:#}"),
        }
        targets(&mut report, clients, ours, hand, best_rival);
    }
    drop(openbao);
    many::expiring_together(&mut report, &shop, &latchkey, &integration, &wanted, size.expiring)
        .await?;
    many::revoked_at_once(&mut report, &shop, &latchkey, &integration, &wanted, size.outstanding)
        .await?;
    many::start_with_live_grants(&mut report, &mut latchkey, first, &wanted, size.live).await?;
    Ok(report)
}

/// Grants a second, and their median.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    p50: f64,
}

fn targets(report: &mut Report, clients: usize, ours: Rate, hand: Rate, rival: Option<f64>) {
    if clients == 1 {
        report.target(
            "1 client: p50 of a grant over the same SQL by hand",
            Some(ours.p50 - hand.p50),
            "ms",
            Bound::AtMost(4.0),
        );
        return;
    }
    report.target(
        &format!("{clients} clients: grants a second, share of SQL by hand"),
        Some(ours.per_second / hand.per_second),
        "ratio",
        Bound::AtLeast(0.6),
    );
    // A rival that did not run leaves the target without a value, so it does not hold.
    report.target(
        &format!("{clients} clients: grants a second, against the better OpenBao"),
        rival.map(|rival| ours.per_second / rival),
        "ratio",
        Bound::AtLeast(1.0),
    );
}

/// Adds the two rows of a side, grants and revokes; the throughput is that of the grants alone,
/// each client's time for its revokes taken out.
fn rows(
    report: &mut Report,
    what: &str,
    clients: usize,
    times: &[(f64, f64)],
    notes: &Value,
) -> Rate {
    let share = u32::try_from(clients).map_or(1.0, f64::from);
    let issues = Samples::of(times.iter().map(|(issue, _)| *issue).collect());
    let ends = Samples::of(times.iter().map(|(_, end)| *end).collect());
    let seconds = |samples: &Samples| samples.sorted().iter().sum::<f64>() / 1000.0 / share;
    let row = Row::of(
        &format!("{what}: create to usable login"),
        clients,
        &issues,
        seconds(&issues),
        notes,
    );
    let rate = Rate {
        per_second: row.per_second.unwrap_or_default(),
        p50: row.p50_ms.unwrap_or_default(),
    };
    report.row(row);
    report.row(Row::of(&format!("{what}: revoke to proof"), clients, &ends, seconds(&ends), notes));
    rate
}

async fn by_hand(report: &mut Report, shop: &Shop, clients: usize, rounds: usize) -> Result<Rate> {
    let mut hands = Vec::new();
    for number in 0..clients {
        hands.push(ByHand::new(shop, number).await?);
    }
    let work = hands.into_iter().map(|mut hand| async move {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            times.push(hand.once().await?);
        }
        anyhow::Ok(times)
    });
    let times = try_join_all(work).await?.concat();
    let notes =
        json!({ "postgresql": shop.version, "fsync": "on", "driver": "tokio-postgres 0.7" });
    Ok(rows(report, "same SQL by hand", clients, &times, &notes))
}

async fn ours(
    report: &mut Report,
    shop: &Shop,
    latchkey: &Latchkey,
    people: &[Person],
    wanted: &Wanted,
    clients: usize,
    rounds: usize,
) -> Result<Rate> {
    let watch = Stopwatch::start();
    let work = people.iter().take(clients).map(|person| async move {
        let mut all = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let (id, parts) = latchkey.grant(shop, person, wanted).await?;
            all.push((parts, latchkey.revoke(person, &id).await?));
        }
        anyhow::Ok(all)
    });
    let all = try_join_all(work).await?.concat();
    let times: Vec<(f64, f64)> = all.iter().map(|(parts, end)| (parts.login, *end)).collect();
    let part = |of: fn(&Parts) -> f64| {
        Samples::of(all.iter().map(|(parts, _)| of(parts)).collect()).percentile(50)
    };
    let notes = json!({
        "postgresql": shop.version,
        "own_database": "SQLite, WAL, synchronous=FULL",
        "connector": "inside the server",
        "wall_seconds": watch.seconds(),
        "p50_ms_by_part": {
            "create answered": part(|parts| parts.created),
            "decided, applied, read back, stored": part(|parts| parts.active - parts.created),
            "credentials fetched": part(|parts| parts.details - parts.active),
            "logged in": part(|parts| parts.login - parts.details),
        },
    });
    Ok(rows(report, "latchkey", clients, &times, &notes))
}

async fn rival(
    report: &mut Report,
    shop: &Shop,
    openbao: &OpenBao,
    role: &str,
    clients: usize,
    rounds: usize,
) -> Result<Rate> {
    let work = (0..clients).map(|_| async move {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            times.push(openbao.once(shop, role).await?);
        }
        anyhow::Ok(times)
    });
    let times = try_join_all(work).await?.concat();
    let notes = json!({
        "postgresql": shop.version,
        "openbao": openbao.version,
        "own_database": "memory (development mode): its records are not durable",
        "max_open_connections": 32,
    });
    Ok(rows(report, &format!("OpenBao, {role} statements"), clients, &times, &notes))
}
