//! Which groups gave a right when it was last worked out, so that their locks can be taken, they
//! and the catalogue can be read, in one round trip.
//!
//! A guess and nothing more: what is then read under those locks says which groups they really
//! are. If it names another, everything is read again with the right ones.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use latchkey_domain::{ids::IntegrationId, provisioning::DesiredClaim};

/// Above this many, all are forgotten and worked out anew.
const MOST: usize = 10_000;

type Right = (IntegrationId, String, String);

/// The groups by right.
#[derive(Debug, Default)]
pub(super) struct Ways(Mutex<HashMap<Right, Vec<String>>>);

impl Ways {
    /// The groups of all these claims; `None` if one is not known.
    pub(super) fn guess<'a>(
        &self,
        integration: &IntegrationId,
        claims: impl IntoIterator<Item = &'a DesiredClaim>,
    ) -> Option<BTreeSet<String>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = BTreeSet::new();
        for claim in claims {
            names.extend(known.get(&right(integration, claim))?.iter().cloned());
        }
        Some(names)
    }

    /// Notes the groups of a claim.
    pub(super) fn note(
        &self,
        integration: &IntegrationId,
        claim: &DesiredClaim,
        names: Vec<String>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(right(integration, claim), names);
    }
}

fn right(integration: &IntegrationId, claim: &DesiredClaim) -> Right {
    (integration.clone(), claim.source_id.clone(), claim.permission.clone())
}
