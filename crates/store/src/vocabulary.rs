//! The names that a query over the inventory may use, for whoever is writing one.
//!
//! Invariants: every answer is bounded, however large the inventory is; what is gone from its
//! target is not named. Letter case does not count in a prefix (on SQLite only that of ASCII).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::Result,
    page::{TextMatch, like_pattern},
    sql::{Sql, json},
    tx::Tx,
};

/// How many different sets of tags or of facts are looked into.
const SETS: u32 = 2000;

/// What names are wanted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Named {
    /// Ids of resources, with their paths.
    Resource,
    /// Types of resources.
    ResourceType,
    /// Names of resources.
    ResourceName,
    /// Paths of resources.
    ResourcePath,
    /// Native ids of resources.
    ResourceSourceId,
    /// Ids of permissions, with their names.
    Permission,
    /// Names of permissions.
    PermissionName,
    /// Names of integrations, with their types.
    Integration,
}

/// The keyed texts of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Facts {
    /// Tags as they count: one that people set wins over a discovered one of the same key.
    Tags,
    /// What discovery found out beside.
    Context,
}

/// A name that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The name.
    pub text: String,
    /// What tells it from others, for ids and integrations.
    pub detail: Option<String>,
}

impl Named {
    /// The column, the column that tells rows apart (an empty text if none is needed), the table,
    /// and a condition.
    fn source(self) -> (&'static str, &'static str, &'static str, &'static str) {
        let resources = ("resources n", "n.status <> 'deleted'");
        let (column, detail, (table, condition)) = match self {
            Self::Resource => ("n.id", "n.path", resources),
            Self::ResourceType => ("n.resource_type", "''", resources),
            Self::ResourceName => ("n.name", "''", resources),
            Self::ResourcePath => ("n.path", "''", resources),
            Self::ResourceSourceId => ("n.source_id", "''", resources),
            Self::Permission => ("n.id", "n.name", ("permissions n", "TRUE")),
            Self::PermissionName => ("n.name", "''", ("permissions n", "TRUE")),
            Self::Integration => ("n.name", "n.integration_type", ("integrations n", "TRUE")),
        };
        (column, detail, table, condition)
    }
}

impl Tx {
    /// Names that begin with `prefix`, in order, at most `limit`.
    pub async fn find_names(
        &mut self,
        named: Named,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Name>> {
        let (column, detail, table, condition) = named.source();
        let mut sql = Sql::new(&format!(
            "SELECT DISTINCT {column} AS name, {detail} AS detail FROM {table} WHERE {condition}"
        ));
        if !prefix.is_empty() {
            let prefix = TextMatch::Prefix(prefix.to_owned());
            sql.and_text(&format!("LOWER({column})"), Some(&prefix));
        }
        sql.push(" ORDER BY name, detail LIMIT ").bind(i64::from(limit));
        self.rows(sql, |row| {
            let detail = Some(row.text("detail")?).filter(|detail| !detail.is_empty());
            Ok(Name { text: row.text("name")?, detail })
        })
        .await
    }

    /// Keys that begin with `prefix`, in order, at most `limit`.
    pub async fn find_fact_keys(
        &mut self,
        facts: Facts,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>> {
        let wanted = prefix.to_lowercase();
        let mut keys = BTreeSet::new();
        // The opening quote, so that a prefix finds keys and not their middles; values it finds
        // too, and those are not looked at.
        let quoted = json(prefix)?;
        let part = quoted.strip_suffix('"').unwrap_or(&quoted);
        let filter = (!prefix.is_empty()).then(|| TextMatch::Contains(part.to_owned()));
        for set in self
            .fact_sets(facts, |sql, column| {
                sql.and_text(&format!("LOWER({column})"), filter.as_ref());
            })
            .await?
        {
            keys.extend(set.into_keys().filter(|key| key.to_lowercase().starts_with(&wanted)));
        }
        Ok(keys.into_iter().take(limit as usize).collect())
    }

    /// Values of `key` that begin with `prefix`, in order, at most `limit`.
    pub async fn find_fact_values(
        &mut self,
        facts: Facts,
        key: &str,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>> {
        let wanted = prefix.to_lowercase();
        let pattern = like_pattern("%", &json(key)?, "%");
        let mut values = BTreeSet::new();
        for mut set in self
            .fact_sets(facts, |sql, column| {
                sql.push(" AND ").push(column).push(" LIKE ").bind(pattern.as_str());
                sql.push(" ESCAPE '\\'");
            })
            .await?
        {
            let value = set.remove(key);
            values.extend(value.filter(|value| value.to_lowercase().starts_with(&wanted)));
        }
        Ok(values.into_iter().take(limit as usize).collect())
    }

    /// Different sets of tags or facts, each as it counts, narrowed on the column of their texts.
    async fn fact_sets(
        &mut self,
        facts: Facts,
        narrow: impl Fn(&mut Sql, &str),
    ) -> Result<Vec<BTreeMap<String, String>>> {
        let (found, set_by_people) = match facts {
            Facts::Tags => ("r.tags", "r.user_tags"),
            Facts::Context => ("r.context", "'{}'"),
        };
        let mut sql = Sql::new(&format!(
            "SELECT DISTINCT {found} AS found, {set_by_people} AS set_by_people \
             FROM resources r WHERE r.status <> 'deleted'"
        ));
        narrow(&mut sql, &format!("({found} || {set_by_people})"));
        sql.push(" LIMIT ").bind(i64::from(SETS));
        self.rows(sql, |row| {
            let mut set: BTreeMap<String, String> = row.json("found")?;
            set.extend(row.json::<BTreeMap<String, String>>("set_by_people")?);
            Ok(set)
        })
        .await
    }
}
