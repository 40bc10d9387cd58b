//! Why somebody may ask for something, or may not; and everybody who may ask for it. Both are
//! answered by the index that lists what a person may ask for, so they cannot disagree with it.

use latchkey_domain::{
    flow::AccessFlow,
    ids::{PermissionId, ResourceId},
    inventory::Entitlement,
    people::{User, UserStatus},
    policy::matching::PersonFacts,
};
use latchkey_inventory::{Directory, EntitlementRef, Snapshot};
pub use latchkey_inventory::{
    WhyCondition, WhyExpr, WhyFlow, WhyScope, WhySet, WhyTarget, WhyTargetKind, WhyValue,
};
use latchkey_store::{PageKey, PageQuery, Tx, UserFilter};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    available_access::AvailableEntitlement,
    error::AppError,
    indexed,
    requests::people::{Person, find_person},
};

/// How many people are read at a time.
const PEOPLE: u32 = 1000;

/// Why a person may ask for an entitlement, or may not.
#[derive(Debug, Clone)]
pub struct AccessExplained {
    /// The person.
    pub user: User,
    /// What it is about.
    pub entitlement: AvailableEntitlement,
    /// Whether any flow lets the person ask for it.
    pub may_ask: bool,
    /// Every flow that gives it, and every flow that is for the person.
    pub flows: Vec<WhyFlow>,
}

/// Somebody who may ask for an entitlement.
#[derive(Debug, Clone)]
pub struct WhoMayAsk {
    /// The person.
    pub user: User,
    /// By which flows, by id and name.
    pub flows: Vec<AccessFlow>,
}

/// Says why the person with this id or address may ask for `RESOURCE:PERMISSION` for themselves,
/// or may not. 400 if either is unknown.
pub async fn explain_access(
    app: &App,
    actor: &Actor,
    user: &str,
    entitlement: &str,
) -> Result<AccessExplained, AppError> {
    actor.require(Operation::ExplainAccess)?;
    let snapshot = indexed::snapshot(app).await?;
    let entitlement = find_entitlement(&snapshot, entitlement)?;
    let person = app
        .store()
        .read(async |tx: &mut Tx| -> Result<Person, AppError> {
            let user = find_person(tx, user).await?.ok_or_else(|| {
                AppError::invalid("user", "no user has this id or e-mail address")
            })?;
            Person::of(tx, user).await
        })
        .await?;
    let flows = snapshot.explain(person.facts(), person.facts(), &entitlement);
    let own = snapshot.policy().flows_for(person.facts(), person.facts());
    Ok(AccessExplained {
        may_ask: snapshot.may_ask(&own, reference(&entitlement), None),
        entitlement: AvailableEntitlement::of(&snapshot, entitlement),
        user: person.user,
        flows,
    })
}

/// Lists everybody who may ask for `RESOURCE:PERMISSION` for themselves, in the order of people.
pub async fn who_may_ask(
    app: &App,
    actor: &Actor,
    entitlement: &str,
    page: &PageRequest,
) -> Result<Page<WhoMayAsk>, AppError> {
    actor.require(Operation::ExplainAccess)?;
    let snapshot = indexed::snapshot(app).await?;
    let entitlement = find_entitlement(&snapshot, entitlement)?;
    let wanted = page.query().limit as usize;
    let found = app
        .store()
        .read(async |tx: &mut Tx| -> Result<Vec<WhoMayAsk>, AppError> {
            let mut found = Vec::new();
            let mut people = PageQuery { after: page.after.clone(), ..PageQuery::first(PEOPLE) };
            let filter = UserFilter { status: Some(UserStatus::Active), ..UserFilter::default() };
            while found.len() < wanted {
                let users = tx.list_users(&filter, &people).await?;
                let is_last = users.len() < PEOPLE as usize;
                people.after =
                    users.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
                let these = These(Person::of_all(tx, users).await?);
                let may = snapshot.who_may(reference(&entitlement), None, &these);
                found.extend(these.0.into_iter().filter_map(|person| {
                    let flows = may.get(&person.user.id)?.iter();
                    let flows = flows.filter_map(|id| snapshot.policy().find_flow(id)).cloned();
                    Some(WhoMayAsk { flows: flows.collect(), user: person.user })
                }));
                if is_last {
                    break;
                }
            }
            found.truncate(wanted);
            Ok(found)
        })
        .await?;
    Ok(page.page(found, |one| PageKey::new(one.user.created_at, one.user.id.as_str())))
}

/// Some people, for the index to look at.
struct These(Vec<Person>);

impl Directory for These {
    fn each(&self, show: &mut dyn FnMut(PersonFacts<'_>)) {
        self.0.iter().for_each(|person| show(person.facts()));
    }
}

fn reference(entitlement: &Entitlement) -> EntitlementRef<'_> {
    EntitlementRef {
        integration: &entitlement.resource.integration_id,
        resource: &entitlement.resource.id,
        permission: &entitlement.permission.id,
    }
}

/// The entitlement that `RESOURCE:PERMISSION` names by ids.
fn find_entitlement(snapshot: &Snapshot, text: &str) -> Result<Entitlement, AppError> {
    let found = text.split_once(':').and_then(|(resource, permission)| {
        let (resource, permissions) = snapshot.find_resource(&ResourceId::new(resource))?;
        let permission = PermissionId::new(permission);
        let permission = permissions.iter().find(|one| one.id == permission)?.clone();
        Some(Entitlement { resource, permission })
    });
    found.ok_or_else(|| {
        AppError::invalid(
            "entitlement",
            "names no entitlement; write RESOURCE:PERMISSION, with ids as \
             available-access/entitlements shows them",
        )
    })
}
