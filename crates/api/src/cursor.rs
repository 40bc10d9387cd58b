//! Cursors: opaque, signed, and carrying all that the next page needs.
//!
//! Clients send filters on the first call only and the cursor alone afterwards, so the cursor
//! holds filters, page size and position. It is signed together with the path it was made for:
//! one that was edited, or moved to another list, is refused, and no position ever reaches the
//! database that did not come from it.

use aide::OperationInput;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use latchkey_app::paging::PageKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

/// Bytes of a signature.
const SIGNATURE: usize = 32;

/// The key cursors are signed with; all servers of an installation share it.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// What a cursor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The filters of the first call.
    #[serde(rename = "f")]
    pub(crate) filters: Map<String, Value>,
    /// The page size of the last call.
    #[serde(rename = "l")]
    pub(crate) limit: u32,
    /// When the last row of the page was made.
    #[serde(rename = "t")]
    pub(crate) created_at: Timestamp,
    /// Its id.
    #[serde(rename = "i")]
    pub(crate) id: String,
}

impl CursorKey {
    /// Takes 32 secret bytes as the key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The cursor as text, good for `path` only.
    pub(crate) fn seal(&self, path: &str, cursor: &Cursor) -> Option<String> {
        let payload = serde_json::to_vec(cursor).ok()?;
        let mut bytes = self.sign(path, &payload)?.finalize().into_bytes().to_vec();
        bytes.extend(payload);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a cursor that this key sealed for `path`; `None` for anything else.
    pub(crate) fn open(&self, path: &str, text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signature, payload) = bytes.split_at_checked(SIGNATURE)?;
        self.sign(path, payload)?.verify_slice(signature).ok()?;
        serde_json::from_slice(payload).ok()
    }

    fn sign(&self, path: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).ok()?;
        mac.update(&(path.len() as u64).to_be_bytes());
        mac.update(path.as_bytes());
        mac.update(payload);
        Some(mac)
    }
}

impl Cursor {
    /// The position as lists understand it.
    pub(crate) fn position(&self) -> PageKey {
        PageKey::new(self.created_at, self.id.clone())
    }
}

impl OperationInput for CursorKey {}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CursorKey {
        CursorKey::new([7; 32])
    }

    fn cursor() -> Cursor {
        Cursor {
            filters: Map::from_iter([("name".to_owned(), Value::from("*prod*"))]),
            limit: 25,
            created_at: "2026-05-04T03:02:01.123456Z".parse().unwrap(),
            id: "last".to_owned(),
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_sealed() {
        let text = key().seal("/list", &cursor()).unwrap();
        assert_eq!(key().open("/list", &text), Some(cursor()));
    }

    #[test]
    fn a_cursor_with_any_byte_changed_is_refused() {
        let text = key().seal("/list", &cursor()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(key().open("/list", &URL_SAFE_NO_PAD.encode(damaged)), None, "byte {at}");
        }
        assert_eq!(key().open("/list", &text[1..]), None);
        assert_eq!(key().open("/list", ""), None);
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_key_only() {
        let text = key().seal("/list", &cursor()).unwrap();
        assert_eq!(key().open("/other", &text), None);
        assert_eq!(CursorKey::new([8; 32]).open("/list", &text), None);
    }
}
