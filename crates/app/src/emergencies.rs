//! Looking at emergencies afterwards.
//!
//! A flow for emergencies gives access before anybody can say no, so somebody looks at each use
//! when it is over, and writes down what they found.
//!
//! Invariants: nobody looks at what they asked for or were given themselves; what is written down
//! once stays.

use std::collections::BTreeMap;

use latchkey_domain::{
    emergency::{Emergency, Finding, Review},
    ids::{RequestId, UserId},
    people::User,
    policy::texts::LONGEST_TEXT,
};
use latchkey_store::{PageKey, Tx};
use serde_json::json;

use crate::{
    Actor, App, Operation, Page, PageRequest,
    error::{AppError, codes},
    requests::{RequestView, find_by_reference, read_view},
    trail::record,
};

/// An emergency with the request that named it.
#[derive(Debug, Clone)]
pub struct EmergencyView {
    /// The request.
    pub seen: RequestView,
    /// The emergency.
    pub emergency: Emergency,
    /// Who looked at it.
    pub reviewer: Option<User>,
}

/// Lists emergencies in the order in which they began; only those that somebody has looked at, or
/// only the others, if `reviewed` says so.
pub async fn list_emergencies(
    app: &App,
    actor: &Actor,
    reviewed: Option<bool>,
    page: &PageRequest,
) -> Result<Page<EmergencyView>, AppError> {
    actor.require(Operation::ReadEmergencies)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<EmergencyView>, AppError> {
            let rows = tx.list_emergencies(reviewed, &page.query()).await?;
            let page = page.page(rows, |one| PageKey::new(one.began_at, one.request_id.as_str()));
            let reviewers = reviewers(tx, &page.items).await?;
            let mut items = Vec::with_capacity(page.items.len());
            for emergency in page.items {
                items.push(view(tx, emergency, &reviewers).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
}

/// Writes down what was found about the emergency that a request named. 404 if it named none that
/// led to access; 409 while that access lives, and if somebody has looked already.
pub async fn review_emergency(
    app: &App,
    actor: &Actor,
    request: &str,
    finding: Finding,
    note: &str,
) -> Result<EmergencyView, AppError> {
    actor.require(Operation::ReviewEmergency)?;
    let note = note.trim();
    if !(1..=LONGEST_TEXT).contains(&note.chars().count()) {
        let problem = format!("say in 1 to {LONGEST_TEXT} characters what was found");
        return Err(AppError::invalid("note", problem));
    }
    app.store()
        .write(async |tx: &mut Tx| -> Result<EmergencyView, AppError> {
            let request = find_by_reference(tx, request).await?;
            let id = request.id.clone();
            let emergency = tx.find_emergency(&id).await?.ok_or_else(AppError::not_found)?;
            if [&request.requestor_id, &request.grantee_id].contains(&&actor.user.id) {
                return Err(AppError::forbidden(
                    codes::SELF_APPROVAL,
                    "you asked for this, or had it; somebody else has to look at it",
                ));
            }
            if !request.state.is_final() {
                return Err(AppError::conflict(
                    "this access is not over; revoke it, or look at it when it has ended",
                ));
            }
            let review = Review {
                finding,
                note: note.to_owned(),
                reviewer_id: actor.user.id.clone(),
                at: tx.now(),
            };
            if !tx.review_emergency(&id, &review).await? {
                return Err(AppError::conflict("somebody has looked at this already"));
            }
            let told = json!({ "finding": finding.as_str(), "note": review.note });
            let (audit, action) = (actor.audit(), "access_request.emergency_reviewed");
            record(tx, &audit, action, "access_request", id.as_str(), told).await?;
            let emergency = Emergency { review: Some(review), ..emergency };
            let reviewers = reviewers(tx, std::slice::from_ref(&emergency)).await?;
            view(tx, emergency, &reviewers).await
        })
        .await
}

/// How many emergencies nobody has looked at.
pub async fn count_unreviewed(app: &App, actor: &Actor) -> Result<u64, AppError> {
    actor.require(Operation::ReadEmergencies)?;
    app.store().read(async |tx: &mut Tx| Ok(tx.count_unreviewed_emergencies().await?)).await
}

async fn reviewers(
    tx: &mut Tx,
    emergencies: &[Emergency],
) -> Result<BTreeMap<UserId, User>, AppError> {
    let ids = emergencies.iter().filter_map(|one| one.review.as_ref());
    let mut ids: Vec<UserId> = ids.map(|review| review.reviewer_id.clone()).collect();
    ids.sort();
    ids.dedup();
    let users = tx.find_users(&ids).await?;
    Ok(users.into_iter().map(|user| (user.id.clone(), user)).collect())
}

async fn view(
    tx: &mut Tx,
    emergency: Emergency,
    reviewers: &BTreeMap<UserId, User>,
) -> Result<EmergencyView, AppError> {
    let id: &RequestId = &emergency.request_id;
    let request = tx.find_request(id).await?;
    let request = request.ok_or_else(|| AppError::internal("an emergency's request is missing"))?;
    let review = emergency.review.as_ref();
    let reviewer = review.and_then(|review| reviewers.get(&review.reviewer_id)).cloned();
    Ok(EmergencyView { seen: read_view(tx, request).await?, emergency, reviewer })
}
