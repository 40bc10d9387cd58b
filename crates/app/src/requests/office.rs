//! Requests as people with a role see and file them: those of the whole tenant, and those that an
//! Admin files for somebody.
//!
//! Invariant: whoever files a request for somebody decides about it no more than the grantee
//! does, and policy looks at the grantee as if they had asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ReceiptId, RequestId, ResourceId, SessionId, UserId},
    inventory::ResourceStatus,
    people::User,
    provisioning::Receipt,
    request::RequestState,
};
use latchkey_store::{ActivityQuery, PageKey, RequestLine, Tx, Wake};

use super::{
    automatic::refuse_automatic,
    filing::{Filing, RequestAccess, check_command, file},
    people::find_person,
    reading::{find_by_reference, number_of},
    view::{RequestView, UnitView},
};
use crate::{
    Actor, App, Operation, Page, PageRequest, crash_points,
    error::{AppError, FieldError},
    integrations,
    lifecycle::{Because, UNFINISHED, end_or_cancel, lock_claims},
};

/// The most requests that one call ends.
const MOST_AT_ONCE: usize = 1000;

/// A request in short: what the oldest form of the API says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSummary {
    /// The request.
    pub id: RequestId,
    /// The number people say.
    pub number: i64,
    /// Who is to have access.
    pub grantee_id: UserId,
    /// Where it stands.
    pub state: RequestState,
    /// The integration of what was asked first.
    pub integration_id: IntegrationId,
    /// Every resource, once.
    pub resource_ids: Vec<ResourceId>,
    /// Every permission's name, once.
    pub permissions: Vec<String>,
    /// Why access is wanted.
    pub justification: Option<String>,
}

/// Which requests of the tenant to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfficeQuery {
    /// Id or e-mail of the grantee; everybody when absent.
    pub grantee: Option<String>,
    /// Filed in the last so many days of 24 hours; at any time when absent.
    pub days_back: Option<i64>,
}

/// What an Admin asks for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestForUser {
    /// Id or e-mail of the grantee.
    pub user: String,
    /// Id or name of the integration.
    pub integration: String,
    /// Resources of it.
    pub resource_ids: Vec<ResourceId>,
    /// Names of permissions; each is asked for on each resource.
    pub permissions: Vec<String>,
    /// Why.
    pub justification: String,
    /// For how many seconds; the governing flow's maximum when absent.
    pub duration_sec: Option<i64>,
}

/// Evidence read back from a target, with what it is about.
#[derive(Debug, Clone)]
pub struct ReceiptView {
    /// Names the receipt.
    pub id: ReceiptId,
    /// The session whose principal was looked at.
    pub session_id: SessionId,
    /// Where that is.
    pub integration_id: IntegrationId,
    /// Its name.
    pub integration_name: String,
    /// The evidence.
    pub receipt: Receipt,
    /// The fence that was written with it.
    pub fence: i64,
    /// When the server took it.
    pub taken_at: Timestamp,
    /// The request's entitlements that the session carries or carried, as they stand now.
    pub units: Vec<UnitView>,
}

/// Lists requests of the tenant in order of creation.
pub async fn list_requests(
    app: &App,
    actor: &Actor,
    query: &OfficeQuery,
    page: &PageRequest,
) -> Result<Page<RequestSummary>, AppError> {
    actor.require(Operation::ReadAnyRequest)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<RequestSummary>, AppError> {
            let grantee_ids = match &query.grantee {
                None => None,
                Some(text) => Some(vec![known_person(tx, text).await?.id]),
            };
            let from = match query.days_back {
                Some(days) => days_ago(tx.now(), days)?,
                None => None,
            };
            let query = ActivityQuery { from, grantee_ids, ..ActivityQuery::default() };
            let found = tx.list_request_lines(&query, &page.query()).await?;
            let page = page.page(found, |one| PageKey::new(one.created_at, one.id.as_str()));
            let items = page.items.into_iter().map(RequestSummary::try_from);
            Ok(Page { items: items.collect::<Result<_, _>>()?, next: page.next })
        })
        .await
}

/// One request of the tenant, by id or `AR-n`.
pub async fn get_request(app: &App, actor: &Actor, id: &str) -> Result<RequestSummary, AppError> {
    actor.require(Operation::ReadAnyRequest)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<RequestSummary, AppError> {
            let request = find_by_reference(tx, id).await?;
            let seen = super::view::view(tx, request).await?;
            RequestSummary::try_from(seen)
        })
        .await
}

/// Files a request for somebody: the caller is its requestor, and policy looks at the grantee as
/// if they had asked. Refused where several flows would govern parts of it, because the answer
/// can tell of one request only.
pub async fn request_access_for(
    app: &App,
    actor: &Actor,
    command: RequestForUser,
) -> Result<RequestSummary, AppError> {
    actor.require(Operation::RequestForUser)?;
    let filed = app
        .store()
        .write(async |tx: &mut Tx| -> Result<RequestSummary, AppError> {
            let pairs = pairs(tx, &command).await?;
            let grantee = known_person(tx, &command.user).await?;
            if !grantee.is_active() {
                return Err(AppError::invalid("user_id", "this person is disabled"));
            }
            let asked = RequestAccess {
                entitlements: pairs
                    .iter()
                    .map(|pair| (pair.resource_id.clone(), pair.permission_id.clone()))
                    .collect(),
                justification: Some(command.justification.clone()),
                duration_sec: command.duration_sec,
                grantee: Some(grantee.id.to_string()),
                ..RequestAccess::default()
            };
            let rename = |error| name_members(error, &pairs);
            check_command(&asked).map_err(rename)?;
            let filing = Filing { as_grantee: true, undivided: true, ..Filing::default() };
            let filed = file(tx, app, actor, &asked, filing).await.map_err(rename)?;
            let filed = filed.into_iter().next();
            RequestSummary::try_from(filed.ok_or_else(|| AppError::internal("nothing was filed"))?)
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REQUEST_FILED);
    Ok(filed)
}

/// Ends several requests, all of them or none. 400 naming those that do not exist, 409 naming
/// those that are over already.
pub async fn revoke_requests(
    app: &App,
    actor: &Actor,
    references: &[String],
) -> Result<(), AppError> {
    actor.require(Operation::RevokeAnyRequest)?;
    if references.is_empty() {
        return Err(AppError::invalid("request_ids", "name at least one request"));
    }
    if references.len() > MOST_AT_ONCE {
        return Err(AppError::invalid("request_ids", format!("at most {MOST_AT_ONCE} at once")));
    }
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let ids = ids_of(tx, references).await?;
            let units = tx.units_of_requests(&ids).await?;
            let grantees: BTreeMap<RequestId, UserId> = tx
                .find_requests(&ids)
                .await?
                .into_iter()
                .map(|request| (request.id, request.grantee_id))
                .collect();
            // All locks that may be waited for come before the first change, in the order in
            // which everybody takes them.
            lock_claims(
                tx,
                units.iter().filter_map(|unit| {
                    Some((&unit.integration_id, grantees.get(&unit.request_id)?))
                }),
            )
            .await?;
            let mut over = Vec::new();
            let mut parties = BTreeMap::new();
            for id in &ids {
                let request = tx.lock_request(id).await?.ok_or_else(AppError::not_found)?;
                refuse_automatic(tx, &request).await?;
                if !UNFINISHED.contains(&request.state) {
                    over.push(format!("AR-{} is {}", request.number, request.state.as_str()));
                }
                parties.insert(id, [request.requestor_id, request.grantee_id]);
            }
            if !over.is_empty() {
                return Err(AppError::conflict(format!(
                    "{}; nothing was ended, leave these out",
                    over.join(", ")
                )));
            }
            for (id, parties) in parties {
                let is_party = parties.contains(&actor.user.id);
                let because = if is_party { Because::GivenUp } else { Because::EndedByAdmin };
                end_or_cancel(tx, &actor.audit(), id, UNFINISHED, &because).await?;
            }
            Ok(())
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REVOKE_ASKED);
    Ok(())
}

/// The evidence that targets gave about a request, oldest first.
pub async fn list_receipts(
    app: &App,
    actor: &Actor,
    id: &str,
    page: &PageRequest,
) -> Result<Page<ReceiptView>, AppError> {
    actor.require(Operation::ReadAnyRequest)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<ReceiptView>, AppError> {
            let request = find_by_reference(tx, id).await?;
            let rows = tx.list_receipts(&request.id, &page.query()).await?;
            let page = page.page(rows, |record| PageKey::new(record.at, record.id.as_str()));
            let sessions: BTreeSet<&SessionId> =
                page.items.iter().map(|record| &record.session_id).collect();
            let sessions: Vec<SessionId> = sessions.into_iter().cloned().collect();
            let sessions: BTreeMap<SessionId, IntegrationId> = tx
                .find_sessions(&sessions)
                .await?
                .into_iter()
                .map(|session| (session.id, session.integration_id))
                .collect();
            let seen = super::view::view(tx, request).await?;
            let items = page.items.into_iter().map(|record| {
                let units = seen.units.iter();
                let units: Vec<UnitView> = units
                    .filter(|unit| unit.session_id.as_ref() == Some(&record.session_id))
                    .map(|unit| seen.unit(unit.clone()))
                    .collect();
                let integration_id = sessions.get(&record.session_id).cloned();
                let integration_id = integration_id
                    .ok_or_else(|| AppError::internal("a receipt's session is missing"))?;
                Ok(ReceiptView {
                    id: record.id,
                    session_id: record.session_id,
                    integration_name: seen.integration_name(&integration_id),
                    integration_id,
                    receipt: record.receipt,
                    fence: record.fence,
                    taken_at: record.at,
                    units,
                })
            });
            Ok(Page { items: items.collect::<Result<_, AppError>>()?, next: page.next })
        })
        .await
}

/// The instant so many days ago; `None` where nothing can be older.
fn days_ago(now: Timestamp, days: i64) -> Result<Option<Timestamp>, AppError> {
    if days < 0 {
        return Err(AppError::invalid("days_offset", "must be 0 or more"));
    }
    let seconds = days.checked_mul(24 * 60 * 60);
    Ok(seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok()))
}

async fn known_person(tx: &mut Tx, text: &str) -> Result<User, AppError> {
    let found = find_person(tx, text).await?;
    found.ok_or_else(|| AppError::invalid("user_id", "no user has this id or e-mail address"))
}

/// The requests that these texts name, each once; 400 naming every text that names none.
async fn ids_of(tx: &mut Tx, references: &[String]) -> Result<Vec<RequestId>, AppError> {
    let ids: Vec<RequestId> = references.iter().map(RequestId::new).collect();
    let numbers: Vec<i64> = references.iter().filter_map(|text| number_of(text)).collect();
    let found = tx.request_ids_named(&ids, &numbers).await?;
    let is_known = |reference: &String| {
        let number = number_of(reference);
        found.iter().any(|(id, known)| id.as_str() == reference || Some(*known) == number)
    };
    let unknown = references.iter().enumerate().filter(|(_, reference)| !is_known(reference));
    let errors: Vec<FieldError> = unknown
        .map(|(place, _)| {
            FieldError::new(format!("request_ids[{place}]"), "names no request by id or number")
        })
        .collect();
    if errors.is_empty() {
        return Ok(found.into_iter().map(|(id, _)| id).collect());
    }
    Err(AppError::invalid_fields(errors))
}

/// One entitlement that was asked for, with the members that named it.
struct Pair {
    resource_place: usize,
    resource_id: ResourceId,
    permission_id: PermissionId,
    permission: String,
}

/// The entitlements that a command means: each permission on each resource. 400 naming every
/// member that means nothing.
async fn pairs(tx: &mut Tx, command: &RequestForUser) -> Result<Vec<Pair>, AppError> {
    let mut errors = Vec::new();
    if command.resource_ids.is_empty() {
        errors.push(FieldError::new("resource_ids", "name at least one resource"));
    }
    if command.permissions.is_empty() {
        errors.push(FieldError::new("permissions", "name at least one permission"));
    }
    let Some(integration) = integrations::find_by_reference(tx, &command.integration).await? else {
        errors.push(FieldError::new("integration_id", "names no integration"));
        return Err(AppError::invalid_fields(errors));
    };
    let resources = tx.find_resources(&command.resource_ids).await?;
    let resources: BTreeMap<_, _> = resources
        .iter()
        .filter(|resource| resource.integration_id == integration.id)
        .filter(|resource| resource.status == ResourceStatus::Active)
        .map(|resource| (&resource.id, resource))
        .collect();
    let permissions = tx.list_permissions(&integration.id, None).await?;
    let permissions: BTreeMap<(&str, &str), &PermissionId> = permissions
        .iter()
        .map(|one| ((one.resource_type.as_str(), one.name.as_str()), &one.id))
        .collect();
    let mut pairs = Vec::new();
    let mut named = BTreeSet::new();
    for (place, id) in command.resource_ids.iter().enumerate() {
        let Some(resource) = resources.get(id) else {
            errors.push(FieldError::new(
                format!("resource_ids[{place}]"),
                "names no resource of this integration that can be asked for",
            ));
            continue;
        };
        for (nth, permission) in command.permissions.iter().enumerate() {
            let kind = resource.resource_type.as_str();
            match permissions.get(&(kind, permission.as_str())) {
                None => errors.push(FieldError::new(
                    format!("permissions[{nth}]"),
                    format!("is no permission on a {kind}"),
                )),
                Some(permission_id) if named.insert((id, *permission_id)) => pairs.push(Pair {
                    resource_place: place,
                    resource_id: id.clone(),
                    permission_id: (*permission_id).clone(),
                    permission: permission.clone(),
                }),
                Some(_) => {}
            }
        }
    }
    errors.dedup();
    if errors.is_empty() { Ok(pairs) } else { Err(AppError::invalid_fields(errors)) }
}

/// The same refusal with the members by which the caller named things.
fn name_members(mut error: AppError, pairs: &[Pair]) -> AppError {
    for one in &mut error.errors {
        if one.field == "grantee" {
            "user_id".clone_into(&mut one.field);
        }
        if one.field == "entitlements" {
            "resource_ids".clone_into(&mut one.field);
        }
        let place = one.field.strip_prefix("entitlements[").and_then(|rest| rest.strip_suffix(']'));
        let pair = place.and_then(|place| pairs.get(place.parse::<usize>().ok()?));
        if let Some(pair) = pair {
            one.field = format!("resource_ids[{}]", pair.resource_place);
            one.message = format!("{}: {}", pair.permission, one.message);
        }
    }
    error
}

impl TryFrom<RequestLine> for RequestSummary {
    type Error = AppError;

    fn try_from(line: RequestLine) -> Result<Self, AppError> {
        let first = line.entitlements.first();
        let first = first.ok_or_else(|| AppError::internal("a request without entitlements"))?;
        Ok(Self {
            integration_id: first.integration_id.clone(),
            resource_ids: each_once(line.entitlements.iter().map(|one| &one.resource_id)),
            permissions: each_once(line.entitlements.iter().map(|one| &one.permission)),
            id: line.id,
            number: line.number,
            grantee_id: line.grantee_id,
            state: line.state,
            justification: line.justification,
        })
    }
}

impl TryFrom<RequestView> for RequestSummary {
    type Error = AppError;

    fn try_from(view: RequestView) -> Result<Self, AppError> {
        let first =
            view.units.first().ok_or_else(|| AppError::internal("a request without units"))?;
        Ok(Self {
            integration_id: first.integration_id.clone(),
            resource_ids: each_once(view.units.iter().map(|unit| &unit.resource_id)),
            permissions: each_once(view.units.iter().map(|unit| &unit.permission)),
            id: view.request.id,
            number: view.request.number,
            grantee_id: view.request.grantee_id,
            state: view.request.state,
            justification: view.request.justification,
        })
    }
}

/// The values in the order in which they first come.
fn each_once<'a, T: Ord + Clone + 'a>(values: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.filter(|value| seen.insert(*value)).cloned().collect()
}
