//! Telling people and systems what has happened: mails, and a signed webhook.
//!
//! A change of a request's state writes one message into the outbox, in its own transaction.
//! [`Deliverer`] takes it from there in two steps. First the message becomes one message for each
//! mail and each call, in one transaction: who is told is settled once. Then each of these is
//! sent, and sent again when that fails, so that one mailbox that is full keeps nobody else
//! waiting, and nobody is told twice because somebody else could not be told.
//!
//! Invariants: no message holds a secret; what cannot be sent for three days is given up, with an
//! audit record; without a mail server no mail is queued at all.

mod deliver;
mod fan_out;
mod letter;
mod letters;
mod mail;
mod program_call;
mod webhook;

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{ReportId, RequestId, UserId},
    people::{Role, User, UserStatus},
    policy::automatic::HeldBack,
    request::{AccessRequest, RequestState},
    settings::SettingSpec,
};
use latchkey_store::{NewJob, OutboxStanding, PageQuery, Tx, UserFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use deliver::{Deliverer, NotificationConfig};
pub use latchkey_store::DeadLetter;
pub use letter::{Block, Letter};
pub use mail::{MailConfig, MailSetupError, MailTls, Mailer};
pub(crate) use program_call::queue_program_call;
pub use webhook::{WebhookView, signature, webhook, webhook_secret};

use crate::{Actor, App, authorization::Operation, error::AppError, jobs};

/// A request has changed its state; written by the lifecycle.
pub(crate) const REQUEST_STATE: &str = "access_request.state";
/// Something has happened to a request that changes no state.
const REQUEST_NEWS: &str = "access_request.news";
/// One mail about a request.
const MAIL_ABOUT_REQUEST: &str = "mail.request";
/// One mail with a report.
const MAIL_WITH_REPORT: &str = "mail.report";
/// One mail to somebody who looks after the policy.
const MAIL_NOTICE: &str = "mail.notice";
/// One mail to somebody whose second factor has changed.
const MAIL_ABOUT_FACTOR: &str = "mail.second_factor";
/// One call of a program that is asked like an approver.
const APPROVER_WEBHOOK: &str = "webhook.approver";
/// One call of the webhook.
const WEBHOOK: &str = "webhook.request";

/// What a mail about a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum About {
    /// It waits for the reader's second factor.
    SecondFactor,
    /// It waits for the reader's decision.
    Waiting,
    /// It was approved.
    Approved,
    /// It was rejected.
    Rejected,
    /// It ended before access began.
    Cancelled,
    /// Access is in place.
    Granted,
    /// Access ends soon.
    EndingSoon,
    /// Access ends later than it was to.
    Extended,
    /// Access has ended.
    Ended,
    /// Access could not be put in place.
    Failed,
    /// It is given by a flow for emergencies; to the Admins and to the owners.
    BreakGlass,
    /// An emergency is over, and nobody has looked at it; to the Admins.
    ToReview,
}

/// The payload of [`MAIL_ABOUT_REQUEST`].
#[derive(Debug, Serialize, Deserialize)]
struct RequestMail {
    request_id: RequestId,
    about: About,
    user_id: UserId,
}

/// The payload of [`MAIL_WITH_REPORT`].
#[derive(Debug, Serialize, Deserialize)]
struct ReportMail {
    report_id: ReportId,
    occurrence: Timestamp,
    recipient: String,
}

/// The payload of [`MAIL_NOTICE`]: an automatic flow whose changes are held back.
#[derive(Debug, Serialize, Deserialize)]
struct HeldBackMail {
    user_id: UserId,
    flow_name: String,
    held_back: HeldBack,
}

/// What has happened to somebody's second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FactorNews {
    /// There is a new one.
    Enrolled,
    /// Its person gave it up.
    Removed,
    /// An Admin took it.
    Reset,
    /// A recovery code stood in for it.
    RecoveryCodeUsed,
}

/// The payload of [`MAIL_ABOUT_FACTOR`].
#[derive(Debug, Serialize, Deserialize)]
struct FactorMail {
    user_id: UserId,
    news: FactorNews,
}

/// The payload of [`REQUEST_STATE`].
#[derive(Debug, Deserialize)]
struct StateChange {
    request_id: RequestId,
    from: RequestState,
    to: RequestState,
}

/// What has happened to a request without changing its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// Its end was moved.
    Extended,
    /// Further tiers of approvers were told.
    Escalated {
        /// How many had been told before.
        told_before: usize,
    },
}

/// The payload of [`REQUEST_NEWS`].
#[derive(Debug, Serialize, Deserialize)]
struct RequestNews {
    request_id: RequestId,
    news: News,
}

/// Queues what is told about something that changes no state.
pub(crate) async fn queue_news(
    tx: &mut Tx,
    request: &RequestId,
    news: News,
) -> Result<(), AppError> {
    push(tx, REQUEST_NEWS, &RequestNews { request_id: request.clone(), news }).await
}

/// Queues the mail that tells somebody what has happened to their second factor.
pub(crate) async fn queue_factor_news(
    tx: &mut Tx,
    user: &UserId,
    news: FactorNews,
) -> Result<(), AppError> {
    push(tx, MAIL_ABOUT_FACTOR, &FactorMail { user_id: user.clone(), news }).await
}

/// Queues the mail that brings a report to `recipient`.
pub(crate) async fn queue_report(
    tx: &mut Tx,
    report: &ReportId,
    occurrence: Timestamp,
    recipient: &str,
) -> Result<(), AppError> {
    let mail =
        ReportMail { report_id: report.clone(), occurrence, recipient: recipient.to_owned() };
    push(tx, MAIL_WITH_REPORT, &mail).await
}

/// Queues the mails that tell every Admin that an automatic flow's changes are held back.
pub(crate) async fn queue_held_back(
    tx: &mut Tx,
    flow_name: &str,
    held_back: HeldBack,
) -> Result<(), AppError> {
    for admin in admins(tx).await? {
        let flow_name = flow_name.to_owned();
        push(tx, MAIL_NOTICE, &HeldBackMail { user_id: admin.id, flow_name, held_back }).await?;
    }
    Ok(())
}

/// Every Admin who is not switched off.
async fn admins(tx: &mut Tx) -> Result<Vec<User>, AppError> {
    let filter = UserFilter {
        roles: vec![Role::Admin],
        status: Some(UserStatus::Active),
        ..UserFilter::default()
    };
    Ok(tx.list_users(&filter, &PageQuery::all()).await?)
}

async fn queue_request_mail(
    tx: &mut Tx,
    request: &RequestId,
    about: About,
    user: &UserId,
) -> Result<(), AppError> {
    let mail = RequestMail { request_id: request.clone(), about, user_id: user.clone() };
    push(tx, MAIL_ABOUT_REQUEST, &mail).await
}

async fn push<T: Serialize>(tx: &mut Tx, topic: &'static str, payload: &T) -> Result<(), AppError> {
    let payload = serde_json::to_value(payload).map_err(AppError::internal)?;
    Ok(tx.push_outbox(topic, &payload).await?)
}

/// Plans the mail that says that access ends soon; nothing where it would come with, or right
/// after, the mail that it began.
async fn plan_reminder(tx: &mut Tx, request: &AccessRequest) -> Result<(), AppError> {
    let Some(run_at) = reminder_at(tx, request).await? else { return Ok(()) };
    tx.enqueue_job(&NewJob {
        kind: jobs::REMIND_OF_END,
        dedupe_key: Some(jobs::reminder_key(&request.id)),
        payload: json!({ "request_id": request.id }),
        run_at,
    })
    .await?;
    Ok(())
}

/// When to remind of the end; `None` without an end, without reminders, or when it is too late.
async fn reminder_at(tx: &mut Tx, request: &AccessRequest) -> Result<Option<Timestamp>, AppError> {
    let spec = SettingSpec::get("remind_before_end_sec").map_err(AppError::internal)?;
    let lead = SignedDuration::from_secs(tx.setting(spec).await?.as_i64().unwrap_or_default());
    let Some(end) = request.ends_at.filter(|_| lead.is_positive()) else { return Ok(None) };
    let at = end.saturating_sub(lead).map_err(AppError::internal)?;
    let soonest = tx.now().saturating_add(lead / 2).map_err(AppError::internal)?;
    Ok((at > soonest).then_some(at))
}

/// The timer of [`plan_reminder`] has come: the grantee is told, or, when the end has moved, told
/// later.
pub(crate) async fn remind_of_end(tx: &mut Tx, id: &RequestId) -> Result<(), AppError> {
    let Some(request) = tx.find_request(id).await? else { return Ok(()) };
    if request.state != RequestState::Active || request.ends_at.is_none() {
        return Ok(());
    }
    if reminder_at(tx, &request).await?.is_some() {
        return plan_reminder(tx, &request).await;
    }
    queue_request_mail(tx, id, About::EndingSoon, &request.grantee_id).await
}

/// How the messages that go out stand, and those that were given up lately.
pub async fn standing(
    app: &App,
    actor: &Actor,
) -> Result<(OutboxStanding, Vec<DeadLetter>), AppError> {
    actor.require(Operation::ReadSettings)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<_, AppError> {
            Ok((tx.outbox_standing().await?, tx.dead_letters(20).await?))
        })
        .await
}

/// How many reports go out by a schedule.
pub async fn scheduled_reports(app: &App, actor: &Actor) -> Result<u64, AppError> {
    actor.require(Operation::ReadReports)?;
    app.store().read(async |tx: &mut Tx| Ok(tx.count_scheduled_reports().await?)).await
}
