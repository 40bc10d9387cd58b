//! Signing in with a browser: sessions, links, and how often somebody may try.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{UserId, WebSessionId};

/// How long a link that signs somebody in works, in seconds.
pub const SIGN_IN_LINK_SEC: i64 = 15 * 60;

/// A browser that somebody signed in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// Names it. Not what the browser shows: that is a secret, of which only a hash is kept.
    pub id: WebSessionId,
    /// Who signed in.
    pub user_id: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it was used last, give or take a minute.
    pub last_seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// When the second factor was given in it.
    pub second_factor_at: Option<Timestamp>,
}

impl WebSession {
    /// Whether it still counts, where one that nobody uses ends after `idle_sec` seconds.
    pub fn is_live(&self, idle_sec: i64, now: Timestamp) -> bool {
        let idle = now.duration_since(self.last_seen_at);
        now < self.expires_at && idle < SignedDuration::from_secs(idle_sec)
    }
}

/// A link that lets its person set a password and signs them in, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInLink {
    /// Whose it is.
    pub user_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Something that may be tried only so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TryLimit {
    /// Names what is tried.
    pub kind: &'static str,
    /// How many tries there are within a window, successes not counted.
    pub most: u32,
    /// How long a window is, in seconds, from its first try.
    pub window_sec: i64,
}

/// Passwords for one account, whether or not there is such an account.
pub const PASSWORD_TRIES: TryLimit =
    TryLimit { kind: "password_of_account", most: 10, window_sec: 15 * 60 };

/// Passwords and links from one address. Many people may share one.
pub const ADDRESS_TRIES: TryLimit =
    TryLimit { kind: "sign_in_from_address", most: 100, window_sec: 15 * 60 };

/// Codes of one person, of both kinds. A guess is right three times in a million, and whoever
/// guesses has signed in already.
pub const CODE_TRIES: TryLimit = TryLimit { kind: "code_of_person", most: 5, window_sec: 15 * 60 };
