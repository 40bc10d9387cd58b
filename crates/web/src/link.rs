//! `/sign-in/link/{token}`: setting a password by a link that an Admin made. Looking at the page
//! uses nothing up, so that whatever opens links in mails ahead of people does no harm.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use latchkey_app::{
    ErrorKind,
    sign_in::{LinkUsed, open_sign_in_link, use_sign_in_link},
};
use secrecy::SecretString;

use crate::{
    form::Posted,
    page::{Frame, page, refusal, refused},
    router::WebState,
    sign_in::welcome,
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage<'a> {
    frame: &'a Frame,
    token: &'a str,
    name: &'a str,
    email: &'a str,
    trouble: &'a str,
}

pub(crate) async fn show(
    State(state): State<WebState>,
    Path(token): Path<String>,
    visitor: Visitor,
) -> Response {
    let response = form_for(&state, &visitor, &token, StatusCode::OK, "").await;
    visitor.answered(&state, response)
}

pub(crate) async fn take(
    State(state): State<WebState>,
    Path(token): Path<String>,
    form: Posted,
) -> Response {
    let visitor = &form.visitor;
    if form.text("password") != form.text("password_again") {
        let trouble = "The two passwords differ. Type the same one twice.";
        return form_for(&state, visitor, &token, StatusCode::BAD_REQUEST, trouble).await;
    }
    let (link, password) = (SecretString::from(token.as_str()), form.secret("password"));
    match use_sign_in_link(&state.app, &link, &password, &form.from).await {
        Ok(LinkUsed::In(signed_in)) => welcome(&state, &signed_in, "/me"),
        Ok(LinkUsed::Gone) => gone(&visitor.frame),
        Ok(LinkUsed::TooManyTries) => refusal(
            &visitor.frame,
            StatusCode::TOO_MANY_REQUESTS,
            "Too many tries",
            "Wait a quarter of an hour, then open the link again.",
        ),
        Err(error) if error.kind == ErrorKind::Invalid => {
            let trouble = error.errors.first().map_or("", |field| field.message.as_str());
            form_for(&state, visitor, &token, StatusCode::BAD_REQUEST, trouble).await
        }
        Err(error) => refused(&visitor.frame, &error),
    }
}

async fn form_for(
    state: &WebState,
    visitor: &Visitor,
    token: &str,
    status: StatusCode,
    trouble: &str,
) -> Response {
    match open_sign_in_link(&state.app, &SecretString::from(token)).await {
        Ok(Some(user)) => {
            let (name, email) = (user.display_name(), user.email.as_str());
            let frame = &visitor.frame;
            page(status, &LinkPage { frame, token, name: &name, email, trouble })
        }
        Ok(None) => gone(&visitor.frame),
        Err(error) => refused(&visitor.frame, &error),
    }
}

fn gone(frame: &Frame) -> Response {
    let text = "It was used, or a quarter of an hour has passed since it was made. Ask an \
                administrator for a new one.";
    refusal(frame, StatusCode::NOT_FOUND, "This link works no more", text)
}
