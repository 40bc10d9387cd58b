//! The same decisions by policy engines that are libraries: each is given the same flows in its
//! own language, holds them in memory, and answers in this process.
//!
//! None of them has an index over policies, so each looks at every flow.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    str::FromStr as _,
};

use anyhow::{Result, anyhow};
use casbin::{
    CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _,
    function_map::{OperatorFunction, dynamic_to_str},
};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};
use latchkey_domain::flow::{AccessFlow, FlowTarget, IntegrationTarget, ResourceScope};
use serde_json::json;

use super::decisions::{Engine, Question};

/// What a flow says, as far as every engine can say it.
struct Rule<'f> {
    group: &'f str,
    target: &'f IntegrationTarget,
    scope: Option<&'f ResourceScope>,
}

/// A rule for each group and target of each flow.
fn rules(flows: &[AccessFlow]) -> Vec<Rule<'_>> {
    flows.iter().flat_map(rules_of).collect()
}

fn rules_of(flow: &AccessFlow) -> impl Iterator<Item = Rule<'_>> {
    let groups = flow.policy.requestors.conditions.iter().flat_map(|one| &one.pinned_ids);
    groups.flatten().flat_map(|group| {
        flow.policy.access_targets.iter().filter_map(move |target| {
            let FlowTarget::Integration(target) = target else { return None };
            let scopes = target.resources_scopes.as_deref().unwrap_or_default();
            Some(Rule { group, target, scope: scopes.first() })
        })
    })
}

/// Every engine, ready with the flows.
pub(crate) fn engines(
    flows: &[AccessFlow],
    questions: &[Question],
) -> Result<Vec<(&'static str, Engine<'static>)>> {
    Ok(vec![
        ("cedar-policy", cedar(flows)?),
        ("casbin", casbin(flows, questions)?),
        ("regorus", regorus(flows)?),
        ("regorus, by group", regorus_by_group(flows)?),
    ])
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(id)))
}

/// A policy a flow and target; the resource and the person come with each question.
fn cedar(flows: &[AccessFlow]) -> Result<Engine<'static>> {
    let mut text = String::new();
    for Rule { group, target, scope } in rules(flows) {
        let actions: Vec<String> =
            target.permissions.iter().map(|name| format!("Action::\"{name}\"")).collect();
        write!(
            text,
            "permit(principal in Group::\"{group}\", action in [{}], resource) when {{ \
             resource.integration == \"{}\" && resource.kind == \"{}\"",
            actions.join(", "),
            target.integration_id,
            target.resource_type
        )?;
        if let Some(scope) = scope {
            let values: Vec<String> = scope.values.iter().map(|one| format!("\"{one}\"")).collect();
            let key = scope.key.as_deref().unwrap_or_default();
            write!(text, " && [{}].contains(resource.tags.{key})", values.join(", "))?;
        }
        text.push_str(" };\n");
    }
    let policies = PolicySet::from_str(&text)?;
    let authorizer = Authorizer::new();
    Ok(Box::new(move |question: &Question| {
        let Question { person, resource, permission, .. } = question;
        let principal = uid("User", person.user.id.as_str())?;
        let groups: Result<HashSet<EntityUid>> =
            person.groups.iter().map(|group| uid("Group", group.id.as_str())).collect();
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let tags = resource.tags.iter().map(|(key, value)| (key.clone(), text(value)));
        let attributes = HashMap::from([
            ("integration".to_owned(), text(resource.integration_id.as_str())),
            ("kind".to_owned(), text(&resource.resource_type)),
            ("tags".to_owned(), RestrictedExpression::new_record(tags)?),
        ]);
        let named = uid("Resource", resource.id.as_str())?;
        let entities = [
            Entity::new(principal.clone(), HashMap::new(), groups?)?,
            Entity::new(named.clone(), attributes, HashSet::new())?,
        ];
        let entities = Entities::from_entities(entities, None)?;
        let action = uid("Action", permission)?;
        let request = Request::new(principal, action, named, Context::empty(), None)?;
        let answer = authorizer.is_authorized(&request, &policies, &entities);
        Ok(answer.decision() == Decision::Allow)
    }))
}

const CASBIN_MODEL: &str = "
[request_definition]
r = sub, place, tags, act
[policy_definition]
p = sub, place, tag, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.place == p.place && r.act == p.act && g(r.sub, p.sub) && tagged(r.tags, p.tag)
";

/// A line a flow, target, permission and tag value. The people who ask are told beforehand, as
/// this engine holds them itself.
fn casbin(flows: &[AccessFlow], questions: &[Question]) -> Result<Engine<'static>> {
    let mut lines: HashSet<Vec<String>> = HashSet::new();
    for Rule { group, target, scope } in rules(flows) {
        let place = format!("{} {}", target.integration_id, target.resource_type);
        let tags: Vec<String> = match scope {
            None => vec!["|".to_owned()],
            Some(scope) => {
                let key = scope.key.as_deref().unwrap_or_default();
                scope.values.iter().map(|value| format!("|{key}={value}|")).collect()
            }
        };
        for permission in &target.permissions {
            for tag in &tags {
                lines.insert(vec![
                    group.to_owned(),
                    place.clone(),
                    tag.clone(),
                    permission.clone(),
                ]);
            }
        }
    }
    let members: HashSet<Vec<String>> = questions
        .iter()
        .flat_map(|question| {
            let user = question.person.user.id.as_str();
            let groups = question.person.groups.iter();
            groups.map(move |group| vec![user.to_owned(), group.id.as_str().to_owned()])
        })
        .collect();
    let enforcer = futures::executor::block_on(async {
        let model = DefaultModel::from_str(CASBIN_MODEL).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        let tagged = OperatorFunction::Arg2(|tags, tag| {
            dynamic_to_str(&tags).contains(&*dynamic_to_str(&tag)).into()
        });
        enforcer.add_function("tagged", tagged);
        enforcer.add_policies(lines.into_iter().collect()).await?;
        enforcer.add_grouping_policies(members.into_iter().collect()).await?;
        Ok::<_, casbin::Error>(enforcer)
    })
    .map_err(|error| anyhow!("casbin: {error}"))?;
    Ok(Box::new(move |question: &Question| {
        let Question { person, resource, permission, .. } = question;
        let place = format!("{} {}", resource.integration_id, resource.resource_type);
        let mut tags = "|".to_owned();
        for (key, value) in &resource.tags {
            write!(tags, "{key}={value}|")?;
        }
        let asked = (person.user.id.as_str(), place.as_str(), tags.as_str(), *permission);
        enforcer.enforce(asked).map_err(|error| anyhow!("casbin: {error}"))
    }))
}

const REGO: &str = "
package latchkey

import rego.v1

default allow := false

allow if {
    some rule in data.rules
    rule.group in input.groups
    gives(rule)
}
";

/// Each person's groups lead to the rules, as an object is looked up by key.
const REGO_BY_GROUP: &str = "
package latchkey

import rego.v1

default allow := false

allow if {
    some group in input.groups
    some rule in data.rules[group]
    gives(rule)
}
";

const REGO_RULE: &str = "
gives(rule) if {
    rule.integration == input.integration
    rule.kind == input.kind
    input.permission in rule.permissions
    tagged(rule)
}

tagged(rule) if not rule.key

tagged(rule) if input.tags[rule.key] in rule.values
";

/// A rule as data.
fn rego_rule(Rule { group, target, scope }: &Rule<'_>) -> serde_json::Value {
    let mut rule = json!({
        "group": group,
        "integration": target.integration_id,
        "kind": target.resource_type,
        "permissions": target.permissions,
    });
    if let (Some(scope), Some(rule)) = (scope, rule.as_object_mut()) {
        rule.insert("key".to_owned(), json!(scope.key));
        rule.insert("values".to_owned(), json!(scope.values));
    }
    rule
}

/// The flows are data; one rule looks at all of them.
fn regorus(flows: &[AccessFlow]) -> Result<Engine<'static>> {
    let rules: Vec<serde_json::Value> = rules(flows).iter().map(rego_rule).collect();
    rego(REGO, &json!(rules))
}

/// The flows are data, arranged by the group that they name.
fn regorus_by_group(flows: &[AccessFlow]) -> Result<Engine<'static>> {
    let mut by_group: HashMap<&str, Vec<serde_json::Value>> = HashMap::new();
    for rule in &rules(flows) {
        by_group.entry(rule.group).or_default().push(rego_rule(rule));
    }
    rego(REGO_BY_GROUP, &json!(by_group))
}

fn rego(policy: &str, rules: &serde_json::Value) -> Result<Engine<'static>> {
    let mut engine = regorus::Engine::new();
    engine.add_policy("latchkey.rego".to_owned(), format!("{policy}{REGO_RULE}"))?;
    engine.add_data(regorus::Value::from_json_str(&json!({ "rules": rules }).to_string())?)?;
    Ok(Box::new(move |question: &Question| {
        let Question { person, resource, permission, .. } = question;
        let groups: Vec<&str> = person.groups.iter().map(|group| group.id.as_str()).collect();
        let input = json!({
            "integration": resource.integration_id,
            "kind": resource.resource_type,
            "tags": resource.tags,
            "groups": groups,
            "permission": permission,
        });
        engine.set_input(regorus::Value::from_json_str(&input.to_string())?);
        let answer = engine.eval_rule("data.latchkey.allow".to_owned())?;
        Ok(answer == regorus::Value::from(true))
    }))
}
