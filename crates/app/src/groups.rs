//! Groups of users.
//!
//! Invariant: groups that come from an identity source are changed by that source alone; here
//! they are read only (409). A group that an access flow names cannot be deleted, so that no
//! policy ever points at nothing, or at a later group of the same name.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::{GroupId, UserId},
    people::{Group, User, normalize_email},
};
use latchkey_store::{GroupFilter, PageKey, StoreError, TextMatch, Tx};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    flows::pins::{self, NewIdentity},
    nested_groups::{named_groups, replace_children},
    paging::{Page, PageRequest},
    texts, trail,
};

/// A group with the name of its identity source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: Group,
    /// The identity source's name now; `None` for managed groups.
    pub source_integration_name: Option<String>,
}

/// A new group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateGroup {
    /// Unique among managed groups, without letter case.
    pub name: String,
    /// Addresses of users; may be empty.
    pub members_emails: Vec<String>,
    /// Groups inside it, by name or id; may be empty.
    pub member_groups: Vec<String>,
}

/// Lists managed and synced groups in order of creation.
pub async fn list_groups(
    app: &App,
    actor: &Actor,
    name: Option<TextMatch>,
    page: &PageRequest,
) -> Result<Page<GroupView>, AppError> {
    actor.require(Operation::ReadGroups)?;
    app.store()
        .read(async |tx| {
            let rows = tx.list_groups(&GroupFilter { name }, &page.query()).await?;
            let page = page.page(rows, |group| PageKey::new(group.created_at, group.id.as_str()));
            let mut items = Vec::with_capacity(page.items.len());
            for group in page.items {
                items.push(view(tx, group).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
}

/// Reads one group.
pub async fn get_group(app: &App, actor: &Actor, id: &GroupId) -> Result<GroupView, AppError> {
    actor.require(Operation::ReadGroups)?;
    app.store()
        .read(async |tx| {
            let group = tx.find_group(id).await?.ok_or_else(AppError::not_found)?;
            Ok(view(tx, group).await?)
        })
        .await
}

/// Creates a managed group. 409 if the name is taken, 400 if an address is nobody's.
pub async fn create_group(
    app: &App,
    actor: &Actor,
    command: CreateGroup,
) -> Result<GroupView, AppError> {
    actor.require(Operation::ManageGroups)?;
    let group = app.store().write(async |tx| create(tx, app, actor, command).await).await?;
    Ok(GroupView { group, source_integration_name: None })
}

/// Creates a managed group. The caller has asked whether the actor may.
pub(crate) async fn create(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    command: CreateGroup,
) -> Result<Group, AppError> {
    texts::check_name("name", &command.name)?;
    name_is_free(tx, &command.name, None).await?;
    let members = users_of(tx, &command.members_emails).await?;
    let now = tx.now();
    let group = Group {
        id: GroupId::generate(now, app.rng()),
        name: command.name,
        source_integration_id: None,
        source_id: None,
        created_at: now,
    };
    tx.insert_group(&group).await?;
    tx.replace_group_members(&group.id, &members).await?;
    let detail = json!({ "name": group.name, "members": members });
    let id = group.id.as_str();
    trail::record(tx, &actor.audit(), "group.created", "group", id, detail).await?;
    let children = named_groups(tx, &command.member_groups).await?;
    replace_children(tx, actor, &group, &children).await?;
    pins::pin_waiting_conditions(tx, &actor.audit(), &[NewIdentity::Group(&group)]).await?;
    Ok(group)
}

/// Renames a managed group. Flows that name it follow, because they hold its id.
pub async fn rename_group(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    name: String,
) -> Result<GroupView, AppError> {
    actor.require(Operation::ManageGroups)?;
    let group = app.store().write(async |tx| rename(tx, actor, id, name).await).await?;
    Ok(GroupView { group, source_integration_name: None })
}

async fn rename(tx: &mut Tx, actor: &Actor, id: &GroupId, name: String) -> Result<Group, AppError> {
    texts::check_name("name", &name)?;
    let mut group = managed(tx, id).await?;
    name_is_free(tx, &name, Some(id)).await?;
    tx.rename_group(id, &name).await?;
    let detail = json!({ "before": group.name, "after": name });
    trail::record(tx, &actor.audit(), "group.renamed", "group", id.as_str(), detail).await?;
    group.name = name;
    pins::pin_waiting_conditions(tx, &actor.audit(), &[NewIdentity::Group(&group)]).await?;
    Ok(group)
}

/// Deletes a managed group. 409 while an access flow names it.
pub async fn delete_group(app: &App, actor: &Actor, id: &GroupId) -> Result<(), AppError> {
    actor.require(Operation::ManageGroups)?;
    app.store().write(async |tx| delete(tx, actor, id).await).await
}

/// Deletes a managed group. The caller has asked whether the actor may.
pub(crate) async fn delete(tx: &mut Tx, actor: &Actor, id: &GroupId) -> Result<(), AppError> {
    let group = managed(tx, id).await?;
    let flows = tx.flows_using_group(id).await?;
    if !flows.is_empty() {
        let names: Vec<String> = flows.iter().map(|flow| format!("\"{}\"", flow.name)).collect();
        return Err(AppError::conflict(format!(
            "the group is named by {}; take it out of there first",
            names.join(", ")
        )));
    }
    tx.delete_group(id).await?;
    let detail = json!({ "name": group.name });
    trail::record(tx, &actor.audit(), "group.deleted", "group", id.as_str(), detail).await
}

/// Gives a managed group the name, the members and the groups that a command says; false where it has them
/// already. The caller has asked whether the actor may.
pub(crate) async fn replace_if_different(
    tx: &mut Tx,
    actor: &Actor,
    before: &Group,
    command: CreateGroup,
) -> Result<bool, AppError> {
    managed(tx, &before.id).await?;
    let members = users_of(tx, &command.members_emails).await?;
    let children = named_groups(tx, &command.member_groups).await?;
    let wanted: BTreeSet<&UserId> = members.iter().collect();
    let stored = tx.group_member_ids(&before.id).await?;
    let has_members = wanted == stored.iter().collect();
    let has_name = command.name == before.name;
    if !has_name {
        rename(tx, actor, &before.id, command.name).await?;
    }
    if !has_members {
        replace_members(tx, actor, &before.id, &members).await?;
    }
    let nests = replace_children(tx, actor, before, &children).await?;
    Ok(nests || !(has_name && has_members))
}

/// Lists a group's members.
pub async fn list_group_members(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    page: &PageRequest,
) -> Result<Page<User>, AppError> {
    actor.require(Operation::ReadGroups)?;
    app.store()
        .read(async |tx| {
            tx.find_group(id).await?.ok_or_else(AppError::not_found)?;
            let rows = tx.list_group_members(id, &page.query()).await?;
            Ok(page.page(rows, |user| PageKey::new(user.created_at, user.id.as_str())))
        })
        .await
}

/// Replaces the members of a managed group. 400 if an address is nobody's.
pub async fn replace_group_members(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    members_emails: &[String],
) -> Result<(), AppError> {
    actor.require(Operation::ManageGroups)?;
    app.store()
        .write(async |tx| {
            managed(tx, id).await?;
            let members = users_of(tx, members_emails).await?;
            replace_members(tx, actor, id, &members).await
        })
        .await
}

async fn replace_members(
    tx: &mut Tx,
    actor: &Actor,
    id: &GroupId,
    members: &[UserId],
) -> Result<(), AppError> {
    let before = tx.group_member_ids(id).await?;
    tx.replace_group_members(id, members).await?;
    let detail = json!({ "before": before, "after": members });
    let id = id.as_str();
    trail::record(tx, &actor.audit(), "group.members_replaced", "group", id, detail).await
}

/// Adds a member to a managed group. Repeating it changes nothing. 404 if the address is
/// nobody's.
pub async fn add_group_member(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    email: &str,
) -> Result<(), AppError> {
    change_member(app, actor, id, email, true).await
}

/// Takes a member out of a managed group. Repeating it changes nothing. 404 if the address is
/// nobody's.
pub async fn remove_group_member(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    email: &str,
) -> Result<(), AppError> {
    change_member(app, actor, id, email, false).await
}

async fn change_member(
    app: &App,
    actor: &Actor,
    id: &GroupId,
    email: &str,
    add: bool,
) -> Result<(), AppError> {
    actor.require(Operation::ManageGroups)?;
    app.store()
        .write(async |tx| {
            managed(tx, id).await?;
            let user = tx
                .find_user_by_email(&normalize_email(email))
                .await?
                .ok_or_else(AppError::not_found)?;
            let (changed, action) = if add {
                (tx.add_group_member(id, &user.id).await?, "group.member_added")
            } else {
                (tx.remove_group_member(id, &user.id).await?, "group.member_removed")
            };
            if changed {
                let detail = json!({ "user_id": user.id });
                trail::record(tx, &actor.audit(), action, "group", id.as_str(), detail).await?;
            }
            Ok(())
        })
        .await
}

/// The group, if it may be changed here.
pub(crate) async fn managed(tx: &mut Tx, id: &GroupId) -> Result<Group, AppError> {
    let group = tx.find_group(id).await?.ok_or_else(AppError::not_found)?;
    if group.source_integration_id.is_some() {
        return Err(AppError::conflict(
            "this group comes from an identity source; change it there",
        ));
    }
    Ok(group)
}

async fn name_is_free(tx: &mut Tx, name: &str, except: Option<&GroupId>) -> Result<(), AppError> {
    let owner =
        tx.find_group_by_name(name).await?.filter(|other| other.source_integration_id.is_none());
    texts::name_is_free("group", name, owner.as_ref().map(|other| &other.id), except)
}

/// The users with these addresses, each once, in the order of the addresses.
async fn users_of(tx: &mut Tx, emails: &[String]) -> Result<Vec<UserId>, AppError> {
    let mut members: Vec<UserId> = Vec::with_capacity(emails.len());
    let mut errors = Vec::new();
    for (at, email) in emails.iter().enumerate() {
        match tx.find_user_by_email(&normalize_email(email)).await? {
            Some(user) if members.contains(&user.id) => {}
            Some(user) => members.push(user.id),
            None => errors.push(FieldError::new(
                format!("members_emails[{at}]"),
                "is the address of no user here",
            )),
        }
    }
    if errors.is_empty() { Ok(members) } else { Err(AppError::invalid_fields(errors)) }
}

pub(crate) async fn view(tx: &mut Tx, group: Group) -> Result<GroupView, StoreError> {
    let source_integration_name = match &group.source_integration_id {
        Some(id) => tx.find_integration(id).await?.map(|integration| integration.name),
        None => None,
    };
    Ok(GroupView { group, source_integration_name })
}
