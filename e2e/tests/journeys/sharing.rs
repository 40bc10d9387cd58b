//! f05: two servers and two connector processes on one queue. b03: what is switched off on one
//! server is off on every other.

use latchkey_testkit::{DatabaseKind, systems::PostgresVersion, wait_until};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::{
    caller::PATIENCE,
    installation::{
        Agent, Installation, ask, credentials, entitlement, flow_body, free_port, revoke,
    },
    shop::Shop,
};

#[tokio::test]
async fn f05_two_servers_and_two_connectors_share_the_work_and_apply_each_task_once() {
    let kind = DatabaseKind::Postgres(PostgresVersion::V15);
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let second_port = free_port();
    let _second = installation.start_server(second_port, &[]);
    installation.ready(second_port).await;
    let first_agent = installation.connector("rack-1");
    let mut second_agent = Agent {
        id: "rack-1".to_owned(),
        token: first_agent.token.clone(),
        port: second_port,
        folder: installation.folder.path().join("connector-second"),
        process: None,
    };
    second_agent.start(&[]);
    let shop = Shop::open().await;
    installation.integrate(&shop, "rack-1", None).await;

    let mut people = Vec::new();
    for number in 0..6 {
        let person = installation.person(&format!("person{number}"));
        people.push(if number % 2 == 0 { person } else { person.at(second_port) });
    }
    let asking = people.iter().map(|person| ask(person, "orders", "READ_ONLY", None));
    let requests = futures::future::join_all(asking).await;
    for (person, request) in people.iter().zip(&requests) {
        person.wait_for_status(request, "Active").await;
        let login = credentials(person, request).await;
        shop.login(&login).await.unwrap();
    }
    assert_eq!(shop.principals().await.len(), people.len(), "one principal a person");

    // Seen and ended through the other server.
    for (number, (person, request)) in people.iter().zip(&requests).enumerate() {
        let other = person.at(if number % 2 == 0 { second_port } else { installation.port });
        revoke(&other, request).await;
    }
    for (person, request) in people.iter().zip(&requests) {
        person.wait_for_status(request, "Revoked").await;
    }
    shop.wait_until_empty().await;
    installation.verify_audit().await;
}

#[tokio::test]
async fn b03_what_is_switched_off_on_one_server_is_off_on_every_other_at_once() {
    let kind = DatabaseKind::Postgres(PostgresVersion::V15);
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let second_port = free_port();
    let _second = installation.start_server(second_port, &[]);
    installation.ready(second_port).await;
    let _agent = installation.connector("rack-1");
    let shop = Shop::open().await;
    let integration = installation.integrate(&shop, "rack-1", None).await;
    let (here, there) = (&installation.admin, installation.admin.at(second_port));
    let (rita, otto) = (installation.person("rita"), installation.person("otto").at(second_port));
    let wanted = entitlement(&rita, "orders", "READ_ONLY").await;
    let body = json!({ "entitlements": [wanted], "justification": "a look", "custom_fields": {} });
    // Both servers know the policy and the person by now.
    for caller in [rita.at(second_port), otto.clone()] {
        caller.post("/api/user/v4/access-requests/dry-run", &body).await;
    }

    let flows = here.get("/api/admin/v2/access-flows").await;
    let flow = format!("/api/admin/v2/access-flows/{}", flows["items"][0]["id"].as_str().unwrap());
    let mut inactive = flow_body("tables", &integration, None);
    inactive["active"] = json!(false);
    let (status, answer) = here.call(Method::PUT, &flow, Some(&inactive)).await;
    assert_eq!(status, 200, "{answer}");
    let filed = otto.call(Method::POST, "/api/user/v4/access-requests", Some(&body)).await;
    assert_eq!(filed.0, 403, "{filed:?}");
    inactive["active"] = json!(true);
    let (status, answer) = there.call(Method::PUT, &flow, Some(&inactive)).await;
    assert_eq!(status, 200, "{answer}");
    let request = ask(&otto, "orders", "READ_ONLY", None).await;
    otto.wait_for_status(&request, "Active").await;

    // By the command line, past both servers.
    installation.admin_command(&["user", "disable", "--email", "otto@example.com"]);
    for port in [installation.port, second_port] {
        let (status, answer) =
            otto.at(port).call(Method::GET, "/api/user/v4/access-requests", None).await;
        assert_eq!(status, 401, "{answer}");
    }
    let path = format!("/api/admin/v1/explain/access-requests/{request}");
    there.wait("the end of the access", &path, |seen| seen["status"] == "Revoked").await;
    shop.wait_until_empty().await;
}

#[tokio::test]
async fn f05_a_paused_connector_that_wakes_late_changes_nothing() {
    let kind = DatabaseKind::Postgres(PostgresVersion::V15);
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let mut sleeper = installation.connector("rack-1");
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "rack-1", None).await;
    sleeper.kill();
    sleeper.start(&[("LATCHKEY_FAULT_PAUSE", "connector.journaled:1")]);

    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    // It has the task, has written its journal, and is frozen before the target is touched.
    let journal_says = wait_until("the pause", PATIENCE, async || {
        let id = sleeper.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
    });
    journal_says.await.unwrap();
    let mut other = Agent {
        id: "rack-1".to_owned(),
        token: sleeper.token.clone(),
        port: installation.port,
        folder: installation.folder.path().join("connector-other"),
        process: None,
    };
    other.start(&[]);
    rita.wait_for_status(&request, "Active").await;
    let login = credentials(&rita, &request).await;
    revoke(&rita, &request).await;
    rita.wait_for_status(&request, "Revoked").await;
    assert_eq!(shop.principals().await, Vec::<String>::new());

    sleeper.process.as_ref().unwrap().signal(Signal::SIGCONT);
    // It is awake and well: with the other gone it serves the next request.
    other.kill();
    let next = ask(&rita, "customers", "READ_ONLY", None).await;
    rita.wait_for_status(&next, "Active").await;
    let (principal, _) = credentials(&rita, &next).await;
    assert_eq!(shop.principals().await, std::slice::from_ref(&principal));
    assert_eq!(shop.readers("sales.orders").await, Vec::<String>::new());
    assert!(shop.login(&login).await.is_err());
    revoke(&rita, &next).await;
    rita.wait_for_status(&next, "Revoked").await;
    shop.wait_until_empty().await;
    installation.verify_audit().await;
}
