//! What a query selects now, and how that differs from what an access scope selects: for whoever
//! writes one.

use std::collections::BTreeMap;

use latchkey_aql::{Diagnostic, Parsed, Query, parse, parse_with_warnings};
use latchkey_domain::ids::AccessScopeId;
use latchkey_store::{PageKey, Tx};

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    available_access::AvailableEntitlement,
    error::AppError,
    members::{Place, selects, walk},
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
    /// A page of them, by `resource id:permission id`.
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
    app.store()
        .read(async |tx| {
            let stored = match &command.access_scope_id {
                Some(id) => stored_query(tx, id).await?,
                None => None,
            };
            match parse_with_warnings(&command.query) {
                Ok(parsed) => {
                    let mut shown = select(tx, parsed, stored.as_ref(), page).await?;
                    if command.access_scope_id.is_none() {
                        (shown.added, shown.removed) = (None, None);
                    }
                    Ok(shown)
                }
                Err(diagnostics) => Ok(Preview {
                    is_valid: false,
                    diagnostics,
                    total: 0,
                    items: Page { items: Vec::new(), next: None },
                    added: None,
                    removed: None,
                }),
            }
        })
        .await
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

async fn select(
    tx: &mut Tx,
    parsed: Parsed,
    stored: Option<&Query>,
    page: &PageRequest,
) -> Result<Preview, AppError> {
    let Parsed { query, warnings } = parsed;
    let (mut total, mut added, mut removed) = (0, 0, 0);
    let mut rows: BTreeMap<String, AvailableEntitlement> = BTreeMap::new();
    let wanted = page.query().limit as usize;
    let place = Place::of_queries(std::iter::once(&query).chain(stored));
    walk(tx, &place, |integration, entitlement| {
        let was = stored.is_some_and(|stored| selects(stored, integration, entitlement));
        let is = selects(&query, integration, entitlement);
        total += u64::from(is);
        added += u64::from(is && !was);
        removed += u64::from(was && !is);
        if !is {
            return;
        }
        let key = AvailableEntitlement::key(entitlement);
        if page.after.as_ref().is_some_and(|after| key <= after.id) {
            return;
        }
        // Of the rows that follow, only the first are wanted.
        if rows.len() == wanted && rows.last_key_value().is_some_and(|(last, _)| key > *last) {
            return;
        }
        let integration_name = integration.name.clone();
        let entitlement = entitlement.clone();
        rows.insert(key, AvailableEntitlement { entitlement, integration_name });
        if rows.len() > wanted {
            rows.pop_last();
        }
    })
    .await?;
    let created_at = jiff::Timestamp::UNIX_EPOCH;
    let items =
        page.page(rows.into_iter().collect(), |(key, _)| PageKey { created_at, id: key.clone() });
    Ok(Preview {
        is_valid: true,
        diagnostics: warnings,
        total,
        items: items.map(|(_, row)| row),
        added: Some(added),
        removed: Some(removed),
    })
}
