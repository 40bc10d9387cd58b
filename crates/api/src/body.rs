//! JSON bodies, in and out.
//!
//! Coming in: unknown members are ignored, everything else that is wrong is a 400 that says
//! where: the line and column of malformed JSON, the path of a member that does not fit. Text
//! with a zero character is refused here, since PostgreSQL cannot store it.

use aide::{
    OperationInput, OperationOutput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as Code},
};
use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{ApiError, FieldError, documented};

/// The largest body that is read, 1 MiB, except from connectors.
pub const LIMIT: usize = 1 << 20;

/// A JSON body of a request.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body of an answer, always 200.
#[derive(Debug)]
pub struct Reply<T>(pub T);

/// A JSON answer that no cache may keep: it may hold credentials.
#[derive(Debug)]
pub struct Unstored<T>(pub T);

/// A JSON body of an answer, with what whoever sent the request should think about: each in a
/// header `Latchkey-Warning` of its own, because the body's shape is not ours to change.
#[derive(Debug)]
pub struct Warned<T>(pub T, pub Vec<String>);

/// The header of warnings.
const WARNING: HeaderName = HeaderName::from_static("latchkey-warning");

/// 204 without a body.
#[derive(Debug, Clone, Copy)]
pub struct Done;

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        demand_json(request.headers())?;
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "PayloadTooLarge",
                    "the body is too large; send less at once",
                );
            }
            ApiError::bad_request("the body could not be read; send it again")
        })?;
        parse(&bytes).map(Self)
    }
}

fn demand_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad_request("send the body as JSON, with `Content-Type: application/json`"))
}

/// Reads a body; every failure says where.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request("the body is empty; send a JSON object, such as {}"));
    }
    if holds_zero_character(bytes) {
        return Err(ApiError::bad_request("the body holds a text with a zero character (\\u0000)"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    reader.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
}

fn refuse(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = text.strip_suffix(&place).unwrap_or(&text);
    if !error.is_data() {
        return ApiError::bad_request(format!("malformed JSON{place}: {reason}"));
    }
    let prefix = if path == "." { String::new() } else { format!("{path}.") };
    let absent = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let reason = expectation(reason);
    match absent {
        Some(name) => ApiError::field(format!("{prefix}{name}"), "is required"),
        None if path == "." => ApiError::bad_request(format!("the body {reason}{place}")),
        None => ApiError::field(path, format!("{reason}{place}")),
    }
}

/// What would have fitted. What came is not repeated: it may be a secret in the wrong place.
fn expectation(reason: &str) -> String {
    let Some((_, expected)) = reason.rsplit_once(", expected ") else { return reason.to_owned() };
    match expected {
        "i32" => format!("must be a whole number from {} to {}", i32::MIN, i32::MAX),
        "a sequence" => "must be an array".to_owned(),
        "a map" => "must be an object".to_owned(),
        other if other.starts_with("struct ") => "must be an object".to_owned(),
        other => format!("must be {other}"),
    }
}

/// Whether JSON text holds the escape of U+0000. (The character itself is malformed in JSON.)
fn holds_zero_character(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = rest.get(at + 1..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: Serialize> IntoResponse for Unstored<T> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], axum::Json(self.0)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Warned<T> {
    fn into_response(self) -> Response {
        let mut response = axum::Json(self.0).into_response();
        for warning in self.1 {
            if let Ok(value) = HeaderValue::try_from(in_ascii(&warning)) {
                response.headers_mut().append(WARNING, value);
            }
        }
        response
    }
}

/// The text with everything but printable ASCII as `\u{...}`: headers hold no more.
fn in_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for one in text.chars() {
        if one == ' ' || one.is_ascii_graphic() {
            ascii.push(one);
        } else {
            ascii.extend(one.escape_unicode());
        }
    }
    ascii
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// Plain acknowledgement.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Message {
    /// Short confirmation, for people.
    pub message: String,
}

impl Message {
    /// An acknowledgement with this text.
    pub(crate) fn reply(text: impl Into<String>) -> Reply<Self> {
        Reply(Self { message: text.into() })
    }
}

impl<T: JsonSchema> OperationInput for Body<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::Json::<T>::operation_input(ctx, operation);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![
            documented(
                ctx,
                400,
                "The input is malformed, breaks a rule or names something unknown.",
            ),
            documented(ctx, 413, "The body is too large."),
        ]
    }
}

macro_rules! documented_like_json {
    ($($name:ident),*) => {$(
        impl<T: JsonSchema> OperationOutput for $name<T> {
            type Inner = T;

            fn operation_response(ctx: &mut GenContext, op: &mut Operation) -> Option<ResponseDoc> {
                axum::Json::<T>::operation_response(ctx, op).map(described)
            }

            fn inferred_responses(
                ctx: &mut GenContext,
                op: &mut Operation,
            ) -> Vec<(Option<Code>, ResponseDoc)> {
                let response = Self::operation_response(ctx, op);
                response.map(|response| (Some(Code::Code(200)), response)).into_iter().collect()
            }
        }
    )*};
}
documented_like_json!(Reply, Unstored, Warned);

fn described(mut response: ResponseDoc) -> ResponseDoc {
    "Done.".clone_into(&mut response.description);
    response
}

impl OperationOutput for Done {
    type Inner = ();

    fn inferred_responses(
        _: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        let description = "Done; no body.".to_owned();
        vec![(Some(Code::Code(204)), ResponseDoc { description, ..ResponseDoc::default() })]
    }
}

/// A refused member, for rules that a type cannot say.
pub(crate) fn refused(field: &str, message: &str) -> FieldError {
    FieldError { field: field.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its reading is of interest")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its reading is of interest")]
        count: i32,
    }

    fn failure(text: &str) -> String {
        serde_json::to_string(&parse::<Outer>(text.as_bytes()).unwrap_err().body()).unwrap()
    }

    #[test]
    fn malformed_json_is_refused_with_line_and_column() {
        let text = failure("{\n \"inner\": [}");
        assert!(text.contains("malformed JSON at line 2 column 12"), "{text}");
    }

    #[test]
    fn a_member_that_does_not_fit_is_named_by_its_path() {
        let text = failure(r#"{"inner": [{"count": 1}, {"count": "two"}]}"#);
        assert!(text.contains(r#""field":"inner[1].count""#), "{text}");
    }

    #[test]
    fn a_missing_member_is_named_by_its_path() {
        let text = failure(r#"{"inner": [{}]}"#);
        assert!(text.contains(r#"{"field":"inner[0].count","message":"is required"}"#), "{text}");
    }

    #[test]
    fn unknown_members_are_ignored() {
        parse::<Outer>(br#"{"inner": [], "status": "Active"}"#).unwrap();
    }

    #[test]
    fn zero_characters_are_refused_and_escaped_backslashes_are_not_mistaken_for_them() {
        assert!(failure(r#"{"inner": "\u0000"}"#).contains("zero character"));
        assert!(!failure(r#"{"inner": "\\u0000"}"#).contains("zero character"));
    }

    #[test]
    fn what_does_not_fit_is_not_repeated() {
        for text in [r#"{"inner": "s3cret"}"#, r#"{"inner": [{"count": "s3cret"}]}"#, r#""s3cret""#]
        {
            let text = failure(text);
            assert!(text.contains("must be") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn text_after_the_object_is_refused() {
        assert!(failure(r#"{"inner": []} x"#).contains("malformed JSON"));
    }
}
