//! Access scopes: named queries over the inventory.

use latchkey_domain::{access_scope::AccessScope, ids::AccessScopeId};

use crate::{
    error::{Result, StoreError},
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, micros, values},
    tx::Tx,
    wake::Wake,
};

/// Which access scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessScopeFilter {
    /// Name.
    pub name: Option<TextMatch>,
}

const COLUMNS: &str = "s.id, s.name, s.description, s.query, s.version, s.created_at, s.updated_at";

fn read_scope(row: &Row) -> Result<AccessScope> {
    Ok(AccessScope {
        id: AccessScopeId::new(row.text("id")?),
        name: row.text("name")?,
        description: row.opt_text("description")?,
        query: row.text("query")?,
        version: row.int("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

impl Tx {
    /// Adds an access scope. A taken name is a duplicate.
    pub async fn insert_access_scope(&mut self, scope: &AccessScope) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let mut sql = Sql::new(
            "INSERT INTO access_scopes (id, name, name_lower, description, query, version, \
             created_at, updated_at) VALUES ",
        );
        sql.list(values![
            scope.id.as_str(),
            scope.name.as_str(),
            scope.name.to_lowercase(),
            scope.description.as_deref(),
            scope.query.as_str(),
            scope.version,
            micros(scope.created_at),
            micros(scope.updated_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// Writes an access scope. Raises the version by one, in the argument too;
    /// [`StoreError::Conflict`] if the row's version is not the argument's.
    pub async fn update_access_scope(&mut self, scope: &mut AccessScope) -> Result<()> {
        self.wake_after(Wake::Inventory);
        let sql = Sql::with(
            "UPDATE access_scopes SET version = version + 1, name = $3, name_lower = $4, \
             description = $5, query = $6, updated_at = $7 WHERE id = $1 AND version = $2",
            values![
                scope.id.as_str(),
                scope.version,
                scope.name.as_str(),
                scope.name.to_lowercase(),
                scope.description.as_deref(),
                scope.query.as_str(),
                micros(scope.updated_at),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the access scope" });
        }
        scope.version += 1;
        Ok(())
    }

    /// The access scope with this id.
    pub async fn find_access_scope(&mut self, id: &AccessScopeId) -> Result<Option<AccessScope>> {
        Ok(self.find_access_scopes(std::slice::from_ref(id)).await?.pop())
    }

    /// The access scope of this name, without letter case.
    pub async fn find_access_scope_by_name(&mut self, name: &str) -> Result<Option<AccessScope>> {
        let sql = format!("SELECT {COLUMNS} FROM access_scopes s WHERE s.name_lower = $1");
        let sql = Sql::with(&sql, values![name.to_lowercase()]);
        self.row(sql).await?.as_ref().map(read_scope).transpose()
    }

    /// The access scopes with these ids, in no order; unknown ids are left out.
    pub async fn find_access_scopes(&mut self, ids: &[AccessScopeId]) -> Result<Vec<AccessScope>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {COLUMNS} FROM access_scopes s WHERE s.id IN "));
            sql.list(ids.iter().map(AccessScopeId::as_str));
            found.extend(self.rows(sql, read_scope).await?);
        }
        Ok(found)
    }

    /// Access scopes by filter, in the order of lists.
    pub async fn list_access_scopes(
        &mut self,
        filter: &AccessScopeFilter,
        page: &PageQuery,
    ) -> Result<Vec<AccessScope>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM access_scopes s WHERE TRUE"));
        sql.and_text("s.name_lower", filter.name.as_ref());
        page.apply(&mut sql, "s.created_at", "s.id");
        self.rows(sql, read_scope).await
    }

    /// Deletes an access scope; false without such a scope.
    pub async fn delete_access_scope(&mut self, id: &AccessScopeId) -> Result<bool> {
        self.wake_after(Wake::Inventory);
        let sql = Sql::with("DELETE FROM access_scopes WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }
}
