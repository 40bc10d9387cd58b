//! A server and a target that live in the test's memory, for the agent's own behaviour:
//! scheduling, leases, journal, expiry. Real servers and real targets are in the journeys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
#![expect(dead_code, reason = "each test binary uses a part of this")]

pub mod server;
mod target;

use std::{path::Path, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use latchkey_connector::{
    Connector, ConnectorConfig, ConnectorHandle, ConnectorOptions, LinkStatus, Timing, Variables,
};
use latchkey_domain::{
    Clock,
    ids::{ConnectorId, IntegrationId, SessionId, UnitId},
    provisioning::{DesiredClaim, DesiredPrincipal},
};
use latchkey_testkit::{SeededRng, TestClock, wait_until};

pub use server::MemoryServer;
pub use target::{CLOCK_TYPE, MemoryTarget, SERVER};

/// No wait in a test takes longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Clock, server, target and data folder of one test.
pub struct Bench {
    pub clock: Arc<TestClock>,
    pub server: Arc<MemoryServer>,
    pub target: Arc<MemoryTarget>,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        Self {
            server: Arc::new(MemoryServer::new(Arc::clone(&clock))),
            target: Arc::new(MemoryTarget::new(Arc::clone(&clock))),
            clock,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an agent on the bench's folder and waits until it is connected.
    pub async fn start(&self) -> ConnectorHandle {
        let handle = Connector::start(self.options(self.folder.path())).unwrap();
        assert_eq!(handle.first_contact().await, LinkStatus::Connected);
        handle
    }

    pub fn options(&self, folder: &Path) -> ConnectorOptions {
        let link: Arc<dyn latchkey_connector::ServerLink> =
            Arc::<MemoryServer>::clone(&self.server);
        ConnectorOptions {
            integrations: vec![Arc::<MemoryTarget>::clone(&self.target)],
            variables: Variables::fixed([]),
            config: ConnectorConfig::default(),
            timing: Timing {
                heartbeat: Duration::from_millis(100),
                retry: Duration::from_millis(50),
                lease_wait: Duration::from_millis(200),
                sweep_when_away: Duration::from_millis(300),
                watch: Duration::from_millis(100),
                ..Timing::default()
            },
            ..ConnectorOptions::new(
                ConnectorId::new("test"),
                folder,
                link,
                Arc::<TestClock>::clone(&self.clock),
                Arc::new(SeededRng::default()),
            )
        }
    }

    /// Time passes in steps shorter than a lease, as it does for a process that is running.
    pub async fn pass(&self, span: Duration) {
        let step = Duration::from_secs(5);
        let mut left = span;
        while !left.is_zero() {
            let by = left.min(step);
            self.clock.advance(by);
            left -= by;
            let beats = self.server.heartbeats();
            self.eventually("a heartbeat", || self.server.heartbeats() > beats + 1).await;
        }
    }

    pub async fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        wait_until(what, DEADLINE, async || condition()).await.unwrap();
    }

    pub fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.clock.now() + SignedDuration::from_secs(seconds)
    }
}

/// A principal that should hold `claims`: unit and end.
pub fn desired(
    principal: &str,
    fence: i64,
    claims: &[(&str, Option<Timestamp>)],
) -> DesiredPrincipal {
    DesiredPrincipal {
        session_id: SessionId::new(format!("session-of-{principal}")),
        generation: 1,
        principal: principal.to_owned(),
        fence,
        server_time: Timestamp::UNIX_EPOCH,
        claims: claims.iter().map(|(unit, end)| claim(unit, *end)).collect(),
        removed: Vec::new(),
        extensions: Vec::new(),
        issue_credentials: false,
    }
}

pub fn claim(unit: &str, ends_at: Option<Timestamp>) -> DesiredClaim {
    DesiredClaim {
        unit_id: UnitId::new(unit),
        resource_type: "memory-cell".to_owned(),
        source_id: format!("cell:{unit}"),
        path: format!("cells/{unit}"),
        context: std::collections::BTreeMap::new(),
        permission: "READ_ONLY".to_owned(),
        ends_at,
    }
}

pub fn integration() -> IntegrationId {
    IntegrationId::new("integration-1")
}
