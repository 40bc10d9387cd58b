//! What is shown: pages, redirects to pages of ours, and refusals, each with the headers that
//! protect it.

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use latchkey_app::{AppError, ErrorKind, error::codes};

/// What a page may load and do: our stylesheet, pictures inside the page, forms to us.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const PROTECTION: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Whose forms are told from others by their `Origin`, which `no-referrer` would hide.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// An answer that comes in place of what was asked for.
#[derive(Debug)]
pub(crate) struct Instead(Box<Response>);

impl From<Response> for Instead {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Instead {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The frame around every page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Who has signed in, as they are called.
    pub(crate) name: Option<String>,
    /// The token that goes into every form.
    pub(crate) form_token: String,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    frame: &'a Frame,
    title: &'a str,
    text: &'a str,
}

/// A page, with its status.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            protected((status, kind, html).into_response())
        }
        Err(error) => {
            tracing::error!(error = %error, "A page could not be written.");
            protected(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// On to a page of ours.
pub(crate) fn go_to(path: &str) -> Response {
    let Ok(path) = HeaderValue::from_str(path) else {
        return protected(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    protected((StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response())
}

/// A page that says why not.
pub(crate) fn refusal(frame: &Frame, status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &RefusalPage { frame, title, text })
}

/// What a use case refused: on to where that can be mended, or a page that says why not.
pub(crate) fn refused(frame: &Frame, error: &AppError) -> Response {
    if error.code == codes::SECOND_FACTOR_REQUIRED {
        return go_to("/account/step-up?then=change");
    }
    if error.kind == ErrorKind::Unauthorized {
        return go_to("/sign-in");
    }
    if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable) {
        let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::error!(error.code = error.code, error.cause = %cause,
            "A page failed by a fault of the server.");
    }
    let status = StatusCode::from_u16(error.kind.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refusal(frame, status, "That did not work", &error.message)
}

/// Adds the headers that protect every answer.
pub(crate) fn protected(mut response: Response) -> Response {
    for (name, value) in PROTECTION {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Adds a cookie to an answer.
pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
