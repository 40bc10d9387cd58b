//! `/sign-in` by address and password, and `/sign-out`.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use latchkey_app::sign_in::{SignIn, SignedIn, sign_in, sign_out};
use url::form_urlencoded;

use crate::{
    cookies::Cookie,
    form::Posted,
    page::{Frame, go_to, page, refused, with_cookie},
    router::WebState,
    visitor::Visitor,
    words::own_path,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: &'a Frame,
    next: &'a str,
    email: &'a str,
    trouble: &'a str,
}

/// Where to go on after signing in.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Onward {
    #[serde(default)]
    next: String,
}

pub(crate) async fn show(
    State(state): State<WebState>,
    Query(onward): Query<Onward>,
    visitor: Visitor,
) -> Response {
    let next = own_path(&onward.next);
    if visitor.actor.is_some() {
        return go_to(next);
    }
    let shown = SignInPage { frame: &visitor.frame, next, email: "", trouble: "" };
    visitor.answered(&state, page(StatusCode::OK, &shown))
}

pub(crate) async fn take(State(state): State<WebState>, form: Posted) -> Response {
    let (email, next) = (form.text("email"), own_path(form.text("next")));
    let tried = sign_in(&state.app, email, &form.secret("password"), &form.from).await;
    let (status, trouble) = match tried {
        Ok(SignIn::In(signed_in)) => return welcome(&state, &signed_in, next),
        Ok(SignIn::Refused) => (
            StatusCode::FORBIDDEN,
            "Address or password is wrong, or this account may not sign in. An administrator can \
             make a new link for you.",
        ),
        Ok(SignIn::TooManyTries) => (
            StatusCode::TOO_MANY_REQUESTS,
            "There were too many tries. Wait a quarter of an hour, then try again.",
        ),
        Err(error) => return refused(&form.visitor.frame, &error),
    };
    let shown = SignInPage { frame: &form.visitor.frame, next, email, trouble };
    form.visitor.answered(&state, page(status, &shown))
}

pub(crate) async fn leave(State(state): State<WebState>, form: Posted) -> Response {
    if let Some(actor) = &form.visitor.actor
        && let Err(error) = sign_out(&state.app, actor).await
    {
        return refused(&form.visitor.frame, &error);
    }
    with_cookie(go_to("/sign-in"), Cookie::Session.forget(&state.site))
}

/// On, with the cookie of the new session. What the browser held before counts no more.
pub(crate) fn welcome(state: &WebState, signed_in: &SignedIn, next: &str) -> Response {
    let response = with_cookie(go_to(next), Cookie::Session.set(&state.site, &signed_in.cookie));
    with_cookie(response, Cookie::Form.forget(&state.site))
}

/// The page for signing in that goes on to `path`.
pub(crate) fn before(path: &str) -> String {
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    format!("/sign-in?next={next}")
}
