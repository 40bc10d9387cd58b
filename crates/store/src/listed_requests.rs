//! Requests as their parties' lists show them: without their policy, and with the places of what
//! they ask for, all by one statement a page.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{BundleId, IntegrationId, RequestId, UserId},
    request::RequestState,
};

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    requests::RequestFilter,
    sql::{Row, Sql},
    tx::Tx,
};

/// A request in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRequest {
    /// The request.
    pub id: RequestId,
    /// Who asked.
    pub requestor_id: UserId,
    /// For whom.
    pub grantee_id: UserId,
    /// The bundle it was asked through.
    pub bundle_id: Option<BundleId>,
    /// Where it stands.
    pub state: RequestState,
    /// Why access is wanted.
    pub justification: Option<String>,
    /// The length of the grant in seconds; `None` until revoked.
    pub duration_sec: Option<i64>,
    /// Further fields of the form.
    pub custom_fields: BTreeMap<String, String>,
    /// When it was filed.
    pub created_at: Timestamp,
    /// When access had ended.
    pub ended_at: Option<Timestamp>,
    /// Its parts, by integration.
    pub parts: BTreeMap<IntegrationId, RequestPart>,
}

/// The part of a request that lives in one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPart {
    /// The integration's name; its id once it is deleted.
    pub integration_name: String,
    /// Types of the resources that were asked for in it.
    pub resource_types: BTreeSet<String>,
}

/// Between the words of a place, and between places: control characters, which no id, type or
/// name has.
const BETWEEN_WORDS: char = '\u{1f}';
const BETWEEN_PLACES: char = '\u{1e}';

impl Tx {
    /// Requests by filter, in the order of lists.
    pub async fn list_listed_requests(
        &mut self,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Vec<ListedRequest>> {
        let mut sql = Sql::new(
            "SELECT r.id, r.requestor_id, r.grantee_id, r.bundle_id, r.state, r.justification, \
             r.duration_sec, r.custom_fields, r.created_at, r.ended_at, \
             (SELECT string_agg(n.integration_id || ",
        );
        let word = BETWEEN_WORDS.to_string();
        sql.bind(word.as_str()).push(" || n.resource_type || ").bind(word);
        sql.push(" || COALESCE(i.name, n.integration_id), ").bind(BETWEEN_PLACES.to_string());
        sql.push(
            ") FROM request_units n LEFT JOIN integrations i ON i.id = n.integration_id \
             WHERE n.request_id = r.id) AS places FROM requests r WHERE TRUE",
        );
        filter.apply(&mut sql);
        page.apply(&mut sql, "r.created_at", "r.id");
        self.rows(sql, read).await
    }
}

fn read(row: &Row) -> Result<ListedRequest> {
    Ok(ListedRequest {
        id: RequestId::new(row.text("id")?),
        requestor_id: UserId::new(row.text("requestor_id")?),
        grantee_id: UserId::new(row.text("grantee_id")?),
        bundle_id: row.opt_text("bundle_id")?.map(BundleId::new),
        state: row.word("state", RequestState::parse)?,
        justification: row.opt_text("justification")?,
        duration_sec: row.opt_int("duration_sec")?,
        custom_fields: row.json("custom_fields")?,
        created_at: row.time("created_at")?,
        ended_at: row.opt_time("ended_at")?,
        parts: read_parts(row.opt_text("places")?.as_deref().unwrap_or_default())?,
    })
}

fn read_parts(places: &str) -> Result<BTreeMap<IntegrationId, RequestPart>> {
    let mut parts: BTreeMap<IntegrationId, RequestPart> = BTreeMap::new();
    for place in places.split(BETWEEN_PLACES).filter(|place| !place.is_empty()) {
        let mut words = place.splitn(3, BETWEEN_WORDS);
        let (Some(integration), Some(kind), Some(name)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(StoreError::corrupt("the places of a request"));
        };
        let part = parts.entry(IntegrationId::new(integration)).or_insert_with(|| RequestPart {
            integration_name: name.to_owned(),
            resource_types: BTreeSet::new(),
        });
        part.resource_types.insert(kind.to_owned());
    }
    Ok(parts)
}
