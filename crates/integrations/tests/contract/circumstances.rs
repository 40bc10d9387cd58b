//! The circumstances of a piece of work, and short ways to say what is desired.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    Clock,
    ids::{SessionId, UnitId},
    provisioning::{ClaimState, DesiredClaim, DesiredPrincipal},
};
use latchkey_integrations::{Applied, CrashPoints, LeaseEnd, NoCrashPoints, Work};
use latchkey_testkit::SeededRng;

use super::Entitlement;

/// The machine's clock: a real target takes part, with a clock of its own.
#[derive(Debug)]
pub struct MachineClock(Instant);

#[expect(clippy::disallowed_methods, reason = "real targets have real clocks")]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Work with a lease of a minute.
pub fn work() -> Work {
    work_with(Arc::new(NoCrashPoints))
}

/// Makes seeds differ that are taken within one nanosecond.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Work with a short lease.
pub fn work_for(lease: Duration) -> Work {
    let mut work = work();
    work.lease_ends = LeaseEnd::at(work.clock.monotonic() + lease);
    work
}

/// Work that meets crash points.
#[expect(clippy::disallowed_methods, reason = "real targets have real clocks")]
pub fn work_with(crash_points: Arc<dyn CrashPoints>) -> Work {
    let clock = MachineClock(Instant::now());
    let nanoseconds = clock.now().as_nanosecond().rem_euclid(i128::from(i64::MAX));
    let seed = u64::try_from(nanoseconds).unwrap() ^ SEED.fetch_add(1_u64 << 40, Ordering::SeqCst);
    let lease_ends = LeaseEnd::at(clock.monotonic() + Duration::from_mins(1));
    Work {
        clock: Arc::new(clock),
        rng: Arc::new(SeededRng::new(seed)),
        server_offset: SignedDuration::ZERO,
        lease_ends,
        crash_points,
        own_addresses: latchkey_integrations::OwnAddresses::default(),
    }
}

/// A session of a test: what the server would keep of it.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    principal: String,
    fence: AtomicI64,
}

impl Session {
    /// A new session with a name of its own.
    pub fn new() -> Self {
        let work = work();
        let id = SessionId::generate(work.clock.now(), work.rng.as_ref());
        let random = <dyn latchkey_domain::Rng>::bytes::<8>(work.rng.as_ref());
        Self { id, principal: format!("lk_u_{}_1", hex::encode(random)), fence: AtomicI64::new(0) }
    }

    /// Its principal.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// A delivery with the next fence: these claims should be there, those gone.
    pub fn desire(&self, claims: &[DesiredClaim], removed: &[DesiredClaim]) -> DesiredPrincipal {
        DesiredPrincipal {
            session_id: self.id.clone(),
            generation: 1,
            principal: self.principal.clone(),
            fence: self.fence.fetch_add(1, Ordering::SeqCst) + 1,
            server_time: work().clock.now(),
            claims: claims.to_vec(),
            removed: removed.to_vec(),
            extensions: Vec::new(),
            issue_credentials: false,
        }
    }

    /// The same, with new credentials.
    pub fn desire_login(
        &self,
        claims: &[DesiredClaim],
        removed: &[DesiredClaim],
    ) -> DesiredPrincipal {
        DesiredPrincipal { issue_credentials: true, ..self.desire(claims, removed) }
    }
}

impl Entitlement {
    /// A claim by `unit`, for `seconds`.
    pub fn claim(&self, unit: &str, seconds: i64) -> DesiredClaim {
        let end = work().clock.now() + SignedDuration::from_secs(seconds);
        DesiredClaim { unit_id: UnitId::new(unit), ends_at: Some(end), ..self.claim.clone() }
    }
}

/// How a unit stands.
pub fn state(applied: &Applied, unit: &str) -> ClaimState {
    let outcome = applied.claims.iter().find(|outcome| outcome.unit_id.as_str() == unit);
    outcome.unwrap_or_else(|| panic!("no outcome for {unit}: {applied:?}")).state
}

/// Why a unit is not in place.
pub fn fault(applied: &Applied, unit: &str) -> String {
    let outcome = applied.claims.iter().find(|outcome| outcome.unit_id.as_str() == unit);
    outcome.and_then(|outcome| outcome.fault.clone()).map_or(String::new(), |fault| fault.message)
}
