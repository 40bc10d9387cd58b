//! The contract suite: what every integration module has to stand, written against a
//! [`Harness`] that knows one real system. A module's tests call each function here.

mod circumstances;
mod crash;
mod faults;
mod grants;

use latchkey_domain::provisioning::DesiredClaim;
use latchkey_integrations::{GeneratedCredentials, Integration, Target};

pub use self::{circumstances::*, crash::*, faults::*, grants::*};

/// Something that can be asked for, and tried.
#[derive(Debug, Clone)]
pub struct Entitlement {
    /// The claim, without unit and end.
    pub claim: DesiredClaim,
    /// The harness's own word for what to try.
    pub probe: Probe,
}

/// What a person does to find out what they may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The object, in the harness's own words.
    pub object: String,
    /// Whether to change it or only to look.
    pub change: bool,
}

/// One real system, ready for a test, and what a person can do with it.
pub trait Harness {
    /// An open session of a person.
    type Session;

    /// The module.
    fn integration(&self) -> &dyn Integration;
    /// The integration under test.
    fn target(&self) -> Target;
    /// The weakest right on an object, and the next right up on the same one.
    fn low_and_high(&self) -> (Entitlement, Entitlement);
    /// The weakest right on another object.
    fn other(&self) -> Entitlement;
    /// Where a person logs in for an entitlement; `None` if the system refuses.
    async fn log_in(
        &self,
        credentials: &GeneratedCredentials,
        to: &Entitlement,
    ) -> Option<Self::Session>;
    /// Tries something in an open session.
    async fn can(&self, session: &Self::Session, probe: &Probe) -> bool;
    /// Whether the session still answers.
    async fn is_open(&self, session: &Self::Session) -> bool;
    /// What the system's administrator still finds of a principal: role, memberships, sessions.
    async fn left_of(&self, principal: &str) -> Vec<String>;
    /// Back to a system in which nothing was ever granted, so that set-up happens again.
    async fn reset(&self);
    /// The administrator destroys the principal by hand.
    async fn drop_by_hand(&self, principal: &str);
}
