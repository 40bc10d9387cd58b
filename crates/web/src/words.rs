//! Requests in plain words.

use latchkey_app::{requests::RequestView, texts::length_in_words};

/// How many entitlements are named.
const MOST_NAMED: usize = 20;

/// A request as the step-up page says it.
pub(crate) struct Told {
    /// `AR-7`.
    pub(crate) number: String,
    /// For whom.
    pub(crate) grantee: String,
    /// Whether that is the reader.
    pub(crate) is_own: bool,
    /// What for, one a line: permission, path, integration.
    pub(crate) entitlements: Vec<(String, String, String)>,
    /// How many more there are.
    pub(crate) unnamed: usize,
    /// For how long.
    pub(crate) length: String,
    /// Why.
    pub(crate) justification: Option<String>,
    /// By which access flow.
    pub(crate) flow: String,
    /// When it was filed, exactly.
    pub(crate) filed_at: String,
}

impl Told {
    /// In words for its requestor.
    pub(crate) fn of(seen: &RequestView) -> Self {
        let request = &seen.request;
        let named = seen.units.iter().take(MOST_NAMED).map(|unit| {
            let integration = seen.integrations.get(&unit.integration_id);
            (
                unit.permission.clone(),
                unit.resource_path.clone(),
                integration.cloned().unwrap_or_default(),
            )
        });
        Self {
            number: format!("AR-{}", request.number),
            grantee: seen.grantee.display_name(),
            is_own: seen.requestor.id == seen.grantee.id,
            entitlements: named.collect(),
            unnamed: seen.units.len().saturating_sub(MOST_NAMED),
            length: request.duration_sec.map_or_else(
                || "until revoked".to_owned(),
                |seconds| format!("for {}", length_in_words(seconds)),
            ),
            justification: request.justification.clone(),
            flow: seen.flow_name.clone(),
            filed_at: request.created_at.to_string(),
        }
    }
}

/// A path of ours that a form or an address may name, or the account page.
pub(crate) fn own_path(text: &str) -> &str {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "=&-_.".contains(c);
    if ["/me", "/account/step-up"].contains(&path) && query.chars().all(is_plain) {
        text
    } else {
        "/me"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d03_nobody_is_sent_anywhere_but_to_a_page_of_ours() {
        for own in ["/me", "/account/step-up", "/account/step-up?status=pending-mfa&request=0-a_b"]
        {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/me/../x",
            "/me//evil",
            "/me?next=//evil.example",
            "/me\r\nSet-Cookie: a=b",
            "/api/v1",
            "me",
        ] {
            assert_eq!(own_path(other), "/me", "{other:?}");
        }
    }
}
