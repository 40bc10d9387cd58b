//! The process ends at each of the agent's crash points, and the next one on its data folder
//! goes on: no access without a record, no record without an end. (Here the work is dropped at
//! the point; the journeys kill real processes with `kill -9`.)

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use latchkey_connector::{CRASH_POINTS, Connector, ConnectorHandle};
use latchkey_integrations::CrashPoints;
use latchkey_protocol::Operation;
use support::{Bench, claim, desired};

/// Goes no further at one point.
#[derive(Debug)]
struct StopAt {
    point: &'static str,
    reached: AtomicBool,
}

#[async_trait]
impl CrashPoints for StopAt {
    async fn reached(&self, name: &'static str) {
        if name == self.point {
            self.reached.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }
}

/// An agent that goes no further at `point`.
fn start_to_stop_at(bench: &Bench, point: &'static str) -> (ConnectorHandle, Arc<StopAt>) {
    let stop_at = Arc::new(StopAt { point, reached: AtomicBool::new(false) });
    let mut options = bench.options(bench.folder.path());
    options.crash_points = Arc::<StopAt>::clone(&stop_at);
    options.timing.stop_grace = Duration::ZERO;
    (Connector::start(options).unwrap(), stop_at)
}

async fn end_at(bench: &Bench, agent: ConnectorHandle, stop_at: &StopAt) {
    bench.eventually(stop_at.point, || stop_at.reached.load(Ordering::SeqCst)).await;
    agent.stop().await;
}

/// Whether the claim, if it is in the target, is on the connector's disk or known to the server.
fn is_on_record(bench: &Bench) -> bool {
    let journal = std::fs::read_to_string(bench.folder.path().join("journal.log")).unwrap();
    bench.target.claims_of("p").is_none() || journal.contains("u1") || bench.server.is_done("t1")
}

#[tokio::test]
async fn f01_a_grant_that_was_cut_at_any_point_is_finished_and_ends() {
    for point in CRASH_POINTS.iter().filter(|point| {
        ["leased", "journaled", "applied", "settled", "reported"]
            .iter()
            .any(|step| **point == format!("connector.{step}"))
    }) {
        let bench = Bench::new();
        let (agent, stop_at) = start_to_stop_at(&bench, point);
        let end = Some(bench.in_seconds(30));
        bench.server.queue_apply("t1", desired("p", 1, &[("u1", end)]));
        end_at(&bench, agent, &stop_at).await;
        assert!(is_on_record(&bench), "{point}");

        let agent = bench.start().await;
        bench.eventually("the grant", || bench.server.is_done("t1")).await;
        assert_eq!(bench.target.claims_of("p").unwrap(), ["u1"], "{point}");
        assert!(is_on_record(&bench), "{point}");
        bench.server.go_away();
        bench.clock.advance(Duration::from_secs(30));
        bench.eventually("the end", || bench.target.claims_of("p").is_none()).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn f01_a_grant_that_was_cut_and_never_asked_for_again_ends_all_the_same() {
    for point in ["connector.journaled", "connector.applied", "connector.settled"] {
        let bench = Bench::new();
        let (agent, stop_at) = start_to_stop_at(&bench, point);
        let end = Some(bench.in_seconds(30));
        bench.server.queue_apply("t1", desired("p", 1, &[("u1", end)]));
        end_at(&bench, agent, &stop_at).await;
        bench.server.go_away();
        let agent = Connector::start(bench.options(bench.folder.path())).unwrap();
        bench.clock.advance(Duration::from_secs(30));
        bench.eventually("the end", || bench.target.claims_of("p").is_none()).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn f01_an_end_that_was_cut_at_any_point_comes_and_is_told() {
    for point in CRASH_POINTS.iter().filter(|point| point.contains("expir")) {
        let bench = Bench::new();
        let (agent, stop_at) = start_to_stop_at(&bench, point);
        let end = Some(bench.in_seconds(30));
        bench.server.queue_apply("t1", desired("p", 1, &[("u1", end)]));
        bench.eventually("the grant", || bench.server.is_done("t1")).await;
        bench.server.go_away();
        bench.clock.advance(Duration::from_secs(30));
        end_at(&bench, agent, &stop_at).await;

        let agent = Connector::start(bench.options(bench.folder.path())).unwrap();
        bench.eventually("the end", || bench.target.claims_of("p").is_none()).await;
        bench.server.answer_with(None);
        let mut asked = desired("p", 2, &[]);
        asked.removed.push(claim("u1", end));
        bench.server.queue_apply("t2", asked);
        bench.eventually("the server's own task", || bench.server.is_done("t2")).await;
        bench.eventually("an empty journal", || agent.open_leases() == 0).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_discovery_run_that_was_cut_starts_again_from_its_first_page() {
    let bench = Bench::new();
    bench.target.hold_resources(1_100);
    let (agent, stop_at) = start_to_stop_at(&bench, "connector.page_sent");
    bench.server.queue("t1", Operation::Discover);
    end_at(&bench, agent, &stop_at).await;
    assert!(!bench.server.is_done("t1"));
    let agent = bench.start().await;
    bench.eventually("the last page", || bench.server.is_done("t1")).await;
    assert_eq!(bench.server.results_of("t1").len(), 1 + 3);
    agent.stop().await;
}
