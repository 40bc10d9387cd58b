//! Identity attributes: what is known about people beside their groups, such as
//! `okta_city` = `Berlin`, and the list of all identities that conditions can name.
//!
//! Invariants: only Admins write attributes, because flows give access by them; one row of a bulk
//! call changes wholly or not at all, whatever becomes of the others; what a source says is never
//! changed here, and what was set here is shown before it.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{AttributeValueId, IntegrationId, UserId},
    people::{AttributeValue, Identity, PersonAttribute, User, normalize_email},
    policy::matching::{GROUP, MANAGER, OWNER, USER, WEBHOOK},
};
use latchkey_store::{IdentityFilter, PageKey, TextMatch, Tx};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, codes},
    flows::pins::{self, NewIdentity},
    integrations::identity_source,
    paging::{Page, PageRequest},
    texts, trail, users,
};

/// Rows of a bulk call that are changed in one transaction.
const ROWS_AT_ONCE: usize = 200;
/// The most attributes one row may name.
const MAX_ATTRIBUTES: usize = 100;
/// Types that conditions understand in a way of their own.
const RESERVED: [&str; 4] = [USER, GROUP, OWNER, WEBHOOK];

/// An identity with the name of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityView {
    /// The identity.
    pub identity: Identity,
    /// The identity source's name now; `None` for what was made here.
    pub source_integration_name: Option<String>,
}

/// Which identities to list. Members that are there must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentitiesQuery {
    /// Of this type: `user`, `group`, or an attribute's.
    pub attribute_type: Option<String>,
    /// The address, the name, the value.
    pub value: Option<TextMatch>,
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
}

/// Lists users, groups and the values of attributes that somebody has, in the order in which they
/// were first known. 400 for a source that is none.
pub async fn list_identities(
    app: &App,
    actor: &Actor,
    query: IdentitiesQuery,
    page: &PageRequest,
) -> Result<Page<IdentityView>, AppError> {
    actor.require(Operation::ReadUsers)?;
    app.store()
        .read(async |tx| {
            let reference = query.source_integration_reference.as_deref();
            let filter = IdentityFilter {
                attribute_type: query.attribute_type,
                value: query.value,
                source_integration_id: identity_source(
                    tx,
                    "source_integration_reference",
                    reference,
                )
                .await?,
            };
            let rows = tx.list_identities(&filter, &page.query()).await?;
            let page = page.page(rows, |row| PageKey::new(row.created_at, row.id.as_str()));
            let sources = page.items.iter().filter_map(|row| row.source_integration_id.clone());
            let names = source_names(tx, sources).await?;
            Ok(page.map(|identity| IdentityView {
                source_integration_name: identity
                    .source_integration_id
                    .as_ref()
                    .and_then(|id| names.get(id).cloned()),
                identity,
            }))
        })
        .await
}

/// The names of identity sources, by id.
pub(crate) async fn source_names(
    tx: &mut Tx,
    ids: impl Iterator<Item = IntegrationId>,
) -> Result<BTreeMap<IntegrationId, String>, latchkey_store::StoreError> {
    let ids: Vec<IntegrationId> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let found = tx.find_integrations(&ids).await?;
    Ok(found.into_iter().map(|integration| (integration.id, integration.name)).collect())
}

/// A person's attributes as they are sent and shown, by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributesOf {
    /// The person's address.
    pub email: String,
    /// Value by type.
    pub attributes: BTreeMap<String, String>,
}

/// Attributes to drop from a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeTypesOf {
    /// The person's address.
    pub email: String,
    /// The types.
    pub attribute_types: Vec<String>,
}

/// What became of a row of a bulk call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOutcome {
    /// The address as it was sent.
    pub email: String,
    /// Why nothing of the row was done; empty if all of it was.
    pub errors: Vec<RowError>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// One of [`codes`].
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl RowError {
    fn bad(message: impl Into<String>) -> Self {
        Self { code: codes::BAD_REQUEST, message: message.into() }
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self { code: codes::NOT_FOUND, message: message.into() }
    }
}

/// Lists people with attributes that were set here, oldest first; `emails` keeps these addresses,
/// empty for all. Also how many there are in all.
pub async fn list_own_attributes(
    app: &App,
    actor: &Actor,
    emails: &[String],
    skip: u32,
    limit: u32,
) -> Result<(Vec<AttributesOf>, u64), AppError> {
    actor.require(Operation::ReadUsers)?;
    app.store()
        .read(async |tx| {
            let mut among = BTreeSet::new();
            for email in emails {
                among.extend(tx.find_user_by_email(&normalize_email(email)).await?.map(|u| u.id));
            }
            if among.is_empty() && !emails.is_empty() {
                return Ok((Vec::new(), 0));
            }
            let among: Vec<UserId> = among.into_iter().collect();
            let among = (!emails.is_empty()).then_some(among.as_slice());
            let (people, total) = tx.list_users_with_own_attributes(among, skip, limit).await?;
            let ids: Vec<UserId> = people.iter().map(|user| user.id.clone()).collect();
            let mut known = tx.attributes_of_users(&ids).await?;
            let rows = people.into_iter().map(|user| AttributesOf {
                attributes: known
                    .remove(&user.id)
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|attribute| attribute.identity.source_integration_id.is_none())
                    .map(|attribute| (attribute.identity.attribute_type, attribute.text))
                    .collect(),
                email: user.email,
            });
            Ok((rows.collect(), total))
        })
        .await
}

/// Adds and changes attributes of many people; those that a row does not name stay. The outcomes
/// are in the order of the rows.
pub async fn set_attributes(
    app: &App,
    actor: &Actor,
    rows: Vec<AttributesOf>,
) -> Result<Vec<RowOutcome>, AppError> {
    let changes = rows.into_iter().map(|row| Change {
        email: row.email,
        set: row.attributes,
        drop: Vec::new(),
    });
    change_all(app, actor, changes.collect()).await
}

/// Drops attributes of many people; one that a person has not is dropped already. The outcomes
/// are in the order of the rows.
pub async fn drop_attributes(
    app: &App,
    actor: &Actor,
    rows: Vec<AttributeTypesOf>,
) -> Result<Vec<RowOutcome>, AppError> {
    let changes = rows.into_iter().map(|row| Change {
        email: row.email,
        set: BTreeMap::new(),
        drop: row.attribute_types,
    });
    change_all(app, actor, changes.collect()).await
}

/// The attributes that a person is shown with: what was set here, then what sources say.
pub(crate) fn shown(
    attributes: Vec<PersonAttribute>,
    manager: Option<&User>,
) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, (bool, String)> = BTreeMap::new();
    for attribute in attributes {
        let is_own = attribute.identity.source_integration_id.is_none();
        match shown.get_mut(&attribute.identity.attribute_type) {
            // A source may know several values of a type, such as two shifts.
            Some((false, text)) if !is_own => {
                text.push_str(", ");
                text.push_str(&attribute.text);
            }
            Some(_) => {}
            None => {
                shown.insert(attribute.identity.attribute_type, (is_own, attribute.text));
            }
        }
    }
    if let Some(manager) = manager {
        shown.entry(MANAGER.to_owned()).or_insert_with(|| (false, manager.email.clone()));
    }
    shown.into_iter().map(|(kind, (_, text))| (kind, text)).collect()
}

/// One row of a bulk call.
struct Change {
    email: String,
    set: BTreeMap<String, String>,
    drop: Vec<String>,
}

async fn change_all(
    app: &App,
    actor: &Actor,
    changes: Vec<Change>,
) -> Result<Vec<RowOutcome>, AppError> {
    actor.require(Operation::ManageIdentityAttributes)?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for changes in changes.chunks(ROWS_AT_ONCE) {
        let done = app.store().write(async |tx| change_some(tx, actor, changes).await).await?;
        outcomes.extend(done);
    }
    Ok(outcomes)
}

async fn change_some(
    tx: &mut Tx,
    actor: &Actor,
    changes: &[Change],
) -> Result<Vec<RowOutcome>, AppError> {
    let mut people = Vec::with_capacity(changes.len());
    for change in changes {
        people.push(tx.find_user_by_email(&normalize_email(&change.email)).await?);
    }
    let ids: BTreeSet<UserId> = people.iter().flatten().map(|user| user.id.clone()).collect();
    tx.lock_users(&ids.into_iter().collect::<Vec<_>>()).await?;
    let mut new_values = Vec::new();
    let mut outcomes = Vec::with_capacity(changes.len());
    for (change, user) in changes.iter().zip(people) {
        let errors = match user {
            None => vec![RowError::not_found("no user has this e-mail address")],
            Some(user) => match planned(tx, &user.id, change).await? {
                Err(errors) => errors,
                Ok(plan) => {
                    new_values.extend(carry_out(tx, actor, &user.id, plan).await?);
                    Vec::new()
                }
            },
        };
        outcomes.push(RowOutcome { email: change.email.clone(), errors });
    }
    let identities: Vec<NewIdentity<'_>> = new_values.iter().map(NewIdentity::Attribute).collect();
    pins::pin_waiting_conditions(tx, &actor.audit(), &identities).await?;
    Ok(outcomes)
}

/// What a row comes to.
#[derive(Debug, Default)]
struct Plan {
    /// Values to take.
    taken: Vec<AttributeValueId>,
    /// Values to give, with their texts.
    given: Vec<(AttributeValue, String)>,
    manager: NewManager,
    before: BTreeMap<String, Option<String>>,
    after: BTreeMap<String, Option<String>>,
}

/// What becomes of a person's manager.
#[derive(Debug, Default, PartialEq, Eq)]
enum NewManager {
    /// The same.
    #[default]
    Unchanged,
    /// This person.
    Is(UserId),
    /// Nobody.
    Nobody,
}

/// What the row changes, or everything that is wrong with it.
async fn planned(
    tx: &mut Tx,
    user: &UserId,
    change: &Change,
) -> Result<Result<Plan, Vec<RowError>>, AppError> {
    let mut errors = check(change);
    // Read once more: the person is locked now, and an earlier row may have been about them.
    let user = tx.find_user(user).await?.ok_or_else(AppError::not_found)?;
    let known = tx.attributes_of_users(std::slice::from_ref(&user.id)).await?;
    let own: BTreeMap<String, PersonAttribute> = known
        .into_values()
        .flatten()
        .filter(|attribute| attribute.identity.source_integration_id.is_none())
        .map(|attribute| (attribute.identity.attribute_type.clone(), attribute))
        .collect();
    let mut plan = Plan::default();
    for (kind, text) in &change.set {
        if kind == MANAGER {
            match manager_named(tx, &user, text).await? {
                Ok(manager) if user.manager_id.as_ref() == Some(&manager) => {}
                Ok(manager) => plan.manager = NewManager::Is(manager),
                Err(error) => errors.push(error),
            }
        }
        let former = own.get(kind);
        if former.is_some_and(|former| former.text == *text) {
            continue;
        }
        let value = AttributeValue {
            id: AttributeValueId::derive(kind, text),
            attribute_type: kind.clone(),
            value: text.trim().to_owned(),
            source_integration_id: None,
            source_id: None,
            created_at: tx.now(),
        };
        plan.taken.extend(former.map(|f| f.identity.id.clone()).filter(|id| *id != value.id));
        plan.given.push((value, text.clone()));
        plan.before.insert(kind.clone(), former.map(|former| former.text.clone()));
        plan.after.insert(kind.clone(), Some(text.clone()));
    }
    for kind in &change.drop {
        let Some(former) = own.get(kind) else { continue };
        plan.taken.push(former.identity.id.clone());
        plan.before.insert(kind.clone(), Some(former.text.clone()));
        plan.after.insert(kind.clone(), None);
        if kind == MANAGER {
            plan.manager = NewManager::Nobody;
        }
    }
    Ok(if errors.is_empty() { Ok(plan) } else { Err(errors) })
}

/// The id of the person whom `text` names as the manager of `user`.
async fn manager_named(
    tx: &mut Tx,
    user: &User,
    text: &str,
) -> Result<Result<UserId, RowError>, AppError> {
    Ok(match users::find_by_reference(tx, text.trim()).await? {
        None => Err(RowError::not_found("manager: no user has this id or e-mail address")),
        Some(manager) if manager.id == user.id => {
            Err(RowError::bad("manager: nobody is their own manager"))
        }
        Some(manager) => Ok(manager.id),
    })
}

/// Does what a row comes to; gives the values that are new here.
async fn carry_out(
    tx: &mut Tx,
    actor: &Actor,
    user: &UserId,
    plan: Plan,
) -> Result<Vec<AttributeValue>, AppError> {
    for value in &plan.taken {
        tx.take_attribute(user, value).await?;
    }
    let mut new_values = Vec::new();
    for (value, text) in plan.given {
        let is_new = tx.put_attribute_value(&value).await?;
        tx.give_attribute(user, &value.id, &text).await?;
        // A manager is a person; conditions on one are pinned to that person.
        if is_new && value.attribute_type != MANAGER {
            new_values.push(value);
        }
    }
    let manager = match &plan.manager {
        NewManager::Is(manager) => Some(manager),
        NewManager::Unchanged | NewManager::Nobody => None,
    };
    let moves = plan.manager != NewManager::Unchanged;
    if moves {
        tx.set_manager(user, manager).await?;
    }
    if moves || !plan.after.is_empty() {
        let detail = json!({
            "before": plan.before,
            "after": plan.after,
            "manager_id": manager,
        });
        let audit = actor.audit();
        trail::record(tx, &audit, "user.attributes_changed", "user", user.as_str(), detail).await?;
    }
    Ok(new_values)
}

/// What can be said against a row without looking anything up.
fn check(change: &Change) -> Vec<RowError> {
    let mut errors = Vec::new();
    let named = change.set.len().max(change.drop.len());
    if named > MAX_ATTRIBUTES {
        errors.push(RowError::bad(format!("names more than {MAX_ATTRIBUTES} attributes")));
    }
    for (kind, text) in &change.set {
        let lower = kind.trim().to_lowercase();
        let reserved = RESERVED.iter().any(|word| word.to_lowercase() == lower)
            || (lower == MANAGER && kind != MANAGER);
        if reserved {
            errors.push(RowError::bad(format!(
                "{}: conditions understand this type in a way of their own; use another name",
                kind.escape_debug()
            )));
        }
        let field = kind.escape_debug().to_string();
        for error in [texts::check_name("attribute type", kind), texts::check_name(&field, text)] {
            if let Err(error) = error {
                errors.push(RowError::bad(format!("{}: {}", error.field, error.message)));
            }
        }
    }
    errors
}
