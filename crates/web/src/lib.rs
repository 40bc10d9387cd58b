//! Pages for people in a browser: signing in, the second factor, and the step-up page.
//!
//! A handler takes what a form said, calls one use case of the app and shows what comes back. No
//! page needs a script, and the policy that goes with each lets none run.
//!
//! Invariants: only the cookie of a browser session signs in here, never `Authorization`; a GET
//! changes nothing that anybody could be hurt by; a POST counts only from a page of ours, which
//! both its `Origin` and the token in its form have to say; whatever holds a secret is stored by
//! no cache; nobody is sent anywhere but to a page of ours.

mod account;
mod address;
mod assets;
mod cookies;
mod form;
mod link;
mod page;
mod qr;
mod router;
mod sign_in;
mod site;
mod step_up;
mod visitor;
mod words;

pub use router::{WebState, router};
pub use site::{Site, SiteError};
