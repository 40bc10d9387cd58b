//! JSON over HTTP to servers on this machine, and to no other.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use reqwest::{Client, Method};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(2);
/// For a file of a million rows.
const LONG_PATIENCE: Duration = Duration::from_mins(20);

/// A server on loopback. Cloning shares its connections.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    client: Client,
    address: SocketAddr,
    /// Which header carries the token, and what stands before it.
    header: (&'static str, &'static str),
    /// What is preferred of every answer (RFC 7240).
    prefer: Option<&'static str>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, header: (&'static str, &'static str)) -> Result<Self> {
        if !address.ip().is_loopback() {
            bail!("{address} is no loopback address");
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .timeout(PATIENCE)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self { client, address, header, prefer: None })
    }

    /// The same server, asked to keep an answer back until what was asked for has come about.
    pub(crate) fn patient(&self) -> Self {
        Self { prefer: Some("wait=60"), ..self.clone() }
    }

    /// Whether the path answers 200.
    pub(crate) async fn is_ok(&self, path: &str) -> bool {
        let url = format!("http://{}{path}", self.address);
        self.client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    /// A text, such as metrics.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.address);
        Ok(self.client.get(url).send().await?.error_for_status()?.text().await?)
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Result<Value> {
        self.call(Method::GET, token, path, None).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, token, path, Some(body)).await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: Value) -> Result<Value> {
        self.call(Method::PUT, token, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Result<Value> {
        self.call(Method::DELETE, token, path, None).await
    }

    /// A call that has to succeed, and its answer as it came.
    pub(crate) async fn bytes(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes> {
        let (name, prefix) = self.header;
        let mut request = self
            .client
            .request(method.clone(), format!("http://{}{path}", self.address))
            .header(name, format!("{prefix}{token}"));
        if let Some(prefer) = self.prefer {
            request = request.header("prefer", prefer);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let bytes = answer.bytes().await.with_context(|| format!("{method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(bytes)
    }

    /// The same, read as JSON; the server's own words are the error otherwise.
    async fn call(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let bytes = self.bytes(method.clone(), token, path, body.as_ref()).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).with_context(|| format!("{method} {path}: no JSON"))
    }

    /// A file that may be long: each piece is looked at as it comes, and none is kept.
    pub(crate) async fn pieces(
        &self,
        token: &str,
        path: &str,
        mut look: impl FnMut(&[u8]),
    ) -> Result<()> {
        let (name, prefix) = self.header;
        let mut answer = self
            .client
            .get(format!("http://{}{path}", self.address))
            .header(name, format!("{prefix}{token}"))
            .timeout(LONG_PATIENCE)
            .send()
            .await
            .with_context(|| format!("GET {path}"))?
            .error_for_status()?;
        while let Some(piece) = answer.chunk().await.with_context(|| format!("GET {path}"))? {
            look(&piece);
        }
        Ok(())
    }
}

/// A text member of a JSON object.
pub(crate) fn text_of(object: &Value, member: &str) -> Result<String> {
    object
        .get(member)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("an answer has no text `{member}`"))
}
