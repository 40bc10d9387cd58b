//! Calls to addresses that people wrote down, against real servers on this machine and a resolver
//! that the test holds. The servers stand for what an attacker wants to reach: nothing may ever
//! connect to them but what an Admin has listed.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

#[expect(dead_code, reason = "what is answered here is known beforehand")]
mod receiver;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use latchkey_app::outbound::{
    Limits, Outbound, OutboundAnswer, OutboundError, OutboundPost, Resolver,
};
use latchkey_domain::network::AllowList;
use receiver::{Answer, Receiver};

/// Answers for names, one after the other; the last one repeats.
#[derive(Default)]
struct Names {
    answers: Mutex<BTreeMap<String, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<usize>,
}

impl Names {
    fn of(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let answers = answers
            .iter()
            .map(|addresses| addresses.iter().map(|one| one.parse().unwrap()).collect())
            .collect();
        let names = Self::default();
        names.answers.lock().unwrap().insert(name.to_owned(), answers);
        Arc::new(names)
    }
}

impl Resolver for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        *self.asked.lock().unwrap() += 1;
        let mut answers = self.answers.lock().unwrap();
        let found = match answers.get_mut(&name) {
            Some(answers) if answers.len() > 1 => Ok(answers.pop_front().unwrap()),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        std::future::ready(found).boxed()
    }
}

fn list(entries: &[&str]) -> AllowList {
    AllowList::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
}

async fn call(
    names: Arc<Names>,
    url: &str,
    allowed: &AllowList,
) -> Result<OutboundAnswer, OutboundError> {
    // The product installs a provider at its start; the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limits = Limits { time: Duration::from_millis(800), answer: 1000 };
    let post = OutboundPost {
        url: url.to_owned(),
        headers: vec![("x-test", "1".to_owned())],
        body: b"hello".to_vec(),
    };
    Outbound::new(names, limits).post(&post, allowed).await
}

async fn here(answer: Answer) -> Receiver {
    Receiver::start("127.0.0.1:0", vec![answer]).await
}

#[tokio::test]
async fn a_listed_address_is_called_with_the_name_that_was_written() {
    let server = here(Answer::status("200 OK", "taken")).await;
    let names = Names::of("hooks.example.com", &[&["127.0.0.1"]]);
    let url = format!("http://hooks.example.com:{}/in?a=b", server.address.port());
    let answer = call(names, &url, &list(&["127.0.0.1"])).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"taken".as_slice()));
    let received = server.received().remove(0);
    assert!(received.head.starts_with("POST /in?a=b HTTP/1.1"), "{}", received.head);
    let host = format!("hooks.example.com:{}", server.address.port());
    assert_eq!(received.header("host"), Some(host.as_str()));
    assert_eq!(received.header("x-test"), Some("1"));
    assert_eq!(received.body, b"hello");
}

#[tokio::test]
async fn e01_no_way_of_writing_this_machine_is_called() {
    let server = here(Answer::status("200 OK", "")).await;
    let port = server.address.port();
    let names = Names::of("localhost", &[&["127.0.0.1"]]);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "127.0.0.1.",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127。0。0。1",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            let refused = call(names.clone(), &url, &AllowList::default()).await.unwrap_err();
            assert!(matches!(refused, OutboundError::Closed { .. }), "{url}: {refused}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn e01_a_name_that_means_a_closed_address_is_not_called() {
    for address in [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "fd00::1",
        "fe80::1",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fd00:ec2::254",
    ] {
        let names = Names::of("evil.example", &[&[address]]);
        let refused =
            call(names, "https://evil.example/", &AllowList::default()).await.unwrap_err();
        let OutboundError::Closed { address: found, .. } = refused else {
            unreachable!("{address}: {refused}");
        };
        assert_eq!(found.to_string(), address);
    }
}

#[tokio::test]
async fn e01_one_closed_address_among_open_ones_refuses_the_call() {
    let server = here(Answer::status("200 OK", "")).await;
    let names = Names::of("evil.example", &[&["127.0.0.1", "10.0.0.1"]]);
    let url = format!("http://evil.example:{}/", server.address.port());
    let refused = call(names, &url, &list(&["127.0.0.1"])).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Closed { .. }), "{refused}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn e01_a_name_that_changes_its_mind_is_asked_once_and_connected_to_what_was_checked() {
    let listed = here(Answer::status("200 OK", "right")).await;
    let port = listed.address.port();
    let closed =
        Receiver::start(&format!("127.0.0.2:{port}"), vec![Answer::status("200 OK", "wrong")])
            .await;
    let names = Names::of("rebind.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let url = format!("http://rebind.example:{port}/");
    let answer = call(names.clone(), &url, &list(&["127.0.0.1"])).await.unwrap();
    assert_eq!(answer.body, b"right");
    assert_eq!(*names.asked.lock().unwrap(), 1);
    let refused = call(names, &url, &list(&["127.0.0.1"])).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Closed { .. }), "{refused}");
    assert_eq!(closed.connections(), 0);
}

#[tokio::test]
async fn e01_redirects_are_not_followed() {
    let closed = Receiver::start("127.0.0.2:0", vec![Answer::status("200 OK", "")]).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("http://{}/", closed.address);
        let head =
            format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = here(Answer::Says(head)).await;
        let url = format!("http://{}/", server.address);
        let refused = call(Arc::default(), &url, &list(&["127.0.0.0/8"])).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Redirect(_)), "{status}: {refused}");
    }
    assert_eq!(closed.connections(), 0);
}

#[tokio::test]
async fn e01_urls_that_are_tricks_are_refused_before_anything_is_looked_up() {
    let names = Names::of("hooks.example.com", &[&["127.0.0.1"]]);
    for url in [
        "https://user@hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "file:///etc/passwd",
        "ftp://hooks.example.com/",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "javascript:alert(1)",
        "https://",
        "//hooks.example.com/",
        "https://hooks.example.com/\r\nHost: evil",
        "https://hooks.example.com/ x",
        "",
    ] {
        let refused = call(names.clone(), url, &list(&["0.0.0.0/0"])).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Url(_)), "{url}: {refused}");
        assert!(!refused.to_string().contains("password@"), "{refused}");
    }
    assert_eq!(*names.asked.lock().unwrap(), 0);
}

#[tokio::test]
async fn plain_http_goes_to_listed_addresses_only() {
    let names = Names::of("hooks.example.com", &[&["1.1.1.1"]]);
    let refused =
        call(names, "http://hooks.example.com/", &AllowList::default()).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Plain(_)), "{refused}");
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let large = here(Answer::status("200 OK", &"x".repeat(1001))).await;
    let allowed = list(&["127.0.0.1"]);
    let url = format!("http://{}/", large.address);
    let refused = call(Arc::default(), &url, &allowed).await.unwrap_err();
    assert_eq!(refused, OutboundError::TooLarge { status: 200, limit: 1000 });
    for silent in [Answer::Sleeps, Answer::Drips] {
        let server = here(silent.clone()).await;
        let url = format!("http://{}/", server.address);
        let refused = call(Arc::default(), &url, &allowed).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Unreachable(_)), "{silent:?}: {refused}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_says_so_without_the_query() {
    let allowed = list(&["127.0.0.1"]);
    let url = format!(
        "http://127.0.0.1:{}/?token=canary",
        latchkey_testkit::systems::free_port().unwrap()
    );
    let refused = call(Arc::default(), &url, &allowed).await.unwrap_err();
    assert!(matches!(refused, OutboundError::Unreachable(_)), "{refused}");
    assert!(!refused.to_string().contains("canary"), "{refused}");
    let refused = call(Arc::default(), "https://nowhere.example/", &allowed).await.unwrap_err();
    assert!(matches!(refused, OutboundError::NotFound(..)), "{refused}");
}
