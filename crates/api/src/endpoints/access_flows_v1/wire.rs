//! The wire shapes of access flows, v1: ids instead of references, seconds instead of minutes and
//! times of day.

use latchkey_app::flows::{
    FlowView, LegacyChange, LegacyFlow, LegacyIdentity, LegacyKind, LegacySettings,
    LegacySettingsChange, LegacyTimeframe,
};
use latchkey_domain::flow::FlowTrigger;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    body::refused,
    endpoints::integration_target_v1::{IntegrationTarget, targets},
    error::{ApiError, FieldError},
    time::EpochSeconds,
    words::DayOfWeek,
};

/// Words for how access begins, beside what they stand for.
const TRIGGERS: [(&str, FlowTrigger); 2] =
    [("user_request", FlowTrigger::SelfServe), ("automatic", FlowTrigger::Automatic)];

/// Access flow, v1 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessFlowV1")]
pub struct AccessFlow {
    /// Flow id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Whether new requests may use it.
    pub active: bool,
    /// How access begins, and when it may exist.
    pub trigger: Trigger,
    /// Who may ask, or, automatic, who gets it.
    pub grantees: Vec<Identity>,
    /// What it gives in integrations.
    pub integration_targets: Vec<IntegrationTarget>,
    /// Bundles that it gives.
    pub bundle_targets: Vec<BundleTarget>,
    /// Who has to agree; empty means nobody.
    pub approvers: Vec<Identity>,
    /// Longest grant in seconds; -1 means until revoked.
    pub revoke_after_in_sec: i32,
    /// Switches.
    pub settings: Settings,
    /// When it was made.
    pub created_date: EpochSeconds,
}

/// New access flow, v1.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessFlowCreateV1")]
pub struct AccessFlowCreate {
    name: String,
    active: bool,
    trigger: TriggerInput,
    /// Who may ask; at least one.
    grantees: Vec<Identity>,
    /// What it gives in integrations; with `bundle_targets` at least one.
    integration_targets: Option<Vec<IntegrationTarget>>,
    /// Bundles that it gives.
    bundle_targets: Option<Vec<BundleTarget>>,
    /// Who has to agree; nobody when left out.
    approvers: Option<Vec<Identity>>,
    /// Longest grant in seconds, 1 or more; -1 means until revoked.
    revoke_after_in_sec: i32,
    /// Switches; off when left out.
    settings: Option<SettingsInput>,
}

/// Partial change of an access flow, v1. What is left out or null is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessFlowPatchV1")]
pub struct AccessFlowPatch {
    name: Option<String>,
    active: Option<bool>,
    trigger: Option<TriggerInput>,
    /// Who may ask; replaces those that are shown.
    grantees: Option<Vec<Identity>>,
    /// What it gives in integrations; replaces those that are shown.
    integration_targets: Option<Vec<IntegrationTarget>>,
    /// Bundles that it gives; replaces those that are shown.
    bundle_targets: Option<Vec<BundleTarget>>,
    /// Who has to agree; replaces those that are shown.
    approvers: Option<Vec<Identity>>,
    /// Longest grant in seconds, 1 or more; -1 means until revoked.
    revoke_after_in_sec: Option<i32>,
    /// Switches; each that is left out or null is kept.
    settings: Option<SettingsInput>,
}

/// How access begins, and when it may exist.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TriggerV1")]
pub struct Trigger {
    /// `user_request` or `automatic`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When access may exist; null means always.
    pub timeframe: Option<Timeframe>,
}

/// How access begins, and when it may exist.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "TriggerInputV1")]
pub struct TriggerInput {
    /// `user_request` or `automatic`.
    #[serde(rename = "type")]
    kind: String,
    /// When access may exist; null means always, left out keeps what is.
    #[serde(default, deserialize_with = "even_null")]
    #[schemars(with = "Option<Timeframe>")]
    #[expect(clippy::option_option, reason = "left out and null mean two things")]
    timeframe: Option<Option<Timeframe>>,
}

/// Tells null from what was left out.
#[expect(clippy::option_option, reason = "left out and null mean two things")]
fn even_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Window in which access may exist.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TimeframeV1")]
pub struct Timeframe {
    /// Second of the day at which it opens.
    #[schemars(extend("minimum" = 0, "maximum" = 86_399))]
    pub start_of_day_time_in_seconds: i64,
    /// Second of the day at which it closes; before the opening it means the next day.
    #[schemars(extend("minimum" = 0, "maximum" = 86_399))]
    pub end_of_day_time_in_seconds: i64,
    /// Days on which it opens.
    pub days_in_week: Vec<DayOfWeek>,
    /// IANA name of the time zone.
    pub time_zone: String,
}

/// Person, group or attribute.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "IdentityRefV1")]
pub struct Identity {
    /// Id of the identity.
    pub id: String,
    /// `user`, `group` or `context_attribute`, in any letter case.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Whole bundle.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BundleTargetV1")]
pub struct BundleTarget {
    /// Bundle id.
    pub bundle_id: String,
}

/// Switches of a flow, v1.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FlowSettingsV1")]
#[expect(clippy::struct_excessive_bools, reason = "the wire format has these switches")]
pub struct Settings {
    /// A reason is needed when a request is repeated.
    pub require_justification_on_request_again: bool,
    /// Every approver has to agree; one is enough otherwise.
    pub require_all_approvers: bool,
    /// The approver has to say why.
    pub require_approver_justification: bool,
    /// Requestor and grantee are no approvers.
    pub approver_cannot_approve_himself: bool,
}

/// Switches of a flow, v1.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "FlowSettingsInputV1")]
pub struct SettingsInput {
    /// A reason is needed when a request is repeated.
    require_justification_on_request_again: Option<bool>,
    /// Every approver has to agree; one is enough otherwise.
    require_all_approvers: Option<bool>,
    /// The approver has to say why.
    require_approver_justification: Option<bool>,
    /// Requestor and grantee are no approvers.
    approver_cannot_approve_himself: Option<bool>,
}

impl From<FlowView> for AccessFlow {
    fn from(view: FlowView) -> Self {
        let shown = LegacyFlow::of(&view.flow);
        let kind = TRIGGERS.iter().find(|(_, trigger)| *trigger == shown.trigger);
        Self {
            id: view.flow.id.into(),
            name: shown.name,
            active: shown.active,
            trigger: Trigger {
                kind: kind.map_or("", |(word, _)| word).to_owned(),
                timeframe: shown.timeframe.map(Into::into),
            },
            grantees: shown.grantees.into_iter().map(Into::into).collect(),
            integration_targets: shown.integration_targets.iter().map(Into::into).collect(),
            bundle_targets: shown
                .bundle_ids
                .into_iter()
                .map(|bundle_id| BundleTarget { bundle_id })
                .collect(),
            approvers: shown.approvers.into_iter().map(Into::into).collect(),
            revoke_after_in_sec: shown.revoke_after_in_sec,
            settings: shown.settings.into(),
            created_date: view.flow.created_at.into(),
        }
    }
}

impl From<LegacyTimeframe> for Timeframe {
    fn from(timeframe: LegacyTimeframe) -> Self {
        Self {
            start_of_day_time_in_seconds: timeframe.start_sec,
            end_of_day_time_in_seconds: timeframe.end_sec,
            days_in_week: timeframe.days.into_iter().map(Into::into).collect(),
            time_zone: timeframe.time_zone,
        }
    }
}

impl From<Timeframe> for LegacyTimeframe {
    fn from(timeframe: Timeframe) -> Self {
        Self {
            start_sec: timeframe.start_of_day_time_in_seconds,
            end_sec: timeframe.end_of_day_time_in_seconds,
            days: timeframe.days_in_week.into_iter().map(Into::into).collect(),
            time_zone: timeframe.time_zone,
        }
    }
}

impl From<LegacyIdentity> for Identity {
    fn from(identity: LegacyIdentity) -> Self {
        Self { id: identity.id, kind: identity.kind.as_str().to_owned() }
    }
}

impl From<LegacySettings> for Settings {
    fn from(settings: LegacySettings) -> Self {
        Self {
            require_justification_on_request_again: settings.justification_again,
            require_all_approvers: settings.all_approvers,
            require_approver_justification: settings.approver_reason,
            approver_cannot_approve_himself: settings.not_own,
        }
    }
}

impl From<SettingsInput> for LegacySettingsChange {
    fn from(settings: SettingsInput) -> Self {
        Self {
            justification_again: settings.require_justification_on_request_again,
            all_approvers: settings.require_all_approvers,
            approver_reason: settings.require_approver_justification,
            not_own: settings.approver_cannot_approve_himself,
        }
    }
}

impl AccessFlowCreate {
    /// What to store; 400 naming every word that is none.
    pub(super) fn change(self) -> Result<LegacyChange, ApiError> {
        let patch = AccessFlowPatch {
            name: Some(self.name),
            active: Some(self.active),
            trigger: Some(self.trigger),
            grantees: Some(self.grantees),
            integration_targets: self.integration_targets,
            bundle_targets: self.bundle_targets,
            approvers: self.approvers,
            revoke_after_in_sec: Some(self.revoke_after_in_sec),
            settings: self.settings,
        };
        patch.change()
    }
}

impl AccessFlowPatch {
    /// What to change; 400 naming every word that is none.
    pub(super) fn change(self) -> Result<LegacyChange, ApiError> {
        let mut errors = Vec::new();
        let (kind, timeframe) = match self.trigger {
            None => (None, None),
            Some(trigger) => (Some(trigger.kind), trigger.timeframe),
        };
        let trigger = kind.and_then(|word| {
            let mut known = TRIGGERS.iter();
            let found = known.find(|(known, _)| known.eq_ignore_ascii_case(&word));
            if found.is_none() {
                errors.push(refused("trigger.type", "use user_request or automatic"));
            }
            found.map(|(_, trigger)| *trigger)
        });
        let grantees = self.grantees.map(|sent| identities("grantees", sent, &mut errors));
        let approvers = self.approvers.map(|sent| identities("approvers", sent, &mut errors));
        let integration_targets =
            self.integration_targets.map(|sent| targets("integration_targets", sent, &mut errors));
        if let Some(first) = errors.first() {
            let message = format!("{}: {}", first.field, first.message);
            return Err(ApiError::bad_request(message).with_errors(errors));
        }
        Ok(LegacyChange {
            name: self.name,
            active: self.active,
            trigger,
            timeframe: timeframe.map(|timeframe| timeframe.map(Into::into)),
            grantees,
            integration_targets,
            bundle_ids: self
                .bundle_targets
                .map(|targets| targets.into_iter().map(|target| target.bundle_id).collect()),
            approvers,
            revoke_after_in_sec: self.revoke_after_in_sec,
            settings: self.settings.unwrap_or_default().into(),
        })
    }
}

fn identities(
    field: &str,
    sent: Vec<Identity>,
    errors: &mut Vec<FieldError>,
) -> Vec<LegacyIdentity> {
    let mut known = Vec::with_capacity(sent.len());
    for (place, identity) in sent.into_iter().enumerate() {
        match LegacyKind::parse(&identity.kind) {
            Some(kind) => known.push(LegacyIdentity { id: identity.id, kind }),
            None => errors.push(refused(
                &format!("{field}[{place}].type"),
                "use user, group or context_attribute",
            )),
        }
    }
    known
}
