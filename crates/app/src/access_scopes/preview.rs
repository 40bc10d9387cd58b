//! What a query selects now, and how that differs from what an access scope selects: for whoever
//! writes one.

use latchkey_aql::{Diagnostic, Parsed, Query, parse, parse_with_warnings};
use latchkey_domain::ids::AccessScopeId;
use latchkey_store::Tx;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    available_access::{AvailableEntitlement, key, position},
    error::AppError,
    indexed,
    paging::{Page, PageRequest},
};

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreviewScope {
    /// The query.
    pub query: String,
    /// The stored scope to compare with.
    pub access_scope_id: Option<AccessScopeId>,
}

/// What a query selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Whether it is a query at all. If not, it selects nothing.
    pub is_valid: bool,
    /// What is wrong with it; for a valid one, what is probably not meant.
    pub diagnostics: Vec<Diagnostic>,
    /// How many entitlements it selects.
    pub total: u64,
    /// A page of them, in the order of discovery.
    pub items: Page<AvailableEntitlement>,
    /// How many it selects that the stored query does not; `None` without one to compare with.
    pub added: Option<u64>,
    /// How many the stored query selects that it does not.
    pub removed: Option<u64>,
}

/// Says what a query selects now. A query with errors is no error here: it is what was asked
/// about. 400 if the scope to compare with does not exist.
pub async fn preview_access_scope(
    app: &App,
    actor: &Actor,
    command: &PreviewScope,
    page: &PageRequest,
) -> Result<Preview, AppError> {
    actor.require(Operation::PreviewAccessScope)?;
    let after = page.after.as_ref().map(position).transpose()?;
    let stored = match &command.access_scope_id {
        Some(id) => app.store().read(async |tx: &mut Tx| stored_query(tx, id).await).await?,
        None => None,
    };
    let Parsed { query, warnings } = match parse_with_warnings(&command.query) {
        Ok(parsed) => parsed,
        Err(diagnostics) => {
            return Ok(Preview {
                is_valid: false,
                diagnostics,
                total: 0,
                items: Page { items: Vec::new(), next: None },
                added: None,
                removed: None,
            });
        }
    };
    let snapshot = indexed::snapshot(app).await?;
    let selected = snapshot.select(&query);
    let total = selected.count();
    let rows = selected.page(after.as_ref(), page.query().limit as usize);
    let items = page.page(rows, key);
    let only_in = |one: &Query, other: Option<&Query>| match other {
        Some(other) => snapshot.select(&one.without(other)).count(),
        None => snapshot.select(one).count(),
    };
    let compared = command.access_scope_id.is_some();
    Ok(Preview {
        is_valid: true,
        diagnostics: warnings,
        total,
        items: items.map(|entitlement| AvailableEntitlement::of(&snapshot, entitlement)),
        added: compared.then(|| only_in(&query, stored.as_ref())),
        removed: compared.then(|| stored.as_ref().map_or(0, |was| only_in(was, Some(&query)))),
    })
}

/// The stored query; `None` if it cannot be read any more, and then it selects nothing.
async fn stored_query(tx: &mut Tx, id: &AccessScopeId) -> Result<Option<Query>, AppError> {
    let scope = tx.find_access_scope(id).await?;
    let scope = scope.ok_or_else(|| {
        AppError::invalid(
            "access_scope_id",
            "names no access scope; leave it out to compare with \
                                              none",
        )
    })?;
    Ok(parse(&scope.query).ok())
}
