//! Group roles: one for each (object, right). A principal gets a right by membership and never
//! by a grant of its own, because some 2,440 grantees on one table make it unusable.
//!
//! Invariant: before a principal becomes a member, the group has been read back and holds exactly
//! its right on exactly its object. What is missing is granted; what is too much is taken away,
//! or the grant is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    catalog::{Acl, Catalog, Relation, Schema, is_system_schema},
    connection::{BEGIN_STATEMENTS, Connection, Rows, begin, flag, number, string, text},
    fault::{Failure, refused},
    marker::{GroupMarker, Marker, comment_sql},
    names::{self, Class},
    planned::Planned,
    quote,
    rights::Right,
    source::Source,
};
use crate::{Target, Work};

/// One thing that a group is to hold.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// `pg_class`, `pg_namespace` or `pg_database`.
    class: u32,
    oid: u32,
    /// What follows `ON` in a GRANT.
    on: String,
    privileges: BTreeSet<String>,
    held: Acl,
    grantable: bool,
    /// Whether the same right of `PUBLIC` will do, where the provisioner cannot grant it.
    public_will_do: bool,
    /// Whether the group can do without it, as a schema's group can without one table of a
    /// foreign owner.
    optional: bool,
    /// For people.
    label: String,
    owner: String,
}

/// A group as it should be.
#[derive(Debug, Clone)]
pub(super) struct GroupSpec {
    /// The role's name.
    pub name: String,
    /// Its marker.
    pub marker: GroupMarker,
    /// What it holds.
    pub wanted: Vec<Wanted>,
    /// The groups that it is a member of.
    pub parents: BTreeSet<String>,
}

/// A group as it is, read in the database where roles are managed.
#[derive(Debug, Clone)]
pub(super) struct GroupState {
    /// Its oid.
    pub oid: u32,
    /// Whether it has an attribute that no group has, `LOGIN` included.
    privileged: bool,
    marker: Option<Marker>,
    parents: BTreeSet<String>,
    /// (database, class, object, column) of every privilege it holds anywhere.
    holds: BTreeSet<(u32, u32, u32, u32)>,
}

/// What it takes to make a group exact.
#[derive(Debug, Clone, Default)]
pub(super) struct Repair {
    create: bool,
    parents: Vec<String>,
    /// Statements for the object's database.
    statements: Vec<String>,
    /// Objects in the object's database on which it holds what it should not.
    stray: Vec<(u32, u32)>,
    /// Tables that it has to do without, for people.
    pub left_out: Vec<String>,
}

impl Repair {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        !self.create
            && self.parents.is_empty()
            && self.statements.is_empty()
            && self.stray.is_empty()
    }
}

/// How many privileges change in one transaction: each locks its table, and the server's lock
/// table is shared by everybody.
const AT_ONCE: usize = 200;

const PG_CLASS: u32 = 1259;
const PG_NAMESPACE: u32 = 2615;
const PG_DATABASE: u32 = 1262;

/// The groups that a right on `source` needs, parents first; the last is the one that a
/// principal joins.
pub(super) fn specs(
    target: &Target,
    source: &Source,
    right: Right,
    catalog: &Catalog,
) -> Result<Vec<GroupSpec>, Failure> {
    let database = &catalog.database;
    let mut connect = spec(target, catalog, Class::Database, database.oid, Right::Enter);
    connect.wanted.push(Wanted {
        class: PG_DATABASE,
        oid: database.oid,
        on: format!("DATABASE {}", quote::ident(&database.name)?),
        privileges: set(&["CONNECT"]),
        held: database.acl.clone(),
        grantable: database.grantable,
        public_will_do: true,
        optional: false,
        label: format!("the database {}", database.name),
        owner: String::new(),
    });
    match source {
        Source::Table(_, schema, table) => {
            let schema = find_schema(catalog, schema)?;
            let relation = catalog.table(&schema.name, table).ok_or_else(|| gone(source))?;
            let usage = usage(target, catalog, schema, &connect)?;
            let mut group = spec(target, catalog, Class::Table, relation.oid, right);
            group.parents = BTreeSet::from([connect.name.clone(), usage.name.clone()]);
            group.wanted.push(wanted(relation, right.on_table(), false)?);
            for sequence in &catalog.relations {
                if sequence.feeds == Some(relation.oid) && !right.on_fed_sequence().is_empty() {
                    group.wanted.push(wanted(sequence, right.on_fed_sequence(), true)?);
                }
            }
            Ok(vec![connect, usage, group])
        }
        Source::Schema(_, schema) => {
            let schema = find_schema(catalog, schema)?;
            let usage = usage(target, catalog, schema, &connect)?;
            let group = whole_schema(target, catalog, schema, right, &connect, &usage)?;
            Ok(vec![connect, usage, group])
        }
        Source::Database(_) => {
            let mut group = spec(target, catalog, Class::Database, database.oid, right);
            group.parents.insert(connect.name.clone());
            let mut all = vec![connect.clone()];
            for schema in &catalog.schemas {
                let usage = usage(target, catalog, schema, &connect)?;
                let each = whole_schema(target, catalog, schema, right, &connect, &usage)?;
                group.parents.insert(each.name.clone());
                all.push(usage);
                all.push(each);
            }
            all.push(group);
            Ok(all)
        }
        Source::Role(_) => Err(refused("a role has no groups")),
    }
}

fn set(privileges: &[&str]) -> BTreeSet<String> {
    privileges.iter().map(|&privilege| privilege.to_owned()).collect()
}

fn gone(source: &Source) -> Failure {
    refused(format!("{} does not exist any more", source.path()))
}

fn find_schema<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Schema, Failure> {
    if is_system_schema(name) {
        return Err(refused(format!("{name} is a schema of the system: no access is given to it")));
    }
    catalog.schema(name).ok_or_else(|| {
        refused(format!("the schema {name} of {} does not exist any more", catalog.database.name))
    })
}

fn spec(target: &Target, catalog: &Catalog, class: Class, object: u32, right: Right) -> GroupSpec {
    let database = catalog.database.oid;
    GroupSpec {
        name: names::group(target, database, class, object, right),
        marker: GroupMarker {
            installation: target.installation_id.clone(),
            integration: target.integration_id.clone(),
            database,
            class: class.as_str().to_owned(),
            object,
            right: right.as_str().to_owned(),
            idle_since: None,
        },
        wanted: Vec::new(),
        parents: BTreeSet::new(),
    }
}

fn usage(
    target: &Target,
    catalog: &Catalog,
    schema: &Schema,
    connect: &GroupSpec,
) -> Result<GroupSpec, Failure> {
    let mut group = spec(target, catalog, Class::Schema, schema.oid, Right::Enter);
    group.parents.insert(connect.name.clone());
    group.wanted.push(on_schema(schema, Right::Enter)?);
    Ok(group)
}

fn on_schema(schema: &Schema, right: Right) -> Result<Wanted, Failure> {
    Ok(Wanted {
        class: PG_NAMESPACE,
        oid: schema.oid,
        on: format!("SCHEMA {}", quote::ident(&schema.name)?),
        privileges: set(right.on_schema()),
        held: schema.acl.clone(),
        grantable: schema.grantable,
        public_will_do: right == Right::Enter,
        optional: false,
        label: format!("the schema {}", schema.name),
        owner: schema.owner.clone(),
    })
}

fn wanted(relation: &Relation, privileges: &[&str], optional: bool) -> Result<Wanted, Failure> {
    let kind = if relation.is_sequence { "SEQUENCE" } else { "TABLE" };
    Ok(Wanted {
        class: PG_CLASS,
        oid: relation.oid,
        on: format!(
            "{kind} {}.{}",
            quote::ident(&relation.schema_name)?,
            quote::ident(&relation.name)?
        ),
        privileges: set(privileges),
        held: relation.acl.clone(),
        grantable: relation.grantable,
        public_will_do: false,
        optional,
        label: format!("{}.{}", relation.schema_name, relation.name),
        owner: relation.owner.clone(),
    })
}

fn whole_schema(
    target: &Target,
    catalog: &Catalog,
    schema: &Schema,
    right: Right,
    connect: &GroupSpec,
    usage: &GroupSpec,
) -> Result<GroupSpec, Failure> {
    let mut group = spec(target, catalog, Class::Schema, schema.oid, right);
    group.parents = BTreeSet::from([connect.name.clone(), usage.name.clone()]);
    if !right.on_schema().is_empty() {
        group.wanted.push(on_schema(schema, right)?);
    }
    for relation in catalog.relations.iter().filter(|relation| relation.schema == schema.oid) {
        let privileges = if relation.is_sequence { right.on_sequence() } else { right.on_table() };
        group.wanted.push(wanted(relation, privileges, true)?);
    }
    Ok(group)
}

/// How many statements [`state_sql`] sends.
pub(super) const STATE_STATEMENTS: usize = 1;

/// Reads groups by name, in the database where roles are managed.
pub(super) fn state_sql<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, Failure> {
    Ok(format!("EXECUTE lk_groups({});", quote::name_array(names)?))
}

/// The query of [`state_sql`]. What belongs to a group is looked up group by group: a join would
/// walk through every role there is.
pub(super) fn planned() -> Planned {
    let comment = comment_sql("r.oid");
    let groups = format!(
        "SELECT r.oid, r.rolname, r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR \
         r.rolreplication OR r.rolbypassrls OR r.rolcanlogin OR NOT r.rolinherit, \
         {comment}, (SELECT string_agg(p.rolname, ',') FROM pg_auth_members m JOIN pg_roles p \
         ON p.oid = m.roleid WHERE m.member = r.oid), \
         (SELECT string_agg(s.dbid || '/' || s.classid || '/' || s.objid || '/' || s.objsubid, \
         ',') FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND \
         s.refobjid = r.oid AND s.deptype = 'a') \
         FROM pg_roles r WHERE r.rolname = ANY ($1)"
    );
    Planned::new("lk_groups", "name[]", groups)
}

/// The groups in the answer to [`state_sql`], by name.
pub(super) fn states(answers: &[Rows]) -> BTreeMap<String, GroupState> {
    let Some(roles) = answers.first() else { return BTreeMap::new() };
    let list = |text: String| -> Vec<String> {
        text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    roles
        .iter()
        .map(|row| {
            let holds = list(string(row, 5)).into_iter().map(|entry| {
                let mut parts =
                    entry.split('/').map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
                let mut next = || parts.next().unwrap_or(u32::MAX);
                (next(), next(), next(), next())
            });
            let state = GroupState {
                oid: number(row, 0).unwrap_or(0),
                privileged: flag(row, 2),
                marker: Marker::read(text(row, 3)),
                parents: list(string(row, 4)).into_iter().collect(),
                holds: holds.collect(),
            };
            (string(row, 1), state)
        })
        .collect()
}

/// What it takes to make `spec` exact, given how it is; an error where it cannot be repaired.
pub(super) fn repair(spec: &GroupSpec, state: Option<&GroupState>) -> Result<Repair, Failure> {
    let mut repair = Repair::default();
    let role = quote::ident(&spec.name)?;
    if let Some(state) = state {
        check_identity(spec, state)?;
        repair.parents = spec.parents.difference(&state.parents).cloned().collect();
        if let Some(extra) = state.parents.difference(&spec.parents).next() {
            return Err(refused(format!(
                "the group role {} was made a member of {extra} by somebody: run REVOKE {} FROM \
                 {role} and ask again",
                spec.name,
                quote::ident(extra)?,
            )));
        }
    } else {
        repair.create = true;
        repair.parents = spec.parents.iter().cloned().collect();
    }
    let group = state.map_or(u32::MAX, |state| state.oid);
    let mut expected = BTreeSet::new();
    for wanted in &spec.wanted {
        let database = if wanted.class == PG_DATABASE { 0 } else { spec.marker.database };
        expected.insert((database, wanted.class, wanted.oid, 0));
        wanted.compare(group, &role, &mut repair)?;
    }
    for &(database, class, object, column) in state.map(|state| &state.holds).into_iter().flatten()
    {
        if expected.contains(&(database, class, object, column)) {
            continue;
        }
        if database == spec.marker.database && matches!(class, PG_CLASS | PG_NAMESPACE) {
            repair.stray.push((class, object));
        } else {
            return Err(refused(format!(
                "the group role {} holds a right beyond its own (class {class}, object {object}, \
                 database {database}): revoke it and ask again",
                spec.name
            )));
        }
    }
    Ok(repair)
}

/// A role of this name that Latchkey did not make, or that somebody gave more, is never used.
fn check_identity(spec: &GroupSpec, state: &GroupState) -> Result<(), Failure> {
    match &state.marker {
        Some(Marker::Group(marker)) if marker.same_right(&spec.marker) => {}
        _ => {
            return Err(refused(format!(
                "a role named {} exists that does not carry the group's marker: drop it and ask \
                 again",
                spec.name
            )));
        }
    }
    if state.privileged {
        return Err(refused(format!(
            "somebody gave the group role {} attributes that no group has: run ALTER ROLE {} \
             NOLOGIN NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS INHERIT and ask again",
            spec.name,
            quote::ident(&spec.name)?
        )));
    }
    Ok(())
}

impl Wanted {
    fn compare(&self, group: u32, role: &str, repair: &mut Repair) -> Result<(), Failure> {
        let held = self.held.get(&group).cloned().unwrap_or_default();
        let missing: Vec<&str> = self.privileges.difference(&held).map(String::as_str).collect();
        // Named one by one: `ALL` would be taken back as the owner, not as who granted it.
        let too_much: Vec<&str> = held
            .difference(&self.privileges)
            .map(|privilege| privilege.trim_end_matches('*'))
            .collect();
        if !too_much.is_empty() {
            let too_much = too_much.join(", ");
            repair.statements.push(format!("REVOKE {too_much} ON {} FROM {role}", self.on));
        }
        if missing.is_empty() && too_much.is_empty() {
            return Ok(());
        }
        if self.grantable {
            let all: Vec<&str> = self.privileges.iter().map(String::as_str).collect();
            repair.statements.push(format!("GRANT {} ON {} TO {role}", all.join(", "), self.on));
            return Ok(());
        }
        let public = self.held.get(&0).cloned().unwrap_or_default();
        if self.public_will_do && missing.iter().all(|&privilege| public.contains(privilege)) {
            return Ok(());
        }
        if self.optional {
            repair.left_out.push(self.label.clone());
            return Ok(());
        }
        let owner = if self.owner.is_empty() { "its owner" } else { &self.owner };
        Err(refused(format!(
            "the provisioner may not give {} on {}: make it a member of the owner ({owner}), as \
             docs/integrations/postgresql/provisioner.sql does, or give it that right WITH GRANT \
             OPTION",
            missing.join(", "),
            self.label
        )))
    }
}

/// Makes groups exact: roles and memberships in the database where roles are managed, privileges
/// in the object's. Groups without members give nobody access, so a crash in between does no harm.
pub(super) async fn establish(
    control: &Connection,
    objects: &Connection,
    work: &Work,
    specs: &[(&GroupSpec, Repair)],
) -> Result<(), Failure> {
    let mut locked: Vec<&str> = specs.iter().map(|(spec, _)| spec.name.as_str()).collect();
    locked.sort_unstable();
    let mut sql = begin(work)?;
    for name in &locked {
        sql += &format!("SELECT pg_advisory_xact_lock({});", names::lock_key(name));
    }
    sql += &state_sql(locked.iter().copied())?;
    let answers = control.batch(work, &sql).await?;
    let states = states(answers.get(BEGIN_STATEMENTS + locked.len()..).unwrap_or_default());
    let mut sql = String::new();
    for (spec, _) in specs {
        let role = quote::ident(&spec.name)?;
        let state = states.get(&spec.name);
        if let Some(state) = state {
            check_identity(spec, state)?;
        } else {
            let marker = quote::literal(&Marker::Group(spec.marker.clone()).text())?;
            sql += &format!("CREATE ROLE {role} NOLOGIN; COMMENT ON ROLE {role} IS {marker};");
        }
        for parent in &spec.parents {
            if state.is_none_or(|state| !state.parents.contains(parent)) {
                sql += &membership(control, &quote::ident(parent)?, &role);
            }
        }
    }
    control.batch(work, &format!("{sql} COMMIT")).await?;
    work.crash_point("pg.groups.created").await;

    if specs.iter().all(|(_, repair)| repair.statements.is_empty() && repair.stray.is_empty()) {
        return Ok(());
    }
    let database = specs.first().map_or(0, |(spec, _)| spec.marker.database);
    let lock = names::lock_key(&format!("groups of {database}"));
    let mut statements = Vec::new();
    for (spec, repair) in specs {
        let role = quote::ident(&spec.name)?;
        if !repair.stray.is_empty() {
            for name in stray_names(objects, work, &repair.stray).await? {
                statements.push(format!("REVOKE ALL ON {name} FROM {role}"));
            }
        }
        statements.extend(repair.statements.iter().cloned());
    }
    for some in statements.chunks(AT_ONCE) {
        let begin = begin(work)?;
        let some = some.join(";");
        let sql = format!("{begin} SELECT pg_advisory_xact_lock({lock}); {some}; COMMIT");
        if let Err(failure) = objects.batch(work, &sql).await {
            let _ = objects.batch(work, "ROLLBACK").await;
            return Err(failure);
        }
        work.crash_point("pg.groups.granted").await;
    }
    Ok(())
}

/// What follows `ON` in a REVOKE, for objects known by oid.
async fn stray_names(
    objects: &Connection,
    work: &Work,
    stray: &[(u32, u32)],
) -> Result<Vec<String>, Failure> {
    let of = |class: u32| {
        quote::oids(stray.iter().filter(|(other, _)| *other == class).map(|(_, oid)| *oid))
    };
    let rows = objects
        .rows(
            work,
            &format!(
                "SELECT CASE WHEN c.relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, \
                 c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid IN ({}) UNION ALL SELECT 'SCHEMA', nspname, NULL FROM pg_namespace \
                 WHERE oid IN ({})",
                of(PG_CLASS),
                of(PG_NAMESPACE)
            ),
        )
        .await?;
    rows.iter()
        .map(|row| {
            let schema = quote::ident(&string(row, 1))?;
            Ok(match text(row, 2) {
                Some(name) => format!("{} {schema}.{}", string(row, 0), quote::ident(name)?),
                None => format!("SCHEMA {schema}"),
            })
        })
        .collect()
}

/// Makes `member` a member of `group`: rights are inherited, but nobody can become the group
/// where the server can say so (version 16 and later).
pub(super) fn membership(connection: &Connection, group: &str, member: &str) -> String {
    if connection.has_membership_options() {
        format!("GRANT {group} TO {member} WITH INHERIT TRUE, SET FALSE;")
    } else {
        format!("GRANT {group} TO {member};")
    }
}
