//! `/account/step-up`: giving the second factor for requests that wait for it.
//!
//! The page names what a code is given for, in plain words. A success covers exactly that.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use latchkey_app::{
    Actor,
    second_factor::{Proof, StepUp, StepUpView, pass_step_up, show_step_up},
};
use latchkey_domain::ids::StepUpPageId;

use crate::{
    form::Posted,
    page::{Frame, go_to, page, refused},
    router::WebState,
    sign_in::before,
    visitor::{Person, Visitor},
    words::{Told, own_path},
};

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage<'a> {
    frame: &'a Frame,
    page: &'a str,
    is_enrolled: bool,
    requests: Vec<Told>,
    /// Whether more wait than are named here.
    has_more: bool,
    /// The one that was asked for, to be asked for again after a mistake.
    only: &'a str,
    /// Whether it is given to change the second factor itself.
    to_change: bool,
    trouble: &'a str,
}

#[derive(Template)]
#[template(path = "passed.html")]
struct PassedPage<'a> {
    frame: &'a Frame,
    released: usize,
    cancelled: usize,
}

/// What the address of the page says.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    request: String,
    #[serde(default)]
    then: String,
}

pub(crate) async fn show(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    visitor: Visitor,
) -> Response {
    let Ok(Person { actor, frame }) = visitor.person() else {
        let path = format!("/account/step-up?status=pending-mfa&request={}", asked.request);
        let path = if asked.request.is_empty() { "/account/step-up" } else { own_path(&path) };
        return go_to(&before(path));
    };
    show_again(&state, &actor, &frame, &asked, StatusCode::OK, "").await
}

pub(crate) async fn take(State(state): State<WebState>, form: Posted) -> Response {
    let shown = StepUpPageId::new(form.text("page"));
    let asked = Asked { request: form.text("only").to_owned(), then: form.text("then").to_owned() };
    let recovery = form.text("recovery_code");
    let is_both = !recovery.is_empty() && !form.text("code").is_empty();
    let proof = if recovery.is_empty() {
        Proof::Code(form.secret("code"))
    } else {
        Proof::RecoveryCode(form.secret("recovery_code"))
    };
    let Person { actor, frame } = match form.visitor.person() {
        Ok(person) => person,
        Err(on) => return on.into_response(),
    };
    if is_both {
        let trouble = "Give one of the two: the code of your app, or a recovery code.";
        return show_again(&state, &actor, &frame, &asked, StatusCode::BAD_REQUEST, trouble).await;
    }
    let (status, trouble) = match pass_step_up(&state.app, &actor, &shown, &proof).await {
        Ok(StepUp::Passed { .. }) if asked.then == "change" => return go_to("/me"),
        Ok(StepUp::Passed { released, cancelled }) => {
            let (released, cancelled) = (released.len(), cancelled.len());
            return page(StatusCode::OK, &PassedPage { frame: &frame, released, cancelled });
        }
        Ok(StepUp::Wrong) => (
            StatusCode::FORBIDDEN,
            "That code is not right, or was used before. Type the six digits that the app shows \
             now, and nothing else.",
        ),
        Ok(StepUp::TooManyTries) => (
            StatusCode::TOO_MANY_REQUESTS,
            "There were too many tries. Wait a quarter of an hour, then try again.",
        ),
        Ok(StepUp::NotEnrolled) => {
            (StatusCode::FORBIDDEN, "You have no second factor yet. Set one up first.")
        }
        Ok(StepUp::NotShown) => (
            StatusCode::CONFLICT,
            "That page was used, or is too old. Look at what waits now, then give a code.",
        ),
        Err(error) => return refused(&frame, &error),
    };
    show_again(&state, &actor, &frame, &asked, status, trouble).await
}

/// Shows what waits now.
async fn show_again(
    state: &WebState,
    actor: &Actor,
    frame: &Frame,
    asked: &Asked,
    status: StatusCode,
    trouble: &str,
) -> Response {
    let only = Some(asked.request.as_str()).filter(|only| !only.is_empty());
    let StepUpView { page: shown, is_enrolled, requests, has_more } =
        match show_step_up(&state.app, actor, only).await {
            Ok(view) => view,
            Err(error) => return refused(frame, &error),
        };
    page(
        status,
        &StepUpPage {
            frame,
            page: shown.as_str(),
            is_enrolled,
            requests: requests.iter().map(Told::of).collect(),
            has_more,
            only: &asked.request,
            to_change: asked.then == "change",
            trouble,
        },
    )
}
