//! A flow as it is sent, and its references turned into ids.

use latchkey_domain::{
    flow::{
        ApprovalMode, ApproverGroup, ApproverPolicy, Condition, ConditionSet, EscalationPolicy,
        FlowPolicy, FlowSettings, FlowTarget, FlowTrigger, LegacyPolicy, LogicalOperator,
        MatchOperator, RequestFor, RequestScope, Timeframe,
    },
    ids::IntegrationId,
};
use latchkey_store::Tx;

use crate::{
    error::{AppError, FieldError},
    integrations::identity_source,
    targets::{self, IntegrationTargetInput},
};

/// Everything that can be said about a flow, for creating and for replacing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowCommand {
    /// Unique without letter case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Whether new requests may use it.
    pub active: bool,
    /// Asked for, or automatic.
    pub trigger: FlowTrigger,
    /// Who may ask.
    pub requestors: ConditionSetInput,
    /// For whom.
    pub request_for: Option<RequestForInput>,
    /// The older switch.
    pub request_for_others: bool,
    /// What it gives.
    pub access_targets: Vec<TargetInput>,
    /// Who has to agree.
    pub approver_policy: Option<ApproverPolicyInput>,
    /// Whom to ask when nobody answers.
    pub escalation_policy: Option<EscalationPolicyInput>,
    /// Longest grant in minutes.
    pub grant_duration_in_min: Option<u32>,
    /// When access may exist.
    pub timeframe: Option<Timeframe>,
    /// Switches.
    pub settings: FlowSettings,
}

/// Conditions on people, combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionSetInput {
    /// How they combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub conditions: Vec<ConditionInput>,
}

/// One condition on a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionInput {
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
    /// What it looks at.
    pub attribute_type: String,
    /// How values are compared.
    pub match_operator: Option<MatchOperator>,
    /// The values.
    pub values: Option<Vec<String>>,
}

/// For whom a requestor may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestForInput {
    /// The kinds of people.
    pub request_scopes: Vec<RequestScope>,
    /// Who the others may be.
    pub grantees: Option<ConditionSetInput>,
}

/// What a flow gives. The surface has checked that exactly one kind was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetInput {
    /// Resources of one type of one integration.
    Integration(IntegrationTargetInput),
    /// A bundle, by id or name.
    Bundle(String),
    /// An access scope, by id or name.
    AccessScope(String),
}

/// Who has to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverPolicyInput {
    /// How the groups combine.
    pub approval_mode: ApprovalMode,
    /// The groups.
    pub approver_groups: Vec<ApproverGroupInput>,
}

/// A group of approvers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverGroupInput {
    /// How its conditions combine.
    pub logical_operator: LogicalOperator,
    /// The conditions.
    pub approvers: Vec<ConditionInput>,
}

/// Whom to ask when nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationPolicyInput {
    /// Minutes between tiers.
    pub interval_in_min: u32,
    /// The tiers.
    pub approver_groups: Vec<ApproverGroupInput>,
}

/// The policy that a command says, with references resolved; 400 naming every reference that
/// means nothing.
pub(super) async fn resolve(tx: &mut Tx, command: &FlowCommand) -> Result<FlowPolicy, AppError> {
    let mut resolver = Resolver { tx, errors: Vec::new() };
    let requestors = resolver.set("requestors", &command.requestors).await?;
    let request_for = match &command.request_for {
        None => None,
        Some(request_for) => Some(RequestFor {
            request_scopes: request_for.request_scopes.clone(),
            grantees: match &request_for.grantees {
                None => None,
                Some(grantees) => Some(resolver.set("request_for.grantees", grantees).await?),
            },
        }),
    };
    let mut access_targets = Vec::with_capacity(command.access_targets.len());
    for (at, target) in command.access_targets.iter().enumerate() {
        access_targets.extend(resolver.target(&format!("access_targets[{at}]"), target).await?);
    }
    let approver_policy = match &command.approver_policy {
        None => None,
        Some(policy) => Some(ApproverPolicy {
            approval_mode: policy.approval_mode,
            approver_groups: resolver.groups("approver_policy", &policy.approver_groups).await?,
        }),
    };
    let escalation_policy = match &command.escalation_policy {
        None => None,
        Some(policy) => Some(EscalationPolicy {
            interval_in_min: policy.interval_in_min,
            approver_groups: resolver.groups("escalation_policy", &policy.approver_groups).await?,
        }),
    };
    if !resolver.errors.is_empty() {
        return Err(AppError::invalid_fields(resolver.errors));
    }
    Ok(FlowPolicy {
        trigger: command.trigger,
        requestors,
        request_for,
        request_for_others: command.request_for_others,
        access_targets,
        approver_policy,
        escalation_policy,
        grant_duration_in_min: command.grant_duration_in_min,
        timeframe: command.timeframe.clone(),
        settings: command.settings.clone(),
        legacy: LegacyPolicy::default(),
    })
}

/// Looks references up and gathers those that mean nothing, so that one answer names them all.
struct Resolver<'a> {
    tx: &'a mut Tx,
    errors: Vec<FieldError>,
}

impl Resolver<'_> {
    async fn set(
        &mut self,
        field: &str,
        set: &ConditionSetInput,
    ) -> Result<ConditionSet, AppError> {
        Ok(ConditionSet {
            logical_operator: set.logical_operator,
            conditions: self.conditions(&format!("{field}.conditions"), &set.conditions).await?,
        })
    }

    async fn groups(
        &mut self,
        field: &str,
        groups: &[ApproverGroupInput],
    ) -> Result<Vec<ApproverGroup>, AppError> {
        let mut resolved = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            let field = format!("{field}.approver_groups[{at}].approvers");
            resolved.push(ApproverGroup {
                logical_operator: group.logical_operator,
                approvers: self.conditions(&field, &group.approvers).await?,
            });
        }
        Ok(resolved)
    }

    async fn conditions(
        &mut self,
        field: &str,
        conditions: &[ConditionInput],
    ) -> Result<Vec<Condition>, AppError> {
        let mut resolved = Vec::with_capacity(conditions.len());
        for (at, condition) in conditions.iter().enumerate() {
            let source = self
                .source(
                    &format!("{field}[{at}].source_integration_reference"),
                    condition.source_integration_reference.as_deref(),
                )
                .await?;
            resolved.push(Condition {
                source_integration_id: source,
                attribute_type: condition.attribute_type.clone(),
                match_operator: condition.match_operator,
                values: condition.values.clone(),
                pinned_ids: Vec::new(),
            });
        }
        Ok(resolved)
    }

    async fn source(
        &mut self,
        field: &str,
        reference: Option<&str>,
    ) -> Result<Option<IntegrationId>, AppError> {
        match identity_source(self.tx, field, reference).await {
            Err(error) if !error.errors.is_empty() => {
                self.errors.extend(error.errors);
                Ok(None)
            }
            other => other,
        }
    }

    async fn target(
        &mut self,
        field: &str,
        target: &TargetInput,
    ) -> Result<Option<FlowTarget>, AppError> {
        let resolved = match target {
            TargetInput::Integration(target) => {
                let found = targets::integration_target(self.tx, field, target).await?;
                found.map(FlowTarget::Integration)
            }
            TargetInput::Bundle(reference) => {
                let found = targets::bundle_target(self.tx, field, reference).await?;
                found.map(FlowTarget::Bundle)
            }
            TargetInput::AccessScope(reference) => {
                let found = targets::access_scope_target(self.tx, field, reference).await?;
                found.map(FlowTarget::AccessScope)
            }
        };
        match resolved {
            Ok(target) => Ok(Some(target)),
            Err(error) => {
                self.errors.push(error);
                Ok(None)
            }
        }
    }
}
