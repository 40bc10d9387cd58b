//! `/api/v2/identities`: what flows of the older format can name as grantee or approver.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    attributes::{IdentitiesQuery, IdentityView, list_identities},
};
use latchkey_domain::people::IdentityKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiState,
    caller::{May, ReadUsers},
    documentation::described,
    error::ApiError,
    streaming::{WholeList, pages},
};

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new().api_route(
        "/api/v2/identities",
        get_with(list, |op| {
            let summary = "List every user, every group and every value of an attribute that \
                           somebody has, in the order in which they were first known.";
            described(op, "Identities", "listIdentitiesV2", summary)
        }),
    )
}

/// Identity that flows of the older format can name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IdentityV2")]
pub struct Identity {
    /// `USER`, `GROUP` or `CONTEXT_ATTRIBUTE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user's address, the group's name, or the attribute's value.
    pub name: String,
    /// Id to name it by.
    pub id: String,
}

impl From<IdentityView> for Identity {
    fn from(view: IdentityView) -> Self {
        let kind = match view.identity.kind {
            IdentityKind::User => "USER",
            IdentityKind::Group => "GROUP",
            IdentityKind::Attribute(_) => "CONTEXT_ATTRIBUTE",
        };
        Self { kind: kind.to_owned(), name: view.identity.value, id: view.identity.id }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
) -> Result<WholeList<Identity>, ApiError> {
    WholeList::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        let all = IdentitiesQuery::default();
        Ok(list_identities(app, actor, all, &page).await?.map(Identity::from))
    }))
    .await
}
