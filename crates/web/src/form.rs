//! Forms: what a POST said, if it came from a page of ours.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use latchkey_app::sign_in::is_form_token;
use secrecy::SecretString;
use url::form_urlencoded;

use crate::{
    address,
    page::{Frame, Instead, refusal},
    router::WebState,
    visitor::Visitor,
};

/// The name of the field with the token of the form.
const TOKEN: &str = "form_token";

/// A form that came from a page of ours, and from whom.
#[derive(Debug)]
pub(crate) struct Posted {
    /// Who sent it.
    pub(crate) visitor: Visitor,
    /// From where.
    pub(crate) from: String,
    fields: BTreeMap<String, String>,
}

impl Posted {
    /// What was typed into a field; empty where the form has none of that name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The same of a field that holds a secret.
    pub(crate) fn secret(&self, name: &str) -> SecretString {
        SecretString::from(self.text(name))
    }
}

impl FromRequest<WebState> for Posted {
    type Rejection = Instead;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, Instead> {
        let (mut parts, body) = request.into_parts();
        let no = |title: &str, text: &str| {
            Instead::from(refusal(&Frame::default(), StatusCode::FORBIDDEN, title, text))
        };
        if !is_from_own_page(&parts.headers, state) {
            let text = format!(
                "Forms count only from pages of this installation. Open {} and try there; if \
                 that is not where you reach it, an administrator has to set public_url.",
                state.site.address()
            );
            return Err(no("This form came from elsewhere", &text));
        }
        let from = address::of_caller(&parts, &state.proxies);
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let bytes = Bytes::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(|_| no("This form is too long", "Send less."))?;
        let fields = fields(&bytes).ok_or_else(|| {
            no("This form is damaged", "A field is there twice. Open the page again.")
        })?;
        let token = fields.get(TOKEN).map(String::as_str).unwrap_or_default();
        if !is_form_token(&state.app, &visitor.secret, token) {
            return Err(no(
                "This form is too old",
                "Somebody has signed in or out since, or the browser keeps no cookies. Open the \
                 page again.",
            ));
        }
        Ok(Self { visitor, from, fields })
    }
}

/// Whether exactly one `Origin` says that the form is ours. Every browser sends one with a POST.
fn is_from_own_page(headers: &HeaderMap, state: &WebState) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| state.site.is_own(origin)),
        _ => false,
    }
}

/// The fields of a form; `None` if one is there twice.
fn fields(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}
