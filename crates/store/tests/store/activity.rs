//! Activity filters and pages against an oracle: the same done by hand over everything there is.

use std::collections::BTreeMap;

use latchkey_domain::{
    flow::FlowTrigger,
    ids::{FlowId, IntegrationId, RequestId, UserId},
    request::{AccessRequest, RequestState, RequestUnit},
};
use latchkey_store::{ActivityQuery, ActivityUnit, ActivityUnitQuery, PageKey, PageQuery, Result};
use latchkey_testkit::SeededRng;

use crate::fixtures::{Ground, flow, on_both, request, unit};

on_both! {
    activity_agrees_with_an_oracle,
    what_is_deleted_keeps_its_name,
    people_are_named_by_id_address_and_source_id,
}

const TYPES: [&str; 2] = ["postgresql-table", "postgresql-schema"];
const NAMES: [&str; 3] = ["orders", "Orders", "it's 100%_\\"];
const PERMISSIONS: [&str; 2] = ["READ_ONLY", "READ_WRITE"];
const STATES: [RequestState; 3] =
    [RequestState::Pending, RequestState::Active, RequestState::Revoked];

struct Dice(SeededRng);

impl Dice {
    fn below(&self, below: usize) -> usize {
        let [byte]: [u8; 1] = (&self.0 as &dyn latchkey_domain::Rng).bytes();
        usize::from(byte) % below
    }

    fn one<T: Clone>(&self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// No filter mostly, else some of the values; a value may come twice, or none at all.
    fn filter<T: Clone>(&self, of: &[T]) -> Option<Vec<T>> {
        (self.below(4) == 0).then(|| (0..self.below(4)).map(|_| self.one(of)).collect())
    }
}

/// Everything a filter may name.
struct World {
    people: Vec<UserId>,
    flows: Vec<FlowId>,
    integrations: Vec<IntegrationId>,
    requests: Vec<(AccessRequest, Vec<RequestUnit>)>,
}

impl World {
    async fn new(ground: &Ground, dice: &Dice) -> Self {
        let people = vec![ground.add_user("a@x.org").await.id, ground.add_user("b@x.org").await.id];
        let integrations =
            vec![ground.add_integration("shop").await.id, ground.add_integration("crm").await.id];
        let flows = vec![
            FlowId::generate(ground.now(), ground.rng()),
            FlowId::generate(ground.now(), ground.rng()),
        ];
        let mut world = Self { people, flows, integrations, requests: Vec::new() };
        for n in 0..60 {
            if n % 3 == 0 {
                ground.clock.advance(std::time::Duration::from_micros(1));
            }
            let drafted = world.draft(ground, dice, n);
            world.requests.push(drafted);
        }
        let requests = &world.requests;
        ground
            .store
            .write(async |tx| -> Result<()> {
                for (request, units) in requests {
                    tx.insert_request(request, units).await?;
                }
                Ok(())
            })
            .await
            .unwrap();
        world.requests.sort_by(|(a, _), (b, _)| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        world
    }

    fn draft(
        &self,
        ground: &Ground,
        dice: &Dice,
        number: i64,
    ) -> (AccessRequest, Vec<RequestUnit>) {
        let mut drafted = request(ground.now(), ground.rng(), &dice.one(&self.people));
        drafted.number = number;
        drafted.grantee_id = dice.one(&self.people);
        drafted.flow_id = dice.one(&self.flows);
        drafted.state = dice.one(&STATES);
        drafted.flow_policy.trigger = dice.one(&FlowTrigger::ALL);
        let units = (0..=dice.below(3)).map(|_| {
            let mut part =
                unit(ground.now(), ground.rng(), &drafted, &dice.one(&self.integrations));
            dice.one(&TYPES).clone_into(&mut part.resource_type);
            dice.one(&NAMES).clone_into(&mut part.resource_name);
            dice.one(&PERMISSIONS).clone_into(&mut part.permission);
            part
        });
        let units = units.collect();
        (drafted, units)
    }

    fn query(&self, dice: &Dice) -> ActivityQuery {
        let texts = |of: &[&str]| -> Vec<String> { of.iter().map(|&text| text.into()).collect() };
        let ids: Vec<RequestId> =
            self.requests.iter().map(|(request, _)| request.id.clone()).collect();
        let mut resources = texts(&NAMES);
        resources.push(self.requests[0].1[0].resource_id.to_string());
        let time = || (dice.below(4) == 0).then(|| dice.one(&self.requests).0.created_at);
        ActivityQuery {
            from: time(),
            until: time(),
            request_ids: (dice.below(8) == 0).then(|| ids[..dice.below(ids.len())].to_vec()),
            requestor_ids: dice.filter(&self.people),
            grantee_ids: dice.filter(&self.people),
            flow_ids: dice.filter(&self.flows),
            states: dice.filter(&STATES),
            triggers: dice.filter(&FlowTrigger::ALL),
            units: ActivityUnitQuery {
                integration_ids: dice.filter(&self.integrations),
                resource_types: dice.filter(&texts(&TYPES)),
                resources: dice.filter(&resources),
                permissions: dice.filter(&texts(&PERMISSIONS)),
            },
        }
    }
}

fn holds(query: &ActivityQuery, request: &AccessRequest, units: &[RequestUnit]) -> bool {
    fn among<T: PartialEq>(wanted: Option<&Vec<T>>, value: &T) -> bool {
        wanted.is_none_or(|wanted| wanted.contains(value))
    }
    let of_unit = |unit: &RequestUnit| {
        let wanted = &query.units;
        among(wanted.integration_ids.as_ref(), &unit.integration_id)
            && among(wanted.resource_types.as_ref(), &unit.resource_type)
            && among(wanted.permissions.as_ref(), &unit.permission)
            && (among(wanted.resources.as_ref(), &unit.resource_name)
                || among(wanted.resources.as_ref(), &unit.resource_id.to_string()))
    };
    query.from.is_none_or(|from| request.created_at >= from)
        && query.until.is_none_or(|until| request.created_at < until)
        && among(query.request_ids.as_ref(), &request.id)
        && among(query.requestor_ids.as_ref(), &request.requestor_id)
        && among(query.grantee_ids.as_ref(), &request.grantee_id)
        && among(query.flow_ids.as_ref(), &request.flow_id)
        && among(query.states.as_ref(), &request.state)
        && among(query.triggers.as_ref(), &request.flow_policy.trigger)
        && units.iter().any(of_unit)
}

async fn activity_agrees_with_an_oracle(ground: Ground) {
    let dice = Dice(SeededRng::new(9));
    let world = World::new(&ground, &dice).await;
    for round in 0..300 {
        let query = world.query(&dice);
        let newest_first = dice.below(2) == 0;
        let limit = dice.below(9) + 1;
        let mut expected: Vec<_> = world.requests.iter().collect();
        if newest_first {
            expected.reverse();
        }
        let after = (dice.below(2) == 0).then(|| dice.below(expected.len()));
        let skipped = after.map_or(0, |place| place + 1);
        let after = after
            .map(|place| PageKey::new(expected[place].0.created_at, expected[place].0.id.as_str()));
        let expected: Vec<&RequestId> = expected
            .into_iter()
            .skip(skipped)
            .filter(|(request, units)| holds(&query, request, units))
            .map(|(request, _)| &request.id)
            .take(limit)
            .collect();
        let page = PageQuery { after, limit: u32::try_from(limit).unwrap(), newest_first };
        let found = ground.store.read(async |tx| tx.list_activity(&query, &page).await).await;
        let found = found.unwrap();
        let found: Vec<&RequestId> = found.iter().map(|request| &request.id).collect();
        assert_eq!(found, expected, "round {round}: {query:?} {page:?}");
    }
    let ids: Vec<RequestId> =
        world.requests.iter().map(|(request, _)| request.id.clone()).collect();
    let units = ground.store.read(async |tx| tx.activity_units(&ids).await).await.unwrap();
    let mut by_request: BTreeMap<RequestId, Vec<ActivityUnit>> = BTreeMap::new();
    for unit in units {
        by_request.entry(unit.request_id.clone()).or_default().push(unit);
    }
    for (request, units) in &world.requests {
        let names = units.iter().map(|unit| unit.resource_name.as_str());
        let found = by_request[&request.id].iter().map(|unit| unit.resource_name.as_str());
        assert!(names.eq(found), "{}", request.id);
    }
}

async fn what_is_deleted_keeps_its_name(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let crm = ground.add_integration("crm").await;
    let readers = flow(ground.now(), ground.rng(), "readers", &shop.id);
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_flow(&readers).await?;
            assert!(tx.delete_flow(&readers.id).await?);
            assert!(tx.delete_integration(&shop.id).await?);
            let flows = tx.flow_names(std::slice::from_ref(&readers.id)).await?;
            assert_eq!(flows[&readers.id], "readers");
            let ids = [shop.id.clone(), crm.id.clone(), IntegrationId::new("unknown")];
            let integrations = tx.integration_names(&ids).await?;
            assert_eq!(integrations.values().collect::<Vec<_>>(), ["shop", "crm"]);
            Ok(())
        })
        .await
        .unwrap();
}

async fn people_are_named_by_id_address_and_source_id(ground: Ground) {
    let mut ada = crate::fixtures::user(ground.now(), ground.rng(), "Ada@x.org");
    ada.email_aliases = vec!["countess@x.org".to_owned()];
    ada.source_id = Some("okta-7".to_owned());
    ground.store.write(async |tx| tx.insert_user(&ada).await).await.unwrap();
    let named = async |texts: &[&str]| {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        ground.store.read(async |tx| tx.user_ids_named(&texts).await).await.unwrap()
    };
    for text in [ada.id.as_str(), "ada@X.org", "countess@x.org", "okta-7"] {
        assert_eq!(named(&[text]).await, std::slice::from_ref(&ada.id), "{text}");
    }
    assert_eq!(named(&["okta-7", "ada@x.org"]).await.len(), 1);
    assert!(named(&["bob@x.org", ""]).await.is_empty());
}
