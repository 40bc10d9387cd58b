//! Answers that are files.
//!
//! A file is sent as it is made. When that fails half-way the connection is cut, so that no
//! client takes a part for the whole. No cache keeps one, and no browser shows one as a page.

use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{MediaType, Operation, Response as ResponseDoc, StatusCode as Code},
};
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use indexmap::IndexMap;
use latchkey_app::reports::ReportFile;

use crate::calls;

/// A report's file.
#[derive(Debug)]
pub struct FileReply(pub ReportFile);

impl IntoResponse for FileReply {
    fn into_response(self) -> Response {
        let id = calls::current_id();
        let body = self.0.body.inspect_err(move |error| {
            let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(request.id = %id, error.code = error.code, error.cause = %cause,
                "A file could not be made to its end; the connection is cut.");
        });
        // The name holds nothing that a header could not.
        let named = format!("attachment; filename=\"{}\"", self.0.name);
        let named = HeaderValue::from_str(&named);
        let mut response = Body::from_stream(body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.0.media_type));
        if let Ok(named) = named {
            headers.insert(header::CONTENT_DISPOSITION, named);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }
}

impl OperationOutput for FileReply {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ResponseDoc> {
        let kinds = ["text/csv", "application/pdf"];
        let content = kinds.map(|kind| (kind.to_owned(), MediaType::default()));
        Some(ResponseDoc {
            description: "The file.".to_owned(),
            content: IndexMap::from_iter(content),
            ..ResponseDoc::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        let response = Self::operation_response(ctx, operation);
        response.map(|response| (Some(Code::Code(200)), response)).into_iter().collect()
    }
}
