//! Groups and their members.

use latchkey_app::{
    Actor, ErrorKind, PageRequest,
    groups::{
        CreateGroup, GroupView, add_group_member, create_group, delete_group, get_group,
        list_group_members, list_groups, remove_group_member, rename_group, replace_group_members,
    },
    nested_groups::{add_child_group, list_child_groups, remove_child_group},
    wildcard::text_match,
};
use latchkey_domain::{
    ids::{GroupId, IntegrationId},
    people::Group,
};

use crate::{
    ground::Ground,
    office::{fields_of, first_admin, kind_of, records_of},
};

async fn new_group(ground: &Ground, admin: &Actor, name: &str, members: &[&str]) -> GroupView {
    let members_emails = members.iter().map(|name| format!("{name}@example.com")).collect();
    let name = name.to_owned();
    let command = CreateGroup { name, members_emails, ..CreateGroup::default() };
    create_group(&ground.app, admin, command).await.unwrap()
}

async fn members(ground: &Ground, admin: &Actor, id: &GroupId) -> Vec<String> {
    let page = PageRequest::default();
    let page = list_group_members(&ground.app, admin, id, &page).await.unwrap();
    page.items.into_iter().map(|user| user.first_name).collect()
}

async fn children(ground: &Ground, admin: &Actor, id: &GroupId) -> Vec<String> {
    let page = PageRequest::default();
    let page = list_child_groups(&ground.app, admin, id, &page).await.unwrap();
    page.items.into_iter().map(|one| one.group.name).collect()
}

both_databases! {
    async fn f08_no_group_gets_within_itself(ground) {
        let admin = first_admin(ground).await;
        let mut groups = Vec::new();
        for name in ["Company", "Engineers", "Platform"] {
            groups.push(new_group(ground, &admin, name, &[]).await.group);
        }
        let [company, engineers, platform] = [0, 1, 2].map(|at| &groups[at].id);
        let app = &ground.app;
        add_child_group(app, &admin, company, engineers).await.unwrap();
        add_child_group(app, &admin, engineers, platform).await.unwrap();
        add_child_group(app, &admin, engineers, platform).await.unwrap();
        for (outer, inner) in [(company, company), (engineers, company), (platform, company)] {
            let refused = add_child_group(app, &admin, outer, inner).await;
            assert_eq!(kind_of(refused), ErrorKind::Conflict);
        }
        let unknown = add_child_group(app, &admin, company, &GroupId::new("who")).await;
        assert_eq!(kind_of(unknown), ErrorKind::NotFound);
        assert_eq!(children(ground, &admin, company).await, ["Engineers"]);
        assert_eq!(records_of(ground, "group.group_added").await, 2);
        remove_child_group(app, &admin, company, engineers).await.unwrap();
        remove_child_group(app, &admin, company, engineers).await.unwrap();
        assert_eq!(records_of(ground, "group.group_removed").await, 1);
        add_child_group(app, &admin, platform, company).await.unwrap();
    }

    async fn a_group_may_be_empty(ground) {
        let admin = first_admin(ground).await;
        let group = new_group(ground, &admin, "Data", &[]).await.group;
        assert!(members(ground, &admin, &group.id).await.is_empty());
        assert_eq!(get_group(&ground.app, &admin, &group.id).await.unwrap().group, group);
    }

    async fn names_are_unique_without_letter_case(ground) {
        let admin = first_admin(ground).await;
        let data = new_group(ground, &admin, "Data", &[]).await.group;
        let other = new_group(ground, &admin, "Other", &[]).await.group;
        let again = CreateGroup { name: "DATA".to_owned(), ..CreateGroup::default() };
        assert_eq!(kind_of(create_group(&ground.app, &admin, again).await), ErrorKind::Conflict);
        let clash = rename_group(&ground.app, &admin, &other.id, "data".to_owned()).await;
        assert_eq!(kind_of(clash), ErrorKind::Conflict);
        let own = rename_group(&ground.app, &admin, &data.id, "DATA".to_owned()).await.unwrap();
        assert_eq!(own.group.name, "DATA");
        let page = PageRequest::default();
        let named = list_groups(&ground.app, &admin, Some(text_match("d*")), &page).await.unwrap();
        assert_eq!(named.items.len(), 1);
    }

    async fn an_address_of_nobody_is_named(ground) {
        let admin = first_admin(ground).await;
        let emails = ["BOB@example.com", "who@example.com", "bob@example.com", "x"];
        let emails: Vec<String> = emails.map(str::to_owned).to_vec();
        let command = CreateGroup {
            name: "Data".to_owned(),
            members_emails: emails.clone(),
            ..CreateGroup::default()
        };
        let fields = fields_of(create_group(&ground.app, &admin, command).await);
        assert_eq!(
            fields.into_iter().collect::<Vec<_>>(),
            ["members_emails[1]", "members_emails[3]"]
        );
        let group = new_group(ground, &admin, "Data", &["cleo"]).await.group;
        fields_of(replace_group_members(&ground.app, &admin, &group.id, &emails).await);
        assert_eq!(members(ground, &admin, &group.id).await, ["cleo"], "all or nothing");
        let unknown = add_group_member(&ground.app, &admin, &group.id, "who@example.com").await;
        assert_eq!(kind_of(unknown), ErrorKind::NotFound);
    }

    async fn members_come_and_go_once(ground) {
        let admin = first_admin(ground).await;
        let group = new_group(ground, &admin, "Data", &["bob", "bob"]).await.group;
        for _ in 0..2 {
            add_group_member(&ground.app, &admin, &group.id, "CLEO@example.com").await.unwrap();
        }
        assert_eq!(members(ground, &admin, &group.id).await, ["bob", "cleo"]);
        for _ in 0..2 {
            remove_group_member(&ground.app, &admin, &group.id, "bob@example.com").await.unwrap();
        }
        assert_eq!(members(ground, &admin, &group.id).await, ["cleo"]);
        assert_eq!(records_of(ground, "group.member_added").await, 1);
        assert_eq!(records_of(ground, "group.member_removed").await, 1);
        replace_group_members(&ground.app, &admin, &group.id, &[]).await.unwrap();
        assert!(members(ground, &admin, &group.id).await.is_empty());
        delete_group(&ground.app, &admin, &group.id).await.unwrap();
        assert_eq!(kind_of(get_group(&ground.app, &admin, &group.id).await), ErrorKind::NotFound);
        assert_eq!(
            kind_of(delete_group(&ground.app, &admin, &group.id).await),
            ErrorKind::NotFound
        );
    }

    async fn a_group_from_an_identity_source_is_changed_there(ground) {
        let admin = first_admin(ground).await;
        let group = Group {
            id: GroupId::new("synced"),
            name: "Synced".to_owned(),
            source_integration_id: Some(IntegrationId::new("okta")),
            source_id: Some("g-1".to_owned()),
            created_at: latchkey_domain::Clock::now(ground.clock.as_ref()),
        };
        ground.write(async |tx| tx.insert_group(&group).await.unwrap()).await;
        let (app, id, bob) = (&ground.app, &group.id, "bob@example.com");
        assert_eq!(
            kind_of(rename_group(app, &admin, id, "x".to_owned()).await),
            ErrorKind::Conflict
        );
        assert_eq!(kind_of(delete_group(app, &admin, id).await), ErrorKind::Conflict);
        assert_eq!(kind_of(add_group_member(app, &admin, id, bob).await), ErrorKind::Conflict);
        assert_eq!(kind_of(remove_group_member(app, &admin, id, bob).await), ErrorKind::Conflict);
        assert_eq!(kind_of(replace_group_members(app, &admin, id, &[]).await), ErrorKind::Conflict);
    }
}
