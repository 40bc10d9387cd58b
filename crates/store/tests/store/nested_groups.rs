//! Groups within groups: who is in which.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{ids::GroupId, people::Group};
use latchkey_store::{PageQuery, Result};

use crate::fixtures::{Ground, on_both};

on_both! {
    f08_whoever_is_in_a_group_is_in_all_that_it_is_within_in_any_graph,
    f08_a_chain_of_a_thousand_groups_and_a_group_of_a_thousand_groups_are_walked,
    a_group_that_is_deleted_takes_its_place_with_it,
}

/// How many groups the random graphs have.
const GROUPS: usize = 12;

async fn groups(ground: &Ground, count: usize) -> Vec<Group> {
    let mut groups = Vec::with_capacity(count);
    for number in 0..count {
        groups.push(ground.add_group(&format!("group {number}")).await);
    }
    groups
}

async fn nest(ground: &Ground, outer: &Group, inner: &Group) {
    let nested = ground.store.write(async |tx| tx.insert_child_group(&outer.id, &inner.id).await);
    nested.await.unwrap();
}

/// The groups that `from` is within, itself included, by walking edges until nothing is new.
fn above(edges: &BTreeSet<(usize, usize)>, from: usize) -> BTreeSet<usize> {
    let mut known = BTreeSet::from([from]);
    loop {
        let more: BTreeSet<usize> = edges
            .iter()
            .filter(|(outer, inner)| known.contains(inner) && !known.contains(outer))
            .map(|(outer, _)| *outer)
            .collect();
        if more.is_empty() {
            return known;
        }
        known.extend(more);
    }
}

async fn f08_whoever_is_in_a_group_is_in_all_that_it_is_within_in_any_graph(ground: Ground) {
    let groups = groups(&ground, GROUPS).await;
    let mut people = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        let user = ground.add_user(&format!("p{number}@example.org")).await;
        ground
            .store
            .write(async |tx| tx.add_group_member(&group.id, &user.id).await)
            .await
            .unwrap();
        people.insert(number, user.id);
    }
    let mut edges = BTreeSet::new();
    for _ in 0..30 {
        // Any edge at all: circles and a group within itself come about as well.
        let [outer, inner, ..] = ground.rng().bytes::<8>().map(|byte| usize::from(byte) % GROUPS);
        nest(&ground, &groups[outer], &groups[inner]).await;
        edges.insert((outer, inner));
        let expected: Vec<BTreeSet<&GroupId>> = (0..GROUPS)
            .map(|from| above(&edges, from).into_iter().map(|at| &groups[at].id).collect())
            .collect();
        let ids: Vec<_> = people.values().cloned().collect();
        ground
            .store
            .read(async |tx| -> Result<()> {
                let found = tx.groups_of_users(&ids).await?;
                for (from, person) in &people {
                    let found: Vec<&GroupId> = found[person].iter().map(|one| &one.id).collect();
                    assert_eq!(found.len(), expected[*from].len(), "each once");
                    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected[*from]);
                }
                for (at, group) in groups.iter().enumerate() {
                    let all = tx.ids_of_all_in_group(&group.id).await?;
                    let within = |from: &usize| expected[*from].contains(&group.id);
                    let expected: BTreeSet<_> = people
                        .iter()
                        .filter(|(from, _)| within(from))
                        .map(|(_, person)| person.clone())
                        .collect();
                    assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
                    let other = (at + 1) % GROUPS;
                    let is_within = tx.is_within_group(&group.id, &groups[other].id).await?;
                    assert_eq!(is_within, above(&edges, at).contains(&other));
                }
                Ok(())
            })
            .await
            .unwrap();
    }
}

async fn f08_a_chain_of_a_thousand_groups_and_a_group_of_a_thousand_groups_are_walked(
    ground: Ground,
) {
    let chain = groups(&ground, 1000).await;
    let user = ground.add_user("deep@example.org").await;
    let last = chain.last().unwrap().id.clone();
    ground
        .store
        .write(async |tx| -> Result<()> {
            for pair in chain.windows(2) {
                tx.insert_child_group(&pair[0].id, &pair[1].id).await?;
                tx.insert_child_group(&chain[0].id, &pair[1].id).await?;
            }
            // And round again.
            tx.insert_child_group(&last, &chain[0].id).await?;
            tx.add_group_member(&last, &user.id).await?;
            let found = tx.groups_of_users(std::slice::from_ref(&user.id)).await?;
            assert_eq!(found[&user.id].len(), chain.len());
            for group in [&chain[0], &chain[500]] {
                let all = tx.ids_of_all_in_group(&group.id).await?;
                assert_eq!(all, std::slice::from_ref(&user.id));
            }
            let children = tx.list_child_groups(&chain[0].id, &PageQuery::all()).await?;
            assert_eq!(children.len(), chain.len() - 1);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_group_that_is_deleted_takes_its_place_with_it(ground: Ground) {
    let groups = groups(&ground, 3).await;
    let user = ground.add_user("ada@example.org").await;
    nest(&ground, &groups[0], &groups[1]).await;
    nest(&ground, &groups[1], &groups[2]).await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.add_group_member(&groups[2].id, &user.id).await?;
            assert_eq!(tx.ids_of_all_in_group(&groups[0].id).await?.len(), 1);
            assert!(tx.delete_group(&groups[1].id).await?);
            assert!(tx.ids_of_all_in_group(&groups[0].id).await?.is_empty());
            assert!(tx.list_child_groups(&groups[0].id, &PageQuery::all()).await?.is_empty());
            assert!(!tx.delete_child_group(&groups[0].id, &groups[2].id).await?);
            Ok(())
        })
        .await
        .unwrap();
}
