//! What a use case answers when it does not do what was asked.
//!
//! Invariant: a code in [`codes`] never changes its meaning, because programs branch on it; the
//! message is for people and says what to do. Neither ever holds a secret, nor tells a caller
//! that something exists which they may not see.

use std::error::Error;

use latchkey_store::StoreError;

/// The stable codes, each with the status it goes with. `docs/errors.md` lists the same.
pub mod codes {
    use super::ErrorKind;

    /// 401: no token, or one that is unknown, expired or ended.
    pub const UNAUTHORIZED: &str = "Unauthorized";
    /// 403: the role or the token's scope does not allow the operation.
    pub const FORBIDDEN: &str = "Forbidden";
    /// 404: no such thing, or not for this caller's eyes.
    pub const NOT_FOUND: &str = "NotFound";
    /// 400: a member is missing, malformed or refers to nothing; `errors` names it.
    pub const BAD_REQUEST: &str = "BadRequest";
    /// 409: the name is taken, the object is in use, or its state does not allow this.
    pub const CONFLICT: &str = "Conflict";
    /// 503: the database cannot be reached; try again.
    pub const UNAVAILABLE: &str = "ServiceUnavailable";
    /// 500: a fault of ours; the log has the cause.
    pub const INTERNAL: &str = "InternalServerError";
    /// 403: no access flow allows this request.
    pub const NO_MATCHING_FLOW: &str = "NoMatchingFlow";
    /// 403: a flow would allow it, but not at this time; the message names the next opening.
    pub const OUTSIDE_TIMEFRAME: &str = "OutsideTimeframe";
    /// 400: a flow would allow it for a shorter time; the message names the longest.
    pub const DURATION_TOO_LONG: &str = "DurationTooLong";
    /// 403: the caller is not among those who may decide.
    pub const NOT_AN_APPROVER: &str = "NotAnApprover";
    /// 403: requestor and grantee may not decide about their own request.
    pub const SELF_APPROVAL: &str = "SelfApproval";
    /// 403: a second factor has to be given first, in a browser.
    pub const SECOND_FACTOR_REQUIRED: &str = "SecondFactorRequired";
    /// 400: the flow asks for a justification.
    pub const JUSTIFICATION_REQUIRED: &str = "JustificationRequired";
    /// 400: the flow asks approvers for a reason.
    pub const REASON_REQUIRED: &str = "ReasonRequired";
    /// 400: the report has more rows than a PDF may hold.
    pub const REPORT_TOO_LONG: &str = "ReportTooLong";
    /// 400: the masked secret was sent back though what decides where it goes has changed.
    pub const SECRET_REQUIRED: &str = "SecretRequired";

    /// Every code and the kind it goes with.
    pub const ALL: &[(&str, ErrorKind)] = &[
        (UNAUTHORIZED, ErrorKind::Unauthorized),
        (FORBIDDEN, ErrorKind::Forbidden),
        (NOT_FOUND, ErrorKind::NotFound),
        (BAD_REQUEST, ErrorKind::Invalid),
        (CONFLICT, ErrorKind::Conflict),
        (UNAVAILABLE, ErrorKind::Unavailable),
        (INTERNAL, ErrorKind::Internal),
        (NO_MATCHING_FLOW, ErrorKind::Forbidden),
        (OUTSIDE_TIMEFRAME, ErrorKind::Forbidden),
        (DURATION_TOO_LONG, ErrorKind::Invalid),
        (NOT_AN_APPROVER, ErrorKind::Forbidden),
        (SELF_APPROVAL, ErrorKind::Forbidden),
        (SECOND_FACTOR_REQUIRED, ErrorKind::Forbidden),
        (JUSTIFICATION_REQUIRED, ErrorKind::Invalid),
        (REASON_REQUIRED, ErrorKind::Invalid),
        (REPORT_TOO_LONG, ErrorKind::Invalid),
        (SECRET_REQUIRED, ErrorKind::Invalid),
    ];
}

/// What kind of refusal; decides the HTTP status and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 400.
    Invalid,
    /// 409.
    Conflict,
    /// 503.
    Unavailable,
    /// 500.
    Internal,
}

impl ErrorKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Invalid => 400,
            Self::Conflict => 409,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

/// What is wrong with one member of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The member, as a path: `access_targets[0].integration.integration_reference`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FieldError {
    /// `message` about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AppError {
    /// What kind of refusal.
    pub kind: ErrorKind,
    /// One of [`codes`].
    pub code: &'static str,
    /// For people: what happened and what to do.
    pub message: String,
    /// The members at fault; empty unless the kind is [`ErrorKind::Invalid`].
    pub errors: Vec<FieldError>,
    /// The cause, for the log; never shown to the caller.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl AppError {
    fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), errors: Vec::new(), source: None }
    }

    /// The one answer to every bearer that does not count, whatever the reason.
    pub fn unauthorized() -> Self {
        Self::new(
            ErrorKind::Unauthorized,
            codes::UNAUTHORIZED,
            "a valid bearer token is needed; it may have expired or been revoked",
        )
    }

    /// 403 with one of the codes that go with it.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, code, message)
    }

    /// The one answer for what does not exist and what the caller may not see.
    pub fn not_found() -> Self {
        Self::new(ErrorKind::NotFound, codes::NOT_FOUND, "not found")
    }

    /// 400 about one member.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError::new(field, message)])
    }

    /// 400 about several members; `errors` must not be empty.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let message = errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect::<Vec<_>>()
            .join("; ");
        Self { errors, ..Self::new(ErrorKind::Invalid, codes::BAD_REQUEST, message) }
    }

    /// 400 with a code of its own.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, codes::CONFLICT, message)
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, codes::UNAVAILABLE, message)
    }

    /// 500; the cause is for the log.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(
                ErrorKind::Internal,
                codes::INTERNAL,
                "something went wrong here; the server's log has the cause",
            )
        }
    }

    /// The same with the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same with one more member at fault.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError::new(field, message));
        self
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict { .. }
            | StoreError::Duplicate { .. }
            | StoreError::InUse { .. } => Self::conflict(error.to_string()).because(error),
            StoreError::Unavailable(_) => Self::unavailable(
                "the database does not answer just now; nothing is known to have changed, try again",
            )
            .because(error),
            StoreError::Newer { .. }
            | StoreError::WrongKey { .. }
            | StoreError::Corrupt(_)
            | StoreError::Key(_)
            | StoreError::Database(_) => Self::internal(error),
        }
    }
}

impl From<FieldError> for AppError {
    fn from(error: FieldError) -> Self {
        Self::invalid_fields(vec![error])
    }
}
