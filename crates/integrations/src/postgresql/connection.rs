//! One admin connection: how it is made, and how statements are sent over it.
//!
//! Invariants: the address that was checked is the one connected to; every session starts with
//! a fixed `search_path` that shadows nothing (`pg_catalog` first, then `pg_temp`, nothing
//! else); every wait has an end.

use std::{net::SocketAddr, time::Duration};

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow,
    config::{ChannelBinding, SslMode},
};

use super::{
    fault::{Failure, classify, refused},
    planned, quote,
    settings::{Endpoint, Settings, TlsMode},
    tls,
};
use crate::{Work, addresses};

/// Longest time for a connection to be made, TLS and login included.
const CONNECT: Duration = Duration::from_secs(8);

/// What is granted to the network on top of the time that the server itself is given.
const NETWORK: Duration = Duration::from_secs(2);

/// The rows of one statement.
pub(super) type Rows = Vec<SimpleQueryRow>;

/// An open session at a server.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    place: String,
    /// The database it is in.
    pub database: String,
    /// `server_version_num`, such as 150014.
    pub version: u32,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// When it was last used, on the clock's monotonic reading.
    pub last_used: Duration,
}

/// Whose login is used.
pub(super) struct Login<'a> {
    /// The login role.
    pub username: &'a str,
    /// Its password.
    pub password: &'a SecretString,
    /// The role set after connecting.
    pub role: Option<&'a str>,
}

impl Connection {
    /// Connects to `database` at `endpoint`.
    pub(super) async fn open(
        settings: &Settings,
        endpoint: &Endpoint,
        database: &str,
        login: &Login<'_>,
        work: &Work,
    ) -> Result<Self, Failure> {
        let limit = CONNECT.min(work.lease_left().unwrap_or_default() + NETWORK);
        let attempt = Self::open_without_limit(settings, endpoint, database, login, work);
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            Err(TargetFault::new(
                FaultClass::Unreachable,
                format!("PostgreSQL at {endpoint} did not answer within {} s", limit.as_secs()),
            )
            .into())
        })
    }

    async fn open_without_limit(
        settings: &Settings,
        endpoint: &Endpoint,
        database: &str,
        login: &Login<'_>,
        work: &Work,
    ) -> Result<Self, Failure> {
        let place = endpoint.to_string();
        for text in [database, login.username] {
            if text.contains('\0') {
                return Err(refused("a name with a NUL character cannot be sent to PostgreSQL"));
            }
        }
        let stream = dial(endpoint, work).await?;
        let mut config = Config::new();
        config
            .user(login.username)
            .password(login.password.expose_secret())
            .dbname(database)
            .application_name("latchkey")
            .channel_binding(ChannelBinding::Prefer)
            .ssl_mode(match settings.tls {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
            });
        let client = if settings.tls == TlsMode::Disable {
            let (client, connection) =
                config.connect_raw(stream, NoTls).await.map_err(|e| classify(&e, &place))?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "A connection to PostgreSQL ended.");
                }
            });
            client
        } else {
            let mut make = tls::connector(settings)?;
            let tls = tokio_postgres::tls::MakeTlsConnect::<TcpStream>::make_tls_connect(
                &mut make,
                &endpoint.host,
            )
            .map_err(|_| refused("TLS cannot be set up"))?;
            let (client, connection) =
                config.connect_raw(stream, tls).await.map_err(|e| classify(&e, &place))?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "A connection to PostgreSQL ended.");
                }
            });
            client
        };
        let mut this = Self {
            client,
            place,
            database: database.to_owned(),
            version: 0,
            encrypted: false,
            last_used: work.clock.monotonic(),
        };
        let role = match login.role {
            Some(role) => format!("SET ROLE {};", quote::ident(role)?),
            None => String::new(),
        };
        let rows = this
            .batch(
                work,
                &format!(
                    "SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; \
                     SET client_min_messages = error; SET default_transaction_read_only = off; \
                     SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid(); {role} \
                     SELECT current_setting('server_version_num')"
                ),
            )
            .await?;
        // Read before the role is set: it may not look at what belongs to the login.
        this.encrypted = rows.iter().flatten().next().is_some_and(|row| flag(row, 0));
        this.version = one(&rows).and_then(|row| number(row, 0)).unwrap_or(0);
        if this.version < 150_000 {
            return Err(refused(format!(
                "PostgreSQL at {} is older than version 15, the oldest that is supported",
                this.place
            )));
        }
        Ok(this)
    }

    /// Prepares the queries that work asks again and again.
    pub(super) async fn plan(&self, work: &Work) -> Result<(), Failure> {
        self.batch(work, &planned::prepare_all(self.has_membership_options())).await.map(drop)
    }

    /// Sends statements in one round trip; answers with the rows of each. They are one
    /// transaction, unless they say otherwise.
    pub(super) async fn batch(&self, work: &Work, sql: &str) -> Result<Vec<Rows>, Failure> {
        let limit = work.lease_left().unwrap_or_default() + NETWORK;
        let messages = match tokio::time::timeout(limit, self.client.simple_query(sql)).await {
            Ok(Ok(messages)) => messages,
            Ok(Err(error)) => return Err(classify(&error, &self.place)),
            Err(_) => {
                return Err(Failure {
                    fault: TargetFault::new(
                        FaultClass::Unreachable,
                        format!(
                            "PostgreSQL at {} did not answer before the lease ended",
                            self.place
                        ),
                    ),
                    code: None,
                    connection_lost: true,
                });
            }
        };
        let mut all = Vec::new();
        let mut rows = Vec::new();
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => rows.push(row),
                SimpleQueryMessage::CommandComplete(_) => all.push(std::mem::take(&mut rows)),
                _ => {}
            }
        }
        Ok(all)
    }

    /// Sends statements; answers with the rows of the last.
    pub(super) async fn rows(&self, work: &Work, sql: &str) -> Result<Rows, Failure> {
        Ok(self.batch(work, sql).await?.pop().unwrap_or_default())
    }

    /// Whether the server has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether the options of a membership exist (version 16 and later).
    pub(super) fn has_membership_options(&self) -> bool {
        self.version >= 160_000
    }
}

/// `BEGIN`, with every wait of the transaction limited to what is left of the lease.
pub(super) fn begin(work: &Work) -> Result<String, Failure> {
    work.check_lease()?;
    let left = work.lease_left().unwrap_or_default().as_millis().clamp(1, 600_000);
    Ok(format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {left}; \
         SET LOCAL statement_timeout = {left}; \
         SET LOCAL idle_in_transaction_session_timeout = {left};"
    ))
}

/// How many statements [`begin`] sends.
pub(super) const BEGIN_STATEMENTS: usize = 4;

/// The last statement's only row.
pub(super) fn one(rows: &[Rows]) -> Option<&SimpleQueryRow> {
    rows.last().and_then(|rows| rows.first())
}

/// A column as text; `NULL` and absent are the same.
pub(super) fn text(row: &SimpleQueryRow, column: usize) -> Option<&str> {
    row.try_get(column).ok().flatten()
}

/// A column as text, `NULL` as the empty one.
pub(super) fn string(row: &SimpleQueryRow, column: usize) -> String {
    text(row, column).unwrap_or_default().to_owned()
}

/// A column as a number.
pub(super) fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Option<T> {
    text(row, column).and_then(|value| value.parse().ok())
}

/// A column as a boolean.
pub(super) fn flag(row: &SimpleQueryRow, column: usize) -> bool {
    text(row, column) == Some("t")
}

/// Resolves, checks and connects to the address that was checked.
async fn dial(endpoint: &Endpoint, work: &Work) -> Result<TcpStream, Failure> {
    let unreachable =
        |message: String| -> Failure { TargetFault::new(FaultClass::Unreachable, message).into() };
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(|error| unreachable(format!("{} cannot be resolved: {error}", endpoint.host)))?
            .collect();
    let mut last = format!("{} has no address", endpoint.host);
    for address in addresses {
        addresses::check(address, &work.own_addresses, &endpoint.to_string())?;
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = format!("PostgreSQL at {endpoint} cannot be reached: {error}"),
        }
    }
    Err(unreachable(last))
}
