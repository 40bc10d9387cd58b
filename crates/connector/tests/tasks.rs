//! Taking tasks: several at once, one a principal at a time, leases, lost answers, results.

#![expect(clippy::panic, reason = "a test that cannot go on fails here")]

mod support;

use std::time::Duration;

use latchkey_connector::{Connector, LinkError, LinkStatus};
use latchkey_domain::{
    ids::{SessionId, UnitId},
    provisioning::{ClaimExtension, ClaimState, FaultClass, KnownSession, Severity},
};
use latchkey_protocol::{Operation, Outcome, SecretSource};
use support::{Bench, claim, desired, server::SERVER_SECRET};

fn applied(outcome: &Outcome) -> &latchkey_protocol::Applied {
    match outcome {
        Outcome::Applied(applied) => applied,
        other => panic!("expected an apply to succeed, not {other:?}"),
    }
}

#[tokio::test]
async fn a_grant_reaches_the_target_and_its_read_back_the_server() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let mut asked = desired("lk_u_a", 3, &[("u1", Some(bench.in_seconds(60))), ("u2", None)]);
    asked.issue_credentials = true;
    bench.server.queue_apply("t1", asked);
    bench.eventually("the result", || bench.server.is_done("t1")).await;

    assert_eq!(bench.target.claims_of("lk_u_a").unwrap(), ["u1", "u2"]);
    assert_eq!(bench.target.seen_secret().as_deref(), Some(SERVER_SECRET));
    assert!(bench.target.avoids_server(), "e01: where the server listens is no target");
    let results = bench.server.results_of("t1");
    let applied = applied(&results[0]);
    assert_eq!(applied.fence, 3);
    assert!(applied.claims.iter().all(|claim| claim.state == ClaimState::Present));
    let sealed = applied.credentials.as_ref().unwrap();
    let made = bench.server.key.open_credentials(sealed).unwrap();
    assert_eq!(made.username, "lk_u_a");
    assert!(applied.access_details.as_ref().unwrap().instructions.contains("lk_u_a"));
    agent.stop().await;
}

#[tokio::test]
async fn tasks_run_side_by_side_up_to_the_limit() {
    let bench = Bench::new();
    bench.target.slow_down();
    let mut options = bench.options(bench.folder.path());
    options.max_tasks = 4;
    let agent = Connector::start(options).unwrap();
    for number in 0..9 {
        let claims = [("u", Some(bench.in_seconds(60)))];
        bench.server.queue_apply(&format!("t{number}"), desired(&format!("p{number}"), 1, &claims));
    }
    bench.eventually("four at once", || bench.target.working() == 4).await;
    bench.target.let_through(9);
    bench.eventually("all", || (0..9).all(|n| bench.server.is_done(&format!("t{n}")))).await;
    assert_eq!(bench.target.most_at_once(), 4);
    agent.stop().await;
}

#[tokio::test]
async fn one_principal_is_worked_on_by_one_task_at_a_time() {
    let bench = Bench::new();
    bench.target.slow_down();
    let agent = bench.start().await;
    for number in 0..5 {
        let claims = [("u", Some(bench.in_seconds(60)))];
        bench.server.queue_apply(&format!("t{number}"), desired("p", number, &claims));
    }
    bench.eventually("one at work", || bench.target.working() == 1).await;
    bench.target.let_through(5);
    bench.eventually("all", || (0..5).all(|n| bench.server.is_done(&format!("t{n}")))).await;
    assert_eq!(bench.target.most_on_one(), 1);
    agent.stop().await;
}

#[tokio::test]
async fn a_lease_is_renewed_while_its_task_runs() {
    let bench = Bench::new();
    bench.target.slow_down();
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("work", || bench.target.working() == 1).await;
    bench.pass(Duration::from_secs(30)).await;
    bench.target.let_through(1);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert_eq!(bench.server.lease_number("t1"), 1);
    applied(&bench.server.results_of("t1")[0]);
    agent.stop().await;
}

#[tokio::test]
async fn f05_work_stops_when_its_lease_is_over_and_a_paused_process_starts_nothing() {
    let bench = Bench::new();
    bench.target.slow_down();
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("work", || bench.target.working() == 1).await;
    // The process was paused for longer than its lease: no heartbeat came in between.
    bench.clock.advance(Duration::from_secs(11));
    bench
        .eventually("the end of the work", || {
            bench.target.working() == 0 || bench.target.applies() > 1
        })
        .await;
    bench.target.let_through(10);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert!(bench.server.lease_number("t1") >= 2, "the task was handed out again");
    assert_eq!(bench.target.claims_of("p").unwrap(), ["u"]);
    applied(bench.server.results_of("t1").last().unwrap());
    agent.stop().await;
}

#[tokio::test]
async fn a_task_whose_lease_answer_got_lost_is_handed_out_again() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.server.lose_lease_answers(1);
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the lost lease", || bench.server.lease_number("t1") == 1).await;
    bench.pass(Duration::from_secs(11)).await;
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert_eq!(bench.server.lease_number("t1"), 2);
    agent.stop().await;
}

#[tokio::test]
async fn a_result_whose_answer_got_lost_is_sent_again_and_counts_once() {
    let bench = Bench::new();
    let agent = bench.start().await;
    bench.server.lose_result_answers(2);
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    bench.server.queue_apply("t2", desired("q", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("another", || bench.server.is_done("t2")).await;
    assert_eq!(bench.server.results_of("t1").len(), 1);
    agent.stop().await;
}

#[tokio::test]
async fn a_result_waits_for_a_server_that_is_away() {
    let bench = Bench::new();
    bench.target.slow_down();
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("work", || bench.target.working() == 1).await;
    bench.server.go_away();
    bench.target.let_through(1);
    bench.eventually("the grant", || bench.target.claims_of("p").is_some()).await;
    let is_away = |status| matches!(status, LinkStatus::Failing(LinkError::Unreachable(_)));
    bench.eventually("the loss of the server", || is_away(agent.status())).await;
    bench.server.answer_with(None);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    bench.eventually("the contact", || agent.status() == LinkStatus::Connected).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_told_at_once_and_says_what_to_do() {
    let bench = Bench::new();
    bench.server.answer_with(Some(LinkError::Unauthorized("unknown token".to_owned())));
    let agent = Connector::start(bench.options(bench.folder.path())).unwrap();
    let LinkStatus::Failing(error) = agent.first_contact().await else {
        panic!("the first contact should fail")
    };
    let message = error.to_string();
    assert!(message.contains("admin connector-token create --id"), "{message}");
    assert!(message.contains("LATCHKEY_CONNECTOR_TOKEN"), "{message}");
    agent.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_module_is_answered_and_the_agent_goes_on() {
    let bench = Bench::new();
    bench.target.panic_at_apply(true);
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let Outcome::Failed(fault) = &results[0] else { panic!("it cannot have succeeded") };
    assert_eq!(fault.class, FaultClass::Unknown);
    bench.target.panic_at_apply(false);
    bench.server.queue_apply("t2", desired("p", 2, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the next", || bench.server.is_done("t2")).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_higher_fence_in_the_target_is_reported() {
    let bench = Bench::new();
    bench.target.plant("p", "u0", bench.in_seconds(600));
    bench.target.raise_fence("p", 9);
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 2, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert!(matches!(bench.server.results_of("t1")[0], Outcome::Fenced { fence: 9 }));
    agent.stop().await;
}

#[tokio::test]
async fn no_grant_starts_whose_end_has_passed() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let mut asked = desired("p", 1, &[("late", Some(bench.in_seconds(-1)))]);
    asked.removed.push(claim("old", None));
    bench.server.queue_apply("t1", asked);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert_eq!(bench.target.claims_of("p"), None);
    let results = bench.server.results_of("t1");
    let claims = &applied(&results[0]).claims;
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|claim| claim.state == ClaimState::Absent));
    agent.stop().await;
}

#[tokio::test]
async fn ceilings_refuse_a_grant_and_never_a_removal() {
    let bench = Bench::new();
    let mut options = bench.options(bench.folder.path());
    options.config = latchkey_connector::ConnectorConfig::parse(
        "[ceilings]\npermissions = [\"READ_ONLY\"]\nlongest_grant = \"1h\"\n",
    )
    .unwrap();
    let agent = Connector::start(options).unwrap();
    let mut asked = desired(
        "p",
        1,
        &[
            ("fine", Some(bench.in_seconds(3600))),
            ("long", Some(bench.in_seconds(3700))),
            ("endless", None),
            ("strong", Some(bench.in_seconds(60))),
        ],
    );
    asked.claims[3].permission = "read_only".to_owned();
    bench.server.queue_apply("t1", asked);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert_eq!(bench.target.claims_of("p").unwrap(), ["fine"]);
    let results = bench.server.results_of("t1");
    for outcome in &applied(&results[0]).claims {
        let is_fine = outcome.unit_id == UnitId::new("fine");
        let class = outcome.fault.as_ref().map(|fault| fault.class);
        assert_eq!(class, (!is_fine).then_some(FaultClass::Forbidden), "{outcome:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_claim_gets_a_later_end_where_the_ceilings_allow_it_and_keeps_its_own_otherwise() {
    let bench = Bench::new();
    let mut options = bench.options(bench.folder.path());
    options.config =
        latchkey_connector::ConnectorConfig::parse("[ceilings]\nlongest_grant = \"1h\"\n").unwrap();
    let agent = Connector::start(options).unwrap();
    let end = bench.in_seconds(600);
    let later = |unit: &str, seconds: i64| ClaimExtension {
        unit_id: UnitId::new(unit),
        ends_at: bench.in_seconds(seconds),
    };
    let claims = [("longer", Some(end)), ("too-long", Some(end)), ("as-it-was", Some(end))];
    let mut asked = desired("p", 1, &claims);
    asked.extensions = vec![later("longer", 1200), later("too-long", 3700)];
    bench.server.queue_apply("t1", asked.clone());
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let done = applied(&results[0]);
    assert_eq!(done.extended, [later("longer", 1200)]);
    assert!(done.claims.iter().all(|claim| claim.state == ClaimState::Present), "{done:?}");
    let ends = bench.target.ends_of("p").unwrap();
    let of = |unit: &str| ends[&UnitId::new(unit)];
    assert_eq!(of("longer"), Some(asked.extensions[0].ends_at));
    assert_eq!((of("too-long"), of("as-it-was")), (Some(end), Some(end)));
    agent.stop().await;
}

#[tokio::test]
async fn c06_a_secret_that_the_connector_may_not_read_fails_the_task_in_words() {
    let bench = Bench::new();
    bench.server.keep_secret_at(SecretSource::File { name: "../../etc/shadow".to_owned() });
    let agent = bench.start().await;
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let Outcome::Failed(fault) = &results[0] else { panic!("it cannot have succeeded") };
    assert_eq!(fault.class, FaultClass::Forbidden);
    assert!(fault.message.contains("connector.toml"), "{fault}");
    assert_eq!(bench.target.applies(), 0);
    agent.stop().await;
}

#[tokio::test]
async fn discovery_is_streamed_in_pages_and_the_last_carries_the_findings() {
    let bench = Bench::new();
    bench.target.hold_resources(1_203);
    bench.target.find(Severity::Advice, "TLS is off");
    let agent = bench.start().await;
    bench.server.queue("t1", Operation::Discover);
    bench.eventually("the last page", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let pages: Vec<_> = results
        .iter()
        .map(|outcome| match outcome {
            Outcome::Discovered(page) => page,
            other => panic!("expected a page, not {other:?}"),
        })
        .collect();
    let sizes: Vec<usize> = pages.iter().map(|page| page.resources.len()).collect();
    assert_eq!(sizes, [500, 500, 203]);
    assert_eq!(pages.iter().map(|page| page.page).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(pages.iter().map(|page| page.last).collect::<Vec<_>>(), [false, false, true]);
    assert!(pages[0].findings.is_empty());
    assert_eq!(pages[2].findings[0].message, "TLS is off");
    agent.stop().await;
}

#[tokio::test]
async fn f09_a_discovery_run_that_cannot_start_never_claims_to_be_whole() {
    let bench = Bench::new();
    bench.target.find(Severity::Error, "the password is wrong");
    let agent = bench.start().await;
    bench.server.queue("t1", Operation::Discover);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let Outcome::Failed(fault) = &results[0] else { panic!("it cannot have succeeded") };
    assert_eq!(fault.class, FaultClass::Refused);
    assert_eq!(fault.message, "the password is wrong");
    agent.stop().await;
}

#[tokio::test]
async fn reconcile_reports_what_nothing_explains() {
    let bench = Bench::new();
    bench.target.plant("known", "u1", bench.in_seconds(600));
    bench.target.plant("stray", "u2", bench.in_seconds(600));
    let agent = bench.start().await;
    let known_sessions = vec![KnownSession {
        session_id: SessionId::new("s"),
        principal: "known".to_owned(),
        units: Vec::new(),
    }];
    bench.server.queue("t1", Operation::Reconcile { known_sessions, remove: true });
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    let results = bench.server.results_of("t1");
    let Outcome::Reconciled(found) = &results[0] else { panic!("it should have worked") };
    assert_eq!(found.drift[0].subject, "stray");
    assert_eq!(bench.target.claims_of("stray"), None);
    agent.stop().await;
}

#[tokio::test]
async fn a_restart_takes_the_former_process_s_leases_back_at_once() {
    let bench = Bench::new();
    bench.target.slow_down();
    let agent = bench.start().await;
    let former = agent.session_id().clone();
    bench.server.queue_apply("t1", desired("p", 1, &[("u", Some(bench.in_seconds(600)))]));
    bench.eventually("work", || bench.target.working() == 1).await;
    bench.server.go_away();
    // The process ends without reporting.
    let stopping = tokio::spawn(agent.stop());
    bench
        .eventually("the end of the work", || {
            bench.clock.advance(Duration::from_secs(1));
            bench.target.working() == 0
        })
        .await;
    stopping.await.unwrap();
    bench.server.answer_with(None);
    let beats = bench.server.heartbeats();
    let agent = bench.start().await;
    bench.target.let_through(5);
    bench.eventually("the result", || bench.server.is_done("t1")).await;
    assert!(bench.server.heartbeats() > beats);
    let replacing = bench.server.beat(beats);
    assert_eq!(replacing.replaces, Some(former));
    assert_ne!(replacing.session_id, replacing.replaces.unwrap());
    agent.stop().await;
}

#[tokio::test]
async fn the_newest_audit_head_is_echoed_also_after_a_restart_and_never_an_older_one() {
    let bench = Bench::new();
    bench.server.sign(41);
    let agent = bench.start().await;
    bench.server.sign(7);
    let echoed = || bench.server.newest_heartbeat().audit_head.map(|head| head.sequence);
    bench.eventually("the echo", || echoed() == Some(41)).await;
    agent.stop().await;
    let beats = bench.server.heartbeats();
    let agent = bench.start().await;
    assert_eq!(bench.server.beat(beats).audit_head.unwrap().sequence, 41);
    agent.stop().await;
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_process_at_a_time() {
    let bench = Bench::new();
    let agent = bench.start().await;
    let refused = Connector::start(bench.options(bench.folder.path())).unwrap_err().to_string();
    assert!(refused.contains("another connector process"), "{refused}");
    agent.stop().await;
    bench.start().await.stop().await;
}
