//! Moving what a principal owns to the graveyard, so that its role can go. One NOLOGIN role an
//! installation owns what is left behind.
//!
//! Invariant: objects are never dropped. `DROP OWNED` runs only after a look has shown, in the
//! same transaction, that the role owns nothing in that database any more (but for its default
//! privileges and user mappings, which nobody else can own).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Context,
    connection::{BEGIN_STATEMENTS, Connection, begin, number, string, text},
    fault::{Failure, refused},
    marker::{GraveyardMarker, Marker, comment_sql},
    names,
    planned::Planned,
    principal::lock_sql,
    quote,
};
use crate::{Target, Work};

/// Reads where a role is named in `pg_shdepend`.
pub(super) fn places_sql(oid: u32) -> String {
    format!("EXECUTE lk_named_in({oid})")
}

/// The query of [`places_sql`].
pub(super) fn planned() -> [Planned; 1] {
    let named_in = "SELECT dbid, bool_or(deptype = 'o') FROM pg_shdepend WHERE refclassid = \
         'pg_authid'::regclass AND refobjid = $1 AND classid <> 'pg_auth_members'::regclass \
         GROUP BY dbid";
    [Planned::new("lk_named_in", "oid", named_in)]
}

/// Where a role is named: databases by oid (0: shared objects), and whether it owns something
/// there.
async fn places(
    control: &Connection,
    work: &Work,
    oid: u32,
) -> Result<BTreeMap<u32, bool>, Failure> {
    let rows = control.rows(work, &places_sql(oid)).await?;
    Ok(rows.iter().map(|row| (number(row, 0).unwrap_or(0), text(row, 1) == Some("t"))).collect())
}

/// Makes sure that the graveyard exists; answers its name.
pub(super) async fn prepare(
    control: &Connection,
    work: &Work,
    target: &Target,
) -> Result<String, Failure> {
    let name = names::graveyard(target);
    let (role, constant) = (quote::ident(&name)?, quote::name_literal(&name)?);
    let sql = format!(
        "{}{} SELECT {}, pg_has_role(oid, 'USAGE') FROM \
         pg_roles WHERE rolname = {constant}",
        begin(work)?,
        lock_sql(&name),
        comment_sql("oid")
    );
    let answers = control.batch(work, &sql).await?;
    let found = answers.get(BEGIN_STATEMENTS + 1).and_then(|rows| rows.first());
    let join = if control.has_membership_options() {
        format!("GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;")
    } else {
        format!("GRANT {role} TO CURRENT_USER;")
    };
    let sql = match found {
        None => {
            let marker = GraveyardMarker { installation: target.installation_id.clone() };
            let marker = quote::literal(&Marker::Graveyard(marker).text())?;
            format!("CREATE ROLE {role} NOLOGIN; COMMENT ON ROLE {role} IS {marker}; {join} COMMIT")
        }
        Some(row) => {
            let own = matches!(
                Marker::read(text(row, 0)),
                Some(Marker::Graveyard(marker)) if marker.installation == target.installation_id
            );
            if !own {
                let _ = control.batch(work, "ROLLBACK").await;
                return Err(refused(format!(
                    "a role named {name} exists that Latchkey did not make: drop it, so that \
                     objects left behind can be moved to the graveyard"
                )));
            }
            if text(row, 1) == Some("t") { "COMMIT".to_owned() } else { format!("{join} COMMIT") }
        }
    };
    control.batch(work, &sql).await?;
    Ok(name)
}

/// Whose objects are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A principal's; its other privileges are dropped too.
    Principal,
    /// A group's, of which the provisioner becomes a member for the transaction; its privileges
    /// stay.
    Group,
}

/// Moves everything that `role` owns in one database, and drops a principal's privileges there.
async fn move_objects(
    objects: &Connection,
    work: &Work,
    role: &str,
    oid: u32,
    graveyard: &str,
    kind: Kind,
) -> Result<(), Failure> {
    let (role, graveyard) = (quote::ident(role)?, quote::ident(graveyard)?);
    let mut sql = begin(work)?;
    let mut statements = BEGIN_STATEMENTS;
    if kind == Kind::Group {
        sql += &format!("GRANT {role} TO CURRENT_USER;");
        statements += 1;
    }
    let own_schemas: Vec<String> = [
        ("pg_class", "relnamespace", "relowner"),
        ("pg_proc", "pronamespace", "proowner"),
        ("pg_type", "typnamespace", "typowner"),
        ("pg_operator", "oprnamespace", "oprowner"),
        ("pg_collation", "collnamespace", "collowner"),
        ("pg_statistic_ext", "stxnamespace", "stxowner"),
        ("pg_ts_dict", "dictnamespace", "dictowner"),
        ("pg_ts_config", "cfgnamespace", "cfgowner"),
    ]
    .iter()
    .map(|(table, namespace, owner)| {
        format!("SELECT {namespace} FROM {table} WHERE {owner} = {oid}")
    })
    .collect();
    sql += &format!(
        "SELECT n.nspname, n.nspowner = {oid} FROM pg_namespace n WHERE n.oid IN ({}) AND NOT \
         has_schema_privilege('{}', n.oid, 'CREATE'); \
         SELECT current_database(), EXISTS (SELECT FROM pg_namespace WHERE nspowner = {oid})",
        own_schemas.join(" UNION "),
        graveyard.trim_matches('"'),
    );
    let answers = objects.batch(work, &sql).await?;
    let mut open: BTreeSet<String> = BTreeSet::new();
    for row in answers.get(statements).into_iter().flatten() {
        if text(row, 1) != Some("t") {
            open.insert(format!("SCHEMA {}", quote::ident(&string(row, 0))?));
        }
    }
    if let Some(row) = answers.get(statements + 1).and_then(|rows| rows.first())
        && text(row, 1) == Some("t")
    {
        open.insert(format!("DATABASE {}", quote::ident(&string(row, 0))?));
    }
    let mut sql = String::new();
    for on in &open {
        sql += &format!("GRANT CREATE ON {on} TO {graveyard};");
    }
    sql += &format!("REASSIGN OWNED BY {role} TO {graveyard};");
    for on in &open {
        sql += &format!("REVOKE CREATE ON {on} FROM {graveyard};");
    }
    if kind == Kind::Group {
        sql += &format!("REVOKE {role} FROM CURRENT_USER; COMMIT");
        objects.batch(work, &sql).await?;
        return Ok(());
    }
    sql += &format!(
        "SELECT count(*) FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND \
         s.refobjid = {oid} AND s.deptype = 'o' AND s.classid NOT IN ('pg_default_acl'::regclass, \
         'pg_user_mapping'::regclass) AND (s.dbid = 0 OR s.dbid = (SELECT oid FROM \
         pg_database WHERE datname = current_database()))"
    );
    let rows = objects.rows(work, &sql).await?;
    let owns: u32 = rows.first().and_then(|row| number(row, 0)).unwrap_or(1);
    if owns > 0 {
        return Err(refused(format!("{owns} objects could not be moved to the graveyard")));
    }
    objects.batch(work, &format!("DROP OWNED BY {role}; COMMIT")).await?;
    Ok(())
}

/// Empties `role` in every place that names it; answers what could not be moved, for people.
pub(super) async fn empty(
    context: &Context<'_>,
    control: &Connection,
    role: &str,
    oid: u32,
    kind: Kind,
) -> Result<Vec<String>, Failure> {
    let (pool, settings, work) = (context.pool, &context.settings, context.work);
    let mut places = places(control, work, oid).await?;
    if kind == Kind::Group {
        places.retain(|_, owns| *owns);
    }
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let graveyard = prepare(control, work, context.target).await?;
    work.crash_point("pg.revoke.graveyard_ready").await;
    let mut leftover = Vec::new();
    let databases = databases(control, work, places.keys().copied()).await?;
    for (database, owns) in &places {
        work.check_lease()?;
        let result = match databases.get(database) {
            // Shared objects are reached from any database.
            None if *database == 0 => {
                move_objects(control, work, role, oid, &graveyard, kind).await
            }
            None => Err(refused("the database does not take connections")),
            Some(name) if *name == control.database => {
                move_objects(control, work, role, oid, &graveyard, kind).await
            }
            Some(name) => match pool.take(settings, name, work).await {
                Ok(objects) => {
                    let result = move_objects(&objects, work, role, oid, &graveyard, kind).await;
                    match &result {
                        Ok(()) => pool.give_back(objects, work),
                        Err(_) => drop(objects),
                    }
                    result
                }
                Err(failure) => Err(failure),
            },
        };
        match result {
            Ok(()) => work.crash_point("pg.revoke.objects_moved").await,
            Err(failure) if failure.connection_lost || failure.is_collision() => {
                return Err(failure);
            }
            // Another process was faster and the role is gone.
            Err(failure) if failure.is_missing() => {
                let _ = control.batch(work, "ROLLBACK").await;
            }
            Err(failure) => {
                let _ = control.batch(work, "ROLLBACK").await;
                let name = databases.get(database).map_or("the cluster", String::as_str);
                let what = if *owns { "objects" } else { "privileges" };
                leftover.push(format!("{what} in {name}: {}", failure.fault.message));
            }
        }
    }
    Ok(leftover)
}

/// Names of databases that take connections.
async fn databases(
    control: &Connection,
    work: &Work,
    oids: impl IntoIterator<Item = u32>,
) -> Result<BTreeMap<u32, String>, Failure> {
    let rows = control
        .rows(
            work,
            &format!(
                "SELECT oid, datname FROM pg_database WHERE datallowconn AND oid IN ({})",
                quote::oids(oids)
            ),
        )
        .await?;
    Ok(rows.iter().map(|row| (number(row, 0).unwrap_or(0), string(row, 1))).collect())
}
