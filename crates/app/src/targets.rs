//! Targets as they are sent, and their references turned into ids: what flows and bundles share.
//!
//! Whoever saves something with targets holds what they name until the transaction ends, so that
//! nothing that was named is deleted in between.

use std::collections::BTreeSet;

use latchkey_domain::{
    flow::{IntegrationTarget, ResourceScope},
    ids::{AccessScopeId, BundleId, IntegrationId},
};
use latchkey_store::Tx;

use crate::{
    access_scopes, bundles,
    error::{AppError, FieldError},
    integrations,
};

/// Resources of one type of one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationTargetInput {
    /// Id or name.
    pub integration_reference: String,
    /// The resource type.
    pub resource_type: String,
    /// Permission names.
    pub permissions: Vec<String>,
    /// Which resources.
    pub resources_scopes: Option<Vec<ResourceScope>>,
}

/// The target that `sent` means, or what is wrong with the target at `field`.
pub(crate) async fn integration_target(
    tx: &mut Tx,
    field: &str,
    sent: &IntegrationTargetInput,
) -> Result<Result<IntegrationTarget, FieldError>, AppError> {
    let found = integrations::find_by_reference(tx, &sent.integration_reference).await?;
    let field = format!("{field}.integration.integration_reference");
    Ok(found.ok_or_else(|| nothing(field, "integration")).map(|integration| IntegrationTarget {
        integration_id: integration.id,
        resource_type: sent.resource_type.clone(),
        permissions: sent.permissions.clone(),
        resources_scopes: sent.resources_scopes.clone(),
    }))
}

/// The access scope that `reference` means, or what is wrong with the target at `field`.
pub(crate) async fn access_scope_target(
    tx: &mut Tx,
    field: &str,
    reference: &str,
) -> Result<Result<AccessScopeId, FieldError>, AppError> {
    let found = access_scopes::find_by_reference(tx, reference).await?;
    let field = format!("{field}.access_scope.access_scope_reference");
    Ok(found.map(|scope| scope.id).ok_or_else(|| nothing(field, "access scope")))
}

/// The bundle that `reference` means, or what is wrong with the target at `field`.
pub(crate) async fn bundle_target(
    tx: &mut Tx,
    field: &str,
    reference: &str,
) -> Result<Result<BundleId, FieldError>, AppError> {
    let found = bundles::find_by_reference(tx, reference).await?;
    let field = format!("{field}.bundle.bundle_reference");
    Ok(found.map(|bundle| bundle.id).ok_or_else(|| nothing(field, "bundle")))
}

fn nothing(field: String, what: &str) -> FieldError {
    FieldError::new(field, format!("names no {what} by id or name"))
}

/// What some targets name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) integrations: BTreeSet<IntegrationId>,
    pub(crate) bundles: BTreeSet<BundleId>,
    pub(crate) access_scopes: BTreeSet<AccessScopeId>,
}

impl Named {
    /// Keeps all of it from being deleted until the transaction ends; 409 if some of it is gone
    /// by now.
    pub(crate) async fn hold(self, tx: &mut Tx) -> Result<(), AppError> {
        let integrations: Vec<IntegrationId> = self.integrations.into_iter().collect();
        let bundles: Vec<BundleId> = self.bundles.into_iter().collect();
        let access_scopes: Vec<AccessScopeId> = self.access_scopes.into_iter().collect();
        let all_there = tx.hold_integrations(&integrations).await?
            && tx.hold_bundles(&bundles).await?
            && tx.hold_access_scopes(&access_scopes).await?;
        if all_there {
            return Ok(());
        }
        Err(AppError::conflict("something that a target names was deleted just now; send it again"))
    }
}
