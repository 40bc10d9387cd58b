//! Requests in short, a line each, for lists of the whole tenant: everything such a list shows
//! comes by one statement a page.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, RequestId, ResourceId, UserId},
    request::RequestState,
};

use crate::{activity::ActivityQuery, error::Result, page::PageQuery, sql::Row, tx::Tx};

/// A request in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The request.
    pub id: RequestId,
    /// The number people say.
    pub number: i64,
    /// For whom.
    pub grantee_id: UserId,
    /// Where it stands.
    pub state: RequestState,
    /// Why access was wanted.
    pub justification: Option<String>,
    /// When it was filed.
    pub created_at: Timestamp,
    /// What was asked for, in the order of insertion; never empty.
    pub entitlements: Vec<LineEntitlement>,
}

/// An entitlement in a [`RequestLine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEntitlement {
    /// Where.
    pub integration_id: IntegrationId,
    /// On what.
    pub resource_id: ResourceId,
    /// The permission's name.
    pub permission: String,
}

/// A request from one of its entitlements.
fn read_line(row: &Row) -> Result<RequestLine> {
    Ok(RequestLine {
        id: RequestId::new(row.text("id")?),
        number: row.int("number")?,
        grantee_id: UserId::new(row.text("grantee_id")?),
        state: row.word("state", RequestState::parse)?,
        justification: row.opt_text("justification")?,
        created_at: row.time("created_at")?,
        entitlements: vec![LineEntitlement {
            integration_id: IntegrationId::new(row.text("integration_id")?),
            resource_id: ResourceId::new(row.text("resource_id")?),
            permission: row.text("permission")?,
        }],
    })
}

impl Tx {
    /// A page of requests in short with their entitlements, read by one statement.
    pub async fn list_request_lines(
        &mut self,
        query: &ActivityQuery,
        page: &PageQuery,
    ) -> Result<Vec<RequestLine>> {
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = query.places(page);
        sql.text = format!(
            "SELECT r.id, r.number, r.grantee_id, r.state, r.justification, r.created_at, \
             n.integration_id, n.resource_id, n.permission FROM ({}) p \
             JOIN requests r ON r.id = p.id JOIN request_units n ON n.request_id = r.id \
             ORDER BY r.created_at, r.id, n.position",
            sql.text
        );
        let rows = self.rows(sql, |row| Ok((row.text("id")?, read_line(row)?))).await?;
        let mut lines: Vec<RequestLine> = Vec::new();
        for (id, unit) in rows {
            match lines.last_mut().filter(|last| last.id.as_str() == id) {
                Some(last) => last.entitlements.extend(unit.entitlements),
                None => lines.push(unit),
            }
        }
        if page.newest_first {
            lines.reverse();
        }
        Ok(lines)
    }
}
