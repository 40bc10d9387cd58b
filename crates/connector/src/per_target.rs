//! Loops beside the targets: one a target, for as long as the target is known, none of which can
//! hold up another.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use latchkey_domain::ids::IntegrationId;
use tokio::task::JoinSet;

use crate::{agent::Agent, pace::GLANCE};

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
