//! Settings: one row each in the database, with a type, a default and a text that says what it
//! is for. Unknown keys are refused where they are set.

use crate::{
    form::parse_form,
    network::Network,
    people::UnknownWord,
    policy::{floors::parse_floors, texts::pattern},
};

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
    /// A whole number from the first to the second, both included.
    Count(u64, u64),
    /// True or false.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of addresses and networks.
    Networks,
    /// The address of something that is called over HTTP, or null for none.
    Url,
    /// A regular expression, or null for none.
    Pattern,
    /// A text of at most so many characters, or null for none.
    Text(usize),
    /// The questions of a form: see [`crate::form`].
    Form,
    /// What no access flow goes below: see [`crate::policy::floors`].
    Floors,
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
    SettingSpec {
        key: "outbound_allowed_addresses",
        default: "[]",
        kind: SettingKind::Networks,
        about: "Private addresses and networks that the server may call beside the public \
                internet.",
    },
    SettingSpec {
        key: "webhook_url",
        default: "null",
        kind: SettingKind::Url,
        about: "Where every change of a request's state is posted, signed.",
    },
    SettingSpec {
        key: "remind_before_end_sec",
        default: "600",
        kind: SettingKind::Seconds(0, 86_400),
        about: "How long before its end people are told that their access ends; 0 for never.",
    },
    SettingSpec {
        key: "automatic_change_limit",
        default: "20",
        kind: SettingKind::Count(0, 1_000_000),
        about: "How many people an hour may be given access, or lose it, by one automatic flow \
                before the change is held back.",
    },
    SettingSpec {
        key: "request_custom_fields",
        default: "[]",
        kind: SettingKind::Form,
        about: "Further questions that every request is asked, such as a ticket's number.",
    },
    SettingSpec {
        key: "justification_pattern",
        default: "null",
        kind: SettingKind::Pattern,
        about: "A regular expression that has to be found in every justification that an access \
                flow requires.",
    },
    SettingSpec {
        key: "web_session_sec",
        default: "43200",
        kind: SettingKind::Seconds(60, 2_592_000),
        about: "How long a browser stays signed in at most.",
    },
    SettingSpec {
        key: "web_session_idle_sec",
        default: "3600",
        kind: SettingKind::Seconds(60, 2_592_000),
        about: "How long a browser stays signed in that nobody uses.",
    },
    SettingSpec {
        key: "second_factor_age_sec",
        default: "3600",
        kind: SettingKind::Seconds(0, 86_400),
        about: "For how long a second factor covers later requests from the same browser session \
                too; 0 for none.",
    },
    SettingSpec {
        key: "justification_hint",
        default: "null",
        kind: SettingKind::Text(200),
        about: "What people are told whose justification does not hold the pattern.",
    },
    SettingSpec {
        key: FLOORS,
        default: "[]",
        kind: SettingKind::Floors,
        about: "What has to be asked for some entitlements, whatever an access flow says.",
    },
];

/// The key of the setting that lists the floors.
pub const FLOORS: &str = "floors";

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
            SettingKind::Count(min, max) => (
                value.as_u64().is_some_and(|n| (min..=max).contains(&n)),
                format!("a whole number from {min} to {max}"),
            ),
            SettingKind::Switch => (value.is_boolean(), "true or false".to_owned()),
            SettingKind::Word(words) => (
                value.as_str().is_some_and(|word| words.contains(&word)),
                format!("one of {}", words.join(", ")),
            ),
            SettingKind::Networks => (
                value.as_array().is_some_and(|entries| {
                    let is_network = |entry: &str| entry.parse::<Network>().is_ok();
                    entries.iter().all(|entry| entry.as_str().is_some_and(is_network))
                }),
                "a list of addresses and networks, such as [\"10.1.2.3\", \"10.1.0.0/16\"]"
                    .to_owned(),
            ),
            SettingKind::Url => (
                value.is_null()
                    || value.as_str().is_some_and(|url| {
                        url.starts_with("https://") || url.starts_with("http://")
                    }),
                "an address such as https://hooks.example.com/latchkey, or null".to_owned(),
            ),
            SettingKind::Pattern => {
                let problem = value.as_str().and_then(|text| pattern(text).err());
                let expected = match &problem {
                    Some(problem) => format!("a regular expression ({problem})"),
                    None => "a regular expression such as OPS-[0-9]+, or null".to_owned(),
                };
                (value.is_null() || value.is_string() && problem.is_none(), expected)
            }
            SettingKind::Text(longest) => (
                value.is_null()
                    || value.as_str().is_some_and(|text| text.chars().count() <= longest),
                format!("a text of at most {longest} characters, or null"),
            ),
            SettingKind::Form => match parse_form(value) {
                Ok(_) => (true, String::new()),
                Err(problem) => (false, format!("a list of fields ({problem})")),
            },
            SettingKind::Floors => match parse_floors(value) {
                Ok(_) => (true, String::new()),
                Err(problem) => (false, format!("a list of floors ({problem})")),
            },
        };
        if holds {
            return Ok(());
        }
        Err(SettingError::BadValue { key: self.key, expected, value: value.to_string() })
    }
}
