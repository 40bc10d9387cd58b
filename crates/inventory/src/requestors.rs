//! Which flows can concern a person, without looking at every flow.
//!
//! A positive `is` condition holds only for a person who carries one of its values: the id it was
//! pinned to, or an id, address or name as it was written. Condition sets are filed under these.
//! Where every value is pinned, carrying the id is all there is to it, and only what else is asked
//! is looked at;
//! whatever else is found that way is a superset, in which
//! [`latchkey_domain::policy::matching::meets`] has the last word. A set that nothing positive
//! binds is looked at for everybody.

use hashbrown::HashMap;
use latchkey_domain::{
    flow::{Condition, ConditionSet, LogicalOperator, MatchOperator},
    ids::same_text,
    people::{User, normalize_email},
    policy::matching::{GROUP, MANAGER, OWNER, PersonFacts, USER, WEBHOOK, matches, meets},
};

use crate::bits::Bits;

/// Condition sets, each once, filed by what a person has to carry.
#[derive(Debug, Default)]
pub(crate) struct Requestors {
    sets: Vec<ConditionSet>,
    /// Sets that may be met by who carries this, by attribute type and value.
    filed: HashMap<(String, String), Vec<u32>>,
    /// Sets that are met by who carries this, by attribute type and id.
    settled: HashMap<(String, String), Vec<u32>>,
    /// Sets of which all conditions have to hold, and of which carrying this settles one.
    half_settled: HashMap<(String, String), Vec<u32>>,
    /// Which condition that is, by set.
    settled_condition: HashMap<u32, usize>,
    /// Sets that may be met whatever the person carries.
    open: Vec<u32>,
    numbers: HashMap<String, u32>,
}

impl Requestors {
    /// The number of a condition set, new or known.
    pub(crate) fn number(&mut self, set: &ConditionSet) -> u32 {
        // Two sets that print alike are alike: the form names every member and quotes texts.
        let key = format!("{set:?}");
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.file(number, set);
        self.sets.push(set.clone());
        self.numbers.insert(key, number);
        number
    }

    fn file(&mut self, number: u32, set: &ConditionSet) {
        let mut maybe: Vec<(String, String)> = Vec::new();
        let mut is_open = false;
        if set.logical_operator == LogicalOperator::And && set.conditions.len() > 1 {
            // Whoever meets all meets the one with the fewest keys.
            let numbered = set.conditions.iter().enumerate();
            let settling = numbered.filter_map(|(at, one)| Some((at, settling_keys_of(one)?)));
            if let Some((at, keys)) = settling.min_by_key(|(_, keys)| keys.len()) {
                for key in keys {
                    file_under(&mut self.half_settled, key, number);
                }
                self.settled_condition.insert(number, at);
                return;
            }
            match set.conditions.iter().filter_map(keys_of).min_by_key(Vec::len) {
                Some(keys) => maybe = keys,
                None => is_open = true,
            }
        } else {
            for condition in &set.conditions {
                if let Some(keys) = settling_keys_of(condition) {
                    for key in keys {
                        file_under(&mut self.settled, key, number);
                    }
                } else if let Some(keys) = keys_of(condition) {
                    maybe.extend(keys);
                } else {
                    is_open = true;
                }
            }
        }
        for key in maybe {
            file_under(&mut self.filed, key, number);
        }
        if is_open {
            self.open.push(number);
        }
    }

    /// The sets that the person meets.
    pub(crate) fn met_by(&self, person: PersonFacts<'_>) -> Bits {
        let none = || Bits::none(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        let (mut met, mut half_met, mut maybe) = (none(), none(), none());
        for key in ids_of(person) {
            let of = |files: &HashMap<_, Vec<u32>>, sets: &mut Bits| {
                files.get(&key).into_iter().flatten().for_each(|number| sets.insert(*number));
            };
            of(&self.settled, &mut met);
            of(&self.half_settled, &mut half_met);
        }
        for key in carried_by(person) {
            self.filed.get(&key).into_iter().flatten().for_each(|number| maybe.insert(*number));
        }
        self.open.iter().for_each(|number| maybe.insert(*number));
        maybe.subtract(&met);
        let set = |number: u32| self.sets.get(number as usize);
        for number in maybe.iter() {
            if set(number).is_some_and(|set| meets(person, set)) {
                met.insert(number);
            }
        }
        for number in half_met.iter() {
            let settled = self.settled_condition.get(&number);
            let is_met = set(number).is_some_and(|set| {
                let mut rest = set.conditions.iter().enumerate();
                rest.all(|(at, condition)| settled == Some(&at) || matches(person, condition))
            });
            if is_met {
                met.insert(number);
            }
        }
        met
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}

/// Files a set under a key, once.
fn file_under(files: &mut HashMap<(String, String), Vec<u32>>, key: (String, String), number: u32) {
    let file = files.entry(key).or_default();
    if file.last() != Some(&number) {
        file.push(number);
    }
}

/// The ids of which one is all that a person needs to carry for the condition to hold; `None` if
/// there is more to it.
fn settling_keys_of(condition: &Condition) -> Option<Vec<(String, String)>> {
    let kind = condition.attribute_type.as_str();
    let is_settled = condition.operator() == MatchOperator::Is
        && condition.pinned_ids.len() >= condition.values().len()
        && match kind {
            USER | GROUP | MANAGER => true,
            OWNER | WEBHOOK => false,
            // Of an attribute, the source counts beside the id.
            _ => condition.source_integration_id.is_none(),
        };
    if !is_settled || condition.values().iter().any(|value| value.trim().is_empty()) {
        return None;
    }
    let pins = condition.pinned_ids.iter().take(condition.values().len());
    pins.map(|pin| Some((kind.to_owned(), pin.clone()?))).collect()
}

/// The person's own ids, by which pinned conditions name them.
fn ids_of(person: PersonFacts<'_>) -> Vec<(String, String)> {
    let mut keys = vec![(USER.to_owned(), person.user.id.as_str().to_owned())];
    keys.extend(person.manager.map(|one| (MANAGER.to_owned(), one.id.as_str().to_owned())));
    let groups = person.groups.iter();
    keys.extend(groups.map(|group| (GROUP.to_owned(), group.id.as_str().to_owned())));
    let attributes = person.attributes.iter().map(|attribute| &attribute.identity);
    // An attribute that is called like another kind of fact is not that fact.
    let own = attributes.filter(|identity| {
        ![USER, GROUP, MANAGER, OWNER, WEBHOOK].contains(&identity.attribute_type.as_str())
    });
    keys.extend(own.map(|one| (one.attribute_type.clone(), one.id.as_str().to_owned())));
    keys
}

/// What a person has to carry one of for the condition to hold; `None` if that cannot be said.
fn keys_of(condition: &Condition) -> Option<Vec<(String, String)>> {
    let kind = condition.attribute_type.as_str();
    if kind == OWNER || kind == WEBHOOK || condition.values().is_empty() {
        // Nobody meets it.
        return Some(Vec::new());
    }
    if condition.operator() != MatchOperator::Is {
        return None;
    }
    let pins = condition.pinned_ids.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    let mut keys = Vec::new();
    for (value, pin) in condition.values().iter().zip(pins) {
        let mut add = |text: &str| keys.push((kind.to_owned(), text.to_owned()));
        if let Some(id) = pin {
            add(id);
        } else {
            add(value.trim());
            add(&same_text(value));
        }
    }
    Some(keys)
}

/// Everything that a value of an `is` condition can name this person by.
fn carried_by(person: PersonFacts<'_>) -> Vec<(String, String)> {
    let mut keys = Vec::new();
    let mut add = |kind: &str, text: &str| keys.push((kind.to_owned(), text.to_owned()));
    let mut user = |kind: &str, user: &User| {
        add(kind, user.id.as_str());
        user.source_id.iter().for_each(|id| add(kind, id));
        add(kind, &normalize_email(&user.email));
        user.email_aliases.iter().for_each(|email| add(kind, &normalize_email(email)));
    };
    user(USER, person.user);
    if let Some(manager) = person.manager {
        user(MANAGER, manager);
    }
    for group in person.groups {
        add(GROUP, group.id.as_str());
        group.source_id.iter().for_each(|id| add(GROUP, id));
        add(GROUP, &same_text(&group.name));
    }
    for attribute in person.attributes {
        let identity = &attribute.identity;
        let kind = identity.attribute_type.as_str();
        add(kind, identity.id.as_str());
        identity.source_id.iter().for_each(|id| add(kind, id));
        add(kind, &same_text(&identity.value));
    }
    keys
}
