//! What the grantee sees: sessions, connection details, credentials.

use latchkey_app::{
    ErrorKind, PageRequest,
    sessions::{SessionQuery, access_details, get_session, list_sessions, reset_credentials},
};
use latchkey_domain::session::CredentialsStatus;
use secrecy::ExposeSecret;

use crate::on_both_databases;

on_both_databases! {
    async fn e05_a_credential_is_shown_once_and_to_the_grantee_only(ground) {
        ground.flow("read", Some(60), &[]).await;
        ground.ask(&["orders"], None).await;
        ground.settle().await;
        let query = SessionQuery::default();
        let page = PageRequest::default();
        let mine = list_sessions(&ground.app, &ground.ana, &query, &page).await.unwrap();
        assert_eq!(mine.items.len(), 1);
        assert_eq!(mine.items[0].request_ids.len(), 1);
        let id = mine.items[0].session.id.clone();
        let others = list_sessions(&ground.app, &ground.bob, &query, &page).await.unwrap();
        assert!(others.items.is_empty());
        let stranger = access_details(&ground.app, &ground.bob, &id).await.unwrap_err();
        assert_eq!(stranger.kind, ErrorKind::NotFound);
        let first = access_details(&ground.app, &ground.ana, &id).await.unwrap();
        assert!(first.password.unwrap().expose_secret().starts_with("canary-"));
        assert_eq!(first.custom_admin_message.as_deref(), Some("Ask #data for help."));
        assert!(first.instructions.contains("It ends at"));
        let second = access_details(&ground.app, &ground.ana, &id).await.unwrap();
        assert!(second.password.is_none());
        let seen = get_session(&ground.app, &ground.ana, &id).await.unwrap();
        assert_eq!(seen.session.credentials_status, CredentialsStatus::Viewed);
    }

    async fn new_credentials_replace_the_old_ones(ground) {
        ground.flow("read", Some(60), &[]).await;
        ground.ask(&["orders"], None).await;
        ground.settle().await;
        let query = SessionQuery::default();
        let page = PageRequest::default();
        let mine = list_sessions(&ground.app, &ground.ana, &query, &page).await.unwrap();
        let id = mine.items[0].session.id.clone();
        let old = access_details(&ground.app, &ground.ana, &id).await.unwrap().password.unwrap();
        reset_credentials(&ground.app, &ground.ana, &id).await.unwrap();
        let seen = get_session(&ground.app, &ground.ana, &id).await.unwrap();
        assert_eq!(seen.session.credentials_status, CredentialsStatus::Resetting);
        ground.settle().await;
        let new = access_details(&ground.app, &ground.ana, &id).await.unwrap().password.unwrap();
        assert_ne!(old.expose_secret(), new.expose_secret());
    }

    async fn two_readers_at_once_see_the_credential_once(ground) {
        ground.flow("read", Some(60), &[]).await;
        ground.ask(&["orders"], None).await;
        ground.settle().await;
        let query = SessionQuery::default();
        let page = PageRequest::default();
        let mine = list_sessions(&ground.app, &ground.ana, &query, &page).await.unwrap();
        let id = mine.items[0].session.id.clone();
        let (one, other) = tokio::join!(
            access_details(&ground.app, &ground.ana, &id),
            access_details(&ground.app, &ground.ana, &id),
        );
        let shown = [one.unwrap(), other.unwrap()];
        assert_eq!(shown.iter().filter(|details| details.password.is_some()).count(), 1);
    }
}
