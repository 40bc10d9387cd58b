//! A principal as it is in the target: its role, its marker, what it is a member of. All of it
//! is read where roles are managed, under the principal's advisory lock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::provisioning::{DesiredPrincipal, FaultClass, Receipt, TargetFault};

use super::{
    connection::{Rows, flag, number, string, text},
    fault::{Failure, refused},
    marker::{Marker, PrincipalMarker, comment_sql},
    planned::{CLOCK, Planned},
    quote,
};
use crate::Target;

/// Why work on one principal stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The marker holds a higher fence.
    Fenced(i64),
    /// It failed.
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// Which principal is worked on.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// The role's name.
    pub principal: String,
    /// The session it must belong to.
    pub session: latchkey_domain::ids::SessionId,
    /// The session's generation.
    pub generation: i64,
}

impl Who {
    /// The principal of a task. Only names that Latchkey makes up are ever touched.
    pub(super) fn of(desired: &DesiredPrincipal) -> Result<Self, Failure> {
        if !desired.principal.starts_with("lk_u_") {
            return Err(refused(format!(
                "{:?} is not the name of a Latchkey principal: it is not touched",
                desired.principal
            )));
        }
        quote::ident(&desired.principal)?;
        Ok(Self {
            principal: desired.principal.clone(),
            session: desired.session_id.clone(),
            generation: desired.generation,
        })
    }
}

/// One membership of a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    /// The role's name.
    pub name: String,
    /// Whether it is inherited and, where the server can say so, nothing more.
    pub exact: bool,
    /// Whether the provisioner can take it away.
    pub revocable: bool,
    /// Who gave it, for people.
    pub grantors: String,
}

impl Membership {
    /// Why `principal` is still a member, and what ends that.
    pub(super) fn stays(&self, principal: &str) -> TargetFault {
        let Self { name, grantors, .. } = self;
        let message = if self.revocable {
            format!(
                "{principal} is still a member of {name}, because somebody else made it one, too \
                 (given by {grantors}): run, as a superuser, REVOKE {name} FROM {principal} \
                 GRANTED BY each of them"
            )
        } else {
            format!(
                "{principal} is still a member of {name} (given by {grantors}), and the \
                 provisioner may not change that: run REVOKE {name} FROM {principal}, or GRANT \
                 {name} TO the provisioner WITH ADMIN OPTION"
            )
        };
        TargetFault::new(FaultClass::Refused, message)
    }
}

/// The role as it is.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "they are columns of one catalogue row")]
pub(super) struct PrincipalState {
    /// Its oid.
    pub oid: u32,
    /// Whether it may log in.
    pub can_log_in: bool,
    /// `VALID UNTIL`: milliseconds since 1970, `infinity`, `-infinity` or nothing.
    pub valid_until: String,
    /// Whether it has an attribute that no principal has.
    pub privileged: bool,
    /// Whether it has any comment.
    pub has_comment: bool,
    /// Its marker.
    pub marker: Option<Marker>,
    /// Whether the provisioner has its rights, which ending its sessions takes.
    pub reachable: bool,
    /// What it is a member of, by oid.
    pub memberships: BTreeMap<u32, Membership>,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The target's time, in milliseconds since 1970.
    pub now: i64,
    /// The role, if it exists.
    pub state: Option<PrincipalState>,
}

/// How many statements [`look_sql`] sends.
pub(super) const LOOK_STATEMENTS: usize = 3;

/// Reads a principal.
pub(super) fn look_sql(principal: &str) -> Result<String, Failure> {
    let name = quote::name_literal(principal)?;
    Ok(format!("{CLOCK} EXECUTE lk_principal({name}); EXECUTE lk_memberships({name});"))
}

/// The queries of [`look_sql`].
pub(super) fn planned(modern: bool) -> [Planned; 2] {
    let (exact, revocable) = if modern {
        (
            "bool_and(m.inherit_option AND NOT m.set_option AND NOT m.admin_option)",
            "pg_has_role(m.roleid, 'MEMBER WITH ADMIN OPTION')",
        )
    } else {
        (
            "bool_and(NOT m.admin_option)",
            "bool_and(NOT g.rolsuper) OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)",
        )
    };
    let comment = comment_sql("r.oid");
    let principal = format!(
        "SELECT r.oid, r.rolcanlogin, CASE WHEN isfinite(r.rolvaliduntil) THEN \
         (extract(epoch FROM r.rolvaliduntil) * 1000)::bigint::text ELSE \
         r.rolvaliduntil::text END, \
         r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls, \
         {comment}, pg_has_role(r.oid, 'USAGE') FROM pg_roles r WHERE r.rolname = $1"
    );
    let memberships = format!(
        "SELECT m.roleid, g.rolname, {exact}, {revocable}, \
         string_agg(DISTINCT pg_get_userbyid(m.grantor)::text, ', ') FROM pg_auth_members m \
         JOIN pg_roles g ON g.oid = m.roleid \
         WHERE m.member = (SELECT oid FROM pg_roles WHERE rolname = $1) \
         GROUP BY m.roleid, g.rolname"
    );
    [
        Planned::new("lk_principal", "name", principal),
        Planned::new("lk_memberships", "name", memberships),
    ]
}

/// What the answers to [`look_sql`] say.
pub(super) fn look(answers: &[Rows]) -> Result<Look, Failure> {
    let (Some(clock), Some(role), Some(members)) =
        (answers.first(), answers.get(1), answers.get(2))
    else {
        return Err(refused("PostgreSQL answered a catalogue query in an unknown way"));
    };
    let now = clock.first().and_then(|row| number(row, 0)).unwrap_or(0);
    let memberships = members
        .iter()
        .map(|row| {
            let membership = Membership {
                name: string(row, 1),
                exact: flag(row, 2),
                revocable: flag(row, 3),
                grantors: string(row, 4),
            };
            (number(row, 0).unwrap_or(0), membership)
        })
        .collect();
    let state = role.first().map(|row| PrincipalState {
        oid: number(row, 0).unwrap_or(0),
        can_log_in: flag(row, 1),
        valid_until: string(row, 2),
        privileged: flag(row, 3),
        has_comment: text(row, 4).is_some_and(|comment| !comment.is_empty()),
        marker: Marker::read(text(row, 4)),
        reachable: flag(row, 5),
        memberships,
    });
    Ok(Look { now, state })
}

impl PrincipalState {
    /// The marker, if it names this installation, integration and session.
    ///
    /// `Err` where the role bears somebody else's comment; `Ok(None)` where it bears none.
    pub(super) fn own_marker(
        &self,
        target: &Target,
        who: &Who,
    ) -> Result<Option<&PrincipalMarker>, Failure> {
        match &self.marker {
            Some(Marker::Principal(marker))
                if marker.is_of(target) && marker.session == who.session =>
            {
                Ok(Some(marker))
            }
            None if !self.has_comment => Ok(None),
            _ => Err(refused(format!(
                "the role {} bears the mark of another installation, integration or session, or \
                 a comment of somebody: it is not touched",
                who.principal
            ))),
        }
    }
}

/// The advisory lock's statement for a name.
pub(super) fn lock_sql(name: &str) -> String {
    format!("SELECT pg_advisory_xact_lock({});", super::names::lock_key(name))
}

/// A time of the target as the domain has it.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A receipt that says the principal is not there.
pub(super) fn nothing_left(who: &Who, now: i64) -> Receipt {
    Receipt {
        principal: who.principal.clone(),
        observed_at: timestamp(now),
        principal_exists: false,
        can_log_in: false,
        open_sessions: 0,
        sessions_ended: 0,
        holds: Vec::new(),
        leftover: Vec::new(),
        notes: Vec::new(),
    }
}
