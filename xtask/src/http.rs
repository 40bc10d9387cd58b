//! The least HTTP/1.1 client that the demo and the benchmarks need: JSON over loopback, one
//! connection a call or kept open. It speaks to our own server only, never to another machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

/// A caller of our own server with a token.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, token: Option<&str>) -> Result<Self> {
        if !address.ip().is_loopback() {
            bail!("{address} is no loopback address");
        }
        Ok(Self { address, token: token.map(str::to_owned), connection: None })
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Value> {
        self.expect("GET", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.expect("POST", path, Some(body))
    }

    /// A call that has to succeed; the server's own words are the error otherwise.
    fn expect(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.call(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} was answered with {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Any call.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        let request = self.request(method, path, body);
        // Only an idle connection that the server has closed meanwhile is replaced: nothing of
        // an answer was read, and the server never saw the request.
        let sent = connection.get_mut().write_all(request.as_bytes());
        let (answer, keep) =
            match sent.map_err(anyhow::Error::from).and_then(|()| read_answer(&mut connection)) {
                Ok(answer) => answer,
                Err(_) if method == "GET" => {
                    connection = connect(self.address)?;
                    connection.get_mut().write_all(request.as_bytes())?;
                    read_answer(&mut connection).with_context(|| format!("{method} {path}"))?
                }
                Err(error) => return Err(error.context(format!("{method} {path}"))),
            };
        if keep {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> String {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n",
            self.address
        );
        if let Some(token) = &self.token {
            request.push_str("Authorization: Bearer ");
            request.push_str(token);
            request.push_str("\r\n");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str("Content-Length: ");
        request.push_str(&text.len().to_string());
        request.push_str("\r\n\r\n");
        request.push_str(&text);
        request
    }
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream =
        TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// The answer, and whether the connection may be used again.
fn read_answer(connection: &mut BufReader<TcpStream>) -> Result<(Answer, bool)> {
    let status_line = read_line(connection)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .with_context(|| format!("no HTTP status in {status_line:?}"))?;
    let mut length = None;
    let mut chunked = false;
    let mut keep = true;
    loop {
        let line = read_line(connection)?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().context("a bad content-length")?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let body = match length {
        _ if chunked => read_chunks(connection)?,
        Some(length) => read_bytes(connection, length)?,
        None if status == 204 || status == 304 => Vec::new(),
        None => {
            keep = false;
            let mut rest = Vec::new();
            connection.read_to_end(&mut rest)?;
            rest
        }
    };
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()))
    };
    Ok((Answer { status, body }, keep))
}

fn read_chunks(connection: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(connection)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a bad chunk size")?;
        body.extend(read_bytes(connection, size)?);
        read_line(connection)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_bytes(connection: &mut BufReader<TcpStream>, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    connection.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_line(connection: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        bail!("the server closed the connection");
    }
    Ok(line.trim_end().to_owned())
}
