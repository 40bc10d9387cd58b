//! What the journal's records come to: who may hold what until when, and what the connector
//! ended by itself and has not told yet. Replaying the records always gives the same ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, SessionId, UnitId},
    provisioning::ExpiredClaim,
};

use super::record::{Holder, JournalClaim, Record};

/// What one principal may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its session.
    pub session: SessionId,
    /// The highest fence it was journaled with.
    pub fence: i64,
    /// Its claims and their ends.
    pub claims: BTreeMap<UnitId, Option<Timestamp>>,
}

/// How the ends in an integration lie around an instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Whether any has passed.
    pub has_passed: bool,
    /// The first that has not.
    pub next: Option<Timestamp>,
}

/// The open leases of access, and what has to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<Holder, Entry>,
    untold: BTreeMap<Holder, Vec<ExpiredClaim>>,
    /// The claims with an end, by integration and end.
    ends: BTreeMap<IntegrationId, BTreeSet<(Timestamp, String, UnitId)>>,
}

impl Ledger {
    /// Takes a record in.
    pub fn enter(&mut self, record: &Record) {
        match record {
            Record::Leased { holder, session, fence, claims } => {
                let entry = self.entries.entry(holder.clone()).or_insert_with(|| Entry {
                    session: session.clone(),
                    fence: *fence,
                    claims: BTreeMap::new(),
                });
                entry.fence = entry.fence.max(*fence);
                for claim in claims {
                    self.watch(holder, claim);
                }
                self.drop_if_empty(holder);
            }
            Record::Settled { holder, units, ended_by } => {
                let units = units.clone().unwrap_or_else(|| self.units_of(holder));
                self.remove(holder, &units, *ended_by);
            }
            Record::Expired { holder, claims, ended_by } => {
                let units: Vec<_> = claims.iter().map(|claim| claim.unit_id.clone()).collect();
                self.remove(holder, &units, Some(*ended_by));
                let untold = self.untold.entry(holder.clone()).or_default();
                untold.retain(|known| !units.contains(&known.unit_id));
                untold.extend(claims.iter().cloned());
                if untold.is_empty() {
                    self.untold.remove(holder);
                }
            }
            Record::Reported { holder, units } => {
                if let Some(untold) = self.untold.get_mut(holder) {
                    untold.retain(|claim| !units.contains(&claim.unit_id));
                    if untold.is_empty() {
                        self.untold.remove(holder);
                    }
                }
            }
        }
    }

    /// Every principal that may hold something.
    pub fn entries(&self) -> &BTreeMap<Holder, Entry> {
        &self.entries
    }

    /// Claims of a principal that the connector ended and has not told.
    pub fn untold(&self, holder: &Holder) -> &[ExpiredClaim] {
        self.untold.get(holder).map_or(&[], Vec::as_slice)
    }

    /// How the ends in an integration lie around `now`.
    pub fn ends(&self, integration: &IntegrationId, now: Timestamp) -> Ends {
        let Some(ends) = self.ends.get(integration) else { return Ends::default() };
        Ends {
            has_passed: ends.first().is_some_and(|(end, ..)| *end <= now),
            next: ends.iter().map(|(end, ..)| *end).find(|end| *end > now),
        }
    }

    /// Claims of an integration whose end is not after `now`.
    pub fn ended(&self, integration: &IntegrationId, now: Timestamp) -> Vec<(Holder, UnitId)> {
        let Some(ends) = self.ends.get(integration) else { return Vec::new() };
        ends.iter()
            .take_while(|(end, ..)| *end <= now)
            .map(|(_, principal, unit)| {
                let principal = principal.clone();
                (Holder { integration: integration.clone(), principal }, unit.clone())
            })
            .collect()
    }

    /// Integrations with a claim that has an end.
    pub fn watched(&self) -> impl Iterator<Item = &IntegrationId> {
        self.ends.keys()
    }

    /// Whether a principal of the integration may hold anything.
    pub fn is_open(&self, integration: &IntegrationId) -> bool {
        let first = Holder { integration: integration.clone(), principal: String::new() };
        self.entries
            .range(first..)
            .next()
            .is_some_and(|(holder, _)| holder.integration == *integration)
    }

    /// Whether entering `claims` would change nothing that matters at an end.
    pub fn covers(&self, holder: &Holder, claims: &[JournalClaim]) -> bool {
        self.entries.get(holder).is_some_and(|entry| {
            claims.iter().all(|claim| entry.claims.get(&claim.unit) == Some(&claim.ends_at))
        })
    }

    /// The fewest records that come to this ledger. What was ended before `told_since` and is
    /// still not told will not be: the server learned it from another process.
    pub fn to_records(&self, told_since: Timestamp) -> Vec<Record> {
        let leased = self.entries.iter().map(|(holder, entry)| Record::Leased {
            holder: holder.clone(),
            session: entry.session.clone(),
            fence: entry.fence,
            claims: entry
                .claims
                .iter()
                .map(|(unit, ends_at)| JournalClaim { unit: unit.clone(), ends_at: *ends_at })
                .collect(),
        });
        let untold = self.untold.iter().filter_map(|(holder, claims)| {
            let claims: Vec<_> =
                claims.iter().filter(|claim| claim.removed_at >= told_since).cloned().collect();
            (!claims.is_empty()).then(|| Record::Expired {
                holder: holder.clone(),
                claims,
                ended_by: Timestamp::MIN,
            })
        });
        leased.chain(untold).collect()
    }

    fn units_of(&self, holder: &Holder) -> Vec<UnitId> {
        self.entries
            .get(holder)
            .map(|entry| entry.claims.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Removes claims, except those that end after `ended_by`.
    fn remove(&mut self, holder: &Holder, units: &[UnitId], ended_by: Option<Timestamp>) {
        for unit in units {
            let known = self.entries.get(holder).and_then(|entry| entry.claims.get(unit));
            let stays = match (known, ended_by) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(end), Some(ended_by)) => end.is_none_or(|end| end > ended_by),
            };
            if !stays {
                self.forget(holder, unit);
            }
        }
        self.drop_if_empty(holder);
    }

    /// Enters a claim of a principal that has an entry; a former end of it is forgotten.
    fn watch(&mut self, holder: &Holder, claim: &JournalClaim) {
        self.forget(holder, &claim.unit);
        if let Some(entry) = self.entries.get_mut(holder) {
            entry.claims.insert(claim.unit.clone(), claim.ends_at);
        }
        if let Some(end) = claim.ends_at {
            let watched = (end, holder.principal.clone(), claim.unit.clone());
            self.ends.entry(holder.integration.clone()).or_default().insert(watched);
        }
    }

    fn forget(&mut self, holder: &Holder, unit: &UnitId) {
        let Some(entry) = self.entries.get_mut(holder) else { return };
        let Some(Some(end)) = entry.claims.remove(unit) else { return };
        if let Some(ends) = self.ends.get_mut(&holder.integration) {
            ends.remove(&(end, holder.principal.clone(), unit.clone()));
            if ends.is_empty() {
                self.ends.remove(&holder.integration);
            }
        }
    }

    fn drop_if_empty(&mut self, holder: &Holder) {
        if self.entries.get(holder).is_some_and(|entry| entry.claims.is_empty()) {
            self.entries.remove(holder);
        }
    }
}
