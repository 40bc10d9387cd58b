//! Who could ask for more, and who for less, or have it by an automatic flow. For themselves: what
//! people ask for others is up to the flows of those who ask.

use latchkey_domain::people::User;
use latchkey_inventory::Comparison;
use latchkey_store::Tx;

use super::Sides;
use crate::{
    available_access::AvailableEntitlement,
    error::AppError,
    requests::people::{Person, walk_active},
};

/// Who gains and who loses.
#[derive(Debug, Clone, Default)]
pub struct PeopleChanged {
    /// How many gain anything.
    pub gaining: u64,
    /// How many lose anything.
    pub losing: u64,
    /// The first of them, in the order of people.
    pub people: Vec<PersonChanged>,
}

/// What one person gains and loses.
#[derive(Debug, Clone)]
pub struct PersonChanged {
    /// The person.
    pub user: User,
    /// How many entitlements the person could ask for and cannot now.
    pub gains: u64,
    /// How many it is the other way round.
    pub loses: u64,
    /// Some of the first.
    pub gained: Vec<AvailableEntitlement>,
    /// Some of the second.
    pub lost: Vec<AvailableEntitlement>,
}

/// Holds every active person against the comparison.
pub(super) async fn compare(
    tx: &mut Tx,
    sides: &Sides,
    comparison: &Comparison,
    limit: usize,
) -> Result<PeopleChanged, AppError> {
    let mut changed = PeopleChanged::default();
    walk_active(tx, |person| changed.add(sides, comparison, person, limit)).await?;
    Ok(changed)
}

impl PeopleChanged {
    fn add(&mut self, sides: &Sides, comparison: &Comparison, person: Person, limit: usize) {
        let [before, after] = [sides.before.policy(), sides.after.policy()].map(|policy| {
            let own = policy.flows_for(person.facts(), person.facts());
            policy.with_automatic(&own, person.facts())
        });
        let difference = comparison.difference(&before, &after);
        self.gaining += u64::from(difference.gains > 0);
        self.losing += u64::from(difference.loses > 0);
        if difference.gains + difference.loses == 0 || self.people.len() >= limit {
            return;
        }
        let named = |entitlements: Vec<_>| {
            let each = entitlements.into_iter();
            each.map(|one| AvailableEntitlement::of(&sides.before, one)).collect()
        };
        self.people.push(PersonChanged {
            user: person.user,
            gains: difference.gains,
            loses: difference.loses,
            gained: named(difference.gained),
            lost: named(difference.lost),
        });
    }
}
