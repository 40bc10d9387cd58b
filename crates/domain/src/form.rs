//! The further questions of the request form: what every request is asked beside what, for whom,
//! for how long and why.
//!
//! Invariants: an answer to a choice is one of its keys; a question that has to be answered is
//! answered with more than blanks. Answers to what nobody asks are kept and judged by nobody.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The most questions a form may have.
pub const MOST_FIELDS: usize = 50;
/// The longest text in a form's description, in characters.
const LONGEST_TEXT: usize = 1_000;
/// The longest id, in characters.
const LONGEST_ID: usize = 64;
/// Answers that mean something to policy and so are no questions of a form.
const RESERVED: &[&str] = &["break_glass"];

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// The key of its answer in a request's `custom_fields`.
    pub id: String,
    /// What kind of answer it wants.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// The question.
    pub label: String,
    /// A hint inside the empty input.
    #[serde(default)]
    pub placeholder: String,
    /// The choices; empty where any text will do.
    #[serde(default)]
    pub values: Vec<FieldChoice>,
    /// What the form is filled with at first; of a choice, its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a request without an answer is refused.
    #[serde(default)]
    pub required: bool,
}

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FieldKind {
    /// Any text.
    Text,
    /// One of some choices.
    Select,
}

/// One of several answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChoice {
    /// What is sent.
    pub key: String,
    /// What people see.
    pub value: String,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// There is none.
    #[error("this has to be answered: {label}")]
    Missing {
        /// The question.
        label: String,
    },
    /// It is none of the choices.
    #[error("is none of the choices; send {}", keys.join(", "))]
    NoChoice {
        /// What may be sent.
        keys: Vec<String>,
    },
}

/// The questions that a setting's value describes; what is wrong with it otherwise.
pub fn parse_form(value: &serde_json::Value) -> Result<Vec<FormField>, String> {
    let fields: Vec<FormField> =
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    if fields.len() > MOST_FIELDS {
        return Err(format!("a form has at most {MOST_FIELDS} fields"));
    }
    let mut ids = BTreeSet::new();
    for field in &fields {
        field.check().map_err(|problem| format!("field {:?}: {problem}", field.id))?;
        if !ids.insert(&field.id) {
            return Err(format!("field {:?} is there twice", field.id));
        }
    }
    Ok(fields)
}

/// What is wrong with the answers to a form, each with the id of its question.
pub fn check_answers<'f>(
    form: &'f [FormField],
    answers: &BTreeMap<String, String>,
) -> Vec<(&'f str, AnswerProblem)> {
    let checked = form.iter().filter_map(|field| {
        let answer = answers.get(&field.id).map(|text| text.trim()).unwrap_or_default();
        field.judge(answer).map(|problem| (field.id.as_str(), problem))
    });
    checked.collect()
}

impl FormField {
    fn check(&self) -> Result<(), &'static str> {
        let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.');
        if !(1..=LONGEST_ID).contains(&self.id.len()) || !self.id.chars().all(is_plain) {
            return Err("an id has 1 to 64 letters, digits and `_-.`");
        }
        if RESERVED.contains(&self.id.as_str()) {
            return Err("this id asks for a break-glass flow and is no question of a form");
        }
        if self.label.trim().is_empty() {
            return Err("a label says what is asked");
        }
        let choices = self.values.iter().flat_map(|choice| [&choice.key, &choice.value]);
        let mut texts = choices.chain([&self.label, &self.placeholder]).chain(&self.default);
        if texts.any(|text| text.chars().count() > LONGEST_TEXT) {
            return Err("texts have at most 1,000 characters");
        }
        match self.kind {
            FieldKind::Text if self.values.is_empty() => Ok(()),
            FieldKind::Text => Err("a TEXT has no values"),
            FieldKind::Select => self.check_choices(),
        }
    }

    fn check_choices(&self) -> Result<(), &'static str> {
        let keys: BTreeSet<&str> = self.values.iter().map(|choice| choice.key.as_str()).collect();
        if keys.is_empty() || keys.len() < self.values.len() {
            return Err("a SELECT has values, each with a key of its own");
        }
        if keys.iter().any(|key| key.trim().is_empty() || key.trim() != *key) {
            return Err("a value's key is a text without blanks around it");
        }
        if self.default.as_deref().is_some_and(|default| !keys.contains(default)) {
            return Err("the default is none of the keys");
        }
        Ok(())
    }

    fn judge(&self, answer: &str) -> Option<AnswerProblem> {
        if answer.is_empty() {
            return self.required.then(|| AnswerProblem::Missing { label: self.label.clone() });
        }
        let keys = || self.values.iter().map(|choice| choice.key.clone());
        let is_known = self.kind == FieldKind::Text || keys().any(|key| key == answer);
        (!is_known).then(|| AnswerProblem::NoChoice { keys: keys().collect() })
    }
}
