//! Access ends on time: from the journal, over a restart, with server or target away, and also
//! where another process gave it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails here")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use jiff::SignedDuration;
use latchkey_connector::{
    Connector,
    journal::{Ledger, Record, replay},
};
use latchkey_domain::{
    Clock,
    ids::UnitId,
    provisioning::{ClaimState, DesiredPrincipal},
};
use latchkey_protocol::{Applied, Outcome};
use support::{Bench, claim, desired, integration, server::SERVER_SECRET};

impl Bench {
    async fn grant(&self, task: &str, asked: DesiredPrincipal) {
        self.server.queue_apply(task, asked);
        self.eventually("the grant", || self.server.is_done(task)).await;
    }

    fn applied(&self, task: &str) -> Applied {
        match self.server.results_of(task).pop().unwrap() {
            Outcome::Applied(applied) => applied,
            other => panic!("expected an apply to succeed, not {other:?}"),
        }
    }

    /// The journal as another program would read it.
    fn journal(&self) -> Ledger {
        let content = fs::read(self.folder.path().join("journal.log")).unwrap();
        let replayed = replay(&content).unwrap();
        assert_eq!(replayed.damaged, 0);
        let mut ledger = Ledger::default();
        for record in &replayed.records {
            ledger.enter(record);
        }
        ledger
    }

    fn is_gone(&self, principal: &str) -> bool {
        self.target.claims_of(principal).is_none()
    }
}

#[tokio::test]
async fn f03_with_the_server_away_access_ends_on_time_and_the_server_learns_it_afterwards() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let (early, late) = (bench.in_seconds(30), bench.in_seconds(90));
    bench.grant("t1", desired("p", 1, &[("u1", Some(early)), ("u2", Some(late))])).await;
    bench.server.go_away();

    bench.clock.advance(Duration::from_millis(29_900));
    bench.eventually("sweeps of the markers", || bench.target.sweeps() > 1).await;
    assert_eq!(bench.target.claims_of("p").unwrap(), ["u1", "u2"], "nothing ends early");
    bench.clock.advance(Duration::from_millis(100));
    bench.eventually("the first end", || bench.target.claims_of("p").unwrap() == ["u2"]).await;
    bench.clock.advance(Duration::from_mins(1));
    bench.eventually("the second end", || bench.is_gone("p")).await;
    bench.eventually("a journal without leases", || agent.open_leases() == 0).await;

    bench.server.answer_with(None);
    let mut asked = desired("p", 2, &[]);
    asked.removed = vec![claim("u1", Some(early)), claim("u2", Some(late))];
    bench.grant("t2", asked).await;
    let applied = bench.applied("t2");
    let told: Vec<_> = applied.expired_by_connector.iter().map(|c| c.unit_id.as_str()).collect();
    assert_eq!(told, ["u1", "u2"]);
    assert_eq!(applied.expired_by_connector[0].removed_at, early);
    assert!(applied.claims.iter().all(|claim| claim.state == ClaimState::Absent));

    bench.grant("t3", desired("p", 3, &[])).await;
    assert!(bench.applied("t3").expired_by_connector.is_empty(), "told once");
    agent.stop().await;
}

#[tokio::test]
async fn the_end_is_kept_with_the_server_in_reach_as_well() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.grant("t1", desired("p", 1, &[("u1", Some(bench.in_seconds(30)))])).await;
    bench.clock.advance(Duration::from_secs(30));
    bench.eventually("the end", || bench.is_gone("p")).await;
    agent.stop().await;
}

#[tokio::test]
async fn f03_a_restarted_process_ends_what_its_journal_holds_without_a_server() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.grant("t1", desired("p", 1, &[("u1", Some(bench.in_seconds(30)))])).await;
    agent.stop().await;
    bench.server.go_away();
    let agent = Connector::start(bench.options(bench.folder.path())).unwrap();
    assert_eq!(agent.open_leases(), 1);
    bench.clock.advance(Duration::from_secs(31));
    bench.eventually("the end", || bench.is_gone("p")).await;
    assert_eq!(bench.target.seen_secret().as_deref(), Some(SERVER_SECRET));
    agent.stop().await;

    // What it ended is still to be told, by the process after it.
    bench.server.answer_with(None);
    let agent = bench.start().await;
    bench.grant("t2", desired("p", 2, &[])).await;
    assert_eq!(bench.applied("t2").expired_by_connector[0].unit_id, UnitId::new("u1"));
    agent.stop().await;
}

#[tokio::test]
async fn f02_a_target_that_is_down_is_tried_until_it_answers() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.grant("t1", desired("p", 1, &[("u1", Some(bench.in_seconds(5)))])).await;
    bench.server.go_away();
    bench.target.set_down(true);
    bench.clock.advance(Duration::from_secs(6));
    bench.eventually("four tries", || bench.target.failed_sweeps() >= 4).await;
    assert!(!bench.is_gone("p"));
    bench.target.set_down(false);
    bench.eventually("the end", || bench.is_gone("p")).await;
    agent.stop().await;
}

#[tokio::test]
async fn f03_access_that_a_dead_process_gave_is_ended_by_another_of_the_same_connector() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.target.plant("given-by-another", "u9", bench.in_seconds(30));
    bench.server.go_away();
    bench.clock.advance(Duration::from_secs(31));
    bench.eventually("the end", || bench.is_gone("given-by-another")).await;
    agent.stop().await;
}

#[tokio::test]
async fn b07_a_wall_clock_set_back_delays_no_end() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let end = bench.in_seconds(30);
    bench.grant("t1", desired("p", 1, &[("u1", Some(end))])).await;
    bench.server.go_away();
    let sweeps = bench.target.sweeps();
    bench.clock.set(bench.clock.now() - SignedDuration::from_hours(5));
    bench.clock.advance(Duration::from_secs(31));
    // The target's clock is the same one here; the connector looks at the right time, and again.
    bench.eventually("looks at the target", || bench.target.sweeps() > sweeps + 3).await;
    assert!(!bench.is_gone("p"), "by the target's own clock the end has not come");
    bench.clock.set(end);
    bench.eventually("the end", || bench.is_gone("p")).await;
    agent.stop().await;
}

#[tokio::test]
async fn f01_claims_and_ends_are_on_disk_before_the_target_is_touched() {
    let bench = Bench::new();
    bench.target.watch_journal(bench.folder.path().join("journal.log"));
    let agent = bench.start().await;
    let end = bench.in_seconds(30);
    bench.grant("t1", desired("p", 1, &[("u1", Some(end)), ("u2", None)])).await;
    let seen = bench.target.journal_at_apply();
    let records = replay(seen.as_bytes()).unwrap().records;
    let Some(Record::Leased { holder, claims, .. }) = records.last() else {
        panic!("the claims should be the journal's last record, not {records:?}")
    };
    assert_eq!((holder.integration.clone(), holder.principal.as_str()), (integration(), "p"));
    assert_eq!(claims.len(), 2);
    assert_eq!(claims[0].ends_at, Some(end));
    agent.stop().await;
    let watched: Vec<_> = bench.journal().entries().values().map(|e| e.claims.clone()).collect();
    assert_eq!(
        watched,
        [[(UnitId::new("u1"), Some(end))].into()],
        "what has no end needs no watch"
    );
}

#[tokio::test]
async fn a_receipt_that_shows_access_gone_clears_the_journal() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let end = Some(bench.in_seconds(600));
    bench.grant("t1", desired("p", 1, &[("u1", end), ("u2", end)])).await;
    let mut asked = desired("p", 2, &[("u2", end)]);
    asked.removed = vec![claim("u1", end)];
    bench.grant("t2", asked).await;
    assert_eq!(agent.open_leases(), 1);
    bench.grant("t3", desired("p", 3, &[])).await;
    bench.eventually("an empty journal", || agent.open_leases() == 0).await;
    agent.stop().await;
    assert!(bench.journal().entries().is_empty());
}

#[tokio::test]
async fn claims_that_another_process_removed_leave_the_journal() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.grant("t1", desired("p", 1, &[("u1", Some(bench.in_seconds(30)))])).await;
    bench.target.plant("p", "other", bench.in_seconds(900));
    bench.pass(Duration::from_secs(30)).await;
    assert_eq!(agent.open_leases(), 1);
    bench.pass(Duration::from_secs(61)).await;
    bench.eventually("an empty journal", || agent.open_leases() == 0).await;
    assert_eq!(bench.target.claims_of("p").unwrap(), ["other"]);
    agent.stop().await;
}

#[tokio::test]
async fn a_target_that_the_server_no_longer_lists_is_kept_while_it_has_open_leases() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.grant("t1", desired("p", 1, &[("u1", Some(bench.in_seconds(30)))])).await;
    bench.server.forget_targets();
    bench.pass(Duration::from_secs(1)).await;
    bench.server.go_away();
    bench.clock.advance(Duration::from_secs(30));
    bench.eventually("the end", || bench.is_gone("p")).await;
    agent.stop().await;
}

#[tokio::test]
async fn e04_no_secret_lies_in_clear_in_the_data_folder_and_every_file_is_private() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let mut asked = desired("p", 1, &[("u1", Some(bench.in_seconds(600)))]);
    asked.issue_credentials = true;
    bench.grant("t1", asked).await;
    let sealed = bench.applied("t1").credentials.unwrap();
    let credentials = bench.server.key.open_credentials(&sealed).unwrap();
    let files: Vec<_> =
        fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|path| path.ends_with("targets.sealed")));
    for path in files {
        let content = fs::read(&path).unwrap();
        for secret in [SERVER_SECRET, credentials.password.as_str(), "cells.internal"] {
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} lies in {}", path.display());
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    agent.stop().await;
}

#[tokio::test]
async fn f06_many_grants_that_end_in_one_second_end_together() {
    let bench = Bench::new();
    let agent = bench.start().await;
    for number in 0..400 {
        let end = bench.clock.now() + SignedDuration::from_millis(30_000 + number);
        let asked = desired(&format!("p{number}"), 1, &[("u", Some(end))]);
        bench.server.queue_apply(&format!("t{number}"), asked);
    }
    let all = |holds: &dyn Fn(i64) -> bool| (0..400).all(holds);
    bench.eventually("the grants", || all(&|n| bench.server.is_done(&format!("t{n}")))).await;
    assert_eq!(agent.open_leases(), 400);
    bench.server.go_away();
    bench.clock.advance(Duration::from_secs(31));
    bench.eventually("the ends", || all(&|n| bench.is_gone(&format!("p{n}")))).await;
    bench.eventually("an empty journal", || agent.open_leases() == 0).await;
    agent.stop().await;
}
