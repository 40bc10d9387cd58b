//! What is in a database: the objects that claims name, and who holds what on them. Read from
//! the system catalogues in one round trip; nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    connection::{Connection, Rows, flag, number, string},
    fault::{Failure, refused},
    planned::Planned,
    quote,
};
use crate::Work;

/// Privileges by grantee, as far as they concern our groups; 0 is `PUBLIC`. A privilege that
/// may be passed on ends in `*`.
pub(super) type Acl = BTreeMap<u32, BTreeSet<String>>;

/// A database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    /// Its oid.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Who may connect.
    pub acl: Acl,
    /// Whether the provisioner may pass on `CONNECT`.
    pub grantable: bool,
}

/// A schema.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// Its oid.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Its owner's name.
    pub owner: String,
    /// Who may use it.
    pub acl: Acl,
    /// Whether the provisioner may pass on `USAGE`.
    pub grantable: bool,
}

/// A table, a view or a sequence.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// Its oid.
    pub oid: u32,
    /// Its schema's oid.
    pub schema: u32,
    /// Its schema's name.
    pub schema_name: String,
    /// Its name.
    pub name: String,
    /// Whether it is a sequence.
    pub is_sequence: bool,
    /// Its owner's name.
    pub owner: String,
    /// Who may do what.
    pub acl: Acl,
    /// Whether the provisioner may pass on rights.
    pub grantable: bool,
    /// The table whose column it feeds, for a sequence.
    pub feeds: Option<u32>,
}

/// What was read of one database.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    /// The database itself.
    pub database: Database,
    /// Schemas within the scope.
    pub schemas: Vec<Schema>,
    /// Relations within the scope, with the sequences of each table.
    pub relations: Vec<Relation>,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Single tables, as (schema, table).
    pub tables: BTreeSet<(String, String)>,
    /// Whether the sequences that feed those tables matter.
    pub feeding_sequences: bool,
    /// Whole schemas.
    pub schemas: BTreeSet<String>,
    /// Every schema but the system's.
    pub everything: bool,
}

/// A schema that belongs to the system.
pub(super) fn is_system_schema(name: &str) -> bool {
    name.starts_with("pg_") || name == "information_schema"
}

/// The condition that leaves system schemas out.
pub(super) const OWN_SCHEMAS: &str =
    "n.nspname <> 'information_schema' AND NOT starts_with(n.nspname::text, 'pg_')";

/// The condition for roles that are named like our groups.
pub(super) const GROUP_NAMES: &str = "rolname >= 'lk_g_' AND rolname < 'lk_g`'";

impl Catalog {
    /// Reads what `scope` covers in the connection's database.
    pub(super) async fn read(
        connection: &Connection,
        work: &Work,
        scope: &Scope,
    ) -> Result<Self, Failure> {
        Self::of(&connection.batch(work, &statements(scope)?).await?)
    }

    /// The catalogue in the answers to [`statements`].
    pub(super) fn of(answers: &[Rows]) -> Result<Self, Failure> {
        let [database, schemas, relations] = answers else {
            return Err(refused("PostgreSQL answered a catalogue query in an unknown way"));
        };
        let row = database
            .first()
            .ok_or_else(|| refused("the database is not in its own catalogue any more"))?;
        let database = Database {
            oid: number(row, 0).unwrap_or(0),
            name: string(row, 1),
            acl: acl(&string(row, 2)),
            grantable: flag(row, 3),
        };
        let schemas = schemas
            .iter()
            .map(|row| Schema {
                oid: number(row, 0).unwrap_or(0),
                name: string(row, 1),
                owner: string(row, 2),
                acl: acl(&string(row, 3)),
                grantable: flag(row, 4),
            })
            .collect();
        let relations = relations
            .iter()
            .map(|row| Relation {
                oid: number(row, 0).unwrap_or(0),
                schema: number(row, 1).unwrap_or(0),
                schema_name: string(row, 2),
                name: string(row, 3),
                is_sequence: string(row, 4) == "S",
                owner: string(row, 5),
                acl: acl(&string(row, 6)),
                grantable: flag(row, 7),
                feeds: number(row, 8),
            })
            .collect();
        Ok(Self { database, schemas, relations })
    }

    /// The schema with this name.
    pub(super) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| schema.name == name)
    }

    /// The table (not sequence) with this name.
    pub(super) fn table(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|r| !r.is_sequence && r.schema_name == schema && r.name == name)
    }
}

/// The relations that claims name.
const TABLES: &str = "('r','p','v','m','f')";

/// Three statements that read what `scope` covers in the connection's database.
pub(super) fn statements(scope: &Scope) -> Result<String, Failure> {
    let whole = whole_schemas(scope)?;
    let schemas = quote::name_array(scope.tables.iter().map(|(schema, _)| schema.as_str()))?;
    let tables = quote::name_array(scope.tables.iter().map(|(_, table)| table.as_str()))?;
    let Some(whole) = whole else {
        let query = if scope.feeding_sequences { "lk_tables_and_sequences" } else { "lk_tables" };
        return Ok(format!(
            "EXECUTE lk_database; EXECUTE lk_schemas({schemas}); \
             EXECUTE {query}({schemas}, {tables})"
        ));
    };
    let relations = format!(
        "SELECT c.oid, NULL::oid AS feeds FROM pg_class c JOIN pg_namespace n ON n.oid = \
         c.relnamespace WHERE {whole} AND (c.relkind IN {TABLES} OR c.relkind = 'S') UNION ALL {}",
        named_tables(&schemas, &tables, scope.feeding_sequences)
    );
    Ok(format!(
        "EXECUTE lk_database; {}; {}",
        schemas_sql(&format!("{whole} OR n.nspname = ANY ({schemas})")),
        relations_sql(&relations)
    ))
}

/// The condition for schemas that are read as a whole; `None` without any.
fn whole_schemas(scope: &Scope) -> Result<Option<String>, Failure> {
    if scope.everything {
        return Ok(Some(OWN_SCHEMAS.to_owned()));
    }
    if scope.schemas.is_empty() {
        return Ok(None);
    }
    let names = quote::name_literals(scope.schemas.iter().map(String::as_str))?;
    Ok(Some(format!("n.nspname IN ({names})")))
}

/// The queries for single tables, which most claims name.
pub(super) fn planned() -> [Planned; 4] {
    let tables = |feeding| relations_sql(&named_tables("$1", "$2", feeding));
    let both = "name[], name[]";
    [
        Planned::new("lk_database", "", database_sql()),
        Planned::new("lk_schemas", "name[]", schemas_sql("n.nspname = ANY ($1)")),
        Planned::new("lk_tables", both, tables(false)),
        Planned::new("lk_tables_and_sequences", both, tables(true)),
    ]
}

/// Tables by the names in two arrays, with the sequences that feed them if asked for. They are
/// found one by one through the index, whatever the planner thinks of the catalogue's size when
/// it first looks (`OFFSET 0` keeps it from joining all of it): there may be hundreds of thousands.
fn named_tables(schemas: &str, tables: &str, feeding_sequences: bool) -> String {
    let by_name = format!(
        "unnest({schemas}, {tables}) v(s, t) CROSS JOIN LATERAL (SELECT r.oid FROM pg_class r \
         WHERE r.relname = v.t AND r.relnamespace = (SELECT oid FROM pg_namespace WHERE \
         nspname = v.s) AND r.relkind IN {TABLES} OFFSET 0) c"
    );
    let mut sql = format!("SELECT c.oid, NULL::oid AS feeds FROM {by_name}");
    if feeding_sequences {
        sql += &format!(
            " UNION ALL SELECT q.oid, c.oid AS feeds FROM {by_name} JOIN pg_depend d ON \
             d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.classid = \
             'pg_class'::regclass AND d.deptype IN ('a','i') JOIN pg_class q ON q.oid = \
             d.objid AND q.relkind = 'S'"
        );
    }
    sql
}

fn database_sql() -> String {
    let acl = acl_sql("coalesce(d.datacl, acldefault('d', d.datdba))");
    format!(
        "SELECT d.oid, d.datname, {acl}, pg_has_role(d.datdba, 'USAGE') OR \
         has_database_privilege(d.oid, 'CONNECT WITH GRANT OPTION') \
         FROM pg_database d WHERE d.datname = current_database()"
    )
}

fn schemas_sql(condition: &str) -> String {
    let acl = acl_sql("coalesce(n.nspacl, acldefault('n', n.nspowner))");
    format!(
        "SELECT n.oid, n.nspname, pg_get_userbyid(n.nspowner), {acl}, \
         pg_has_role(n.nspowner, 'USAGE') OR \
         has_schema_privilege(n.oid, 'USAGE WITH GRANT OPTION') \
         FROM pg_namespace n WHERE {condition}"
    )
}

/// Relations whose oid, and what they feed, `chosen` selects.
fn relations_sql(chosen: &str) -> String {
    let acl = acl_sql("c.relacl");
    format!(
        "SELECT c.oid, c.relnamespace, n.nspname, c.relname, c.relkind, \
         pg_get_userbyid(c.relowner), {acl}, \
         pg_has_role(c.relowner, 'USAGE') OR CASE WHEN c.relkind = 'S' \
         THEN has_sequence_privilege(c.oid, 'SELECT WITH GRANT OPTION') \
         ELSE has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION') END, x.feeds \
         FROM (SELECT oid, max(feeds) AS feeds FROM ({chosen}) u GROUP BY oid) x \
         JOIN pg_class c ON c.oid = x.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    )
}

/// The expression that writes an ACL as `oid:PRIVILEGE,oid:PRIVILEGE*`, for our groups and
/// `PUBLIC`.
fn acl_sql(acl: &str) -> String {
    format!(
        "(SELECT string_agg(a.grantee::text || ':' || a.privilege_type || \
         CASE WHEN a.is_grantable THEN '*' ELSE '' END, ',') FROM aclexplode({acl}) a \
         WHERE a.grantee = 0 OR a.grantee IN (SELECT oid FROM pg_roles WHERE {GROUP_NAMES}))"
    )
}

fn acl(text: &str) -> Acl {
    let mut all = Acl::new();
    for entry in text.split(',') {
        if let Some((grantee, privilege)) = entry.split_once(':')
            && let Ok(grantee) = grantee.parse()
        {
            all.entry(grantee).or_default().insert(privilege.to_owned());
        }
    }
    all
}
