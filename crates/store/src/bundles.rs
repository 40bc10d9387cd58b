//! Bundles, and an index of what each of them names.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    ids::{AccessScopeId, BundleId, IntegrationId},
};

use crate::{
    error::{Result, StoreError},
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
};

/// Which bundles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleFilter {
    /// Any of these names; empty for all.
    pub names: Vec<TextMatch>,
}

const COLUMNS: &str = "b.id, b.name, b.targets, b.version, b.created_at, b.updated_at";

const INTEGRATION: &str = "integration";
const ACCESS_SCOPE: &str = "access_scope";

fn read_bundle(row: &Row) -> Result<Bundle> {
    Ok(Bundle {
        id: BundleId::new(row.text("id")?),
        name: row.text("name")?,
        targets: row.json("targets")?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// What a bundle names, as (kind, id).
fn references(bundle: &Bundle) -> BTreeSet<(&'static str, &str)> {
    let mut named = BTreeSet::new();
    for target in &bundle.targets {
        named.insert(match target {
            BundleTarget::Integration(target) => (INTEGRATION, target.integration_id.as_str()),
            BundleTarget::AccessScope(id) => (ACCESS_SCOPE, id.as_str()),
        });
    }
    named
}

impl Tx {
    /// Adds a bundle. A taken name is a duplicate.
    pub async fn insert_bundle(&mut self, bundle: &Bundle) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let mut sql = Sql::new(
            "INSERT INTO bundles (id, name, name_lower, targets, version, created_at, updated_at) \
             VALUES ",
        );
        sql.list(values![
            bundle.id.as_str(),
            bundle.name.as_str(),
            bundle.name.to_lowercase(),
            json(&bundle.targets)?,
            bundle.version,
            micros(bundle.created_at),
            micros(bundle.updated_at),
        ]);
        self.exec(sql).await?;
        self.write_bundle_references(bundle).await
    }

    /// Writes a bundle. Raises the version by one, in the argument too; [`StoreError::Conflict`]
    /// if the row's version is not the argument's.
    pub async fn update_bundle(&mut self, bundle: &mut Bundle) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let sql = Sql::with(
            "UPDATE bundles SET version = version + 1, name = $3, name_lower = $4, targets = $5, \
             updated_at = $6 WHERE id = $1 AND version = $2",
            values![
                bundle.id.as_str(),
                bundle.version,
                bundle.name.as_str(),
                bundle.name.to_lowercase(),
                json(&bundle.targets)?,
                micros(bundle.updated_at),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the bundle" });
        }
        bundle.version += 1;
        let sql = "DELETE FROM bundle_references WHERE bundle_id = $1";
        self.exec(Sql::with(sql, values![bundle.id.as_str()])).await?;
        self.write_bundle_references(bundle).await
    }

    async fn write_bundle_references(&mut self, bundle: &Bundle) -> Result<()> {
        for (kind, id) in references(bundle) {
            let sql = "INSERT INTO bundle_references (bundle_id, kind, ref_id) VALUES ($1, $2, $3)";
            self.exec(Sql::with(sql, values![bundle.id.as_str(), kind, id])).await?;
        }
        Ok(())
    }

    /// The bundle with this id.
    pub async fn find_bundle(&mut self, id: &BundleId) -> Result<Option<Bundle>> {
        Ok(self.find_bundles(std::slice::from_ref(id)).await?.pop())
    }

    /// The bundle of this name, without letter case.
    pub async fn find_bundle_by_name(&mut self, name: &str) -> Result<Option<Bundle>> {
        let sql = format!("SELECT {COLUMNS} FROM bundles b WHERE b.name_lower = $1");
        let sql = Sql::with(&sql, values![name.to_lowercase()]);
        self.row(sql).await?.as_ref().map(read_bundle).transpose()
    }

    /// The bundles with these ids, in no order; unknown ids are left out.
    pub async fn find_bundles(&mut self, ids: &[BundleId]) -> Result<Vec<Bundle>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM bundles b WHERE b.id IN "));
            sql.list(ids.iter().map(BundleId::as_str));
            found.extend(self.rows(sql, read_bundle).await?);
        }
        Ok(found)
    }

    /// Bundles by filter, in the order of lists.
    pub async fn list_bundles(
        &mut self,
        filter: &BundleFilter,
        page: &PageQuery,
    ) -> Result<Vec<Bundle>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM bundles b WHERE TRUE"));
        sql.and_any_text("b.name_lower", &filter.names);
        page.apply(&mut sql, "b.created_at", "b.id");
        self.rows(sql, read_bundle).await
    }

    /// Deletes a bundle; requests keep what was asked through it. False without such a bundle.
    pub async fn delete_bundle(&mut self, id: &BundleId) -> Result<bool> {
        self.wake_after(Wake::Inventory);
        self.keep_name("bundles", id.as_str()).await?;
        let sql = Sql::with("DELETE FROM bundles WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }

    /// Names of bundles by id, now or, once they are deleted, what they were last.
    pub async fn bundle_names(&mut self, ids: &[BundleId]) -> Result<BTreeMap<BundleId, String>> {
        self.names("bundles", ids, BundleId::new).await
    }

    /// Bundles with a part of the integration, oldest first.
    pub async fn bundles_using_integration(&mut self, id: &IntegrationId) -> Result<Vec<Bundle>> {
        self.bundles_naming(INTEGRATION, id.as_str()).await
    }

    /// Bundles that hold the access scope, oldest first.
    pub async fn bundles_using_access_scope(&mut self, id: &AccessScopeId) -> Result<Vec<Bundle>> {
        self.bundles_naming(ACCESS_SCOPE, id.as_str()).await
    }

    async fn bundles_naming(&mut self, kind: &str, id: &str) -> Result<Vec<Bundle>> {
        let mut sql = Sql::new(&format!(
            "SELECT {COLUMNS} FROM bundle_references n JOIN bundles b ON b.id = n.bundle_id \
             WHERE TRUE"
        ));
        sql.and_eq("n.kind", Some(kind)).and_eq("n.ref_id", Some(id));
        PageQuery::all().apply(&mut sql, "b.created_at", "b.id");
        self.rows(sql, read_bundle).await
    }
}
