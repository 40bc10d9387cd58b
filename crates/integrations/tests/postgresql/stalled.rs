//! A login that has begun and waits: it has shown its name and got the server's challenge.

use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::{backend::Message, frontend},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Stalled {
    stream: TcpStream,
    received: BytesMut,
    scram: ScramSha256,
}

impl Stalled {
    /// Begins a login with a password, up to the server's challenge.
    pub async fn begin(address: (&str, u16), user: &str, database: &str, password: &str) -> Self {
        let scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let stream = TcpStream::connect(address).await.unwrap();
        let mut this = Self { stream, received: BytesMut::new(), scram };
        let mut out = BytesMut::new();
        frontend::startup_message([("user", user), ("database", database)], &mut out).unwrap();
        this.stream.write_all(&out).await.unwrap();
        assert!(matches!(this.next().await, Some(Message::AuthenticationSasl(_))));
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(SCRAM_SHA_256, this.scram.message(), &mut out).unwrap();
        this.stream.write_all(&out).await.unwrap();
        let Some(Message::AuthenticationSaslContinue(challenge)) = this.next().await else {
            panic!("the server sends its challenge");
        };
        this.scram.update(challenge.data()).unwrap();
        this
    }

    /// Ends it; whether the server lets it in.
    pub async fn finish(&mut self) -> bool {
        let mut out = BytesMut::new();
        frontend::sasl_response(self.scram.message(), &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
        loop {
            match self.next().await {
                Some(Message::ReadyForQuery(_)) => return true,
                Some(Message::ErrorResponse(_)) | None => return false,
                Some(_) => {}
            }
        }
    }

    /// Whether the session still answers.
    pub async fn is_open(&mut self) -> bool {
        let mut out = BytesMut::new();
        frontend::query("SELECT 1", &mut out).unwrap();
        if self.stream.write_all(&out).await.is_err() {
            return false;
        }
        loop {
            match self.next().await {
                Some(Message::ReadyForQuery(_)) => return true,
                Some(Message::ErrorResponse(_)) | None => return false,
                Some(_) => {}
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.received).unwrap() {
                return Some(message);
            }
            if !matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0) {
                return None;
            }
        }
    }
}
