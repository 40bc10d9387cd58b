//! Reading requests: one's own, those made for others, and those that wait for one's decision.

use latchkey_domain::{
    flow::FlowTrigger,
    ids::{IntegrationId, RequestId},
    people::normalize_email,
    request::{AccessRequest, RequestState},
};
use latchkey_store::{PageKey, RequestFilter, Tx};

use super::{
    overview::{RequestOverview, overviews},
    view::{RequestView, UnitView, view, views},
    waiting::{may_decide, with_deciders, with_deciders_of},
};
use crate::{Actor, App, Operation, Page, PageRequest, error::AppError};

/// Which of the caller's requests to list.
#[derive(Debug, Clone, Default)]
pub struct MyRequestsQuery {
    /// Id or e-mail of who asked; the caller when absent.
    pub requestor: Option<String>,
    /// Only in these states; empty for all.
    pub states: Vec<RequestState>,
}

/// Which entitlements of a request to list.
#[derive(Debug, Clone, Default)]
pub struct EntitlementQuery {
    /// Only in these integrations; empty for all.
    pub integration_ids: Vec<IntegrationId>,
    /// Only of these resource types; empty for all.
    pub resource_types: Vec<String>,
    /// Only with these status words; empty for all.
    pub statuses: Vec<String>,
}

/// Which requests the client API lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestListScope {
    /// Those the caller filed or is the grantee of.
    MyRequests,
    /// Those that wait for the caller's decision.
    MyTasks,
}

/// The requests whose grantee is the caller and whose requestor is the given person, or the
/// caller when none is given.
pub async fn list_my_requests(
    app: &App,
    actor: &Actor,
    query: &MyRequestsQuery,
    page: &PageRequest,
) -> Result<Page<RequestOverview>, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<RequestOverview>, AppError> {
            let requestor = match &query.requestor {
                None => actor.user.id.clone(),
                Some(text) => match super::people::find_person(tx, text).await? {
                    Some(user) => user.id,
                    // Whether somebody exists is not said: nobody asked nothing for the caller.
                    None => return Ok(Page { items: Vec::new(), next: None }),
                },
            };
            let filter = RequestFilter {
                requestor: Some(requestor),
                grantee: Some(actor.user.id.clone()),
                states: query.states.clone(),
                ..RequestFilter::default()
            };
            let rows = tx.list_listed_requests(&filter, &page.query()).await?;
            let page = page.page(rows, |one| PageKey::new(one.created_at, one.id.as_str()));
            Ok(Page { items: overviews(tx, actor, page.items).await?, next: page.next })
        })
        .await
}

/// The requests that the caller filed or is the grantee of, for the client API, newest first;
/// access by automatic flows only where it is asked for.
pub async fn list_client_requests(
    app: &App,
    actor: &Actor,
    states: &[RequestState],
    with_automatic: bool,
    page: &PageRequest,
) -> Result<Page<RequestView>, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    let filter = RequestFilter {
        trigger: (!with_automatic).then_some(FlowTrigger::SelfServe),
        either: Some(actor.user.id.clone()),
        states: states.to_vec(),
        ..RequestFilter::default()
    };
    list_with_deciders(app, actor, filter, page).await
}

/// The requests that the caller has approved or rejected, newest first.
pub async fn list_decided_requests(
    app: &App,
    actor: &Actor,
    states: &[RequestState],
    page: &PageRequest,
) -> Result<Page<RequestView>, AppError> {
    actor.require(Operation::ReadTasks)?;
    let filter = RequestFilter {
        decided_by: Some(actor.user.id.clone()),
        states: states.to_vec(),
        ..RequestFilter::default()
    };
    list_with_deciders(app, actor, filter, page).await
}

async fn list_with_deciders(
    app: &App,
    actor: &Actor,
    filter: RequestFilter,
    page: &PageRequest,
) -> Result<Page<RequestView>, AppError> {
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<RequestView>, AppError> {
            let rows = tx.list_requests(&filter, &page.newest_first()).await?;
            let page = page_of_views(tx, page.page(rows, key_of)).await?;
            Ok(Page { items: with_deciders(tx, actor, page.items).await?, next: page.next })
        })
        .await
}

/// The requests that the caller filed for others, in the order of lists.
pub async fn list_delegated_requests(
    app: &App,
    actor: &Actor,
    grantee: Option<&str>,
    states: &[RequestState],
    page: &PageRequest,
) -> Result<Page<RequestOverview>, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<RequestOverview>, AppError> {
            let grantee = match grantee {
                None => None,
                Some(text) => match super::people::find_person(tx, text).await? {
                    Some(user) => Some(user.id),
                    // Whether somebody exists is not said: the caller asked nothing for nobody.
                    None => return Ok(Page { items: Vec::new(), next: None }),
                },
            };
            let filter = RequestFilter {
                requestor: Some(actor.user.id.clone()),
                delegated: Some(true),
                grantee,
                states: states.to_vec(),
                ..RequestFilter::default()
            };
            let rows = tx.list_listed_requests(&filter, &page.query()).await?;
            let page = page.page(rows, |one| PageKey::new(one.created_at, one.id.as_str()));
            Ok(Page { items: overviews(tx, actor, page.items).await?, next: page.next })
        })
        .await
}

/// One request that the caller filed for somebody else, by id or `AR-n`.
pub async fn get_delegated_request(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<RequestView, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<RequestView, AppError> {
            let request = find_by_reference(tx, id).await?;
            let is_delegated =
                request.requestor_id == actor.user.id && request.grantee_id != actor.user.id;
            if !is_delegated {
                return Err(AppError::not_found());
            }
            view(tx, request).await
        })
        .await
}

/// One request for the client API: also visible to those who may decide about it.
pub async fn get_client_request(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<RequestView, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<RequestView, AppError> {
            let request = find_visible(tx, actor, id).await?;
            let seen = view(tx, request).await?;
            with_deciders_of(tx, actor, seen).await
        })
        .await
}

/// The entitlements of one of the caller's requests.
pub async fn list_request_entitlements(
    app: &App,
    actor: &Actor,
    id: &str,
    query: &EntitlementQuery,
    page: &PageRequest,
) -> Result<Page<UnitView>, AppError> {
    actor.require(Operation::ReadOwnRequests)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<UnitView>, AppError> {
            let request = find_own(tx, actor, id).await?;
            let seen = view(tx, request).await?;
            let mut rows: Vec<UnitView> = seen
                .units
                .iter()
                .map(|unit| seen.unit(unit.clone()))
                .filter(|row| matches(query, row))
                .collect();
            rows.sort_by(|a, b| a.unit.id.cmp(&b.unit.id));
            if let Some(after) = &page.after {
                rows.retain(|row| row.unit.id.as_str() > after.id.as_str());
            }
            let created_at = seen.request.created_at;
            Ok(page.page(rows, |row| PageKey { created_at, id: row.unit.id.as_str().to_owned() }))
        })
        .await
}

fn matches(query: &EntitlementQuery, row: &UnitView) -> bool {
    let is_in = |list: &[String], text: &str| list.is_empty() || list.iter().any(|t| t == text);
    let integrations: Vec<String> = query.integration_ids.iter().map(ToString::to_string).collect();
    is_in(&integrations, row.unit.integration_id.as_str())
        && is_in(&query.resource_types, &row.unit.resource_type)
        && (query.statuses.is_empty()
            || query.statuses.iter().any(|word| word.eq_ignore_ascii_case(row.status)))
}

/// The number in `AR-7`, which is how people name a request.
pub(crate) fn number_of(reference: &str) -> Option<i64> {
    let digits = reference.strip_prefix("AR-").or_else(|| reference.strip_prefix("ar-"))?;
    digits.parse().ok()
}

/// A request by id or by the number people say.
pub(crate) async fn find_by_reference(
    tx: &mut Tx,
    reference: &str,
) -> Result<AccessRequest, AppError> {
    let found = match number_of(reference) {
        Some(number) => tx.find_request_by_number(number).await?,
        None => tx.find_request(&RequestId::new(reference)).await?,
    };
    found.ok_or_else(AppError::not_found)
}

/// A request that the caller filed or is the grantee of.
pub(super) async fn find_own(
    tx: &mut Tx,
    actor: &Actor,
    reference: &str,
) -> Result<AccessRequest, AppError> {
    let request = find_by_reference(tx, reference).await?;
    if [&request.requestor_id, &request.grantee_id].contains(&&actor.user.id) {
        return Ok(request);
    }
    Err(AppError::not_found())
}

/// A request that the caller may see: a party, somebody who may decide about it, or a role that
/// reads everything.
pub(super) async fn find_visible(
    tx: &mut Tx,
    actor: &Actor,
    reference: &str,
) -> Result<AccessRequest, AppError> {
    let request = find_by_reference(tx, reference).await?;
    let is_party = [&request.requestor_id, &request.grantee_id].contains(&&actor.user.id);
    if is_party
        || actor.may(Operation::ReadAnyRequest)
        || may_decide(tx, &request, &actor.user).await?
        || tx.approvals_of(&request.id).await?.iter().any(|a| a.approver_id == actor.user.id)
    {
        return Ok(request);
    }
    Err(AppError::not_found())
}

fn key_of(request: &AccessRequest) -> PageKey {
    PageKey { created_at: request.created_at, id: request.id.as_str().to_owned() }
}

async fn page_of_views(
    tx: &mut Tx,
    page: Page<AccessRequest>,
) -> Result<Page<RequestView>, AppError> {
    Ok(Page { items: views(tx, page.items).await?, next: page.next })
}

/// An address in the form in which it is looked up.
pub(super) fn address(text: &str) -> Option<String> {
    text.contains('@').then(|| normalize_email(text))
}
