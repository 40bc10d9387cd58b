//! Pinning conditions to identities.
//!
//! A condition stores the text as it was sent, because clients expect the echo, and beside it
//! the id of the identity that the text first meant. From then on only the id counts: whoever
//! takes over an address or a group's name inherits no right.

use latchkey_domain::{
    audit::AuditActor,
    flow::{AccessFlow, Condition, FlowPolicy, MatchOperator},
    ids::GroupId,
    people::{AttributeValue, Group, User, normalize_email},
    policy::matching::{
        GROUP, MANAGER, OWNER, USER, WEBHOOK, names_attribute, names_group, names_user,
    },
};
use latchkey_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::{error::AppError, trail, users};

/// Pins what can be pinned in a policy that is about to be stored. Texts that the flow's former
/// policy had pinned keep their identity.
pub(super) async fn pin(
    tx: &mut Tx,
    policy: &mut FlowPolicy,
    former: Option<&AccessFlow>,
) -> Result<(), AppError> {
    for condition in conditions_mut(policy) {
        if !pinnable(condition) {
            continue;
        }
        let mut pins = Vec::with_capacity(condition.values().len());
        for value in condition.values() {
            let kept = former.and_then(|flow| former_pin(flow, condition, value));
            pins.push(match kept {
                Some(id) => Some(id),
                None => identity(tx, condition, value).await?,
            });
        }
        condition.pinned_ids = pins;
    }
    Ok(())
}

/// Takes every pin out of a policy, for a look at what it says alone.
pub(super) fn forget(policy: &mut FlowPolicy) {
    for condition in conditions_mut(policy) {
        condition.pinned_ids.clear();
    }
}

/// An identity that was just made or renamed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NewIdentity<'a> {
    /// A user.
    User(&'a User),
    /// A group.
    Group(&'a Group),
    /// A value of an attribute.
    Attribute(&'a AttributeValue),
}

impl<'a> NewIdentity<'a> {
    /// The kinds of conditions that can mean it.
    fn attribute_types(&self) -> Vec<&'a str> {
        match self {
            Self::User(_) => vec![USER, MANAGER],
            Self::Group(_) => vec![GROUP],
            Self::Attribute(identity) => vec![identity.attribute_type.as_str()],
        }
    }

    /// The identity's id, if `value` of this condition means it.
    fn meant_by(self, value: &str, condition: &Condition) -> Option<String> {
        match (self, condition.attribute_type.as_str()) {
            (Self::User(user), USER | MANAGER) if names_user(value, user, condition) => {
                Some(user.id.to_string())
            }
            (Self::Group(group), GROUP) if names_group(value, group, condition) => {
                Some(group.id.to_string())
            }
            (Self::Attribute(identity), kind) if kind == identity.attribute_type => {
                names_attribute(value, identity, condition).then(|| identity.id.to_string())
            }
            _ => None,
        }
    }
}

/// Pins the conditions of every flow that waited for one of these identities.
pub(crate) async fn pin_waiting_conditions(
    tx: &mut Tx,
    actor: &AuditActor,
    identities: &[NewIdentity<'_>],
) -> Result<(), AppError> {
    if identities.is_empty() {
        return Ok(());
    }
    let kinds = identities.iter().flat_map(NewIdentity::attribute_types).collect();
    for mut flow in tx.flows_waiting_for(&kinds).await? {
        let pinned: Vec<Value> = conditions_mut(&mut flow.policy)
            .filter(|condition| pinnable(condition))
            .flat_map(|condition| pin_waiting(condition, identities))
            .collect();
        if !pinned.is_empty() {
            tx.update_flow(&mut flow).await?;
            let detail = json!({ "pinned": pinned });
            let id = flow.id.as_str();
            trail::record(tx, actor, "access_flow.pinned", "access_flow", id, detail).await?;
        }
    }
    Ok(())
}

/// Pins the values of one condition that mean one of the identities; tells which.
fn pin_waiting(condition: &mut Condition, identities: &[NewIdentity<'_>]) -> Vec<Value> {
    let mut pins = std::mem::take(&mut condition.pinned_ids);
    pins.resize(condition.values().len(), None);
    let mut pinned = Vec::new();
    for (value, pin) in condition.values().iter().zip(&mut pins) {
        if pin.is_none()
            && let Some(id) =
                identities.iter().find_map(|identity| identity.meant_by(value, condition))
        {
            pinned.push(json!({ "text": value, "id": id }));
            *pin = Some(id);
        }
    }
    condition.pinned_ids = pins;
    pinned
}

/// Whether the condition compares ids of identities that are kept here.
fn pinnable(condition: &Condition) -> bool {
    matches!(condition.operator(), MatchOperator::Is | MatchOperator::IsNot)
        && !matches!(condition.attribute_type.as_str(), OWNER | WEBHOOK)
}

/// The id of the identity that `value` means now.
async fn identity(
    tx: &mut Tx,
    condition: &Condition,
    value: &str,
) -> Result<Option<String>, StoreError> {
    let text = value.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if matches!(condition.attribute_type.as_str(), USER | MANAGER) {
        let user = users::find_by_reference(tx, text).await?;
        return Ok(user
            .filter(|user| names_user(value, user, condition))
            .map(|user| user.id.into()));
    }
    if condition.attribute_type != GROUP {
        let known = tx.find_attribute_values(&condition.attribute_type, text).await?;
        return Ok(only_one(known.into_iter().filter(|v| names_attribute(value, v, condition))));
    }
    let group = match tx.find_group(&GroupId::new(text)).await? {
        Some(group) => Some(group),
        None => tx.find_group_by_name(text).await?,
    };
    Ok(group.filter(|group| names_group(value, group, condition)).map(|group| group.id.into()))
}

/// The id of the value, where the text can mean but one: the same text may come from several
/// sources, and pinning one of them would leave the others out.
fn only_one(mut named: impl Iterator<Item = AttributeValue>) -> Option<String> {
    let first = named.next()?;
    named.next().is_none().then(|| first.id.into())
}

/// What the same text of the same kind of condition was pinned to before.
fn former_pin(flow: &AccessFlow, condition: &Condition, value: &str) -> Option<String> {
    super::conditions_of(flow)
        .filter(|former| pinnable(former))
        .filter(|former| former.attribute_type == condition.attribute_type)
        .filter(|former| former.source_integration_id == condition.source_integration_id)
        .flat_map(|former| former.values().iter().zip(&former.pinned_ids))
        .find(|(text, _)| same_text(text, value))
        .and_then(|(_, pin)| pin.clone())
}

fn same_text(one: &str, other: &str) -> bool {
    normalize_email(one) == normalize_email(other)
}

fn conditions_mut(policy: &mut FlowPolicy) -> impl Iterator<Item = &mut Condition> {
    let grantees = policy.request_for.as_mut().and_then(|request| request.grantees.as_mut());
    let approvers = policy.approver_policy.iter_mut().flat_map(|p| &mut p.approver_groups);
    let tiers = policy.escalation_policy.iter_mut().flat_map(|p| &mut p.approver_groups);
    policy
        .requestors
        .conditions
        .iter_mut()
        .chain(grantees.into_iter().flat_map(|grantees| &mut grantees.conditions))
        .chain(approvers.chain(tiers).flat_map(|group| &mut group.approvers))
}
