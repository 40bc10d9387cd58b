//! What discovery found.
//!
//! A discovery run comes in pages. Only a run that reached its last page may call unseen
//! resources gone; a newer run makes an older one void, so that two that overlap cannot mix.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, JobId, PermissionId, ResourceId},
    inventory::{Permission, Resource, ResourceStatus, RiskLevel},
    provisioning::DiscoveredResource,
};

use crate::{
    error::{Result, StoreError},
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
};

/// One discovery run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncRunId(pub(crate) String);

impl fmt::Display for SyncRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The discovery run that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRun {
    /// Names the run.
    pub id: SyncRunId,
    /// How many pages have been recorded: the number of the next one.
    pub pages: u32,
    /// When it began.
    pub started_at: Timestamp,
}

/// What a finished run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSummary {
    /// Resources seen by the run.
    pub found: u64,
    /// Resources that the run did not see any more.
    pub deleted: u64,
}

/// How often the inventory of an integration has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryVersion {
    /// The integration.
    pub integration_id: IntegrationId,
    /// Its name now.
    pub integration_name: String,
    /// Grows with every change.
    pub version: i64,
}

/// Which resources. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// In any of these integrations.
    pub integration_ids: Vec<IntegrationId>,
    /// Of any of these types.
    pub resource_types: Vec<String>,
    /// Name.
    pub name: Option<TextMatch>,
    /// Native id, to the letter.
    pub source_id: Option<String>,
    /// Also those that are gone from the target.
    pub include_deleted: bool,
}

const COLUMNS: &str = "r.id, r.integration_id, r.resource_type, r.source_id, r.name, r.path, \
     r.tags, r.user_tags, r.context, r.status, r.risk, r.created_at";

/// How many resources go into one statement.
const BATCH: usize = 200;

fn read_resource(row: &Row) -> Result<Resource> {
    Ok(Resource {
        id: ResourceId::new(row.text("id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        resource_type: row.text("resource_type")?,
        source_id: row.text("source_id")?,
        name: row.text("name")?,
        path: row.text("path")?,
        tags: row.json("tags")?,
        user_tags: row.json("user_tags")?,
        context: row.json("context")?,
        status: row.word("status", parse_status)?,
        risk: read_risk(row)?,
        created_at: row.time("created_at")?,
    })
}

fn read_permission(row: &Row) -> Result<Permission> {
    Ok(Permission {
        id: PermissionId::new(row.text("id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        resource_type: row.text("resource_type")?,
        name: row.text("name")?,
        risk: read_risk(row)?,
    })
}

fn status_word(status: ResourceStatus) -> &'static str {
    match status {
        ResourceStatus::Active => "active",
        ResourceStatus::Error => "error",
        ResourceStatus::Deleted => "deleted",
    }
}

fn parse_status(word: &str) -> Option<ResourceStatus> {
    [ResourceStatus::Active, ResourceStatus::Error, ResourceStatus::Deleted]
        .into_iter()
        .find(|status| status_word(*status) == word)
}

fn risk_word(risk: RiskLevel) -> &'static str {
    match risk {
        RiskLevel::Low => "low",
        RiskLevel::Medium => "medium",
        RiskLevel::High => "high",
        RiskLevel::Critical => "critical",
    }
}

fn read_risk(row: &Row) -> Result<Option<RiskLevel>> {
    let Some(word) = row.opt_text("risk")? else { return Ok(None) };
    [RiskLevel::Low, RiskLevel::Medium, RiskLevel::High, RiskLevel::Critical]
        .into_iter()
        .find(|risk| risk_word(*risk) == word)
        .map(Some)
        .ok_or_else(|| StoreError::corrupt("column risk"))
}

impl Tx {
    /// Begins a discovery run; one that was under way is void.
    pub async fn begin_sync(&mut self, integration: &IntegrationId) -> Result<SyncRunId> {
        let run = SyncRunId(JobId::generate(self.now(), self.rng()).into());
        let sql = Sql::with(
            "INSERT INTO sync_runs (integration_id, id, pages, started_at) VALUES ($1, $2, 0, $3) \
             ON CONFLICT (integration_id) DO UPDATE SET id = excluded.id, pages = 0, \
             started_at = excluded.started_at",
            values![integration.as_str(), run.0.as_str(), micros(self.now())],
        );
        self.exec(sql).await?;
        Ok(run)
    }

    /// The run that is under way.
    pub async fn find_sync(&mut self, integration: &IntegrationId) -> Result<Option<SyncRun>> {
        let sql = "SELECT id, pages, started_at FROM sync_runs WHERE integration_id = $1";
        let Some(row) = self.row(Sql::with(sql, values![integration.as_str()])).await? else {
            return Ok(None);
        };
        Ok(Some(SyncRun {
            id: SyncRunId(row.text("id")?),
            pages: u32::try_from(row.int("pages")?).map_err(StoreError::corrupt)?,
            started_at: row.time("started_at")?,
        }))
    }

    /// Records a page. [`StoreError::Conflict`] if the run is void.
    pub async fn record_found(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
        found: &[DiscoveredResource],
    ) -> Result<()> {
        let sql = Sql::with(
            "UPDATE sync_runs SET pages = pages + 1 WHERE integration_id = $1 AND id = $2",
            values![integration.as_str(), run.0.as_str()],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the discovery run" });
        }
        let version = self.next_inventory_version(integration).await?;
        self.write_found(integration, run, version, found).await
    }

    /// Writes what a run saw.
    async fn write_found(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
        version: i64,
        found: &[DiscoveredResource],
    ) -> Result<()> {
        // A statement may not write the same row twice; of equal native ids the last one counts.
        let found: BTreeMap<ResourceId, &DiscoveredResource> = found
            .iter()
            .map(|found| (ResourceId::derive(integration, &found.source_id), found))
            .collect();
        let found: Vec<(ResourceId, &DiscoveredResource)> = found.into_iter().collect();
        for batch in found.chunks(BATCH) {
            self.write_resources(integration, run, version, batch).await?;
        }
        Ok(())
    }

    async fn write_resources(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
        version: i64,
        batch: &[(ResourceId, &DiscoveredResource)],
    ) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO resources (id, integration_id, resource_type, source_id, name, \
             name_lower, path, tags, user_tags, context, status, created_at, seen_run, version) \
             VALUES ",
        );
        for (at, (id, found)) in batch.iter().enumerate() {
            sql.push(if at > 0 { ", " } else { "" });
            sql.list(values![
                id.as_str(),
                integration.as_str(),
                found.resource_type.as_str(),
                found.source_id.as_str(),
                found.name.as_str(),
                found.name.to_lowercase(),
                found.path.as_str(),
                json(&found.tags)?,
                "{}",
                json(&found.context)?,
                status_word(ResourceStatus::Active),
                micros(self.now()),
                run.0.as_str(),
                version,
            ]);
        }
        // A row that is found as it was keeps its version: most of a run changes nothing.
        sql.push(
            " ON CONFLICT (id) DO UPDATE SET resource_type = excluded.resource_type, \
             name = excluded.name, name_lower = excluded.name_lower, path = excluded.path, \
             tags = excluded.tags, context = excluded.context, status = excluded.status, \
             seen_run = excluded.seen_run, version = CASE WHEN \
             resources.resource_type = excluded.resource_type AND resources.name = excluded.name \
             AND resources.path = excluded.path AND resources.tags = excluded.tags \
             AND resources.context = excluded.context AND resources.status = excluded.status \
             THEN resources.version ELSE excluded.version END",
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// Records what was seen to change outside of a run. A run that is under way counts `found`
    /// as seen; unknown ids in `gone` are left out.
    pub async fn record_changes(
        &mut self,
        integration: &IntegrationId,
        found: &[DiscoveredResource],
        gone: &[String],
    ) -> Result<()> {
        let run = self.find_sync(integration).await?.map(|run| run.id);
        let run = run.unwrap_or_else(|| SyncRunId(String::new()));
        let version = self.next_inventory_version(integration).await?;
        self.write_found(integration, &run, version, found).await?;
        for ids in gone.chunks(CHUNK) {
            let sql = "UPDATE resources SET status = $2, version = $3 WHERE integration_id = $1 \
                       AND status <> $2";
            let deleted = status_word(ResourceStatus::Deleted);
            let mut sql = Sql::with(sql, values![integration.as_str(), deleted, version]);
            sql.and_in("source_id", ids.iter().map(String::as_str));
            self.exec(sql).await?;
        }
        Ok(())
    }

    /// Ends a run after its last page: what it did not see is Deleted. [`StoreError::Conflict`]
    /// if the run is void.
    pub async fn finish_sync(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
    ) -> Result<SyncSummary> {
        let sql = Sql::with(
            "DELETE FROM sync_runs WHERE integration_id = $1 AND id = $2",
            values![integration.as_str(), run.0.as_str()],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the discovery run" });
        }
        let version = self.next_inventory_version(integration).await?;
        let deleted = status_word(ResourceStatus::Deleted);
        let sql = Sql::with(
            "UPDATE resources SET status = $3, version = $4 WHERE integration_id = $1 \
             AND seen_run <> $2 AND status <> $3",
            values![integration.as_str(), run.0.as_str(), deleted, version],
        );
        let deleted = self.exec(sql).await?;
        let sql = Sql::with(
            "SELECT COUNT(*) AS n FROM resources WHERE integration_id = $1 AND seen_run = $2",
            values![integration.as_str(), run.0.as_str()],
        );
        Ok(SyncSummary { found: self.count(sql).await?, deleted })
    }

    /// Makes the run under way void; nothing is called gone. False if none was under way.
    pub async fn abandon_sync(&mut self, integration: &IntegrationId) -> Result<bool> {
        let sql = "DELETE FROM sync_runs WHERE integration_id = $1";
        Ok(self.exec(Sql::with(sql, values![integration.as_str()])).await? > 0)
    }

    /// Counts a change of an integration's inventory. Whoever has counted one holds up the next
    /// until the end of the transaction, so that changes are seen in the order of their numbers.
    async fn next_inventory_version(&mut self, integration: &IntegrationId) -> Result<i64> {
        self.wake_after(Wake::Inventory);
        let sql = Sql::with(
            "INSERT INTO inventory_versions (integration_id, version) VALUES ($1, 1) \
             ON CONFLICT (integration_id) DO UPDATE SET version = inventory_versions.version + 1 \
             RETURNING version",
            values![integration.as_str()],
        );
        let row = self.row(sql).await?;
        row.ok_or_else(|| StoreError::corrupt("inventory_versions"))?.int("version")
    }

    /// How often the inventory of each integration has changed.
    pub async fn inventory_versions(&mut self) -> Result<Vec<InventoryVersion>> {
        let sql = "SELECT i.id, i.name, COALESCE(v.version, 0) AS version FROM integrations i \
                   LEFT JOIN inventory_versions v ON v.integration_id = i.id ORDER BY i.id";
        self.rows(Sql::new(sql), |row| {
            Ok(InventoryVersion {
                integration_id: IntegrationId::new(row.text("id")?),
                integration_name: row.text("name")?,
                version: row.int("version")?,
            })
        })
        .await
    }

    /// A page of the resources that changed after a version, also those that are gone; in order
    /// of their ids, after the one given.
    pub async fn resources_changed_since(
        &mut self,
        integration: &IntegrationId,
        version: i64,
        after: Option<&ResourceId>,
        limit: u32,
    ) -> Result<Vec<Resource>> {
        let mut sql = Sql::with(
            &format!(
                "SELECT {COLUMNS} FROM resources r WHERE r.integration_id = $1 AND r.version > $2"
            ),
            values![integration.as_str(), version],
        );
        if let Some(after) = after {
            sql.push(" AND r.id > ").bind(after.as_str());
        }
        sql.push(" ORDER BY r.id LIMIT ").bind(i64::from(limit));
        self.rows(sql, read_resource).await
    }

    /// Makes these the integration's permissions.
    pub async fn put_permissions(
        &mut self,
        integration: &IntegrationId,
        permissions: &[Permission],
    ) -> Result<()> {
        self.next_inventory_version(integration).await?;
        let mut gone = Sql::new("DELETE FROM permissions WHERE TRUE");
        gone.and_eq("integration_id", Some(integration.as_str()));
        if !permissions.is_empty() {
            gone.push(" AND id NOT IN ").list(permissions.iter().map(|p| p.id.as_str()));
        }
        self.exec(gone).await?;
        for permission in permissions {
            let sql = Sql::with(
                "INSERT INTO permissions (id, integration_id, resource_type, name, risk) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
                 resource_type = excluded.resource_type, name = excluded.name, \
                 risk = excluded.risk",
                values![
                    permission.id.as_str(),
                    integration.as_str(),
                    permission.resource_type.as_str(),
                    permission.name.as_str(),
                    permission.risk.map(risk_word),
                ],
            );
            self.exec(sql).await?;
        }
        Ok(())
    }

    /// The resource with this id, also when it is gone.
    pub async fn find_resource(&mut self, id: &ResourceId) -> Result<Option<Resource>> {
        Ok(self.find_resources(std::slice::from_ref(id)).await?.pop())
    }

    /// The resources with these ids, also those that are gone, in no order; unknown ids are
    /// left out.
    pub async fn find_resources(&mut self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM resources r WHERE r.id IN "));
            sql.list(ids.iter().map(ResourceId::as_str));
            found.extend(self.rows(sql, read_resource).await?);
        }
        Ok(found)
    }

    /// The permissions with these ids, in no order; unknown ids are left out.
    pub async fn find_permissions(&mut self, ids: &[PermissionId]) -> Result<Vec<Permission>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(
                "SELECT id, integration_id, resource_type, name, risk FROM permissions WHERE id IN ",
            );
            sql.list(ids.iter().map(PermissionId::as_str));
            found.extend(self.rows(sql, read_permission).await?);
        }
        Ok(found)
    }

    /// Permissions of an integration, sorted by type and name.
    pub async fn list_permissions(
        &mut self,
        integration: &IntegrationId,
        resource_type: Option<&str>,
    ) -> Result<Vec<Permission>> {
        let mut sql = Sql::new(
            "SELECT id, integration_id, resource_type, name, risk FROM permissions WHERE TRUE",
        );
        sql.and_eq("integration_id", Some(integration.as_str()));
        sql.and_eq("resource_type", resource_type);
        sql.push(" ORDER BY resource_type, name, id");
        self.rows(sql, read_permission).await
    }

    /// Resources by filter, in the order of lists.
    pub async fn list_resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageQuery,
    ) -> Result<Vec<Resource>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM resources r WHERE TRUE"));
        sql.and_in("r.integration_id", filter.integration_ids.iter().map(IntegrationId::as_str));
        sql.and_in("r.resource_type", filter.resource_types.iter().map(String::as_str));
        sql.and_eq("r.source_id", filter.source_id.as_deref());
        sql.and_text("r.name_lower", filter.name.as_ref());
        if !filter.include_deleted {
            sql.push(" AND r.status <> 'deleted'");
        }
        page.apply(&mut sql, "r.created_at", "r.id");
        self.rows(sql, read_resource).await
    }

    /// The resources of a type that are not gone.
    pub async fn resources_of(
        &mut self,
        integration: &IntegrationId,
        resource_type: &str,
    ) -> Result<Vec<Resource>> {
        let filter = ResourceFilter {
            integration_ids: vec![integration.clone()],
            resource_types: vec![resource_type.to_owned()],
            ..Default::default()
        };
        self.list_resources(&filter, &PageQuery::all()).await
    }

    /// Replaces the tags that people set; false without such a resource.
    pub async fn set_user_tags(
        &mut self,
        id: &ResourceId,
        tags: &BTreeMap<String, String>,
    ) -> Result<bool> {
        let sql = "SELECT integration_id FROM resources WHERE id = $1";
        let Some(row) = self.row(Sql::with(sql, values![id.as_str()])).await? else {
            return Ok(false);
        };
        let integration = IntegrationId::new(row.text("integration_id")?);
        let version = self.next_inventory_version(&integration).await?;
        let sql = "UPDATE resources SET user_tags = $2, version = $3 WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), json(tags)?, version])).await? > 0)
    }
}
