//! Typed identifiers. An id of one kind cannot be passed where another is meant.
//!
//! Ids are opaque text on the wire. Ours are version 7 UUIDs (RFC 9562): they sort by creation
//! time, so lists in id order are stable and index pages stay warm. Connector ids are free text
//! chosen by the operator; resource ids are 64 hexadecimal digits derived from the integration
//! and the resource's native id, so that a resource keeps its id through every discovery run.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Rng;

/// Declares an id type: a text newtype with parsing, display and serde.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id: sortable by `now`, unique by 74 random bits.
            pub fn generate(now: Timestamp, rng: &dyn Rng) -> Self {
                Self(uuid_v7(now, rng))
            }

            /// Takes text as an id without looking it up.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// One Latchkey installation: one database, one set of keys.
    InstallationId,
    /// A person (or machine) known to Latchkey. Never reused.
    UserId,
    /// A group of users, managed here or synced from an identity source.
    GroupId,
    /// A value of an identity attribute, such as `okta_city` = `Berlin`.
    AttributeValueId,
    /// An API token.
    TokenId,
    /// A connector: free text chosen by the operator, such as `prod-eu`.
    ConnectorId,
    /// One running process of a connector.
    ConnectorSessionId,
    /// A configured target system.
    IntegrationId,
    /// Something discovered in an integration: 64 hexadecimal digits.
    ResourceId,
    /// A right that can be given on resources of one type of one integration.
    PermissionId,
    /// An access flow: policy.
    FlowId,
    /// A bundle of targets.
    BundleId,
    /// A named query over the inventory.
    AccessScopeId,
    /// An access request.
    RequestId,
    /// One entitlement within a request; names its claim as well.
    UnitId,
    /// One decision of one approver about one request.
    ApprovalId,
    /// An access session: what a grantee connects with in one integration.
    SessionId,
    /// A unit of work for a connector.
    TaskId,
    /// A durable job of the server.
    JobId,
    /// An audit record.
    AuditId,
    /// A saved report.
    ReportId,
    /// A receipt: evidence read back from a target.
    ReceiptId,
    /// A session of a browser.
    WebSessionId,
    /// A second factor of a person.
    SecondFactorId,
    /// One showing of the page that asks for the second factor.
    StepUpPageId,
}

impl ResourceId {
    /// The id of the resource with native id `source_id` in `integration`.
    pub fn derive(integration: &IntegrationId, source_id: &str) -> Self {
        Self(hex_digest(&[b"resource", integration.0.as_bytes(), source_id.as_bytes()]))
    }
}

impl PermissionId {
    /// The id of the permission `name` on resources of `resource_type` in `integration`.
    pub fn derive(integration: &IntegrationId, resource_type: &str, name: &str) -> Self {
        let digest = hex_digest(&[
            b"permission",
            integration.0.as_bytes(),
            resource_type.as_bytes(),
            name.as_bytes(),
        ]);
        Self(digest.chars().take(32).collect())
    }
}

impl AttributeValueId {
    /// The id of a value that was set here. The value is its text, without letter case.
    pub fn derive(attribute_type: &str, text: &str) -> Self {
        Self::of(&[b"attribute", attribute_type.as_bytes(), same_text(text).as_bytes()])
    }

    /// The id of a value that `source` knows by `source_id`; its text may change.
    pub fn derive_from_source(
        attribute_type: &str,
        source: &IntegrationId,
        source_id: &str,
    ) -> Self {
        let source = source.0.as_bytes();
        Self::of(&[b"sourced", attribute_type.as_bytes(), source, source_id.as_bytes()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        Self(hex_digest(parts).chars().take(32).collect())
    }
}

/// A text in the form in which texts of identities are compared: trimmed, in lower case.
pub fn same_text(text: &str) -> String {
    text.trim().to_lowercase()
}

/// SHA-256 over length-prefixed parts, so that no two lists of parts share a digest.
fn hex_digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn uuid_v7(now: Timestamp, rng: &dyn Rng) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0) & 0xffff_ffff_ffff;
    let random: [u8; 10] = rng.bytes();
    let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
    let high = (u16::from(r0 & 0x0f) << 8) | u16::from(r1) | 0x7000;
    let low = (u16::from(r2 & 0x3f) << 8) | u16::from(r3) | 0x8000;
    format!(
        "{:08x}-{:04x}-{high:04x}-{low:04x}-{r4:02x}{r5:02x}{r6:02x}{r7:02x}{r8:02x}{r9:02x}",
        millis >> 16,
        millis & 0xffff,
    )
}
