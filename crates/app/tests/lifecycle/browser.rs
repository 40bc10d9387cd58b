//! Signing in with a browser, on both databases.

use latchkey_app::{
    Actor, ErrorKind,
    sign_in::{
        LinkUsed, SignIn, SignedIn, create_sign_in_link, open_sign_in_link, sign_in, sign_out,
        use_sign_in_link, web_session,
    },
    users::disable_user,
};
use latchkey_domain::people::{Role, TokenScope, User};
use latchkey_store::{AuditFilter, PageQuery, Tx};
use secrecy::{ExposeSecret, SecretString};

use crate::{ground::Ground, on_both_databases};

const PASSWORD: &str = "canary correct horse";

/// A browser in which somebody has signed in by a link, as of this call.
pub async fn browser(ground: &Ground, actor: &Actor) -> Actor {
    let signed_in = by_link(ground, actor).await;
    web_session(&ground.app, &signed_in.cookie).await.unwrap().unwrap()
}

async fn by_link(ground: &Ground, actor: &Actor) -> SignedIn {
    let link = link(ground, actor).await;
    match use_sign_in_link(&ground.app, &link, &text(PASSWORD), "10.0.0.1").await.unwrap() {
        LinkUsed::In(signed_in) => *signed_in,
        other => panic!("{other:?}"),
    }
}

async fn link(ground: &Ground, actor: &Actor) -> SecretString {
    let shell = Actor::command_line();
    create_sign_in_link(&ground.app, &shell, &actor.user.email).await.unwrap().token
}

fn text(text: &str) -> SecretString {
    SecretString::from(text)
}

async fn try_password(ground: &Ground, email: &str, password: &str, from: &str) -> SignIn {
    sign_in(&ground.app, email, &text(password), from).await.unwrap()
}

fn admin(actor: &Actor) -> Actor {
    let user = User { roles: [Role::Admin].into(), ..actor.user.clone() };
    Actor::new(user, TokenScope::ALL.into_iter().collect(), None)
}

on_both_databases! {
    async fn a_link_sets_a_password_once_and_address_and_password_sign_in_then(ground) {
        let link = link(ground, &ground.ana).await;
        let whose = open_sign_in_link(&ground.app, &link).await.unwrap().unwrap();
        assert_eq!(whose.id, ground.ana.user.id);
        let looked = open_sign_in_link(&ground.app, &link).await.unwrap();
        assert!(looked.is_some(), "looking uses nothing up");
        let short = use_sign_in_link(&ground.app, &link, &text("short"), "x").await.unwrap_err();
        assert_eq!(short.kind, ErrorKind::Invalid);
        let used = use_sign_in_link(&ground.app, &link, &text(PASSWORD), "x").await.unwrap();
        assert!(matches!(used, LinkUsed::In(_)), "a password that is refused uses nothing up");
        let again = use_sign_in_link(&ground.app, &link, &text(PASSWORD), "x").await.unwrap();
        assert!(matches!(again, LinkUsed::Gone));
        assert_eq!(open_sign_in_link(&ground.app, &link).await.unwrap(), None);

        let SignIn::In(signed_in) = try_password(ground, " ANA@example.com", PASSWORD, "x").await
        else { panic!("the password is right") };
        let seen = web_session(&ground.app, &signed_in.cookie).await.unwrap().unwrap();
        assert_eq!(seen.user.id, ground.ana.user.id);
        assert_eq!(seen.token_id, None);
    }

    async fn a_link_works_for_a_quarter_of_an_hour_and_a_new_one_ends_the_one_before(ground) {
        let former = link(ground, &ground.ana).await;
        let newer = link(ground, &ground.ana).await;
        assert_eq!(open_sign_in_link(&ground.app, &former).await.unwrap(), None);
        ground.pass(899).await;
        assert!(open_sign_in_link(&ground.app, &newer).await.unwrap().is_some());
        ground.pass(1).await;
        assert_eq!(open_sign_in_link(&ground.app, &newer).await.unwrap(), None);
        let late = use_sign_in_link(&ground.app, &newer, &text(PASSWORD), "x").await.unwrap();
        assert!(matches!(late, LinkUsed::Gone));
    }

    async fn d01_unknown_disabled_and_mistyped_are_answered_alike(ground) {
        by_link(ground, &ground.ana).await;
        by_link(ground, &ground.bob).await;
        let id = ground.bob.user.id.as_str();
        disable_user(&ground.app, &admin(&ground.cleo), id).await.unwrap();
        for (email, password) in [
            ("ana@example.com", "not the password"),
            ("nobody@example.com", PASSWORD),
            ("bob@example.com", PASSWORD),
            ("cleo@example.com", PASSWORD),
            ("", ""),
        ] {
            let outcome = try_password(ground, email, password, "x").await;
            assert!(matches!(outcome, SignIn::Refused), "{email}");
        }
    }

    async fn d02_tries_are_limited_by_account_known_or_not_and_by_address(ground) {
        by_link(ground, &ground.ana).await;
        for email in ["ana@example.com", "nobody@example.com"] {
            for _ in 0..10 {
                let refused = try_password(ground, email, "not the password", "a").await;
                assert!(matches!(refused, SignIn::Refused));
            }
            let outcome = try_password(ground, email, PASSWORD, "b").await;
            assert!(matches!(outcome, SignIn::TooManyTries), "{email}, also from elsewhere");
        }
        ground.pass(900).await;
        let outcome = try_password(ground, "ana@example.com", PASSWORD, "b").await;
        assert!(matches!(outcome, SignIn::In(_)));
        for n in 0..100 {
            try_password(ground, &format!("n{n}@example.com"), "not the password", "c").await;
        }
        let outcome = try_password(ground, "ana@example.com", PASSWORD, "c").await;
        assert!(matches!(outcome, SignIn::TooManyTries));
        let outcome = try_password(ground, "ana@example.com", PASSWORD, "d").await;
        assert!(matches!(outcome, SignIn::In(_)), "others are not locked out");
    }

    async fn d03_each_sign_in_makes_a_session_of_its_own(ground) {
        let first = by_link(ground, &ground.ana).await;
        let SignIn::In(second) = try_password(ground, "ana@example.com", PASSWORD, "x").await
        else { panic!("the password is right") };
        assert_ne!(first.cookie.expose_secret(), second.cookie.expose_secret());
        assert!(web_session(&ground.app, &first.cookie).await.unwrap().is_some());
        let third = by_link(ground, &ground.ana).await;
        for ended in [&first.cookie, &second.cookie] {
            let seen = web_session(&ground.app, ended).await.unwrap();
            assert_eq!(seen, None, "a new password ends the others");
        }
        let actor = web_session(&ground.app, &third.cookie).await.unwrap().unwrap();
        sign_out(&ground.app, &actor).await.unwrap();
        assert_eq!(web_session(&ground.app, &third.cookie).await.unwrap(), None);
        assert_eq!(web_session(&ground.app, &text("made up")).await.unwrap(), None);
    }

    async fn a_session_ends_when_nobody_uses_it_and_after_half_a_day_anyway(ground) {
        let idle = by_link(ground, &ground.ana).await;
        ground.pass(3600).await;
        assert_eq!(web_session(&ground.app, &idle.cookie).await.unwrap(), None);
        let busy = by_link(ground, &ground.ana).await;
        for _ in 0..23 {
            ground.pass(1800).await;
            assert!(web_session(&ground.app, &busy.cookie).await.unwrap().is_some());
        }
        ground.pass(1800).await;
        assert_eq!(web_session(&ground.app, &busy.cookie).await.unwrap(), None);
    }

    async fn b02_a_user_who_is_disabled_is_signed_out_at_once_and_gets_no_link(ground) {
        let signed_in = by_link(ground, &ground.ana).await;
        let link = link(ground, &ground.ana).await;
        let id = ground.ana.user.id.as_str();
        disable_user(&ground.app, &admin(&ground.cleo), id).await.unwrap();
        assert_eq!(web_session(&ground.app, &signed_in.cookie).await.unwrap(), None);
        assert_eq!(open_sign_in_link(&ground.app, &link).await.unwrap(), None);
        let shell = Actor::command_line();
        let refused = create_sign_in_link(&ground.app, &shell, id).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
    }

    async fn only_an_admin_makes_links(ground) {
        for actor in [&ground.bob, &ground.ana] {
            let refused = create_sign_in_link(&ground.app, actor, "ana@example.com").await;
            assert_eq!(refused.unwrap_err().kind, ErrorKind::Forbidden);
        }
    }

    async fn e03_no_password_link_or_cookie_is_in_the_audit_trail(ground) {
        let link = link(ground, &ground.ana).await;
        use_sign_in_link(&ground.app, &link, &text(PASSWORD), "x").await.unwrap();
        let SignIn::In(signed_in) = try_password(ground, "ana@example.com", PASSWORD, "x").await
        else { panic!("the password is right") };
        // People type passwords into the wrong field.
        try_password(ground, "canary in the wrong field", "not the password", "x").await;
        let list = async |tx: &mut Tx| {
            let records = tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await.unwrap();
            format!("{records:?}")
        };
        let records = ground.write(list).await;
        for action in ["sign_in_link.created", "password.set", "session.signed_in", "session.refused"] {
            assert!(records.contains(action), "{action} is not on record");
        }
        for secret in [link.expose_secret(), signed_in.cookie.expose_secret(), "canary"] {
            assert!(!records.contains(secret));
        }
    }
}
