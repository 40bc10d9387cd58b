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
};
use latchkey_inventory::{EntitlementRef, Index, Rules};

use super::{
    data::{self, Numbers, Person},
    index::{INTEGRATIONS, Measured, PEOPLE, SIDE},
    sql::Sql,
    timings::Timings,
};

pub(crate) const BESIDE: &str = "decision beside others";
/// Each flow names one group.
const SHARE: u64 = 1;

/// One question.
pub(crate) struct Question {
    pub(crate) person: Person,
    pub(crate) resource: Resource,
    pub(crate) permission: &'static str,
}

/// Flows that every side can say whole.
fn flows(count: u64, resources: u64) -> Vec<AccessFlow> {
    let mut flows = data::flows(count * 2, SHARE, INTEGRATIONS, resources);
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
    let mut numbers = Numbers::new(11);
    let questions: Vec<Question> = (0..repetitions)
        .map(|_| {
            let number = numbers.below(resources);
            let integration = data::integration(number / (resources / INTEGRATIONS));
            Question {
                person: data::person(numbers.below(PEOPLE)),
                resource: data::resource(&integration, number),
                permission: numbers.word(&data::PERMISSIONS),
            }
        })
        .collect();
    for count in counts {
        let flows = flows(*count, resources);
        sql.set_flows(&flows).await?;
        index.set_rules(Rules { flows: flows.clone(), ..Rules::default() });
        let mut engines: Vec<(&'static str, Engine<'_>)> = vec![(SIDE, of_index(index))];
        #[cfg(feature = "rivals")]
        engines.extend(super::rivals::engines(&flows, &questions)?);
        let new = |side| Timings::new(BESIDE, side, resources, flows.len() as u64, SHARE);
        let mut timings: Vec<Timings> = engines.iter().map(|(side, _)| new(side)).collect();
        let mut of_sql = new(super::sql::SIDE);
        for question in &questions {
            let began = clock.monotonic();
            let answer = sql.decide(question).await?;
            of_sql.add(clock.monotonic().saturating_sub(began));
            for ((side, decide), timings) in engines.iter_mut().zip(&mut timings) {
                let began = clock.monotonic();
                let own = black_box(decide(question)?);
                timings.add(clock.monotonic().saturating_sub(began));
                ensure!(own == answer, "{side} says {own}, and PostgreSQL {answer}");
            }
        }
        timings.push(of_sql);
        measured.timings.extend(timings.into_iter().map(Timings::done));
    }
    Ok(())
}

fn of_index(index: &Index) -> Engine<'static> {
    let snapshot = index.snapshot();
    for number in 0..PEOPLE {
        let person = data::person(number);
        snapshot.policy().flows_for(person.facts(), person.facts());
    }
    Box::new(move |question: &Question| {
        let Question { person, resource, permission } = question;
        let integration = &resource.integration_id;
        let permission = PermissionId::derive(integration, &resource.resource_type, permission);
        let flows = snapshot.policy().flows_for(person.facts(), person.facts());
        let asked = EntitlementRef { integration, resource: &resource.id, permission: &permission };
        Ok(snapshot.may_ask(&flows, asked, None))
    })
}
