//! The flows, bundles and access scopes, arranged for two questions: which flows concern this
//! person, and which flows give this entitlement.
//!
//! Invariant: a flow is among a person's exactly if
//! [`latchkey_domain::policy::selection::is_usable_by`] says so.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use latchkey_aql::Query;
use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::{AccessFlow, FlowTarget, FlowTrigger, IntegrationTarget},
    ids::{AccessScopeId, BundleId, FlowId},
    policy::{
        grantees::may_ask_for,
        matching::{PersonFacts, meets},
    },
};

use crate::{
    bits::Bits,
    fingerprint::{Fingerprint, fingerprint},
    floors::{Bar, Barred, Floors},
    reach::{Reach, Reaches},
    requestors::Requestors,
};

/// So many people's flows are kept in each of two generations, and so many bytes of them.
const KEPT_PEOPLE: usize = 16_384;
const KEPT_BYTES: usize = 32 << 20;

/// What flows say, as it is given to the index.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Every flow.
    pub flows: Vec<AccessFlow>,
    /// Every bundle that a flow names. What is not here holds nothing.
    pub bundles: Vec<Bundle>,
    /// The queries of the access scopes that flows and bundles name. What is not here, or could
    /// not be read, selects nothing.
    pub access_scopes: Vec<(AccessScopeId, Query)>,
    /// What no flow goes below.
    pub floors: Floors,
}

/// What is given on a reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) reach: u32,
    /// Names of permissions; `None` where the reach says which.
    pub(crate) permissions: Option<Vec<String>>,
}

/// Numbers for numbers, both ways small.
#[derive(Debug, Default)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn of(lists: Vec<Vec<u32>>) -> Self {
        let mut built = Self { starts: vec![0], items: Vec::new() };
        for mut list in lists {
            list.sort_unstable();
            list.dedup();
            built.items.extend(list);
            built.starts.push(u32::try_from(built.items.len()).unwrap_or(u32::MAX));
        }
        built
    }

    fn get(&self, number: u32) -> &[u32] {
        let at = |number: usize| self.starts.get(number).copied().unwrap_or_default() as usize;
        self.items.get(at(number as usize)..at(number as usize + 1)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        (self.starts.capacity() + self.items.capacity()) * 4
    }
}

/// The rules, arranged.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    by_id: HashMap<FlowId, u32>,
    queries: HashMap<AccessScopeId, u32>,
    bundles: HashMap<BundleId, u32>,
    requestors: Requestors,
    /// The flows of each condition set; those alone that can govern at all.
    flows_of_set: Lists,
    pub(crate) reaches: Arc<Reaches>,
    pub(crate) grants: Vec<Grant>,
    grants_of_reach: Lists,
    grants_of_flow: Lists,
    flows_of_grant: Lists,
    /// What a bundle holds for flows that these floors keep from giving.
    grants_of_bundle: HashMap<(BundleId, Bar), Vec<u32>>,
    flows_of_bundle: HashMap<BundleId, Vec<u32>>,
    people: Mutex<People>,
}

/// Flows of people, two generations: what was not asked for in one is forgotten with the next.
#[derive(Debug, Default)]
struct People {
    recent: HashMap<Fingerprint, Arc<PersonFlows>>,
    older: HashMap<Fingerprint, Arc<PersonFlows>>,
}

/// The flows by which a person may ask, for themselves or for another. Good for the policy that
/// worked it out.
#[derive(Debug, Clone)]
pub struct PersonFlows {
    pub(crate) flows: Bits,
    /// What these flows give.
    pub(crate) grants: Bits,
}

impl PersonFlows {
    /// How many flows these are.
    pub fn count(&self) -> u64 {
        self.flows.count()
    }
}

/// Takes grants and gives numbers, one for all that are alike.
#[derive(Default)]
struct Grants {
    grants: Vec<Grant>,
    numbers: HashMap<Grant, u32>,
}

impl Grants {
    fn number(&mut self, reach: u32, permissions: Option<&[String]>) -> u32 {
        let permissions = permissions.map(|names| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.dedup();
            names
        });
        let grant = Grant { reach, permissions };
        let next = u32::try_from(self.grants.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(grant.clone()).or_insert(next);
        if number == next {
            self.grants.push(grant);
        }
        number
    }

    /// What a target gives, as far as it is not barred.
    fn of_target(
        &mut self,
        reaches: &mut Reaches,
        target: &IntegrationTarget,
        barred: &Barred,
    ) -> Option<u32> {
        match barred {
            Barred::Nothing => {
                let reach = reaches.number(Reach::of_target(target));
                Some(self.number(reach, Some(&target.permissions)))
            }
            Barred::Selected(query) => {
                let reach = reaches.number(Reach::Left(target.clone(), query.clone()));
                Some(self.number(reach, None))
            }
            Barred::Everything => None,
        }
    }
}

impl Policy {
    /// Arranges rules. What was worked out about the reaches of `before` stays good.
    pub(crate) fn new(rules: Rules, before: Option<&Self>) -> Self {
        let known = before.map(|before| Reaches::clone(&before.reaches)).unwrap_or_default();
        let policy = Self::with_reaches(rules, known);
        // A table that mostly holds what nobody names any more is not worth going on with.
        let used = policy.grants.iter().map(|grant| grant.reach).collect::<hashbrown::HashSet<_>>();
        if policy.reaches.len() as usize > used.len() * 2 + 256 {
            let anew = policy.reaches.anew();
            return Self::with_reaches(policy.rules, anew);
        }
        policy
    }

    fn with_reaches(rules: Rules, mut reaches: Reaches) -> Self {
        let numbered = || (0u32..).zip(&rules.flows);
        let mut grants = Grants::default();
        let queries: HashMap<AccessScopeId, u32> = (0u32..)
            .zip(&rules.access_scopes)
            .map(|(number, (id, _))| (id.clone(), number))
            .collect();
        let kinds = Bar::ALL.map(|bar| (bar, rules.floors.barred(bar)));
        let mut grants_of_bundle: HashMap<(BundleId, Bar), Vec<u32>> = HashMap::new();
        let mut query_grants: HashMap<(AccessScopeId, Bar), u32> = HashMap::new();
        for (bar, barred) in &kinds {
            for (id, query) in &rules.access_scopes {
                if let Some(left) = barred.left_of(query) {
                    let reach = reaches.number(Reach::Query(left.into_owned()));
                    query_grants.insert((id.clone(), *bar), grants.number(reach, None));
                }
            }
            for bundle in &rules.bundles {
                let own = grants_of_bundle.entry((bundle.id.clone(), *bar)).or_default();
                own.clear();
                for target in &bundle.targets {
                    match target {
                        BundleTarget::Integration(target) => {
                            own.extend(grants.of_target(&mut reaches, target, barred));
                        }
                        BundleTarget::AccessScope(id) => {
                            own.extend(query_grants.get(&(id.clone(), *bar)));
                        }
                    }
                }
            }
        }
        let mut flows_of_bundle: HashMap<BundleId, Vec<u32>> = HashMap::new();
        let mut grants_of_flow: Vec<Vec<u32>> = Vec::with_capacity(rules.flows.len());
        for (number, flow) in numbered() {
            let mut own = Vec::new();
            let bar = Bar::of(&flow.policy);
            let barred = kinds.iter().find(|(kind, _)| *kind == bar).map(|(_, barred)| barred);
            for target in &flow.policy.access_targets {
                match target {
                    FlowTarget::Integration(target) => {
                        let barred = barred.unwrap_or(&Barred::Everything);
                        own.extend(grants.of_target(&mut reaches, target, barred));
                    }
                    FlowTarget::AccessScope(id) => own.extend(query_grants.get(&(id.clone(), bar))),
                    FlowTarget::Bundle(id) => {
                        let held = grants_of_bundle.get(&(id.clone(), bar));
                        own.extend(held.into_iter().flatten());
                        flows_of_bundle.entry(id.clone()).or_default().push(number);
                    }
                }
            }
            grants_of_flow.push(own);
        }
        let grants = grants.grants;
        let mut flows_of_grant = vec![Vec::new(); grants.len()];
        for (flow, own) in (0u32..).zip(&grants_of_flow) {
            for grant in own {
                if let Some(flows) = flows_of_grant.get_mut(*grant as usize) {
                    flows.push(flow);
                }
            }
        }
        let mut grants_of_reach = vec![Vec::new(); reaches.len() as usize];
        for (number, grant) in (0u32..).zip(&grants) {
            if let Some(own) = grants_of_reach.get_mut(grant.reach as usize) {
                own.push(number);
            }
        }
        let mut requestors = Requestors::default();
        let mut flows_of_set: Vec<Vec<u32>> = Vec::new();
        for (number, flow) in numbered() {
            if can_govern(flow) {
                let set = requestors.number(&flow.policy.requestors) as usize;
                flows_of_set.resize_with(requestors.len(), Vec::new);
                if let Some(flows) = flows_of_set.get_mut(set) {
                    flows.push(number);
                }
            }
        }
        Self {
            by_id: numbered().map(|(number, flow)| (flow.id.clone(), number)).collect(),
            bundles: (0u32..)
                .zip(&rules.bundles)
                .map(|(number, bundle)| (bundle.id.clone(), number))
                .collect(),
            queries,
            requestors,
            flows_of_set: Lists::of(flows_of_set),
            reaches: Arc::new(reaches),
            grants,
            grants_of_reach: Lists::of(grants_of_reach),
            grants_of_flow: Lists::of(grants_of_flow),
            flows_of_grant: Lists::of(flows_of_grant),
            grants_of_bundle,
            flows_of_bundle,
            people: Mutex::default(),
            rules,
        }
    }

    /// What it was made from.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// These flows by themselves, whoever may use them, switched-off and automatic ones included.
    pub fn flows_alone<'i>(&self, ids: impl IntoIterator<Item = &'i FlowId>) -> PersonFlows {
        let mut alone = self.no_flows();
        for id in ids {
            if let Some(number) = self.by_id.get(id) {
                self.give(&mut alone, *number);
            }
        }
        alone
    }

    /// A person's own flows, and beside them those that give to the person without being asked.
    pub fn with_automatic(&self, own: &PersonFlows, person: PersonFacts<'_>) -> PersonFlows {
        let mut with = own.clone();
        for (number, flow) in (0u32..).zip(&self.rules.flows) {
            let gives = flow.active
                && flow.policy.trigger == FlowTrigger::Automatic
                && person.user.is_active()
                && meets(person, &flow.policy.requestors);
            if gives {
                self.give(&mut with, number);
            }
        }
        with
    }

    /// Every flow, in the order in which they were given.
    pub fn flows(&self) -> &[AccessFlow] {
        &self.rules.flows
    }

    /// A flow.
    pub fn find_flow(&self, id: &FlowId) -> Option<&AccessFlow> {
        self.by_id.get(id).and_then(|number| self.flow(*number))
    }

    pub(crate) fn flow(&self, number: u32) -> Option<&AccessFlow> {
        self.rules.flows.get(number as usize)
    }

    /// The targets of a bundle.
    pub fn find_bundle(&self, id: &BundleId) -> Option<&[BundleTarget]> {
        let bundle = self.rules.bundles.get(*self.bundles.get(id)? as usize)?;
        Some(&bundle.targets)
    }

    /// The bundles that some of the flows name, in the order in which they were given.
    pub fn bundles_of<'p>(&'p self, flows: &'p PersonFlows) -> impl Iterator<Item = &'p Bundle> {
        self.rules.bundles.iter().filter(|bundle| {
            self.flows_of_bundle(&bundle.id).iter().any(|number| flows.flows.contains(*number))
        })
    }

    /// The query of an access scope.
    pub fn find_query(&self, id: &AccessScopeId) -> Option<&Query> {
        let (_, query) = self.rules.access_scopes.get(*self.queries.get(id)? as usize)?;
        Some(query)
    }

    /// The flows by which `requestor` may ask for something for `grantee`: those that
    /// [`latchkey_domain::policy::selection::is_usable_by`] lets pass.
    pub fn flows_for(
        &self,
        requestor: PersonFacts<'_>,
        grantee: PersonFacts<'_>,
    ) -> Arc<PersonFlows> {
        let key = fingerprint(requestor, grantee);
        {
            let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = people.recent.get(&key) {
                return Arc::clone(known);
            }
            if let Some(known) = people.older.remove(&key) {
                people.keep(key, Arc::clone(&known), self.kept_people());
                return known;
            }
        }
        let flows = Arc::new(self.work_out(requestor, grantee));
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.keep(key, Arc::clone(&flows), self.kept_people());
        flows
    }

    fn work_out(&self, requestor: PersonFacts<'_>, grantee: PersonFacts<'_>) -> PersonFlows {
        let mut own = self.no_flows();
        if !requestor.user.is_active() || !grantee.user.is_active() {
            return own;
        }
        for set in self.requestors.met_by(requestor).iter() {
            for number in self.flows_of_set.get(set) {
                let is_theirs = self
                    .flow(*number)
                    .is_some_and(|flow| may_ask_for(&flow.policy, requestor, grantee));
                if is_theirs {
                    self.give(&mut own, *number);
                }
            }
        }
        own
    }

    fn no_flows(&self) -> PersonFlows {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        PersonFlows {
            flows: Bits::none(count(self.rules.flows.len())),
            grants: Bits::none(count(self.grants.len())),
        }
    }

    /// Adds a flow, with what it gives.
    fn give(&self, flows: &mut PersonFlows, number: u32) {
        flows.flows.insert(number);
        self.grants_of_flow.get(number).iter().for_each(|one| flows.grants.insert(*one));
    }

    pub(crate) fn grants_of_reach(&self, reach: u32) -> &[u32] {
        self.grants_of_reach.get(reach)
    }

    pub(crate) fn flows_of_grant(&self, grant: u32) -> &[u32] {
        self.flows_of_grant.get(grant)
    }

    /// What a bundle holds for flows that these floors keep from giving.
    pub(crate) fn grants_of_bundle(&self, bundle: &BundleId, bar: Bar) -> &[u32] {
        self.grants_of_bundle.get(&(bundle.clone(), bar)).map_or(&[], Vec::as_slice)
    }

    /// The flows that target a bundle and that these floors keep from giving.
    pub(crate) fn flows_of_bundle_by(
        &self,
        bundle: &BundleId,
        bar: Bar,
    ) -> impl Iterator<Item = u32> + '_ {
        let is_such =
            move |number: &u32| self.flow(*number).is_some_and(|flow| Bar::of(&flow.policy) == bar);
        self.flows_of_bundle(bundle).iter().copied().filter(is_such)
    }

    pub(crate) fn flows_of_bundle(&self, bundle: &BundleId) -> &[u32] {
        self.flows_of_bundle.get(bundle).map_or(&[], Vec::as_slice)
    }

    /// About how many bytes a person's flows take.
    fn bytes_of_person(&self) -> usize {
        (self.rules.flows.len() + self.grants.len()) / 8 + 160
    }

    fn kept_people(&self) -> usize {
        KEPT_PEOPLE.min(KEPT_BYTES / self.bytes_of_person())
    }

    /// About how many bytes it has on the heap, without the flows' own texts.
    pub fn bytes(&self) -> usize {
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let one = self.bytes_of_person();
        (people.recent.len() + people.older.len()) * one
            + self.flows_of_set.bytes()
            + self.grants_of_reach.bytes()
            + self.grants_of_flow.bytes()
            + self.flows_of_grant.bytes()
            + self.grants.capacity() * size_of::<Grant>()
    }
}

impl Default for Policy {
    /// No flows.
    fn default() -> Self {
        Self::new(Rules::default(), None)
    }
}

/// Whether the flow governs anything, whoever asks.
fn can_govern(flow: &AccessFlow) -> bool {
    flow.active && flow.policy.trigger == FlowTrigger::SelfServe
}

impl People {
    fn keep(&mut self, key: Fingerprint, flows: Arc<PersonFlows>, most: usize) {
        if self.recent.len() >= most {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, flows);
    }
}
