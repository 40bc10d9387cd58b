//! Connectors.

use std::collections::BTreeSet;

use latchkey_app::{
    ErrorKind, PageRequest,
    connectors::{
        ConnectorStatus, create_connector_token, delete_connector, get_connector, list_connectors,
        register_local_connector, rename_connector,
    },
};
use latchkey_domain::ids::ConnectorId;

use crate::office::{fields_of, first_admin, kind_of};

both_databases! {
    async fn a_token_registers_a_connector_that_is_new(ground) {
        let admin = first_admin(ground).await;
        let made = create_connector_token(&ground.app, &admin, "north").await.unwrap();
        let view = get_connector(&ground.app, &admin, &made.connector_id).await.unwrap();
        assert_eq!(view.connector.name, "north");
        assert_eq!(view.status, ConnectorStatus::Disconnected);
        assert_eq!(view.connector.last_connected_at, None);
    }

    async fn ids_that_would_break_a_url_are_refused(ground) {
        let admin = first_admin(ground).await;
        for id in ["", "a/b", "a b", "..", "local", "é", &"x".repeat(129)] {
            assert!(
                fields_of(create_connector_token(&ground.app, &admin, id).await).contains("id")
            );
        }
    }

    async fn connectors_are_listed_by_whether_they_are_alive(ground) {
        let admin = first_admin(ground).await;
        create_connector_token(&ground.app, &admin, "north").await.unwrap();
        register_local_connector(&ground.app).await.unwrap();
        register_local_connector(&ground.app).await.unwrap();
        let list = async |statuses: &[ConnectorStatus]| -> Vec<String> {
            let statuses: BTreeSet<_> = statuses.iter().copied().collect();
            let page = PageRequest::default();
            let page = list_connectors(&ground.app, &admin, &statuses, &page).await.unwrap();
            let mut ids: Vec<_> =
                page.items.into_iter().map(|view| view.connector.id.to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(list(&[]).await, ["edge", "local", "north"]);
        assert_eq!(list(&[ConnectorStatus::Connected]).await, ["edge"]);
        assert_eq!(list(&[ConnectorStatus::Disconnected]).await, ["local", "north"]);
    }

    async fn names_are_unique_and_the_id_stays(ground) {
        let admin = first_admin(ground).await;
        let north =
            create_connector_token(&ground.app, &admin, "north").await.unwrap().connector_id;
        let view =
            rename_connector(&ground.app, &admin, &north, "North side".to_owned()).await.unwrap();
        assert_eq!(
            (view.connector.id.as_str(), view.connector.name.as_str()),
            ("north", "North side")
        );
        let taken = rename_connector(&ground.app, &admin, &north, "EDGE".to_owned()).await;
        assert_eq!(kind_of(taken), ErrorKind::Conflict);
        let nobody =
            rename_connector(&ground.app, &admin, &ConnectorId::new("no"), "x".to_owned()).await;
        assert_eq!(kind_of(nobody), ErrorKind::NotFound);
    }

    async fn b04_a_connector_in_use_or_alive_is_not_deleted(ground) {
        let admin = first_admin(ground).await;
        let edge = ground.connector.connector_id.clone();
        let in_use = delete_connector(&ground.app, &admin, &edge).await.unwrap_err();
        assert_eq!(in_use.kind, ErrorKind::Conflict);
        assert!(in_use.message.contains("\"shop\""), "{in_use}");
        let north =
            create_connector_token(&ground.app, &admin, "north").await.unwrap().connector_id;
        delete_connector(&ground.app, &admin, &north).await.unwrap();
        assert_eq!(kind_of(get_connector(&ground.app, &admin, &north).await), ErrorKind::NotFound);
    }
}
