//! Ending access on time, whether or not the server can be reached. Each integration has a
//! keeper. It acts at each end in the journal; and it sweeps the target's markers from time to
//! time, so that access which another process gave ends too when that process died. What is
//! removed is decided in the target, by the ends in its own markers and by its own clock: a
//! keeper that looks too early does no harm.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{IntegrationId, UnitId},
    provisioning::{ExpiredClaim, TargetFault},
};
use latchkey_integrations::Expired;

use crate::{
    agent::{Agent, LinkStatus},
    crash,
    journal::{Ends, Holder},
    pace::Pause,
    per_target,
};

/// The pause before the first try again while a claim is overdue.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest pause between two tries while a claim is overdue: once a second at least.
const LONGEST_RETRY: Duration = Duration::from_millis(900);

/// A claim that is this much over and that a sweep of the target does not find is not there:
/// the server's own task, or a person, removed it.
const SURELY_OVER: SignedDuration = SignedDuration::from_secs(60);

/// How many tries fail between two lines in the log.
const FAILURES_PER_LINE: u32 = 60;

/// Sees to it that every integration that is known, or has an open lease, has a keeper.
pub(crate) async fn keep(agent: Arc<Agent>) {
    let kept =
        |agent: &Agent| agent.targets.ids().into_iter().chain(agent.journal.watched()).collect();
    per_target::beside_each(&agent, "keeper", kept, |agent, integration| async move {
        Keeper::new(&agent, &integration).run().await;
    })
    .await;
}

struct Keeper<'a> {
    agent: &'a Agent,
    integration: &'a IntegrationId,
    /// The server's time at the newest sweep: ends up to here were acted on.
    swept_at: Timestamp,
    /// Sweeps since the last that left nothing overdue.
    tries: u32,
    /// Sweeps since the last that went through.
    failures: u32,
}

impl<'a> Keeper<'a> {
    fn new(agent: &'a Agent, integration: &'a IntegrationId) -> Self {
        Self { agent, integration, swept_at: Timestamp::MIN, tries: 0, failures: 0 }
    }

    /// Works until the integration is gone or the agent stops.
    async fn run(mut self) {
        while self.wait().await {
            self.swept_at = self.agent.server_clock.latest();
            let swept = tokio::select! {
                () = self.agent.giving_up.cancelled() => return,
                swept = self.sweep() => swept,
            };
            match swept {
                Ok(()) => self.failures = 0,
                Err(fault) => self.note_failure(&fault),
            }
            let ends = self.agent.journal.ends(self.integration, self.swept_at);
            self.tries = if ends.has_passed { self.tries.saturating_add(1) } else { 0 };
        }
    }

    /// Waits until there is something to do; `false` when there will not be.
    async fn wait(&self) -> bool {
        let agent = self.agent;
        let mut pause = Pause::begin(agent.clock.as_ref());
        loop {
            let ends = agent.journal.ends(self.integration, self.swept_at);
            let is_known = ends != Ends::default() || agent.targets.knows(self.integration);
            if agent.stopping.is_cancelled() || !is_known {
                return false;
            }
            let until_new = ends.next.map_or(Duration::MAX, |end| {
                let left = end.duration_since(agent.server_clock.latest());
                Duration::try_from(left).unwrap_or_default()
            });
            let until_retry = if ends.has_passed { self.retry_pause() } else { Duration::MAX };
            let until_turn = until_retry.min(self.sweep_period()).saturating_sub(pause.lasted());
            let left = until_new.min(until_turn);
            if left.is_zero() {
                return true;
            }
            tokio::select! {
                () = agent.stopping.cancelled() => return false,
                () = pause.sleep(left) => {}
            }
        }
    }

    /// Claims are overdue although the target was swept: at first its clock may only be a
    /// little behind, later it is down.
    fn retry_pause(&self) -> Duration {
        FIRST_RETRY.saturating_mul(self.tries.saturating_add(1)).min(LONGEST_RETRY)
    }

    fn sweep_period(&self) -> Duration {
        let usual = self.usual_period();
        let described = self.agent.targets.find(self.integration);
        let module = described
            .and_then(|target| self.agent.integrations.get(target.integration_type.as_str()));
        match module.and_then(|module| module.sweep_often_until(self.integration)) {
            Some(_) => usual.min(self.agent.timing.sweep_when_away),
            None => usual,
        }
    }

    fn usual_period(&self) -> Duration {
        match *self.agent.status.borrow() {
            LinkStatus::Connected => self.agent.timing.sweep,
            LinkStatus::Connecting | LinkStatus::Failing(_) => self.agent.timing.sweep_when_away,
        }
    }

    /// Ends in the target what is over there.
    async fn sweep(&self) -> Result<(), TargetFault> {
        let agent = self.agent;
        let (integration, target) = per_target::open(agent, self.integration)?;
        if agent.journal.ends(self.integration, self.swept_at).has_passed {
            agent.crash_points.reached(crash::EXPIRY_DUE).await;
        }
        let looked_at = agent.server_clock.earliest();
        let limit = agent.timing.sweep_limit;
        let expired =
            per_target::within(agent, limit, async |work| integration.expire(&target, work).await)
                .await?;
        if expired.is_empty() {
            self.settle_what_is_not_there(looked_at);
            return Ok(());
        }
        agent.crash_points.reached(crash::EXPIRED).await;
        self.journal_expired(expired).await;
        agent.crash_points.reached(crash::EXPIRY_JOURNALED).await;
        Ok(())
    }

    async fn journal_expired(&self, expired: Vec<Expired>) {
        let ended_by = self.agent.server_clock.latest();
        // Together, so that they share a write to the disk.
        join_all(expired.into_iter().map(|one| async move {
            tracing::info!(
                integration.id = %self.integration,
                session.id = %one.session_id,
                target.principal = %one.principal,
                claims = one.units.len(),
                "Access was ended on time by the connector."
            );
            let holder = self.holder(one.principal);
            let removed_at = one.removed_at;
            let claims =
                one.units.into_iter().map(|unit_id| ExpiredClaim { unit_id, removed_at }).collect();
            if let Err(error) = self.agent.journal.expired(&holder, claims, ended_by).await {
                tracing::error!(error = %error, "An ended claim could not be journaled.");
            }
        }))
        .await;
    }

    /// A sweep found nothing that is over: what was over long before it began is gone. (One
    /// that found something may have left the rest to the next.)
    fn settle_what_is_not_there(&self, looked_at: Timestamp) {
        let ended_by = looked_at.saturating_sub(SURELY_OVER).unwrap_or(Timestamp::MIN);
        let mut gone: BTreeMap<Holder, Vec<UnitId>> = BTreeMap::new();
        for (holder, unit) in self.agent.journal.ended(self.integration, ended_by) {
            gone.entry(holder).or_default().push(unit);
        }
        for (holder, units) in gone {
            self.agent.journal.settle_ended(&holder, units, ended_by);
        }
    }

    fn note_failure(&mut self, fault: &TargetFault) {
        if self.failures.is_multiple_of(FAILURES_PER_LINE) {
            tracing::warn!(
                integration.id = %self.integration,
                error = %fault,
                "A target could not be swept for access that is over; trying again."
            );
        }
        self.failures = self.failures.saturating_add(1);
    }

    fn holder(&self, principal: String) -> Holder {
        Holder { integration: self.integration.clone(), principal }
    }
}
