//! Activity: requests by what was asked, by whom and how it went, a page at a time.
//!
//! Every filter is answered from an index in the order of lists, so that the first page of a long
//! history costs no more than the last. The narrowest filter drives: each of its values is a walk
//! along one index that stops at the page's end, and the walks are merged. The others are looked
//! up for the rows that it brings.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::{
    flow::FlowTrigger,
    ids::{BundleId, FlowId, IntegrationId, RequestId, ResourceId, UserId},
    people::normalize_email,
    request::{RequestState, UnitState},
};

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, micros},
    tx::Tx,
};

/// More values than these are compared in one walk.
const MOST_WALKS: usize = 32;

/// Which requests. Every part that is there must hold; `None` holds for all, an empty list for
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityQuery {
    /// Filed at or after.
    pub from: Option<Timestamp>,
    /// Filed before.
    pub until: Option<Timestamp>,
    /// One of these requests.
    pub request_ids: Option<Vec<RequestId>>,
    /// Asked by one of these people.
    pub requestor_ids: Option<Vec<UserId>>,
    /// For one of these people.
    pub grantee_ids: Option<Vec<UserId>>,
    /// Governed by one of these flows.
    pub flow_ids: Option<Vec<FlowId>>,
    /// In one of these states.
    pub states: Option<Vec<RequestState>>,
    /// Begun in one of these ways.
    pub triggers: Option<Vec<FlowTrigger>>,
    /// With an entitlement that passes all of this.
    pub units: ActivityUnitQuery,
}

/// Which entitlements. Every part that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityUnitQuery {
    /// In one of these integrations.
    pub integration_ids: Option<Vec<IntegrationId>>,
    /// Of one of these types.
    pub resource_types: Option<Vec<String>>,
    /// On one of these resources, by id or by the name it had when asked for.
    pub resources: Option<Vec<String>>,
    /// One of these permissions, by name.
    pub permissions: Option<Vec<String>>,
}

/// What activity says about a request, without its policy and its texts for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRequest {
    /// The request.
    pub id: RequestId,
    /// The number people say.
    pub number: i64,
    /// Who asked.
    pub requestor_id: UserId,
    /// For whom.
    pub grantee_id: UserId,
    /// The governing flow.
    pub flow_id: FlowId,
    /// The bundle it was asked through.
    pub bundle_id: Option<BundleId>,
    /// Where it stands.
    pub state: RequestState,
    /// Why access was wanted.
    pub justification: Option<String>,
    /// When it was filed.
    pub created_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// When access began.
    pub granted_at: Option<Timestamp>,
    /// When access had ended.
    pub ended_at: Option<Timestamp>,
    /// How it began.
    pub trigger: FlowTrigger,
    /// How often it was prolonged.
    pub extension_count: u32,
}

/// What activity says about an entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityUnit {
    /// The request.
    pub request_id: RequestId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// The resource's type.
    pub resource_type: String,
    /// The resource.
    pub resource_id: ResourceId,
    /// Its name when asked for.
    pub resource_name: String,
    /// The permission's name.
    pub permission: String,
    /// How it stands.
    pub state: UnitState,
}

impl ActivityUnitQuery {
    /// Whether every entitlement passes.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the entitlement passes.
    pub fn passes(&self, unit: &ActivityUnit) -> bool {
        fn among<T: AsRef<str>>(wanted: Option<&Vec<T>>, texts: &[&str]) -> bool {
            wanted.is_none_or(|wanted| wanted.iter().any(|one| texts.contains(&one.as_ref())))
        }
        let resource = [unit.resource_id.as_str(), unit.resource_name.as_str()];
        among(self.integration_ids.as_ref(), &[unit.integration_id.as_str()])
            && among(self.resource_types.as_ref(), &[unit.resource_type.as_str()])
            && among(self.resources.as_ref(), &resource)
            && among(self.permissions.as_ref(), &[unit.permission.as_str()])
    }

    fn apply(&self, sql: &mut Sql) {
        in_list(sql, "n.integration_id", self.integration_ids.as_deref());
        in_list(sql, "n.resource_type", self.resource_types.as_deref());
        in_list(sql, "n.permission", self.permissions.as_deref());
        if let Some(resources) = &self.resources {
            sql.push(" AND (n.resource_id IN ").list(resources.iter().map(String::as_str));
            sql.push(" OR n.resource_name IN ").list(resources.iter().map(String::as_str));
            sql.push(")");
        }
    }
}

impl ActivityQuery {
    /// Whether nothing can pass: a filter without values.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists().into_iter().any(|(_, values)| values.is_empty())
    }

    /// The filters that are there, narrowest first: columns and values.
    fn lists(&self) -> Vec<(&'static [&'static str], Vec<&str>)> {
        fn texts<T: AsRef<str>>(values: Option<&Vec<T>>) -> Option<Vec<&str>> {
            values.map(|values| values.iter().map(AsRef::as_ref).collect())
        }
        let states = self.states.as_ref();
        let triggers = self.triggers.as_ref();
        let by_width: [(&'static [&'static str], Option<Vec<&str>>); 10] = [
            (&["r.id"], texts(self.request_ids.as_ref())),
            (&["n.resource_id", "n.resource_name"], texts(self.units.resources.as_ref())),
            (&["r.requestor_id"], texts(self.requestor_ids.as_ref())),
            (&["r.grantee_id"], texts(self.grantee_ids.as_ref())),
            (&["n.integration_id"], texts(self.units.integration_ids.as_ref())),
            (&["r.flow_id"], texts(self.flow_ids.as_ref())),
            (&["n.permission"], texts(self.units.permissions.as_ref())),
            (&["n.resource_type"], texts(self.units.resource_types.as_ref())),
            (&["r.state"], states.map(|all| all.iter().map(|one| one.as_str()).collect())),
            (&["r.trigger_type"], triggers.map(|all| all.iter().map(|one| one.as_str()).collect())),
        ];
        by_width.into_iter().filter_map(|(columns, values)| Some((columns, values?))).collect()
    }

    /// The conditions on requests, but for the period.
    fn apply_to_requests(&self, sql: &mut Sql) {
        in_list(sql, "r.id", self.request_ids.as_deref());
        in_list(sql, "r.requestor_id", self.requestor_ids.as_deref());
        in_list(sql, "r.grantee_id", self.grantee_ids.as_deref());
        in_list(sql, "r.flow_id", self.flow_ids.as_deref());
        if let Some(states) = &self.states {
            sql.push(" AND r.state IN ").list(states.iter().map(|state| state.as_str()));
        }
        if let Some(triggers) = &self.triggers {
            sql.push(" AND r.trigger_type IN ").list(triggers.iter().map(|word| word.as_str()));
        }
    }

    fn has_request_filters(&self) -> bool {
        Self { units: ActivityUnitQuery::default(), from: None, until: None, ..self.clone() }
            != Self::default()
    }

    /// Appends the period. Where the page begins inside of it the page's own bound is enough; of
    /// two bounds on one side SQLite searches by one, and that could be the wrong one.
    fn period(&self, sql: &mut Sql, created_at: &str, page: &PageQuery) {
        let after = page.after.as_ref().map(|after| after.created_at);
        let is_passed = |from| !page.newest_first && after.is_some_and(|after| after >= from);
        if let Some(from) = self.from.filter(|from| !is_passed(*from)) {
            sql.push(" AND ").push(created_at).push(" >= ").bind(micros(from));
        }
        let is_passed = |until| page.newest_first && after.is_some_and(|after| after < until);
        if let Some(until) = self.until.filter(|until| !is_passed(*until)) {
            sql.push(" AND ").push(created_at).push(" < ").bind(micros(until));
        }
    }

    /// Appends one walk: places of requests, in order, a page of them at most. `value` stands
    /// for the driving filter's; without one every request is walked along.
    fn walk(&self, sql: &mut Sql, driver: Option<(&str, &[&str])>, page: &PageQuery) {
        if driver.is_some_and(|(column, _)| column.starts_with("n.")) {
            sql.push(
                "SELECT n.created_at AS created_at, n.request_id AS id FROM request_units n \
                 WHERE TRUE",
            );
            driven(sql, driver);
            self.units.apply(sql);
            self.period(sql, "n.created_at", page);
            if self.has_request_filters() {
                sql.push(" AND EXISTS (SELECT 1 FROM requests r WHERE r.id = n.request_id");
                self.apply_to_requests(sql);
                sql.push(")");
            }
            page.apply_grouped(sql, "n.created_at", "n.request_id");
            return;
        }
        sql.push("SELECT r.created_at AS created_at, r.id AS id FROM requests r WHERE TRUE");
        driven(sql, driver);
        self.apply_to_requests(sql);
        self.period(sql, "r.created_at", page);
        if !self.units.is_open() {
            sql.push(" AND EXISTS (SELECT 1 FROM request_units n WHERE n.request_id = r.id");
            self.units.apply(sql);
            sql.push(")");
        }
        page.apply(sql, "r.created_at", "r.id");
    }

    /// The statement that finds a page of requests.
    pub(crate) fn places(&self, page: &PageQuery) -> Sql {
        let lists = self.lists();
        let mut walks: Vec<(&str, &[&str])> = Vec::new();
        if let Some((columns, values)) = lists.first() {
            for column in *columns {
                if values.len() > MOST_WALKS || *column == "r.id" {
                    walks.push((column, values));
                } else {
                    walks.extend(values.chunks(1).map(|value| (*column, value)));
                }
            }
        }
        let mut sql = Sql::new("");
        if walks.len() < 2 {
            self.walk(&mut sql, walks.first().copied(), page);
            return sql;
        }
        sql.push("SELECT u.created_at, u.id FROM (");
        for (at, walk) in walks.into_iter().enumerate() {
            sql.push(if at > 0 { " UNION ALL " } else { "" });
            // SQLite takes ORDER BY and LIMIT of a part only inside of a query of its own.
            sql.push("SELECT w.created_at, w.id FROM (");
            self.walk(&mut sql, Some(walk), page);
            sql.push(") w");
        }
        sql.push(") u WHERE TRUE");
        page.apply_grouped(&mut sql, "u.created_at", "u.id");
        sql
    }
}

/// Appends ` AND column IN (…)` if there is a filter; an empty one holds for nothing.
fn in_list<T: AsRef<str>>(sql: &mut Sql, column: &str, values: Option<&[T]>) {
    if let Some(values) = values {
        sql.push(" AND ").push(column).push(" IN ").list(values.iter().map(AsRef::as_ref));
    }
}

/// Appends the driving condition, an equation where it is one value: only that is in the order
/// of an index.
fn driven(sql: &mut Sql, driver: Option<(&str, &[&str])>) {
    match driver {
        Some((column, [value])) => {
            sql.push(" AND ").push(column).push(" = ").bind(*value);
        }
        Some((column, values)) => {
            sql.push(" AND ").push(column).push(" IN ").list(values.iter().copied());
        }
        None => {}
    }
}

const COLUMNS: &str = "r.id, r.number, r.requestor_id, r.grantee_id, r.flow_id, r.bundle_id, \
     r.state, r.justification, r.created_at, r.decided_at, r.granted_at, r.ended_at, \
     r.trigger_type, r.extension_count";

fn read_request(row: &Row) -> Result<ActivityRequest> {
    Ok(ActivityRequest {
        id: RequestId::new(row.text("id")?),
        number: row.int("number")?,
        requestor_id: UserId::new(row.text("requestor_id")?),
        grantee_id: UserId::new(row.text("grantee_id")?),
        flow_id: FlowId::new(row.text("flow_id")?),
        bundle_id: row.opt_text("bundle_id")?.map(BundleId::new),
        state: row.word("state", RequestState::parse)?,
        justification: row.opt_text("justification")?,
        created_at: row.time("created_at")?,
        decided_at: row.opt_time("decided_at")?,
        granted_at: row.opt_time("granted_at")?,
        ended_at: row.opt_time("ended_at")?,
        trigger: row.word("trigger_type", |word| FlowTrigger::parse(word).ok())?,
        extension_count: u32::try_from(row.int("extension_count")?).map_err(StoreError::corrupt)?,
    })
}

fn read_unit(row: &Row) -> Result<ActivityUnit> {
    Ok(ActivityUnit {
        request_id: RequestId::new(row.text("request_id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        resource_type: row.text("resource_type")?,
        resource_id: ResourceId::new(row.text("resource_id")?),
        resource_name: row.text("resource_name")?,
        permission: row.text("permission")?,
        state: row.word("state", UnitState::parse)?,
    })
}

impl Tx {
    /// Requests by filter, in the order of lists.
    pub async fn list_activity(
        &mut self,
        query: &ActivityQuery,
        page: &PageQuery,
    ) -> Result<Vec<ActivityRequest>> {
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let ids = self.rows(query.places(page), |row| row.text("id")).await?;
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM requests r WHERE r.id IN "));
            sql.list(ids.iter().map(String::as_str));
            found.extend(self.rows(sql, read_request).await?);
        }
        found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        if page.newest_first {
            found.reverse();
        }
        Ok(found)
    }

    /// The entitlements of several requests, each request's in the order of insertion.
    pub async fn activity_units(&mut self, requests: &[RequestId]) -> Result<Vec<ActivityUnit>> {
        let mut found = Vec::new();
        for requests in requests.chunks(CHUNK) {
            let mut sql = Sql::new(
                "SELECT n.request_id, n.integration_id, n.resource_type, n.resource_id, \
                 n.resource_name, n.permission, n.state FROM request_units n WHERE n.request_id IN ",
            );
            sql.list(requests.iter().map(RequestId::as_str));
            sql.push(" ORDER BY n.request_id, n.position");
            found.extend(self.rows(sql, read_unit).await?);
        }
        Ok(found)
    }

    /// The requests with one of these ids or numbers, each once and in no order.
    pub async fn request_ids_named(
        &mut self,
        ids: &[RequestId],
        numbers: &[i64],
    ) -> Result<Vec<(RequestId, i64)>> {
        let mut found = Vec::new();
        let read = |row: &Row| Ok((RequestId::new(row.text("id")?), row.int("number")?));
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new("SELECT r.id, r.number FROM requests r WHERE r.id IN ");
            sql.list(ids.iter().map(RequestId::as_str));
            found.extend(self.rows(sql, read).await?);
        }
        for numbers in numbers.chunks(CHUNK) {
            let mut sql = Sql::new("SELECT r.id, r.number FROM requests r WHERE r.number IN ");
            sql.list(numbers.iter().copied());
            found.extend(self.rows(sql, read).await?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The people whom these texts name: by id, by address, or by id in their identity source.
    pub async fn user_ids_named(&mut self, texts: &[String]) -> Result<Vec<UserId>> {
        let mut found = Vec::new();
        for texts in texts.chunks(CHUNK) {
            let mut sql = Sql::new("SELECT u.id FROM users u WHERE u.id IN ");
            sql.list(texts.iter().map(String::as_str));
            sql.push(" UNION SELECT u.id FROM users u WHERE u.source_id IN ");
            sql.list(texts.iter().map(String::as_str));
            sql.push(" UNION SELECT e.user_id AS id FROM user_emails e WHERE e.email IN ");
            sql.list(texts.iter().map(|text| normalize_email(text)));
            found.extend(self.rows(sql, |row| Ok(UserId::new(row.text("id")?))).await?);
        }
        Ok(found)
    }

    /// Names of flows by id, now or, once they are deleted, what they were last.
    pub async fn flow_names(&mut self, ids: &[FlowId]) -> Result<BTreeMap<FlowId, String>> {
        self.names("access_flows", ids, FlowId::new).await
    }

    /// Names of integrations by id, now or, once they are deleted, what they were last.
    pub async fn integration_names(
        &mut self,
        ids: &[IntegrationId],
    ) -> Result<BTreeMap<IntegrationId, String>> {
        self.names("integrations", ids, IntegrationId::new).await
    }

    pub(crate) async fn names<I: AsRef<str> + Ord>(
        &mut self,
        table: &'static str,
        ids: &[I],
        id: impl Fn(String) -> I,
    ) -> Result<BTreeMap<I, String>> {
        let mut found = BTreeMap::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT t.id, t.name FROM {table} t WHERE t.id IN "));
            sql.list(ids.iter().map(AsRef::as_ref));
            sql.push(" UNION ALL SELECT f.id, f.name FROM former_names f WHERE f.id IN ");
            sql.list(ids.iter().map(AsRef::as_ref));
            let rows = self.rows(sql, |row| Ok((row.text("id")?, row.text("name")?))).await?;
            found.extend(rows.into_iter().map(|(key, name)| (id(key), name)));
        }
        Ok(found)
    }

    /// Keeps what a thing that is about to be deleted was called.
    pub(crate) async fn keep_name(&mut self, table: &'static str, key: &str) -> Result<()> {
        let mut sql = Sql::new(&format!(
            "INSERT INTO former_names (id, name) SELECT t.id, t.name FROM {table} t WHERE t.id = "
        ));
        sql.bind(key).push(" ON CONFLICT (id) DO NOTHING");
        self.exec(sql).await?;
        Ok(())
    }
}
