//! Target systems. One module a system; each answers the trait [`Integration`] and passes the
//! contract suite in `tests/`. `docs/adding-an-integration.md` says how to add one.

pub mod addresses;
pub mod postgresql;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    clock::{Clock, Rng},
    ids::{InstallationId, IntegrationId, SessionId, UnitId},
    provisioning::{
        AccessDetails, ClaimOutcome, DesiredClaim, DesiredPrincipal, DiscoveredResource,
        DriftFinding, FaultClass, Finding, KnownSession, Receipt, TargetFault,
    },
};
use secrecy::SecretString;

pub use addresses::OwnAddresses;

/// Credentials that were just made; the connector seals them at once.
#[derive(Debug, Clone)]
pub struct GeneratedCredentials {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// What an apply came to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// How each claim of the task stands now.
    pub claims: Vec<ClaimOutcome>,
    /// What was read back.
    pub receipt: Receipt,
    /// New credentials, where they were asked for.
    pub credentials: Option<GeneratedCredentials>,
}

/// Claims of one principal that were removed at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The session in the marker.
    pub session_id: SessionId,
    /// The principal.
    pub principal: String,
    /// The claims removed.
    pub units: Vec<UnitId>,
    /// When, by the target's own clock.
    pub removed_at: Timestamp,
}

/// Why an apply did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The target's marker holds a higher fence.
    #[error("the target has already seen fence {fence}")]
    Fenced {
        /// The fence in the marker.
        fence: i64,
    },
    /// The work failed as a whole.
    #[error(transparent)]
    Fault(#[from] TargetFault),
}

/// One integration type's way of giving and taking access.
///
/// Every operation may be called again at any point after a crash, and by several processes at
/// once; the fence in the target's marker decides which one counts.
#[async_trait]
pub trait Integration: Send + Sync + std::fmt::Debug {
    /// The type's name, such as `postgresql`.
    fn integration_type(&self) -> &'static str;

    /// Connects and checks the connector's own rights. Findings say what is missing and what
    /// mends it.
    async fn validate(&self, target: &Target, work: &Work) -> Result<Vec<Finding>, TargetFault>;

    /// Finds resources and hands them over page by page.
    async fn discover(
        &self,
        target: &Target,
        work: &Work,
        pages: &mut dyn DiscoverySink,
    ) -> Result<(), TargetFault>;

    /// A number that differs, as good as always, when a discovery run would find something else
    /// than when it was last asked for. It is asked for every few seconds, so it has to be far
    /// cheaper than such a run. `None` if the type cannot tell.
    async fn inventory_mark(
        &self,
        _target: &Target,
        _work: &Work,
    ) -> Result<Option<u64>, TargetFault> {
        Ok(None)
    }

    /// Makes a principal hold exactly what is desired: grants, revokes and renews credentials,
    /// and reads the outcome back.
    async fn apply(
        &self,
        target: &Target,
        work: &Work,
        desired: &DesiredPrincipal,
    ) -> Result<Applied, ApplyError>;

    /// Removes every claim of this installation and integration whose end, in the target's own
    /// marker and by the target's own clock, has passed.
    async fn expire(&self, target: &Target, work: &Work) -> Result<Vec<Expired>, TargetFault>;

    /// Until when, on [`Clock::monotonic`], [`Integration::expire`] is to be called every few
    /// seconds, and once after that; `None` if its usual turn will do.
    fn sweep_often_until(&self, _integration: &IntegrationId) -> Option<Duration> {
        None
    }

    /// Compares the target with the sessions that may exist there; removes our own principals
    /// that nothing explains when `remove` says so.
    async fn reconcile(
        &self,
        target: &Target,
        work: &Work,
        known: &[KnownSession],
        remove: bool,
    ) -> Result<Vec<DriftFinding>, TargetFault>;

    /// How to connect as `principal`, without secrets.
    fn access_details(
        &self,
        target: &Target,
        principal: &str,
        claims: &[DesiredClaim],
    ) -> AccessDetails;
}

/// Receives the pages of a discovery run.
#[async_trait]
pub trait DiscoverySink: Send {
    /// Takes some resources; an error ends the run.
    async fn resources(&mut self, found: Vec<DiscoveredResource>) -> Result<(), TargetFault>;
}

/// A target system with the secret to administer it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The installation, for markers.
    pub installation_id: InstallationId,
    /// The integration, for markers.
    pub integration_id: IntegrationId,
    /// The integration's name, shown to people.
    pub name: String,
    /// Configuration.
    pub config: BTreeMap<String, String>,
    /// The admin secret's values, such as `username` and `password`.
    pub secret: BTreeMap<String, SecretString>,
    /// Resource types to discover; `None` for all.
    pub connected_resource_types: Option<Vec<String>>,
}

/// The circumstances of one piece of work.
#[derive(Debug, Clone)]
pub struct Work {
    /// The connector's clock.
    pub clock: Arc<dyn Clock>,
    /// The connector's randomness.
    pub rng: Arc<dyn Rng>,
    /// The server's time minus this machine's, as last measured.
    pub server_offset: SignedDuration,
    /// When the lease ends. No effect starts after it.
    pub lease_ends: LeaseEnd,
    /// Called between any two effects on the target; tests crash here.
    pub crash_points: Arc<dyn CrashPoints>,
    /// Where Latchkey itself listens: no target is there.
    pub own_addresses: OwnAddresses,
}

/// The end of a lease, on [`Clock::monotonic`]. Shared: the holder moves it on each time the
/// server renews the lease, and work that is running sees the new end.
#[derive(Debug, Clone)]
pub struct LeaseEnd(Arc<AtomicU64>);

impl LeaseEnd {
    /// A lease that ends at `end`.
    pub fn at(end: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(as_nanos(end))))
    }

    /// When it ends.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }

    /// Moves the end on; never back.
    pub fn extend_to(&self, end: Duration) {
        self.0.fetch_max(as_nanos(end), Ordering::SeqCst);
    }
}

impl From<Duration> for LeaseEnd {
    fn from(end: Duration) -> Self {
        Self::at(end)
    }
}

/// Nanoseconds fit 64 bits for 584 years of running.
fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Work {
    /// The server's time now, as far as this machine can tell.
    pub fn server_now(&self) -> Timestamp {
        self.clock.now().saturating_add(self.server_offset).unwrap_or(Timestamp::MAX)
    }

    /// What is left of the lease; `None` when it is over.
    pub fn lease_left(&self) -> Option<Duration> {
        self.lease_ends.get().checked_sub(self.clock.monotonic()).filter(|left| !left.is_zero())
    }

    /// Fails when the lease is over: no effect may start.
    pub fn check_lease(&self) -> Result<(), TargetFault> {
        match self.lease_left() {
            Some(_) => Ok(()),
            None => {
                Err(TargetFault::new(FaultClass::Transient, "the lease ended before this step"))
            }
        }
    }

    /// Marks a point between two effects.
    pub async fn crash_point(&self, name: &'static str) {
        self.crash_points.reached(name).await;
    }
}

/// Where a test may stop a run. In the product nothing happens.
#[async_trait]
pub trait CrashPoints: Send + Sync + std::fmt::Debug {
    /// The run has come to the point `name`.
    async fn reached(&self, name: &'static str);
}

/// No crash points: what the product uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCrashPoints;

#[async_trait]
impl CrashPoints for NoCrashPoints {
    async fn reached(&self, _name: &'static str) {}
}
