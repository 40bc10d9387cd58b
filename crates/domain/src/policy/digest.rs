//! What an approval is bound to.
//!
//! A digest is `<64 hexadecimal digits>:<seconds, or "open">`: SHA-256 over everything that was
//! asked except the duration, and the duration in clear. So an approval for an hour still covers
//! the half hour to which another approver shortened the request, and nothing else that changed.
//!
//! Invariant: two requests that differ in anything that a decision depends on (the request
//! itself, people, entitlements with what they named then, flow, its version and text, bundle,
//! justification, further fields) never have digests that cover one another.

use sha2::{Digest, Sha256};

use crate::request::{AccessRequest, RequestUnit};

/// The digest of a request with its units, in whatever order they come. The field that keeps
/// the digest, and everything that the course of the request changes, take no part.
pub fn request_digest(request: &AccessRequest, units: &[RequestUnit]) -> String {
    let mut hash = Parts(Sha256::new());
    hash.text("request 1");
    hash.text(request.id.as_str());
    hash.text(request.requestor_id.as_str());
    hash.text(request.grantee_id.as_str());
    if request.asked_as_grantee {
        hash.text("as the grantee");
    }
    hash.text(request.flow_id.as_str());
    hash.text(&request.flow_version.to_string());
    // A policy is plain data and always has a JSON form; were it not so, flow and version would
    // still bind it.
    hash.bytes(&serde_json::to_vec(&request.flow_policy).unwrap_or_default());
    hash.optional(request.bundle_id.as_ref().map(AsRef::as_ref));
    hash.optional(request.justification.as_deref());
    hash.map(&request.custom_fields);
    let mut units: Vec<&RequestUnit> = units.iter().collect();
    units.sort_by_key(|unit| (&unit.resource_id, &unit.permission_id));
    hash.text(&units.len().to_string());
    for unit in units {
        hash.text(unit.integration_id.as_str());
        hash.text(unit.resource_id.as_str());
        hash.text(&unit.resource_type);
        hash.text(&unit.resource_source_id);
        hash.map(&unit.resource_context);
        hash.text(unit.permission_id.as_str());
        hash.text(&unit.permission);
    }
    let digest = hex::encode(hash.0.finalize());
    match request.duration_sec {
        Some(seconds) => format!("{digest}:{seconds}"),
        None => format!("{digest}:{OPEN}"),
    }
}

/// Whether an approval of `approved` covers a request whose digest is `current`: the same in
/// everything, for as long or shorter.
pub fn covers(approved: &str, current: &str) -> bool {
    let (Some((was, approved)), Some((is, current))) =
        (approved.split_once(':'), current.split_once(':'))
    else {
        return false;
    };
    was == is && was.len() == 64 && is_within(current, approved)
}

const OPEN: &str = "open";

fn is_within(current: &str, approved: &str) -> bool {
    let seconds = |text: &str| text.parse::<i64>().ok();
    match (current, approved) {
        (OPEN, OPEN) => true,
        (OPEN, _) => false,
        (current, OPEN) => seconds(current).is_some(),
        (current, approved) => seconds(current)
            .zip(seconds(approved))
            .is_some_and(|(current, approved)| current <= approved),
    }
}

/// Length-prefixed parts, so that no two lists of parts are one text.
struct Parts(Sha256);

impl Parts {
    fn bytes(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn text(&mut self, part: &str) {
        self.bytes(part.as_bytes());
    }

    fn optional(&mut self, part: Option<&str>) {
        self.text(if part.is_some() { "some" } else { "none" });
        self.text(part.unwrap_or_default());
    }

    fn map(&mut self, map: &std::collections::BTreeMap<String, String>) {
        self.text(&map.len().to_string());
        for (key, value) in map {
            self.text(key);
            self.text(value);
        }
    }
}
