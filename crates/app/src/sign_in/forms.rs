//! Proof that a form came from a page of ours: a token derived from the secret that the same
//! browser holds in a cookie. Nothing has to be kept for it.

use latchkey_identity::{Purpose, generate_opaque, is_opaque, is_opaque_hash, opaque_hash};
use secrecy::{ExposeSecret, SecretString};

use crate::{App, authenticate::token_key};

/// A secret for a browser in which nobody has signed in.
pub fn new_form_secret(app: &App) -> SecretString {
    generate_opaque(app.rng())
}

/// The token that goes into the forms of a browser that holds `secret` in a cookie.
pub fn form_token(app: &App, secret: &SecretString) -> String {
    opaque_hash(&token_key(app), Purpose::FormToken, "", secret)
}

/// Whether a form's token belongs to the browser that holds `secret`.
pub fn is_form_token(app: &App, secret: &SecretString, presented: &str) -> bool {
    is_opaque(secret.expose_secret())
        && is_opaque_hash(&token_key(app), Purpose::FormToken, "", secret, presented)
}
