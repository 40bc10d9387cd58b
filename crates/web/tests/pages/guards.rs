//! What keeps strangers out: origins, tokens of forms, cookies, headers.

use axum::{
    body::Body,
    http::{Request, header},
};

use crate::{
    browsing::{ORIGIN, PASSWORD, Server},
    on_both_databases,
};

const POSTS: [&str; 7] = [
    "/sign-in",
    "/sign-out",
    "/me/second-factor",
    "/me/second-factor/confirm",
    "/me/second-factor/remove",
    "/me/recovery-codes",
    "/account/step-up",
];

on_both_databases! {
    async fn d03_a_form_counts_only_from_a_page_of_ours_in_the_same_browser(server) {
        let mut ana = server.signed_in("ana").await;
        let link = server.link("ada").await;
        let token = ana.get("/me").await.ok().hidden("form_token");
        let foreign = server.signed_in("ada").await.get("/me").await.hidden("form_token");
        for path in POSTS.into_iter().chain([link.as_str()]) {
            for origin in ["https://evil.example", "null", "", "http://latchkey.example.com"] {
                ana.origin = origin.to_owned();
                let refused = ana.post(path, &[("form_token", token.as_str())]).await;
                refused.says(403, "This form came from elsewhere");
            }
            ORIGIN.clone_into(&mut ana.origin);
            for token in ["", "x", foreign.as_str()] {
                let refused = ana.post(path, &[("form_token", token)]).await;
                refused.says(403, "This form is too old");
            }
            let twice = [("form_token", token.as_str()), ("form_token", token.as_str())];
            ana.post(path, &twice).await.says(403, "This form is damaged");
        }
        assert_eq!(ana.get("/me").await.status, 200, "nobody was signed out by that");
    }

    async fn d03_a_form_without_an_origin_is_refused(server) {
        let request = Request::post("/sign-in").body(Body::empty()).unwrap();
        server.raw(request).await.says(403, "This form came from elsewhere");
    }

    async fn d03_bearer_and_cookie_never_mix(server) {
        let token = server.token("ana").await;
        let ana = server.signed_in("ana").await;
        let cookie = &ana.cookies["__Host-latchkey"];
        for path in ["/me", "/account/step-up"] {
            let bearer = Request::get(path).header("authorization", format!("Bearer {token}"));
            let page = server.raw(bearer.body(Body::empty()).unwrap()).await;
            assert_eq!(page.status, 303, "a bearer token signs nobody in here");
        }
        let api = "/api/client/v1/session/is-mfa-enrolled";
        let request = Request::get(api).header("cookie", format!("__Host-latchkey={cookie}"));
        let refused = server.raw(request.body(Body::empty()).unwrap()).await;
        assert_eq!(refused.status, 401, "a cookie signs nobody in there");
        let request = Request::get(api).header("authorization", format!("Bearer {cookie}"));
        assert_eq!(server.raw(request.body(Body::empty()).unwrap()).await.status, 401);
        let request = Request::get(api).header("authorization", format!("Bearer {token}"));
        assert_eq!(server.raw(request.body(Body::empty()).unwrap()).await.status, 200);
    }

    async fn d03_a_cookie_that_was_there_before_is_not_the_one_of_the_session(server) {
        let mut ana = server.browser();
        ana.cookies.insert("__Host-latchkey".to_owned(), "0".repeat(43));
        let before = ana.cookies.clone();
        let path = server.link("ana").await;
        let page = ana.get(&path).await.ok();
        let fields = [("password", PASSWORD), ("password_again", PASSWORD)];
        let welcome = ana.send(&path, &page, &fields).await;
        let set: Vec<&str> = welcome
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|cookie| cookie.to_str().unwrap())
            .collect();
        let session = set.iter().find(|set| set.starts_with("__Host-latchkey=")).unwrap();
        assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{session}");
        assert_ne!(ana.cookies["__Host-latchkey"], before["__Host-latchkey"]);
        let first = ana.cookies["__Host-latchkey"].clone();
        let page = ana.get("/me").await.ok();
        ana.send("/sign-out", &page, &[]).await.goes_to("/sign-in");
        assert!(!ana.cookies.contains_key("__Host-latchkey"));
        ana.cookies.insert("__Host-latchkey".to_owned(), first);
        ana.get("/me").await.goes_to("/sign-in?next=%2Fme");
    }

    async fn every_page_has_the_headers_that_protect_it(server) {
        let mut ana = server.signed_in("ana").await;
        let link = server.link("ana").await;
        for path in ["/", "/me", "/account/step-up", "/sign-in", "/sign-in/link/x", link.as_str()] {
            let page = ana.get(path).await;
            let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert_eq!(
                policy,
                "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'",
                "{path}"
            );
            assert_eq!(page.headers[header::CACHE_CONTROL], "no-store", "{path}");
            assert_eq!(page.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
            assert_eq!(page.headers[header::REFERRER_POLICY], "same-origin", "{path}");
            for inline in ["<script", "<style", "style=", "onclick", "javascript:"] {
                assert!(!page.text.contains(inline), "{path}: {inline}");
            }
        }
        let style = ana.get("/assets/latchkey.css").await.ok();
        assert_eq!(style.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(ana.get("/me/second-factor").await.status, 405, "a GET begins nothing");
        assert_eq!(ana.get("/nowhere").await.status, 404);
    }

    async fn d03_nobody_is_sent_to_another_site(server) {
        server.signed_in("ana").await;
        for next in ["//evil.example", "https://evil.example", "/\\evil.example", "/api/x"] {
            let mut ana = server.browser();
            let path: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let page = ana.get(&format!("/sign-in?next={path}")).await.ok();
            assert_eq!(page.hidden("next"), "/me");
            let fields = [("email", "ana@example.com"), ("password", PASSWORD), ("next", next)];
            ana.send("/sign-in", &page, &fields).await.goes_to("/me");
        }
    }
}

#[tokio::test]
async fn d03_on_loopback_without_a_public_address_a_newcomer_signs_in_and_others_do_not() {
    let mut server = Server::new(latchkey_testkit::DatabaseKind::Sqlite).await;
    server.on_loopback();
    let path = server.link("ana").await;
    let fields = [("password", PASSWORD), ("password_again", PASSWORD)];
    let mut elsewhere = server.browser();
    let page = elsewhere.get(&path).await.ok();
    elsewhere.send(&path, &page, &fields).await.says(403, "http://127.0.0.1:8470");
    let mut here = server.browser();
    "http://127.0.0.1:8470".clone_into(&mut here.origin);
    let page = here.get(&path).await.ok();
    here.send(&path, &page, &fields).await.goes_to("/me");
    assert!(here.cookies.contains_key("latchkey-loopback"));
    here.get("/me").await.ok();
}
