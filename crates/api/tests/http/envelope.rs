//! What surrounds every call: tokens, failures in one shape, limits.

use axum::{
    body::Body,
    http::{Request, header},
};
use latchkey_app::{
    Actor,
    tokens::{CreateToken, create_token, revoke_token},
    users::disable_user,
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::ground::Ground;

const FLOWS: &str = "/api/admin/v2/access-flows";
const REQUESTS: &str = "/api/user/v4/access-requests";

#[tokio::test]
async fn nothing_but_a_bearer_token_signs_in() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    for (name, value) in [
        (header::COOKIE, format!("token={admin}; session={admin}")),
        (header::AUTHORIZATION, format!("Basic {admin}")),
        (header::AUTHORIZATION, admin.clone()),
        (header::AUTHORIZATION, "Bearer".to_owned()),
        (header::AUTHORIZATION, "Bearer ".to_owned()),
        (header::AUTHORIZATION, format!("Bearer {admin}x")),
        (header::AUTHORIZATION, format!("Bearer {admin} {admin}")),
    ] {
        let request = Request::get(FLOWS).header(&name, &value).body(Body::empty()).unwrap();
        let answer = ground.send(request).await;
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        answer.refused(401, "Unauthorized");
    }
    let twice = Request::get(FLOWS)
        .header(header::AUTHORIZATION, format!("Bearer {admin}"))
        .header(header::AUTHORIZATION, format!("Bearer {admin}"))
        .body(Body::empty())
        .unwrap();
    ground.send(twice).await.refused(401, "Unauthorized");
    let lower = Request::get(FLOWS)
        .header(header::AUTHORIZATION, format!("bearer {admin}"))
        .body(Body::empty())
        .unwrap();
    ground.send(lower).await.ok();
}

#[tokio::test]
async fn a_token_that_ended_is_answered_like_one_that_never_was() {
    let ground = Ground::new().await;
    ground.somebody("nora", None).await;
    let shell = Actor::command_line();
    let make = async |expires_in_sec| {
        let user = Some("nora@example.com".to_owned());
        let command = CreateToken { user, expires_in_sec, ..CreateToken::default() };
        create_token(&ground.app, &shell, command).await.unwrap()
    };
    let (expired, revoked, disabled) = (make(Some(60)).await, make(None).await, make(None).await);
    for token in [&expired, &revoked, &disabled] {
        ground.get(token.token.expose_secret(), REQUESTS).await.ok();
    }
    ground.pass(61);
    let never = ground.get("lk_nothing", REQUESTS).await.text;
    assert_eq!(ground.get(expired.token.expose_secret(), REQUESTS).await.text, never);
    revoke_token(&ground.app, &shell, &revoked.id).await.unwrap();
    assert_eq!(ground.get(revoked.token.expose_secret(), REQUESTS).await.text, never);
    ground.get(disabled.token.expose_secret(), REQUESTS).await.ok();
    disable_user(&ground.app, &shell, "nora@example.com").await.unwrap();
    assert_eq!(ground.get(disabled.token.expose_secret(), REQUESTS).await.text, never);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_the_same_shape() {
    let ground = Ground::new().await;
    ground.get(&ground.admin, "/api/nothing").await.refused(404, "NotFound");
    ground.get(&ground.admin, "/").await.refused(404, "NotFound");
    ground.delete(&ground.admin, FLOWS).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn what_is_no_json_is_refused_with_its_place() {
    let ground = Ground::new().await;
    let send = async |kind: &str, body: &str| {
        let request = Request::post(REQUESTS)
            .header(header::AUTHORIZATION, format!("Bearer {}", ground.admin))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()))
            .unwrap();
        ground.send(request).await.refused(400, "BadRequest")["message"].to_string()
    };
    assert!(send("application/json", "{\"a\":\n nope}").await.contains("line 2 column 3"));
    assert!(send("application/json", "").await.contains("empty"));
    assert!(send("application/json", "[]").await.contains("the body must be an object"));
    assert!(send("text/plain", "{}").await.contains("application/json"));
    assert!(send("application/x-www-form-urlencoded", "a=b").await.contains("application/json"));
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let ground = Ground::new().await;
    let body = json!({"justification": "x".repeat(1 << 20)});
    ground.post(&ground.admin, REQUESTS, body).await.refused(413, "PayloadTooLarge");
}

#[tokio::test]
async fn bad_durations_are_refused_by_name() {
    let ground = Ground::new().await;
    for bad in ["0", "-1", "1e18", "0.5", "2147483648", "\"60\"", "true", "[]"] {
        let request = Request::post(REQUESTS)
            .header(header::AUTHORIZATION, format!("Bearer {}", ground.admin))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(format!(r#"{{"entitlements": [], "duration_in_sec": {bad}}}"#)))
            .unwrap();
        ground.send(request).await.refuses("duration_in_sec");
    }
}

#[tokio::test]
async fn a_caller_without_the_right_learns_nothing_about_path_query_or_body() {
    let ground = Ground::new().await;
    let nobody = ground.somebody("nora", None).await;
    for (method, path, body) in [
        ("GET", "/api/admin/v2/access-flows/unknown", None),
        ("GET", "/api/admin/v2/access-flows?limit=x", None),
        ("POST", FLOWS, Some(json!({"bad": 1}))),
        ("PUT", "/api/admin/v4/integrations/unknown", Some(json!([]))),
    ] {
        ground.call(method, &nobody, path, body).await.refused(403, "Forbidden");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let ground = Ground::new().await;
    let request = Request::get("/openapi.json").body(Body::empty()).unwrap();
    let document = ground.send(request).await.ok();
    assert_eq!(document, latchkey_api::openapi_document());
}

#[tokio::test]
async fn e07_the_page_about_the_api_comes_whole_from_here_under_a_strict_policy() {
    let ground = Ground::new().await;
    let read =
        async |path: &str| ground.send(Request::get(path).body(Body::empty()).unwrap()).await;
    let page = read("/docs").await;
    let files = page.text.split('"').filter(|text| text.starts_with('/'));
    let mut seen = 0;
    for path in std::iter::once("/docs").chain(files) {
        let answer = read(path).await;
        assert_eq!(answer.status, 200, "{path}");
        if path.starts_with("/docs") {
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            seen += 1;
        }
    }
    assert_eq!(seen, 3, "the page, its style and its script");
}
