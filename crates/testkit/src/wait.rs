//! Waiting on a condition with a deadline. Tests that talk to another process or a real target
//! wait this way and never for a fixed time.

use std::time::Duration;

use anyhow::Context;

/// How long between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at `condition` until it gives a value; an error naming `what` after `deadline`.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let looks = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(deadline, looks)
        .await
        .with_context(|| format!("waited {deadline:?} in vain for {what}"))
}

/// Looks at `condition` until it holds; an error naming `what` after `deadline`.
pub async fn wait_until(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    wait_for(what, deadline, async || condition().await.then_some(())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let found = wait_for("a third look", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_condition_that_never_holds_is_named() {
        let wait = wait_until("the moon", Duration::from_millis(50), async || false);
        assert!(wait.await.unwrap_err().to_string().contains("the moon"));
    }
}
