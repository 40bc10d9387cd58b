//! Users, roles and the first Admin.

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    bootstrap::bootstrap,
    roles::{grant_role, revoke_role},
    settings::{get_setting, list_settings, set_setting},
    users::{CreateUser, UsersQuery, create_user, disable_user, get_user, list_users},
    wildcard::text_match,
};
use latchkey_domain::{people::Role, settings::SETTINGS};
use serde_json::json;

use crate::office::{fields_of, first_admin, kind_of, person, records_of, somebody_with};

both_databases! {
    async fn the_first_admin_is_made_once(ground) {
        let admin = first_admin(ground).await;
        assert!(admin.has_role(Role::Admin));
        let again = bootstrap(&ground.app, person("eve")).await;
        assert_eq!(kind_of(again), ErrorKind::Conflict);
        assert_eq!(records_of(ground, "installation.bootstrapped").await, 1);
    }

    async fn somebody_who_is_there_can_become_the_first_admin(ground) {
        let made = bootstrap(&ground.app, person("bob")).await.unwrap();
        assert_eq!(made.user_id, ground.bob.user.id);
    }

    async fn the_last_admin_stays(ground) {
        let admin = first_admin(ground).await;
        let id = admin.user.id.as_str();
        let shell = Actor::command_line();
        assert_eq!(
            kind_of(revoke_role(&ground.app, &shell, id, Role::Admin).await),
            ErrorKind::Conflict
        );
        assert_eq!(kind_of(disable_user(&ground.app, &shell, id).await), ErrorKind::Conflict);

        let second = somebody_with(ground, "dan", Some(Role::Admin)).await;
        revoke_role(&ground.app, &second, id, Role::Admin).await.unwrap();
        let second = second.user.id.as_str();
        let refused = revoke_role(&ground.app, &shell, second, Role::Admin).await;
        assert_eq!(kind_of(refused), ErrorKind::Conflict);
    }

    async fn two_admins_who_dismiss_each_other_leave_one(ground) {
        let one = first_admin(ground).await;
        let two = somebody_with(ground, "dan", Some(Role::Admin)).await;
        let (first, second) = tokio::join!(
            revoke_role(&ground.app, &one, two.user.id.as_str(), Role::Admin),
            revoke_role(&ground.app, &two, one.user.id.as_str(), Role::Admin),
        );
        assert!(first.is_ok() != second.is_ok());
    }

    async fn a_disabled_admin_does_not_count_as_one(ground) {
        let one = first_admin(ground).await;
        let two = somebody_with(ground, "dan", Some(Role::Admin)).await;
        disable_user(&ground.app, &one, two.user.id.as_str()).await.unwrap();
        let refused = revoke_role(&ground.app, &one, one.user.id.as_str(), Role::Admin).await;
        assert_eq!(kind_of(refused), ErrorKind::Conflict);
    }

    async fn a_role_taken_twice_is_recorded_once(ground) {
        let admin = first_admin(ground).await;
        let bob = ground.bob.user.id.as_str();
        for _ in 0..2 {
            grant_role(&ground.app, &admin, bob, Role::Viewer).await.unwrap();
        }
        for _ in 0..2 {
            revoke_role(&ground.app, &admin, bob, Role::Viewer).await.unwrap();
        }
        assert_eq!(records_of(ground, "role.granted").await, 1);
        assert_eq!(records_of(ground, "role.revoked").await, 1);
    }

    async fn one_address_is_one_person(ground) {
        let shell = Actor::command_line();
        let with_alias = CreateUser {
            email_aliases: vec!["d.smith@example.com".to_owned(), "DAN@example.com".to_owned()],
            ..person("dan")
        };
        let dan = create_user(&ground.app, &shell, with_alias).await.unwrap();
        assert_eq!(
            dan.email_aliases,
            ["d.smith@example.com"],
            "an alias equal to the address is none"
        );
        for email in ["dan@example.com", " DAN@Example.com ", "D.Smith@example.com"] {
            let again = CreateUser { email: email.to_owned(), ..person("x") };
            assert_eq!(
                kind_of(create_user(&ground.app, &shell, again).await),
                ErrorKind::Conflict,
                "{email}"
            );
        }
        assert_eq!(get_user(&ground.app, &shell, "D.SMITH@example.com").await.unwrap().user, dan);
        assert_eq!(get_user(&ground.app, &shell, dan.id.as_str()).await.unwrap().user, dan);
    }

    async fn a_user_without_an_address_is_refused(ground) {
        let bad = CreateUser {
            email: "nobody".to_owned(),
            first_name: "a\nb".to_owned(),
            ..CreateUser::default()
        };
        let fields = fields_of(create_user(&ground.app, &Actor::command_line(), bad).await);
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), ["email", "first_name"]);
    }

    async fn users_are_listed_by_name_and_role(ground) {
        let admin = first_admin(ground).await;
        let page = PageRequest::default();
        let names = async |query: UsersQuery| -> Vec<String> {
            let page = list_users(&ground.app, &admin, query, &page).await.unwrap();
            let mut names: Vec<_> =
                page.items.into_iter().map(|view| view.user.first_name).collect();
            names.sort();
            names
        };
        assert_eq!(names(UsersQuery::default()).await, ["ada", "ana", "bob", "cleo"]);
        let begins_with_a =
            UsersQuery { first_name: Some(text_match("A*")), ..UsersQuery::default() };
        assert_eq!(names(begins_with_a).await, ["ada", "ana"]);
        let admins = UsersQuery { roles: vec![Role::Admin, Role::Viewer], ..UsersQuery::default() };
        assert_eq!(names(admins).await, ["ada"]);
    }

    async fn pages_of_users_join_without_a_gap(ground) {
        let admin = first_admin(ground).await;
        let mut page = PageRequest { after: None, limit: 1 };
        let mut seen = Vec::new();
        loop {
            let part = list_users(&ground.app, &admin, UsersQuery::default(), &page).await.unwrap();
            seen.extend(part.items.into_iter().map(|view| view.user.first_name));
            match part.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["ada", "ana", "bob", "cleo"]);
    }

    async fn settings_are_checked_before_they_are_kept(ground) {
        let admin = first_admin(ground).await;
        assert_eq!(list_settings(&ground.app, &admin).await.unwrap().len(), SETTINGS.len());
        let key = "approval_expiry_sec";
        assert_eq!(get_setting(&ground.app, &admin, key).await.unwrap().value, json!(86400));
        for bad in [json!(1), json!("an hour"), json!(1e18), json!(null)] {
            assert!(fields_of(set_setting(&ground.app, &admin, key, bad).await).contains("value"));
        }
        set_setting(&ground.app, &admin, key, json!(3600)).await.unwrap();
        assert_eq!(get_setting(&ground.app, &admin, key).await.unwrap().value, json!(3600));
        let unknown = set_setting(&ground.app, &admin, "approval_expiry", json!(3600)).await;
        assert!(fields_of(unknown).contains("key"));
    }
}
