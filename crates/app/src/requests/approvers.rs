//! Who may decide about a request: everybody whom its flow means, worked out again whenever it is
//! asked.

use std::collections::BTreeSet;

use latchkey_domain::{
    flow::{Condition, FlowPolicy, MatchOperator},
    ids::{AttributeValueId, GroupId, UserId},
    people::User,
    policy::{
        approvals::{ApprovalOutcome, DeciderStanding, Question, asks_owners},
        escalation,
        matching::{GROUP, MANAGER, OWNER, USER, WEBHOOK},
        owners::Owners,
    },
    request::{AccessRequest, RequestUnit},
};
use latchkey_store::{PageQuery, Tx, UserFilter};

use super::{
    owners::{every_owner_of_units, owners_of},
    people::{People, Person, find_person},
    programs::{AskedProgram, Heard, ProgramSaid},
};
use crate::error::AppError;

/// How many people are looked at to say who would be asked; conditions on texts can match
/// anybody, and a longer list would help nobody.
const MOST_CANDIDATES: u32 = 1000;

/// Those whom a request is about.
pub(super) fn parties_of(request: &AccessRequest) -> [&UserId; 2] {
    [&request.requestor_id, &request.grantee_id]
}

/// Who a request is about, as they are now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties<'a> {
    /// Who filed it.
    pub(super) requestor: &'a Person,
    /// At whom policy looks as the one who asked.
    pub(super) asker: &'a Person,
    /// Who is to have access.
    pub(super) grantee: &'a Person,
}

impl<'a> Parties<'a> {
    /// The parties of a request, of people who were read.
    pub(super) fn among(people: &'a People, request: &AccessRequest) -> Result<Self, AppError> {
        let requestor = people.get(&request.requestor_id)?;
        let grantee = people.get(&request.grantee_id)?;
        let asker = if request.asked_as_grantee { grantee } else { requestor };
        Ok(Self { requestor, asker, grantee })
    }

    /// What the request's own policy asks, of something that these people own.
    pub(super) fn question(self, request: &'a AccessRequest, owners: &'a Owners) -> Question<'a> {
        let policy = &request.flow_policy;
        let told = request.escalations.len();
        self.question_of(policy, &request.digest).owned_by(owners).escalated(policy, told)
    }

    fn question_of(self, policy: &'a FlowPolicy, digest: &'a str) -> Question<'a> {
        Question::new(policy, self.requestor.facts(), &self.grantee.user, digest)
            .asked_as(self.asker.facts())
    }
}

/// Who may decide about a request now, and what that leaves open.
#[derive(Debug)]
pub(super) struct AskedPeople {
    /// Who may decide, each once.
    pub(super) people: Vec<User>,
    /// The programs that are asked.
    pub(super) programs: Vec<AskedProgram>,
    /// Why the request cannot be approved as things stand, or not by every group; `None` where
    /// nothing is in the way.
    pub(super) trouble: Option<String>,
    /// Whether they, and the programs that have yet to answer, could not approve it even all
    /// together.
    pub(super) is_stuck: bool,
}

/// The people who may decide about a request now.
pub(crate) async fn approvers_of(
    tx: &mut Tx,
    request: &AccessRequest,
) -> Result<Vec<User>, AppError> {
    let mut people = People::default();
    people.add(tx, parties_of(request)).await?;
    let owners = owners_of(tx, request).await?;
    let parties = Parties::among(&people, request)?;
    let told = request.escalations.len();
    Ok(people_to_ask(tx, &request.flow_policy, told, parties, &owners, Heard::NOTHING)
        .await?
        .people)
}

/// The people who own what these units are about, as far as it is written down who does.
pub(crate) async fn people_who_own(
    tx: &mut Tx,
    units: &[RequestUnit],
) -> Result<Vec<User>, AppError> {
    let owners = every_owner_of_units(tx, units).await?;
    let ids = candidates(tx, owners.rules()).await?;
    let people = People::read(tx, &ids).await?;
    let owning = ids.iter().filter_map(|id| people.find(id));
    let owning = owning.filter(|person| owners.include(person.facts()));
    Ok(owning.map(|person| person.user.clone()).collect())
}

/// Those of them who had no say before the later ones of its tiers were told.
pub(crate) async fn newly_asked(
    tx: &mut Tx,
    request: &AccessRequest,
    told_before: usize,
) -> Result<Vec<User>, AppError> {
    let mut former = request.clone();
    former.escalations.truncate(told_before);
    let former = approvers_of(tx, &former).await?;
    let mut now = approvers_of(tx, request).await?;
    now.retain(|user| former.iter().all(|known| known.id != user.id));
    Ok(now)
}

/// The people who may decide about a request of these parties under `policy`, after so many of
/// its tiers were told, and after programs have said what they have.
pub(super) async fn people_to_ask(
    tx: &mut Tx,
    policy: &FlowPolicy,
    told: usize,
    parties: Parties<'_>,
    owners: &Owners,
    heard: Heard<'_>,
) -> Result<AskedPeople, AppError> {
    let mut ids = candidates(tx, approver_conditions(policy, told)).await?;
    ids.extend(candidates(tx, owners.rules()).await?);
    ids.extend(manager_of(policy, told, &parties.asker.user));
    let people = People::read(tx, &ids).await?;
    let question = parties
        .question_of(policy, heard.digest)
        .owned_by(owners)
        .escalated(policy, told)
        .answered(heard.answers);
    let outcome = question.evaluate(&[], &people.facts());
    let programs = heard.asked(policy, told);
    Ok(AskedPeople {
        is_stuck: matches!(&outcome, ApprovalOutcome::Waiting(waiting) if waiting.is_stuck),
        trouble: trouble(policy, owners, &programs, &outcome),
        people: eligible(&people, question, &ids),
        programs,
    })
}

/// What stands in the way of an approval, in words for everybody who may see the request.
fn trouble(
    policy: &FlowPolicy,
    owners: &Owners,
    programs: &[AskedProgram],
    outcome: &ApprovalOutcome,
) -> Option<String> {
    let ApprovalOutcome::Waiting(waiting) = outcome else { return None };
    let groups = group_names(&waiting.empty_groups);
    let mut words = if !waiting.is_stuck {
        if waiting.empty_groups.is_empty() {
            return None;
        }
        format!("nobody may decide for {groups} of its access flow; others may")
    } else if waiting.may_decide.is_empty() {
        "nobody may decide about this request now: its access flow names no other active \
         approver; ask an administrator"
            .to_owned()
    } else {
        format!(
            "nobody may decide for {groups} of its access flow, which has to agree; ask an \
             administrator"
        )
    };
    let said_nothing = programs.iter().filter(|one| one.said == Some(ProgramSaid::Nothing));
    let hosts: Vec<&str> = said_nothing.map(|one| one.host.as_str()).collect();
    if !hosts.is_empty() {
        words.push_str("; no decision came from ");
        words.push_str(&hosts.join(", "));
    }
    if asks_owners(policy) && !owners.ownerless().is_empty() {
        words.push_str("; it is not known who owns ");
        words.push_str(&owners.ownerless().join(", "));
    }
    Some(words)
}

/// Groups by their places, as people count.
fn group_names(places: &[usize]) -> String {
    let numbers: Vec<String> = places.iter().map(|place| (place + 1).to_string()).collect();
    let noun = if numbers.len() == 1 { "approver group" } else { "approver groups" };
    format!("{noun} {}", numbers.join(", "))
}

/// Those who may decide, each once.
pub(super) fn eligible<'a>(
    people: &People,
    question: Question<'_>,
    candidates: impl IntoIterator<Item = &'a UserId>,
) -> Vec<User> {
    let candidates: BTreeSet<&UserId> = candidates.into_iter().collect();
    candidates
        .into_iter()
        .filter_map(|id| people.find(id))
        .filter(|person| question.standing_of(person.facts()) == DeciderStanding::Eligible)
        .map(|person| person.user.clone())
        .collect()
}

/// The asker's manager, if an approver of `policy` is one.
pub(super) fn manager_of(policy: &FlowPolicy, told: usize, asker: &User) -> Option<UserId> {
    let mut conditions = approver_conditions(policy, told);
    let is_asked = conditions.any(|condition| condition.attribute_type == MANAGER);
    asker.manager_id.clone().filter(|_| is_asked)
}

/// The conditions that say who may agree; those that only narrow it are left out.
pub(super) fn approver_conditions(
    policy: &FlowPolicy,
    told: usize,
) -> impl Iterator<Item = &Condition> {
    let groups = policy.approver_policy.iter().flat_map(|policy| &policy.approver_groups);
    let groups = groups.chain(escalation::told(policy, told));
    let conditions = groups.flat_map(|group| &group.approvers);
    conditions.filter(|condition| !condition.operator().is_negative())
}

/// Everybody whom conditions on approvers may mean, whoever asks: a superset, cut by the caller.
/// A manager is added by [`manager_of`], owners by the rules that name them.
pub(super) async fn candidates<'a>(
    tx: &mut Tx,
    conditions: impl IntoIterator<Item = &'a Condition>,
) -> Result<BTreeSet<UserId>, AppError> {
    let mut ids = BTreeSet::new();
    for condition in conditions {
        match (condition.attribute_type.as_str(), condition.operator()) {
            (MANAGER | OWNER | WEBHOOK, _) => {}
            (USER, MatchOperator::Is) => ids.extend(named_users(tx, condition).await?),
            (GROUP, MatchOperator::Is) => {
                for group in named_groups(tx, condition).await? {
                    ids.extend(tx.ids_of_all_in_group(&group).await?);
                }
            }
            (kind, MatchOperator::Is) if !matches!(kind, USER | GROUP) => {
                let named = named_attributes(tx, condition).await?;
                ids.extend(tx.users_with_attributes(&named).await?);
            }
            (kind, _) if !matches!(kind, USER | GROUP) => {
                ids.extend(tx.users_with_attribute_type(kind, MOST_CANDIDATES).await?);
            }
            _ => {
                let page = PageQuery::first(MOST_CANDIDATES);
                let users = tx.list_users(&UserFilter::default(), &page).await?;
                ids.extend(users.into_iter().map(|user| user.id));
            }
        }
    }
    Ok(ids)
}

async fn named_users(tx: &mut Tx, condition: &Condition) -> Result<Vec<UserId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        match condition.pinned_ids.get(place).and_then(Option::as_ref) {
            Some(pin) => found.push(UserId::new(pin.clone())),
            None => found.extend(find_person(tx, value).await?.map(|u| u.id)),
        }
    }
    Ok(found)
}

async fn named_attributes(
    tx: &mut Tx,
    condition: &Condition,
) -> Result<Vec<AttributeValueId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        if let Some(pin) = condition.pinned_ids.get(place).and_then(Option::as_ref) {
            found.push(AttributeValueId::new(pin.clone()));
        } else {
            let named = tx.find_attribute_values(&condition.attribute_type, value).await?;
            found.extend(named.into_iter().map(|value| value.id));
        }
    }
    Ok(found)
}

async fn named_groups(tx: &mut Tx, condition: &Condition) -> Result<Vec<GroupId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        match condition.pinned_ids.get(place).and_then(Option::as_ref) {
            Some(pin) => found.push(GroupId::new(pin.clone())),
            None => found.extend(tx.find_group_by_name(value).await?.map(|group| group.id)),
        }
    }
    Ok(found)
}
