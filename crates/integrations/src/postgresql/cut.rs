//! Ending the sessions of a principal that lives on, after a right or a password was taken away.
//!
//! Invariant: the marker says that sessions are to be cut before the change is committed, and
//! stops saying so only after they have ended, so a crash in between is made good by whoever
//! looks at the marker next.

use super::{
    Context,
    connection::{BEGIN_STATEMENTS, Connection, begin},
    fault::Failure,
    marker::PrincipalMarker,
    principal::{Who, lock_sql, look, look_sql},
    quote, sessions,
};

/// Which sessions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All that are open at this moment.
    Now,
    /// Those that began before this instant, in milliseconds since 1970 by the target's clock.
    Before(i64),
}

/// Ends the sessions of the role `oid`, on replicas too, then takes the note out of the marker
/// unless somebody has written another one. Answers how many were ended.
pub(super) async fn end_and_note(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    oid: u32,
    marker: &PrincipalMarker,
    cut: Cut,
) -> Result<u32, Failure> {
    let work = context.work;
    let mut ended = sessions::end_cut(control, work, oid, cut).await?;
    for replica in &context.settings.replicas {
        let connection =
            context.pool.take_at(&context.settings, replica, &control.database, work).await?;
        ended += sessions::end_cut(&connection, work, oid, cut).await?;
        context.pool.give_back(connection, work);
    }
    work.crash_point("pg.cut.sessions_ended").await;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(control, &who.principal)?;
    let answers = control.batch(work, &sql).await?;
    let seen = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
    let unchanged = seen.state.as_ref().is_some_and(
        |state| matches!(state.own_marker(context.target, who), Ok(Some(now)) if now == marker),
    );
    let sql = if unchanged {
        let done = PrincipalMarker { cut: None, ..marker.clone() };
        let role = quote::ident(&who.principal)?;
        format!("COMMENT ON ROLE {role} IS {}; COMMIT", context.comment(&done)?)
    } else {
        "ROLLBACK".to_owned()
    };
    control.batch(work, &sql).await?;
    Ok(ended)
}
