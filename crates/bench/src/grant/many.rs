//! Many grants at once: ends that fall together, a mass revoke, a start with everything live.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde_json::json;

use crate::latchkey::{Latchkey, Person, Wanted, text};
use crate::report::{Bound, Report, Row};
use crate::statistics::{Samples, Stopwatch, wall_clock};
use crate::target::Shop;

const PATIENCE: Duration = Duration::from_mins(5);
/// Requests filed at the same time.
const AT_ONCE: usize = 16;

/// Resident memory of a server that has nothing to do.
pub(super) async fn idle_memory(report: &mut Report, latchkey: &Latchkey) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let megabytes = latchkey.resident_megabytes()?;
    report.target("idle server, resident memory", Some(megabytes), "MB", Bound::AtMost(60.0));
    Ok(())
}

/// Grants that end together: how long after the last end the last principal is gone.
pub(super) async fn expiring_together(
    report: &mut Report,
    shop: &Shop,
    latchkey: &Latchkey,
    integration: &str,
    wanted: &Wanted,
    count: usize,
) -> Result<()> {
    latchkey.flow(integration, "expire").await?;
    let people = latchkey.people("expire", count, false)?;
    let asker = latchkey.people("expire-asker", 1, true)?;
    let asker = asker.first().context("an asker")?;
    let superuser = shop.superuser().await?;
    // Long enough to grant them all first; the same second for all.
    let due = wall_clock() + 45.0;
    iter(&people)
        .map(|person| async move {
            let left = due - wall_clock();
            if left < 1.0 {
                bail!("granting took too long for ends that fall together");
            }
            latchkey.ask(asker, wanted, whole_seconds(left), Some(&person.email)).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let expected = i64::try_from(count)?;
    let watch = Stopwatch::start();
    while shop.principals(&superuser).await? < expected {
        if watch.elapsed() > PATIENCE {
            bail!("not all of {count} were granted");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut gone = Vec::new();
    let mut left = expected;
    let watch = Stopwatch::start();
    while left > 0 {
        let now_left = shop.principals(&superuser).await?;
        for _ in now_left..left {
            gone.push((wall_clock() - due) * 1000.0);
        }
        left = now_left;
        if watch.elapsed() > PATIENCE {
            bail!("{left} of {count} did not end");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = gone.iter().copied().fold(f64::MIN, f64::max) / 1000.0;
    let notes = json!({
        "samples": "milliseconds from the common end, rounded up to whole seconds when filed, to principal gone",
    });
    report.row(Row::of(
        &format!("{count} expiring together: due to gone"),
        1,
        &Samples::of(gone),
        last,
        &notes,
    ));
    report.target(
        &format!("{count} expiring together, last one gone after it was due"),
        Some(last),
        "s",
        Bound::AtMost(2.0),
    );
    Ok(())
}

/// Grants outstanding, then revoked by one call.
pub(super) async fn revoked_at_once(
    report: &mut Report,
    shop: &Shop,
    latchkey: &Latchkey,
    integration: &str,
    wanted: &Wanted,
    count: usize,
) -> Result<()> {
    let flow = latchkey.flow(integration, "mass").await?;
    let people = latchkey.people("mass", count, false)?;
    let asker = latchkey.people("mass-asker", 1, true)?;
    let asker = asker.first().context("an asker")?;
    let superuser = shop.superuser().await?;
    let filing = Stopwatch::start();
    iter(&people)
        .map(|person| latchkey.ask(asker, wanted, 36_000, Some(&person.email)))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let expected = i64::try_from(count)?;
    while shop.principals(&superuser).await? < expected {
        if filing.elapsed() > PATIENCE {
            bail!("not all of {count} were granted");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let granted_in = filing.seconds();
    let watch = Stopwatch::start();
    latchkey.delete_flow(&flow).await?;
    let answered = watch.seconds();
    while shop.principals(&superuser).await? > 0 {
        if watch.elapsed() > PATIENCE {
            bail!("not all of {count} were revoked");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = watch.seconds();
    let notes = json!({ "how": "the flow is deleted", "call_answered_s": answered, "granted_in_s": granted_in });
    let samples = Samples::of(vec![seconds * 1000.0]);
    report.row(Row::of(
        &format!("{count} outstanding, revoked at once"),
        1,
        &samples,
        seconds,
        &notes,
    ));
    report.target(
        &format!("{count} outstanding, all revoked"),
        Some(seconds),
        "s",
        Bound::AtMost(10.0),
    );
    Ok(())
}

/// Start-up with many live grants: one real grant, multiplied in the database file.
pub(super) async fn start_with_live_grants(
    report: &mut Report,
    latchkey: &mut Latchkey,
    person: &Person,
    wanted: &Wanted,
    count: usize,
) -> Result<()> {
    let request = latchkey.ask(person, wanted, 36_000, None).await?;
    let id = text(&request, "id")?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let seconds = latchkey.restart_after(|folder| multiply(folder, &id, count)).await?;
    let notes = json!({ "how": "one live grant copied to others in the database file while the server was down" });
    let samples = Samples::of(vec![seconds * 1000.0]);
    report.row(Row::of(&format!("start with {count} live grants"), 1, &samples, seconds, &notes));
    report.target(
        &format!("start with {count} live grants"),
        Some(seconds),
        "s",
        Bound::AtMost(5.0),
    );
    Ok(())
}

/// Copies the rows of a request by Python's SQLite, so that no database driver is linked here.
fn multiply(folder: &Path, request: &str, count: usize) -> Result<()> {
    let file = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite")
        })
        .context("the data folder has no database file")?;
    let output = Command::new("python3")
        .args(["-c", include_str!("multiply.py")])
        .arg(&file)
        .arg(request)
        .arg(count.to_string())
        .output()?;
    if !output.status.success() {
        bail!("multiplying grants failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn whole_seconds(seconds: f64) -> u32 {
    let mut whole = 0;
    while f64::from(whole) < seconds {
        whole += 1;
    }
    whole
}
