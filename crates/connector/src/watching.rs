//! Watching targets for changes of what there is, so that a new table can be asked for within
//! seconds and not after the next discovery run.
//!
//! Every few seconds a target is asked for its mark, which is cheap; only when it differs is it
//! looked through, and only what changed is told. Nothing hangs on it: what is missed, or told
//! twice, is put right by the server's own discovery runs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use latchkey_domain::{
    ids::IntegrationId,
    provisioning::{DiscoveredResource, FaultClass, TargetFault},
};
use latchkey_integrations::{DiscoverySink, Integration, Target, Work};
use latchkey_protocol::{Changes, MOST_CHANGES, VERSION};

use crate::{
    agent::{Agent, LinkStatus},
    inventories::{Fingerprints, Seen},
    link::LinkError,
    pace::Pause,
    per_target,
};

/// A target is looked at no more than for one part in so many of the time.
const SHARE_OF_TIME: u32 = 20;

/// Watches every target that is known.
pub(crate) async fn watch(agent: Arc<Agent>) {
    let known = |agent: &Agent| agent.targets.ids().into_iter().collect::<BTreeSet<_>>();
    per_target::beside_each(&agent, "watcher", known, |agent, integration| async move {
        watch_one(&agent, &integration).await;
        agent.inventories.forget(&integration);
    })
    .await;
}

/// Watches one target until it is gone or the agent stops.
async fn watch_one(agent: &Agent, integration: &IntegrationId) {
    let mut cost = Duration::ZERO;
    loop {
        let period = agent.timing.watch.max(cost.saturating_mul(SHARE_OF_TIME));
        let mut pause = Pause::begin(agent.clock.as_ref());
        while let Some(left) = period.checked_sub(pause.lasted()).filter(|left| !left.is_zero()) {
            tokio::select! {
                () = agent.stopping.cancelled() => return,
                () = pause.sleep(left) => {}
            }
            if !agent.targets.knows(integration) {
                return;
            }
        }
        if *agent.status.borrow() != LinkStatus::Connected {
            continue;
        }
        let began = agent.clock.monotonic();
        let looked = tokio::select! {
            () = agent.stopping.cancelled() => return,
            looked = look(agent, integration) => looked,
        };
        cost = agent.clock.monotonic().saturating_sub(began);
        if let Err(fault) = looked {
            // The keeper of the target, and the server's runs, say it where people look.
            tracing::debug!(integration.id = %integration, error = %fault,
                "A target could not be watched for changes; trying again.");
        }
    }
}

/// Looks at a target once, and tells what changed.
async fn look(agent: &Agent, integration: &IntegrationId) -> Result<(), TargetFault> {
    // No secret is read for a type that this connector may not serve.
    if let Some(described) = agent.targets.find(integration) {
        agent.secrets.config.ceilings.check_type(&described.integration_type)?;
    }
    let (module, target) = per_target::open(agent, integration)?;
    let limit = agent.timing.watch_limit;
    per_target::within(agent, limit, async |work| look_within(agent, module, &target, work).await)
        .await
}

async fn look_within(
    agent: &Agent,
    module: &dyn Integration,
    target: &Target,
    work: &Work,
) -> Result<(), TargetFault> {
    let Some(mark) = module.inventory_mark(target, work).await? else { return Ok(()) };
    let id = &target.integration_id;
    let former = match agent.inventories.get(id) {
        Some(former) if former.mark == Some(mark) => return Ok(()),
        Some(former) => former,
        None => {
            // What came before this process started is the business of the server's runs.
            agent.inventories.put(id, Seen { mark: Some(mark), resources: None });
            return Ok(());
        }
    };
    let mut looking = Looking {
        agent,
        integration: id,
        former: former.resources.as_deref(),
        seen: Fingerprints::default(),
        changed: Vec::new(),
    };
    module.discover(target, work, &mut looking).await?;
    let seen = looking.finish().await?;
    agent.inventories.put(id, Seen { mark: Some(mark), resources: Some(Arc::new(seen)) });
    Ok(())
}

/// A look through a target that is under way.
struct Looking<'a> {
    agent: &'a Agent,
    integration: &'a IntegrationId,
    former: Option<&'a Fingerprints>,
    seen: Fingerprints,
    changed: Vec<DiscoveredResource>,
}

#[async_trait]
impl DiscoverySink for Looking<'_> {
    async fn resources(&mut self, found: Vec<DiscoveredResource>) -> Result<(), TargetFault> {
        for resource in found {
            if self.seen.add(&resource, self.former) {
                self.changed.push(resource);
            }
            if self.changed.len() == MOST_CHANGES {
                let changed = std::mem::take(&mut self.changed);
                self.tell(changed, Vec::new()).await?;
            }
        }
        Ok(())
    }
}

impl Looking<'_> {
    /// Tells the rest, and what is gone; only a look that came to its end may.
    async fn finish(mut self) -> Result<Fingerprints, TargetFault> {
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            self.tell(changed, Vec::new()).await?;
        }
        for gone in self.seen.gone_since(self.former).chunks(MOST_CHANGES) {
            self.tell(Vec::new(), gone.to_vec()).await?;
        }
        Ok(self.seen)
    }

    async fn tell(
        &self,
        found: Vec<DiscoveredResource>,
        gone: Vec<String>,
    ) -> Result<(), TargetFault> {
        let changes = Changes {
            protocol: VERSION,
            session_id: self.agent.session.clone(),
            integration_id: self.integration.clone(),
            found,
            gone,
        };
        match self.agent.link.changes(&changes).await {
            Ok(()) => Ok(()),
            Err(error @ (LinkError::Unreachable(_) | LinkError::Unauthorized(_))) => {
                Err(TargetFault::new(FaultClass::Transient, error.to_string()))
            }
            // A server that does not take them, such as an older one, has runs of its own.
            Err(error @ (LinkError::Superseded | LinkError::Refused(_))) => {
                tracing::debug!(integration.id = %self.integration, error = %error,
                    "The server did not take a change of the inventory.");
                Ok(())
            }
        }
    }
}
