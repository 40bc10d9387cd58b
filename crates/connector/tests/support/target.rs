//! A target in memory. It holds principals with a fence and claims with their ends, as markers
//! do, and can be made slow, unreachable or panicking.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use jiff::Timestamp;
use latchkey_domain::{
    Clock,
    ids::{SessionId, UnitId},
    provisioning::{
        AccessDetails, ClaimOutcome, ClaimState, DesiredClaim, DesiredPrincipal,
        DiscoveredResource, DriftFinding, FaultClass, Finding, KnownSession, Receipt, Severity,
        TargetFault,
    },
};
use latchkey_integrations::{
    Applied, ApplyError, DiscoverySink, Expired, GeneratedCredentials, Integration, Target, Work,
};
use latchkey_testkit::TestClock;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

pub const CLOCK_TYPE: &str = "memory";

/// Where the server of these tests says that it listens.
pub const SERVER: &str = "127.0.0.1:8470";

#[derive(Debug, Clone)]
struct Principal {
    session: SessionId,
    fence: i64,
    claims: BTreeMap<UnitId, Option<Timestamp>>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own that a test sets")]
struct Inner {
    principals: BTreeMap<String, Principal>,
    is_down: bool,
    panics: bool,
    slow: bool,
    working: BTreeSet<String>,
    at_once: usize,
    most_at_once: usize,
    most_on_one: usize,
    applies: usize,
    sweeps: usize,
    marks: usize,
    failed_sweeps: usize,
    seen_secret: Option<String>,
    avoids_server: bool,
    resources: usize,
    findings: Vec<Finding>,
    journal_at_apply: Option<String>,
    journal: Option<std::path::PathBuf>,
}

#[derive(Debug)]
pub struct MemoryTarget {
    clock: Arc<TestClock>,
    inner: Mutex<Inner>,
    gate: Semaphore,
}

impl MemoryTarget {
    pub fn new(clock: Arc<TestClock>) -> Self {
        Self { clock, inner: Mutex::default(), gate: Semaphore::new(0) }
    }

    /// From now on every apply waits to be let through.
    pub fn slow_down(&self) {
        self.lock().slow = true;
    }

    /// Lets `count` waiting applies through.
    pub fn let_through(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    pub fn panic_at_apply(&self, panics: bool) {
        self.lock().panics = panics;
    }

    pub fn hold_resources(&self, count: usize) {
        self.lock().resources = count;
    }

    pub fn find(&self, severity: Severity, message: &str) {
        self.lock().findings.push(Finding { severity, message: message.to_owned() });
    }

    /// At each apply, look at what this file holds.
    pub fn watch_journal(&self, path: std::path::PathBuf) {
        self.lock().journal = Some(path);
    }

    pub fn journal_at_apply(&self) -> String {
        self.lock().journal_at_apply.clone().unwrap_or_default()
    }

    /// The claims that a principal holds; `None` if there is no such principal.
    pub fn claims_of(&self, principal: &str) -> Option<Vec<String>> {
        let inner = self.lock();
        let principal = inner.principals.get(principal)?;
        Some(principal.claims.keys().map(ToString::to_string).collect())
    }

    /// When each claim of a principal ends; `None` if there is no such principal.
    pub fn ends_of(&self, principal: &str) -> Option<BTreeMap<UnitId, Option<Timestamp>>> {
        self.lock().principals.get(principal).map(|principal| principal.claims.clone())
    }

    /// As if another process had granted.
    pub fn plant(&self, principal: &str, unit: &str, ends_at: Timestamp) {
        let planted = Principal {
            session: SessionId::new(format!("session-of-{principal}")),
            fence: 1,
            claims: [(UnitId::new(unit), Some(ends_at))].into(),
        };
        self.lock().principals.insert(principal.to_owned(), planted);
    }

    pub fn raise_fence(&self, principal: &str, fence: i64) {
        self.lock().principals.get_mut(principal).unwrap().fence = fence;
    }

    pub fn applies(&self) -> usize {
        self.lock().applies
    }

    /// How often the mark was asked for.
    pub fn marks(&self) -> usize {
        self.lock().marks
    }

    pub fn sweeps(&self) -> usize {
        self.lock().sweeps
    }

    pub fn failed_sweeps(&self) -> usize {
        self.lock().failed_sweeps
    }

    pub fn working(&self) -> usize {
        self.lock().at_once
    }

    pub fn most_at_once(&self) -> usize {
        self.lock().most_at_once
    }

    pub fn most_on_one(&self) -> usize {
        self.lock().most_on_one
    }

    /// Whether the newest apply was told not to speak to the server.
    pub fn avoids_server(&self) -> bool {
        self.lock().avoids_server
    }

    pub fn seen_secret(&self) -> Option<String> {
        self.lock().seen_secret.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn check_up(&self) -> Result<(), TargetFault> {
        let is_down = self.lock().is_down;
        if is_down {
            return Err(TargetFault::new(FaultClass::Unreachable, "connection refused"));
        }
        Ok(())
    }
}

/// Counts who works at once; also when the work is dropped.
struct AtWork<'a>(&'a MemoryTarget, String);

impl<'a> AtWork<'a> {
    fn begin(target: &'a MemoryTarget, principal: &str) -> Self {
        let mut inner = target.lock();
        inner.applies += 1;
        inner.at_once += 1;
        inner.most_at_once = inner.most_at_once.max(inner.at_once);
        let on_one = if inner.working.insert(principal.to_owned()) { 1 } else { 2 };
        inner.most_on_one = inner.most_on_one.max(on_one);
        Self(target, principal.to_owned())
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.at_once -= 1;
        inner.working.remove(&self.1);
    }
}

#[async_trait]
impl Integration for MemoryTarget {
    fn integration_type(&self) -> &'static str {
        CLOCK_TYPE
    }

    async fn validate(&self, _: &Target, _: &Work) -> Result<Vec<Finding>, TargetFault> {
        self.check_up()?;
        Ok(self.lock().findings.clone())
    }

    async fn discover(
        &self,
        _: &Target,
        _: &Work,
        pages: &mut dyn DiscoverySink,
    ) -> Result<(), TargetFault> {
        let count = self.lock().resources;
        for number in 0..count {
            let found = DiscoveredResource {
                resource_type: "memory-cell".to_owned(),
                source_id: format!("cell:{number}"),
                name: number.to_string(),
                path: format!("cells/{number}"),
                tags: BTreeMap::new(),
                context: BTreeMap::new(),
            };
            pages.resources(vec![found]).await?;
        }
        Ok(())
    }

    async fn inventory_mark(&self, _: &Target, _: &Work) -> Result<Option<u64>, TargetFault> {
        self.check_up()?;
        let mut inner = self.lock();
        inner.marks += 1;
        Ok(Some(u64::try_from(inner.resources).unwrap()))
    }

    async fn apply(
        &self,
        target: &Target,
        work: &Work,
        desired: &DesiredPrincipal,
    ) -> Result<Applied, ApplyError> {
        let _at_work = AtWork::begin(self, &desired.principal);
        self.check_up()?;
        assert!(!self.lock().panics, "the module panics");
        if self.lock().slow {
            self.gate.acquire().await.unwrap().forget();
        }
        work.check_lease()?;
        let mut inner = self.lock();
        inner.avoids_server = work.own_addresses.contain(SERVER.parse().unwrap());
        inner.seen_secret =
            target.secret.get("password").map(|secret| secret.expose_secret().to_owned());
        inner.journal_at_apply =
            inner.journal.as_ref().map(|path| std::fs::read_to_string(path).unwrap());
        let fence = inner.principals.get(&desired.principal).map_or(0, |known| known.fence);
        if fence > desired.fence {
            return Err(ApplyError::Fenced { fence });
        }
        if desired.claims.is_empty() {
            inner.principals.remove(&desired.principal);
        } else {
            let claims = desired.claims.iter().map(|c| (c.unit_id.clone(), c.ends_at)).collect();
            let session = desired.session_id.clone();
            let principal = Principal { session, fence: desired.fence, claims };
            inner.principals.insert(desired.principal.clone(), principal);
        }
        let state_of = |claims: &[DesiredClaim], state| {
            claims
                .iter()
                .map(|claim| ClaimOutcome { unit_id: claim.unit_id.clone(), state, fault: None })
                .collect::<Vec<_>>()
        };
        let mut claims = state_of(&desired.claims, ClaimState::Present);
        claims.extend(state_of(&desired.removed, ClaimState::Absent));
        let exists = inner.principals.contains_key(&desired.principal);
        Ok(Applied {
            claims,
            receipt: Receipt {
                principal: desired.principal.clone(),
                observed_at: self.clock.now(),
                principal_exists: exists,
                can_log_in: exists,
                open_sessions: 0,
                sessions_ended: 0,
                holds: Vec::new(),
                leftover: Vec::new(),
                notes: Vec::new(),
            },
            credentials: desired.issue_credentials.then(|| GeneratedCredentials {
                username: desired.principal.clone(),
                password: SecretString::from("canary-77aa-made-password"),
            }),
        })
    }

    async fn expire(&self, target: &Target, _: &Work) -> Result<Vec<Expired>, TargetFault> {
        if let Err(fault) = self.check_up() {
            self.lock().failed_sweeps += 1;
            return Err(fault);
        }
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.sweeps += 1;
        inner.seen_secret =
            target.secret.get("password").map(|secret| secret.expose_secret().to_owned());
        let mut expired = Vec::new();
        for (name, principal) in &mut inner.principals {
            let is_over = |end: &Option<Timestamp>| end.is_some_and(|end| end <= now);
            let over = principal.claims.iter().filter(|(_, end)| is_over(end));
            let units: Vec<UnitId> = over.map(|(unit, _)| unit.clone()).collect();
            if units.is_empty() {
                continue;
            }
            principal.claims.retain(|_, end| !is_over(end));
            let session_id = principal.session.clone();
            expired.push(Expired { session_id, principal: name.clone(), units, removed_at: now });
        }
        inner.principals.retain(|_, principal| !principal.claims.is_empty());
        Ok(expired)
    }

    async fn reconcile(
        &self,
        _: &Target,
        _: &Work,
        known: &[KnownSession],
        remove: bool,
    ) -> Result<Vec<DriftFinding>, TargetFault> {
        let mut inner = self.lock();
        let strays: Vec<String> = inner
            .principals
            .keys()
            .filter(|name| !known.iter().any(|session| session.principal == **name))
            .cloned()
            .collect();
        if remove {
            inner.principals.retain(|name, _| !strays.contains(name));
        }
        let finding = |subject| DriftFinding {
            subject,
            message: "nothing explains it".to_owned(),
            removed: remove,
        };
        Ok(strays.into_iter().map(finding).collect())
    }

    fn access_details(&self, _: &Target, principal: &str, _: &[DesiredClaim]) -> AccessDetails {
        AccessDetails {
            instructions: format!("Log in as {principal}."),
            ..AccessDetails::default()
        }
    }
}
