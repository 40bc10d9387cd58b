//! A number over all that discovery looks at, made by the server itself, so that only the number
//! travels: when it is the same, a discovery run would find the same.
//!
//! Our own roles are left out, so that giving and taking access changes nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use latchkey_domain::provisioning::TargetFault;

use super::{
    Context,
    catalog::OWN_SCHEMAS,
    claims::Places,
    connection::{Rows, string},
    discover::databases,
};

/// Roles and memberships, as far as they decide which roles may be given.
const ROLES: &str = "SELECT count(*), coalesce(sum(hashtextextended(concat_ws('/', oid, rolname, \
     rolsuper, rolcreaterole, rolreplication, rolbypassrls, shobj_description(oid, 'pg_authid')), \
     0)), 0) FROM pg_roles WHERE rolname < 'lk_' OR rolname >= 'lk`' \
     UNION ALL \
     SELECT count(*), coalesce(sum(hashtextextended(concat_ws('/', m.roleid, m.member, \
     m.admin_option), 0)), 0) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member \
     WHERE r.rolname < 'lk_' OR r.rolname >= 'lk`'";

/// The mark of everything that the integration manages.
pub(super) async fn inventory_mark(context: &Context<'_>) -> Result<u64, TargetFault> {
    let mut places = Places::open(context).await?;
    let mut mark = DefaultHasher::new();
    let databases = databases(context, &places.control).await?;
    for database in &databases {
        (&database.name, &database.oid, &database.comment).hash(&mut mark);
        if context.wants("postgresql-schema") || context.wants("postgresql-table") {
            let connection = places.to(context, &database.name).await?;
            take_in(&connection.rows(context.work, &tables()).await?, &mut mark);
        }
    }
    if context.wants("postgresql-role") {
        take_in(&places.control.rows(context.work, ROLES).await?, &mut mark);
    }
    places.give_back(context);
    Ok(mark.finish())
}

/// Schemas and tables of a database, with their comments.
fn tables() -> String {
    format!(
        "SELECT count(*), coalesce(sum(hashtextextended(concat_ws('/', n.oid, n.nspname, \
         obj_description(n.oid, 'pg_namespace')), 0)), 0) FROM pg_namespace n WHERE {OWN_SCHEMAS} \
         UNION ALL \
         SELECT count(*), coalesce(sum(hashtextextended(concat_ws('/', c.oid, c.relname, \
         c.relnamespace, c.relkind, obj_description(c.oid, 'pg_class')), 0)), 0) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','f') \
         AND NOT c.relispartition AND {OWN_SCHEMAS}"
    )
}

fn take_in(rows: &Rows, mark: &mut DefaultHasher) {
    for row in rows {
        (string(row, 0), string(row, 1)).hash(mark);
    }
}
