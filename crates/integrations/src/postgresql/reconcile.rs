//! Looking for access that nothing explains, and keeping groups as they should be.
//!
//! Invariant: only what bears the marker of this installation and this integration is changed,
//! and no principal younger than 15 minutes: its grant may still be on its way.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::provisioning::{DriftFinding, KnownSession, TargetFault};

use super::{
    Context,
    catalog::{Catalog, GROUP_NAMES, Scope},
    claims::Places,
    connection::{BEGIN_STATEMENTS, Connection, begin, number, string, text},
    discover::FoundDatabase,
    expire::{Marked, PRINCIPAL_NAMES, marked},
    fault::Failure,
    groups::{self, GroupSpec},
    marker::{GroupMarker, Marker, State, comment_sql},
    principal::{Stop, lock_sql, look, look_sql},
    quote,
    revoke::revoke,
    rights::Right,
    source::Source,
};

/// Principals younger than this are left alone.
const YOUNG_MS: i64 = 15 * 60 * 1000;

/// Groups without members are dropped after this.
const UNUSED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Compares the target with the sessions that may exist there.
pub(super) async fn reconcile(
    context: &Context<'_>,
    known: &[KnownSession],
    remove: bool,
) -> Result<Vec<DriftFinding>, TargetFault> {
    let places = Places::open(context).await?;
    let control = &places.control;
    let mut drift = foreign(context, control).await?;
    let (now, all) = marked(context, control).await?;
    let explained: BTreeMap<&str, &KnownSession> =
        known.iter().map(|session| (session.principal.as_str(), session)).collect();
    for found in &all {
        let session = explained
            .get(found.who.principal.as_str())
            .filter(|session| session.session_id == found.who.session);
        let finding = match session {
            Some(session) => check(context, control, found, session).await?,
            None if now - found.marker.created < YOUNG_MS => None,
            None => Some(unexplained(context, found, remove).await?),
        };
        drift.extend(finding);
    }
    let there: BTreeSet<&str> = all.iter().map(|found| found.who.principal.as_str()).collect();
    drift.extend(known.iter().filter(|session| !there.contains(session.principal.as_str())).map(
        |session| {
            DriftFinding {
                subject: session.principal.clone(),
                message:
                    "the session's role is not there, or lost its marker: somebody dropped or \
                      changed it by hand; a reset of its credentials makes it anew"
                        .to_owned(),
                removed: false,
            }
        },
    ));
    drift.extend(sweep_groups(context, control, now, remove).await?);
    sweep_probes(context, control).await?;
    places.give_back(context);
    Ok(drift)
}

/// Roles named like ours that are not ours to touch.
async fn foreign(
    context: &Context<'_>,
    control: &Connection,
) -> Result<Vec<DriftFinding>, Failure> {
    let rows = control
        .rows(
            context.work,
            &format!(
                "SELECT rolname, {} FROM pg_roles WHERE {PRINCIPAL_NAMES} ORDER BY oid",
                comment_sql("oid")
            ),
        )
        .await?;
    let mut drift = Vec::new();
    for row in &rows {
        let message = match Marker::read(text(row, 1)) {
            Some(Marker::Principal(marker))
                if marker.installation != context.target.installation_id =>
            {
                format!(
                    "belongs to another installation of Latchkey ({}): it is not touched",
                    marker.installation
                )
            }
            Some(_) => continue,
            None => "is named like a principal of Latchkey but bears no marker: it is not touched"
                .to_owned(),
        };
        drift.push(DriftFinding { subject: string(row, 0), message, removed: false });
    }
    Ok(drift)
}

/// A principal that nothing explains: removed if that is allowed.
async fn unexplained(
    context: &Context<'_>,
    found: &Marked,
    remove: bool,
) -> Result<DriftFinding, TargetFault> {
    let subject = found.who.principal.clone();
    let what = format!("no session explains it (it names session {})", found.who.session);
    if !remove {
        return Ok(DriftFinding { subject, message: what, removed: false });
    }
    let marker = &found.marker;
    let same = |now: Option<&super::marker::PrincipalMarker>, _: i64| now == Some(marker);
    match revoke(context, &found.who, None, &same).await {
        Ok(Some(receipt)) if receipt.leftover.is_empty() => {
            Ok(DriftFinding { subject, message: format!("{what}; it was removed"), removed: true })
        }
        Ok(Some(receipt)) => Ok(DriftFinding {
            subject,
            message: format!(
                "{what}; its access was removed, but it still owns objects: {}",
                receipt.leftover.join("; ")
            ),
            removed: false,
        }),
        Ok(None) | Err(Stop::Fenced(_)) => Ok(DriftFinding {
            subject,
            message: format!("{what}; it changed meanwhile and was left alone"),
            removed: false,
        }),
        Err(Stop::Failed(failure)) if failure.connection_lost => Err(failure.fault),
        Err(Stop::Failed(failure)) => Ok(DriftFinding {
            subject,
            message: format!("{what}; it could not be removed: {}", failure.fault.message),
            removed: false,
        }),
    }
}

/// A principal with a session: what differs from its marker.
async fn check(
    context: &Context<'_>,
    control: &Connection,
    found: &Marked,
    session: &KnownSession,
) -> Result<Option<DriftFinding>, Failure> {
    let answers = control.batch(context.work, &look_sql(&found.who.principal)?).await?;
    let Some(state) = look(&answers)?.state.filter(|state| state.oid == found.oid) else {
        return Ok(None);
    };
    let mut wrong = Vec::new();
    if found.marker.state == State::Ending {
        wrong.push("its end has begun and is not complete".to_owned());
    } else {
        let wanted: BTreeSet<u32> = found.marker.claims.iter().map(|claim| claim.role).collect();
        for (oid, membership) in &state.memberships {
            if !wanted.contains(oid) {
                wrong.push(format!("somebody made it a member of {}", membership.name));
            }
        }
        for oid in wanted.iter().filter(|oid| !state.memberships.contains_key(oid)) {
            wrong.push(format!("somebody took its membership of the role with oid {oid} away"));
        }
        if !state.can_log_in {
            wrong.push("somebody took its LOGIN away".to_owned());
        }
        if state.privileged {
            wrong.push("somebody gave it attributes that no principal has".to_owned());
        }
        for claim in &found.marker.claims {
            if !session.units.contains(&claim.unit) {
                wrong.push(format!("it holds {}, which no request explains", claim.unit));
            }
        }
    }
    Ok((!wrong.is_empty()).then(|| DriftFinding {
        subject: found.who.principal.clone(),
        message: wrong.join("; "),
        removed: false,
    }))
}

struct FoundGroup {
    name: String,
    oid: u32,
    members: u32,
    marker: GroupMarker,
}

/// The group roles of this integration.
async fn own_groups(
    context: &Context<'_>,
    control: &Connection,
) -> Result<Vec<FoundGroup>, Failure> {
    let rows = control
        .rows(
            context.work,
            &format!(
                "SELECT r.rolname, r.oid, (SELECT count(*) FROM pg_auth_members m WHERE m.roleid = \
                 r.oid AND m.member IN (SELECT oid FROM pg_roles WHERE rolname <> current_user)), \
                 {} FROM pg_roles r WHERE {GROUP_NAMES}",
                comment_sql("r.oid")
            ),
        )
        .await?;
    Ok(rows
        .iter()
        .filter_map(|row| match Marker::read(text(row, 3)) {
            Some(Marker::Group(marker)) if marker.is_of(context.target) => Some(FoundGroup {
                name: string(row, 0),
                oid: number(row, 1).unwrap_or(0),
                members: number(row, 2).unwrap_or(1),
                marker,
            }),
            _ => None,
        })
        .collect())
}

/// Drops groups that have no members and no object any more, or none for a week.
async fn sweep_groups(
    context: &Context<'_>,
    control: &Connection,
    now: i64,
    remove: bool,
) -> Result<Vec<DriftFinding>, Failure> {
    let work = context.work;
    let databases: BTreeMap<u32, String> = control
        .rows(work, "SELECT oid, datname FROM pg_database WHERE datallowconn")
        .await?
        .iter()
        .map(|row| (number(row, 0).unwrap_or(0), string(row, 1)))
        .collect();
    let mut drift = Vec::new();
    for group in own_groups(context, control).await? {
        let exists = object_exists(context, control, &databases, &group.marker).await?;
        if group.members > 0 {
            if !exists {
                drift.push(DriftFinding {
                    subject: group.name,
                    message: format!(
                        "its {} with oid {} is gone while principals still hold a right on it",
                        group.marker.class, group.marker.object
                    ),
                    removed: false,
                });
            } else if group.marker.idle_since.is_some() {
                note_use(context, control, &group, None).await?;
            }
            continue;
        }
        match group.marker.idle_since {
            _ if !exists => {}
            Some(since) if now - since > UNUSED_MS => {}
            Some(_) => continue,
            None => {
                note_use(context, control, &group, Some(now)).await?;
                continue;
            }
        }
        if remove && let Err(failure) = drop_group(context, control, &databases, &group).await {
            if failure.connection_lost {
                return Err(failure);
            }
            let _ = control.batch(work, "ROLLBACK").await;
            tracing::debug!(
                role = %group.name,
                error = %failure.fault.message,
                "An unused group role could not be dropped."
            );
        }
    }
    Ok(drift)
}

/// Drops roles of `validate` that a run left behind when it died.
async fn sweep_probes(context: &Context<'_>, control: &Connection) -> Result<(), Failure> {
    let rows = control
        .rows(
            context.work,
            &format!(
                "SELECT rolname, {} FROM pg_roles WHERE rolname >= 'lk_t_' AND rolname < 'lk_t`' \
                 AND rolvaliduntil < clock_timestamp()",
                comment_sql("oid")
            ),
        )
        .await?;
    for row in &rows {
        let own = matches!(
            Marker::read(text(row, 1)),
            Some(Marker::Probe(probe)) if probe.installation == context.target.installation_id
        );
        if own {
            let sql = format!("DROP ROLE IF EXISTS {}", quote::ident(&string(row, 0))?);
            if let Err(failure) = control.batch(context.work, &sql).await
                && failure.connection_lost
            {
                return Err(failure);
            }
        }
    }
    Ok(())
}

async fn object_exists(
    context: &Context<'_>,
    control: &Connection,
    databases: &BTreeMap<u32, String>,
    marker: &GroupMarker,
) -> Result<bool, Failure> {
    let Some(database) = databases.get(&marker.database) else { return Ok(false) };
    let table = match marker.class.as_str() {
        "table" => "pg_class",
        "schema" => "pg_namespace",
        _ => return Ok(true),
    };
    let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE oid = {})", marker.object);
    let rows = if *database == control.database {
        control.rows(context.work, &sql).await?
    } else {
        match context.pool.take(&context.settings, database, context.work).await {
            Ok(objects) => {
                let rows = objects.rows(context.work, &sql).await?;
                context.pool.give_back(objects, context.work);
                rows
            }
            // What cannot be looked at is not known to be gone.
            Err(_) => return Ok(true),
        }
    };
    Ok(rows.first().is_none_or(|row| text(row, 0) == Some("t")))
}

/// Notes since when a group has had no members.
async fn note_use(
    context: &Context<'_>,
    control: &Connection,
    group: &FoundGroup,
    idle_since: Option<i64>,
) -> Result<(), Failure> {
    let marker = Marker::Group(GroupMarker { idle_since, ..group.marker.clone() });
    let sql = format!(
        "{}{} COMMENT ON ROLE {} IS {}; COMMIT",
        begin(context.work)?,
        lock_sql(&group.name),
        quote::ident(&group.name)?,
        quote::literal(&marker.text())?
    );
    control.batch(context.work, &sql).await?;
    Ok(())
}

/// Drops a group under its exclusive lock, if it still has no members and owns nothing.
async fn drop_group(
    context: &Context<'_>,
    control: &Connection,
    databases: &BTreeMap<u32, String>,
    group: &FoundGroup,
) -> Result<(), Failure> {
    let work = context.work;
    let role = quote::ident(&group.name)?;
    let look = format!(
        "SELECT NOT EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid AND m.member IN \
         (SELECT oid FROM pg_roles WHERE rolname <> current_user)) AND NOT EXISTS (SELECT FROM \
         pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid AND deptype = \
         'o') FROM pg_roles r WHERE r.oid = {}",
        group.oid
    );
    let sql = begin(work)? + &lock_sql(&group.name) + &look;
    let answers = control.batch(work, &sql).await?;
    let free = answers
        .get(BEGIN_STATEMENTS + 1)
        .and_then(|rows| rows.first())
        .is_some_and(|row| text(row, 0) == Some("t"));
    if !free {
        control.batch(work, "ROLLBACK").await?;
        return Ok(());
    }
    // Its privileges go while the lock keeps new members out.
    let connect = match databases.get(&group.marker.database) {
        Some(database) if group.marker.class == "database" => {
            format!("REVOKE CONNECT ON DATABASE {} FROM {role};", quote::ident(database)?)
        }
        _ => String::new(),
    };
    let drop_owned = format!(
        "{connect} GRANT {role} TO CURRENT_USER; DROP OWNED BY {role}; REVOKE {role} FROM CURRENT_USER;"
    );
    match databases.get(&group.marker.database) {
        Some(database) if *database != control.database => {
            let objects = context.pool.take(&context.settings, database, work).await?;
            let sql = format!("{}{drop_owned} COMMIT", begin(work)?);
            objects.batch(work, &sql).await?;
            context.pool.give_back(objects, work);
            control.batch(work, &format!("DROP ROLE {role}; COMMIT")).await?;
        }
        _ => {
            control.batch(work, &format!("{drop_owned} DROP ROLE {role}; COMMIT")).await?;
        }
    }
    Ok(())
}

/// Brings the groups of whole schemas and databases up to what is there now. A group that cannot
/// be made exact is left for the next grant, which says why.
pub(super) async fn refresh_groups(
    context: &Context<'_>,
    places: &mut Places,
    databases: &[FoundDatabase],
) -> Result<(), Failure> {
    let groups = own_groups(context, &places.control).await?;
    for database in databases {
        let oid: u32 = database.oid.parse().unwrap_or(0);
        let wanted: Vec<(&FoundGroup, Right)> = groups
            .iter()
            .filter(|group| group.marker.database == oid && group.marker.class != "table")
            .filter_map(|group| Some((group, Right::of_word(&group.marker.right)?)))
            .filter(|(_, right)| *right != Right::Enter)
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let scope = Scope { everything: true, ..Scope::default() };
        let connection = places.to(context, &database.name).await?;
        let catalog = Catalog::read(connection, context.work, &scope).await?;
        for (group, right) in wanted {
            let source = if group.marker.class == "database" {
                Source::Database(database.name.clone())
            } else {
                let schema = catalog.schemas.iter().find(|s| s.oid == group.marker.object);
                let Some(schema) = schema else { continue };
                Source::Schema(database.name.clone(), schema.name.clone())
            };
            if let Err(failure) = refresh(context, places, &source, right, &catalog).await {
                if failure.connection_lost {
                    return Err(failure);
                }
                let _ = places.control.batch(context.work, "ROLLBACK").await;
                tracing::warn!(
                    resource.path = %source.path(),
                    error = %failure.fault.message,
                    "New tables could not be added to a group."
                );
            }
        }
    }
    Ok(())
}

async fn refresh(
    context: &Context<'_>,
    places: &Places,
    source: &Source,
    right: Right,
    catalog: &Catalog,
) -> Result<(), Failure> {
    let specs: Vec<GroupSpec> = groups::specs(context.target, source, right, catalog)?;
    let control = &places.control;
    let names = specs.iter().map(|spec| spec.name.as_str());
    let states = groups::states(&control.batch(context.work, &groups::state_sql(names)?).await?);
    let mut repairs = Vec::new();
    for spec in &specs {
        let repair = groups::repair(spec, states.get(&spec.name))?;
        if !repair.is_empty() {
            repairs.push((spec, repair));
        }
    }
    if repairs.is_empty() {
        return Ok(());
    }
    let objects = places.opened(source.database().unwrap_or_default());
    groups::establish(control, objects, context.work, &repairs).await
}
