//! What a client would rather have (RFC 7240): `Prefer: wait=10` keeps the answer back for up to
//! ten seconds, until what was asked for has come about.
//!
//! A preference is no demand: one that is unknown or not well formed is passed over, as the
//! standard has it.

use std::{convert::Infallible, time::Duration};

use aide::{OperationInput, generate::GenContext, openapi::Operation, operation::ParamLocation};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use latchkey_app::requests::LONGEST_WAIT;
use schemars::JsonSchema;

use crate::query::document;

/// How long the client would wait; nothing without its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct PreferHeader {
    /// `wait=10` keeps the answer back for up to ten seconds (60 at most), until the request is
    /// in force, over, will not come, or asks for the caller's second factor (RFC 7240).
    #[schemars(rename = "Prefer")]
    prefer: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl OperationInput for Wait {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document::<PreferHeader>(ctx, operation, ParamLocation::Header);
    }
}

impl Wait {
    /// The first `wait` counts.
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
        let wait = lines.flat_map(|line| line.split(',')).find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
        });
        let seconds = wait.and_then(|wait| wait.parse().ok()).unwrap_or_default();
        Self(Duration::from_secs(seconds).min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(lines: &[&'static str]) -> u64 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", line.parse().unwrap());
        }
        Wait::of(&headers).0.as_secs()
    }

    #[test]
    fn preferences_are_read_as_the_standard_writes_them() {
        assert_eq!(wait(&["wait=10"]), 10);
        assert_eq!(wait(&["respond-async, WAIT = \"20\"; why=no"]), 20);
        assert_eq!(wait(&["return=minimal", "wait=5, wait=7"]), 5);
        assert_eq!(wait(&["wait=9999"]), 60);
        assert_eq!(wait(&[]), 0);
    }

    #[test]
    fn what_is_no_preference_to_wait_is_passed_over() {
        for line in
            ["wait", "wait=", "wait=soon", "wait=-1", "await=3", "wait=99999999999999999999"]
        {
            assert_eq!(wait(&[line]), 0, "{line}");
        }
    }
}
