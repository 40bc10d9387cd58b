//! Tokens: what they may do, and what becomes of one that may not be used any more.

use std::{collections::BTreeSet, time::Duration};

use latchkey_app::{
    Actor, ErrorKind,
    authenticate::{authenticate, authenticate_connector},
    connectors::create_connector_token,
    settings::set_setting,
    tokens::{CreateToken, create_token, list_own_tokens, revoke_token},
    users::disable_user,
};
use latchkey_domain::people::{Role, TokenScope};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::office::{acting_with, first_admin, kind_of, somebody_with, token_for};

both_databases! {
    async fn d01_every_bearer_that_does_not_count_gets_one_answer(ground) {
        let admin = first_admin(ground).await;
        let good = token_for(ground, &ground.bob.user).await;
        authenticate(&ground.app, &good.token).await.unwrap();

        let text = good.token.expose_secret().to_owned();
        let swapped = |at: usize| {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            SecretString::from(String::from_utf8(bytes).unwrap())
        };
        let command = CreateToken {
            user: Some(ground.bob.user.email.clone()),
            expires_in_sec: Some(60),
            ..CreateToken::default()
        };
        let expired = create_token(&ground.app, &admin, command).await.unwrap();
        let revoked = token_for(ground, &ground.bob.user).await;
        revoke_token(&ground.app, &admin, &revoked.id).await.unwrap();
        let cleos = token_for(ground, &ground.cleo.user).await;
        disable_user(&ground.app, &admin, ground.cleo.user.id.as_str()).await.unwrap();
        ground.clock.advance(Duration::from_mins(1));
        let connectors = create_connector_token(&ground.app, &admin, "north").await.unwrap();

        let mut answers = BTreeSet::new();
        for bearer in [
            SecretString::from(""),
            SecretString::from("lk_x"),
            SecretString::from("lk_".to_owned() + &"a".repeat(100_000)),
            swapped(5),
            swapped(40),
            swapped(text.len() - 1),
            expired.token,
            revoked.token,
            cleos.token,
            connectors.token,
        ] {
            let error = authenticate(&ground.app, &bearer).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthorized);
            answers.insert((error.code, error.message));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        authenticate(&ground.app, &good.token).await.unwrap();
    }

    async fn a_connector_is_known_by_its_newest_token_alone(ground) {
        let admin = first_admin(ground).await;
        let first = create_connector_token(&ground.app, &admin, "north").await.unwrap();
        let who = authenticate_connector(&ground.app, &first.token).await.unwrap();
        assert_eq!(who.connector_id.as_str(), "north");
        let second = create_connector_token(&ground.app, &admin, "north").await.unwrap();
        let old = authenticate_connector(&ground.app, &first.token).await;
        assert_eq!(kind_of(old), ErrorKind::Unauthorized);
        authenticate_connector(&ground.app, &second.token).await.unwrap();
        let persons = token_for(ground, &ground.bob.user).await;
        let crossed = authenticate_connector(&ground.app, &persons.token).await;
        assert_eq!(kind_of(crossed), ErrorKind::Unauthorized);
    }

    async fn the_usual_scopes_follow_the_role(ground) {
        let usual = BTreeSet::from([TokenScope::Read, TokenScope::Request, TokenScope::Decide]);
        assert_eq!(token_for(ground, &ground.bob.user).await.scopes, usual);
        let viewer = somebody_with(ground, "vera", Some(Role::Viewer)).await;
        assert!(viewer.scopes.contains(&TokenScope::Admin));
        assert_eq!(viewer.scopes.len(), 4);
    }

    async fn a_role_that_was_taken_away_counts_at_once(ground) {
        first_admin(ground).await;
        let viewer = somebody_with(ground, "vera", Some(Role::Viewer)).await;
        let token = token_for(ground, &viewer.user).await;
        let shell = Actor::command_line();
        let id = viewer.user.id.as_str();
        latchkey_app::roles::revoke_role(&ground.app, &shell, id, Role::Viewer).await.unwrap();
        let actor = acting_with(ground, &token).await;
        assert!(!actor.has_role(Role::Viewer));
        assert!(!actor.may(latchkey_app::Operation::ReadUsers));
    }

    async fn a_token_never_makes_one_worth_more(ground) {
        let admin = first_admin(ground).await;
        let narrow = CreateToken {
            user: Some(admin.user.id.to_string()),
            scopes: BTreeSet::from([TokenScope::Read]),
            expires_in_sec: Some(600),
            ..CreateToken::default()
        };
        let narrow = create_token(&ground.app, &admin, narrow).await.unwrap();
        let reader = acting_with(ground, &narrow).await;

        let wider =
            CreateToken { scopes: BTreeSet::from([TokenScope::Admin]), ..CreateToken::default() };
        assert_eq!(kind_of(create_token(&ground.app, &reader, wider).await), ErrorKind::Forbidden);
        let longer = CreateToken { expires_in_sec: Some(601), ..CreateToken::default() };
        assert_eq!(kind_of(create_token(&ground.app, &reader, longer).await), ErrorKind::Forbidden);
        let for_other =
            CreateToken { user: Some(ground.bob.user.email.clone()), ..CreateToken::default() };
        assert_eq!(
            kind_of(create_token(&ground.app, &reader, for_other).await),
            ErrorKind::Forbidden
        );

        let same = create_token(&ground.app, &reader, CreateToken::default()).await.unwrap();
        assert_eq!(same.scopes, BTreeSet::from([TokenScope::Read]));
        assert_eq!(same.expires_at, narrow.expires_at);
    }

    async fn people_without_a_role_make_tokens_only_where_that_is_on(ground) {
        let admin = first_admin(ground).await;
        let refused = create_token(&ground.app, &ground.bob, CreateToken::default()).await;
        assert_eq!(kind_of(refused), ErrorKind::Forbidden);
        set_setting(&ground.app, &admin, "end_user_tokens", json!(true)).await.unwrap();
        let made = create_token(&ground.app, &ground.bob, CreateToken::default()).await.unwrap();
        set_setting(&ground.app, &admin, "end_user_tokens", json!(false)).await.unwrap();
        let bob = acting_with(ground, &made).await;
        assert_eq!(bob.user.id, ground.bob.user.id, "the setting never governs the use of a token");
        assert_eq!(list_own_tokens(&ground.app, &bob).await.unwrap().len(), 1);
    }

    async fn tokens_of_others_are_not_found(ground) {
        let bobs = token_for(ground, &ground.bob.user).await;
        let cleo = revoke_token(&ground.app, &ground.cleo, &bobs.id).await;
        assert_eq!(kind_of(cleo), ErrorKind::NotFound);
        revoke_token(&ground.app, &ground.bob, &bobs.id).await.unwrap();
        assert_eq!(kind_of(authenticate(&ground.app, &bobs.token).await), ErrorKind::Unauthorized);
    }
}
