//! Side (a): the same SQL sent by hand through the same driver. One statement batch makes the
//! role, its marker and its memberships in one transaction, as the integration does; a revoke
//! takes the same steps and gives the same proof. No policy, no record, no journal, no fence.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use jiff::SignedDuration;
use latchkey_domain::{Clock, Rng};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::target::{DATABASE, PROVISIONER, TABLE, Target, use_login};
use crate::samples::Sample;

pub(super) const SIDE: &str = "(a) SQL by hand";
pub(super) const ISSUE_PARTS: &[&str] = &["SQL", "login"];
pub(super) const REVOKE_PARTS: &[&str] = &["no login", "sessions ended", "drop", "read-back"];

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL lock_timeout = 10000; SET LOCAL statement_timeout = 10000; \
     SET LOCAL idle_in_transaction_session_timeout = 10000;";

/// Between two looks for sessions, as the integration has it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Admin connections, one for each client.
#[derive(Clone)]
pub(super) struct ByHand {
    target: Arc<Target>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    connections: Arc<Mutex<Vec<Client>>>,
    /// How memberships are given (options exist from 16 on): of the group, of the principal.
    options: (&'static str, &'static str),
}

/// A principal made by hand.
#[derive(Debug, Clone)]
pub(super) struct Principal(String);

impl ByHand {
    /// Connects as often as there will be clients, and makes the groups.
    pub(super) async fn start(
        target: Arc<Target>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        clients: usize,
    ) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(target.provisioner().await?);
        }
        let modern = target.server.version().major() >= 16;
        let options = if modern {
            (" WITH INHERIT TRUE, SET FALSE", " WITH INHERIT TRUE, SET TRUE")
        } else {
            ("", "")
        };
        let first = connections.first().context("one client at least")?;
        let schema = TABLE.split('.').next().unwrap_or_default();
        let member = options.0;
        first
            .batch_execute(&format!(
                "CREATE ROLE hand_connect NOLOGIN; CREATE ROLE hand_usage NOLOGIN; \
                 CREATE ROLE hand_read NOLOGIN; \
                 GRANT CONNECT ON DATABASE {DATABASE} TO hand_connect; \
                 GRANT USAGE ON SCHEMA {schema} TO hand_usage; \
                 GRANT SELECT ON {TABLE} TO hand_read; \
                 GRANT hand_connect TO hand_usage{member}; \
                 GRANT hand_connect TO hand_read{member}; \
                 GRANT hand_usage TO hand_read{member}"
            ))
            .await
            .context("the groups that are made by hand")?;
        Ok(Self { target, clock, rng, connections: Arc::new(Mutex::new(connections)), options })
    }

    /// Makes a principal and logs in as it.
    pub(super) async fn issue(self) -> Result<(Principal, Sample)> {
        let connection = self.take().await?;
        let began = self.clock.monotonic();
        let (name, password) = (format!("hand_u_{}", self.random_hex()), self.random_hex());
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        let end = self.clock.now().saturating_add(SignedDuration::from_hours(1))?.to_string();
        let (of_group, of_self) = self.options;
        connection
            .batch_execute(&format!(
                "{BEGIN} SELECT pg_advisory_xact_lock(hashtextextended('{name}', 0)); \
                 CREATE ROLE {name} LOGIN PASSWORD '{verifier}' VALID UNTIL '{end}'; \
                 COMMENT ON ROLE {name} IS '{}'; \
                 GRANT {name} TO {PROVISIONER}{of_self}; \
                 GRANT hand_read TO {name}{of_group}; COMMIT",
                marker(&name, "live", &end)
            ))
            .await
            .context("a grant by hand")?;
        let made = self.clock.monotonic();
        self.give_back(connection).await;
        use_login(&self.target.login(name.clone(), password)).await?;
        let used = self.clock.monotonic();
        Ok((Principal(name), Sample(vec![made.saturating_sub(began), used.saturating_sub(made)])))
    }

    /// Takes a principal away and reads back that it is gone.
    pub(super) async fn revoke(self, principal: Principal) -> Result<Sample> {
        let Principal(name) = principal;
        let connection = self.take().await?;
        let began = self.clock.monotonic();
        let answers = connection
            .simple_query(&format!(
                "{BEGIN} SELECT pg_advisory_xact_lock(hashtextextended('{name}', 0)); \
                 COMMENT ON ROLE {name} IS '{}'; \
                 ALTER ROLE {name} NOLOGIN PASSWORD NULL VALID UNTIL '-infinity'; \
                 REVOKE hand_read FROM {name}; COMMIT; \
                 SELECT oid FROM pg_roles WHERE rolname = '{name}'",
                marker(&name, "ending", "-infinity")
            ))
            .await?;
        let oid: u32 = last_value(&answers).context("the role is gone already")?;
        let closed = self.clock.monotonic();
        let mut empty = 0;
        while empty < 2 {
            let found: u32 = last_value(
                &connection
                    .simple_query(&format!(
                        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) \
                         FROM pg_stat_activity WHERE usesysid = {oid}"
                    ))
                    .await?,
            )
            .unwrap_or_default();
            empty = if found == 0 { empty + 1 } else { 0 };
            if empty == 1 {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        }
        let ended = self.clock.monotonic();
        connection
            .batch_execute(&format!(
                "{BEGIN} SELECT pg_advisory_xact_lock(hashtextextended('{name}', 0)); \
                 DROP ROLE {name}; COMMIT"
            ))
            .await?;
        let dropped = self.clock.monotonic();
        let left: u32 = last_value(
            &connection
                .simple_query(&format!(
                    "SELECT (SELECT count(*) FROM pg_roles WHERE oid = {oid}) \
                     + (SELECT count(*) FROM pg_auth_members WHERE member = {oid}) \
                     + (SELECT count(*) FROM pg_stat_activity WHERE usesysid = {oid})"
                ))
                .await?,
        )
        .context("the read-back was not answered")?;
        if left > 0 {
            bail!("{name} is still there");
        }
        let read_back = self.clock.monotonic();
        self.give_back(connection).await;
        Ok(Sample(vec![
            closed.saturating_sub(began),
            ended.saturating_sub(closed),
            dropped.saturating_sub(ended),
            read_back.saturating_sub(dropped),
        ]))
    }

    fn random_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.rng.bytes::<16>()))
    }

    async fn take(&self) -> Result<Client> {
        self.connections.lock().await.pop().context("more clients than connections")
    }

    async fn give_back(&self, connection: Client) {
        self.connections.lock().await.push(connection);
    }
}

/// A comment of the same length and form as the integration's.
fn marker(name: &str, state: &str, end: &str) -> String {
    let id = "0197f3c2-7d10-7c3e-9a41-5f0e8b6c2d11";
    json!({
        "latchkey": "principal", "installation": id, "integration": id, "session": name,
        "generation": 1, "fence": 1, "state": state, "created": 1,
        "claims": [{ "unit": id, "role": 1, "end": end }],
    })
    .to_string()
}

/// The first column of the last row.
fn last_value<T: std::str::FromStr>(answers: &[SimpleQueryMessage]) -> Option<T> {
    answers.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).and_then(|value| value.parse().ok()),
        _ => None,
    })
}
