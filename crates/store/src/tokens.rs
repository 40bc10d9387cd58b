//! API tokens: only keyed hashes of their secrets.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{TokenId, UserId},
    people::ApiToken,
};

use crate::{error::Result, tx::Tx};

impl Tx {
    /// Adds a token.
    pub async fn insert_token(&mut self, token: &ApiToken) -> Result<()> {
        unimplemented!()
    }
    /// The token with this id, whether or not it still works.
    pub async fn find_token(&mut self, id: &TokenId) -> Result<Option<ApiToken>> {
        unimplemented!()
    }
    /// Ends a token; false if there is none, or it had ended.
    pub async fn revoke_token(&mut self, id: &TokenId, at: Timestamp) -> Result<bool> {
        unimplemented!()
    }
    /// Ends every token of a person; returns how many.
    pub async fn revoke_tokens_of_user(&mut self, user: &UserId, at: Timestamp) -> Result<u64> {
        unimplemented!()
    }
    /// A person's tokens, newest first, ended ones too.
    pub async fn list_tokens_of_user(&mut self, user: &UserId) -> Result<Vec<ApiToken>> {
        unimplemented!()
    }
}
