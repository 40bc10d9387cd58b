//! Calling the HTTP API with a token.

use std::{sync::Once, time::Duration};

use latchkey_testkit::wait_for;
use reqwest::Method;
use serde_json::Value;

/// How long anything may take on a busy machine before a test says it does not happen.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody who calls the API.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Caller {
    /// A caller of the server on this port.
    pub fn new(port: u16, token: Option<&str>) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider().install_default().unwrap();
        });
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
        Self { client, base: format!("http://127.0.0.1:{port}"), token: token.map(str::to_owned) }
    }

    /// The token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same person at another server.
    pub fn at(&self, port: u16) -> Self {
        Self { base: format!("http://127.0.0.1:{port}"), ..self.clone() }
    }

    /// The headers and the body of a GET.
    pub async fn get_whole(&self, path: &str) -> (reqwest::header::HeaderMap, Value) {
        let mut call = self.client.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            call = call.bearer_auth(token);
        }
        let answer = call.send().await.unwrap();
        let headers = answer.headers().clone();
        (headers, answer.json().await.unwrap())
    }

    /// A call; `None` when no answer came.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let mut call = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            call = call.bearer_auth(token);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = call.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some((status, value))
    }

    /// A call that is answered.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.try_call(method.clone(), path, body).await;
        answer.unwrap_or_else(|| panic!("{method} {path} was not answered"))
    }

    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, value) = self.call(method.clone(), path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {value}");
        value
    }

    /// A GET that succeeds.
    pub async fn get(&self, path: &str) -> Value {
        self.expect(Method::GET, path, None).await
    }

    /// A POST that succeeds.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// Asks until an answer satisfies `is_it`; the server may be away meanwhile.
    pub async fn wait(
        &self,
        what: &str,
        path: &str,
        mut is_it: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let found = wait_for(what, PATIENCE, async || {
            let (status, value) = self.try_call(Method::GET, path, None).await?;
            last = value.clone();
            (status == 200 && is_it(&value)).then_some(value)
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}; last seen: {last:#}"))
    }

    /// Waits until a request of the caller has this status.
    pub async fn wait_for_status(&self, request: &str, status: &str) -> Value {
        let path = format!("/api/user/v4/access-requests/{request}");
        let what = format!("status {status} of request {request}");
        self.wait(&what, &path, |value| value["status"] == status).await
    }
}
