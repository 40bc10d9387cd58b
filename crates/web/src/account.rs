//! `/me`: one's second factor.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use latchkey_app::{
    AppError,
    second_factor::{
        Enrolled, FactorChange, NewFactor, SecondFactorView, begin_enrolment, confirm_enrolment,
        pending_enrolment, remove_second_factor, renew_recovery_codes, second_factor,
    },
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    form::Posted,
    page::{Frame, go_to, page, refused},
    qr,
    router::WebState,
    sign_in::before,
    visitor::{Person, Visitor},
};

#[derive(Template)]
#[template(path = "me.html")]
struct MePage<'a> {
    frame: &'a Frame,
    email: &'a str,
    factor: SecondFactorView,
    /// Since when there is a factor, exactly.
    since: String,
}

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage<'a> {
    frame: &'a Frame,
    secret: &'a str,
    address: &'a str,
    picture: String,
    trouble: &'a str,
}

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage<'a> {
    frame: &'a Frame,
    codes: Vec<&'a str>,
}

pub(crate) async fn show(State(state): State<WebState>, visitor: Visitor) -> Response {
    let Ok(Person { actor, frame }) = visitor.person() else { return go_to(&before("/me")) };
    match second_factor(&state.app, &actor).await {
        Ok(factor) => {
            let since = factor.since.map(|since| since.to_string()).unwrap_or_default();
            let email = actor.user.email.as_str();
            page(StatusCode::OK, &MePage { frame: &frame, email, factor, since })
        }
        Err(error) => refused(&frame, &error),
    }
}

pub(crate) async fn begin(State(state): State<WebState>, form: Posted) -> Response {
    let Person { actor, frame } = match form.visitor.person() {
        Ok(person) => person,
        Err(on) => return on.into_response(),
    };
    match begin_enrolment(&state.app, &actor).await {
        Ok(factor) => enrol(&frame, StatusCode::OK, &factor, ""),
        Err(error) => refused(&frame, &error),
    }
}

pub(crate) async fn confirm(State(state): State<WebState>, form: Posted) -> Response {
    let code = form.secret("code");
    let Person { actor, frame } = match form.visitor.person() {
        Ok(person) => person,
        Err(on) => return on.into_response(),
    };
    let (status, trouble) = match confirm_enrolment(&state.app, &actor, &code).await {
        Ok(Enrolled::Done(codes)) => return show_codes(&frame, &codes),
        Ok(Enrolled::NothingToConfirm) => return go_to("/me"),
        Ok(Enrolled::Wrong) => (
            StatusCode::FORBIDDEN,
            "That code is not right. Type the six digits that the app shows now, and nothing \
             else; the clock of the telephone has to be right.",
        ),
        Ok(Enrolled::TooManyTries) => (
            StatusCode::TOO_MANY_REQUESTS,
            "There were too many tries. Wait a quarter of an hour, then try again.",
        ),
        Err(error) => return refused(&frame, &error),
    };
    match pending_enrolment(&state.app, &actor).await {
        Ok(Some(factor)) => enrol(&frame, status, &factor, trouble),
        Ok(None) => go_to("/me"),
        Err(error) => refused(&frame, &error),
    }
}

pub(crate) async fn remove(State(state): State<WebState>, form: Posted) -> Response {
    let Person { actor, frame } = match form.visitor.person() {
        Ok(person) => person,
        Err(on) => return on.into_response(),
    };
    match remove_second_factor(&state.app, &actor).await {
        Ok(FactorChange::Done(()) | FactorChange::NotEnrolled) => go_to("/me"),
        Err(error) => refused(&frame, &error),
    }
}

pub(crate) async fn renew_codes(State(state): State<WebState>, form: Posted) -> Response {
    let Person { actor, frame } = match form.visitor.person() {
        Ok(person) => person,
        Err(on) => return on.into_response(),
    };
    match renew_recovery_codes(&state.app, &actor).await {
        Ok(FactorChange::Done(codes)) => show_codes(&frame, &codes),
        Ok(FactorChange::NotEnrolled) => go_to("/me"),
        Err(error) => refused(&frame, &error),
    }
}

fn enrol(frame: &Frame, status: StatusCode, factor: &NewFactor, trouble: &str) -> Response {
    let (secret, address) = (factor.secret.expose_secret(), factor.address.expose_secret());
    let Some(picture) = qr::svg(address) else {
        return refused(frame, &AppError::internal("an address is too long for a QR code"));
    };
    page(status, &EnrolPage { frame, secret, address, picture, trouble })
}

fn show_codes(frame: &Frame, codes: &[SecretString]) -> Response {
    let codes = codes.iter().map(ExposeSecret::expose_secret).collect();
    page(StatusCode::OK, &CodesPage { frame, codes })
}
