//! What the connector's login can and cannot do in a target, said before the first grant needs
//! it. Findings name the statement that mends them.

use std::collections::BTreeSet;

use latchkey_domain::{
    Rng,
    provisioning::{FaultClass, Finding, Severity, TargetFault},
};

use super::{
    Context,
    catalog::{Catalog, Scope},
    claims::Places,
    connection::{Connection, Login, begin, flag, number, string},
    discover::databases,
    expire::PRINCIPAL_NAMES,
    fault::Failure,
    marker::{Marker, ProbeMarker, comment_sql},
    quote,
    settings::TlsMode,
};

/// Clocks that differ by more than this are worth a word.
const CLOCKS_MS: i64 = 2_000;

/// How many databases are looked into.
const DATABASES: usize = 50;

/// Connects and checks.
pub(super) async fn validate(context: &Context<'_>) -> Result<Vec<Finding>, TargetFault> {
    let mut places = Places::open(context).await?;
    let mut findings = Vec::new();
    check_role(context, &places.control, &mut findings).await?;
    check_transport(context, &places.control, &mut findings);
    if !findings.iter().any(|finding| finding.severity == Severity::Error) {
        check_ownership_of_principals(context, &places.control, &mut findings).await?;
        check_passwords(context, &places.control, &mut findings).await?;
    }
    check_databases(context, &mut places, &mut findings).await?;
    places.give_back(context);
    Ok(findings)
}

fn say(findings: &mut Vec<Finding>, severity: Severity, message: impl Into<String>) {
    findings.push(Finding { severity, message: message.into() });
}

async fn check_role(
    context: &Context<'_>,
    control: &Connection,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let rows = control
        .rows(
            context.work,
            "SELECT current_user, rolsuper, rolcreaterole, pg_is_in_recovery(), \
             (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM pg_roles WHERE rolname = \
             current_user",
        )
        .await?;
    let server_now = context.work.server_now().as_millisecond();
    let Some(row) = rows.first() else {
        say(findings, Severity::Error, "the provisioner's own role cannot be read");
        return Ok(());
    };
    let user = string(row, 0);
    let (superuser, create_role, standby) = (flag(row, 1), flag(row, 2), flag(row, 3));
    if standby {
        say(
            findings,
            Severity::Error,
            "the server is a standby: hostname must be the primary; name standbys in replicas",
        );
    }
    if superuser {
        say(
            findings,
            Severity::Advice,
            format!(
                "{user} is a superuser, which is more than Latchkey needs: \
                 docs/integrations/postgresql/provisioner.sql makes a role that is enough"
            ),
        );
    } else if !create_role {
        say(
            findings,
            Severity::Error,
            format!(
                "{user} cannot create roles: run docs/integrations/postgresql/provisioner.sql and \
                 set the parameter role to latchkey_provisioner"
            ),
        );
    } else if !control.has_membership_options() {
        say(
            findings,
            Severity::Advice,
            "before PostgreSQL 16, CREATEROLE reaches every role that is no superuser, also \
             pg_read_server_files: guard the provisioner's password like a superuser's, or \
             upgrade",
        );
    }
    let apart = number::<i64>(row, 4).unwrap_or(server_now) - server_now;
    if apart.abs() > CLOCKS_MS {
        say(
            findings,
            Severity::Advice,
            format!(
                "the target's clock differs from Latchkey's by {} s: ends are computed on the \
                 target's clock, but its logs will not match; run NTP on both",
                apart / 1000
            ),
        );
    }
    Ok(())
}

fn check_transport(context: &Context<'_>, control: &Connection, findings: &mut Vec<Finding>) {
    if !control.encrypted {
        say(
            findings,
            Severity::Advice,
            "the connection is not encrypted: switch TLS on in the server and set sslmode to \
             verify-full",
        );
    } else if context.settings.tls != TlsMode::VerifyFull {
        say(
            findings,
            Severity::Advice,
            "the connection is encrypted, but the server's name is not proven: set sslmode to \
             verify-full",
        );
    }
}

/// From version 16 on only a role with ADMIN OPTION can change or drop a principal.
async fn check_ownership_of_principals(
    context: &Context<'_>,
    control: &Connection,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    if !control.has_membership_options() {
        return Ok(());
    }
    let ours = quote::literal(context.target.integration_id.as_str())?;
    let rows = control
        .rows(
            context.work,
            &format!(
                "SELECT rolname, current_user FROM pg_roles WHERE ({PRINCIPAL_NAMES} OR {}) AND \
                 strpos({}, {ours}) > 0 AND NOT pg_has_role(oid, 'MEMBER WITH ADMIN OPTION') \
                 ORDER BY oid",
                super::catalog::GROUP_NAMES,
                comment_sql("oid")
            ),
        )
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut statements = Vec::new();
    for row in rows.iter().take(20) {
        statements.push(format!(
            "GRANT {} TO {} WITH ADMIN OPTION;",
            quote::ident(&string(row, 0))?,
            quote::ident(&string(row, 1))?
        ));
    }
    say(
        findings,
        Severity::Error,
        format!(
            "another provisioner made {} roles that this one cannot change; as a superuser run: {}",
            rows.len(),
            statements.join(" ")
        ),
    );
    Ok(())
}

/// Tries a wrong password: where it gets in, a revoked password would too.
async fn check_passwords(
    context: &Context<'_>,
    control: &Connection,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let work = context.work;
    let random = <dyn Rng>::bytes::<10>(work.rng.as_ref());
    let name = format!("lk_t_{}", hex::encode(random));
    let role = quote::ident(&name)?;
    let secret = hex::encode(<dyn Rng>::bytes::<24>(work.rng.as_ref()));
    let verifier = super::verifier::scram_sha_256(secret.as_bytes(), work.rng.as_ref());
    let marker =
        Marker::Probe(ProbeMarker { installation: context.target.installation_id.clone() });
    let sql = format!(
        "{} CREATE ROLE {role} LOGIN PASSWORD {} VALID UNTIL '{}'; COMMENT ON ROLE {role} IS {}; \
         COMMIT",
        begin(work)?,
        quote::literal(&verifier)?,
        super::principal::timestamp(work.server_now().as_millisecond().saturating_add(600_000)),
        quote::literal(&marker.text())?
    );
    if let Err(failure) = control.batch(work, &sql).await {
        if failure.connection_lost {
            return Err(failure);
        }
        control.batch(work, "ROLLBACK").await?;
        let message = format!("a login role cannot be made: {}", failure.fault.message);
        say(findings, Severity::Error, message);
        return Ok(());
    }
    let wrong = "not the password".to_owned().into();
    let login = Login { username: &name, password: &wrong, role: None };
    let settings = &context.settings;
    let attempt =
        Connection::open(settings, &settings.primary, &settings.dbname, &login, work).await;
    control.batch(work, &format!("DROP ROLE {role}")).await?;
    match attempt {
        Ok(_) => say(
            findings,
            Severity::Error,
            "a login with a wrong password was let in: pg_hba.conf does not ask for passwords \
             (trust) on this address, so revoking one would end nothing; use scram-sha-256",
        ),
        Err(failure) if failure.fault.class == FaultClass::Refused => {}
        Err(failure) => say(
            findings,
            Severity::Advice,
            format!("whether passwords are checked could not be tried: {}", failure.fault.message),
        ),
    }
    Ok(())
}

async fn check_databases(
    context: &Context<'_>,
    places: &mut Places,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let found = databases(context, &places.control).await?;
    for wanted in context.settings.databases.iter().flatten() {
        if !found.iter().any(|database| database.name == *wanted) {
            say(
                findings,
                Severity::Warning,
                format!(
                    "the database {wanted:?} does not exist, or the provisioner may not connect"
                ),
            );
        }
    }
    for database in found.iter().take(DATABASES) {
        let connection = match places.to(context, &database.name).await {
            Ok(connection) => connection,
            Err(failure) => {
                let message = format!("{}: {}", database.name, failure.fault.message);
                say(findings, Severity::Warning, message);
                continue;
            }
        };
        let scope = Scope { everything: true, ..Scope::default() };
        let catalog = Catalog::read(connection, context.work, &scope).await?;
        let out_of_reach: Vec<_> =
            catalog.relations.iter().filter(|relation| !relation.grantable).collect();
        if out_of_reach.is_empty() {
            continue;
        }
        let owners: BTreeSet<&str> = out_of_reach.iter().map(|r| r.owner.as_str()).collect();
        let owners: Vec<&str> = owners.into_iter().take(5).collect();
        say(
            findings,
            Severity::Warning,
            format!(
                "{} tables, views and sequences of {:?} cannot be given, because the provisioner \
                 is no member of their owners ({}): run \
                 docs/integrations/postgresql/provisioner.sql for them",
                out_of_reach.len(),
                database.name,
                owners.join(", ")
            ),
        );
    }
    Ok(())
}
