//! The same decisions by every side: the index, the indexed SQL query, and, with the cargo feature
//! `rivals`, policy engines. Every side has the same flows and is asked the same questions, in
//! turns, and all have to give the same answers.
//!
//! The flows are those that every side can say whole: requestors are groups, targets go by one tag
//! or by type alone. Each names one group, which spares the sides that look at all flows.

use std::hint::black_box;

use anyhow::{Result, ensure};
use latchkey_domain::{
    Clock,
    flow::{AccessFlow, FlowTarget},
    ids::PermissionId,
    inventory::Resource,
    policy::{matching::meets, targets::covers_resource},
};
use latchkey_inventory::{EntitlementRef, Index, Rules};

use super::{
    data::{self, Numbers, Person, Targets},
    index::{INTEGRATIONS, Measured, PEOPLE, SIDE},
    sql::Sql,
    timings::Timings,
};

pub(crate) const BESIDE: &str = "decision beside others";
/// Each flow names one group.
const SHARE: u64 = 1;

/// So many questions are a side's turn: a side is not measured on what the others left in the
/// processor's caches alone.
const TURN: usize = 50;

/// One question.
pub(crate) struct Question {
    pub(crate) person: Person,
    pub(crate) resource: Resource,
    pub(crate) permission: &'static str,
    pub(crate) permission_id: PermissionId,
}

/// Flows that every side can say whole.
fn flows(count: u64, resources: u64) -> Vec<AccessFlow> {
    let mut flows = data::flows(count * 2, SHARE, Targets::Mixed, INTEGRATIONS, resources);
    flows.retain_mut(|flow| {
        flow.policy.requestors.conditions.truncate(1);
        flow.policy.access_targets.retain(|target| match target {
            FlowTarget::Integration(target) => match target.resources_scopes.as_deref() {
                None => true,
                Some([one]) => one.key.is_some(),
                Some(_) => false,
            },
            _ => false,
        });
        !flow.policy.access_targets.is_empty()
    });
    flows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    flows
}

/// What answers questions in this process.
pub(crate) type Engine<'e> = Box<dyn FnMut(&Question) -> Result<bool> + 'e>;

/// Measures decisions at each number of flows, over the resources that the index and the database
/// hold; the policy engines are told of a resource with the question.
pub(crate) async fn measure(
    clock: &dyn Clock,
    index: &Index,
    sql: &Sql,
    resources: u64,
    counts: &[u64],
    repetitions: u64,
    measured: &mut Measured,
) -> Result<()> {
    for count in counts {
        let flows = flows(*count, resources);
        let mut numbers = Numbers::new(*count);
        let question = |number| match number % 2 {
            0 => within(&mut numbers, &flows, resources),
            _ => anything(&mut numbers, resources),
        };
        let questions: Vec<Question> = (0..repetitions).map(question).collect();
        sql.set_flows(&flows).await?;
        index.set_rules(Rules { flows: flows.clone(), ..Rules::default() });
        let mut engines: Vec<(&'static str, Engine<'_>)> = vec![(SIDE, of_index(index))];
        #[cfg(feature = "rivals")]
        engines.extend(super::rivals::engines(&flows, &questions)?);
        let new = |side| Timings::new(BESIDE, side, resources, flows.len() as u64, SHARE);
        let mut timings: Vec<Timings> = engines.iter().map(|(side, _)| new(side)).collect();
        let mut of_sql = new(super::sql::SIDE);
        let mut yes = 0;
        for questions in questions.chunks(TURN) {
            let mut answers = Vec::with_capacity(TURN);
            for question in questions {
                let began = clock.monotonic();
                answers.push(sql.decide(question).await?);
                of_sql.add(clock.monotonic().saturating_sub(began));
            }
            for ((side, decide), timings) in engines.iter_mut().zip(&mut timings) {
                for (question, answer) in questions.iter().zip(&answers) {
                    let began = clock.monotonic();
                    let own = black_box(decide(question)?);
                    timings.add(clock.monotonic().saturating_sub(began));
                    ensure!(own == *answer, "{side} says {own}, and PostgreSQL {answer}");
                }
            }
            yes += answers.iter().filter(|answer| **answer).count();
        }
        println!("  {} flows: every side says yes to {yes} of {}", flows.len(), questions.len());
        let is_both = yes > 0 && yes < questions.len();
        ensure!(is_both, "all answers are the same, which shows nothing");
        timings.push(of_sql);
        measured.timings.extend(timings.into_iter().map(Timings::done));
    }
    Ok(())
}

/// A question about anybody and anything: mostly no.
fn anything(numbers: &mut Numbers, resources: u64) -> Question {
    let person = data::person(numbers.below(PEOPLE));
    let permission = numbers.word(&data::PERMISSIONS);
    question(person, permission, numbers.below(resources), resources)
}

/// A question about what one of the flows gives, by somebody it is for.
fn within(numbers: &mut Numbers, flows: &[AccessFlow], resources: u64) -> Question {
    for _ in 0..MOST_TRIES {
        let asked = anything(numbers, resources);
        let Some(flow) = numbers.of(flows) else { return asked };
        let target = flow.policy.access_targets.iter().find_map(|target| match target {
            FlowTarget::Integration(target) => target.permissions.first().zip(Some(target)),
            _ => None,
        });
        let Some((permission, target)) = target else { continue };
        let named = data::PERMISSIONS.iter().find(|name| *name == permission);
        let covers = |number: &u64| {
            let one = question(asked.person.clone(), asked.permission, *number, resources);
            covers_resource(target, &one.resource)
        };
        let resource = (0..MOST_TRIES).map(|_| numbers.below(resources)).find(covers);
        let is_for = |person: &Person| meets(person.facts(), &flow.policy.requestors);
        let person = (0..MOST_TRIES).map(|_| data::person(numbers.below(PEOPLE))).find(is_for);
        if let (Some(permission), Some(resource), Some(person)) = (named, resource, person) {
            return question(person, permission, resource, resources);
        }
    }
    anything(numbers, resources)
}

/// How long something fitting is looked for.
const MOST_TRIES: usize = 5_000;

fn question(person: Person, permission: &'static str, number: u64, resources: u64) -> Question {
    let integration = data::integration(number / (resources / INTEGRATIONS));
    let resource = data::resource(&integration, number);
    let permission_id = PermissionId::derive(&integration, &resource.resource_type, permission);
    Question { person, resource, permission, permission_id }
}

fn of_index(index: &Index) -> Engine<'static> {
    let snapshot = index.snapshot();
    for number in 0..PEOPLE {
        let person = data::person(number);
        snapshot.policy().flows_for(person.facts(), person.facts());
    }
    Box::new(move |question: &Question| {
        let Question { person, resource, permission_id: permission, .. } = question;
        let integration = &resource.integration_id;
        let flows = snapshot.policy().flows_for(person.facts(), person.facts());
        let asked = EntitlementRef { integration, resource: &resource.id, permission };
        Ok(snapshot.may_ask(&flows, asked, None))
    })
}
