//! Hints between servers that share a PostgreSQL database, by LISTEN and NOTIFY.
//!
//! They are sent after the commit and outside of it: NOTIFY inside a transaction makes every
//! commit of the database queue for one lock. Losing one costs a little time, never work.

use std::time::Duration;

use sea_orm::sqlx::{self, PgPool, postgres::PgListener};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::wake::{Wake, WakeUps};

const CHANNEL: &str = "latchkey";

/// Passes this server's hints to the others, until the store is gone.
pub(crate) async fn tell_others(pool: PgPool, mut hints: UnboundedReceiver<Wake>) {
    while let Some(first) = hints.recv().await {
        let mut wakes = vec![first];
        while let Ok(next) = hints.try_recv() {
            if !wakes.contains(&next) {
                wakes.push(next);
            }
        }
        for wake in wakes {
            let sent = sqlx::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(wake.as_str())
                .execute(&pool)
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "a hint did not reach the other servers; they poll");
            }
        }
    }
}

/// Wakes this server's waiters at the hints of others, until the store is gone.
pub(crate) async fn hear_others(pool: PgPool, wake: WakeUps) {
    loop {
        if let Err(error) = hear(&pool, &wake).await {
            tracing::debug!(%error, "hints of other servers are not heard now; polling goes on");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn hear(pool: &PgPool, wake: &WakeUps) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was said before the connection stood is not known: everybody looks.
        for kind in Wake::ALL {
            wake.notify_here(kind);
        }
        while let Some(heard) = listener.try_recv().await? {
            if let Some(kind) = Wake::parse(heard.payload()) {
                wake.notify_here(kind);
            }
        }
    }
}
