//! A segment that was changed bit by bit is one that was built from the outcome.

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::Resource,
};
use latchkey_inventory::{Index, Rules};
use proptest::prelude::*;

use crate::{
    available,
    people::{people, rules},
    random::{
        INTEGRATIONS, Inventory, Part, a_quarter, check_pages, check_selected, inventory, once,
        permissions, query, resource, resource_id, target,
    },
};

/// A change of the first integration.
#[derive(Debug, Clone)]
enum Change {
    Push(Vec<Resource>, Vec<ResourceId>),
    Tidy,
    Rename(&'static str),
    Rules(Rules),
    Permissions(Vec<latchkey_domain::inventory::Permission>),
}

fn change() -> impl Strategy<Value = Change> {
    let id = INTEGRATIONS[0].0;
    let removed = prop::collection::vec(resource_id(), 0..3);
    prop_oneof![
        6 => (prop::collection::vec(resource(id), 0..4), removed)
            .prop_map(|(upserts, removed)| Change::Push(once(upserts), removed)),
        1 => Just(Change::Tidy),
        1 => prop::sample::select(vec!["shop", "i3", "dev"]).prop_map(Change::Rename),
        1 => rules().prop_map(Change::Rules),
        1 => permissions(id).prop_map(Change::Permissions),
    ]
}

/// Makes the change in the index and in the plain inventory.
fn apply(
    index: &Index,
    inventory: &mut Inventory,
    rules: &mut Rules,
    version: i64,
    change: Change,
) {
    let part: &mut Part = &mut inventory.parts[0];
    let id = IntegrationId::new(part.id);
    let segment = index.snapshot().segment(&id).unwrap().clone();
    match change {
        Change::Push(upserts, mut removed) => {
            removed.retain(|id| upserts.iter().all(|one| one.id != *id));
            let pushed = index.push(&id, version, &upserts, &removed).unwrap();
            assert_eq!(pushed.unwrap().version(), version);
            part.resources.retain(|one| !removed.contains(&one.id));
            part.resources.extend(upserts);
            part.resources = once(std::mem::take(&mut part.resources));
        }
        Change::Tidy => {
            let wants = segment.wants_rebuild();
            assert_eq!(index.tidy(&id).unwrap(), wants);
        }
        Change::Rename(name) => {
            assert!(index.put(segment.renamed(version, name)));
            part.name = name;
        }
        Change::Rules(new) => {
            index.set_rules(new.clone());
            *rules = new;
        }
        Change::Permissions(new) => {
            assert!(index.put(segment.with_permissions(version, new.clone())));
            part.permissions = new;
        }
    }
}

proptest! {
    #![proptest_config(a_quarter())]

    #[test]
    fn f10_changes_one_by_one_come_to_what_building_anew_comes_to(
        inventory in inventory(),
        rules in rules(),
        changes in prop::collection::vec(change(), 1..14),
        query in query(),
        target in target(),
        people in people(),
        filter in available::filter(),
        size in 1..6usize,
    ) {
        let (mut inventory, mut rules) = (inventory, rules);
        let index = inventory.index();
        index.set_rules(rules.clone());
        for (version, change) in (2..).zip(changes) {
            apply(&index, &mut inventory, &mut rules, version, change);
        }
        let snapshot = index.snapshot();
        let expected = inventory.selects(&query);
        let selected = snapshot.select(&query);
        check_selected(&selected, &expected, &inventory)?;
        check_pages(size, &expected, |after, limit| selected.page(after, limit))?;
        let covered = inventory.where_(|one, _| latchkey_domain::policy::targets::covers(&target, one));
        check_selected(&snapshot.covered(&target), &covered, &inventory)?;
        available::check(&snapshot, &inventory, &rules, &people, &filter, size)?;
        for part in &inventory.parts {
            let segment = snapshot.segment(&IntegrationId::new(part.id)).unwrap();
            let present = part.resources.iter().filter(|one| {
                one.status != latchkey_domain::inventory::ResourceStatus::Deleted
            });
            prop_assert_eq!(segment.resources(), present.count() as u64);
            let rebuilt = segment.rebuilt().unwrap();
            prop_assert!(!rebuilt.wants_rebuild());
            for resource in &part.resources {
                prop_assert_eq!(&rebuilt.find(&resource.id).unwrap().0, resource);
            }
        }
    }
}

fn shop() -> Part {
    Part { id: "i1", name: "shop", permissions: Vec::new(), resources: Vec::new() }
}

#[test]
fn an_older_segment_does_not_take_the_place_of_a_newer_one() {
    let index = Index::default();
    assert!(index.put(shop().segment(5)));
    assert!(!index.put(shop().segment(4)));
    let id = IntegrationId::new("i1");
    assert!(index.push(&id, 5, &[], &[]).unwrap().is_none());
    assert!(index.push(&IntegrationId::new("i9"), 6, &[], &[]).unwrap().is_none());
    assert_eq!(index.versions().get(&id), Some(&5));
    index.remove(&id);
    assert!(index.versions().is_empty());
}

#[test]
fn a_snapshot_does_not_change_with_the_index() {
    let index = Index::default();
    index.put(shop().segment(1));
    let before = index.snapshot();
    index.put(shop().segment(2));
    assert_eq!(before.segment(&IntegrationId::new("i1")).unwrap().version(), 1);
    assert_eq!(index.snapshot().segment(&IntegrationId::new("i1")).unwrap().version(), 2);
}
