//! `/api/admin/v1/emergencies`: ours, beside the common wire format. Uses of flows for emergencies,
//! and what was found when somebody looked at each afterwards.

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    emergencies::{self, EmergencyView},
};
use latchkey_domain::emergency::Finding as Found;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::references::UserRef;
use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{May, ReadEmergencies, ReviewEmergency},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Latchkey";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/admin/v1/emergencies",
            get_with(list, |op| {
                let summary = "Page through the requests that were given access as emergencies, \
                               oldest first.";
                described(op, TAG, "listEmergencies", summary)
            }),
        )
        .api_route(
            "/api/admin/v1/emergencies/{id}/review",
            post_with(review, |op| {
                let summary = "Write down what was found when an emergency was looked at \
                               afterwards. Not for those who asked for it or had it.";
                let described = described(op, TAG, "reviewEmergency", summary);
                conflicts(described, "The access lives, or somebody has looked at it already.")
            }),
        )
}

/// Which emergencies to list.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Only those that somebody has looked at (`true`), or only the others (`false`).
    reviewed: Option<bool>,
}

/// A request that was given access as an emergency.
#[derive(Debug, Serialize, JsonSchema)]
struct Emergency {
    /// Request id.
    id: String,
    /// The number people say, `AR-7`.
    number: String,
    /// Where the request stands.
    status: &'static str,
    /// Who asked.
    requestor: UserRef,
    /// Who received the access.
    grantee: UserRef,
    /// The flow that gave it.
    access_flow_name: String,
    /// Why it was asked for.
    justification: Option<String>,
    /// When access began to be given.
    began_at: Timestamp,
    /// When it ended; null as long as it lives.
    ended_at: Option<Timestamp>,
    /// What was found; null as long as nobody has looked.
    review: Option<Review>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EmergencyReview")]
struct Review {
    /// Whether it was an emergency.
    finding: Finding,
    /// What happened, and what follows from it.
    note: String,
    /// Who looked.
    reviewer: UserRef,
    /// When.
    reviewed_at: Timestamp,
}

/// Whether it was an emergency.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "EmergencyFinding")]
enum Finding {
    /// It was one, and the access was used for it.
    Justified,
    /// It was none, or the access was used for something else.
    NotJustified,
}

/// What to write down.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "EmergencyReviewInput")]
struct ReviewInput {
    /// Whether it was an emergency.
    finding: Finding,
    /// What happened, and what follows from it: 1 to 1000 characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 1000))]
    note: String,
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Justified => Self::Justified,
            Finding::NotJustified => Self::NotJustified,
        }
    }
}

impl From<Found> for Finding {
    fn from(finding: Found) -> Self {
        match finding {
            Found::Justified => Self::Justified,
            Found::NotJustified => Self::NotJustified,
        }
    }
}

impl From<EmergencyView> for Emergency {
    fn from(view: EmergencyView) -> Self {
        let EmergencyView { seen, emergency, reviewer } = view;
        let review = emergency.review.zip(reviewer).map(|(review, reviewer)| Review {
            finding: review.finding.into(),
            note: review.note,
            reviewer: UserRef::from(&reviewer),
            reviewed_at: review.at.into(),
        });
        Self {
            number: format!("AR-{}", seen.request.number),
            status: seen.request.state.as_str(),
            requestor: UserRef::from(&seen.requestor),
            grantee: UserRef::from(&seen.grantee),
            access_flow_name: seen.flow_name,
            justification: seen.request.justification,
            began_at: emergency.began_at.into(),
            ended_at: seen.request.ended_at.map(Into::into),
            review,
            id: seen.request.id.into(),
        }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadEmergencies>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<Emergency>>, ApiError> {
    let reviewed = listing.filters.reviewed;
    let page = emergencies::list_emergencies(&app, &actor, reviewed, &listing.page).await?;
    Ok(listing.reply(page, Emergency::from))
}

async fn review(
    State(app): State<App>,
    May(actor, ..): May<ReviewEmergency>,
    Id(id): Id,
    Body(input): Body<ReviewInput>,
) -> Result<Reply<Emergency>, ApiError> {
    let ReviewInput { finding, note } = input;
    Ok(Reply(emergencies::review_emergency(&app, &actor, &id, finding.into(), &note).await?.into()))
}
