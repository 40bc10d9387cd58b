//! `/api/admin/v1/explain`: ours, beside the common wire format. Why somebody may ask for
//! something, or may not, value by value; and everybody who may.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    explain::{
        self as why, AccessExplained, WhoMayAsk, WhyCondition, WhyExpr, WhyFlow, WhyScope, WhySet,
        WhyTarget, WhyTargetKind, WhyValue,
    },
};
use latchkey_domain::flow::ScopeMode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    access_requests_v4::explain, available_access_v1::AvailableEntitlement, references::UserRef,
};
use crate::{
    ApiState,
    body::Reply,
    caller::{ExplainAccess, May},
    documentation::described,
    error::ApiError,
    paging::{Listing, PageOf},
    query::Query,
    words::{LogicalOperator, MatchOperator},
};

const TAG: &str = "Latchkey";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/admin/v1/explain/access",
            get_with(access, |op| {
                let summary = "Explain why a person may ask for an entitlement, or may not: flow \
                               by flow, condition by condition, target by target.";
                described(op, TAG, "explainAccess", summary)
            }),
        )
        .api_route("/api/admin/v1/explain/access-requests/{id}", explain::any_route())
        .api_route(
            "/api/admin/v1/explain/who",
            get_with(who, |op| {
                let summary = "Page through everybody who may ask for an entitlement, with the \
                               flows that let them.";
                described(op, TAG, "explainWho", summary)
            }),
        )
}

/// Whom and what to explain.
#[derive(Debug, Deserialize, JsonSchema)]
struct Asked {
    /// Id or e-mail of the person.
    user: String,
    /// `RESOURCE:PERMISSION`, with ids as available entitlements show them.
    entitlement: String,
}

/// What to look for people for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct AskedFor {
    /// `RESOURCE:PERMISSION`, with ids as available entitlements show them. Needed for the first
    /// page.
    entitlement: Option<String>,
}

/// Why a person may ask for an entitlement, or may not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessExplanation {
    /// The person.
    pub user: UserRef,
    /// What it is about.
    pub entitlement: AvailableEntitlement,
    /// Whether any flow lets the person ask for it.
    pub may_ask: bool,
    /// Every flow that gives it, and every flow that is for the person. A flow that is not here
    /// is neither.
    pub flows: Vec<FlowExplanation>,
}

/// What one access flow says.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct FlowExplanation {
    /// Flow id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether the person may ask by it: all that follows holds.
    pub gives: bool,
    /// Whether it is switched on.
    pub active: bool,
    /// Whether it is asked for, not automatic.
    pub self_serve: bool,
    /// Whether the person is active.
    pub user_active: bool,
    /// Whether the person is among those who may ask.
    pub requestors: ConditionsExplanation,
    /// Whether the person may ask for themselves.
    pub for_self: bool,
    /// The names of the floors that keep it from giving this.
    pub below_floors: Vec<String>,
    /// Each target.
    pub targets: Vec<TargetExplanation>,
}

/// Whether a person meets conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConditionsExplanation {
    /// Whether they are met.
    pub met: bool,
    /// How the conditions combine.
    pub logical_operator: LogicalOperator,
    /// Each condition.
    pub conditions: Vec<ConditionExplanation>,
}

/// Whether a person meets a condition.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConditionExplanation {
    /// Whether it is met.
    pub met: bool,
    /// What of the person it looks at.
    pub attribute_type: String,
    /// How.
    pub operator: MatchOperator,
    /// Each value: one that is met is enough for a positive operator, all are needed for a
    /// negative one.
    pub values: Vec<ValueExplanation>,
}

/// Whether something holds for one value alone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ValueExplanation {
    /// The value as it was sent.
    pub value: String,
    /// Whether it holds.
    pub met: bool,
}

/// Whether a target covers an entitlement; the members that are there say why.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TargetExplanation {
    /// Whether it does.
    pub covers: bool,
    /// `integration`, `bundle` or `access_scope`.
    pub kind: &'static str,
    /// Id of the bundle or access scope.
    pub id: Option<String>,
    /// Whether access can be given on the resource at all.
    pub grantable: Option<bool>,
    /// Whether it is this integration.
    pub same_integration: Option<bool>,
    /// Whether it is this resource type.
    pub same_type: Option<bool>,
    /// Each permission that is named, and whether it is this one.
    pub permissions: Vec<ValueExplanation>,
    /// Each rule over resources.
    pub scopes: Vec<ScopeExplanation>,
    /// What a bundle holds.
    pub targets: Vec<TargetExplanation>,
    /// What the query of an access scope comes to; null if it cannot be read.
    pub query: Option<QueryExplanation>,
}

/// Whether a rule over resources selects a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScopeExplanation {
    /// Whether it does; an excluding one then takes it out.
    pub selects: bool,
    /// Whether it leaves out what it selects.
    pub excludes: bool,
    /// Each value.
    pub values: Vec<ValueExplanation>,
}

/// Whether a part of a query holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueryExplanation {
    /// Whether it does.
    pub holds: bool,
    /// The part as it is written.
    pub text: String,
    /// Its own parts; for a condition with several values, each of them.
    pub parts: Vec<QueryExplanation>,
}

/// Somebody who may ask.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WhoMay {
    /// The person.
    pub user: UserRef,
    /// The flows that let them.
    pub flows: Vec<FlowRef>,
}

/// Short form of an access flow.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessFlowRef")]
pub struct FlowRef {
    /// Flow id.
    pub id: String,
    /// Its name now.
    pub name: String,
}

impl From<AccessExplained> for AccessExplanation {
    fn from(explained: AccessExplained) -> Self {
        Self {
            user: UserRef::from(&explained.user),
            entitlement: explained.entitlement.into(),
            may_ask: explained.may_ask,
            flows: explained.flows.into_iter().map(FlowExplanation::from).collect(),
        }
    }
}

impl From<WhyFlow> for FlowExplanation {
    fn from(why: WhyFlow) -> Self {
        Self {
            id: why.flow_id.into(),
            name: why.flow_name,
            gives: why.gives,
            active: why.active,
            self_serve: why.self_serve,
            user_active: why.people_active,
            requestors: why.requestors.into(),
            for_self: why.for_grantee,
            below_floors: why.below_floors,
            targets: all(why.targets),
        }
    }
}

impl From<WhySet> for ConditionsExplanation {
    fn from(why: WhySet) -> Self {
        Self {
            met: why.met,
            logical_operator: why.logical_operator.into(),
            conditions: all(why.conditions),
        }
    }
}

impl From<WhyCondition> for ConditionExplanation {
    fn from(why: WhyCondition) -> Self {
        Self {
            met: why.met,
            attribute_type: why.attribute_type,
            operator: why.operator.into(),
            values: all(why.values),
        }
    }
}

impl From<WhyValue> for ValueExplanation {
    fn from(why: WhyValue) -> Self {
        Self { value: why.value, met: why.met }
    }
}

impl From<WhyScope> for ScopeExplanation {
    fn from(why: WhyScope) -> Self {
        let excludes = why.scope_mode == ScopeMode::ExcludeResources;
        Self { selects: why.selects, excludes, values: all(why.values) }
    }
}

impl From<WhyExpr> for QueryExplanation {
    fn from(why: WhyExpr) -> Self {
        Self { holds: why.holds, text: why.text, parts: all(why.parts) }
    }
}

impl From<WhyTarget> for TargetExplanation {
    fn from(why: WhyTarget) -> Self {
        let mut shown = Self {
            covers: why.covers,
            kind: "integration",
            id: None,
            grantable: None,
            same_integration: None,
            same_type: None,
            permissions: Vec::new(),
            scopes: Vec::new(),
            targets: Vec::new(),
            query: None,
        };
        match why.why {
            WhyTargetKind::Integration {
                grantable,
                same_integration,
                same_type,
                permissions,
                scopes,
                ..
            } => {
                shown.grantable = Some(grantable);
                shown.same_integration = Some(same_integration);
                shown.same_type = Some(same_type);
                shown.permissions = all(permissions);
                shown.scopes = all(scopes);
            }
            WhyTargetKind::Bundle { id, targets, .. } => {
                shown.kind = "bundle";
                shown.id = Some(id.into());
                shown.targets = all(targets);
            }
            WhyTargetKind::AccessScope { id, grantable, query } => {
                shown.kind = "access_scope";
                shown.id = Some(id.into());
                shown.grantable = Some(grantable);
                shown.query = query.map(QueryExplanation::from);
            }
        }
        shown
    }
}

impl From<WhoMayAsk> for WhoMay {
    fn from(who: WhoMayAsk) -> Self {
        let flows = who.flows.into_iter();
        Self {
            user: UserRef::from(&who.user),
            flows: flows.map(|flow| FlowRef { id: flow.id.into(), name: flow.name }).collect(),
        }
    }
}

fn all<T, W: From<T>>(parts: Vec<T>) -> Vec<W> {
    parts.into_iter().map(W::from).collect()
}

async fn access(
    State(app): State<App>,
    May(actor, ..): May<ExplainAccess>,
    Query(asked): Query<Asked>,
) -> Result<Reply<AccessExplanation>, ApiError> {
    let explained = why::explain_access(&app, &actor, &asked.user, &asked.entitlement).await?;
    Ok(Reply(explained.into()))
}

async fn who(
    State(app): State<App>,
    May(actor, ..): May<ExplainAccess>,
    listing: Listing<AskedFor>,
) -> Result<Reply<PageOf<WhoMay>>, ApiError> {
    let entitlement = listing.filters.entitlement.as_deref();
    let entitlement = entitlement.ok_or_else(|| ApiError::field("entitlement", "is required"))?;
    let page = why::who_may_ask(&app, &actor, entitlement, &listing.page).await?;
    Ok(listing.reply(page, WhoMay::from))
}
