//! An HTTP server that keeps what it is sent and answers what it is told to.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What it does with the next request; the last one repeats.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Says this, head and body.
    Says(String),
    /// Says this once it is told to.
    Waits(Arc<Notify>, String),
    /// Keeps the connection open and says nothing.
    Sleeps,
    /// Begins an answer and sends one byte of it now and then, without end.
    Drips,
}

impl Answer {
    /// A status with a body.
    pub fn status(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::Says(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }
}

/// A server on a loopback address; it ends with the test.
pub struct Receiver {
    pub address: SocketAddr,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
}

impl Receiver {
    /// One on this address that answers so, one answer after the other.
    pub async fn start(address: &str, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (kept, counted) = (received.clone(), connections.clone());
        let left = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                let answer = next(&mut left.lock().unwrap());
                tokio::spawn(serve(stream, answer, kept.clone()));
            }
        });
        Self { address, answers, received, connections }
    }

    /// Answers so from now on.
    pub fn answers_with(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How often somebody connected.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

/// The next answer; the last one stays.
fn next(answers: &mut VecDeque<Answer>) -> Answer {
    if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
}

async fn serve(mut stream: TcpStream, answer: Answer, kept: Arc<Mutex<Vec<Received>>>) {
    let Some(received) = read(&mut stream).await else { return };
    kept.lock().unwrap().push(received);
    match answer {
        Answer::Says(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answer::Waits(told, text) => {
            told.notified().await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answer::Sleeps => std::future::pending().await,
        Answer::Drips => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
            loop {
                tick.tick().await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut received = Received { head, body: Vec::new() };
            let length: usize = received.header("content-length").unwrap_or("0").parse().ok()?;
            if bytes.len() >= end + 4 + length {
                received.body = bytes[end + 4..end + 4 + length].to_vec();
                return Some(received);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
