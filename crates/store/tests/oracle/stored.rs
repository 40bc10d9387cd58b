//! The rows of a case in the database, as the product writes and reads them.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::{GroupId, IntegrationId, PermissionId, ResourceId, UserId},
    inventory::{Permission, Resource, ResourceStatus, RiskLevel},
    people::UserStatus,
    provisioning::DiscoveredResource,
};
use latchkey_store::{PageQuery, ResourceFilter, Result, Tx};

use crate::{
    case::{Case, GROUPS, Ids, PEOPLE, storable},
    fixtures::{Ground, integration, user},
    people::Person,
    random::{INTEGRATIONS, Inventory, Part},
    raw::Raw,
};

/// A database with the people, groups and integrations of every case.
pub struct Stored {
    pub ground: Ground,
    pub raw: Raw,
    people: Vec<UserId>,
    groups: Vec<GroupId>,
}

impl Stored {
    pub async fn new(ground: Ground) -> Self {
        let mut groups = Vec::new();
        for number in 0..GROUPS {
            groups.push(ground.add_group(&format!("group {number}")).await.id);
        }
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            let email = format!("person{number}@example.com");
            let mut person = user(ground.now(), ground.rng(), &email);
            if number == PEOPLE - 1 {
                person.status = UserStatus::Disabled;
            }
            ground.store.write(async |tx| tx.insert_user(&person).await).await.unwrap();
            people.push(person.id);
        }
        for (id, name) in INTEGRATIONS {
            let mut row = integration(ground.now(), ground.rng(), name);
            row.id = IntegrationId::new(id);
            ground.store.write(async |tx| tx.insert_integration(&row).await).await.unwrap();
        }
        let raw = Raw::open(&ground.database).await;
        Self { ground, raw, people, groups }
    }

    /// Puts the rows of a case in place of those of the case before, and settles it.
    pub async fn put(&self, case: &mut Case) {
        self.raw.run("DELETE FROM resources").await;
        self.ground
            .store
            .write(async |tx: &mut Tx| -> Result<()> {
                for part in case.before.parts.iter().chain(&case.now.parts) {
                    discover(tx, part).await?;
                }
                for (group, members) in self.groups.iter().zip(&case.members) {
                    let own = self.people.iter().zip(members).filter(|(_, is_in)| **is_in);
                    let own: Vec<UserId> = own.map(|(user, _)| user.clone()).collect();
                    tx.replace_group_members(group, &own).await?;
                }
                Ok(())
            })
            .await
            .unwrap();
        // What no discovery of today gives, but rows can have.
        let changes: Vec<String> =
            case.now.parts.iter().flat_map(|part| &part.resources).map(change).collect();
        self.raw.run(&changes.join(";\n")).await;
        let inventory = self.inventory().await;
        let rows = || inventory.parts.iter();
        case.settle(&Ids {
            resources: rows()
                .flat_map(|part| &part.resources)
                .map(|one| one.id.to_string())
                .collect(),
            permissions: rows()
                .flat_map(|part| &part.permissions)
                .map(|one| one.id.to_string())
                .collect(),
            people: self.people.iter().map(ToString::to_string).collect(),
            groups: self.groups.iter().map(ToString::to_string).collect(),
        });
    }

    /// What is stored, read as the index reads it, and what is gone as well.
    pub async fn inventory(&self) -> Inventory {
        let read = async |tx: &mut Tx| -> Result<Vec<Part>> {
            let mut parts = Vec::new();
            for (id, name) in INTEGRATIONS {
                let integration = IntegrationId::new(id);
                let filter = ResourceFilter {
                    integration_ids: vec![integration.clone()],
                    include_deleted: true,
                    ..ResourceFilter::default()
                };
                parts.push(Part {
                    id,
                    name,
                    permissions: tx.list_permissions(&integration, None).await?,
                    resources: tx.list_resources(&filter, &PageQuery::all()).await?,
                });
            }
            Ok(parts)
        };
        Inventory { parts: self.ground.store.read(read).await.unwrap() }
    }

    /// The people with their groups.
    pub async fn people(&self) -> Vec<Person> {
        let read = async |tx: &mut Tx| -> Result<Vec<Person>> {
            let mut groups = tx.groups_of_users(&self.people).await?;
            let users = tx.find_users(&self.people).await?;
            let person = |user: latchkey_domain::people::User| Person {
                groups: groups.remove(&user.id).unwrap_or_default(),
                user,
                manager: None,
                attributes: Vec::new(),
            };
            Ok(users.into_iter().map(person).collect())
        };
        self.ground.store.read(read).await.unwrap()
    }
}

/// A discovery run, and the tags that people set after it.
async fn discover(tx: &mut Tx, part: &Part) -> Result<()> {
    let integration = IntegrationId::new(part.id);
    let permissions: BTreeMap<PermissionId, Permission> = part
        .permissions
        .iter()
        .map(|one| {
            let name = storable(&one.name);
            let id = PermissionId::derive(&integration, &one.resource_type, &name);
            (id.clone(), Permission { id, name, ..one.clone() })
        })
        .collect();
    let permissions: Vec<Permission> = permissions.into_values().collect();
    tx.put_permissions(&integration, &permissions).await?;
    let run = tx.begin_sync(&integration).await?;
    let found: Vec<DiscoveredResource> = part.resources.iter().map(discovered).collect();
    for page in found.chunks(8) {
        tx.record_found(&integration, &run, page).await?;
    }
    tx.finish_sync(&integration, &run).await?;
    for resource in &part.resources {
        tx.set_user_tags(&id_of(resource), &texts(&resource.user_tags)).await?;
    }
    Ok(())
}

fn discovered(resource: &Resource) -> DiscoveredResource {
    DiscoveredResource {
        resource_type: resource.resource_type.clone(),
        source_id: storable(&resource.source_id),
        name: storable(&resource.name),
        path: storable(&resource.path),
        tags: texts(&resource.tags),
        context: texts(&resource.context),
    }
}

fn texts(texts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    texts.iter().map(|(key, value)| (storable(key), storable(value))).collect()
}

fn id_of(resource: &Resource) -> ResourceId {
    ResourceId::derive(&resource.integration_id, &storable(&resource.source_id))
}

/// The statement that gives a resource its status, its risk and when it was first seen.
fn change(resource: &Resource) -> String {
    let status = match resource.status {
        ResourceStatus::Active => "active",
        ResourceStatus::Error => "error",
        ResourceStatus::Deleted => "deleted",
    };
    let risk = resource.risk.map_or("NULL", |risk| match risk {
        RiskLevel::Low => "'low'",
        RiskLevel::Medium => "'medium'",
        RiskLevel::High => "'high'",
        RiskLevel::Critical => "'critical'",
    });
    format!(
        "UPDATE resources SET status = '{status}', risk = {risk}, created_at = {} WHERE id = '{}'",
        resource.created_at.as_microsecond(),
        id_of(resource)
    )
}
