//! Configured target systems, and the secrets kept for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::{Integration, IntegrationStatus},
};
use sea_orm::Value;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{
    error::{Result, StoreError},
    page::{PageQuery, TextMatch},
    seal::{self, Place, seal},
    sql::{CHUNK, Row, Sql, json, micros, opt_json, opt_micros, values},
    tx::Tx,
    wake::Wake,
};

/// Secret values by parameter name.
pub type SecretValues = BTreeMap<String, SecretString>;

/// Which integrations. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntegrationFilter {
    /// Any of these categories.
    pub categories: Vec<String>,
    /// Served by any of these connectors.
    pub connector_ids: Vec<ConnectorId>,
    /// Name.
    pub name: Option<TextMatch>,
    /// Any of these.
    pub statuses: Vec<IntegrationStatus>,
    /// Any of these types.
    pub types: Vec<TextMatch>,
}

const COLUMNS: &str = "i.id, i.name, i.integration_type, i.category, i.connector_id, i.status, \
     i.status_detail, i.config, i.secret_store, i.connected_resource_types, \
     i.custom_access_details, i.owner, i.owners_mapping, i.last_sync_at, i.created_at, \
     i.updated_at, i.version";

fn read_integration(row: &Row) -> Result<Integration> {
    Ok(Integration {
        id: IntegrationId::new(row.text("id")?),
        name: row.text("name")?,
        integration_type: row.text("integration_type")?,
        category: row.text("category")?,
        connector_id: row.opt_text("connector_id")?.map(ConnectorId::new),
        status: row.word("status", |word| {
            IntegrationStatus::ALL.into_iter().find(|status| status.as_str() == word)
        })?,
        status_detail: row.opt_text("status_detail")?,
        config: row.json("config")?,
        secret_store: row.opt_json("secret_store")?,
        connected_resource_types: row.opt_json("connected_resource_types")?,
        custom_access_details: row.opt_text("custom_access_details")?,
        owner: row.opt_json("owner")?,
        owners_mapping: row.opt_json("owners_mapping")?,
        last_sync_at: row.opt_time("last_sync_at")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        version: row.int("version")?,
    })
}

/// Where an integration's secret is kept.
fn place(id: &IntegrationId) -> Place<'_> {
    Place { table: "integration_secrets", row: id.as_str(), column: "sealed" }
}

/// The columns that somebody changes, in the order of the statements below.
fn settings_of(integration: &Integration) -> Result<[Value; 10]> {
    Ok(values![
        integration.name.as_str(),
        integration.name.to_lowercase(),
        integration.connector_id.as_ref().map(ConnectorId::as_str),
        json(&integration.config)?,
        opt_json(integration.secret_store.as_ref())?,
        opt_json(integration.connected_resource_types.as_ref())?,
        integration.custom_access_details.as_deref(),
        opt_json(integration.owner.as_ref())?,
        opt_json(integration.owners_mapping.as_ref())?,
        micros(integration.updated_at),
    ])
}

impl Tx {
    /// Adds an integration. A taken name is a duplicate.
    pub async fn insert_integration(&mut self, integration: &Integration) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let mut values = values![
            integration.id.as_str(),
            integration.integration_type.as_str(),
            integration.category.as_str(),
            integration.status.as_str(),
            integration.status_detail.as_deref(),
            opt_micros(integration.last_sync_at),
            micros(integration.created_at),
            integration.version,
        ]
        .to_vec();
        values.extend(settings_of(integration)?);
        let mut sql = Sql::new(
            "INSERT INTO integrations (id, integration_type, category, status, status_detail, \
             last_sync_at, created_at, version, name, name_lower, connector_id, config, \
             secret_store, connected_resource_types, custom_access_details, owner, \
             owners_mapping, updated_at) VALUES ",
        );
        sql.list(values);
        self.exec(sql).await?;
        Ok(())
    }

    /// Writes what somebody changes: not type, category, status, detail and last sync. Raises
    /// the version by one, in the argument too; [`StoreError::Conflict`] if the row's version
    /// is not the argument's.
    pub async fn update_integration(&mut self, integration: &mut Integration) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let mut values = values![integration.id.as_str(), integration.version].to_vec();
        values.extend(settings_of(integration)?);
        let sql = Sql::with(
            "UPDATE integrations SET version = version + 1, name = $3, name_lower = $4, \
             connector_id = $5, config = $6, secret_store = $7, connected_resource_types = $8, \
             custom_access_details = $9, owner = $10, owners_mapping = $11, updated_at = $12 \
             WHERE id = $1 AND version = $2",
            values,
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the integration" });
        }
        integration.version += 1;
        Ok(())
    }

    /// The integration with this id.
    pub async fn find_integration(&mut self, id: &IntegrationId) -> Result<Option<Integration>> {
        let sql = format!("SELECT {COLUMNS} FROM integrations i WHERE i.id = $1");
        let sql = Sql::with(&sql, values![id.as_str()]);
        self.row(sql).await?.as_ref().map(read_integration).transpose()
    }

    /// The integration of this name, without letter case.
    pub async fn find_integration_by_name(&mut self, name: &str) -> Result<Option<Integration>> {
        let sql = format!("SELECT {COLUMNS} FROM integrations i WHERE i.name_lower = $1");
        let sql = Sql::with(&sql, values![name.to_lowercase()]);
        self.row(sql).await?.as_ref().map(read_integration).transpose()
    }

    /// Integrations by filter, in the order of lists.
    pub async fn list_integrations(
        &mut self,
        filter: &IntegrationFilter,
        page: &PageQuery,
    ) -> Result<Vec<Integration>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM integrations i WHERE TRUE"));
        sql.and_in("i.category", filter.categories.iter().map(String::as_str));
        sql.and_in("i.connector_id", filter.connector_ids.iter().map(ConnectorId::as_str));
        sql.and_in("i.status", filter.statuses.iter().map(|status| status.as_str()));
        sql.and_text("i.name_lower", filter.name.as_ref());
        sql.and_any_text("LOWER(i.integration_type)", &filter.types);
        page.apply(&mut sql, "i.created_at", "i.id");
        self.rows(sql, read_integration).await
    }

    /// The integrations with these ids, in no order; unknown ids are left out.
    pub async fn find_integrations(&mut self, ids: &[IntegrationId]) -> Result<Vec<Integration>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM integrations i WHERE i.id IN "));
            sql.list(ids.iter().map(IntegrationId::as_str));
            found.extend(self.rows(sql, read_integration).await?);
        }
        Ok(found)
    }

    /// Every integration the connector serves, oldest first.
    pub async fn integrations_of_connector(
        &mut self,
        connector: &ConnectorId,
    ) -> Result<Vec<Integration>> {
        let filter =
            IntegrationFilter { connector_ids: vec![connector.clone()], ..Default::default() };
        self.list_integrations(&filter, &PageQuery::all()).await
    }

    /// Deletes it with its inventory, secret and queued work; history (requests, sessions,
    /// receipts, audit) and its name stay. False without such an integration.
    pub async fn delete_integration(&mut self, id: &IntegrationId) -> Result<bool> {
        self.wake_after(Wake::Inventory);
        self.delete_tasks_of_integration(id).await?;
        self.keep_name("integrations", id.as_str()).await?;
        let sql = Sql::with("DELETE FROM integrations WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }

    /// Sets status and detail, and the last sync if one is given; does not raise the version.
    /// False without such an integration.
    pub async fn set_integration_status(
        &mut self,
        id: &IntegrationId,
        status: IntegrationStatus,
        detail: Option<&str>,
        last_sync: Option<Timestamp>,
    ) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE integrations SET status = $2, status_detail = $3, \
             last_sync_at = COALESCE($4, last_sync_at) WHERE id = $1",
            values![id.as_str(), status.as_str(), detail, opt_micros(last_sync)],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Seals and keeps the secret, in place of any before.
    pub async fn put_integration_secret(
        &mut self,
        id: &IntegrationId,
        secret: &SecretValues,
    ) -> Result<()> {
        let plain: BTreeMap<&str, &str> =
            secret.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let plain = Zeroizing::new(json(&plain)?);
        let sealed = seal(self.keys(), self.rng(), place(id), plain.as_bytes())?;
        let sql = Sql::with(
            "INSERT INTO integration_secrets (integration_id, sealed, updated_at) \
             VALUES ($1, $2, $3) ON CONFLICT (integration_id) DO UPDATE SET \
             sealed = excluded.sealed, updated_at = excluded.updated_at",
            values![id.as_str(), sealed, micros(self.now())],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// The secret as it lies in the database: sealed, and another text after each change.
    pub async fn find_integration_secret_at_rest(
        &mut self,
        id: &IntegrationId,
    ) -> Result<Option<String>> {
        let sql = "SELECT sealed FROM integration_secrets WHERE integration_id = $1";
        let row = self.row(Sql::with(sql, values![id.as_str()])).await?;
        row.map(|row| row.text("sealed")).transpose()
    }

    /// Opens the secret.
    pub async fn find_integration_secret(
        &mut self,
        id: &IntegrationId,
    ) -> Result<Option<SecretValues>> {
        let sql = "SELECT sealed FROM integration_secrets WHERE integration_id = $1";
        let Some(row) = self.row(Sql::with(sql, values![id.as_str()])).await? else {
            return Ok(None);
        };
        let plain = seal::open(self.keys(), place(id), &row.text("sealed")?)?;
        let values: BTreeMap<String, String> = serde_json::from_slice(&plain)
            .map_err(|_| StoreError::corrupt(format!("the secret of integration {id}")))?;
        Ok(Some(values.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }

    /// Forgets the secret; false if there was none.
    pub async fn delete_integration_secret(&mut self, id: &IntegrationId) -> Result<bool> {
        let sql = "DELETE FROM integration_secrets WHERE integration_id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str()])).await? > 0)
    }
}
