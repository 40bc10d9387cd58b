//! Access flows, and an index of what each of them names.

use std::collections::BTreeSet;

use latchkey_domain::{
    flow::{AccessFlow, FlowPolicy, FlowTarget, MatchOperator},
    ids::{AccessScopeId, BundleId, FlowId, GroupId, IntegrationId},
    settings::FLOORS,
};
use serde_json::Value;

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
    wake::Wake,
};

/// See [`Tx::policy_mark`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyMark {
    tables: Vec<(u64, i64, Option<String>)>,
    floors: Option<Value>,
}

const COLUMNS: &str =
    "f.id, f.name, f.description, f.active, f.policy, f.version, f.created_at, f.updated_at";

fn read_flow(row: &Row) -> Result<AccessFlow> {
    Ok(AccessFlow {
        id: FlowId::new(row.text("id")?),
        name: row.text("name")?,
        description: row.opt_text("description")?,
        active: row.flag("active")?,
        policy: row.json("policy")?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.opt_time("updated_at")?,
    })
}

/// What a policy names, as (kind, id).
fn references(policy: &FlowPolicy) -> BTreeSet<(&'static str, String)> {
    let mut named = BTreeSet::new();
    for target in &policy.access_targets {
        named.insert(match target {
            FlowTarget::Integration(target) => {
                (INTEGRATION, target.integration_id.as_str().to_owned())
            }
            FlowTarget::Bundle(id) => (BUNDLE, id.as_str().to_owned()),
            FlowTarget::AccessScope(id) => (ACCESS_SCOPE, id.as_str().to_owned()),
        });
    }
    let grantees = policy.request_for.as_ref().and_then(|others| others.grantees.as_ref());
    let groups = policy.approver_policy.iter().flat_map(|policy| &policy.approver_groups);
    let tiers = policy.escalation_policy.iter().flat_map(|policy| &policy.approver_groups);
    let conditions = policy
        .requestors
        .conditions
        .iter()
        .chain(grantees.iter().flat_map(|set| &set.conditions))
        .chain(groups.chain(tiers).flat_map(|group| &group.approvers));
    for condition in conditions {
        if let Some(source) = &condition.source_integration_id {
            named.insert((INTEGRATION, source.as_str().to_owned()));
        }
        let compares_ids = matches!(condition.operator(), MatchOperator::Is | MatchOperator::IsNot);
        let pinned = condition.pinned_ids.iter().flatten().count();
        if compares_ids && pinned < condition.values().len() {
            named.insert((WAITING, condition.attribute_type.clone()));
        }
        if condition.attribute_type.eq_ignore_ascii_case("group") {
            let pinned = condition.pinned_ids.iter().flatten();
            for id in pinned.chain(condition.values()) {
                named.insert((GROUP, id.clone()));
            }
        }
    }
    named
}

const INTEGRATION: &str = "integration";
const BUNDLE: &str = "bundle";
const ACCESS_SCOPE: &str = "access_scope";
const GROUP: &str = "group";
/// Has a condition on such an attribute with a value that no identity was known for.
const WAITING: &str = "waiting";
/// What such a condition is on, in rows of before that was noted.
const ANY_TYPE: &str = "*";

impl Tx {
    /// Adds a flow. A taken name is a duplicate.
    pub async fn insert_flow(&mut self, flow: &AccessFlow) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let mut sql = Sql::new(
            "INSERT INTO access_flows (id, name, name_lower, description, active, policy, \
             version, created_at, updated_at) VALUES ",
        );
        sql.list(values![
            flow.id.as_str(),
            flow.name.as_str(),
            flow.name.to_lowercase(),
            flow.description.as_deref(),
            flow.active,
            json(&flow.policy)?,
            flow.version,
            micros(flow.created_at),
            opt_micros(flow.updated_at),
        ]);
        self.exec(sql).await?;
        self.write_references(flow).await
    }

    /// Writes a flow. Raises the version by one, in the argument too; [`StoreError::Conflict`]
    /// if the row's version is not the argument's.
    pub async fn update_flow(&mut self, flow: &mut AccessFlow) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let sql = Sql::with(
            "UPDATE access_flows SET version = version + 1, name = $3, name_lower = $4, \
             description = $5, active = $6, policy = $7, updated_at = $8 \
             WHERE id = $1 AND version = $2",
            values![
                flow.id.as_str(),
                flow.version,
                flow.name.as_str(),
                flow.name.to_lowercase(),
                flow.description.as_deref(),
                flow.active,
                json(&flow.policy)?,
                opt_micros(flow.updated_at),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the access flow" });
        }
        flow.version += 1;
        let sql = "DELETE FROM flow_references WHERE flow_id = $1";
        self.exec(Sql::with(sql, values![flow.id.as_str()])).await?;
        self.write_references(flow).await
    }

    async fn write_references(&mut self, flow: &AccessFlow) -> Result<()> {
        for (kind, id) in references(&flow.policy) {
            let sql = "INSERT INTO flow_references (flow_id, kind, ref_id) VALUES ($1, $2, $3)";
            self.exec(Sql::with(sql, values![flow.id.as_str(), kind, id])).await?;
        }
        Ok(())
    }

    /// The flow with this id.
    pub async fn find_flow(&mut self, id: &FlowId) -> Result<Option<AccessFlow>> {
        Ok(self.find_flows(std::slice::from_ref(id)).await?.pop())
    }

    /// The flow of this name, without letter case.
    pub async fn find_flow_by_name(&mut self, name: &str) -> Result<Option<AccessFlow>> {
        let sql = format!("SELECT {COLUMNS} FROM access_flows f WHERE f.name_lower = $1");
        let sql = Sql::with(&sql, values![name.to_lowercase()]);
        self.row(sql).await?.as_ref().map(read_flow).transpose()
    }

    /// The flows with these ids, in no order; unknown ids are left out.
    pub async fn find_flows(&mut self, ids: &[FlowId]) -> Result<Vec<AccessFlow>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM access_flows f WHERE f.id IN "));
            sql.list(ids.iter().map(FlowId::as_str));
            found.extend(self.rows(sql, read_flow).await?);
        }
        Ok(found)
    }

    /// Flows in the order of lists.
    pub async fn list_flows(&mut self, page: &PageQuery) -> Result<Vec<AccessFlow>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM access_flows f WHERE TRUE"));
        page.apply(&mut sql, "f.created_at", "f.id");
        self.rows(sql, read_flow).await
    }

    /// What flows, bundles, access scopes and floors come to: two that are equal mean that none of
    /// them changed. Ids grow with time, so whatever came or went shows in a count or in a newest id.
    pub async fn policy_mark(&mut self) -> Result<PolicyMark> {
        let mut tables = Vec::new();
        for table in ["access_flows", "bundles", "access_scopes"] {
            let sql = Sql::new(&format!(
                "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(version), 0) AS BIGINT) AS changes, \
                 MAX(id) AS newest FROM {table}"
            ));
            let read =
                |row: &Row| Ok((row.count("n")?, row.int("changes")?, row.opt_text("newest")?));
            tables.extend(self.rows(sql, read).await?);
        }
        Ok(PolicyMark { tables, floors: self.find_setting(FLOORS).await? })
    }

    /// Deletes a flow; requests keep what it said, and its name is kept for them. False without such a flow.
    pub async fn delete_flow(&mut self, id: &FlowId) -> Result<bool> {
        self.wake_after(Wake::Inventory);
        self.keep_name("access_flows", id.as_str()).await?;
        let sql = Sql::with("DELETE FROM access_flows WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }

    /// The flows new requests may use, oldest first.
    pub async fn active_flows(&mut self) -> Result<Vec<AccessFlow>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM access_flows f WHERE f.active"));
        PageQuery::all().apply(&mut sql, "f.created_at", "f.id");
        self.rows(sql, read_flow).await
    }

    /// Flows that name the integration as target, or as source of a condition; oldest first.
    pub async fn flows_using_integration(&mut self, id: &IntegrationId) -> Result<Vec<AccessFlow>> {
        self.flows_naming(INTEGRATION, id.as_str()).await
    }

    /// Flows with a condition on the group, pinned or by its id; oldest first.
    pub async fn flows_using_group(&mut self, id: &GroupId) -> Result<Vec<AccessFlow>> {
        self.flows_naming(GROUP, id.as_str()).await
    }

    /// Flows that target the bundle, oldest first.
    pub async fn flows_using_bundle(&mut self, id: &BundleId) -> Result<Vec<AccessFlow>> {
        self.flows_naming(BUNDLE, id.as_str()).await
    }

    /// Flows that target the access scope, oldest first; not those that target a bundle with it.
    pub async fn flows_using_access_scope(
        &mut self,
        id: &AccessScopeId,
    ) -> Result<Vec<AccessFlow>> {
        self.flows_naming(ACCESS_SCOPE, id.as_str()).await
    }

    /// Flows with a condition on one of these kinds of attributes that names somebody or something
    /// not known when the flow was written; oldest first.
    pub async fn flows_waiting_for(
        &mut self,
        attribute_types: &BTreeSet<&str>,
    ) -> Result<Vec<AccessFlow>> {
        let kinds = attribute_types.iter().copied().chain([ANY_TYPE]);
        let mut sql = Sql::new(&format!(
            "SELECT {COLUMNS} FROM access_flows f WHERE f.id IN \
             (SELECT n.flow_id FROM flow_references n WHERE TRUE"
        ));
        sql.and_eq("n.kind", Some(WAITING)).and_in("n.ref_id", kinds).push(")");
        PageQuery::all().apply(&mut sql, "f.created_at", "f.id");
        self.rows(sql, read_flow).await
    }

    async fn flows_naming(&mut self, kind: &str, id: &str) -> Result<Vec<AccessFlow>> {
        let mut sql = Sql::new(&format!(
            "SELECT {COLUMNS} FROM flow_references n JOIN access_flows f ON f.id = n.flow_id \
             WHERE TRUE"
        ));
        sql.and_eq("n.kind", Some(kind)).and_eq("n.ref_id", Some(id));
        PageQuery::all().apply(&mut sql, "f.created_at", "f.id");
        self.rows(sql, read_flow).await
    }
}
