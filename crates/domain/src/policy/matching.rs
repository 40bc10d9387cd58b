//! Whether a person meets conditions.
//!
//! A condition looks at the person (`user`), at the groups the person is in (`group`), at the
//! person's manager (`manager`) or at the person's values of an attribute (any other type). Who
//! has no manager, or no value of that attribute, meets no condition on it, in the negative as
//! well: absence opens nothing. `Owner` stands for no fact about a person and matches nobody.
//!
//! What is compared:
//! - `is`, `is_not`: the pinned id where there is one, and then nothing else. Without a pin: the
//!   id here; the source id (in the condition's source, where one is given); for users any of
//!   their addresses without letter case; for groups the name, and for attributes the value,
//!   without letter case. `is_not` on an attribute keeps out an equal text beside the pinned id.
//! - `contains`, `does_not_contain`, `starts_with`: texts, without letter case. For users their
//!   addresses and the name that people see, for groups their name, for attributes the value.
//!   Where the condition gives a source, only identities of that source are compared; a person
//!   who is not of that source meets no text condition on users.
//!
//! Several values are alternatives: a positive condition needs one of them, a negative one none.

use crate::{
    flow::{Condition, ConditionSet, LogicalOperator, MatchOperator},
    ids::same_text,
    people::{AttributeValue, Group, PersonAttribute, User, normalize_email},
};

/// Attribute type of conditions on the person.
pub const USER: &str = "user";
/// Attribute type of conditions on the person's groups.
pub const GROUP: &str = "group";
/// Attribute type of conditions on the person's manager. Among approvers it stands for the
/// requestor's manager.
pub const MANAGER: &str = "manager";
/// Attribute type that, among approvers, stands for a resource's owner.
pub const OWNER: &str = "Owner";
/// Attribute type that, among approvers, stands for a program that is asked.
pub const WEBHOOK: &str = "webhook";

/// A person with all that conditions look at, as read in the deciding transaction.
#[derive(Debug, Clone, Copy)]
pub struct PersonFacts<'a> {
    /// The person.
    pub user: &'a User,
    /// Every group the person is in, through other groups as well.
    pub groups: &'a [Group],
    /// The person's manager.
    pub manager: Option<&'a User>,
    /// The person's values of attributes, whoever says so.
    pub attributes: &'a [PersonAttribute],
}

/// Whether the person meets the conditions. No conditions: nobody does.
pub fn meets(person: PersonFacts<'_>, set: &ConditionSet) -> bool {
    let mut conditions = set.conditions.iter();
    match set.logical_operator {
        LogicalOperator::And => {
            !set.conditions.is_empty() && conditions.all(|condition| matches(person, condition))
        }
        LogicalOperator::Or => conditions.any(|condition| matches(person, condition)),
    }
}

/// Whether the person meets one condition.
pub fn matches(person: PersonFacts<'_>, condition: &Condition) -> bool {
    if !says_something(condition) {
        return false;
    }
    match condition.attribute_type.as_str() {
        USER => user_matches(person.user, condition),
        GROUP => groups_match(person.groups, condition),
        MANAGER => person.manager.is_some_and(|manager| user_matches(manager, condition)),
        OWNER | WEBHOOK => false,
        _ => attributes_match(person.attributes, condition),
    }
}

/// Whether `value` names this user, as `is` understands it before it is pinned. What pins a
/// condition when it is saved asks the same question.
pub fn names_user(value: &str, user: &User, condition: &Condition) -> bool {
    let value = value.trim();
    user.id.as_str() == value
        || is_source_id(value, user.source_id.as_deref(), user, condition)
        || addresses(user).any(|address| address == normalize_email(value))
}

/// Whether `value` names this group, as `is` understands it before it is pinned.
pub fn names_group(value: &str, group: &Group, condition: &Condition) -> bool {
    let value = value.trim();
    let in_source = condition.source_integration_id.is_none()
        || condition.source_integration_id == group.source_integration_id;
    group.id.as_str() == value
        || (in_source
            && (group.source_id.as_deref() == Some(value)
                || group.name.trim().to_lowercase() == value.to_lowercase()))
}

/// Whether `value` names this value of an attribute, as `is` understands it before it is pinned.
pub fn names_attribute(value: &str, identity: &AttributeValue, condition: &Condition) -> bool {
    let value = value.trim();
    identity.attribute_type == condition.attribute_type
        && (identity.id.as_str() == value
            || (is_of_source(identity, condition)
                && (identity.source_id.as_deref() == Some(value)
                    || same_text(&identity.value) == same_text(value))))
}

/// Whether two accounts belong to one person: the same account, or a shared address. It is
/// asked only where sameness takes something away, such as a say in one's own request; what
/// gives a right looks at the account alone.
pub fn same_person(one: &User, other: &User) -> bool {
    one.id == other.id || addresses(one).any(|mine| addresses(other).any(|theirs| mine == theirs))
}

/// A condition without values, or with a blank one, says nothing: a blank would be contained in
/// every text, and none of no values would be everybody.
fn says_something(condition: &Condition) -> bool {
    let values = condition.values();
    !values.is_empty() && values.iter().all(|value| !value.trim().is_empty())
}

fn user_matches(user: &User, condition: &Condition) -> bool {
    let operator = condition.operator();
    let of_source = condition.source_integration_id.is_none()
        || condition.source_integration_id == user.source_integration_id;
    match operator {
        MatchOperator::Is | MatchOperator::IsNot => {
            let named = named(condition, |value, pin| match pin {
                Some(id) => user.id.as_str() == id,
                None => names_user(value, user, condition),
            });
            named != operator.is_negative()
        }
        _ if !of_source => false,
        _ => {
            let mut texts: Vec<String> = addresses(user).collect();
            texts.push(user.display_name().to_lowercase());
            any_text(&texts, condition) != operator.is_negative()
        }
    }
}

fn groups_match(groups: &[Group], condition: &Condition) -> bool {
    let operator = condition.operator();
    let found = match operator {
        MatchOperator::Is | MatchOperator::IsNot => groups.iter().any(|group| {
            named(condition, |value, pin| match pin {
                Some(id) => group.id.as_str() == id,
                None => names_group(value, group, condition),
            })
        }),
        _ => {
            let names: Vec<String> = groups
                .iter()
                .filter(|group| {
                    condition.source_integration_id.is_none()
                        || condition.source_integration_id == group.source_integration_id
                })
                .map(|group| group.name.trim().to_lowercase())
                .collect();
            any_text(&names, condition)
        }
    };
    found != operator.is_negative()
}

fn attributes_match(attributes: &[PersonAttribute], condition: &Condition) -> bool {
    let operator = condition.operator();
    let looked_at: Vec<&AttributeValue> = attributes
        .iter()
        .map(|attribute| &attribute.identity)
        .filter(|identity| identity.attribute_type == condition.attribute_type)
        .filter(|identity| is_of_source(identity, condition))
        .collect();
    if looked_at.is_empty() {
        return false;
    }
    let found = match operator {
        MatchOperator::Is | MatchOperator::IsNot => looked_at.iter().any(|identity| {
            named(condition, |value, pin| {
                let is_pinned = pin == Some(identity.id.as_str());
                let is_text_alike = names_attribute(value, identity, condition);
                // The same text from another source must not slip through a negative.
                if operator.is_negative() || pin.is_none() {
                    is_pinned || is_text_alike
                } else {
                    is_pinned
                }
            })
        }),
        _ => {
            let texts: Vec<String> =
                looked_at.iter().map(|identity| same_text(&identity.value)).collect();
            any_text(&texts, condition)
        }
    };
    found != operator.is_negative()
}

fn is_of_source(identity: &AttributeValue, condition: &Condition) -> bool {
    condition.source_integration_id.is_none()
        || condition.source_integration_id == identity.source_integration_id
}

/// Whether any value, with its pin, passes `test`.
fn named(condition: &Condition, test: impl Fn(&str, Option<&str>) -> bool) -> bool {
    let pins = condition.pinned_ids.iter().map(Option::as_deref).chain(std::iter::repeat(None));
    condition.values().iter().zip(pins).any(|(value, pin)| test(value, pin))
}

/// Whether any text (in lower case) contains or starts with any value.
fn any_text(texts: &[String], condition: &Condition) -> bool {
    let starts = condition.operator() == MatchOperator::StartsWith;
    condition.values().iter().any(|value| {
        let value = value.trim().to_lowercase();
        texts
            .iter()
            .any(|text| if starts { text.starts_with(&value) } else { text.contains(&value) })
    })
}

fn is_source_id(value: &str, source_id: Option<&str>, user: &User, condition: &Condition) -> bool {
    let in_source = condition.source_integration_id.is_none()
        || condition.source_integration_id == user.source_integration_id;
    in_source && source_id == Some(value)
}

/// Every address of the user, as addresses are compared; blank ones left out.
fn addresses(user: &User) -> impl Iterator<Item = String> + '_ {
    std::iter::once(&user.email)
        .chain(&user.email_aliases)
        .map(|address| normalize_email(address))
        .filter(|address| !address.is_empty())
}
