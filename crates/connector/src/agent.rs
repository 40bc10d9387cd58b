//! Starting and stopping the agent, and what its loops share: the heartbeat, the lease loop,
//! the tasks, and the keepers that end access on time.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use latchkey_domain::{
    clock::{Clock, Rng},
    ids::{ConnectorId, ConnectorSessionId},
};
use latchkey_integrations::{
    CrashPoints, Integration, LeaseEnd, NoCrashPoints, OwnAddresses, Work,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::Surroundings,
    config::ConnectorConfig,
    expiry,
    folder::{Folder, FolderError},
    heartbeat,
    inventories::Inventories,
    journal::Journal,
    keys::ConnectorKey,
    leases::{Leases, PrincipalLocks},
    link::{LinkError, ServerLink},
    pace,
    secrets::{Secrets, Variables},
    server_clock::ServerClock,
    state::StateFile,
    targets::Targets,
    task, watching,
};

/// How often and how long. The defaults are the product's.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long a request for work may wait at the server.
    pub lease_wait: Duration,
    /// The longest pause between two tries to reach the server.
    pub retry: Duration,
    /// Between two sweeps of a target's markers while the server, which has its own timers,
    /// can be reached.
    pub sweep: Duration,
    /// Between two sweeps of a target's markers while the server is away.
    pub sweep_when_away: Duration,
    /// How long one sweep of a target may take.
    pub sweep_limit: Duration,
    /// Between two looks at a target for changes of what there is.
    pub watch: Duration,
    /// How long finding what changed may take.
    pub watch_limit: Duration,
    /// How long a stop waits for tasks that are running.
    pub stop_grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(3),
            lease_wait: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            sweep: Duration::from_mins(1),
            sweep_when_away: Duration::from_secs(2),
            sweep_limit: Duration::from_secs(30),
            watch: Duration::from_secs(5),
            watch_limit: Duration::from_mins(5),
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// Everything an agent is started with.
#[derive(Debug)]
pub struct ConnectorOptions {
    /// The connector this process is one of.
    pub id: ConnectorId,
    /// Its data folder; one process at a time.
    pub data_dir: PathBuf,
    /// The way to the server.
    pub link: Arc<dyn ServerLink>,
    /// The integration types it can serve.
    pub integrations: Vec<Arc<dyn Integration>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// What it may run and read.
    pub config: ConnectorConfig,
    /// Where `env:` secrets are read from.
    pub variables: Variables,
    /// Where a test may stop it.
    pub crash_points: Arc<dyn CrashPoints>,
    /// The software's version, said in heartbeats.
    pub version: String,
    /// The machine, said in heartbeats.
    pub surroundings: Surroundings,
    /// How many tasks it works on at once.
    pub max_tasks: usize,
    /// How often and how long.
    pub timing: Timing,
}

impl ConnectorOptions {
    /// Options with the product's defaults: no `connector.toml`, 128 tasks at once (most of them
    /// wait for sessions to end), the variables of this process.
    pub fn new(
        id: ConnectorId,
        data_dir: impl Into<PathBuf>,
        link: Arc<dyn ServerLink>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let variables = Variables::of_process();
        Self {
            id,
            data_dir: data_dir.into(),
            link,
            integrations: Vec::new(),
            clock,
            rng,
            config: ConnectorConfig::default(),
            surroundings: Surroundings::detect(&variables),
            variables,
            crash_points: Arc::new(NoCrashPoints),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_tasks: 128,
            timing: Timing::default(),
        }
    }
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// How the agent stands with its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// No answer has come yet.
    Connecting,
    /// The newest call was answered.
    Connected,
    /// The newest call came to nothing. The agent tries again in every case; what the journal
    /// holds is ended on time meanwhile.
    Failing(LinkError),
}

/// What the agent's loops share.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) id: ConnectorId,
    pub(crate) session: ConnectorSessionId,
    pub(crate) link: Arc<dyn ServerLink>,
    pub(crate) integrations: BTreeMap<&'static str, Arc<dyn Integration>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) crash_points: Arc<dyn CrashPoints>,
    pub(crate) version: String,
    pub(crate) surroundings: Surroundings,
    pub(crate) max_tasks: usize,
    pub(crate) timing: Timing,
    pub(crate) secrets: Secrets,
    pub(crate) targets: Targets,
    pub(crate) inventories: Inventories,
    pub(crate) journal: Journal,
    pub(crate) state: StateFile,
    pub(crate) server_clock: ServerClock,
    pub(crate) leases: Leases,
    pub(crate) principals: PrincipalLocks,
    /// The key that credentials are sealed to, once the server has said it.
    pub(crate) server_key: Mutex<Option<String>>,
    /// Where Latchkey listens: no target is there.
    pub(crate) own_addresses: Mutex<OwnAddresses>,
    pub(crate) status: watch::Sender<LinkStatus>,
    /// Asks for a heartbeat at once.
    pub(crate) beat_now: Notify,
    /// No new work is taken.
    pub(crate) stopping: CancellationToken,
    /// Work that is still running is dropped.
    pub(crate) giving_up: CancellationToken,
}

impl Agent {
    /// The circumstances of work that may go on until `lease_ends`.
    pub(crate) fn work(&self, lease_ends: LeaseEnd) -> Work {
        Work {
            clock: Arc::clone(&self.clock),
            rng: Arc::clone(&self.rng),
            server_offset: self.server_clock.offset(),
            lease_ends,
            crash_points: Arc::clone(&self.crash_points),
            own_addresses: lock(&self.own_addresses).clone(),
        }
    }

    /// The server said where it listens.
    pub(crate) fn set_own_addresses(&self, addresses: Vec<SocketAddr>) {
        let own = OwnAddresses::new(addresses);
        let mut known = lock(&self.own_addresses);
        if *known != own {
            *known = own;
        }
    }

    /// Notes how a call to the server went, and says so in the log when that is news.
    pub(crate) fn note_link(&self, went: Result<(), &LinkError>) {
        let next = match went {
            Ok(()) => LinkStatus::Connected,
            Err(error) => LinkStatus::Failing(error.clone()),
        };
        self.status.send_if_modified(|status| {
            let is_news = match (&*status, &next) {
                (LinkStatus::Failing(former), LinkStatus::Failing(error)) => {
                    std::mem::discriminant(former) != std::mem::discriminant(error)
                }
                (former, next) => former != next,
            };
            if is_news {
                match &next {
                    LinkStatus::Failing(error @ LinkError::Unreachable(_)) => {
                        tracing::warn!(connector.id = %self.id, error = %error,
                            "The server is away; access still ends on time.");
                    }
                    LinkStatus::Failing(error) => {
                        tracing::error!(connector.id = %self.id, error = %error,
                            "The server does not take this connector.");
                    }
                    _ => tracing::info!(connector.id = %self.id,
                        "The connector is connected to its server."),
                }
            }
            let differs = *status != next;
            *status = next;
            differs
        });
    }

    /// The key that credentials are sealed to, if the server has said it.
    pub(crate) fn server_key(&self) -> Option<String> {
        self.server_key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server said its key.
    pub(crate) fn set_server_key(&self, key: &str) {
        *self.server_key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
    }

    /// Waits before the next try to reach the server.
    pub(crate) async fn back_off(&self) {
        let span = pace::jittered(self.rng.as_ref(), self.timing.retry);
        pace::pause(self.clock.as_ref(), span).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts agents.
#[derive(Debug, Clone, Copy)]
pub struct Connector;

impl Connector {
    /// Takes the data folder, replays the journal, and starts working. Must be called within a
    /// Tokio runtime.
    pub fn start(options: ConnectorOptions) -> Result<ConnectorHandle, StartError> {
        let folder = Arc::new(Folder::open(&options.data_dir)?);
        let key = Arc::new(ConnectorKey::open_or_create(&folder, options.rng.as_ref())?);
        let state = StateFile::open(Arc::clone(&folder))?;
        let targets =
            Targets::open(Arc::clone(&folder), Arc::clone(&key), Arc::clone(&options.rng))?;
        let journal = Journal::open(folder, Arc::clone(&options.clock))?;
        let former_offset = SignedDuration::from_millis(state.get().server_offset_ms);
        let (status, status_seen) = watch::channel(LinkStatus::Connecting);
        let agent = Arc::new(Agent {
            session: ConnectorSessionId::generate(options.clock.now(), options.rng.as_ref()),
            integrations: options
                .integrations
                .into_iter()
                .map(|integration| (integration.integration_type(), integration))
                .collect(),
            secrets: Secrets {
                config: Arc::new(options.config),
                key,
                variables: options.variables,
            },
            server_clock: ServerClock::new(Arc::clone(&options.clock), former_offset),
            id: options.id,
            link: options.link,
            clock: options.clock,
            rng: options.rng,
            crash_points: options.crash_points,
            version: options.version,
            surroundings: options.surroundings,
            max_tasks: options.max_tasks.max(1),
            timing: options.timing,
            targets,
            inventories: Inventories::default(),
            journal,
            state,
            leases: Leases::default(),
            principals: PrincipalLocks::default(),
            server_key: Mutex::new(None),
            own_addresses: Mutex::default(),
            status,
            beat_now: Notify::new(),
            stopping: CancellationToken::new(),
            giving_up: CancellationToken::new(),
        });
        let running = tokio::spawn(run(Arc::clone(&agent)));
        Ok(ConnectorHandle { agent, status: status_seen, running: Some(running) })
    }
}

/// Runs the loops until the agent is stopped.
async fn run(agent: Arc<Agent>) {
    let heartbeats = tokio::spawn(heartbeat::beat(Arc::clone(&agent)));
    let keepers = tokio::spawn(expiry::keep(Arc::clone(&agent)));
    let watchers = tokio::spawn(watching::watch(Arc::clone(&agent)));
    task::take(&agent).await;
    agent.giving_up.cancel();
    let _ = watchers.await;
    let _ = keepers.await;
    let _ = heartbeats.await;
    agent.journal.close().await;
}

/// A running agent. Dropped without [`ConnectorHandle::stop`], it stops in the background.
#[derive(Debug)]
pub struct ConnectorHandle {
    agent: Arc<Agent>,
    status: watch::Receiver<LinkStatus>,
    running: Option<JoinHandle<()>>,
}

impl ConnectorHandle {
    /// How the agent stands with its server now.
    pub fn status(&self) -> LinkStatus {
        self.status.borrow().clone()
    }

    /// Waits for the outcome of the first call to the server. A process that was started with a
    /// wrong token learns it here.
    pub async fn first_contact(&self) -> LinkStatus {
        let mut status = self.status.clone();
        match status.wait_for(|status| *status != LinkStatus::Connecting).await {
            Ok(status) => status.clone(),
            Err(_) => LinkStatus::Connecting,
        }
    }

    /// Follows how the agent stands with its server.
    pub fn watch_status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }

    /// This process's session id.
    pub fn session_id(&self) -> &ConnectorSessionId {
        &self.agent.session
    }

    /// How many principals may hold something by this process's journal.
    pub fn open_leases(&self) -> usize {
        self.agent.journal.open_leases()
    }

    /// Takes no more work, lets running tasks end and report for a while, and returns once
    /// everything is on disk and the data folder is free.
    pub async fn stop(mut self) {
        self.agent.stopping.cancel();
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
    }
}

impl Drop for ConnectorHandle {
    fn drop(&mut self) {
        self.agent.stopping.cancel();
    }
}
