//! What a change of policy would do before it is saved: who gains and who loses, which requests
//! under way are touched, and how the requests of the last weeks would have come out.
//!
//! The change is checked like a real one and applied to a copy of the policy in memory; nothing
//! is stored. People, requests and inventory are those of now.
//!
//! Invariant: who gains and who loses is what the lists of available access would say before and
//! after; how requests come out is what filing and deciding say, by the same functions.

mod change;
mod people;
mod replay;
mod requests;

use std::{collections::BTreeSet, sync::Arc};

use latchkey_domain::ids::FlowId;
use latchkey_inventory::{Comparison, Snapshot};
use latchkey_store::Tx;

pub use change::{PolicyChange, Subject, SubjectKind};
pub use people::{PeopleChanged, PersonChanged};
pub use replay::{Differing, Outcome, Replay, Tally};
pub use requests::{Effect, RequestChanged, RequestsChanged};

use crate::{
    Actor, App, Operation,
    error::AppError,
    flows::{Lowered, lowered},
    indexed,
};

/// The longest replay, in days.
const MOST_DAYS: u32 = 366;
/// The most people, requests and replayed requests that are listed.
const MOST_LISTED: u32 = 1000;

/// A change to try.
#[derive(Debug, Clone)]
pub struct WhatIf {
    /// The change.
    pub change: PolicyChange,
    /// How many days of requests to replay.
    pub replay_days: u32,
    /// How many people and requests to list at most; all are counted.
    pub limit: u32,
}

/// What the change would do.
#[derive(Debug, Clone)]
pub struct Consequences {
    /// What would be changed.
    pub subject: Subject,
    /// The flows that would give something else, by id and name.
    pub flows: Vec<(FlowId, String)>,
    /// Who gains and who loses.
    pub people: PeopleChanged,
    /// What becomes of requests under way.
    pub requests: RequestsChanged,
    /// The flows that a saved flow would undercut.
    pub lowers: Vec<Lowered>,
    /// How earlier requests would have come out.
    pub replay: Replay,
}

/// The policy before and after.
struct Sides {
    before: Arc<Snapshot>,
    after: Snapshot,
    /// Every flow that says or gives something else.
    flows: BTreeSet<FlowId>,
}

/// Says what a change of policy would do. 400 as saving it would be.
pub async fn what_if(app: &App, actor: &Actor, command: WhatIf) -> Result<Consequences, AppError> {
    actor.require(Operation::TryPolicy)?;
    if command.replay_days > MOST_DAYS {
        return Err(AppError::invalid("replay_days", format!("at most {MOST_DAYS} days")));
    }
    if !(1..=MOST_LISTED).contains(&command.limit) {
        return Err(AppError::invalid("limit", format!("from 1 to {MOST_LISTED}")));
    }
    let before = indexed::snapshot(app).await?;
    let rules = before.policy().rules().clone();
    let change = command.change;
    let changed =
        app.store().read(async |tx: &mut Tx| change::apply(tx, app, rules, &change).await).await?;
    let subject = changed.subject;
    // Millions of entitlements take a while, in which others have work.
    let walked = tokio::task::spawn_blocking(move || {
        let after = before.with_rules(changed.rules);
        let comparison = Comparison::of(&before, &after, &changed.flows);
        let lowers = changed.flows.iter().flat_map(|flow| lowered(&after, flow)).collect();
        (Sides { before, after, flows: changed.flows }, comparison, lowers)
    });
    let (sides, comparison, lowers): (_, _, Vec<Lowered>) =
        walked.await.map_err(AppError::internal)?;
    let limit = command.limit as usize;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Consequences, AppError> {
            Ok(Consequences {
                people: people::compare(tx, &sides, &comparison, limit).await?,
                requests: requests::compare(tx, &sides, limit).await?,
                replay: replay::replay(tx, &sides, command.replay_days, limit).await?,
                flows: sides.named_flows(),
                lowers: lowers.clone(),
                subject: subject.clone(),
            })
        })
        .await
}

impl Sides {
    fn named_flows(&self) -> Vec<(FlowId, String)> {
        let named = self.flows.iter().filter_map(|id| {
            let flow =
                self.after.policy().find_flow(id).or_else(|| self.before.policy().find_flow(id))?;
            Some((id.clone(), flow.name.clone()))
        });
        named.collect()
    }
}
