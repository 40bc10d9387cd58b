//! How the requests of the last weeks would come out if they were filed now, before and after the
//! change: at the time of day and for the duration at which they were filed, by people and
//! inventory as they are. What differs between the two is the change's doing; what differs from
//! then and not between the two has other causes.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use latchkey_domain::{
    flow::FlowTrigger,
    ids::RequestId,
    policy::selection::{Asking, Preference, Selection, select_among},
    request::{AccessRequest, RequestUnit},
    settings::SettingSpec,
};
use latchkey_inventory::{EntitlementRef, Snapshot};
use latchkey_store::{PageKey, PageQuery, RequestFilter, Tx};

use super::Sides;
use crate::{
    error::AppError,
    requests::{RequestView, by_request, names_emergency, people::People, read_view},
};

/// How many requests are read at a time.
const PAGE: u32 = 500;
/// How many requests are replayed; the newest ones.
const MOST_REPLAYED: u64 = 10_000;

/// How a request comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nobody has to agree.
    AutoApproved,
    /// Somebody has to agree.
    NeedsApproval,
    /// No flow allows it.
    Denied,
    /// What it asked for is gone.
    Gone,
}

/// How the requests of the last weeks would come out.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// How many days were replayed.
    pub days: u32,
    /// How many requests were replayed.
    pub requests: u64,
    /// Whether that is all of them; the newest ones are.
    pub complete: bool,
    /// How they came out when they were filed.
    pub then: Tally,
    /// How they would come out with the policy of now.
    pub now: Tally,
    /// How they would come out after the change.
    pub after: Tally,
    /// How many come out differently by the change.
    pub changed: u64,
    /// How many come out differently than then, for whatever reason.
    pub differing: u64,
    /// The newest of those that the change makes come out differently, then of the others.
    pub examples: Vec<Differing>,
}

/// How many come out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Nobody has to agree.
    pub auto_approved: u64,
    /// Somebody has to agree.
    pub needs_approval: u64,
    /// No flow allows it.
    pub denied: u64,
    /// What it asked for is gone.
    pub gone: u64,
}

/// A request that comes out differently.
#[derive(Debug, Clone)]
pub struct Differing {
    /// The request.
    pub seen: RequestView,
    /// How it came out when it was filed.
    pub then: Outcome,
    /// With the policy of now.
    pub now: Outcome,
    /// After the change.
    pub after: Outcome,
    /// The flows that would govern it then, or why none would.
    pub by: String,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::AutoApproved => &mut self.auto_approved,
            Outcome::NeedsApproval => &mut self.needs_approval,
            Outcome::Denied => &mut self.denied,
            Outcome::Gone => &mut self.gone,
        };
        *count += 1;
    }
}

/// What one request comes to on each side.
struct Replayed {
    then: Outcome,
    now: Outcome,
    after: Outcome,
    by: String,
}

impl Replayed {
    fn is_changed(&self) -> bool {
        self.now != self.after
    }

    fn differs(&self) -> bool {
        self.is_changed() || self.then != self.after
    }
}

/// Replays the requests of the last `days` days.
pub(super) async fn replay(
    tx: &mut Tx,
    sides: &Sides,
    days: u32,
    limit: usize,
) -> Result<Replay, AppError> {
    let mut replay = Replay { days, complete: true, ..Replay::default() };
    if days == 0 {
        return Ok(replay);
    }
    let spec = SettingSpec::get("flow_selection").map_err(AppError::internal)?;
    let word = tx.setting(spec).await?;
    let preference = Preference::from_setting(word.as_str().unwrap_or_default());
    let from = tx.now().checked_sub(SignedDuration::from_hours(i64::from(days) * 24));
    let filter = RequestFilter { created_from: from.ok(), ..RequestFilter::default() };
    let mut page = PageQuery { newest_first: true, ..PageQuery::first(PAGE) };
    let (mut changed, mut others) = (Vec::new(), Vec::new());
    let mut people = People::default();
    loop {
        let requests = tx.list_requests(&filter, &page).await?;
        let is_last = requests.len() < PAGE as usize;
        page.after = requests.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
        let ids: Vec<RequestId> = requests.iter().map(|request| request.id.clone()).collect();
        let units = tx.units_of_requests(&ids).await?;
        let mut units = by_request(units, |unit| unit.request_id.clone());
        let parties = requests.iter().flat_map(|one| [&one.requestor_id, &one.grantee_id]);
        people.add(tx, parties).await?;
        for request in requests {
            if request.flow_policy.trigger == FlowTrigger::Automatic {
                continue;
            }
            let units = units.remove(&request.id).unwrap_or_default();
            let replayed = replay_one(sides, &people, preference, &request, &units)?;
            replay.count(&replayed);
            let list = if replayed.is_changed() { &mut changed } else { &mut others };
            if replayed.differs() && list.len() < limit {
                list.push((request, replayed));
            }
        }
        if is_last {
            break;
        }
        if replay.requests >= MOST_REPLAYED {
            replay.complete = false;
            break;
        }
    }
    for (request, replayed) in changed.into_iter().chain(others).take(limit) {
        let Replayed { then, now, after, by } = replayed;
        let seen = read_view(tx, request).await?;
        replay.examples.push(Differing { seen, then, now, after, by });
    }
    Ok(replay)
}

impl Replay {
    fn count(&mut self, one: &Replayed) {
        self.requests += 1;
        self.then.add(one.then);
        self.now.add(one.now);
        self.after.add(one.after);
        self.changed += u64::from(one.is_changed());
        self.differing += u64::from(one.then != one.after);
    }
}

fn replay_one(
    sides: &Sides,
    people: &People,
    preference: Preference,
    request: &AccessRequest,
    units: &[RequestUnit],
) -> Result<Replayed, AppError> {
    let then = match request.flow_policy.approver_policy {
        None => Outcome::AutoApproved,
        Some(_) => Outcome::NeedsApproval,
    };
    let (now, _) = outcome(&sides.before, people, preference, request, units)?;
    let (after, by) = outcome(&sides.after, people, preference, request, units)?;
    Ok(Replayed { then, now, after, by })
}

/// How a request comes out under a policy: as its hardest entitlement does.
fn outcome(
    snapshot: &Snapshot,
    people: &People,
    preference: Preference,
    request: &AccessRequest,
    units: &[RequestUnit],
) -> Result<(Outcome, String), AppError> {
    let grantee = people.get(&request.grantee_id)?;
    let asker =
        if request.asked_as_grantee { grantee } else { people.get(&request.requestor_id)? };
    let asking = Asking {
        requestor: asker.facts(),
        grantee: grantee.facts(),
        bundle: request.bundle_id.as_ref(),
        contents: snapshot,
        duration_sec: request.duration_sec.filter(|_| request.duration_was_asked),
        break_glass: names_emergency(&request.custom_fields),
        now: request.created_at,
        preference,
    };
    let mut hardest = None;
    let mut by = BTreeSet::new();
    for unit in units {
        let found =
            snapshot.find_entitlement(&unit.integration_id, &unit.resource_id, &unit.permission_id);
        let Some(entitlement) = found else { continue };
        let reference = EntitlementRef {
            integration: &unit.integration_id,
            resource: &unit.resource_id,
            permission: &unit.permission_id,
        };
        // Those that do not give it cannot govern.
        let flows = snapshot.all_flows_that_give(reference, request.bundle_id.as_ref());
        let selection = select_among(&flows, &asking, &entitlement);
        let one = match &selection.outcome {
            Ok(flow) if flow.policy.approver_policy.is_some() => Outcome::NeedsApproval,
            Ok(_) => Outcome::AutoApproved,
            Err(_) => Outcome::Denied,
        };
        by.insert(said(&selection));
        hardest = hardest.max(Some(one));
    }
    let by: Vec<String> = by.into_iter().collect();
    match hardest {
        Some(outcome) => Ok((outcome, by.join("; "))),
        None => Ok((Outcome::Gone, "what it asked for is gone".to_owned())),
    }
}

fn said(selection: &Selection<'_>) -> String {
    match &selection.outcome {
        Ok(flow) => format!("\"{}\"", flow.name),
        Err(refusal) => refusal.to_string(),
    }
}
