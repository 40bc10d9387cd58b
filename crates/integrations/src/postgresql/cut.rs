//! Ending the sessions of a principal that lives on, after a right or a password was taken away.
//!
//! Invariant: the marker says that sessions are to be cut before the change is committed, and
//! stops saying so only after they have ended, so a crash in between is made good by whoever
//! looks at the marker next. After a new password it says so for as long as a login may take: one
//! that had begun before is not listed yet, and ends with the old password.

use std::time::Duration;

use super::{
    Context,
    connection::{BEGIN_STATEMENTS, Connection, begin, number},
    fault::Failure,
    marker::PrincipalMarker,
    principal::{Who, lock_sql, look, look_sql},
    quote, sessions,
};
use crate::Work;

/// Which sessions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All that are open at this moment.
    Now,
    /// Those that began before this instant, in milliseconds since 1970 by the target's clock.
    Before(i64),
}

/// How long a login may take where the server does not say, and what is added to be sure.
const LOGIN_MS: i64 = 60_000;
const MARGIN_MS: i64 = 2_000;

/// For how long a login that has begun may go on, in milliseconds.
pub(super) async fn login_takes(control: &Connection, work: &Work) -> Result<i64, Failure> {
    // In seconds, whatever it was written in.
    let sql = "SELECT setting FROM pg_settings WHERE name = 'authentication_timeout'";
    let rows = control.rows(work, sql).await?;
    let seconds: Option<i64> = rows.first().and_then(|row| number(row, 0));
    Ok(seconds.map_or(LOGIN_MS, |seconds| seconds.saturating_mul(1000)) + MARGIN_MS)
}

/// Ends the sessions of the role `oid`, on replicas too, then takes the note out of the marker
/// unless somebody has written another one, or more such sessions may come. Answers how many were
/// ended.
pub(super) async fn end_and_note(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    oid: u32,
    marker: &PrincipalMarker,
    cut: Cut,
) -> Result<u32, Failure> {
    let work = context.work;
    let (mut ended, at) = sessions::end_cut(control, work, oid, cut).await?;
    for replica in &context.settings.replicas {
        let connection =
            context.pool.take_at(&context.settings, replica, &control.database, work).await?;
        ended += sessions::end_cut(&connection, work, oid, cut).await?.0;
        context.pool.give_back(connection, work);
    }
    work.crash_point("pg.cut.sessions_ended").await;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(&who.principal)?;
    let answers = control.batch(work, &sql).await?;
    let seen = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
    let unchanged = seen.state.as_ref().is_some_and(
        |state| matches!(state.own_marker(context.target, who), Ok(Some(now)) if now == marker),
    );
    let sql = if unchanged {
        let done = match marker.cut_until.filter(|until| *until > seen.now) {
            None => PrincipalMarker { cut: None, cut_until: None, ..marker.clone() },
            Some(until) => {
                let left = Duration::from_millis(until.abs_diff(seen.now));
                let until = work.clock.monotonic().saturating_add(left);
                context.restless.note(&context.target.integration_id, until);
                // A login that begins after this meets the new password.
                PrincipalMarker { cut: Some(at), ..marker.clone() }
            }
        };
        let role = quote::ident(&who.principal)?;
        if done == *marker {
            "ROLLBACK".to_owned()
        } else {
            format!("COMMENT ON ROLE {role} IS {}; COMMIT", context.comment(&done)?)
        }
    } else {
        "ROLLBACK".to_owned()
    };
    control.batch(work, &sql).await?;
    Ok(ended)
}
