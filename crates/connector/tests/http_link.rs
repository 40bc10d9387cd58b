//! The way over HTTP: which addresses are taken, what is sent, and how answers are understood.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::Once;

use latchkey_connector::{HttpLink, LinkError, ServerLink};
use latchkey_domain::ids::{ConnectorSessionId, TaskId};
use latchkey_protocol::{LeaseAnswer, LeaseRequest, Outcome, TaskResult, VERSION};
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

const TOKEN: &str = "lk_canary-5e7b";

fn link(address: &str) -> Result<HttpLink, String> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    HttpLink::new(address, SecretString::from(TOKEN)).map_err(|error| error.to_string())
}

/// Answers one request with `status` and `body`; gives the request as it came.
async fn answer_once(status: &str, body: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: http://127.0.0.1:1/\r\nconnection: \
         close\r\n\r\n{body}",
        body.len()
    );
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = stream.read(&mut chunk).await.unwrap();
            request.extend_from_slice(chunk.get(..read).unwrap());
            let text = String::from_utf8_lossy(&request);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0_usize);
            if rest.len() >= length {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, served)
}

fn lease_request() -> LeaseRequest {
    let session_id = ConnectorSessionId::new("s1");
    LeaseRequest { protocol: VERSION, session_id, wait_ms: 0, max_tasks: 3 }
}

async fn lease_answered(status: &str, body: &str) -> Result<LeaseAnswer, LinkError> {
    let (address, served) = answer_once(status, body).await;
    let answer = link(&address).unwrap().lease(&lease_request()).await;
    served.await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_carries_the_token_and_goes_below_the_server_s_path() {
    let body = r#"{"server_time": "2026-11-22T00:00:00Z", "tasks": [], "new_member": 1}"#;
    let (address, served) = answer_once("200 OK", body).await;
    let link = link(&format!("{address}/latchkey/")).unwrap();
    let answer = link.lease(&lease_request()).await.unwrap();
    assert!(answer.tasks.is_empty());
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /latchkey/api/connector/v1/lease HTTP/1.1"), "{request}");
    assert!(request.contains(&format!("Bearer {TOKEN}")), "{request}");
    assert!(request.contains(r#""max_tasks":3"#), "{request}");
    assert!(!format!("{link:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_task_id_cannot_lead_to_another_path() {
    let (address, served) = answer_once("200 OK", "{}").await;
    let result = TaskResult {
        protocol: VERSION,
        session_id: ConnectorSessionId::new("s1"),
        lease: 1,
        outcome: Outcome::Fenced { fence: 1 },
    };
    let task = TaskId::new("../../../admin?x=1#y");
    link(&address).unwrap().result(&task, &result).await.unwrap();
    let request = served.await.unwrap();
    let line = request.lines().next().unwrap();
    assert!(
        line.starts_with("POST /api/connector/v1/tasks/..%2F..%2F..%2Fadmin%3Fx=1%23y/result "),
        "{line}"
    );
}

#[tokio::test]
async fn answers_are_told_apart_by_what_to_do_next() {
    let body = r#"{"status": "error", "message": "unknown token"}"#;
    let error = lease_answered("401 Unauthorized", body).await.unwrap_err();
    assert_eq!(error, LinkError::Unauthorized("unknown token".to_owned()));
    let error = lease_answered("403 Forbidden", body).await.unwrap_err();
    assert!(matches!(error, LinkError::Unauthorized(_)));
    let error = lease_answered("409 Conflict", body).await.unwrap_err();
    assert_eq!(error, LinkError::Superseded);
    let error = lease_answered("400 Bad Request", body).await.unwrap_err();
    assert_eq!(error, LinkError::Refused("unknown token".to_owned()));
    for again in ["500 Oops", "502 Bad Gateway", "503 Unavailable", "429 Too Many", "408 Timeout"] {
        let error = lease_answered(again, "<html>").await.unwrap_err();
        assert!(matches!(error, LinkError::Unreachable(_)), "{again}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_latchkey_server_is_refused_in_words() {
    let error = lease_answered("404 Not Found", "<html>").await.unwrap_err();
    assert!(matches!(error, LinkError::Refused(_)), "{error}");
    let error = lease_answered("200 OK", "<html>welcome").await.unwrap_err().to_string();
    assert!(error.contains("is --server the address of a Latchkey server"), "{error}");
    // The token is not carried on to wherever a redirect points.
    let error = lease_answered("307 Temporary Redirect", "").await.unwrap_err().to_string();
    assert!(error.contains("give --server the address it redirects to"), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_an_unreachable_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = link(&address).unwrap().lease(&lease_request()).await.unwrap_err();
    assert!(matches!(&error, LinkError::Unreachable(_)), "{error}");
    assert!(!error.to_string().contains(TOKEN));
}

#[test]
fn plain_http_is_for_this_machine_only() {
    for address in [
        "http://latchkey.example.com",
        "http://10.0.0.1:8470",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://[::ffff:10.0.0.1]:8470",
    ] {
        let error = link(address).unwrap_err();
        assert!(error.contains("use https://"), "{address}: {error}");
    }
    for address in [
        "http://127.0.0.1:8470",
        "http://localhost:8470",
        "http://[::1]:8470",
        "https://latchkey.example.com/sub",
    ] {
        link(address).unwrap();
    }
    for address in [
        "latchkey.example.com",
        "ftp://x",
        "",
        "https://u:canary@x/",
        "https://x/?token=1",
        "unix:/run/x",
    ] {
        let error = link(address).unwrap_err();
        assert!(error.contains("is no server address") && !error.contains("canary"), "{error}");
    }
}
