//! What every request has to say beside what it is for: the answers of the form, and a
//! justification in the form that the installation wants. Filing refuses what a dry-run names.

use latchkey_domain::{
    flow::FlowPolicy,
    form::{FormField, check_answers, parse_form},
    policy::texts::{JustificationProblem, JustificationRule},
    settings::SettingSpec,
};
use latchkey_store::Tx;
use serde_json::Value;

use super::filing::RequestAccess;
use crate::error::{AppError, FieldError, codes};

/// The member that says why.
const JUSTIFICATION: &str = "justification";

/// The form, as it is set now.
pub(super) struct Form {
    fields: Vec<FormField>,
    rule: JustificationRule,
}

impl Form {
    /// Reads it.
    pub(super) async fn read(tx: &mut Tx) -> Result<Self, AppError> {
        let fields = setting(tx, "request_custom_fields").await?;
        let pattern = setting(tx, "justification_pattern").await?;
        let hint = setting(tx, "justification_hint").await?;
        Ok(Self {
            fields: parse_form(&fields).map_err(AppError::internal)?,
            rule: JustificationRule::new(pattern.as_str(), hint.as_str())
                .map_err(AppError::internal)?,
        })
    }

    /// The answers that are missing, or are none of the choices. `can_answer` is false where a
    /// surface has no form to fill in.
    pub(super) fn missing_answers(
        &self,
        command: &RequestAccess,
        can_answer: bool,
    ) -> Vec<FieldError> {
        if !can_answer {
            return Vec::new();
        }
        let problems = check_answers(&self.fields, &command.custom_fields).into_iter();
        let named = problems.map(|(id, problem)| {
            FieldError::new(format!("custom_fields.{id}"), problem.to_string())
        });
        named.collect()
    }

    /// What is wrong with the justification under a flow.
    pub(super) fn check_justification(
        &self,
        policy: &FlowPolicy,
        command: &RequestAccess,
        again: bool,
    ) -> Result<(), JustificationProblem> {
        self.rule.check(policy, command.justification.as_deref(), again)
    }
}

/// The member at fault in a justification.
pub(super) fn justification_field(problem: &JustificationProblem) -> FieldError {
    FieldError::new(JUSTIFICATION, problem.to_string())
}

/// The answer to a request with such a justification.
pub(super) fn refuse_justification(problem: &JustificationProblem) -> AppError {
    AppError::refused(codes::JUSTIFICATION_REQUIRED, problem.to_string())
        .with_field(JUSTIFICATION, problem.to_string())
}

async fn setting(tx: &mut Tx, key: &str) -> Result<Value, AppError> {
    let spec = SettingSpec::get(key).map_err(AppError::internal)?;
    Ok(tx.setting(spec).await?)
}
