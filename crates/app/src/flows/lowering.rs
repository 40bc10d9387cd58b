//! Flows that take away from what others ask: where one asks less for an entitlement than another
//! does, people get it on the easier terms. That may be meant, so it is told and not refused.
//!
//! Flows for emergencies are left out on either side: they are asked for by name, and told loudly
//! when they are used.

use latchkey_domain::{
    flow::AccessFlow,
    ids::FlowId,
    policy::{automatic::is_automatic, ends::longest_grant, selection::is_break_glass},
};
use latchkey_inventory::{Filter, Snapshot};

use crate::{App, error::AppError, indexed};

/// The most flows that are named.
const MOST_NAMED: usize = 10;

/// A flow that another one undercuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The flow that asks more.
    pub flow_id: FlowId,
    /// Its name.
    pub flow_name: String,
    /// What it asks and the other does not, in words.
    pub asks: Vec<&'static str>,
    /// How many entitlements both give.
    pub entitlements: u64,
}

impl Lowered {
    /// A sentence that warns of it.
    pub fn warning(&self) -> String {
        format!(
            "lowers the control over {} entitlements: the access flow \"{}\" gives them as well, \
             and asks {}",
            self.entitlements,
            self.flow_name,
            self.asks.join(" and ")
        )
    }
}

/// What to tell whoever saved a flow. It is stored by then, so trouble with this is logged only.
pub async fn warnings_about(app: &App, flow: &FlowId) -> Vec<String> {
    match lowered_by(app, flow).await {
        Ok(lowered) => lowered.iter().map(Lowered::warning).collect(),
        Err(error) => {
            tracing::warn!(access_flow.id = %flow, error = ?error.source,
                "What an access flow lowers could not be worked out.");
            Vec::new()
        }
    }
}

async fn lowered_by(app: &App, flow: &FlowId) -> Result<Vec<Lowered>, AppError> {
    let snapshot = indexed::snapshot(app).await?;
    let flow = flow.clone();
    // Some hundred counts over the inventory take a while, in which others have work.
    tokio::task::spawn_blocking(move || lowered(&snapshot, &flow)).await.map_err(AppError::internal)
}

/// The flows of a snapshot that one of them undercuts.
pub(crate) fn lowered(snapshot: &Snapshot, flow: &FlowId) -> Vec<Lowered> {
    let Some(flow) = snapshot.policy().find_flow(flow).filter(|flow| counts(flow)) else {
        return Vec::new();
    };
    let flows = snapshot.policy().flows().iter();
    let stricter: Vec<&AccessFlow> = flows
        .filter(|other| other.id != flow.id && counts(other) && !asks_more(other, flow).is_empty())
        .collect();
    let mut search = Search { snapshot, flow, own: count(snapshot, [&flow.id]), found: Vec::new() };
    search.look_among(&stricter);
    search.found
}

/// Whether the flow gives anything on terms of its own.
fn counts(flow: &AccessFlow) -> bool {
    flow.active && !is_break_glass(&flow.policy)
}

/// What a flow asks and another does not.
fn asks_more(flow: &AccessFlow, other: &AccessFlow) -> Vec<&'static str> {
    if is_automatic(&flow.policy) {
        return Vec::new();
    }
    let is_given = is_automatic(&other.policy);
    let (own, others) = (longest_grant(&flow.policy), longest_grant(&other.policy));
    let mut asks = Vec::new();
    if flow.policy.approver_policy.is_some() && (is_given || other.policy.approver_policy.is_none())
    {
        asks.push("for an approval");
    }
    if flow.policy.settings.require_mfa && (is_given || !other.policy.settings.require_mfa) {
        asks.push("for a second factor");
    }
    if own.is_some_and(|own| is_given || others.is_none_or(|others| own < others)) {
        asks.push("to come back sooner");
    }
    asks
}

fn count<'i>(snapshot: &Snapshot, flows: impl IntoIterator<Item = &'i FlowId>) -> u64 {
    snapshot.available(&snapshot.policy().flows_alone(flows), &Filter::default()).count()
}

/// Looks for flows that give what one flow gives: many together as long as none of them does.
struct Search<'s> {
    snapshot: &'s Snapshot,
    flow: &'s AccessFlow,
    own: u64,
    found: Vec<Lowered>,
}

impl Search<'_> {
    fn look_among(&mut self, others: &[&AccessFlow]) {
        if others.is_empty() || self.found.len() >= MOST_NAMED {
            return;
        }
        let ids = || others.iter().map(|other| &other.id);
        let theirs = count(self.snapshot, ids());
        let together = count(self.snapshot, ids().chain([&self.flow.id]));
        let shared = (self.own + theirs).saturating_sub(together);
        if shared == 0 {
            return;
        }
        if let [other] = others {
            self.found.push(Lowered {
                flow_id: other.id.clone(),
                flow_name: other.name.clone(),
                asks: asks_more(other, self.flow),
                entitlements: shared,
            });
            return;
        }
        let (one, rest) = others.split_at(others.len() / 2);
        self.look_among(one);
        self.look_among(rest);
    }
}
