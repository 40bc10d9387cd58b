//! A data folder with an Admin in it, and the released program that serves it.
//!
//! People and their tokens are put into the database before the server starts, because making
//! them is not what is measured.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use latchkey::surroundings::Surroundings;
use latchkey_domain::{
    Clock,
    ids::{GroupId, TokenId, UserId},
    people::{ApiToken, Group, TokenScope, User, UserStatus},
};
use latchkey_identity::{TokenKey, generate_token};
use latchkey_store::{DatabaseUrl, KeyRing, Store, StoreError, StoreOptions};
use latchkey_systems::{Program, free_port};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::http::{Server, text_of};

/// The SQLite file in the data folder.
const FILE: &str = "latchkey.db";
const PATIENCE: Duration = Duration::from_mins(1);

/// A person with a token.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) token: String,
}

/// A data folder with an Admin in it; its server may run or not.
pub(crate) struct Installation {
    program: PathBuf,
    folder: PathBuf,
    surroundings: Surroundings,
    address: SocketAddr,
    server: Server,
    running: Option<Program>,
    admin: String,
}

impl Installation {
    /// Makes the data folder and its first Admin.
    pub(crate) fn create(program: &Path, folder: PathBuf) -> Result<Self> {
        let output = Command::new(program)
            .args(["admin", "bootstrap", "--email", "ada@example.com"])
            .args(["--first-name", "Ada", "--last-name", "Admin", "--data"])
            .arg(&folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("admin bootstrap failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let made: Value = serde_json::from_str(printed.lines().last().unwrap_or_default())?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        Ok(Self {
            program: program.to_owned(),
            folder,
            surroundings: Surroundings::of_the_machine(),
            address,
            server: Server::new(address, ("authorization", "Bearer "))?,
            running: None,
            admin: text_of(&made, "token")?,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Opens the database beside or without the server.
    pub(crate) async fn store(&self) -> Result<Store> {
        let rng = Arc::clone(&self.surroundings.rng);
        Ok(Store::open(StoreOptions {
            database: DatabaseUrl::Sqlite(self.folder.join(FILE)),
            keys: KeyRing::open_or_create(&self.folder, rng.as_ref())?,
            clock: Arc::clone(&self.surroundings.clock),
            rng,
            max_connections: 2,
        })
        .await?)
    }

    /// Adds people with tokens, all of them members of one new group.
    pub(crate) async fn add_people(&self, group: &str, count: usize) -> Result<Vec<Person>> {
        let store = self.store().await?;
        let key = TokenKey::new(*store.keys().token_key());
        let rng = self.surroundings.rng.as_ref();
        let now = store_time(self.surroundings.clock.as_ref());
        let group_row = Group {
            id: GroupId::generate(now, rng),
            name: group.to_owned(),
            source_integration_id: None,
            source_id: None,
            created_at: now,
        };
        store.write(async |tx| tx.insert_group(&group_row).await).await?;
        let mut people = Vec::with_capacity(count);
        let mut rows = Vec::with_capacity(count);
        for number in 0..count {
            let user = person(now, rng, group, number);
            let id = TokenId::generate(now, rng);
            let made = generate_token(rng, &key, &id).context("a token")?;
            people.push(Person { token: made.token.expose_secret().to_owned() });
            let token = ApiToken {
                id,
                user_id: user.id.clone(),
                name: "bench".to_owned(),
                secret_hash: made.hash,
                scopes: BTreeSet::from([TokenScope::Read, TokenScope::Request]),
                created_at: now,
                expires_at: None,
                revoked_at: None,
            };
            rows.push((user, token));
        }
        for some in rows.chunks(500) {
            store
                .write(async |tx| -> Result<(), StoreError> {
                    for (user, token) in some {
                        tx.insert_user(user).await?;
                        tx.insert_token(token).await?;
                        tx.add_group_member(&group_row.id, &user.id).await?;
                    }
                    Ok(())
                })
                .await?;
        }
        store.close().await;
        Ok(people)
    }

    /// Starts the server; returns how long it took until it was ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let clock = Arc::clone(&self.surroundings.clock);
        let mut serve = Command::new(&self.program);
        serve.args(["serve", "--listen", &self.address.to_string(), "--data"]).arg(&self.folder);
        let began = clock.monotonic();
        let mut program = Program::start(&mut serve, &self.folder.join("server.log"))?;
        loop {
            if let Some(status) = program.ended()? {
                bail!("latchkey serve ended with {status}: {}", tail(&program.log()));
            }
            if self.server.is_ok("/readyz").await {
                break;
            }
            if clock.monotonic().saturating_sub(began) > PATIENCE {
                bail!("latchkey serve is not ready: {}", tail(&program.log()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.running = Some(program);
        Ok(clock.monotonic().saturating_sub(began))
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(mut program) => program.stop(),
            None => Ok(()),
        }
    }

    /// The server's pid.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.running.as_ref().and_then(Program::pid).context("the server does not run")
    }

    /// Calls go here.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// The token of the first Admin.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What the server has logged last.
    pub(crate) fn log(&self) -> String {
        self.running.as_ref().map(|program| tail(&program.log())).unwrap_or_default()
    }
}

/// The clock's time in whole microseconds, as stored times are.
pub(crate) fn store_time(clock: &dyn Clock) -> Timestamp {
    let now = clock.now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// The person with this number.
pub(crate) fn person(
    now: Timestamp,
    rng: &dyn latchkey_domain::Rng,
    group: &str,
    number: usize,
) -> User {
    User {
        id: UserId::generate(now, rng),
        email: format!("{group}-{number}@example.com"),
        email_aliases: Vec::new(),
        first_name: group.to_owned(),
        last_name: format!("Number {number}"),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: now,
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}
