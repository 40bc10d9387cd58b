//! Waiting until a request has come to rest: access is there, or over, or will not come, or it is
//! the caller's turn.
//!
//! A wait is a favour: with too many of them at once the next caller is answered as things stand.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use latchkey_domain::{
    ids::{RequestId, UserId},
    request::{AccessRequest, RequestState},
};
use latchkey_store::Tx;

use super::{
    reading::find_own,
    view::{RequestView, view},
};
use crate::{Actor, App, Operation, error::AppError};

/// The longest that a caller is kept waiting.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How often the database is asked while nobody says that the request changed. Another server's
/// word may be lost; with one server everything is said in this process.
const POLL_BESIDE_OTHERS: Duration = Duration::from_secs(1);
const POLL_ALONE: Duration = Duration::from_secs(10);

/// How many may wait at one server, and how many of them for one person.
const MOST_WAITS: usize = 2_000;
const MOST_WAITS_OF_ONE: usize = 50;

/// Who waits at this server.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_person: HashMap<UserId, usize>,
}

/// A place among those who wait; free again when dropped.
#[derive(Debug)]
struct Place<'w> {
    waits: &'w Waits,
    person: UserId,
}

impl Waits {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, person: &UserId) -> Option<Place<'_>> {
        let mut counts = self.lock();
        let own = counts.by_person.get(person).copied().unwrap_or_default();
        if counts.all >= MOST_WAITS || own >= MOST_WAITS_OF_ONE {
            return None;
        }
        counts.all += 1;
        counts.by_person.insert(person.clone(), own + 1);
        Some(Place { waits: self, person: person.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.waits.lock();
        counts.all = counts.all.saturating_sub(1);
        let own = counts.by_person.get(&self.person).copied().unwrap_or_default();
        if own > 1 {
            counts.by_person.insert(self.person.clone(), own - 1);
        } else {
            counts.by_person.remove(&self.person);
        }
    }
}

/// Reads one's own request; waits up to `wait`, a minute at most, until it is at rest.
pub async fn get_my_request_at_rest(
    app: &App,
    actor: &Actor,
    reference: &str,
    wait: Duration,
) -> Result<RequestView, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    let give_up = app.clock().monotonic() + wait.min(LONGEST_WAIT);
    let place = if wait.is_zero() { None } else { app.waits().enter(&actor.user.id) };
    match look(app, actor, reference, place.is_none()).await? {
        Look::AtRest(view) => Ok(*view),
        Look::UnderWay(id) => rest(app, actor, &id, give_up).await,
    }
}

/// Waits up to `wait` for each of these requests of one's own; those that rest already are as
/// they are. They are filed whatever happens meanwhile, so one that cannot be looked at is told
/// as it was, and so is everything to who may file and not read.
pub async fn at_rest(
    app: &App,
    actor: &Actor,
    mut views: Vec<RequestView>,
    wait: Duration,
) -> Vec<RequestView> {
    if wait.is_zero() || !actor.may(Operation::ReadOwnRequests) {
        return views;
    }
    let Some(_place) = app.waits().enter(&actor.user.id) else { return views };
    let give_up = app.clock().monotonic() + wait.min(LONGEST_WAIT);
    for view in views.iter_mut().filter(|view| !is_at_rest(&view.request)) {
        match rest(app, actor, &view.request.id, give_up).await {
            Ok(later) => *view = later,
            Err(error) => {
                tracing::debug!(request.id = %view.request.id, %error, "The wait was cut short.");
            }
        }
    }
    views
}

/// A look at a request.
enum Look {
    AtRest(Box<RequestView>),
    UnderWay(RequestId),
}

/// Looks, and takes the request as it is if `as_it_is`.
async fn look(app: &App, actor: &Actor, reference: &str, as_it_is: bool) -> Result<Look, AppError> {
    app.store()
        .read(async |tx: &mut Tx| -> Result<Look, AppError> {
            let request = find_own(tx, actor, reference).await?;
            if as_it_is || is_at_rest(&request) {
                return Ok(Look::AtRest(Box::new(view(tx, request).await?)));
            }
            Ok(Look::UnderWay(request.id))
        })
        .await
}

async fn rest(
    app: &App,
    actor: &Actor,
    id: &RequestId,
    give_up: Duration,
) -> Result<RequestView, AppError> {
    let poll = if app.store().is_postgres() { POLL_BESIDE_OTHERS } else { POLL_ALONE };
    // Before the first look: what changes after it wakes at once.
    let mut changes = app.store().wake().request_waiter(id);
    loop {
        let left = give_up.saturating_sub(app.clock().monotonic());
        if let Look::AtRest(view) = look(app, actor, id.as_str(), left.is_zero()).await? {
            return Ok(*view);
        }
        changes.wait(poll.min(left)).await;
    }
}

/// Whether nothing about it is under way at Latchkey, at a target or with those who decide.
fn is_at_rest(request: &AccessRequest) -> bool {
    match request.state {
        RequestState::Initializing
        | RequestState::Pending
        | RequestState::Granting
        | RequestState::Revoking => false,
        RequestState::Active => request.extending_to.is_none(),
        // A second factor is the caller's own turn.
        RequestState::PendingMfa
        | RequestState::Revoked
        | RequestState::Rejected
        | RequestState::Cancelled
        | RequestState::Failed => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_cannot_take_every_place_and_places_come_back() {
        let waits = Waits::default();
        let [ana, bob] = ["ana", "bob"].map(UserId::new);
        let mut places: Vec<_> = (0..MOST_WAITS_OF_ONE).map(|_| waits.enter(&ana)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(waits.enter(&ana).is_none());
        assert!(waits.enter(&bob).is_some());
        places.pop();
        assert!(waits.enter(&ana).is_some());
        drop(places);
        let counts = waits.lock();
        assert_eq!((counts.all, counts.by_person.len()), (0, 0));
    }
}
