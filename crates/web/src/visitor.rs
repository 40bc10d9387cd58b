//! Who looks at a page: the person of the browser session, or somebody unknown. Read for every
//! call. A bearer token says nothing here.

use axum::{extract::FromRequestParts, http::request::Parts, response::Response};
use latchkey_app::{
    Actor,
    sign_in::{form_token, new_form_secret, web_session},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    cookies::Cookie,
    page::{Frame, Instead, go_to, refused, with_cookie},
    router::WebState,
};

/// Whoever looks at a page.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// Who has signed in.
    pub(crate) actor: Option<Actor>,
    /// What forms of this browser are bound to: the cookie that it holds, or is about to get.
    pub(crate) secret: SecretString,
    /// The frame of pages for them.
    pub(crate) frame: Frame,
    is_new: bool,
}

/// Somebody who has signed in; others are sent to do so.
#[derive(Debug)]
pub(crate) struct Person {
    /// Who it is.
    pub(crate) actor: Actor,
    /// The frame of pages for them.
    pub(crate) frame: Frame,
}

impl Visitor {
    /// The answer, with the cookie that forms of this browser need if it has none yet.
    pub(crate) fn answered(&self, state: &WebState, response: Response) -> Response {
        let cookie = self.is_new.then(|| Cookie::Form.set(&state.site, &self.secret)).flatten();
        with_cookie(response, cookie)
    }

    /// Whoever has signed in; on to signing in otherwise.
    pub(crate) fn person(self) -> Result<Person, Instead> {
        let frame = self.frame;
        self.actor.map(|actor| Person { actor, frame }).ok_or_else(|| go_to("/sign-in").into())
    }
}

impl FromRequestParts<WebState> for Visitor {
    type Rejection = Instead;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Instead> {
        let site = &state.site;
        if let Some(cookie) = Cookie::Session.read(site, &parts.headers) {
            let found = web_session(&state.app, &cookie).await;
            if let Some(actor) = found.map_err(|error| refused(&Frame::default(), &error))? {
                let frame = Frame {
                    name: Some(actor.user.display_name()),
                    form_token: form_token(&state.app, &cookie),
                };
                return Ok(Self { actor: Some(actor), secret: cookie, frame, is_new: false });
            }
        }
        let held = Cookie::Form.read(site, &parts.headers);
        let held = held.filter(|held| held.expose_secret().len() == 43);
        let is_new = held.is_none();
        let secret = held.unwrap_or_else(|| new_form_secret(&state.app));
        let frame = Frame { name: None, form_token: form_token(&state.app, &secret) };
        Ok(Self { actor: None, secret, frame, is_new })
    }
}
