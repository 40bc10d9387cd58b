//! Access sessions as their grantee sees them: what is live, how to connect, new credentials.
//!
//! Invariant: a credential leaves the server once, to its grantee, in the transaction that marks
//! it as viewed.

mod of_request;

use std::collections::{BTreeMap, BTreeSet};

pub use of_request::{RequestDetails, request_access_details, reset_request_credentials};

use latchkey_domain::{
    ids::{IntegrationId, RequestId, SessionId},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_store::{PageKey, SessionFilter, Tx, Wake};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    Actor, App, Operation, Page, PageRequest, crash_points, error::AppError, lifecycle::apply_task,
    trail::record,
};

/// A session with what its wire form needs.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// The session.
    pub session: AccessSession,
    /// The integration's name.
    pub integration_name: String,
    /// Every request that has a claim in it, oldest first.
    pub request_ids: Vec<RequestId>,
}

/// Which sessions to list.
#[derive(Debug, Clone, Default)]
pub struct SessionQuery {
    /// Only in these integrations; empty for all.
    pub integration_ids: Vec<IntegrationId>,
    /// Only with claims of these requests; empty for all.
    pub request_ids: Vec<RequestId>,
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct AccessDetailsView {
    /// Text for a person; without secrets.
    pub instructions: String,
    /// The admin's own text of the integration.
    pub custom_admin_message: Option<String>,
    /// Connection parameters without the password.
    pub parameters: BTreeMap<String, String>,
    /// The password: there the first time only.
    pub password: Option<SecretString>,
    /// One shell command without secrets.
    pub cli: Option<String>,
}

/// Lists the caller's live sessions.
pub async fn list_sessions(
    app: &App,
    actor: &Actor,
    query: &SessionQuery,
    page: &PageRequest,
) -> Result<Page<SessionView>, AppError> {
    actor.require(Operation::ReadSessions)?;
    let filter = SessionFilter {
        grantee: Some(actor.user.id.clone()),
        integration_ids: query.integration_ids.clone(),
        request_ids: query.request_ids.clone(),
        states: vec![SessionState::Live],
    };
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<SessionView>, AppError> {
            let rows = tx.list_sessions(&filter, &page.query()).await?;
            let page = page.page(rows, |session| PageKey {
                created_at: session.created_at,
                id: session.id.as_str().to_owned(),
            });
            Ok(Page { items: views(tx, page.items).await?, next: page.next })
        })
        .await
}

/// Reads one of the caller's sessions.
pub async fn get_session(
    app: &App,
    actor: &Actor,
    id: &SessionId,
) -> Result<SessionView, AppError> {
    actor.require(Operation::ReadSessions)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<SessionView, AppError> {
            let session = own_session(tx, actor, id).await?;
            view(tx, session).await
        })
        .await
}

/// How to connect with one of the caller's sessions. The first read after credentials were made
/// holds the password and marks it as viewed.
pub async fn access_details(
    app: &App,
    actor: &Actor,
    id: &SessionId,
) -> Result<AccessDetailsView, AppError> {
    actor.require(Operation::ReadAccessDetails)?;
    let read = async |tx: &mut Tx| -> Result<AccessDetailsView, AppError> {
        let session = own_session(tx, actor, id).await?;
        show_to_grantee(tx, actor, session).await
    };
    let details = app.store().write(read).await?;
    if details.password.is_some() {
        app.crash_point(crash_points::CREDENTIALS_MARKED);
    }
    Ok(details)
}

/// Asks for new credentials; the old ones and the open sessions end when they are made.
pub async fn reset_credentials(app: &App, actor: &Actor, id: &SessionId) -> Result<(), AppError> {
    actor.require(Operation::ResetCredentials)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let seen = own_session(tx, actor, id).await?;
            tx.lock_grantee(&seen.integration_id, &seen.grantee_id).await?;
            let session = tx.lock_session(id).await?.ok_or_else(AppError::not_found)?;
            if !is_resettable(&session) {
                return Err(AppError::conflict(
                    "this session is ending or has no credentials to reset; ask for access again",
                ));
            }
            reset(tx, actor, session).await
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::RESET_ASKED);
    Ok(())
}

/// How to connect with a session of the caller's: shows what was not shown yet, and marks it.
async fn show_to_grantee(
    tx: &mut Tx,
    actor: &Actor,
    mut session: AccessSession,
) -> Result<AccessDetailsView, AppError> {
    tx.lock_grantee(&session.integration_id, &session.grantee_id).await?;
    if let Some(fresh) = tx.lock_session(&session.id).await? {
        session = fresh;
    }
    let is_fresh = session.state == SessionState::Live
        && session.credentials_status == CredentialsStatus::Available;
    let mut password = None;
    if is_fresh {
        password = tx.find_credentials(&session.id).await?.map(|kept| kept.password);
        session.credentials_status = CredentialsStatus::Viewed;
        tx.update_session(&session).await?;
        // Nobody will be shown it again, so it need not be kept.
        tx.delete_credentials(&session.id).await?;
        let told = json!({ "integration_id": session.integration_id });
        let action = "access_session.credentials_viewed";
        let id = session.id.as_str();
        record(tx, &actor.audit(), action, "access_session", id, told).await?;
    }
    let shown = show(tx, &session).await?;
    Ok(AccessDetailsView { password, ..shown })
}

/// How to connect, without secrets.
async fn show(tx: &mut Tx, session: &AccessSession) -> Result<AccessDetailsView, AppError> {
    let integration =
        tx.find_integration(&session.integration_id).await?.ok_or_else(AppError::not_found)?;
    let details = tx.find_access_details(&session.id).await?.unwrap_or_default();
    let ends = end_of_access(tx, session).await?;
    Ok(AccessDetailsView {
        instructions: instructions(session, &details.instructions, ends),
        custom_admin_message: integration.custom_access_details,
        parameters: details.parameters,
        password: None,
        cli: details.cli,
    })
}

fn is_resettable(session: &AccessSession) -> bool {
    session.state == SessionState::Live && session.can_reset_credentials
}

/// Has new credentials made for a session that is locked and resettable.
async fn reset(tx: &mut Tx, actor: &Actor, mut session: AccessSession) -> Result<(), AppError> {
    session.credentials_status = CredentialsStatus::Resetting;
    session.desired_version += 1;
    tx.update_session(&session).await?;
    tx.delete_credentials(&session.id).await?;
    let integration =
        tx.find_integration(&session.integration_id).await?.ok_or_else(AppError::not_found)?;
    let due = tx.now();
    apply_task(tx, &integration, &session, due, false).await?;
    let action = "access_session.credentials_reset";
    let told = json!({ "grantee_id": session.grantee_id });
    record(tx, &actor.audit(), action, "access_session", session.id.as_str(), told).await
}

/// The session if it is the caller's; what is somebody else's does not exist.
async fn own_session(
    tx: &mut Tx,
    actor: &Actor,
    id: &SessionId,
) -> Result<AccessSession, AppError> {
    tx.find_session(id)
        .await?
        .filter(|session| session.grantee_id == actor.user.id)
        .ok_or_else(AppError::not_found)
}

async fn view(tx: &mut Tx, session: AccessSession) -> Result<SessionView, AppError> {
    let mut seen = views(tx, vec![session]).await?;
    seen.pop().ok_or_else(|| AppError::internal("a session without a view"))
}

/// The sessions with what belongs to them, read once for all of them.
async fn views(tx: &mut Tx, sessions: Vec<AccessSession>) -> Result<Vec<SessionView>, AppError> {
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
    let integrations: BTreeSet<&IntegrationId> =
        sessions.iter().map(|session| &session.integration_id).collect();
    let integrations: Vec<IntegrationId> = integrations.into_iter().cloned().collect();
    let names = tx.integration_names(&integrations).await?;
    let mut requests = tx.request_ids_of_sessions(&ids).await?;
    let view = |session: AccessSession| SessionView {
        integration_name: names.get(&session.integration_id).cloned().unwrap_or_default(),
        request_ids: requests.remove(&session.id).unwrap_or_default(),
        session,
    };
    Ok(sessions.into_iter().map(view).collect())
}

/// When the last claim of the session ends, in words; `None` when one has no end.
async fn end_of_access(tx: &mut Tx, session: &AccessSession) -> Result<Option<String>, AppError> {
    let units = tx.units_of_session(&session.id).await?;
    let mut last = None;
    for unit in units.iter().filter(|unit| unit.state.is_desired()) {
        match unit.ends_at {
            None => return Ok(None),
            end => last = last.max(end),
        }
    }
    Ok(last.map(|end| end.to_string()))
}

fn instructions(session: &AccessSession, stored: &str, ends: Option<String>) -> String {
    if session.state != SessionState::Live {
        return "This access is over. Ask for it again if you still need it.".to_owned();
    }
    if stored.is_empty() {
        return "This access is being put in place. Read the details again in a moment.".to_owned();
    }
    let end = ends.map_or_else(
        || "It stays until it is revoked.".to_owned(),
        |end| format!("It ends at {end}."),
    );
    format!("{stored}\n\n{end}")
}
