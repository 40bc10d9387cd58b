//! Groups within groups: whoever is in a group is in every group that it is within, as policy sees
//! them.
//!
//! Invariants: no group is within itself; what is within a group that comes from an identity source
//! is that source's to say.

use latchkey_domain::{ids::GroupId, people::Group};
use latchkey_store::{PageKey, PageQuery, Tx};
use serde_json::json;

use crate::{
    Actor, App, Operation, Page, PageRequest,
    error::{AppError, FieldError},
    groups::{GroupView, managed, view},
    trail,
};

/// Lists the groups right inside a group, in order of creation.
pub async fn list_child_groups(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    page: &PageRequest,
) -> Result<Page<GroupView>, AppError> {
    actor.require(Operation::ReadGroups)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<GroupView>, AppError> {
            find(tx, id).await?;
            let rows = tx.list_child_groups(id, &page.query()).await?;
            let page = page.page(rows, |group| PageKey::new(group.created_at, group.id.as_str()));
            let mut items = Vec::with_capacity(page.items.len());
            for group in page.items {
                items.push(view(tx, group).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
}

/// Puts a group into a managed group. Repeating it changes nothing. 404 if either is unknown; 409
/// if the group would then be within itself.
pub async fn add_child_group(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    child: &GroupId,
) -> Result<(), AppError> {
    actor.require(Operation::ManageGroups)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            tx.lock_group_nesting().await?;
            let group = managed(tx, id).await?;
            let child = find(tx, child).await?;
            add(tx, actor, &group, &child).await
        })
        .await
}

/// Puts a group into another. The nesting is locked.
async fn add(tx: &mut Tx, actor: &Actor, group: &Group, child: &Group) -> Result<(), AppError> {
    if child.id == group.id {
        return Err(AppError::conflict("a group cannot be within itself"));
    }
    if tx.is_within_group(&group.id, &child.id).await? {
        return Err(AppError::conflict(format!(
            "\"{}\" is within \"{}\" already, so that cannot be within it as well",
            group.name, child.name
        )));
    }
    if tx.insert_child_group(&group.id, &child.id).await? {
        record(tx, actor, "group.group_added", group, child).await?;
    }
    Ok(())
}

/// The groups with these names or ids; 400 naming those that there are not.
pub(crate) async fn named_groups(tx: &mut Tx, names: &[String]) -> Result<Vec<Group>, AppError> {
    let (mut found, mut errors) = (Vec::with_capacity(names.len()), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let group = match tx.find_group_by_name(name).await? {
            Some(group) => Some(group),
            None => tx.find_group(&GroupId::new(name.as_str())).await?,
        };
        if let Some(group) = group {
            found.push(group);
        } else {
            let field = format!("member_groups[{at}]");
            errors.push(FieldError::new(field, "names no group by name or id"));
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(AppError::invalid_fields(errors)) }
}

/// Makes these the groups right inside a group; false where they are that already. The caller has
/// asked whether the actor may, and whether the group may be changed here.
pub(crate) async fn replace_children(
    tx: &mut Tx,
    actor: &Actor,
    group: &Group,
    wanted: &[Group],
) -> Result<bool, AppError> {
    let stored = tx.list_child_groups(&group.id, &PageQuery::all()).await?;
    let is_in = |list: &[Group], one: &Group| list.iter().any(|other| other.id == one.id);
    let (gone, new): (Vec<&Group>, Vec<&Group>) = (
        stored.iter().filter(|one| !is_in(wanted, one)).collect(),
        wanted.iter().filter(|one| !is_in(&stored, one)).collect(),
    );
    if gone.is_empty() && new.is_empty() {
        return Ok(false);
    }
    tx.lock_group_nesting().await?;
    for child in gone {
        tx.delete_child_group(&group.id, &child.id).await?;
        record(tx, actor, "group.group_removed", group, child).await?;
    }
    for child in new {
        add(tx, actor, group, child).await?;
    }
    Ok(true)
}

/// Takes a group out of a managed group. Repeating it changes nothing. 404 if either is unknown.
pub async fn remove_child_group(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    child: &GroupId,
) -> Result<(), AppError> {
    actor.require(Operation::ManageGroups)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let group = managed(tx, id).await?;
            let child = find(tx, child).await?;
            if tx.delete_child_group(&group.id, &child.id).await? {
                record(tx, actor, "group.group_removed", &group, &child).await?;
            }
            Ok(())
        })
        .await
}

async fn find(tx: &mut Tx, id: &GroupId) -> Result<Group, AppError> {
    tx.find_group(id).await?.ok_or_else(AppError::not_found)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    group: &Group,
    child: &Group,
) -> Result<(), AppError> {
    let detail = json!({ "group_id": child.id, "name": child.name });
    trail::record(tx, &actor.audit(), action, "group", group.id.as_str(), detail).await
}
