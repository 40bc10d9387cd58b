//! What tokens may do about second factors: ask, and, as an Admin, reset.

use latchkey_app::{
    Actor,
    second_factor::{
        Enrolled, NewFactor, Proof, begin_enrolment, confirm_enrolment, pass_step_up, show_step_up,
    },
    sign_in::{LinkUsed, create_sign_in_link, use_sign_in_link, web_session},
};
use latchkey_domain::{Clock, people::Role};
use latchkey_identity::{STEP_SEC, totp_code};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::json;

use crate::{
    ground::{Ground, flow},
    requests::{Story, id_of},
};

const ENROLLED: &str = "/api/client/v1/session/is-mfa-enrolled";
const PASS: &str = "/api/client/v1/access-requests/pass-mfa";

/// Signs somebody in with a browser; what the browser shows, and who it is.
async fn browser(ground: &Ground, name: &str) -> (SecretString, Actor) {
    let email = format!("{name}@example.com");
    let link = create_sign_in_link(&ground.app, &Actor::command_line(), &email).await.unwrap();
    let password = SecretString::from("correct horse battery");
    let used = use_sign_in_link(&ground.app, &link.token, &password, "x").await.unwrap();
    let LinkUsed::In(signed_in) = used else { panic!("{used:?}") };
    let actor = web_session(&ground.app, &signed_in.cookie).await.unwrap().unwrap();
    (signed_in.cookie, actor)
}

/// The secret as an app reads it.
fn read(made: &NewFactor) -> SecretSlice<u8> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in made.secret.expose_secret().bytes() {
        let value = letters.iter().position(|known| *known == letter).unwrap();
        bits = (bits << 5) | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    SecretSlice::from(bytes)
}

fn code(ground: &Ground, secret: &SecretSlice<u8>) -> SecretString {
    totp_code(secret, ground.clock.now().as_second() / STEP_SEC).unwrap()
}

async fn enrol(ground: &Ground, browser: &Actor) -> SecretSlice<u8> {
    let secret = read(&begin_enrolment(&ground.app, browser).await.unwrap());
    let first = code(ground, &secret);
    let outcome = confirm_enrolment(&ground.app, browser, &first).await.unwrap();
    assert!(matches!(outcome, Enrolled::Done(_)));
    ground.pass(60);
    secret
}

#[tokio::test]
async fn d08_a_token_is_told_what_went_on_and_lets_nothing_go_on() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, ana, flow: made, .. } = &story;
    let mut careful = flow("readers", "ana", Some("bob"));
    careful["settings"]["require_mfa"] = json!(true);
    let path = format!("/api/admin/v2/access-flows/{}", id_of(made));
    ground.put(&ground.admin, &path, careful).await.ok();
    assert_eq!(ground.get(ana, ENROLLED).await.ok(), json!({"is_mfa_enrolled": false}));
    let nothing = ground.post(ana, PASS, json!({})).await.ok();
    assert_eq!(nothing["affected_requests"], json!({"total": 0, "access_requests_ids": []}));

    let asked = story.ask("orders").await;
    assert_eq!(asked["status"], "PendingMFA", "{asked}");
    ground.post(ana, PASS, json!({})).await.refused(403, "SecondFactorRequired");
    let (_, anas) = browser(ground, "ana").await;
    let secret = enrol(ground, &anas).await;
    assert_eq!(ground.get(ana, ENROLLED).await.ok(), json!({"is_mfa_enrolled": true}));
    ground.post(ana, PASS, json!({})).await.refused(403, "SecondFactorRequired");
    let shown = show_step_up(&ground.app, &anas, None).await.unwrap();
    let proof = Proof::Code(code(ground, &secret));
    pass_step_up(&ground.app, &anas, &shown.page, &proof).await.unwrap();
    let went_on = ground.call("POST", ana, PASS, None).await.ok();
    let ids = json!({"total": 1, "access_requests_ids": [id_of(&asked)]});
    assert_eq!(went_on["affected_requests"], ids);

    story.ask("customers").await;
    ground.post(ana, PASS, json!({})).await.refused(403, "SecondFactorRequired");
    let path = format!("/api/user/v4/access-requests/{}", id_of(&asked));
    assert_eq!(ground.get(ana, &path).await.ok()["status"], "Pending");
}

#[tokio::test]
async fn d03_a_cookie_counts_for_nothing_here() {
    let ground = Ground::new().await;
    ground.somebody("ana", None).await;
    let (cookie, _) = browser(&ground, "ana").await;
    for name in ["__Host-latchkey", "latchkey-loopback"] {
        let request = axum::http::Request::builder()
            .uri(ENROLLED)
            .header("cookie", format!("{name}={}", cookie.expose_secret()))
            .body(axum::body::Body::empty())
            .unwrap();
        ground.send(request).await.refused(401, "Unauthorized");
    }
    ground.get(cookie.expose_secret(), ENROLLED).await.refused(401, "Unauthorized");
}

#[tokio::test]
async fn an_admin_resets_the_second_factor_of_others_and_never_their_own() {
    let ground = Ground::new().await;
    let ana = ground.somebody("ana", None).await;
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    let (cookie, anas) = browser(&ground, "ana").await;
    enrol(&ground, &anas).await;
    let path = |name: &str| format!("/api/admin/v1/users/{name}@example.com/reset-second-factor");
    ground.post(&ana, &path("ana"), json!({})).await.refused(403, "Forbidden");
    ground.post(&viewer, &path("ana"), json!({})).await.refused(403, "Forbidden");
    ground.post(&ground.admin, &path("ada"), json!({})).await.refused(403, "Forbidden");
    ground.post(&ground.admin, &path("nobody"), json!({})).await.refused(404, "NotFound");
    assert!(web_session(&ground.app, &cookie).await.unwrap().is_some());
    ground.post(&ground.admin, &path("ana"), json!({})).await.ok();
    assert_eq!(ground.get(&ana, ENROLLED).await.ok(), json!({"is_mfa_enrolled": false}));
    assert_eq!(web_session(&ground.app, &cookie).await.unwrap(), None);
}
