//! The table of who may do what, whole.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_app::{
    Actor, ErrorKind, Operation,
    authorization::{Area, RULES},
};
use latchkey_domain::{
    ids::UserId,
    people::{Role, TokenScope, User, UserStatus},
};

fn actor(role: Option<Role>, scopes: &[TokenScope]) -> Actor {
    let user = User {
        id: UserId::new("u"),
        email: "u@example.com".to_owned(),
        email_aliases: Vec::new(),
        first_name: String::new(),
        last_name: String::new(),
        status: UserStatus::Active,
        roles: role.into_iter().collect(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: Timestamp::UNIX_EPOCH,
    };
    Actor::new(user, scopes.iter().copied().collect(), None)
}

fn everybody() -> impl Iterator<Item = Option<Role>> {
    std::iter::once(None).chain(Role::ALL.into_iter().map(Some))
}

fn allowed_to(role: Option<Role>) -> BTreeSet<&'static str> {
    let actor = actor(role, &TokenScope::ALL);
    RULES
        .iter()
        .filter(|rule| rule.area == Area::Admin && actor.may(rule.operation))
        .map(|rule| rule.operation.name())
        .collect()
}

const READS: [&str; 21] = [
    "CompleteAccessScope",
    "PreviewAccessScope",
    "ExplainAccess",
    "ReadAccessScopes",
    "ReadActivity",
    "ReadAnyAccessDetails",
    "ReadAnyRequest",
    "ReadAudit",
    "ReadBundles",
    "ReadConnectors",
    "ReadEmergencies",
    "ReadFlows",
    "ReadGroups",
    "ReadIntegrations",
    "ReadInventory",
    "ReadReports",
    "ReadSelectable",
    "ReadSettings",
    "ReadUsers",
    "RunReports",
    "TryPolicy",
];

#[test]
fn a_viewer_reads_everything_and_changes_nothing() {
    assert_eq!(allowed_to(Some(Role::Viewer)), BTreeSet::from(READS));
}

#[test]
fn a_power_user_adds_policy_and_no_systems() {
    let mut expected = BTreeSet::from(READS);
    expected.extend([
        "ManageAccessScopes",
        "ManageBundles",
        "ManageFlows",
        "ManageGroups",
        "ManageReports",
        "ResetAnyCredentials",
        "ReviewEmergency",
        "RevokeAnyRequest",
        "SetUserTags",
    ]);
    assert_eq!(allowed_to(Some(Role::PowerUser)), expected);
}

#[test]
fn a_deployer_adds_systems_and_no_policy() {
    let mut expected = BTreeSet::from(READS);
    expected.extend([
        "CreateConnectorToken",
        "ManageConnectors",
        "ManageIntegrations",
        "RefreshIntegration",
    ]);
    assert_eq!(allowed_to(Some(Role::Deployment)), expected);
}

#[test]
fn an_admin_may_do_everything() {
    let admin_area = RULES.iter().filter(|rule| rule.area == Area::Admin);
    assert_eq!(allowed_to(Some(Role::Admin)), admin_area.map(|r| r.operation.name()).collect());
}

#[test]
fn nobody_enters_the_admin_area_without_a_role() {
    assert_eq!(allowed_to(None), BTreeSet::new());
}

#[test]
fn the_portal_asks_for_no_role() {
    for rule in RULES.iter().filter(|rule| rule.area == Area::Portal) {
        assert!(rule.roles.is_empty(), "{}", rule.operation.name());
        for role in everybody() {
            assert!(actor(role, &[rule.scope]).may(rule.operation), "{}", rule.operation.name());
        }
    }
}

#[test]
fn d05_every_scope_against_every_operation() {
    for rule in RULES {
        for role in everybody() {
            for scope in TokenScope::ALL {
                let has_role =
                    rule.roles.is_empty() || role.is_some_and(|r| rule.roles.contains(&r));
                let name = rule.operation.name();
                let outcome = actor(role, &[scope]).require(rule.operation);
                assert_eq!(
                    outcome.is_ok(),
                    has_role && scope == rule.scope,
                    "{name} {role:?} {scope}"
                );
                if let Err(error) = outcome {
                    assert_eq!(error.kind, ErrorKind::Forbidden);
                }
            }
        }
    }
}

#[test]
fn the_scopes_that_are_not_for_people_open_nothing() {
    for rule in RULES {
        assert!(!matches!(rule.scope, TokenScope::Scim | TokenScope::Connector));
    }
}

#[test]
fn a_token_that_changes_flows_cannot_approve_with_them() {
    let actor = actor(Some(Role::PowerUser), &[TokenScope::Read, TokenScope::Admin]);
    assert!(actor.may(Operation::ManageFlows));
    assert!(!actor.may(Operation::DecideRequest));
    assert!(!actor.may(Operation::ForceDecision));
}

#[test]
fn the_command_line_has_no_access_of_its_own() {
    let shell = Actor::command_line();
    for rule in RULES {
        assert_eq!(shell.may(rule.operation), rule.area == Area::Admin, "{:?}", rule.operation);
    }
}
