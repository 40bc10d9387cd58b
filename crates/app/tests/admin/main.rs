//! The admin area's use cases on both databases: who may do what, what is refused, and what
//! each act brings about for requests and access under way.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

#[path = "../lifecycle/ground.rs"]
#[expect(dead_code, reason = "these tests need only a part of the common ground")]
mod ground;

/// Runs each test on both databases.
macro_rules! both_databases {
    ($(async fn $name:ident($ground:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn run($ground: &mut $crate::ground::Ground) $body

            #[tokio::test]
            async fn on_sqlite() {
                let kind = latchkey_testkit::DatabaseKind::Sqlite;
                run(&mut $crate::ground::Ground::new(kind).await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                let kind = latchkey_testkit::DatabaseKind::BOTH[1];
                run(&mut $crate::ground::Ground::new(kind).await).await;
            }
        }
    )*};
}
mod authorization;
mod bundles;
mod connectors;
mod ending;
mod flows;
mod groups;
mod integrations;
mod office;
mod people;
mod policy_as_code;
mod tokens;
