//! Access scopes: queries with a name, for flows and bundles to target.
//!
//! Invariants: a stored query parses; its text is kept byte for byte, because clients compare it
//! with what they wrote; a scope that a flow or a bundle names cannot be deleted.

mod complete;
mod preview;

use latchkey_domain::{access_scope::AccessScope, ids::AccessScopeId};
use latchkey_store::{AccessScopeFilter, PageKey, TextMatch, Tx};
use serde_json::json;

pub use complete::{CompleteQuery, complete_access_scope};
pub use latchkey_aql::{
    Completion as QueryCompletion, Completions as QueryCompletions, Diagnostic as QueryDiagnostic,
};
pub use preview::{Preview, PreviewScope, preview_access_scope};

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    paging::{Page, PageRequest},
    texts, trail,
};

/// Everything that can be said about an access scope, for creating and for replacing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessScopeCommand {
    /// Unique without letter case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The query.
    pub query: String,
}

/// Lists access scopes in order of creation.
pub async fn list_access_scopes(
    app: &App,
    actor: &Actor,
    name: Option<TextMatch>,
    page: &PageRequest,
) -> Result<Page<AccessScope>, AppError> {
    actor.require(Operation::ReadAccessScopes)?;
    app.store()
        .read(async |tx| {
            let rows = tx.list_access_scopes(&AccessScopeFilter { name }, &page.query()).await?;
            Ok(page.page(rows, |scope| PageKey::new(scope.created_at, scope.id.as_str())))
        })
        .await
}

/// Reads one access scope.
pub async fn get_access_scope(
    app: &App,
    actor: &Actor,
    id: &AccessScopeId,
) -> Result<AccessScope, AppError> {
    actor.require(Operation::ReadAccessScopes)?;
    app.store()
        .read(async |tx| tx.find_access_scope(id).await?.ok_or_else(AppError::not_found))
        .await
}

/// The query that saving a command would store in place of `before`, or anew. Checked like the
/// real thing; nothing is stored.
pub(crate) async fn would_be(
    tx: &mut Tx,
    before: Option<&AccessScope>,
    command: &AccessScopeCommand,
) -> Result<latchkey_aql::Query, AppError> {
    check(command)?;
    name_is_free(tx, &command.name, before.map(|before| &before.id)).await?;
    latchkey_aql::parse(&command.query)
        .map_err(|_| AppError::internal("a query that was checked cannot be read"))
}

/// Creates an access scope. 400 with everything that is wrong with the query; 409 if the name is
/// taken.
pub async fn create_access_scope(
    app: &App,
    actor: &Actor,
    command: AccessScopeCommand,
) -> Result<AccessScope, AppError> {
    actor.require(Operation::ManageAccessScopes)?;
    app.store().write(async |tx| create(tx, app, actor, command).await).await
}

/// Creates an access scope. The caller has asked whether the actor may.
pub(crate) async fn create(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    command: AccessScopeCommand,
) -> Result<AccessScope, AppError> {
    check(&command)?;
    name_is_free(tx, &command.name, None).await?;
    let now = tx.now();
    let scope = AccessScope {
        id: AccessScopeId::generate(now, app.rng()),
        name: command.name,
        description: command.description,
        query: command.query,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    tx.insert_access_scope(&scope).await?;
    let detail = json!({ "name": scope.name, "query": scope.query });
    record(tx, actor, "access_scope.created", &scope.id, detail).await?;
    Ok(scope)
}

/// Replaces an access scope. Flows and bundles that name it follow; pending requests are judged
/// by it when they are decided, and live access stays.
pub async fn update_access_scope(
    app: &App,
    actor: &Actor,
    id: &AccessScopeId,
    command: AccessScopeCommand,
) -> Result<AccessScope, AppError> {
    actor.require(Operation::ManageAccessScopes)?;
    app.store()
        .write(async |tx| {
            let before = tx.find_access_scope(id).await?.ok_or_else(AppError::not_found)?;
            replace(tx, actor, before, command).await
        })
        .await
}

/// Whether an access scope says already what a command would have it say.
pub(crate) fn says(scope: &AccessScope, command: &AccessScopeCommand) -> bool {
    let AccessScopeCommand { name, description, query } = command;
    (&scope.name, &scope.description, &scope.query) == (name, description, query)
}

/// Replaces an access scope. The caller has asked whether the actor may.
pub(crate) async fn replace(
    tx: &mut Tx,
    actor: &Actor,
    before: AccessScope,
    command: AccessScopeCommand,
) -> Result<AccessScope, AppError> {
    check(&command)?;
    name_is_free(tx, &command.name, Some(&before.id)).await?;
    let mut scope = AccessScope {
        name: command.name,
        description: command.description,
        query: command.query,
        updated_at: tx.now(),
        ..before.clone()
    };
    tx.update_access_scope(&mut scope).await?;
    let detail = json!({
        "before": { "name": before.name, "query": before.query },
        "after": { "name": scope.name, "query": scope.query },
    });
    record(tx, actor, "access_scope.updated", &scope.id, detail).await?;
    Ok(scope)
}

/// Deletes an access scope. 409, naming them, while flows or bundles use it.
pub async fn delete_access_scope(
    app: &App,
    actor: &Actor,
    id: &AccessScopeId,
) -> Result<(), AppError> {
    actor.require(Operation::ManageAccessScopes)?;
    app.store().write(async |tx| delete(tx, actor, id).await).await
}

/// Deletes an access scope. The caller has asked whether the actor may.
pub(crate) async fn delete(tx: &mut Tx, actor: &Actor, id: &AccessScopeId) -> Result<(), AppError> {
    tx.lock_access_scope(id).await?;
    let scope = tx.find_access_scope(id).await?.ok_or_else(AppError::not_found)?;
    let flows = tx.flows_using_access_scope(id).await?;
    let bundles = tx.bundles_using_access_scope(id).await?;
    let flows = flows.iter().map(|flow| format!("the access flow \"{}\"", flow.name));
    let bundles = bundles.iter().map(|bundle| format!("the bundle \"{}\"", bundle.name));
    let users: Vec<String> = flows.chain(bundles).collect();
    if !users.is_empty() {
        return Err(AppError::conflict(format!(
            "the access scope is used by {}; take it out of there first",
            users.join(", ")
        )));
    }
    tx.delete_access_scope(id).await?;
    let detail = json!({ "name": scope.name, "query": scope.query });
    record(tx, actor, "access_scope.deleted", id, detail).await
}

/// The access scope that a reference means: an id, else a name.
pub(crate) async fn find_by_reference(
    tx: &mut Tx,
    reference: &str,
) -> Result<Option<AccessScope>, AppError> {
    match tx.find_access_scope(&AccessScopeId::new(reference)).await? {
        Some(found) => Ok(Some(found)),
        None => Ok(tx.find_access_scope_by_name(reference).await?),
    }
}

fn check(command: &AccessScopeCommand) -> Result<(), AppError> {
    let mut errors: Vec<FieldError> = Vec::new();
    errors.extend(texts::check_name("name", &command.name).err());
    errors.extend(texts::check_description("description", command.description.as_deref()).err());
    if let Err(faults) = latchkey_aql::parse(&command.query) {
        errors.extend(faults.iter().map(|fault| FieldError::new("query", fault.to_string())));
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}

async fn name_is_free(
    tx: &mut Tx,
    name: &str,
    except: Option<&AccessScopeId>,
) -> Result<(), AppError> {
    let owner = tx.find_access_scope_by_name(name).await?;
    texts::name_is_free("access scope", name, owner.as_ref().map(|other| &other.id), except)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: &AccessScopeId,
    detail: serde_json::Value,
) -> Result<(), AppError> {
    trail::record(tx, &actor.audit(), action, "access_scope", id.as_str(), detail).await
}
