//! The one shape of every failure, and where failures of the app become it.
//!
//! Body: `{"status":"404","code":"NotFound","message":"…","errors":[{"field","message"}]}`,
//! `status` being text. Codes are stable and listed in `docs/errors.md`; messages are for people
//! and may change. Nothing about a failure of the server itself leaves it but an id that its log
//! line carries too.

use std::borrow::Cow;

use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{MediaType, Operation, Response as ResponseDoc, SchemaObject, StatusCode as Code},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use indexmap::IndexMap;
use latchkey_app::{AppError, ErrorKind, error::codes};
use schemars::JsonSchema;
use serde::Serialize;

use crate::calls;

/// A failure on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: String,
    errors: Vec<FieldError>,
}

/// Failure body of every operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// HTTP status code, written as text.
    status: String,
    /// Stable word for programs; `docs/errors.md` lists them.
    code: String,
    /// What went wrong and what to do about it, for people.
    message: String,
    /// One entry per input that was refused, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// One refused input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Path of the member, such as `access_targets[0].integration.integration_reference`.
    pub field: String,
    /// Why it was refused.
    pub message: String,
}

impl ApiError {
    /// A failure with this status, code and message.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), errors: Vec::new() }
    }

    /// 400: the request cannot be understood or breaks a rule.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::BAD_REQUEST, message)
    }

    /// 400 about one member or parameter.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let whole = format!("{field}: {message}");
        Self::bad_request(whole).with_errors(vec![FieldError { field, message }])
    }

    /// 401: no token, or none that works. The text never says which.
    pub fn unauthorized() -> Self {
        AppError::unauthorized().into()
    }

    /// 500: our fault. The message names the call, whose log line says what happened.
    pub fn internal() -> Self {
        let id = calls::current_id();
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            codes::INTERNAL,
            format!("something went wrong here; the server's log has the cause under {id}"),
        )
    }

    /// Adds the refused inputs.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The refused inputs, in the app's own form; of the whole where none is named.
    pub(crate) fn refused_inputs(self) -> Vec<latchkey_app::FieldError> {
        let named = self.errors.into_iter();
        let mut named: Vec<_> =
            named.map(|one| latchkey_app::FieldError::new(one.field, one.message)).collect();
        if named.is_empty() {
            named.push(latchkey_app::FieldError::new("", self.message));
        }
        named
    }

    /// The HTTP status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The word for programs.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The body as it is sent.
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            status: self.status.as_u16().to_string(),
            code: self.code.to_string(),
            message: self.message.clone(),
            errors: self.errors.clone(),
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable) {
            let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(
                request.id = %calls::current_id(), error.code = error.code, error.cause = %cause,
                "A call failed by a fault of the server"
            );
        }
        if error.kind == ErrorKind::Internal {
            return Self::internal();
        }
        let status = StatusCode::from_u16(error.kind.status());
        let errors = error.errors.into_iter();
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: error.code.into(),
            message: error.message,
            errors: errors
                .map(|error| FieldError { field: error.field, message: error.message })
                .collect(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl OperationOutput for ApiError {
    type Inner = ErrorBody;
}

/// The description of a failure answer, for the OpenAPI document.
pub(crate) fn documented(
    ctx: &mut GenContext,
    status: u16,
    description: &str,
) -> (Option<Code>, ResponseDoc) {
    let schema = ctx.schema.subschema_for::<ErrorBody>();
    let media = MediaType {
        schema: Some(SchemaObject { json_schema: schema, example: None, external_docs: None }),
        ..MediaType::default()
    };
    let response = ResponseDoc {
        description: description.to_owned(),
        content: IndexMap::from_iter([("application/json".to_owned(), media)]),
        ..ResponseDoc::default()
    };
    (Some(Code::Code(status)), response)
}

/// Documents 409 on an operation that can clash with stored state.
pub(crate) fn documented_conflict(operation: &mut Operation, description: &str) {
    aide::generate::in_context(|ctx| {
        let (code, response) = documented(ctx, 409, description);
        let responses = operation.responses.get_or_insert_default();
        if let Some(code) = code {
            responses.responses.insert(code, aide::openapi::ReferenceOr::Item(response));
        }
    });
}
