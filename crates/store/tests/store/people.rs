//! Users, groups, tokens and settings.

use std::{collections::BTreeSet, time::Duration};

use latchkey_domain::{
    ids::{AttributeValueId, IntegrationId, TokenId, UserId},
    people::{
        ApiToken, AttributeValue, IdentityKind, PersonAttribute, Role, TokenScope, UserStatus,
    },
    settings::SettingSpec,
};
use latchkey_store::{
    GroupFilter, IdentityFilter, PageKey, PageQuery, Result, StoreError, TextMatch, UserFilter,
};
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
    values_of_attributes_are_one_identity_whatever_their_letter_case,
    identities_are_paged_across_users_groups_and_attributes,
    people_with_attributes_of_their_own_are_listed_and_counted,
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
            let found = tx.groups_of_users(std::slice::from_ref(&bob.id)).await?;
            assert_eq!(found[&bob.id], std::slice::from_ref(&group));
            assert_eq!(tx.group_member_ids(&group.id).await?, std::slice::from_ref(&bob.id));
            assert!(tx.delete_group(&group.id).await?);
            assert!(tx.groups_of_users(std::slice::from_ref(&bob.id)).await?.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}

fn city(ground: &Ground, text: &str) -> AttributeValue {
    AttributeValue {
        id: AttributeValueId::derive("city", text),
        attribute_type: "city".to_owned(),
        value: text.to_owned(),
        source_integration_id: None,
        source_id: None,
        created_at: ground.now(),
    }
}

fn city_of(ground: &Ground, source: &str, source_id: &str, text: &str) -> AttributeValue {
    let source = IntegrationId::new(source);
    AttributeValue {
        id: AttributeValueId::derive_from_source("city", &source, source_id),
        source_integration_id: Some(source),
        source_id: Some(source_id.to_owned()),
        ..city(ground, text)
    }
}

async fn values_of_attributes_are_one_identity_whatever_their_letter_case(ground: Ground) {
    let ana = ground.add_user("ana@example.org").await;
    let here = city(&ground, "Berlin");
    let sourced = city_of(&ground, "okta", "loc-1", "Berlin");
    let write = ground.store.write(async |tx| -> Result<_> {
        let new = [
            tx.put_attribute_value(&here).await?,
            tx.put_attribute_value(&city(&ground, " BERLIN ")).await?,
            tx.put_attribute_value(&sourced).await?,
        ];
        tx.lock_users(std::slice::from_ref(&ana.id)).await?;
        tx.give_attribute(&ana.id, &sourced.id, "Berlin").await?;
        tx.give_attribute(&ana.id, &here.id, "Berlin").await?;
        tx.give_attribute(&ana.id, &here.id, "BERLIN").await?;
        Ok(new)
    });
    assert_eq!(write.await.unwrap(), [true, false, true]);
    let read = async || {
        let ids = [ana.id.clone(), UserId::new("nobody")];
        ground.store.read(async |tx| tx.attributes_of_users(&ids).await).await.unwrap()
    };
    let known = read().await;
    assert_eq!(known.len(), 1);
    let known = &known[&ana.id];
    let own = PersonAttribute { identity: here.clone(), text: "BERLIN".to_owned() };
    assert_eq!(known[0], own, "what was set here comes first");
    assert_eq!(known[1].identity, sourced);

    let named = async |text: &str| {
        let found = ground.store.read(async |tx| tx.find_attribute_values("city", text).await);
        found.await.unwrap().into_iter().map(|value| value.id).collect::<BTreeSet<_>>()
    };
    let both = BTreeSet::from([here.id.clone(), sourced.id.clone()]);
    assert_eq!(named(" berlin").await, both);
    assert_eq!(named("loc-1").await, BTreeSet::from([sourced.id.clone()]));
    assert_eq!(named(here.id.as_str()).await, BTreeSet::from([here.id.clone()]));
    assert!(named("LOC-1").await.is_empty());

    // A source may rename its value; the id stays. What was set here is its text.
    let renamed = city_of(&ground, "okta", "loc-1", "Berlin HQ");
    let write = ground.store.write(async |tx| -> Result<_> {
        let new = tx.put_attribute_value(&renamed).await?;
        Ok((
            new,
            tx.take_attribute(&ana.id, &here.id).await?,
            tx.take_attribute(&ana.id, &here.id).await?,
        ))
    });
    assert_eq!(write.await.unwrap(), (false, true, false));
    assert_eq!(read().await[&ana.id][0].identity.value, "Berlin HQ");
    let holders = async |ids: &[AttributeValueId]| {
        ground.store.read(async |tx| tx.users_with_attributes(ids).await).await.unwrap()
    };
    assert_eq!(
        holders(&[sourced.id.clone(), here.id.clone()]).await,
        std::slice::from_ref(&ana.id)
    );
    assert!(
        holders(std::slice::from_ref(&here.id)).await.is_empty() && holders(&[]).await.is_empty()
    );
    let of_type = ground.store.read(async |tx| tx.users_with_attribute_type("city", 5).await);
    assert_eq!(of_type.await.unwrap(), [ana.id]);
}

async fn identities_are_paged_across_users_groups_and_attributes(ground: Ground) {
    let mut expected = Vec::new();
    for n in 0..6 {
        // Two of each kind a moment, so that equal times are paged by id.
        if n % 2 == 0 {
            ground.clock.advance(Duration::from_secs(1));
        }
        let user = ground.add_user(&format!("user{n}@example.org")).await;
        let group = ground.add_group(&format!("Group {n}")).await;
        let value = city(&ground, &format!("City {n}"));
        let write = ground.store.write(async |tx| -> Result<()> {
            tx.put_attribute_value(&value).await?;
            tx.give_attribute(&user.id, &value.id, &value.value).await
        });
        write.await.unwrap();
        let now = ground.now();
        expected.extend([
            (now, user.id.to_string()),
            (now, group.id.to_string()),
            (now, value.id.to_string()),
        ]);
    }
    let orphan = city(&ground, "Nowhere");
    ground.store.write(async |tx| tx.put_attribute_value(&orphan).await).await.unwrap();
    expected.sort();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = PageQuery { after: after.clone(), limit: 4, newest_first: false };
        let filter = IdentityFilter::default();
        let rows =
            ground.store.read(async |tx| tx.list_identities(&filter, &page).await).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(PageKey::new(last.created_at, last.id.as_str()));
        seen.extend(rows.into_iter().map(|row| (row.created_at, row.id)));
    }
    assert_eq!(seen, expected, "a value that nobody has is not listed");

    let list = async |filter: IdentityFilter| {
        let page = PageQuery::all();
        let rows = ground.store.read(async |tx| tx.list_identities(&filter, &page).await).await;
        rows.unwrap().into_iter().map(|row| (row.kind, row.value)).collect::<Vec<_>>()
    };
    let by_type =
        |kind: &str| IdentityFilter { attribute_type: Some(kind.to_owned()), ..Default::default() };
    assert_eq!(list(by_type("user")).await.len(), 6);
    assert_eq!(list(by_type("group")).await[0].0, IdentityKind::Group);
    assert_eq!(list(by_type("city")).await.len(), 6);
    assert!(list(by_type("City")).await.is_empty());
    let text =
        IdentityFilter { value: Some(TextMatch::Suffix(" 3".to_owned())), ..Default::default() };
    let kinds: Vec<_> = list(text).await.into_iter().map(|row| row.1).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&"Group 3".to_owned()) && kinds.contains(&"City 3".to_owned()));
    let elsewhere = IdentityFilter {
        source_integration_id: Some(IntegrationId::new("okta")),
        ..Default::default()
    };
    assert!(list(elsewhere).await.is_empty());
}

async fn people_with_attributes_of_their_own_are_listed_and_counted(ground: Ground) {
    let (ana, bob, cleo) = (
        ground.add_user("ana@example.org").await,
        ground.add_user("bob@example.org").await,
        ground.add_user("cleo@example.org").await,
    );
    let (here, sourced) = (city(&ground, "Berlin"), city_of(&ground, "okta", "1", "Rome"));
    let write = ground.store.write(async |tx| -> Result<()> {
        tx.put_attribute_value(&here).await?;
        tx.put_attribute_value(&sourced).await?;
        tx.give_attribute(&ana.id, &here.id, "Berlin").await?;
        tx.give_attribute(&cleo.id, &here.id, "Berlin").await?;
        tx.give_attribute(&bob.id, &sourced.id, "Rome").await?;
        tx.set_manager(&ana.id, Some(&bob.id)).await
    });
    write.await.unwrap();
    let list = async |among: Option<&[UserId]>, skip, limit| {
        let listed = ground
            .store
            .read(async |tx| tx.list_users_with_own_attributes(among, skip, limit).await);
        let (users, total) = listed.await.unwrap();
        (users.into_iter().map(|user| user.email).collect::<Vec<_>>(), total)
    };
    let (both, total) = list(None, 0, 10).await;
    assert_eq!((both.len(), total), (2, 2));
    assert_eq!(list(None, 1, 1).await, (vec![both[1].clone()], 2));
    assert_eq!(list(Some(&[bob.id.clone(), cleo.id.clone()]), 0, 10).await.0, ["cleo@example.org"]);
    let ana = ground.store.read(async |tx| tx.find_user(&ana.id).await).await.unwrap().unwrap();
    assert_eq!(ana.manager_id, Some(bob.id));
    let group = ground.add_group("dba").await;
    ground.store.write(async |tx| tx.add_group_member(&group.id, &cleo.id).await).await.unwrap();
    let ids = [ana.id, cleo.id.clone()];
    let groups = ground.store.read(async |tx| tx.groups_of_users(&ids).await).await.unwrap();
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), [(cleo.id, vec![group])]);
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
