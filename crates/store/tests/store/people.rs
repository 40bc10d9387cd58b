//! Users, groups, tokens and settings.

use std::{collections::BTreeSet, time::Duration};

use latchkey_domain::{
    ids::TokenId,
    people::{ApiToken, Role, TokenScope, UserStatus},
    settings::SettingSpec,
};
use latchkey_store::{GroupFilter, PageKey, PageQuery, Result, StoreError, TextMatch, UserFilter};
use serde_json::json;

use crate::fixtures::{Ground, on_both, user};

on_both! {
    a_user_is_read_back_as_written,
    an_address_belongs_to_one_person_as_alias_too,
    users_are_filtered_by_every_part_of_the_filter,
    pages_neither_repeat_nor_lose_rows_while_others_appear_and_go,
    only_active_people_count_as_holders_of_a_role,
    groups_keep_names_apart_without_letter_case,
    members_come_go_and_are_replaced,
    tokens_of_a_person_end_together,
    a_setting_is_its_default_until_it_is_set,
}

async fn a_user_is_read_back_as_written(ground: Ground) {
    let mut written = user(ground.now(), ground.rng(), "Grace@Example.org");
    written.email_aliases = vec!["amazing@example.org".to_owned()];
    written.roles = BTreeSet::from([Role::PowerUser, Role::Viewer]);
    ground.store.write(async |tx| tx.insert_user(&written).await).await.unwrap();
    let by = |text: &'static str| {
        let store = ground.store.clone();
        async move { store.read(async |tx| tx.find_user_by_email(text).await).await.unwrap() }
    };
    assert_eq!(by(" grace@example.ORG ").await, Some(written.clone()));
    assert_eq!(by("AMAZING@example.org").await, Some(written.clone()));
    assert_eq!(by("nobody@example.org").await, None);

    written.email_aliases.clear();
    written.status = UserStatus::Disabled;
    written.manager_id = Some(written.id.clone());
    ground.store.write(async |tx| tx.update_user(&written).await).await.unwrap();
    assert_eq!(by("grace@example.org").await, Some(written));
    assert_eq!(by("amazing@example.org").await, None);
}

async fn an_address_belongs_to_one_person_as_alias_too(ground: Ground) {
    ground.add_user("grace@example.org").await;
    let mut other = user(ground.now(), ground.rng(), "ada@example.org");
    other.email_aliases = vec!["GRACE@example.org ".to_owned()];
    let refused = ground.store.write(async |tx| tx.insert_user(&other).await).await;
    let Err(StoreError::Duplicate { what }) = refused else { panic!("{refused:?}") };
    assert_eq!(what, "e-mail address");
    let found = ground.store.read(async |tx| tx.find_user(&other.id).await).await.unwrap();
    assert_eq!(found, None, "the refused transaction left nothing");
}

async fn users_are_filtered_by_every_part_of_the_filter(ground: Ground) {
    let grace = ground.add_user("grace@example.org").await;
    let mut ada = user(ground.now(), ground.rng(), "ada@example.org");
    "Ädá_%".clone_into(&mut ada.first_name);
    ada.roles = BTreeSet::from([Role::Admin]);
    ground.store.write(async |tx| tx.insert_user(&ada).await).await.unwrap();
    let list = async |filter: UserFilter| {
        let page = PageQuery::all();
        let users = ground.store.read(async |tx| tx.list_users(&filter, &page).await).await;
        users.unwrap().into_iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(list(UserFilter::default()).await, [grace.id.clone(), ada.id.clone()]);
    for name in [
        TextMatch::Exact("ädá_%".to_owned()),
        TextMatch::Prefix("äd".to_owned()),
        TextMatch::Suffix("_%".to_owned()),
        TextMatch::Contains("Á_".to_owned()),
    ] {
        let filter = UserFilter { first_name: Some(name.clone()), ..Default::default() };
        assert_eq!(list(filter).await, [ada.id.clone()], "{name:?}");
    }
    let filter =
        UserFilter { first_name: Some(TextMatch::Contains("_r".to_owned())), ..Default::default() };
    assert!(list(filter).await.is_empty(), "a wildcard of LIKE is a letter like any other");
    let filter = UserFilter { roles: vec![Role::Admin, Role::Viewer], ..Default::default() };
    assert_eq!(list(filter).await, std::slice::from_ref(&ada.id));
    let filter = UserFilter { status: Some(UserStatus::Disabled), ..Default::default() };
    assert!(list(filter).await.is_empty());
    let filter = UserFilter {
        source_integration_name: Some(TextMatch::Exact("okta".to_owned())),
        ..Default::default()
    };
    assert!(list(filter).await.is_empty());
}

async fn pages_neither_repeat_nor_lose_rows_while_others_appear_and_go(ground: Ground) {
    let mut all = Vec::new();
    for n in 0..25 {
        // Five people a moment, so that equal times are paged by id.
        if n % 5 == 0 {
            ground.clock.advance(Duration::from_secs(1));
        }
        all.push(ground.add_user(&format!("user{n}@example.org")).await);
    }
    for newest_first in [false, true] {
        let mut expected: Vec<_> =
            all.iter().map(|user| (user.created_at, user.id.clone())).collect();
        expected.sort();
        if newest_first {
            expected.reverse();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = PageQuery { after: after.clone(), limit: 4, newest_first };
            let users = ground
                .store
                .read(async |tx| tx.list_users(&UserFilter::default(), &page).await)
                .await
                .unwrap();
            let Some(last) = users.last() else { break };
            after = Some(PageKey::new(last.created_at, last.id.as_str()));
            seen.extend(users.iter().map(|user| (user.created_at, user.id.clone())));
            if !newest_first && seen.len() == 8 {
                // Somebody older appears behind the reader: not seen, nothing repeated.
                let early = all[0].created_at - Duration::from_secs(5);
                let early = user(early, ground.rng(), "early@example.org");
                ground.store.write(async |tx| tx.insert_user(&early).await).await.unwrap();
            }
        }
        seen.retain(|row| all.iter().any(|user| user.id == row.1));
        assert_eq!(seen, expected);
    }
}

async fn only_active_people_count_as_holders_of_a_role(ground: Ground) {
    let mut grace = ground.add_user("grace@example.org").await;
    let count = async || {
        let counted = ground.store.read(async |tx| tx.count_users_with_role(Role::Admin).await);
        counted.await.unwrap()
    };
    let change = ground.store.write(async |tx| -> Result<_> {
        Ok((
            tx.grant_role(&grace.id, Role::Admin).await?,
            tx.grant_role(&grace.id, Role::Admin).await?,
        ))
    });
    assert_eq!(change.await.unwrap(), (true, false));
    assert_eq!(count().await, 1);
    grace.status = UserStatus::Disabled;
    ground.store.write(async |tx| tx.update_user(&grace).await).await.unwrap();
    assert_eq!(count().await, 0);
    let taken = ground.store.write(async |tx| tx.revoke_role(&grace.id, Role::Admin).await);
    assert!(taken.await.unwrap());
}

async fn groups_keep_names_apart_without_letter_case(ground: Ground) {
    let dba = ground.add_group("DBA").await;
    let mut other = dba.clone();
    other.id = latchkey_domain::ids::GroupId::new("g2");
    "dba".clone_into(&mut other.name);
    let refused = ground.store.write(async |tx| tx.insert_group(&other).await).await;
    assert!(matches!(refused, Err(StoreError::Duplicate { what: "group name" })), "{refused:?}");
    // A synced group may share the name, and a managed one is found first.
    other.source_integration_id = Some(latchkey_domain::ids::IntegrationId::new("idp"));
    other.source_id = Some("42".to_owned());
    other.created_at = dba.created_at - Duration::from_secs(1);
    ground.store.write(async |tx| tx.insert_group(&other).await).await.unwrap();
    let found = ground.store.read(async |tx| tx.find_group_by_name("Dba").await).await.unwrap();
    assert_eq!(found, Some(dba.clone()));
    let filter = GroupFilter { name: Some(TextMatch::Prefix("d".to_owned())) };
    let page = PageQuery::all();
    let listed = ground.store.read(async |tx| tx.list_groups(&filter, &page).await).await.unwrap();
    assert_eq!(listed, [other, dba]);
}

async fn members_come_go_and_are_replaced(ground: Ground) {
    let group = ground.add_group("DBA").await;
    let (ada, bob) = (ground.add_user("a@x.org").await, ground.add_user("b@x.org").await);
    let members = async || {
        let page = PageQuery::all();
        let listed = ground.store.read(async |tx| tx.list_group_members(&group.id, &page).await);
        listed.await.unwrap().into_iter().map(|user| user.email).collect::<Vec<_>>()
    };
    let change = ground.store.write(async |tx| -> Result<_> {
        Ok((
            tx.add_group_member(&group.id, &ada.id).await?,
            tx.add_group_member(&group.id, &ada.id).await?,
            tx.remove_group_member(&group.id, &bob.id).await?,
        ))
    });
    assert_eq!(change.await.unwrap(), (true, false, false));
    assert_eq!(members().await, ["a@x.org"]);
    let twice = [bob.id.clone(), bob.id.clone()];
    ground.store.write(async |tx| tx.replace_group_members(&group.id, &twice).await).await.unwrap();
    assert_eq!(members().await, ["b@x.org"]);
    ground.store.write(async |tx| tx.replace_group_members(&group.id, &[]).await).await.unwrap();
    assert!(members().await.is_empty());
    ground
        .store
        .write(async |tx| -> Result<_> {
            tx.add_group_member(&group.id, &bob.id).await?;
            assert_eq!(tx.groups_of_user(&bob.id).await?, std::slice::from_ref(&group));
            assert_eq!(tx.group_member_ids(&group.id).await?, std::slice::from_ref(&bob.id));
            assert!(tx.delete_group(&group.id).await?);
            assert!(tx.groups_of_user(&bob.id).await?.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}

async fn tokens_of_a_person_end_together(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let mut tokens = Vec::new();
    for n in 0..3 {
        let token = ApiToken {
            id: TokenId::new(format!("t{n}")),
            user_id: ada.id.clone(),
            name: "ci".to_owned(),
            secret_hash: "h".to_owned(),
            scopes: BTreeSet::from([TokenScope::Read, TokenScope::Decide]),
            created_at: ground.now(),
            expires_at: Some(ground.now() + Duration::from_mins(1)),
            revoked_at: None,
        };
        ground.store.write(async |tx| tx.insert_token(&token).await).await.unwrap();
        tokens.push(token);
    }
    let now = ground.now();
    ground
        .store
        .write(async |tx| -> Result<_> {
            assert_eq!(tx.find_token(&tokens[0].id).await?, Some(tokens[0].clone()));
            assert!(tx.revoke_token(&tokens[0].id, now).await?);
            assert!(!tx.revoke_token(&tokens[0].id, now).await?);
            assert_eq!(tx.revoke_tokens_of_user(&ada.id, now).await?, 2);
            let listed = tx.list_tokens_of_user(&ada.id).await?;
            assert!(listed.iter().all(|token| token.revoked_at == Some(now)));
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_setting_is_its_default_until_it_is_set(ground: Ground) {
    let spec = SettingSpec::get("sync_interval_sec").unwrap();
    ground
        .store
        .write(async |tx| -> Result<_> {
            assert_eq!(tx.setting(spec).await?, json!(3600));
            tx.put_setting(spec.key, &json!(60)).await?;
            tx.put_setting(spec.key, &json!(120)).await?;
            assert_eq!(tx.setting(spec).await?, json!(120));
            assert_eq!(tx.list_settings().await?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
}
