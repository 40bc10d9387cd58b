//! From a claim to the role whose membership gives it: a group role for an object, the role
//! itself for `postgresql-role`. What cannot be given is refused claim by claim, in words.

use std::collections::BTreeMap;

use latchkey_catalog::postgresql::MEMBER;
use latchkey_domain::provisioning::DesiredClaim;

use super::{
    Context,
    catalog::{Catalog, Scope},
    connection::{Connection, Rows, flag, number, string, text},
    fault::{Failure, refused},
    groups::{self, GroupSpec},
    marker::comment_sql,
    pool::{Leased, managed},
    quote,
    rights::Right,
    source::Source,
};

/// How a claim is given.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// By the last of these groups; the others are its parents.
    Groups(Vec<GroupSpec>),
    /// By the role with this name.
    Role(String),
}

impl Way {
    /// The role that the principal joins.
    pub(super) fn role_name(&self) -> &str {
        match self {
            Self::Groups(specs) => specs.last().map_or("", |spec| spec.name.as_str()),
            Self::Role(name) => name,
        }
    }
}

/// A claim and how it is given, or why it is not.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The claim.
    pub claim: &'a DesiredClaim,
    /// How.
    pub way: Result<Way, Failure>,
    /// What the right has to do without, for people.
    pub left_out: Vec<String>,
}

/// Admin connections of one operation.
#[derive(Debug)]
pub(super) struct Places {
    /// To the database where roles are managed.
    pub control: Leased,
    others: BTreeMap<String, Leased>,
}

impl Places {
    /// Connects where roles are managed.
    pub(super) async fn open(context: &Context<'_>) -> Result<Self, Failure> {
        let dbname = &context.settings.dbname;
        let control = context.pool.take(&context.settings, dbname, context.work).await?;
        Ok(Self { control, others: BTreeMap::new() })
    }

    /// The connection to a database, made when it is first asked for.
    pub(super) async fn to(
        &mut self,
        context: &Context<'_>,
        database: &str,
    ) -> Result<&Connection, Failure> {
        if database == self.control.database {
            return Ok(&self.control);
        }
        if !self.others.contains_key(database) {
            let leased = context.pool.take(&context.settings, database, context.work).await?;
            self.others.insert(database.to_owned(), leased);
        }
        self.others
            .get(database)
            .map(|leased| &leased.connection)
            .ok_or_else(|| refused("the connection is gone"))
    }

    /// The connection to a database that [`Self::to`] made; else the one where roles are managed.
    pub(super) fn opened(&self, database: &str) -> &Connection {
        self.others.get(database).map_or(&self.control.connection, |leased| &leased.connection)
    }

    /// Gives every connection back; none is inside a transaction.
    pub(super) fn give_back(self, context: &Context<'_>) {
        context.pool.give_back(self.control, context.work);
        for leased in self.others.into_values() {
            context.pool.give_back(leased, context.work);
        }
    }
}

/// The place and the right that a claim names, or why it names none.
type Named = Result<(Source, Option<Right>), Failure>;

/// What claims ask for, as far as it can be told without the target.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    sources: Vec<(&'a DesiredClaim, Named)>,
    /// What has to be read, by database.
    pub scopes: BTreeMap<String, Scope>,
}

/// Catalogues by database, or why one could not be read.
pub(super) type Catalogs = BTreeMap<String, Result<Catalog, Failure>>;

impl<'a> Asked<'a> {
    /// Reads claims.
    pub(super) fn read(
        context: &Context<'_>,
        claims: impl IntoIterator<Item = &'a DesiredClaim>,
    ) -> Self {
        let mut scopes: BTreeMap<String, Scope> = BTreeMap::new();
        let mut sources = Vec::new();
        for claim in claims {
            let read = read(context, claim);
            if let Ok((source, right)) = &read
                && let Some(database) = source.database()
            {
                let scope = scopes.entry(database.to_owned()).or_default();
                match source {
                    Source::Table(_, schema, table) => {
                        scope.tables.insert((schema.clone(), table.clone()));
                        scope.feeding_sequences |=
                            right.is_some_and(|right| !right.on_fed_sequence().is_empty());
                    }
                    Source::Schema(_, schema) => {
                        scope.schemas.insert(schema.clone());
                    }
                    _ => scope.everything = true,
                }
            }
            sources.push((claim, read));
        }
        Self { sources, scopes }
    }

    /// The roles that claims name.
    pub(super) fn roles(&self) -> Vec<&str> {
        let sources = self.sources.iter().filter_map(|(_, read)| read.as_ref().ok());
        sources
            .filter_map(|(source, _)| match source {
                Source::Role(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The claims that are given by groups.
    pub(super) fn by_group(&self) -> impl Iterator<Item = &'a DesiredClaim> + '_ {
        self.sources
            .iter()
            .filter(|(_, read)| matches!(read, Ok((source, _)) if source.database().is_some()))
            .map(|(claim, _)| *claim)
    }

    /// Reads the catalogues of every database, each over its own connection.
    pub(super) async fn catalogs(&self, context: &Context<'_>, places: &mut Places) -> Catalogs {
        let mut catalogs = Catalogs::new();
        for (database, scope) in &self.scopes {
            let catalog = match places.to(context, database).await {
                Ok(connection) => Catalog::read(connection, context.work, scope).await,
                Err(failure) => Err(failure),
            };
            catalogs.insert(database.clone(), catalog);
        }
        catalogs
    }

    /// Works out how each claim is given.
    pub(super) fn plans(&self, context: &Context<'_>, catalogs: &Catalogs) -> Vec<Plan<'a>> {
        let way = |claim: &DesiredClaim, source: &Source, right: Option<Right>| {
            let right = match (source, right) {
                (Source::Role(name), _) => return Ok(Way::Role(name.clone())),
                (_, None) => return Err(refused("only a role has members")),
                (_, Some(right)) => right,
            };
            let catalog = match source.database().and_then(|database| catalogs.get(database)) {
                Some(Ok(catalog)) => catalog,
                Some(Err(failure)) => return Err(failure.clone()),
                None => return Err(refused("the database was not read")),
            };
            check_oid(context, claim, source, catalog)?;
            let specs = groups::specs(context.target, source, right, catalog)?;
            let names = specs.iter().map(|spec| spec.name.clone()).collect();
            context.ways.note(&context.target.integration_id, claim, names);
            Ok(Way::Groups(specs))
        };
        self.sources
            .iter()
            .map(|(claim, read)| {
                let way = match read {
                    Ok((source, right)) => way(claim, source, *right),
                    Err(failure) => Err(failure.clone()),
                };
                Plan { claim, way, left_out: Vec::new() }
            })
            .collect()
    }
}

/// The place and the right that a claim names.
fn read(context: &Context<'_>, claim: &DesiredClaim) -> Named {
    let source = Source::parse(&claim.source_id)?;
    if source.resource_type() != claim.resource_type {
        return Err(refused(format!(
            "{} is no {}: refresh the integration and ask again",
            claim.source_id, claim.resource_type
        )));
    }
    if let Some(database) = source.database() {
        managed(&context.settings, database)?;
    }
    for part in source.parts() {
        quote::ident(part)?;
    }
    let right = Right::of_permission(&claim.permission);
    let fits = match source {
        Source::Role(_) => claim.permission == MEMBER,
        _ => right.is_some(),
    };
    if fits {
        Ok((source, right))
    } else {
        Err(refused(format!("{} is no permission of {}", claim.permission, claim.resource_type)))
    }
}

/// A table that was dropped and made again is another table: its approval does not count.
fn check_oid(
    context: &Context<'_>,
    claim: &DesiredClaim,
    source: &Source,
    catalog: &Catalog,
) -> Result<(), Failure> {
    let now = match source {
        Source::Database(_) => Some(catalog.database.oid),
        Source::Schema(_, schema) => catalog.schema(schema).map(|schema| schema.oid),
        Source::Table(_, schema, table) => {
            catalog.table(schema, table).map(|relation| relation.oid)
        }
        Source::Role(_) => None,
    };
    compare_oid(context, claim, now)
}

/// Compares the oid at approval with the one now.
pub(super) fn compare_oid(
    context: &Context<'_>,
    claim: &DesiredClaim,
    now: Option<u32>,
) -> Result<(), Failure> {
    let then = claim.context.get("oid").and_then(|oid| oid.parse::<u32>().ok());
    match (then, now) {
        (Some(then), Some(now)) if then != now && !context.settings.follow_names => {
            Err(refused(format!(
                "{} was dropped and made again since it was approved (oid {then} then, {now} \
                 now), so it is another object: refresh the integration and ask again, or set \
                 follow_names to \"true\" if a job rebuilds it",
                claim.path
            )))
        }
        _ => Ok(()),
    }
}

/// A role as `postgresql-role` sees it.
#[derive(Debug, Clone)]
pub(super) struct GrantableRole {
    /// Its oid.
    pub oid: u32,
    /// Why nobody gets it; `None` if it may be given.
    pub forbidden: Option<String>,
}

/// Reads roles by name, or all (`None`) that are not of the system: what they are or can reach.
pub(super) fn roles_sql(
    connection: &Connection,
    names: Option<&[&str]>,
) -> Result<String, Failure> {
    let which = match names {
        Some(names) => format!("rolname IN ({})", quote::name_literals(names.iter().copied())?),
        None => "true".to_owned(),
    };
    let admin = if connection.has_membership_options() {
        "pg_has_role(t.root, 'MEMBER WITH ADMIN OPTION')"
    } else {
        "true"
    };
    Ok(format!(
        "WITH RECURSIVE reach(root, oid) AS (SELECT oid, oid FROM pg_roles WHERE {which} UNION \
           SELECT reach.root, m.roleid FROM reach JOIN pg_auth_members m ON m.member = reach.oid), \
         judged AS (SELECT reach.root, CASE \
             WHEN r.rolsuper THEN 'SUPERUSER' WHEN r.rolcreaterole THEN 'CREATEROLE' \
             WHEN r.rolreplication THEN 'REPLICATION' WHEN r.rolbypassrls THEN 'BYPASSRLS' \
             WHEN r.rolname IN ('pg_read_server_files', 'pg_write_server_files', \
               'pg_execute_server_program', 'pg_signal_backend', 'pg_signal_autovacuum_worker', \
               'pg_create_subscription', 'pg_database_owner') THEN r.rolname \
             WHEN r.rolname IN (current_user, session_user) THEN 'the provisioner' \
             WHEN r.rolname >= 'lk_' AND r.rolname < 'lk`' THEN 'a role of Latchkey' END AS why \
           FROM reach JOIN pg_roles r ON r.oid = reach.oid) \
         SELECT t.root, n.rolname, t.why, {admin}, {} \
         FROM (SELECT root, min(why) AS why FROM judged GROUP BY root) t \
         JOIN pg_roles n ON n.oid = t.root ORDER BY n.rolname;",
        comment_sql("t.root")
    ))
}

/// The roles in the answer to [`roles_sql`], by name.
pub(super) fn roles(rows: &Rows) -> BTreeMap<String, GrantableRole> {
    rows.iter()
        .map(|row| {
            let forbidden = match text(row, 2) {
                Some(why) => Some(format!("it is or can become {why}")),
                None if !flag(row, 3) => {
                    Some("the provisioner lacks ADMIN OPTION on it".to_owned())
                }
                None => None,
            };
            (string(row, 1), GrantableRole { oid: number(row, 0).unwrap_or(0), forbidden })
        })
        .collect()
}
