//! Signing in with a browser: by a link that an Admin makes, then by address and password.
//!
//! Invariants: an unknown address, a wrong password and a disabled user get one answer after the
//! same work. Only hashes of passwords, links and cookies are kept. A session is a row that is read
//! for every call, so whatever ends it ends it on every server at once; each sign-in makes a new
//! one. Tries are counted in the database before anything is looked at.

mod forms;
mod hashing;
mod link;
mod password;
mod session;

use secrecy::SecretString;

pub use forms::{form_token, is_form_token, new_form_secret};
pub use link::{LinkUsed, NewLink, create_sign_in_link, open_sign_in_link, use_sign_in_link};
pub use password::{SignIn, sign_in};
pub use session::{SignedIn, sign_out, web_session};

use latchkey_identity::{Purpose, opaque_hash};

use crate::{App, authenticate::token_key};

/// What tries are counted under.
fn tried(app: &App, kind: &str, what: &str) -> String {
    opaque_hash(&token_key(app), Purpose::Tried, kind, &SecretString::from(what))
}
