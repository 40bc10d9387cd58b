//! Settings: one row each in the database, with a type, a default and a text that says what it
//! is for. Unknown keys are refused where they are set.

use crate::people::UnknownWord;

/// A setting that can be read and changed by `latchkey admin settings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingSpec {
    /// The key, in snake case.
    pub key: &'static str,
    /// The default, as JSON.
    pub default: &'static str,
    /// What values it takes.
    pub kind: SettingKind,
    /// What it is for, in one sentence.
    pub about: &'static str,
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number of seconds from the first to the second, both included.
    Seconds(i64, i64),
    /// True or false.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// Every setting.
pub const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        key: "approval_expiry_sec",
        default: "86400",
        kind: SettingKind::Seconds(60, 2_592_000),
        about: "How long a request waits for a decision before it is cancelled.",
    },
    SettingSpec {
        key: "grant_deadline_sec",
        default: "900",
        kind: SettingKind::Seconds(1, 86_400),
        about: "How long putting access in place is tried before the request is cleaned up.",
    },
    SettingSpec {
        key: "sync_interval_sec",
        default: "3600",
        kind: SettingKind::Seconds(10, 604_800),
        about: "How often each integration is discovered again.",
    },
    SettingSpec {
        key: "reconcile_interval_sec",
        default: "900",
        kind: SettingKind::Seconds(10, 604_800),
        about: "How often each integration is searched for access that nothing explains.",
    },
    SettingSpec {
        key: "flow_selection",
        default: "\"least_friction\"",
        kind: SettingKind::Word(&["least_friction", "strictest"]),
        about: "Which of several flows that allow a request governs it.",
    },
    SettingSpec {
        key: "end_user_tokens",
        default: "false",
        kind: SettingKind::Switch,
        about: "Whether people without a role may make API tokens for themselves.",
    },
];

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such key.
    #[error(transparent)]
    UnknownKey(#[from] UnknownWord),
    /// A value of the wrong kind or out of range.
    #[error("setting {key} takes {expected}, not {value}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: String,
        /// What came.
        value: String,
    },
}

impl SettingSpec {
    /// The setting with this key.
    pub fn get(key: &str) -> Result<&'static Self, SettingError> {
        SETTINGS.iter().find(|spec| spec.key == key).ok_or_else(|| {
            UnknownWord::new("setting", key, SETTINGS.iter().map(|spec| spec.key)).into()
        })
    }

    /// Checks a value.
    pub fn check(&self, value: &serde_json::Value) -> Result<(), SettingError> {
        let (holds, expected) = match self.kind {
            SettingKind::Seconds(min, max) => (
                value.as_i64().is_some_and(|n| (min..=max).contains(&n)),
                format!("a whole number of seconds from {min} to {max}"),
            ),
            SettingKind::Switch => (value.is_boolean(), "true or false".to_owned()),
            SettingKind::Word(words) => (
                value.as_str().is_some_and(|word| words.contains(&word)),
                format!("one of {}", words.join(", ")),
            ),
        };
        if holds {
            return Ok(());
        }
        Err(SettingError::BadValue { key: self.key, expected, value: value.to_string() })
    }
}
