//! The words on the wire between server and connector. A change here breaks connectors that are
//! running; a new member does not.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::{ConnectorSessionId, InstallationId, IntegrationId, TaskId, UnitId},
    provisioning::{ClaimOutcome, ClaimState, FaultClass, TargetFault},
};
use latchkey_protocol::{
    Heartbeat, IntegrationTarget, Operation, Outcome, RunningTask, SecretSource, Task, TaskResult,
    VERSION,
    sealing::{
        Credentials, SealError, SealingKey, SecretValues, seal, seal_credentials, seal_values,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{from_value, json, to_value};

#[test]
fn a_task_is_written_in_the_agreed_words() {
    let task = Task {
        id: TaskId::new("t1"),
        lease: 3,
        lease_ms: 10_000,
        integration: IntegrationTarget {
            installation_id: InstallationId::new("in"),
            id: IntegrationId::new("i1"),
            name: "Shop".to_owned(),
            integration_type: "postgresql".to_owned(),
            config: BTreeMap::new(),
            secret: SecretSource::File { name: "shop".to_owned() },
            connected_resource_types: None,
        },
        operation: Operation::Reconcile { known_sessions: Vec::new(), remove: false },
    };
    let expected = json!({
        "id": "t1",
        "lease": 3,
        "lease_ms": 10_000,
        "integration": {
            "installation_id": "in",
            "id": "i1",
            "name": "Shop",
            "integration_type": "postgresql",
            "config": {},
            "secret": { "store": "file", "name": "shop" },
            "connected_resource_types": null,
        },
        "operation": { "kind": "reconcile", "known_sessions": [], "remove": false },
    });
    assert_eq!(to_value(&task).unwrap(), expected);
}

#[test]
fn a_result_is_written_in_the_agreed_words() {
    let fault = TargetFault::new(FaultClass::Unreachable, "connection refused");
    let result = TaskResult {
        protocol: VERSION,
        session_id: ConnectorSessionId::new("s1"),
        lease: 3,
        outcome: Outcome::Failed(fault.clone()),
    };
    let expected = json!({
        "protocol": 1,
        "session_id": "s1",
        "lease": 3,
        "outcome": { "kind": "failed", "class": "unreachable", "message": "connection refused" },
    });
    assert_eq!(to_value(&result).unwrap(), expected);
    let outcome =
        ClaimOutcome { unit_id: UnitId::new("u"), state: ClaimState::Absent, fault: None };
    assert_eq!(to_value(outcome).unwrap()["state"], "absent");
    let fenced = to_value(Outcome::Fenced { fence: 9 }).unwrap();
    assert_eq!(fenced, json!({ "kind": "fenced", "fence": 9 }));
}

#[test]
fn either_side_may_be_the_newer_one() {
    let older = json!({
        "protocol": 1,
        "session_id": "s1",
        "version": "0.1.0",
        "cloud_provider_type": "ON_PREM",
        "public_key": "",
    });
    let beat: Heartbeat = from_value(older.clone()).unwrap();
    assert!(beat.running.is_empty() && beat.connector_id.is_none() && beat.replaces.is_none());

    let mut newer = older;
    newer["from_the_future"] = json!({ "a": [1] });
    newer["running"] = json!([{ "id": "t1", "lease": 2, "progress": 0.5 }]);
    let beat: Heartbeat = from_value(newer).unwrap();
    assert_eq!(beat.running, [RunningTask { id: TaskId::new("t1"), lease: 2 }]);
}

#[test]
fn what_is_sealed_opens_with_its_key_only() {
    let (key, other) = (SealingKey::from_bytes([1; 32]), SealingKey::from_bytes([2; 32]));
    let values: SecretValues = [("password".to_owned(), SecretString::from("canary"))].into();
    let sealed = seal_values(&key.public_key(), &values).unwrap();
    assert_eq!(key.open_values(&sealed).unwrap()["password"].expose_secret(), "canary");
    assert_eq!(other.open_values(&sealed).unwrap_err(), SealError::CannotOpen);
    let again = seal_values(&key.public_key(), &values).unwrap();
    assert_ne!(sealed, again, "the same secret never gives the same text");
    let cut = sealed.get(..sealed.len() - 4).unwrap();
    assert_eq!(key.open(cut).unwrap_err(), SealError::CannotOpen);
    for bad in ["", "AAAA", "no base64"] {
        assert_eq!(seal(bad, b"x").unwrap_err(), SealError::BadKey, "{bad}");
    }
}

#[test]
fn e03_credentials_are_not_printed() {
    let made = Credentials { username: "lk_u".to_owned(), password: "canary".to_owned() };
    let key = SealingKey::from_bytes([1; 32]);
    let sealed = seal_credentials(&key.public_key(), &made).unwrap();
    assert!(key.open_credentials(&sealed).unwrap() == made);
    assert!(!format!("{made:?} {key:?}").contains("canary"));
}
