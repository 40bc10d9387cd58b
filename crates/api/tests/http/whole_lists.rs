//! Lists of the older paths: every row at once, streamed.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::UserId,
    people::{User, UserStatus},
};
use latchkey_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::ground::Ground;

#[tokio::test]
async fn v2_users_are_all_there_in_one_answer_whatever_their_number() {
    let ground = Ground::new().await;
    // More than two pages of the store, so that the answer is written in parts.
    let count: usize = 2100;
    let addresses: BTreeSet<String> =
        (0..count).map(|number| format!("person-{number}@example.com")).collect();
    let insert = async |tx: &mut Tx| -> Result<(), StoreError> {
        for email in &addresses {
            tx.insert_user(&person(email, tx.now())).await?;
        }
        Ok(())
    };
    ground.app.store().write(insert).await.unwrap();
    let list = ground.get(&ground.admin, "/api/v2/users").await.ok();
    let total = count + 1;
    assert_eq!(list["pagination"], json!({"total": total, "limit": total, "offset": 0}));
    let rows = list["data"].as_array().unwrap();
    assert_eq!(rows.len(), total);
    let mut found: BTreeSet<&str> =
        rows.iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert!(found.remove("ada@example.com"));
    assert!(found.iter().eq(&addresses), "every one is there once");
}

fn person(email: &str, created_at: jiff::Timestamp) -> User {
    User {
        id: UserId::new(format!("id of {email}")),
        email: email.to_owned(),
        email_aliases: Vec::new(),
        first_name: String::new(),
        last_name: String::new(),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at,
    }
}

#[tokio::test]
async fn a_v2_user_is_found_by_id_and_by_address_and_has_five_members() {
    let ground = Ground::new().await;
    let list = ground.get(&ground.admin, "/api/v2/users").await.ok();
    let ada = &list["data"][0];
    assert_eq!(
        ada,
        &json!({
            "id": ada["id"], "email": "ada@example.com", "first_name": "ada", "last_name": "",
            "active": true,
        })
    );
    for reference in [ada["id"].as_str().unwrap(), "ada@example.com", "ADA@example.com"] {
        let one = ground.get(&ground.admin, &format!("/api/v2/users/{reference}")).await.ok();
        assert_eq!(&one, ada);
    }
    ground.get(&ground.admin, "/api/v2/users/nobody").await.refused(404, "NotFound");
}

#[tokio::test]
async fn v2_connectors_are_a_bare_array_with_dates_of_nine_digits() {
    let ground = Ground::new().await;
    assert_eq!(ground.get(&ground.admin, "/api/v2/connectors").await.ok(), json!([]));
    let token = ground.connector("edge").await;
    let path = "/api/v2/connectors";
    let silent = json!([
        {"connector_id": "edge", "last_connected": Value::Null, "status": "Disconnected"},
    ]);
    assert_eq!(ground.get(&ground.admin, path).await.ok(), silent);
    ground.work(&token).await;
    let answer = ground.get(&ground.admin, path).await;
    let (_, date) = answer.text.split_once(r#""last_connected":"#).unwrap();
    let (date, _) = date.split_once(',').unwrap();
    let (_, fraction) = date.split_once('.').unwrap();
    assert_eq!(fraction.len(), 9, "{date}");
    assert_eq!(answer.ok()[0]["status"], "Connected");
}

#[tokio::test]
async fn the_catalogue_says_what_a_type_takes() {
    let ground = Ground::new().await;
    let list = ground.get(&ground.admin, "/api/v2/integrations-catalog").await.ok();
    let kinds = list["data"].as_array().unwrap();
    let kind = kinds.iter().find(|kind| kind["type"] == "postgresql").unwrap();
    assert_eq!(list["pagination"]["total"], kinds.len());
    assert_eq!(kind["requires_secret"], true);
    assert_eq!(kind["supported_secret_types"], json!(["APONO"]));
    let param = |id: &str| {
        kind["params"].as_array().unwrap().iter().find(|param| param["id"] == id).unwrap().clone()
    };
    let hostname = param("hostname");
    assert_eq!((&hostname["optional"], &hostname["default"]), (&json!(false), &json!("")));
    assert_eq!(param("port")["default"], "5432");
    assert_eq!(param("sslmode")["values"][0], "disable");
    assert_eq!(param("secret_ref")["optional"], true);
    let one = ground.get(&ground.admin, "/api/v2/integrations-catalog/postgresql").await.ok();
    assert_eq!(&one, kind);
    let unknown = ground.get(&ground.admin, "/api/v2/integrations-catalog/unknown").await;
    unknown.refused(404, "NotFound");
}
