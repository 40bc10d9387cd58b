//! The oldest form of a flow (v1 of the wire format), as a view of the stored one.
//!
//! v1 can say less than is stored: identities by id without operators, and no access scopes,
//! labels or tiers. What it cannot say is left out of its view, and a change made through it keeps
//! that: a list that comes back as it was shown changes nothing, and one that was changed replaces
//! only what had been shown. So nobody loses a control that they could not see.

use std::collections::BTreeSet;

use latchkey_domain::{
    flow::{
        AccessFlow, ApprovalMode, ApproverGroup, ApproverPolicy, Condition, ConditionSet,
        DayOfWeek, FlowPolicy, FlowSettings, FlowTarget, FlowTrigger, IntegrationTarget,
        LegacyPolicy, LogicalOperator, MatchOperator, Timeframe,
    },
    ids::{BundleId, FlowId, GroupId, UserId},
    policy::{
        ends::longest_grant,
        matching::{GROUP, MANAGER, OWNER, USER},
        timeframe::seconds_of_day,
    },
    resource_tags::as_tags_say,
};
use latchkey_store::Tx;

use super::{
    FlowView,
    change::{Draft, insert, replace},
    view,
};
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
};

/// The duration that means "until revoked".
const NO_END: i32 = -1;
/// Everything that v1 says of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyFlow {
    /// Unique without letter case.
    pub name: String,
    /// Whether new requests may use it.
    pub active: bool,
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// When access may exist.
    pub timeframe: Option<LegacyTimeframe>,
    /// Who may ask, or, automatic, who gets it.
    pub grantees: Vec<LegacyIdentity>,
    /// What it gives in integrations.
    pub integration_targets: Vec<IntegrationTarget>,
    /// Ids of the bundles that it gives.
    pub bundle_ids: Vec<String>,
    /// Who has to agree; empty means nobody.
    pub approvers: Vec<LegacyIdentity>,
    /// Longest grant in seconds; -1 until revoked.
    pub revoke_after_in_sec: i32,
    /// Switches.
    pub settings: LegacySettings,
}

/// What to change in a flow. What is absent is kept; a list that is there replaces the shown one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacyChange {
    /// The name.
    pub name: Option<String>,
    /// Whether new requests may use it.
    pub active: Option<bool>,
    /// Asked for, or automatic.
    pub trigger: Option<FlowTrigger>,
    /// When access may exist; `Some(None)` for always.
    pub timeframe: Option<Option<LegacyTimeframe>>,
    /// Who may ask.
    pub grantees: Option<Vec<LegacyIdentity>>,
    /// What it gives in integrations.
    pub integration_targets: Option<Vec<IntegrationTarget>>,
    /// Ids of the bundles that it gives.
    pub bundle_ids: Option<Vec<String>>,
    /// Who has to agree.
    pub approvers: Option<Vec<LegacyIdentity>>,
    /// Longest grant in seconds; -1 until revoked.
    pub revoke_after_in_sec: Option<i32>,
    /// Switches, each by itself.
    pub settings: LegacySettingsChange,
}

/// A person, a group or an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LegacyIdentity {
    /// Its id; what the flow says where nobody has it yet.
    pub id: String,
    /// What kind of identity.
    pub kind: LegacyKind,
}

/// Kinds of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegacyKind {
    /// A person.
    User,
    /// A group.
    Group,
    /// Anything else, such as the requestor's manager.
    ContextAttribute,
}

impl LegacyKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::ContextAttribute => "context_attribute",
        }
    }

    /// The kind with this word, in any letter case.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Group, Self::ContextAttribute]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }

    fn of(attribute_type: &str) -> Self {
        match attribute_type {
            USER => Self::User,
            GROUP => Self::Group,
            _ => Self::ContextAttribute,
        }
    }
}

/// Days and seconds of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyTimeframe {
    /// The second at which it opens, from 0 to 86,399.
    pub start_sec: i64,
    /// The second at which it closes.
    pub end_sec: i64,
    /// The days.
    pub days: Vec<DayOfWeek>,
    /// IANA name.
    pub time_zone: String,
}

/// Switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the wire format has these switches")]
pub struct LegacySettings {
    /// Asking again needs a justification.
    pub justification_again: bool,
    /// Every approver has to agree.
    pub all_approvers: bool,
    /// An approver has to say why.
    pub approver_reason: bool,
    /// Requestor and grantee do not decide.
    pub not_own: bool,
}

/// Switches to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LegacySettingsChange {
    /// Asking again needs a justification.
    pub justification_again: Option<bool>,
    /// Every approver has to agree.
    pub all_approvers: Option<bool>,
    /// An approver has to say why.
    pub approver_reason: Option<bool>,
    /// Requestor and grantee do not decide.
    pub not_own: Option<bool>,
}

/// Creates a flow by all that v1 can say.
pub async fn create_legacy_flow(
    app: &App,
    actor: &Actor,
    flow: LegacyChange,
) -> Result<FlowView, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<FlowView, AppError> {
            let draft = Merge::new(tx, None).draft(&flow).await?;
            let policy = draft.policy.clone();
            let made = insert(tx, app, actor, draft).await;
            let made = made.map_err(|error| in_legacy_terms(error, &policy))?;
            Ok(view(tx, made).await?)
        })
        .await
}

/// Changes what a flow says where `change` says something; keeps the rest.
pub async fn patch_legacy_flow(
    app: &App,
    actor: &Actor,
    id: &FlowId,
    change: LegacyChange,
) -> Result<FlowView, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<FlowView, AppError> {
            let before = tx.find_flow(id).await?.ok_or_else(AppError::not_found)?;
            let draft = Merge::new(tx, Some(&before)).draft(&change).await?;
            if draft == Draft::of(&before) {
                return Ok(view(tx, before).await?);
            }
            let policy = draft.policy.clone();
            let made = replace(tx, actor, before, draft).await;
            let made = made.map_err(|error| in_legacy_terms(error, &policy))?;
            Ok(view(tx, made).await?)
        })
        .await
}

impl LegacyFlow {
    /// What v1 says of the flow.
    pub fn of(flow: &AccessFlow) -> Self {
        let policy = &flow.policy;
        let settings = &policy.settings;
        let approvers = policy.approver_policy.as_ref();
        Self {
            name: flow.name.clone(),
            active: flow.active,
            trigger: policy.trigger,
            timeframe: policy.timeframe.as_ref().map(shown_timeframe),
            grantees: shown_conditions(&policy.requestors.conditions).collect(),
            integration_targets: integrations(policy).map(as_shown).collect(),
            bundle_ids: bundles(policy).collect(),
            approvers: approvers.map(shown_approvers).unwrap_or_default(),
            revoke_after_in_sec: shown_duration(policy),
            settings: LegacySettings {
                justification_again: settings.require_justification_on_request_again,
                all_approvers: approvers.map_or(policy.legacy.require_all_approvers, |policy| {
                    policy.approval_mode == ApprovalMode::AllOf
                }),
                approver_reason: settings.require_approver_reason,
                not_own: settings.requestor_cannot_approve_himself,
            },
        }
    }
}

fn integrations(policy: &FlowPolicy) -> impl Iterator<Item = &IntegrationTarget> {
    policy.access_targets.iter().filter_map(|target| match target {
        FlowTarget::Integration(target) => Some(target),
        FlowTarget::Bundle(_) | FlowTarget::AccessScope(_) => None,
    })
}

fn bundles(policy: &FlowPolicy) -> impl Iterator<Item = String> + '_ {
    policy.access_targets.iter().filter_map(|target| match target {
        FlowTarget::Bundle(id) => Some(id.to_string()),
        FlowTarget::Integration(_) | FlowTarget::AccessScope(_) => None,
    })
}

fn shown_duration(policy: &FlowPolicy) -> i32 {
    longest_grant(policy).map_or(NO_END, |seconds| i32::try_from(seconds).unwrap_or(i32::MAX))
}

fn shown_timeframe(timeframe: &Timeframe) -> LegacyTimeframe {
    // A stored timeframe was understood when it was saved.
    let seconds = |text: &str| seconds_of_day(text).map_or(0, i64::from);
    LegacyTimeframe {
        start_sec: seconds(&timeframe.start_time),
        end_sec: seconds(&timeframe.end_time),
        days: timeframe.days_of_week.clone(),
        time_zone: timeframe.time_zone.clone(),
    }
}

/// Whether v1 can say the condition: that the identity is one of these, from whatever source.
fn is_sayable(condition: &Condition) -> bool {
    condition.operator() == MatchOperator::Is && condition.source_integration_id.is_none()
}

/// Whether v1 can say the group of approvers.
fn is_sayable_group(group: &ApproverGroup) -> bool {
    matches!(group.approvers.as_slice(), [condition] if is_sayable(condition))
}

fn shown_conditions<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
) -> impl Iterator<Item = LegacyIdentity> {
    let sayable = conditions.into_iter().filter(|condition| is_sayable(condition));
    sayable.flat_map(shown_condition)
}

/// The identities of one condition; a relation without values stands for itself.
fn shown_condition(condition: &Condition) -> Vec<LegacyIdentity> {
    let kind = LegacyKind::of(&condition.attribute_type);
    if condition.values().is_empty() {
        return vec![LegacyIdentity { id: condition.attribute_type.clone(), kind }];
    }
    let pins = condition.pinned_ids.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    let values = condition.values().iter().zip(pins);
    values
        .map(|(value, pin)| LegacyIdentity { id: pin.unwrap_or(value).to_owned(), kind })
        .collect()
}

fn shown_approvers(policy: &ApproverPolicy) -> Vec<LegacyIdentity> {
    let groups = policy.approver_groups.iter().filter(|group| is_sayable_group(group));
    shown_conditions(groups.flat_map(|group| &group.approvers)).collect()
}

/// The target as it is once v1 has shown it and taken it back.
fn as_shown(target: &IntegrationTarget) -> IntegrationTarget {
    IntegrationTarget {
        resources_scopes: as_tags_say(target.resources_scopes.as_deref()),
        ..target.clone()
    }
}

/// A change on its way into the stored form; gathers what means nothing, so that one answer
/// names it all.
struct Merge<'a> {
    tx: &'a mut Tx,
    before: Option<&'a AccessFlow>,
    errors: Vec<FieldError>,
}

impl<'a> Merge<'a> {
    fn new(tx: &'a mut Tx, before: Option<&'a AccessFlow>) -> Self {
        Self { tx, before, errors: Vec::new() }
    }

    async fn draft(mut self, change: &LegacyChange) -> Result<Draft, AppError> {
        let mut draft = match self.before {
            Some(before) => Draft::of(before),
            None => Draft {
                name: String::new(),
                description: None,
                active: false,
                policy: blank(change.trigger.unwrap_or(FlowTrigger::SelfServe)),
            },
        };
        draft.name = change.name.clone().unwrap_or(draft.name);
        draft.active = change.active.unwrap_or(draft.active);
        let policy = &mut draft.policy;
        if let Some(trigger) = change.trigger {
            policy.trigger = trigger;
            // An automatic flow has nobody to justify it.
            policy.settings.justification_required &= trigger == FlowTrigger::SelfServe;
        }
        self.timeframe(change, policy);
        self.duration(change, policy);
        Self::settings(change, policy);
        self.grantees(change, policy).await?;
        self.targets(change, policy).await?;
        self.approvers(change, policy).await?;
        if self.errors.is_empty() { Ok(draft) } else { Err(AppError::invalid_fields(self.errors)) }
    }

    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    fn timeframe(&mut self, change: &LegacyChange, policy: &mut FlowPolicy) {
        let Some(sent) = &change.timeframe else { return };
        if policy.timeframe.as_ref().map(shown_timeframe) == *sent {
            return;
        }
        policy.timeframe = sent.as_ref().map(|sent| {
            let mut time = |member: &str, seconds: i64| {
                if !(0..86_400).contains(&seconds) {
                    let field = format!("trigger.timeframe.{member}");
                    self.refuse(field, "must be a second of the day, from 0 to 86399");
                }
                let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                match second {
                    0 => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                }
            };
            Timeframe {
                start_time: time("start_of_day_time_in_seconds", sent.start_sec),
                end_time: time("end_of_day_time_in_seconds", sent.end_sec),
                days_of_week: sent.days.clone(),
                time_zone: sent.time_zone.clone(),
            }
        });
    }

    fn duration(&mut self, change: &LegacyChange, policy: &mut FlowPolicy) {
        let Some(seconds) = change.revoke_after_in_sec else { return };
        if self.before.is_some() && shown_duration(policy) == seconds {
            return;
        }
        let seconds = match u32::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Some(seconds),
            _ if seconds == NO_END => None,
            _ => {
                let message = "must be 1 second or more, or -1 for no end";
                return self.refuse("revoke_after_in_sec", message);
            }
        };
        policy.grant_duration_in_min = seconds.map(|seconds| seconds.div_ceil(60));
        policy.legacy.grant_duration_in_sec = seconds.filter(|seconds| seconds % 60 != 0);
    }

    fn settings(change: &LegacyChange, policy: &mut FlowPolicy) {
        let (sent, settings) = (change.settings, &mut policy.settings);
        let turn = |switch: &mut bool, to: Option<bool>| *switch = to.unwrap_or(*switch);
        turn(&mut settings.require_justification_on_request_again, sent.justification_again);
        turn(&mut settings.require_approver_reason, sent.approver_reason);
        turn(&mut settings.requestor_cannot_approve_himself, sent.not_own);
    }

    async fn grantees(
        &mut self,
        change: &LegacyChange,
        policy: &mut FlowPolicy,
    ) -> Result<(), AppError> {
        let Some(sent) = &change.grantees else { return Ok(()) };
        let requestors = &mut policy.requestors;
        let shown: Vec<LegacyIdentity> = shown_conditions(&requestors.conditions).collect();
        if is_same(sent, &shown) {
            return Ok(());
        }
        let mut conditions: Vec<Condition> = Vec::new();
        for (place, identity) in sent.iter().enumerate() {
            let field = format!("grantees[{place}]");
            let known = condition_of(&requestors.conditions, identity);
            let Some(condition) = self.identity(&field, identity, known).await? else { continue };
            let same_type = |one: &&mut Condition| {
                one.attribute_type == condition.attribute_type && !one.values().is_empty()
            };
            match conditions.iter_mut().find(same_type) {
                Some(one) => one
                    .values
                    .get_or_insert_default()
                    .extend(condition.values.into_iter().flatten()),
                None => conditions.push(condition),
            }
        }
        let kept = requestors.conditions.iter().filter(|condition| !is_sayable(condition));
        conditions.extend(kept.cloned());
        requestors.conditions = conditions;
        Ok(())
    }

    async fn approvers(
        &mut self,
        change: &LegacyChange,
        policy: &mut FlowPolicy,
    ) -> Result<(), AppError> {
        let before = policy.approver_policy.take();
        let all = change.settings.all_approvers.unwrap_or_else(|| {
            before.as_ref().map_or(policy.legacy.require_all_approvers, |policy| {
                policy.approval_mode == ApprovalMode::AllOf
            })
        });
        let shown = before.as_ref().map(shown_approvers).unwrap_or_default();
        let mut groups = before.map(|policy| policy.approver_groups).unwrap_or_default();
        if let Some(sent) = change.approvers.as_ref().filter(|sent| !is_same(sent, &shown)) {
            let mut asked = Vec::with_capacity(sent.len());
            for (place, identity) in sent.iter().enumerate() {
                let field = format!("approvers[{place}]");
                let sayable = groups.iter().filter(|group| is_sayable_group(group));
                let known = condition_of(sayable.flat_map(|group| &group.approvers), identity);
                if let Some(condition) = self.approver(&field, identity, known).await? {
                    asked.push(ApproverGroup {
                        logical_operator: LogicalOperator::Or,
                        approvers: vec![condition],
                    });
                }
            }
            groups.retain(|group| !is_sayable_group(group));
            asked.append(&mut groups);
            groups = asked;
        }
        policy.legacy.require_all_approvers = all && groups.is_empty();
        policy.approver_policy = (!groups.is_empty()).then_some(ApproverPolicy {
            approval_mode: if all { ApprovalMode::AllOf } else { ApprovalMode::AnyOf },
            approver_groups: groups,
        });
        Ok(())
    }

    /// The condition on an approver, who may stand in a relation to the request.
    async fn approver(
        &mut self,
        field: &str,
        identity: &LegacyIdentity,
        known: Option<Condition>,
    ) -> Result<Option<Condition>, AppError> {
        let is_relation = identity.kind == LegacyKind::ContextAttribute
            && [MANAGER, OWNER].contains(&identity.id.as_str());
        if is_relation && known.is_none() {
            return Ok(Some(Condition {
                values: None,
                match_operator: None,
                ..is_one(&identity.id, &identity.id)
            }));
        }
        self.identity(field, identity, known).await
    }

    /// The condition that a person is this identity; `known` is what the flow says of it so far.
    async fn identity(
        &mut self,
        field: &str,
        identity: &LegacyIdentity,
        known: Option<Condition>,
    ) -> Result<Option<Condition>, AppError> {
        let id = identity.id.as_str();
        let found = match identity.kind {
            _ if known.is_some() => return Ok(known),
            LegacyKind::User => {
                self.tx.find_user(&UserId::new(id)).await?.map(|_| is_one(USER, id))
            }
            LegacyKind::Group => {
                self.tx.find_group(&GroupId::new(id)).await?.map(|_| is_one(GROUP, id))
            }
            LegacyKind::ContextAttribute => None,
        };
        if found.is_none() {
            self.refuse(
                format!("{field}.id"),
                format!("is the id of no {}", identity.kind.as_str()),
            );
        }
        Ok(found)
    }

    async fn targets(
        &mut self,
        change: &LegacyChange,
        policy: &mut FlowPolicy,
    ) -> Result<(), AppError> {
        if let Some(sent) = &change.integration_targets {
            let mut targets = Vec::with_capacity(sent.len());
            for (place, target) in sent.iter().enumerate() {
                let known = integrations(policy).find(|known| as_shown(known) == *target);
                match known {
                    Some(known) => targets.push(FlowTarget::Integration(known.clone())),
                    None if self.tx.find_integration(&target.integration_id).await?.is_some() => {
                        targets.push(FlowTarget::Integration(target.clone()));
                    }
                    None => self.refuse(
                        format!("integration_targets[{place}].integration_id"),
                        "is the id of no integration",
                    ),
                }
            }
            let is_shown = |target: &FlowTarget| matches!(target, FlowTarget::Integration(_));
            put_in_place(&mut policy.access_targets, targets, is_shown);
        }
        if let Some(sent) = &change.bundle_ids {
            let known: BTreeSet<String> = bundles(policy).collect();
            let mut targets = Vec::with_capacity(sent.len());
            for (place, id) in sent.iter().enumerate() {
                if known.contains(id) {
                    targets.push(FlowTarget::Bundle(BundleId::new(id.as_str())));
                    continue;
                }
                match self.tx.find_bundle(&BundleId::new(id.as_str())).await? {
                    Some(bundle) => targets.push(FlowTarget::Bundle(bundle.id)),
                    None => self.refuse(
                        format!("bundle_targets[{place}].bundle_id"),
                        "is the id of no bundle",
                    ),
                }
            }
            let is_shown = |target: &FlowTarget| matches!(target, FlowTarget::Bundle(_));
            put_in_place(&mut policy.access_targets, targets, is_shown);
        }
        Ok(())
    }
}

/// A flow about which nothing was said yet. What v1 cannot say is as v1 always meant it: people
/// ask for themselves, and say why.
fn blank(trigger: FlowTrigger) -> FlowPolicy {
    FlowPolicy {
        trigger,
        requestors: ConditionSet { logical_operator: LogicalOperator::Or, conditions: Vec::new() },
        request_for: None,
        request_for_others: false,
        access_targets: Vec::new(),
        approver_policy: None,
        escalation_policy: None,
        grant_duration_in_min: None,
        timeframe: None,
        settings: FlowSettings {
            justification_required: trigger == FlowTrigger::SelfServe,
            require_approver_reason: false,
            requestor_cannot_approve_himself: false,
            require_mfa: false,
            labels: Vec::new(),
            max_extensions: 0,
            extension_duration_in_min: 0,
            require_justification_on_request_again: false,
        },
        legacy: LegacyPolicy::default(),
    }
}

fn is_one(attribute_type: &str, value: &str) -> Condition {
    Condition {
        source_integration_id: None,
        attribute_type: attribute_type.to_owned(),
        match_operator: Some(MatchOperator::Is),
        values: Some(vec![value.to_owned()]),
        pinned_ids: Vec::new(),
    }
}

/// Whether the lists name the same identities, in whatever order.
fn is_same(sent: &[LegacyIdentity], shown: &[LegacyIdentity]) -> bool {
    let distinct =
        |list: &[LegacyIdentity]| -> BTreeSet<LegacyIdentity> { list.iter().cloned().collect() };
    distinct(sent) == distinct(shown)
}

/// What the flow says of an identity so far, as a condition on it alone: with the text that was
/// once sent, which clients of later versions expect to read back.
fn condition_of<'a>(
    conditions: impl IntoIterator<Item = &'a Condition>,
    identity: &LegacyIdentity,
) -> Option<Condition> {
    let sayable = conditions.into_iter().filter(|condition| is_sayable(condition));
    for condition in sayable {
        let Some(place) = shown_condition(condition).iter().position(|one| one == identity) else {
            continue;
        };
        // Pinned anew when the flow is saved, by the pin that the same text had.
        let values = condition.values().get(place).map(|value| vec![value.clone()]);
        return Some(Condition { values, pinned_ids: Vec::new(), ..condition.clone() });
    }
    None
}

/// Puts `sent` in the places of the targets of its kind; what is too many comes after the last of
/// them. Those of other kinds stay where they are.
fn put_in_place(
    targets: &mut Vec<FlowTarget>,
    sent: Vec<FlowTarget>,
    is_shown: impl Fn(&FlowTarget) -> bool,
) {
    let last = targets.iter().rposition(&is_shown);
    let mut sent = sent.into_iter();
    let mut merged = Vec::with_capacity(targets.len());
    for (place, target) in targets.drain(..).enumerate() {
        if is_shown(&target) {
            merged.extend(sent.next());
        } else {
            merged.push(target);
        }
        if Some(place) == last {
            merged.extend(sent.by_ref());
        }
    }
    merged.extend(sent);
    *targets = merged;
}

/// The same refusal with the members by which v1 names things.
fn in_legacy_terms(error: AppError, policy: &FlowPolicy) -> AppError {
    if error.errors.is_empty() {
        return error;
    }
    let errors = error.errors.into_iter();
    AppError::invalid_fields(
        errors.map(|one| FieldError { field: legacy_member(&one.field, policy), ..one }).collect(),
    )
}

fn legacy_member(field: &str, policy: &FlowPolicy) -> String {
    if let Some(rest) = field.strip_prefix("timeframe.") {
        let member = match rest {
            "start_time" => "start_of_day_time_in_seconds",
            "end_time" => "end_of_day_time_in_seconds",
            "days_of_week" => "days_in_week",
            other => other,
        };
        return format!("trigger.timeframe.{member}");
    }
    if let Some((place, rest)) =
        field.strip_prefix("access_targets[").and_then(|rest| rest.split_once("].integration."))
    {
        let before = place.parse::<usize>().unwrap_or(0);
        let before = policy.access_targets.iter().take(before);
        let nth = before.filter(|one| matches!(one, FlowTarget::Integration(_))).count();
        let member =
            if rest.starts_with("resources_scopes") { "resource_tag_includes" } else { rest };
        return format!("integration_targets[{nth}].{member}");
    }
    let known = [
        ("requestors", "grantees"),
        ("access_targets", "integration_targets"),
        ("approver_policy", "approvers"),
        ("grant_duration_in_min", "revoke_after_in_sec"),
    ];
    let found = known.into_iter().find(|(prefix, _)| field.starts_with(prefix));
    found.map_or(field, |(_, member)| member).to_owned()
}
