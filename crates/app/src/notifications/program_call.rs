//! Asking a program for its decision: one signed call, and what may count as an answer.
//!
//! The call carries the request's digest, and an answer counts only if it names the same request
//! and digest and says one of three words. Everything else, silence included, is no decision: a
//! program never approves by mistake.

use jiff::Timestamp;
use latchkey_domain::{
    ids::RequestId,
    policy::{digest::request_digest, texts::check_reason},
    request::{Decision, RequestState},
};
use latchkey_store::{OutboxMessage, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{APPROVER_WEBHOOK, deliver::is_too_old, mail::Failure, push, webhook};
use crate::{
    App,
    error::AppError,
    outbound::{self, Outbound, OutboundAnswer, OutboundPost, host_of},
    requests::{ProgramSays, RequestView, read_view, take_program_answer},
};

/// How often a program is called before that counts as no decision.
const MOST_CALLS: i64 = 3;

/// The payload of [`APPROVER_WEBHOOK`].
#[derive(Debug, Serialize, Deserialize)]
struct ProgramCall {
    request_id: RequestId,
    url: String,
}

/// What a program answers.
#[derive(Debug, Deserialize)]
struct Answer {
    request_id: String,
    digest: String,
    decision: Word,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Approve,
    Reject,
    None,
}

/// Queues the call of one program about a request.
pub(crate) async fn queue_program_call(
    tx: &mut Tx,
    request: &RequestId,
    url: &str,
) -> Result<(), AppError> {
    let call = ProgramCall { request_id: request.clone(), url: url.to_owned() };
    push(tx, APPROVER_WEBHOOK, &call).await
}

/// Makes the call and hands on what came of it. A call that fails is made again, and after the
/// last one the program has given no decision.
pub(super) async fn call(
    app: &App,
    outbound: &Outbound,
    message: &OutboxMessage,
) -> Result<(), Failure> {
    let ProgramCall { request_id, url } = serde_json::from_value(message.payload.clone())
        .map_err(|error| Failure::Never(format!("the message cannot be read: {error}")))?;
    let later = |error: AppError| Failure::Later(error.to_string());
    let read = async |tx: &mut Tx| -> Result<_, AppError> {
        let Some(request) = tx.find_request(&request_id).await? else { return Ok(None) };
        if request.state != RequestState::Pending {
            return Ok(None);
        }
        Ok(Some((read_view(tx, request).await?, outbound::allow_list(tx).await?)))
    };
    // Decided meanwhile, or cancelled: nobody has to be asked any more.
    let Some((seen, allowed)) = app.store().read(read).await.map_err(later)? else {
        return Ok(());
    };
    let digest = request_digest(&seen.request, &seen.units);
    let now = app.clock().now();
    let body = question(&seen, &digest, now).to_string().into_bytes();
    let headers = webhook::headers(app, &url, &message.id, now.as_second(), &body);
    let post = OutboundPost { url: url.clone(), headers, body };
    let heard = match outbound.post(&post, &allowed).await {
        Ok(answer) => understood(&seen, &digest, &answer),
        Err(error) => Err(error.to_string()),
    };
    let says = match heard {
        Ok(says) => says,
        Err(error) if message.attempts + 1 < MOST_CALLS && !is_too_old(message, now) => {
            return Err(Failure::Later(error));
        }
        Err(error) => {
            tracing::warn!(request.id = %request_id, program.host = %host_of(&url), error = %error,
                "A program that was asked like an approver gave no decision.");
            ProgramSays { decision: None, reason: Some(error), digest }
        }
    };
    take_program_answer(app, &request_id, &url, &says).await.map_err(later)
}

/// What a program is sent. Never a secret.
fn question(seen: &RequestView, digest: &str, at: Timestamp) -> Value {
    let request = &seen.request;
    json!({
        "type": "access_request.decision_wanted",
        "timestamp": at,
        "data": {
            "request_id": request.id,
            "number": format!("AR-{}", request.number),
            "digest": digest,
            "requestor": webhook::person(&seen.requestor),
            "grantee": webhook::person(&seen.grantee),
            "access_flow_id": request.flow_id,
            "access_flow": seen.flow_name,
            "bundle": seen.bundle_name,
            "justification": request.justification,
            "custom_fields": request.custom_fields,
            "duration_in_sec": request.duration_sec,
            "entitlements": webhook::entitlements(seen),
        },
    })
}

/// What an answer says, if it is one to this question; otherwise why it is none. The words are
/// ours: what a stranger's server says is not repeated.
fn understood(
    seen: &RequestView,
    digest: &str,
    answer: &OutboundAnswer,
) -> Result<ProgramSays, String> {
    if !(200..300).contains(&answer.status) {
        return Err(format!("it answers HTTP {}", answer.status));
    }
    let is_object = answer.body.trim_ascii_start().starts_with(b"{");
    let read = serde_json::from_slice::<Answer>(&answer.body).ok();
    let answer = read.filter(|_| is_object).ok_or_else(|| {
        "its answer is no JSON object with request_id, digest, and a decision that is approve, \
         reject or none"
            .to_owned()
    })?;
    if answer.request_id != seen.request.id.as_str() || answer.digest != digest {
        return Err("its answer names another request_id or digest".to_owned());
    }
    let decision = match answer.decision {
        Word::Approve => Some(Decision::Approved),
        Word::Reject => Some(Decision::Rejected),
        Word::None => None,
    };
    let reason = answer.reason.filter(|reason| !reason.trim().is_empty());
    if decision.is_some() {
        check_reason(&seen.request.flow_policy, reason.as_deref())
            .map_err(|problem| format!("the reason of its answer: {problem}"))?;
    }
    let said_nothing = || "it answers that it does not decide".to_owned();
    let reason = if decision.is_some() { reason } else { Some(said_nothing()) };
    Ok(ProgramSays { decision, reason, digest: answer.digest })
}
