//! Hints between servers that share a PostgreSQL database, by LISTEN and NOTIFY.
//!
//! They are sent after the commit and outside of it: NOTIFY inside a transaction makes every
//! commit of the database queue for one lock. Losing one costs a little time, never work.

use std::{collections::HashSet, time::Duration};

use sea_orm::sqlx::{self, PgPool, postgres::PgListener};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::wake::{Hint, Wake, WakeUps};

const CHANNEL: &str = "latchkey";

/// Passes this server's hints to the others, until the store is gone.
pub(crate) async fn tell_others(pool: PgPool, mut hints: UnboundedReceiver<Hint>) {
    while let Some(first) = hints.recv().await {
        let mut waiting = HashSet::from([first.text()]);
        while let Ok(next) = hints.try_recv() {
            waiting.insert(next.text());
        }
        let texts: Vec<String> = waiting.into_iter().collect();
        let sent = sqlx::query("SELECT pg_notify($1, hint) FROM unnest($2::text[]) AS hint")
            .bind(CHANNEL)
            .bind(texts)
            .execute(&pool)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "hints did not reach the other servers; they poll");
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
        // What was said before the connection stood is not known: whoever waits for work looks.
        // Whoever waits for a request looks every second anyway.
        for kind in Wake::ALL {
            wake.give_here(&Hint::Work(kind));
        }
        while let Some(heard) = listener.try_recv().await? {
            if let Some(hint) = Hint::parse(heard.payload()) {
                wake.give_here(&hint);
            }
        }
    }
}
