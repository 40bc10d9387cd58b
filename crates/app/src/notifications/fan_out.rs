//! Who is told about a change of state: one message of the outbox becomes one for each mail and
//! one for the webhook.

use latchkey_domain::{
    people::User,
    policy::selection::is_break_glass,
    request::RequestState::{
        Active, Cancelled, Failed, Granting, Initializing, Pending, PendingMfa, Rejected, Revoked,
        Revoking,
    },
};
use latchkey_store::{OutboxMessage, Tx};

use super::{
    About, News, RequestNews, StateChange, WEBHOOK, admins, plan_reminder, push,
    queue_request_mail, webhook,
};
use crate::{
    error::AppError,
    lifecycle::Because,
    requests::{RequestView, approvers_of, newly_asked, people_who_own, read_view},
};

/// Queues what follows from `message` and forgets it. Without `with_mail` nobody is mailed.
pub(super) async fn fan_out(
    tx: &mut Tx,
    message: &OutboxMessage,
    with_mail: bool,
) -> Result<(), AppError> {
    let change: StateChange =
        serde_json::from_value(message.payload.clone()).map_err(AppError::internal)?;
    let is_called = webhook::is_told(&change) && webhook::url(tx).await?.is_some();
    // Most changes of most installations are told to nobody: they are not even read.
    if (is_called || with_mail)
        && let Some(request) = tx.find_request(&change.request_id).await?
    {
        let seen = read_view(tx, request).await?;
        if is_called {
            let event = webhook::event(&change, message.created_at, &seen);
            push(tx, WEBHOOK, &event).await?;
        }
        if with_mail {
            mail(tx, &change, &seen).await?;
        }
    }
    tx.finish_outbox(message).await?;
    Ok(())
}

/// Queues the mails about something that changed no state, and forgets the message.
pub(super) async fn tell_news(
    tx: &mut Tx,
    message: &OutboxMessage,
    with_mail: bool,
) -> Result<(), AppError> {
    let RequestNews { request_id, news } =
        serde_json::from_value(message.payload.clone()).map_err(AppError::internal)?;
    if with_mail && let Some(request) = tx.find_request(&request_id).await? {
        let seen = read_view(tx, request).await?;
        match news {
            News::Extended => {
                plan_reminder(tx, &seen.request).await?;
                tell_parties(tx, &seen, About::Extended).await?;
            }
            News::Escalated { told_before } if seen.request.state == Pending => {
                for approver in newly_asked(tx, &seen.request, told_before).await? {
                    tell(tx, &seen, About::Waiting, &approver).await?;
                }
            }
            News::Escalated { .. } => {}
        }
    }
    tx.finish_outbox(message).await?;
    Ok(())
}

async fn mail(tx: &mut Tx, change: &StateChange, seen: &RequestView) -> Result<(), AppError> {
    let request = &seen.request;
    if change.to == Pending {
        // Decided meanwhile: nobody has to be asked any more.
        if request.state == Pending {
            for approver in approvers_of(tx, request).await? {
                tell(tx, seen, About::Waiting, &approver).await?;
            }
        }
        return Ok(());
    }
    if change.to == PendingMfa {
        // The requestor alone can give it, whoever it is for.
        if request.state == PendingMfa {
            tell(tx, seen, About::SecondFactor, &seen.requestor).await?;
        }
        return Ok(());
    }
    if change.to == Granting && is_break_glass(&request.flow_policy) {
        let watching = watching(tx, seen).await?;
        tell_others(tx, seen, About::BreakGlass, &watching).await?;
    }
    if matches!(change.to, Revoked | Failed)
        && let Some(emergency) = tx.find_emergency(&request.id).await?
        && emergency.review.is_none()
    {
        let admins = admins(tx).await?;
        tell_others(tx, seen, About::ToReview, &admins).await?;
    }
    if change.to == Active {
        plan_reminder(tx, request).await?;
    }
    if let Some(about) = about(change, seen) {
        tell_parties(tx, seen, about).await?;
    }
    Ok(())
}

/// Who watches over emergencies: every Admin, and the owners of what is asked for.
async fn watching(tx: &mut Tx, seen: &RequestView) -> Result<Vec<User>, AppError> {
    let mut people = admins(tx).await?;
    for owner in people_who_own(tx, &seen.units).await? {
        if people.iter().all(|known| known.id != owner.id) {
            people.push(owner);
        }
    }
    Ok(people)
}

/// Tells people about an emergency: all but who named it, and for whom.
async fn tell_others(
    tx: &mut Tx,
    seen: &RequestView,
    about: About,
    people: &[User],
) -> Result<(), AppError> {
    for person in people {
        if person.id != seen.requestor.id && person.id != seen.grantee.id {
            tell(tx, seen, about, person).await?;
        }
    }
    Ok(())
}

async fn tell_parties(tx: &mut Tx, seen: &RequestView, about: About) -> Result<(), AppError> {
    tell(tx, seen, about, &seen.grantee).await?;
    if seen.requestor.id != seen.grantee.id {
        tell(tx, seen, about, &seen.requestor).await?;
    }
    Ok(())
}

/// What the people whose request it is are told.
fn about(change: &StateChange, seen: &RequestView) -> Option<About> {
    match change.to {
        // Without approvers access follows in the same moment, and one mail is enough.
        Granting => (change.from == Pending).then_some(About::Approved),
        Active => Some(About::Granted),
        Rejected => Some(About::Rejected),
        // Who took a request back knows.
        Cancelled => (seen.request.state_reason != Some(Because::GivenUp.words()))
            .then_some(About::Cancelled),
        Revoked => Some(About::Ended),
        Failed => Some(About::Failed),
        Initializing | PendingMfa | Pending | Revoking => None,
    }
}

async fn tell(tx: &mut Tx, seen: &RequestView, about: About, user: &User) -> Result<(), AppError> {
    if !user.is_active() {
        return Ok(());
    }
    queue_request_mail(tx, &seen.request.id, about, &user.id).await
}
