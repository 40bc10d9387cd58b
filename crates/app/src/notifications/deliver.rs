//! Sending what the outbox holds.
//!
//! A batch of messages is claimed for a minute and a half and worked on side by side. A server
//! that dies leaves its claims behind: its successor in the same folder takes them back at once,
//! and everybody else when they run out. A message whose sending was cut short is sent again, so
//! a mail may come twice; both have the same `Message-ID`, and calls the same `webhook-id`.

use std::{future::Future, pin::pin, time::Duration};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{audit::AuditActor, ids::UserId, people::User, request::RequestState};
use latchkey_store::{OutboxMessage, Tx, Wake};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    APPROVER_WEBHOOK, About, FactorMail, HeldBackMail, MAIL_ABOUT_FACTOR, MAIL_ABOUT_REQUEST,
    MAIL_NOTICE, MAIL_WITH_REPORT, Mailer, REQUEST_NEWS, REQUEST_STATE, ReportMail, RequestMail,
    WEBHOOK,
    fan_out::{fan_out, tell_news},
    letters::{self, Portal},
    mail::{Enclosed, Failure},
    program_call, webhook,
};
use crate::{
    App,
    error::AppError,
    outbound::Outbound,
    reports::{MailFile, file_for_mail},
    requests::read_view,
    trail,
};

/// How long a message belongs to the server that claimed it: longer than any sending takes.
const LEASE: Duration = Duration::from_secs(90);
/// How many messages are claimed at once.
const BATCH: u32 = 32;
/// How many of them are sent at once.
const AT_ONCE: usize = 8;
/// The longest the loop sleeps: another server may have left something behind.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);
/// How long more messages are waited for after the first: what many transactions wrote at about
/// the same time shares one claim.
const GATHER: Duration = Duration::from_millis(50);
/// How long a batch that is being sent may take after the stop.
const DRAIN: Duration = Duration::from_secs(5);
/// The pauses after each failure, in seconds; the last one repeats.
const PAUSES: &[i64] = &[5, 30, 120, 600, 1800, 3600];
/// When sending is given up.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);
/// How long what was given up is kept for people to look at.
const KEEP_DEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How often that, and the count of what waits, is looked after.
const LOOK_AFTER: Duration = Duration::from_mins(1);
/// The largest file that goes with a mail: most servers take about a third more.
const LARGEST_FILE: usize = 15 * 1024 * 1024;

/// What a server process knows about telling people.
#[derive(Debug, Clone, Default)]
pub struct NotificationConfig {
    /// Sends mails; without one nobody is mailed.
    pub mailer: Option<Mailer>,
    /// Calls out.
    pub outbound: Outbound,
    /// Where people reach this installation in a browser.
    pub public_url: Option<String>,
}

/// Sends what the outbox holds.
#[derive(Debug, Clone)]
pub struct Deliverer {
    app: App,
    mailer: Option<Mailer>,
    outbound: Outbound,
    portal: Portal,
}

impl Deliverer {
    /// A deliverer for this app.
    pub fn new(app: App, config: NotificationConfig) -> Self {
        let NotificationConfig { mailer, outbound, public_url } = config;
        Self { app, mailer, outbound, portal: Portal::at(public_url.as_deref()) }
    }

    /// Sends what is due until nothing is; returns how many messages were worked on.
    pub async fn deliver_due(&self) -> Result<usize, AppError> {
        let mut worked_on = 0;
        loop {
            match self.deliver_batch().await? {
                0 => return Ok(worked_on),
                some => worked_on += some,
            }
        }
    }

    /// Sends as messages come, until `stop` is ready. Errors of the database are logged and tried
    /// again: the loop never ends by itself.
    pub async fn deliver_until(&self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut hints = self.app.store().wake().waiter(Wake::Outbox);
        let mut looked_after = None;
        loop {
            self.look_after(&mut looked_after).await;
            let mut batch = pin!(self.deliver_batch());
            let sent = tokio::select! {
                sent = &mut batch => sent,
                () = &mut stop => {
                    // What is not through by then is sent by another server, or after the start.
                    let _ = tokio::time::timeout(DRAIN, batch).await;
                    return;
                }
            };
            let pause = match sent {
                Ok(0) => self.until_next().await,
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(error = ?error.source,
                        "Notifications could not be sent; trying again.");
                    LONGEST_SLEEP
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = async {
                    if hints.wait(pause).await {
                        tokio::time::sleep(GATHER).await;
                    }
                } => {}
            }
        }
    }

    async fn deliver_batch(&self) -> Result<usize, AppError> {
        let claimed = match self.claim_and_spread().await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::debug!(error = %error, "Messages could not be spread together.");
                self.claim().await?
            }
        };
        let count = claimed.len();
        let to_send =
            claimed.into_iter().filter_map(|(message, is_done)| (!is_done).then_some(message));
        stream::iter(to_send)
            .for_each_concurrent(AT_ONCE, |message| async move { self.deliver(&message).await })
            .await;
        Ok(count)
    }

    async fn claim(&self) -> Result<Vec<(OutboxMessage, bool)>, AppError> {
        let owner = self.app.config().instance.as_str();
        let claim = async |tx: &mut Tx| tx.claim_outbox(owner, BATCH, LEASE).await;
        let claimed = self.app.store().write(claim).await?;
        Ok(claimed.into_iter().map(|message| (message, false)).collect())
    }

    /// Claims messages and, in the same transaction, works on those that only become other
    /// messages; says of each whether it is done. One that fails leaves all of them unclaimed.
    async fn claim_and_spread(&self) -> Result<Vec<(OutboxMessage, bool)>, AppError> {
        let owner = self.app.config().instance.as_str();
        let spread = async |tx: &mut Tx| -> Result<_, AppError> {
            let mut claimed = Vec::new();
            for message in tx.claim_outbox(owner, BATCH, LEASE).await? {
                let is_done = self.spread(tx, &message).await?;
                claimed.push((message, is_done));
            }
            Ok(claimed)
        };
        self.app.store().write(spread).await
    }

    /// Works on a message that only becomes other messages; false if it is not one of those.
    async fn spread(&self, tx: &mut Tx, message: &OutboxMessage) -> Result<bool, AppError> {
        let with_mail = self.mailer.is_some();
        match message.topic.as_str() {
            REQUEST_STATE => fan_out(tx, message, with_mail).await?,
            REQUEST_NEWS => tell_news(tx, message, with_mail).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Works on one message. Whatever comes of it is written down, or its claim runs out.
    async fn deliver(&self, message: &OutboxMessage) {
        let outcome = match message.topic.as_str() {
            REQUEST_STATE | REQUEST_NEWS => {
                let spread = async |tx: &mut Tx| self.spread(tx, message).await;
                match self.app.store().write(spread).await {
                    Ok(_) => return,
                    Err(error) => Err(Failure::Later(cause(&error))),
                }
            }
            MAIL_ABOUT_REQUEST => self.mail_about_request(message).await,
            MAIL_WITH_REPORT => self.mail_with_report(message).await,
            MAIL_NOTICE => self.mail_notice(message).await,
            MAIL_ABOUT_FACTOR => self.mail_about_factor(message).await,
            APPROVER_WEBHOOK => program_call::call(&self.app, &self.outbound, message).await,
            WEBHOOK => webhook::send(&self.app, &self.outbound, message).await,
            other => Err(Failure::Later(format!(
                "this server does not know messages of the kind {other}; is another one newer?"
            ))),
        };
        let kind = message.topic.clone();
        let written = match outcome {
            Ok(()) => {
                metrics::counter!("latchkey_notifications_sent_total", "kind" => kind).increment(1);
                self.app
                    .store()
                    .write(async |tx: &mut Tx| Ok(tx.finish_outbox(message).await?))
                    .await
            }
            Err(failure) => {
                metrics::counter!("latchkey_notification_failures_total", "kind" => kind)
                    .increment(1);
                self.failed(message, failure).await
            }
        };
        match written {
            Ok(true) => {}
            Ok(false) => tracing::warn!(message.id = %message.id, message.kind = %message.topic,
                "A notification took longer than its claim; it may go out twice."),
            Err(error) => tracing::error!(message.id = %message.id, error = ?error.source,
                "What became of a notification could not be written down; it is sent again."),
        }
    }

    /// Plans the next try, or gives the message up.
    async fn failed(&self, message: &OutboxMessage, failure: Failure) -> Result<bool, AppError> {
        let now = self.app.clock().now();
        let (error, never) = match failure {
            Failure::Later(error) => (error, false),
            Failure::Never(error) => (error, true),
        };
        if !never && !is_too_old(message, now) {
            let retries = usize::try_from(message.attempts).unwrap_or(usize::MAX);
            let last = PAUSES.last().copied().unwrap_or(3600);
            let pause = PAUSES.get(retries).copied().unwrap_or(last);
            // Spread, so that what failed together does not come back together.
            let spread = i64::from(u8::from_be_bytes(self.app.rng().bytes())) * pause / 1024;
            let at = now
                .saturating_add(SignedDuration::from_secs(pause + spread))
                .map_err(AppError::internal)?;
            tracing::warn!(message.id = %message.id, message.kind = %message.topic,
                message.attempts = message.attempts + 1, error = %error,
                "A notification could not be sent and will be tried again.");
            let retry = async |tx: &mut Tx| Ok(tx.retry_outbox(message, at, &error).await?);
            return self.app.store().write(retry).await;
        }
        tracing::error!(message.id = %message.id, message.kind = %message.topic, error = %error,
            "A notification could not be sent and was given up.");
        metrics::counter!("latchkey_notifications_given_up_total",
            "kind" => message.topic.clone())
        .increment(1);
        self.app
            .store()
            .write(async |tx: &mut Tx| -> Result<bool, AppError> {
                if !tx.bury_outbox(message, &error).await? {
                    return Ok(false);
                }
                let detail = json!({
                    "kind": message.topic, "written_at": message.created_at,
                    "attempts": message.attempts + 1, "error": error,
                    "to": addressee(message),
                });
                let (by, action) = (AuditActor::System, "notification.given_up");
                trail::record(tx, &by, action, "notification", &message.id, detail).await?;
                Ok(true)
            })
            .await
    }

    async fn mail_about_request(&self, message: &OutboxMessage) -> Result<(), Failure> {
        let Some(mailer) = &self.mailer else { return Ok(()) };
        let mail: RequestMail = payload(message)?;
        let found = self
            .app
            .store()
            .read(async |tx: &mut Tx| -> Result<_, AppError> {
                let Some(request) = tx.find_request(&mail.request_id).await? else {
                    return Ok(None);
                };
                let Some(user) = tx.find_user(&mail.user_id).await? else { return Ok(None) };
                let seen = read_view(tx, request).await?;
                let deciders: Vec<UserId> =
                    seen.approvals.iter().map(|approval| approval.approver_id.clone()).collect();
                Ok(Some((seen, tx.find_users(&deciders).await?, user)))
            })
            .await
            .map_err(|error| Failure::Later(cause(&error)))?;
        let Some((seen, deciders, user)) = found else { return Ok(()) };
        if !user.is_active() || is_stale(mail.about, seen.request.state) {
            return Ok(());
        }
        let letter = letters::about_request(&self.portal, mail.about, &seen, &deciders, &user);
        let to = (user.display_name(), user.email.as_str());
        let now = self.app.clock().now();
        mailer.send(&message.id, (&to.0, to.1), &letter, None, now).await
    }

    async fn mail_with_report(&self, message: &OutboxMessage) -> Result<(), Failure> {
        let Some(mailer) = &self.mailer else { return Ok(()) };
        let mail: ReportMail = payload(message)?;
        let read = async |tx: &mut Tx| tx.find_report(&mail.report_id).await;
        let report =
            self.app.store().read(read).await.map_err(|error| Failure::Later(error.to_string()))?;
        // Deleted since: whoever deleted it wants nobody to get it.
        let Some(report) = report else { return Ok(()) };
        let name = report.name.clone();
        let (period, file) = file_for_mail(&self.app, report, mail.occurrence, LARGEST_FILE)
            .await
            .map_err(|error| Failure::Later(cause(&error)))?;
        let letter = letters::with_report(&name, period, &file);
        let enclosed = match file {
            MailFile::Attached { name, media_type, content, .. } => {
                Some(Enclosed { name, media_type, content })
            }
            MailFile::TooLarge => None,
        };
        let now = self.app.clock().now();
        mailer.send(&message.id, ("", &mail.recipient), &letter, enclosed, now).await
    }

    async fn mail_about_factor(&self, message: &OutboxMessage) -> Result<(), Failure> {
        let Some(mailer) = &self.mailer else { return Ok(()) };
        let mail: FactorMail = payload(message)?;
        let read = async |tx: &mut Tx| tx.find_user(&mail.user_id).await;
        let user =
            self.app.store().read(read).await.map_err(|error| Failure::Later(error.to_string()))?;
        let Some(user) = user.filter(User::is_active) else { return Ok(()) };
        let letter = letters::about_second_factor(&self.portal, mail.news, message.created_at);
        let to = (user.display_name(), user.email.as_str());
        let now = self.app.clock().now();
        mailer.send(&message.id, (&to.0, to.1), &letter, None, now).await
    }

    async fn mail_notice(&self, message: &OutboxMessage) -> Result<(), Failure> {
        let Some(mailer) = &self.mailer else { return Ok(()) };
        let mail: HeldBackMail = payload(message)?;
        let read = async |tx: &mut Tx| tx.find_user(&mail.user_id).await;
        let user =
            self.app.store().read(read).await.map_err(|error| Failure::Later(error.to_string()))?;
        let Some(user) = user.filter(User::is_active) else { return Ok(()) };
        let letter = letters::about_held_back(&self.portal, &mail.flow_name, mail.held_back);
        let to = (user.display_name(), user.email.as_str());
        let now = self.app.clock().now();
        mailer.send(&message.id, (&to.0, to.1), &letter, None, now).await
    }

    /// Counts what waits, and forgets what was given up long ago.
    async fn look_after(&self, last: &mut Option<Duration>) {
        let now = self.app.clock().monotonic();
        if last.is_some_and(|at| now.saturating_sub(at) < LOOK_AFTER) {
            return;
        }
        *last = Some(now);
        let before = self.app.clock().now().saturating_sub(KEEP_DEAD);
        let looked = self
            .app
            .store()
            .write(async |tx: &mut Tx| -> Result<_, AppError> {
                tx.prune_dead_letters(before.map_err(AppError::internal)?).await?;
                Ok(tx.outbox_standing().await?)
            })
            .await;
        match looked {
            Ok(standing) => {
                #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact")]
                for (name, count) in [
                    ("latchkey_notifications_waiting", standing.waiting as f64),
                    ("latchkey_notifications_failing", standing.failing as f64),
                    ("latchkey_notifications_dead", standing.dead as f64),
                ] {
                    metrics::gauge!(name).set(count);
                }
            }
            Err(error) => tracing::warn!(error = ?error.source,
                "What waits to be sent could not be counted."),
        }
    }

    /// How long until the next message is due, at most [`LONGEST_SLEEP`].
    async fn until_next(&self) -> Duration {
        let next = self.app.store().read(async |tx: &mut Tx| tx.next_outbox_at().await).await;
        let Ok(Some(at)) = next else { return LONGEST_SLEEP };
        let wait = at.duration_since(self.app.clock().now());
        Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
    }
}

/// Whether sending a message has been tried for long enough.
pub(super) fn is_too_old(message: &OutboxMessage, now: Timestamp) -> bool {
    now.duration_since(message.created_at) >= GIVE_UP_AFTER
}

/// Whether a mail would tell what is no longer so.
fn is_stale(about: About, state: RequestState) -> bool {
    match about {
        About::SecondFactor => state != RequestState::PendingMfa,
        About::Waiting => state != RequestState::Pending,
        About::EndingSoon | About::Extended => state != RequestState::Active,
        _ => false,
    }
}

fn payload<T: DeserializeOwned>(message: &OutboxMessage) -> Result<T, Failure> {
    serde_json::from_value(message.payload.clone())
        .map_err(|error| Failure::Never(format!("the message cannot be read: {error}")))
}

/// To whom a message was to go, for the audit trail.
fn addressee(message: &OutboxMessage) -> serde_json::Value {
    let of = |key| message.payload.get(key).cloned();
    of("recipient").or_else(|| of("user_id")).unwrap_or_default()
}

/// What happened, for the log and the row: the message alone is for callers.
fn cause(error: &AppError) -> String {
    error.source.as_ref().map_or_else(|| error.to_string(), ToString::to_string)
}
