//! Loops beside the targets: one a target, for as long as the target is known, none of which can
//! hold up another.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use latchkey_domain::{
    ids::IntegrationId,
    provisioning::{FaultClass, TargetFault},
};
use latchkey_integrations::{Integration, LeaseEnd, Target, Work};
use tokio::task::JoinSet;

use crate::{
    agent::Agent,
    pace::{self, GLANCE},
};

/// Runs `one` for each integration that `wanted` names, until the agent stops and all have ended.
/// One that ended, or panicked, is begun anew while it is wanted. `what` names them in the log.
pub(crate) async fn beside_each<F>(
    agent: &Arc<Agent>,
    what: &'static str,
    wanted: impl Fn(&Agent) -> BTreeSet<IntegrationId>,
    one: impl Fn(Arc<Agent>, IntegrationId) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running: JoinSet<IntegrationId> = JoinSet::new();
    let mut served = BTreeSet::new();
    while !agent.stopping.is_cancelled() {
        while let Some(ended) = running.try_join_next() {
            if let Ok(integration) = ended {
                served.remove(&integration);
            }
        }
        for integration in wanted(agent) {
            if served.insert(integration.clone()) {
                let work = one(Arc::clone(agent), integration.clone());
                running.spawn(async move {
                    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                        tracing::error!(integration.id = %integration, what, "A loop panicked.");
                    }
                    integration
                });
            }
        }
        tokio::select! {
            () = agent.stopping.cancelled() => {}
            () = tokio::time::sleep(GLANCE) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Opens a target for work that no task asked for: its module, and how to get at it.
pub(crate) fn open<'a>(
    agent: &'a Agent,
    integration: &IntegrationId,
) -> Result<(&'a dyn Integration, Target), TargetFault> {
    let fault = |message: &str| TargetFault::new(FaultClass::Forbidden, message);
    let described = agent.targets.find(integration).ok_or_else(|| {
        fault("the target is not known; it is learned when the server is reached")
    })?;
    let module = agent
        .integrations
        .get(described.integration_type.as_str())
        .ok_or_else(|| fault("this connector cannot serve the integration's type"))?;
    Ok((module.as_ref(), agent.secrets.open(&described)?))
}

/// Does such work for no longer than `limit`.
pub(crate) async fn within<T>(
    agent: &Agent,
    limit: Duration,
    work: impl AsyncFnOnce(&Work) -> Result<T, TargetFault>,
) -> Result<T, TargetFault> {
    let circumstances = agent.work(LeaseEnd::at(agent.clock.monotonic().saturating_add(limit)));
    tokio::select! {
        done = work(&circumstances) => done,
        () = pace::pause(agent.clock.as_ref(), limit) => {
            Err(TargetFault::new(FaultClass::Unreachable, "the target did not answer in time"))
        }
    }
}
