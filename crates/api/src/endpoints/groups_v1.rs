//! `/api/admin/v1/groups`: groups of users and their members. Groups synced from an identity
//! source are read only here. Groups within groups are ours, beside the common wire format.

use aide::axum::{
    ApiRouter,
    routing::{delete_with, get_with, put_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    groups::{self, CreateGroup, GroupView},
    nested_groups,
    wildcard::text_match,
};
use latchkey_domain::{ids::GroupId, people::User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Done, Reply},
    caller::{ManageGroups, May, ReadGroups},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, NoFilters, PageOf},
    query::{Id, Places},
};

const TAG: &str = "Groups";
/// What the common wire format does not have.
const OURS: &str = "Latchkey";
const SYNCED: &str = "The group is synced from an identity source, and is changed there.";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/admin/v1/groups{rest}");
    let one = get_with(read, |op| {
        described(op, TAG, "getGroupV1", "Read one group, without its members.")
    });
    let one = one.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteGroupV1", "Delete a managed group.");
        conflicts(op, "A flow names the group, or it is synced from an identity source.")
    });
    let members = get_with(list_members, |op| {
        let summary = "Page through the addresses of a group's members.";
        described(op, TAG, "listGroupMembersV1", summary)
    });
    let members = members.put_with(replace_members, |op| {
        let op = described(op, TAG, "replaceGroupMembersV1", "Replace the whole list of members.");
        conflicts(op, SYNCED)
    });
    let member = put_with(add_member, |op| {
        let summary = "Add one member; repeating it changes nothing.";
        conflicts(described(op, TAG, "addGroupMemberV1", summary), SYNCED)
    });
    let member = member.merge(delete_with(remove_member, |op| {
        let summary = "Remove one member; removing a non-member changes nothing.";
        conflicts(described(op, TAG, "removeGroupMemberV1", summary), SYNCED)
    }));
    ApiRouter::new()
        .api_route(&path(""), collection())
        .api_route(&path("/{id}"), one)
        .api_route(&path("/{id}/members"), members)
        .api_route(&path("/{id}/members/{email}"), member)
        .api_route(
            &path("/{id}/groups"),
            get_with(list_children, |op| {
                let summary = "Page through the groups right inside a group; whoever is in one of \
                               them is in the group as well.";
                described(op, OURS, "listGroupGroups", summary)
            }),
        )
        .api_route(&path("/{id}/groups/{group_id}"), child())
        .api_route(
            &path("/{id}/name"),
            put_with(rename, |op| {
                let op = described(op, TAG, "renameGroupV1", "Rename a managed group.");
                conflicts(op, "The name is taken, or the group is synced from an identity source.")
            }),
        )
}

fn child() -> aide::axum::routing::ApiMethodRouter<ApiState> {
    let child = put_with(add_child, |op| {
        let summary = "Put a group into another; repeating it changes nothing.";
        let op = described(op, OURS, "addGroupGroup", summary);
        conflicts(op, "The group would be within itself, or is synced from an identity source.")
    });
    child.merge(delete_with(remove_child, |op| {
        let summary = "Take a group out of another; where it is not in there, nothing changes.";
        conflicts(described(op, OURS, "removeGroupGroup", summary), SYNCED)
    }))
}

fn collection() -> aide::axum::routing::ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listGroupsV1", "Page through managed and synced groups, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Create a managed group; the list of members may be empty.";
        conflicts(described(op, TAG, "createGroupV1", summary), "The name is taken.")
    })
}

/// User group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Group {
    /// Group id.
    pub id: String,
    /// Group name.
    pub name: String,
    /// Id in the identity source; null for managed groups.
    pub source_id: Option<String>,
    /// Id of the identity source; null for managed groups.
    pub source_integration_id: Option<String>,
    /// Name of the identity source; null for managed groups.
    pub source_integration_name: Option<String>,
}

impl From<GroupView> for Group {
    fn from(view: GroupView) -> Self {
        let group = view.group;
        Self {
            id: group.id.into(),
            name: group.name,
            source_id: group.source_id,
            source_integration_id: group.source_integration_id.map(Into::into),
            source_integration_name: view.source_integration_name,
        }
    }
}

/// Member of a group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupMember {
    /// Main address.
    pub email: String,
}

/// New managed group.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GroupCreate {
    /// Group name.
    pub name: String,
    /// Addresses of known users; may be empty.
    pub members_emails: Vec<String>,
}

impl From<GroupCreate> for CreateGroup {
    fn from(input: GroupCreate) -> Self {
        let GroupCreate { name, members_emails } = input;
        Self { name, members_emails, member_groups: Vec::new() }
    }
}

/// Complete new list of members.
#[derive(Debug, Deserialize, JsonSchema)]
struct GroupMembersInput {
    /// Addresses of known users; may be empty.
    members_emails: Vec<String>,
}

/// New name.
#[derive(Debug, Deserialize, JsonSchema)]
struct GroupNameInput {
    /// New group name.
    name: String,
}

/// What to keep of the groups.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Group name; asterisks at the ends match anything, case is ignored.
    name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct MemberPlace {
    /// Id of the group.
    id: String,
    /// Address of a known user.
    email: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ChildPlace {
    /// Id of the group.
    id: String,
    /// Id of the group inside it.
    group_id: String,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadGroups>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Group>>, ApiError> {
    let name = listing.filters.name.as_deref().map(text_match);
    let page = groups::list_groups(&app, &actor, name, &listing.page).await?;
    Ok(listing.reply(page, Group::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Body(input): Body<GroupCreate>,
) -> Result<Reply<Group>, ApiError> {
    Ok(Reply(groups::create_group(&app, &actor, input.into()).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadGroups>,
    Id(id): Id,
) -> Result<Reply<Group>, ApiError> {
    Ok(Reply(groups::get_group(&app, &actor, &GroupId::new(id)).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    groups::delete_group(&app, &actor, &GroupId::new(id)).await?;
    Ok(Done)
}

async fn rename(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Id(id): Id,
    Body(input): Body<GroupNameInput>,
) -> Result<Reply<Group>, ApiError> {
    Ok(Reply(groups::rename_group(&app, &actor, &GroupId::new(id), input.name).await?.into()))
}

async fn list_members(
    State(app): State<App>,
    May(actor, ..): May<ReadGroups>,
    Id(id): Id,
    listing: Listing<NoFilters>,
) -> Result<Reply<PageOf<GroupMember>>, ApiError> {
    let page = groups::list_group_members(&app, &actor, &GroupId::new(id), &listing.page).await?;
    Ok(listing.reply(page, |user: User| GroupMember { email: user.email }))
}

async fn replace_members(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Id(id): Id,
    Body(input): Body<GroupMembersInput>,
) -> Result<Done, ApiError> {
    let id = GroupId::new(id);
    groups::replace_group_members(&app, &actor, &id, &input.members_emails).await?;
    Ok(Done)
}

async fn add_member(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Places(place): Places<MemberPlace>,
) -> Result<Done, ApiError> {
    groups::add_group_member(&app, &actor, &GroupId::new(place.id), &place.email).await?;
    Ok(Done)
}

async fn remove_member(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Places(place): Places<MemberPlace>,
) -> Result<Done, ApiError> {
    groups::remove_group_member(&app, &actor, &GroupId::new(place.id), &place.email).await?;
    Ok(Done)
}

async fn list_children(
    State(app): State<App>,
    May(actor, ..): May<ReadGroups>,
    Id(id): Id,
    listing: Listing<NoFilters>,
) -> Result<Reply<PageOf<Group>>, ApiError> {
    let id = GroupId::new(id);
    let page = nested_groups::list_child_groups(&app, &actor, &id, &listing.page).await?;
    Ok(listing.reply(page, Group::from))
}

async fn add_child(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Places(place): Places<ChildPlace>,
) -> Result<Done, ApiError> {
    let (id, child) = (GroupId::new(place.id), GroupId::new(place.group_id));
    nested_groups::add_child_group(&app, &actor, &id, &child).await?;
    Ok(Done)
}

async fn remove_child(
    State(app): State<App>,
    May(actor, ..): May<ManageGroups>,
    Places(place): Places<ChildPlace>,
) -> Result<Done, ApiError> {
    let (id, child) = (GroupId::new(place.id), GroupId::new(place.group_id));
    nested_groups::remove_child_group(&app, &actor, &id, &child).await?;
    Ok(Done)
}
