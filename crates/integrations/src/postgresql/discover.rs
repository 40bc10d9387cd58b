//! Finding what there is: databases, schemas, tables and views, and roles that may be given.
//! Partitions and system schemas are left out.
//!
//! A run that cannot look into one of its databases fails as a whole: half a list would make the
//! server believe that the rest is gone.

use std::collections::BTreeMap;

use latchkey_domain::provisioning::{DiscoveredResource, TargetFault};

use super::{
    Context,
    catalog::OWN_SCHEMAS,
    claims::{Places, roles, roles_sql},
    connection::{Connection, Rows, string, text},
    fault::Failure,
    reconcile,
    source::Source,
    tags,
};
use crate::DiscoverySink;

/// How many resources are handed over at once.
const PAGE: usize = 500;

/// Finds everything and hands it over in pages; then adds new tables to the groups of whole
/// schemas and databases.
pub(super) async fn discover(
    context: &Context<'_>,
    pages: &mut dyn DiscoverySink,
) -> Result<(), TargetFault> {
    let mut places = Places::open(context).await?;
    let mut page = Page { context, pages, found: Vec::new() };
    let databases = databases(context, &places.control).await?;
    for database in &databases {
        if page.wants("postgresql-database") {
            page.add(Source::Database(database.name.clone()), &database.oid, &database.comment)
                .await?;
        }
        if page.wants("postgresql-schema") || page.wants("postgresql-table") {
            let connection = places.to(context, &database.name).await?;
            look_into(&mut page, connection, &database.name).await?;
        }
    }
    if page.wants("postgresql-role") {
        find_roles(&mut page, &places.control).await?;
    }
    page.flush().await?;
    reconcile::refresh_groups(context, &mut places, &databases).await?;
    places.give_back(context);
    Ok(())
}

/// A database that takes connections.
#[derive(Debug)]
pub(super) struct FoundDatabase {
    /// Its name.
    pub name: String,
    /// Its oid.
    pub oid: String,
    /// Its comment.
    pub comment: String,
}

/// The databases that the integration manages and the provisioner can connect to.
pub(super) async fn databases(
    context: &Context<'_>,
    control: &Connection,
) -> Result<Vec<FoundDatabase>, Failure> {
    let rows = control
        .rows(
            context.work,
            "SELECT datname, oid, shobj_description(oid, 'pg_database') FROM pg_database WHERE \
             datallowconn AND NOT datistemplate AND has_database_privilege(session_user, oid, \
             'CONNECT') ORDER BY datname",
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| FoundDatabase {
            name: string(row, 0),
            oid: string(row, 1),
            comment: string(row, 2),
        })
        .filter(|database| context.settings.manages(&database.name))
        .collect())
}

async fn look_into(
    page: &mut Page<'_>,
    connection: &Connection,
    database: &str,
) -> Result<(), TargetFault> {
    let answers = connection
        .batch(
            page.context.work,
            &format!(
                "SELECT n.nspname, n.oid, obj_description(n.oid, 'pg_namespace') FROM \
                 pg_namespace n WHERE {OWN_SCHEMAS} ORDER BY n.nspname; \
                 SELECT n.nspname, c.relname, c.oid, obj_description(c.oid, 'pg_class'), \
                 c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE \
                 c.relkind IN ('r','p','v','m','f') AND NOT c.relispartition AND {OWN_SCHEMAS} \
                 ORDER BY n.nspname, c.relname"
            ),
        )
        .await?;
    let none = Rows::new();
    let (schemas, tables) = (answers.first().unwrap_or(&none), answers.get(1).unwrap_or(&none));
    if page.wants("postgresql-schema") {
        for row in schemas {
            let source = Source::Schema(database.to_owned(), string(row, 0));
            page.add(source, &string(row, 1), &string(row, 2)).await?;
        }
    }
    if page.wants("postgresql-table") {
        for row in tables {
            let source = Source::Table(database.to_owned(), string(row, 0), string(row, 1));
            let kind = match text(row, 4) {
                Some("v") => "view",
                Some("m") => "materialized view",
                Some("f") => "foreign table",
                Some("p") => "partitioned table",
                _ => "table",
            };
            page.add_with(source, &string(row, 2), &string(row, 3), &[("kind", kind)]).await?;
        }
    }
    Ok(())
}

async fn find_roles(page: &mut Page<'_>, control: &Connection) -> Result<(), TargetFault> {
    let rows = control.rows(page.context.work, &roles_sql(control, None)?).await?;
    let comments: BTreeMap<String, String> =
        rows.iter().map(|row| (string(row, 1), string(row, 4))).collect();
    for (name, role) in roles(&rows) {
        if role.forbidden.is_none() {
            let comment = comments.get(&name).cloned().unwrap_or_default();
            page.add(Source::Role(name), &role.oid.to_string(), &comment).await?;
        }
    }
    Ok(())
}

/// Resources on their way to the server.
struct Page<'a> {
    context: &'a Context<'a>,
    pages: &'a mut dyn DiscoverySink,
    found: Vec<DiscoveredResource>,
}

impl Page<'_> {
    fn wants(&self, resource_type: &str) -> bool {
        self.context.wants(resource_type)
    }

    async fn add(&mut self, source: Source, oid: &str, comment: &str) -> Result<(), TargetFault> {
        self.add_with(source, oid, comment, &[]).await
    }

    async fn add_with(
        &mut self,
        source: Source,
        oid: &str,
        comment: &str,
        facts: &[(&str, &str)],
    ) -> Result<(), TargetFault> {
        let mut tags = tags::of_comment(comment);
        tags.extend(self.context.settings.tags.of(&source));
        let mut context = BTreeMap::from([("oid".to_owned(), oid.to_owned())]);
        context.extend(facts.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
        self.found.push(DiscoveredResource {
            resource_type: source.resource_type().to_owned(),
            source_id: source.id(),
            name: source.name().to_owned(),
            path: source.path(),
            tags,
            context,
        });
        if self.found.len() >= PAGE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), TargetFault> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.pages.resources(std::mem::take(&mut self.found)).await
    }
}
