//! The webhook: every change of a request's state as signed JSON, as "Standard Webhooks"
//! describes it (<https://www.standardwebhooks.com>): `webhook-id` stays the same over repeats,
//! `webhook-signature` is `v1,` and the HMAC-SHA256 of id, timestamp and body.
//!
//! The secret is derived from the master key and the address, so it is in no database, and a
//! receiver at another address cannot sign for this one.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use latchkey_domain::{
    people::User, policy::selection::is_break_glass, request::RequestState, settings::SettingSpec,
};
use latchkey_store::{OutboxMessage, Tx};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{StateChange, mail::Failure};
use crate::{
    Actor, App,
    authorization::Operation,
    error::AppError,
    outbound::{self, Outbound, OutboundError, OutboundPost},
    requests::RequestView,
};

/// What the webhook is.
#[derive(Debug, Clone)]
pub struct WebhookView {
    /// Where it is; `None` without one.
    pub url: Option<String>,
    /// What a receiver checks signatures with: `whsec_…`.
    pub secret: Option<SecretString>,
}

/// The webhook and its secret, for who sets up the receiver.
pub async fn webhook(app: &App, actor: &Actor) -> Result<WebhookView, AppError> {
    actor.require(Operation::ChangeSettings)?;
    let url = app.store().read(url).await?;
    let secret = url.as_ref().map(|url| secret_of(app, url));
    Ok(WebhookView { url, secret })
}

/// The secret by which calls to any address are signed, for who sets up a program that access
/// flows ask like an approver. 400 if nothing could be called there.
pub fn webhook_secret(app: &App, actor: &Actor, url: &str) -> Result<WebhookView, AppError> {
    actor.require(Operation::ChangeSettings)?;
    outbound::check_url(url).map_err(|problem| AppError::invalid("url", problem))?;
    Ok(WebhookView { url: Some(url.to_owned()), secret: Some(secret_of(app, url)) })
}

fn secret_of(app: &App, url: &str) -> SecretString {
    let key = Zeroizing::new(STANDARD.encode(key_of(app, url).as_slice()));
    SecretString::from(format!("whsec_{}", key.as_str()))
}

/// Where the webhook is.
pub(super) async fn url(tx: &mut Tx) -> Result<Option<String>, AppError> {
    let spec = SettingSpec::get("webhook_url").map_err(AppError::internal)?;
    Ok(tx.setting(spec).await?.as_str().map(str::to_owned))
}

fn key_of(app: &App, url: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&mac(app.store().keys().webhook_key(), &[url.as_bytes()]));
    key
}

/// HMAC-SHA256 over the parts, one after the other.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut made = [0; 32];
    // HMAC takes keys of every length, so this never fails.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        for part in parts {
            mac.update(part);
        }
        made.copy_from_slice(&mac.finalize().into_bytes());
    }
    made
}

/// The header `webhook-signature` for a message.
pub fn signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let mac = mac(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(mac))
}

/// The headers of a signed call to an address.
pub(super) fn headers(
    app: &App,
    url: &str,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signature(key_of(app, url).as_slice(), id, timestamp, body)),
    ]
}

/// What is told about a change of state. Never a secret.
pub(super) fn event(change: &StateChange, at: Timestamp, seen: &RequestView) -> Value {
    let request = &seen.request;
    json!({
        "type": "access_request.state_changed",
        "timestamp": at,
        "data": {
            "request_id": request.id,
            "number": format!("AR-{}", request.number),
            "from": change.from.as_str(),
            "to": change.to.as_str(),
            "reason": (request.state == change.to).then_some(request.state_reason.as_ref()).flatten(),
            "requestor": person(&seen.requestor),
            "grantee": person(&seen.grantee),
            "access_flow_id": request.flow_id,
            "access_flow": seen.flow_name,
            "justification": request.justification,
            "break_glass": is_break_glass(&request.flow_policy),
            "duration_in_sec": request.duration_sec,
            "ends_at": request.ends_at,
            "entitlements": entitlements(seen),
        },
    })
}

/// What is asked for.
pub(super) fn entitlements(seen: &RequestView) -> Vec<Value> {
    seen.units
        .iter()
        .map(|unit| {
            json!({
                "integration_id": unit.integration_id,
                "integration": seen.integrations.get(&unit.integration_id),
                "resource_type": unit.resource_type,
                "resource": unit.resource_path,
                "permission": unit.permission,
                "error": unit.error,
            })
        })
        .collect()
}

/// Who somebody is.
pub(super) fn person(user: &User) -> Value {
    json!({ "id": user.id, "name": user.display_name(), "email": user.email })
}

/// Posts one message; done when the receiver says 2xx.
pub(super) async fn send(
    app: &App,
    outbound: &Outbound,
    message: &OutboxMessage,
) -> Result<(), Failure> {
    let read = async |tx: &mut Tx| -> Result<_, AppError> {
        Ok((url(tx).await?, outbound::allow_list(tx).await?))
    };
    let (url, allowed) =
        app.store().read(read).await.map_err(|error| Failure::Later(error.to_string()))?;
    // The webhook was taken away meanwhile.
    let Some(url) = url else { return Ok(()) };
    let body = message.payload.to_string().into_bytes();
    let timestamp = app.clock().now().as_second();
    let headers = headers(app, &url, &message.id, timestamp, &body);
    let post = OutboundPost { url, headers, body };
    match outbound.post(&post, &allowed).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        // The receiver says that it is gone for good.
        Ok(answer) if answer.status == 410 => Err(Failure::Never("HTTP 410 Gone".to_owned())),
        Ok(answer) => Err(Failure::Later(format!("HTTP {}", answer.status))),
        // It has taken the message, and only says too much about it.
        Err(OutboundError::TooLarge { status, .. }) if (200..300).contains(&status) => Ok(()),
        Err(error) => Err(Failure::Later(error.to_string())),
    }
}

impl WebhookView {
    /// The secret's text, for the one who sets up the receiver.
    pub fn exposed_secret(&self) -> Option<&str> {
        self.secret.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// Whether a change is told at all: a request that is only being filed is nobody's news.
pub(super) fn is_told(change: &StateChange) -> bool {
    change.to != RequestState::Initializing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example of the specification's libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = b"{\"test\": 2432232314}";
        assert_eq!(
            signature(&key, id, 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
