//! Who calls. A handler names what it does in the type of its first argument, so none can run
//! without a caller who may do that; the app asks again on the way to the data.
//!
//! Only `Authorization: Bearer` counts here, never a cookie. Who may never do an operation is
//! told so (403) before the path, the query or the body of the call is looked at.

use std::marker::PhantomData;

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{Operation as OperationDoc, Response as ResponseDoc, StatusCode as Code},
};
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{header, request::Parts},
};
use latchkey_app::{
    Actor, App, ConnectorActor, Operation,
    authenticate::{authenticate, authenticate_connector},
};
use secrecy::SecretString;

use crate::error::{ApiError, documented};

/// A person who may do `O`.
#[derive(Debug)]
pub struct May<O>(pub Actor, pub(crate) PhantomData<O>);

/// A connector, by its own token.
#[derive(Debug)]
pub struct FromConnector(pub ConnectorActor);

/// What a handler does, as a type.
pub trait Use: Send {
    /// The rule of the app's table that it stands for.
    const OPERATION: Operation;
}

macro_rules! uses {
    ($($name:ident)*) => {$(
        #[doc = concat!("Stands for [`Operation::", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Use for $name {
            const OPERATION: Operation = Operation::$name;
        }
    )*};
}
uses! {
    ReadUsers ManageIdentityAttributes ReadGroups ManageGroups ReadFlows ManageFlows
    ReadBundles ManageBundles
    ReadAccessScopes ManageAccessScopes PreviewAccessScope CompleteAccessScope ExplainAccess
    TryPolicy
    ReadConnectors ManageConnectors
    ReadIntegrations ManageIntegrations RefreshIntegration ReadInventory SetUserTags
    ReadAvailableAccess RequestAccess DryRunRequest
    ReadEmergencies ReviewEmergency
    ReadActivity ReadAnyRequest RequestForUser RevokeAnyRequest ForceDecision ReadSelectable
    ReadAnyAccessDetails ResetAnyCredentials
    ReadReports ManageReports RunReports
    ReadOwnRequests RevokeOwnRequest ExtendOwnRequest DecideRequest ReadSessions ReadAccessDetails
    ResetCredentials
    ReadOwnSecondFactor PassSecondFactor ResetSecondFactor
}

impl<O: Use, S> FromRequestParts<S> for May<O>
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = bearer(parts)?;
        let actor = authenticate(&App::from_ref(state), &token).await?;
        actor.require(O::OPERATION)?;
        Ok(Self(actor, PhantomData))
    }
}

impl<S> FromRequestParts<S> for FromConnector
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let token = bearer(parts)?;
        let app = App::from_ref(state);
        Ok(Self(authenticate_connector(&app, &token).await?))
    }
}

/// The token of the call. Two headers are refused: which one counts must not depend on a proxy.
fn bearer(parts: &Parts) -> Result<SecretString, ApiError> {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (headers.next(), headers.next()) else {
        return Err(ApiError::unauthorized());
    };
    let text = value.to_str().map_err(|_| ApiError::unauthorized())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(SecretString::from(token.trim()))
        }
        _ => Err(ApiError::unauthorized()),
    }
}

impl<O: Use> OperationInput for May<O> {
    fn operation_input(_: &mut GenContext, operation: &mut OperationDoc) {
        operation.security = vec![[("bearerAuth".to_owned(), Vec::new())].into()];
        let rule = O::OPERATION.rule();
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
        operation.extensions.insert("x-scope".to_owned(), rule.scope.as_str().into());
        operation.extensions.insert("x-roles".to_owned(), roles.into());
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut OperationDoc,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![
            documented(ctx, 401, "The token is missing or not valid."),
            documented(ctx, 403, "The token is good and may not do this."),
        ]
    }
}

impl OperationInput for FromConnector {
    fn operation_input(_: &mut GenContext, operation: &mut OperationDoc) {
        operation.security = vec![[("connectorToken".to_owned(), Vec::new())].into()];
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut OperationDoc,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![documented(ctx, 401, "The connector's token is missing or not valid.")]
    }
}
