//! Telling what changes in a target between two discovery runs.

mod support;

use latchkey_protocol::Operation;
use support::Bench;

#[tokio::test]
async fn what_comes_and_goes_between_two_runs_is_told() {
    let bench = Bench::new();
    bench.target.hold_resources(3);
    let agent = bench.start().await;
    bench.server.queue("t1", Operation::Discover);
    bench.eventually("the run", || bench.server.is_done("t1")).await;
    bench.target.hold_resources(5);
    bench.eventually("what is new", || bench.server.changes().0.len() == 2).await;
    assert_eq!(bench.server.changes(), (vec!["cell:3".to_owned(), "cell:4".to_owned()], vec![]));
    bench.target.hold_resources(1);
    bench.eventually("what is gone", || bench.server.changes().1.len() == 4).await;
    assert_eq!(bench.server.changes().1, ["cell:1", "cell:2", "cell:3", "cell:4"]);
    assert_eq!(bench.server.changes().0.len(), 2, "nothing else was told");
    agent.stop().await;
}

#[tokio::test]
async fn what_changed_while_the_server_was_away_is_told_when_it_is_back() {
    let bench = Bench::new();
    bench.target.hold_resources(2);
    let agent = bench.start().await;
    bench.server.queue("t1", Operation::Discover);
    bench.eventually("the run", || bench.server.is_done("t1")).await;
    bench.server.go_away();
    bench.target.hold_resources(3);
    let beats = bench.server.heartbeats();
    bench.server.answer_with(None);
    bench.eventually("a heartbeat", || bench.server.heartbeats() > beats).await;
    bench.eventually("what is new", || bench.server.changes().0 == ["cell:2"]).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_process_that_never_saw_the_target_tells_all_of_it_in_parts_and_calls_nothing_gone() {
    let bench = Bench::new();
    bench.target.hold_resources(2_500);
    let agent = bench.start().await;
    bench.eventually("a first look", || bench.target.marks() > 0).await;
    bench.target.hold_resources(2_400);
    bench.eventually("all of it", || bench.server.changes().0.len() == 2_400).await;
    let (found, gone) = bench.server.changes();
    assert_eq!(
        (found.first().unwrap().as_str(), found.last().unwrap().as_str()),
        ("cell:0", "cell:2399")
    );
    assert!(gone.is_empty(), "what it never saw cannot be gone");
    agent.stop().await;
}
