//! Requests as their parties' lists show them: without their policy, and with the places of what
//! they ask for, which stand in the request's own row.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{BundleId, IntegrationId, RequestId, UserId},
    request::RequestState,
};

use crate::{
    error::Result,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestPart {
    /// The integration's name; its id once it is deleted.
    pub integration_name: String,
    /// Types of the resources that were asked for in it.
    pub resource_types: BTreeSet<String>,
}

impl Tx {
    /// Requests by filter, in the order of lists.
    pub async fn list_listed_requests(
        &mut self,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Vec<ListedRequest>> {
        let mut sql = Sql::new(
            "SELECT r.id, r.requestor_id, r.grantee_id, r.bundle_id, r.state, r.justification, \
             r.duration_sec, r.custom_fields, r.created_at, r.ended_at, r.places \
             FROM requests r WHERE TRUE",
        );
        filter.apply(&mut sql);
        page.apply(&mut sql, "r.created_at", "r.id");
        let mut listed = self.rows(sql, read).await?;
        let ids: BTreeSet<IntegrationId> =
            listed.iter().flat_map(|one| one.parts.keys()).cloned().collect();
        let ids: Vec<IntegrationId> = ids.into_iter().collect();
        let names = self.integration_names(&ids).await?;
        for (id, part) in listed.iter_mut().flat_map(|one| &mut one.parts) {
            let name = names.get(id).map_or(id.as_str(), String::as_str);
            name.clone_into(&mut part.integration_name);
        }
        Ok(listed)
    }
}

fn read(row: &Row) -> Result<ListedRequest> {
    let mut parts: BTreeMap<IntegrationId, RequestPart> = BTreeMap::new();
    let places: Vec<(IntegrationId, String)> = row.json("places")?;
    for (integration, resource_type) in places {
        parts.entry(integration).or_default().resource_types.insert(resource_type);
    }
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
        parts,
    })
}
