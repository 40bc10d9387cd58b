//! Secrets at rest: sealed, bound to their place, nowhere in clear.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use latchkey_store::{KeyError, KeyRing, Result, SecretValues, StoreError};
use latchkey_testkit::{DatabaseKind, SeededRng};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use secrecy::{ExposeSecret, SecretString};

use crate::fixtures::{Ground, MASTER_KEY, on_both, open};

/// A way into the database beside the store, for whoever tampers with it.
pub(crate) async fn connect(ground: &Ground) -> DatabaseConnection {
    Database::connect(ground.database.url()).await.unwrap()
}

/// Runs a statement beside the store.
pub(crate) async fn execute(ground: &Ground, sql: &str) {
    connect(ground).await.execute_unprepared(sql).await.unwrap();
}

/// Every column of every row of a table as text, such as a dump would show it.
async fn dump(database: &DatabaseConnection, table: &str) -> Vec<String> {
    let backend = database.get_database_backend();
    let row = if backend == DbBackend::Sqlite { "sealed" } else { "CAST(t AS TEXT)" };
    let sql = format!("SELECT {row} AS line FROM {table} t");
    let rows = database.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "line").unwrap()).collect()
}

fn secret(password: &str) -> SecretValues {
    [("username", "latchkey"), ("password", password)]
        .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
        .into()
}

const CANARY: &str = "canary-7f3a-hunter2";

on_both! {
    a_secret_is_opened_as_it_was_sealed,
    credentials_are_opened_as_they_were_sealed_and_forgotten,
    a_sealed_value_moved_to_another_row_does_not_open,
    a_sealed_value_moved_to_another_table_does_not_open,
    a_damaged_sealed_value_does_not_open,
    e04_no_secret_is_in_clear_in_the_database,
}

async fn a_secret_is_opened_as_it_was_sealed(ground: Ground) {
    let integration = ground.add_integration("shop").await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert!(tx.find_integration_secret(&integration.id).await?.is_none());
            tx.put_integration_secret(&integration.id, &secret("first")).await?;
            tx.put_integration_secret(&integration.id, &secret(CANARY)).await?;
            let found = tx.find_integration_secret(&integration.id).await?.unwrap();
            assert_eq!(found["password"].expose_secret(), CANARY);
            assert_eq!(found["username"].expose_secret(), "latchkey");
            Ok(())
        })
        .await
        .unwrap();
    // Another process with the same key can open it too.
    let other = ground.second_server().await;
    let found = other.read(async |tx| tx.find_integration_secret(&integration.id).await).await;
    assert_eq!(found.unwrap().unwrap()["password"].expose_secret(), CANARY);
}

async fn credentials_are_opened_as_they_were_sealed_and_forgotten(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let integration = ground.add_integration("shop").await;
    let session = ground.add_session(&integration.id, &ada.id).await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert!(!tx.has_credentials(&session.id).await?);
            tx.put_credentials(&session.id, &session.principal, &CANARY.into()).await?;
            let found = tx.find_credentials(&session.id).await?.unwrap();
            assert_eq!(found.username, session.principal);
            assert_eq!(found.password.expose_secret(), CANARY);
            assert!(tx.delete_credentials(&session.id).await?);
            assert!(!tx.has_credentials(&session.id).await?);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_sealed_value_moved_to_another_row_does_not_open(ground: Ground) {
    let (one, two) = (ground.add_integration("one").await, ground.add_integration("two").await);
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.put_integration_secret(&one.id, &secret("one")).await?;
            tx.put_integration_secret(&two.id, &secret("two")).await
        })
        .await
        .unwrap();
    let sql = format!(
        "UPDATE integration_secrets SET sealed = (SELECT sealed FROM integration_secrets \
         WHERE integration_id = '{}') WHERE integration_id = '{}'",
        one.id, two.id
    );
    execute(&ground, &sql).await;
    let find = async |id| ground.store.read(async |tx| tx.find_integration_secret(id).await).await;
    assert!(matches!(find(&two.id).await, Err(StoreError::Corrupt(_))));
    assert_eq!(find(&one.id).await.unwrap().unwrap()["password"].expose_secret(), "one");
}

async fn a_sealed_value_moved_to_another_table_does_not_open(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let integration = ground.add_integration("shop").await;
    let session = ground.add_session(&integration.id, &ada.id).await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.put_integration_secret(&integration.id, &secret("admin")).await?;
            tx.put_credentials(&session.id, "lk", &"user".into()).await
        })
        .await
        .unwrap();
    execute(
        &ground,
        "UPDATE session_credentials SET sealed = (SELECT sealed FROM integration_secrets)",
    )
    .await;
    let found = ground.store.read(async |tx| tx.find_credentials(&session.id).await).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
}

async fn a_damaged_sealed_value_does_not_open(ground: Ground) {
    let integration = ground.add_integration("shop").await;
    for change in ["'B' || SUBSTR(sealed, 2)", "SUBSTR(sealed, 1, 100)", "''", "'%'"] {
        ground
            .store
            .write(async |tx| tx.put_integration_secret(&integration.id, &secret("one")).await)
            .await
            .unwrap();
        execute(&ground, &format!("UPDATE integration_secrets SET sealed = {change}")).await;
        let found =
            ground.store.read(async |tx| tx.find_integration_secret(&integration.id).await).await;
        assert!(matches!(found, Err(StoreError::Corrupt(_))), "{change}: {found:?}");
    }
}

async fn e04_no_secret_is_in_clear_in_the_database(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let integration = ground.add_integration("shop").await;
    let session = ground.add_session(&integration.id, &ada.id).await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.put_integration_secret(&integration.id, &secret(CANARY)).await?;
            tx.put_credentials(&session.id, "lk", &CANARY.into()).await
        })
        .await
        .unwrap();
    let hex = hex::encode(CANARY);
    let database = connect(&ground).await;
    for table in ["integration_secrets", "session_credentials"] {
        let lines = dump(&database, table).await;
        assert_eq!(lines.len(), 1);
        assert!(lines.iter().all(|line| !line.contains(CANARY) && !line.contains(&hex)));
    }
    if let Some(file) = ground.database.sqlite_file() {
        let master: &[u8] = &MASTER_KEY;
        for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            for needle in [CANARY.as_bytes(), hex.as_bytes(), master] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle));
            }
        }
    }
}

#[tokio::test]
async fn the_database_file_is_readable_by_its_owner_alone() {
    let ground = Ground::new(DatabaseKind::Sqlite).await;
    let folder = ground.database.sqlite_file().unwrap();
    for entry in fs::read_dir(folder.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    open(&ground.database, MASTER_KEY, &ground.clock, 5).await.unwrap();
}

fn key_in(folder: &Path, seed: u64) -> Result<KeyRing, KeyError> {
    KeyRing::open_or_create(folder, &SeededRng::new(seed))
}

#[test]
fn the_master_key_is_made_once_and_readable_by_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made = key_in(folder.path(), 1).unwrap();
    let file = folder.path().join("master.key");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(key_in(folder.path(), 2).unwrap().id(), made.id());
    assert_eq!(KeyRing::open_file(&file).unwrap().id(), made.id());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    let shown = format!("{made:?}");
    assert!(!shown.contains(fs::read_to_string(&file).unwrap().trim()), "{shown}");
}

#[test]
fn a_master_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    key_in(folder.path(), 1).unwrap();
    let file = folder.path().join("master.key");
    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = key_in(folder.path(), 1).unwrap_err();
        assert!(matches!(refused, KeyError::TooOpen { .. }), "{refused}");
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
}

#[test]
fn a_damaged_master_key_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    key_in(folder.path(), 1).unwrap();
    let file = folder.path().join("master.key");
    for text in ["", "abcd", &"x".repeat(64), &"a".repeat(200)] {
        fs::write(&file, text).unwrap();
        let refused = key_in(folder.path(), 1).unwrap_err();
        assert!(matches!(refused, KeyError::Malformed { .. }), "{refused}");
    }
}

#[test]
fn each_use_of_the_master_key_has_a_key_of_its_own() {
    let keys = KeyRing::from_bytes(MASTER_KEY);
    let all = [
        *keys.server_box_key(),
        *keys.cursor_key(),
        *keys.token_key(),
        keys.audit_public_key(),
        MASTER_KEY,
    ];
    for (at, key) in all.iter().enumerate() {
        assert!(all.iter().skip(at + 1).all(|other| other != key));
    }
}
