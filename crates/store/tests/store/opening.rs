//! Opening, migrating and refusing databases.

use std::collections::BTreeSet;

use latchkey_store::{DatabaseUrl, PageQuery, RequestFilter, Store, StoreError};
use latchkey_testkit::{DatabaseKind, TestDatabase};

use crate::fixtures::{Ground, MASTER_KEY, on_both, open, request, unit};

on_both! {
    opening_again_changes_nothing,
    another_master_key_is_refused,
    a_database_of_a_newer_version_is_refused_and_left_alone,
    the_store_answers_a_ping,
    requests_of_an_older_database_say_their_places_in_lists,
}

async fn opening_again_changes_nothing(ground: Ground) {
    let first = ground.store.installation_id().clone();
    let again = ground.second_server().await;
    assert_eq!(again.installation_id(), &first);
}

async fn another_master_key_is_refused(ground: Ground) {
    let refused = open(&ground.database, [8; 32], &ground.clock, 3).await.unwrap_err();
    assert!(matches!(refused, StoreError::WrongKey { .. }), "{refused}");
    assert!(refused.to_string().contains("LATCHKEY_MASTER_KEY_FILE"), "{refused}");
    open(&ground.database, MASTER_KEY, &ground.clock, 3).await.unwrap();
}

async fn a_database_of_a_newer_version_is_refused_and_left_alone(ground: Ground) {
    crate::secrets::execute(
        &ground,
        "INSERT INTO schema_migrations (version, name, applied_at) VALUES (999, 'later', 0)",
    )
    .await;
    let refused = open(&ground.database, MASTER_KEY, &ground.clock, 3).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused}");
    assert!(refused.to_string().contains("start a newer latchkey"), "{refused}");
}

async fn requests_of_an_older_database_say_their_places_in_lists(ground: Ground) {
    let user = ground.add_user("ana@example.com").await;
    let shop = ground.add_integration("shop").await;
    let files = ground.add_integration("files").await;
    let asked = request(ground.now(), ground.rng(), &user.id);
    // Two tables of one shop are one place.
    let units = [&shop, &shop, &files]
        .map(|integration| unit(ground.now(), ground.rng(), &asked, &integration.id));
    ground.store.write(async |tx| tx.insert_request(&asked, &units).await).await.unwrap();
    let filter = RequestFilter { requestor: Some(user.id), ..RequestFilter::default() };
    let list = async |store: &Store| {
        let page = PageQuery::first(10);
        store.read(async |tx| tx.list_listed_requests(&filter, &page).await).await.unwrap()
    };
    let before = list(&ground.store).await;
    let names = before[0].parts.values().map(|part| part.integration_name.as_str());
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(["files", "shop"]));
    for statement in [
        "DROP INDEX IF EXISTS requests_listed",
        "ALTER TABLE requests DROP COLUMN places",
        "DROP TABLE program_answers",
        "DROP TABLE emergencies",
        "DROP TABLE group_nesting",
        "DELETE FROM counters WHERE name = 'group_nesting'",
        "ALTER TABLE requests DROP COLUMN second_factor_at",
        "DROP TABLE attempts",
        "DROP TABLE step_up_pages",
        "DROP TABLE web_sessions",
        "DROP TABLE sign_in_links",
        "DROP TABLE passwords",
        "DROP TABLE recovery_codes",
        "DROP TABLE second_factors",
        "DELETE FROM schema_migrations WHERE version >= 16",
    ] {
        crate::secrets::execute(&ground, statement).await;
    }
    let upgraded = open(&ground.database, MASTER_KEY, &ground.clock, 3).await.unwrap();
    assert_eq!(list(&upgraded).await, before);
}

async fn the_store_answers_a_ping(ground: Ground) {
    ground.store.ping().await.unwrap();
    ground.store.close().await;
    assert!(ground.store.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_that_open_an_empty_database_at_once_make_one_installation() {
    for kind in DatabaseKind::BOTH {
        let database = TestDatabase::create(kind).await.unwrap();
        let clock = std::sync::Arc::default();
        let opened = tokio::join!(
            open(&database, MASTER_KEY, &clock, 1),
            open(&database, MASTER_KEY, &clock, 2),
            open(&database, MASTER_KEY, &clock, 3),
            open(&database, MASTER_KEY, &clock, 4),
        );
        let (one, two, three, four) =
            (opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap(), opened.3.unwrap());
        for other in [two, three, four] {
            assert_eq!(other.installation_id(), one.installation_id());
        }
    }
}

#[test]
fn a_database_url_is_a_file_or_a_postgresql_server_and_never_repeated() {
    assert!(matches!(DatabaseUrl::parse("sqlite:data/l.db"), Ok(DatabaseUrl::Sqlite(_))));
    let url = DatabaseUrl::parse("postgres://u:hunter2@localhost/l").unwrap();
    assert!(!format!("{url:?}").contains("hunter2"));
    for wrong in ["", "mysql://u:hunter2@localhost/l", "sqlite:", "data/l.db"] {
        let refused = DatabaseUrl::parse(wrong).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
