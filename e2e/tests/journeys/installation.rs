//! One installation of Latchkey: database, data folder, servers, connectors, people.

use std::{path::PathBuf, time::Duration};

use latchkey_testkit::{DatabaseKind, TestDatabase, wait_until};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    caller::{Caller, PATIENCE},
    process::{self, Process},
    shop::Shop,
};

/// An installation with its first Admin and one server, which is started by [`Self::start`].
#[derive(Debug)]
pub struct Installation {
    pub admin: Caller,
    pub port: u16,
    pub server: Option<Process>,
    /// Connectors that live as long as the installation.
    pub agents: Vec<Agent>,
    pub folder: TempDir,
    database: Option<TestDatabase>,
}

/// Variables for a process.
pub type Variables<'a> = &'a [(&'a str, &'a str)];

impl Installation {
    /// An installation over an empty database. No server runs yet.
    pub async fn create(kind: DatabaseKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match kind {
            DatabaseKind::Sqlite => None,
            DatabaseKind::Postgres(_) => Some(TestDatabase::create(kind).await.unwrap()),
        };
        let port = free_port();
        let mut installation = Self {
            admin: Caller::new(port, None),
            port,
            server: None,
            agents: Vec::new(),
            folder,
            database,
        };
        let words = ["bootstrap", "--email", "ada@example.com"];
        let made = installation.admin_command(
            &[&words[..], &["--first-name", "Ada", "--last-name", "Admin"]].concat(),
        );
        installation.admin = Caller::new(port, Some(made["token"].as_str().unwrap()));
        installation
    }

    /// Where its server is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The URL of the database, where it is on a server.
    pub fn database_url(&self) -> String {
        self.database.as_ref().map(TestDatabase::url).unwrap_or_default()
    }

    /// `--data` and `--database`.
    pub fn place(&self) -> Vec<String> {
        let mut words = vec!["--data".to_owned(), self.data().display().to_string()];
        if let Some(database) = &self.database {
            words.extend(["--database".to_owned(), database.url()]);
        }
        words
    }

    /// Runs `latchkey admin …` and returns the JSON object it prints last.
    pub fn admin_command(&self, words: &[&str]) -> Value {
        let mut all = vec!["admin".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        all.extend(self.place());
        let output = process::run(&all);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    /// Starts the server, with the connector inside on SQLite, and waits until it is ready.
    pub async fn start(&mut self, variables: Variables<'_>) {
        self.launch(variables);
        self.ready(self.port).await;
    }

    /// Starts the server and does not wait.
    pub fn launch(&mut self, variables: Variables<'_>) {
        self.server = Some(self.start_server(self.port, variables));
    }

    /// Starts one more server of this installation.
    pub fn start_server(&self, port: u16, variables: Variables<'_>) -> Process {
        let listen = format!("127.0.0.1:{port}");
        let mut words = vec!["serve".to_owned(), "--listen".to_owned(), listen];
        words.extend(self.place());
        let mut command = process::command(&words);
        command.envs(variables.iter().copied());
        Process::start(command, &self.folder.path().join(format!("server-{port}.log")))
    }

    /// Waits until the server on this port is ready.
    pub async fn ready(&self, port: u16) {
        let caller = Caller::new(port, None);
        caller.wait("a ready server", "/readyz", |_| true).await;
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.server.as_mut().unwrap().kill();
    }

    /// Stops the server as an operator does.
    pub async fn stop(&mut self) {
        let server = self.server.as_mut().unwrap();
        server.signal(Signal::SIGTERM);
        let ended = server.wait("the server's end", PATIENCE).await;
        assert!(ended.success(), "{ended}: {}", server.log());
    }

    /// A new person with a token of its own.
    pub fn person(&self, name: &str) -> Caller {
        let email = format!("{name}@example.com");
        let email = email.as_str();
        self.admin_command(&[
            "user",
            "create",
            "--email",
            email,
            "--first-name",
            name,
            "--last-name",
            "Person",
        ]);
        let made = self.admin_command(&["token", "create", "--email", email]);
        Caller::new(self.port, Some(made["token"].as_str().unwrap()))
    }

    /// Registers a connector and starts a process for it.
    pub fn connector(&self, id: &str) -> Agent {
        let made = self.admin_command(&["connector-token", "create", "--id", id]);
        let token = made["token"].as_str().unwrap().to_owned();
        let folder = self.folder.path().join(format!("connector-{id}"));
        let mut agent = Agent { id: id.to_owned(), token, port: self.port, folder, process: None };
        agent.start(&[]);
        agent
    }

    /// Creates an integration of the shop's database, waits for its discovery, and makes a flow
    /// by which everybody may ask for its tables.
    pub async fn integrate(&self, shop: &Shop, connector: &str, approver: Option<&str>) -> String {
        let made = self
            .admin
            .post(
                "/api/admin/v4/integrations",
                &json!({
                    "name": shop.database,
                    "type": "postgresql",
                    "connector_id": connector,
                    "integration_config": shop.config(),
                    "secret_store_config": { "apono": { "parameters": {
                        "username": shop.provisioner, "password": shop.password,
                    }}},
                }),
            )
            .await;
        let id = made["id"].as_str().unwrap().to_owned();
        let path = format!("/api/admin/v4/integrations/{id}");
        self.admin.wait("discovery", &path, |value| value["status"] == "ACTIVE").await;
        self.flow("tables", &id, approver).await;
        id
    }

    /// Makes a flow for the tables of an integration.
    pub async fn flow(&self, name: &str, integration: &str, approver: Option<&str>) -> Value {
        let body = flow_body(name, integration, approver);
        self.admin.post("/api/admin/v2/access-flows", &body).await
    }

    /// `latchkey audit verify`, waiting until every record is linked.
    pub async fn verify_audit(&self) {
        let mut last = String::new();
        let checked = wait_until("a linked audit trail that holds", PATIENCE, async || {
            let mut words = vec!["audit".to_owned(), "verify".to_owned()];
            words.extend(self.place());
            let output = process::run(&words);
            last = String::from_utf8_lossy(&output.stdout).into_owned();
            let report: Value =
                serde_json::from_str(last.lines().last().unwrap_or_default()).unwrap_or_default();
            output.status.success() && report["unlinked"] == 0 && report["intact"] == true
        })
        .await;
        checked.unwrap_or_else(|error| panic!("{error}: {last}"));
    }
}

/// A flow by which everybody may ask for the tables of an integration.
pub fn flow_body(name: &str, integration: &str, approver: Option<&str>) -> Value {
    let approvers = approver.map(|email| {
        json!({
            "approval_mode": "ANY_OF",
            "approver_groups": [{
                "logical_operator": "OR",
                "approvers": [{ "type": "user", "match_operator": "is", "values": [email] }],
            }],
        })
    });
    json!({
        "name": name,
        "active": true,
        "trigger": "SELF_SERVE",
        "requestors": { "logical_operator": "OR", "conditions": [
            { "type": "user", "match_operator": "contains", "values": ["example.com"] },
        ]},
        "request_for_others": false,
        "access_targets": [{ "integration": {
            "integration_reference": integration,
            "resource_type": "postgresql-table",
            "permissions": ["READ_ONLY", "READ_WRITE"],
        }}],
        "approver_policy": approvers,
        "grant_duration_in_min": null,
        "settings": {
            "justification_required": false,
            "require_approver_reason": false,
            "requestor_cannot_approve_himself": true,
            "require_mfa": false,
            "labels": [],
            "max_extensions": 1,
            "extension_duration_in_min": 10,
        },
    })
}

/// A connector in a process of its own.
#[derive(Debug)]
pub struct Agent {
    pub id: String,
    pub token: String,
    pub port: u16,
    pub folder: PathBuf,
    pub process: Option<Process>,
}

impl Agent {
    /// Starts it, or starts it again over the same folder.
    pub fn start(&mut self, variables: Variables<'_>) {
        let server = format!("http://127.0.0.1:{}", self.port);
        let folder = self.folder.display().to_string();
        let mut command = process::command([
            "connector",
            "--server",
            &server,
            "--id",
            &self.id,
            "--data",
            &folder,
        ]);
        command.env("LATCHKEY_CONNECTOR_TOKEN", &self.token).envs(variables.iter().copied());
        let log = self.folder.with_extension("log");
        self.process = Some(Process::start(command, &log));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.as_mut().unwrap().kill();
    }
}

/// One entitlement by the name of its table.
pub async fn entitlement(who: &Caller, table: &str, permission: &str) -> Value {
    let path = format!(
        "/api/user/v1/available-access/entitlements?resource_name={table}&permission_name={permission}"
    );
    let found = who
        .wait("the entitlement", &path, |value| {
            value["items"].as_array().is_some_and(|items| !items.is_empty())
        })
        .await;
    let row = &found["items"][0];
    json!({ "resource_id": row["resource"]["id"], "permission_id": row["permission"]["id"] })
}

/// Asks for a table; returns the request's id.
pub async fn ask(who: &Caller, table: &str, permission: &str, length: Option<Duration>) -> String {
    let wanted = entitlement(who, table, permission).await;
    let body = json!({
        "entitlements": [wanted],
        "justification": "a look at the orders",
        "duration_in_sec": length.map(|length| length.as_secs()),
        "custom_fields": {},
    });
    let made = who.post("/api/user/v4/access-requests", &body).await;
    made[0]["id"].as_str().unwrap().to_owned()
}

/// How to connect for a request: user name and password of its session.
pub async fn credentials(who: &Caller, request: &str) -> (String, String) {
    let path = format!("/api/user/v1/access-sessions?request_ids={request}");
    let sessions = who
        .wait("the session", &path, |value| {
            value["items"].as_array().is_some_and(|items| !items.is_empty())
        })
        .await;
    let id = sessions["items"][0]["id"].as_str().unwrap();
    let details = who.get(&format!("/api/user/v1/access-sessions/{id}/access-details")).await;
    let parameters = &details["parameters"];
    let text = |key: &str| {
        parameters[key].as_str().unwrap_or_else(|| panic!("no {key} in {details:#}")).to_owned()
    };
    (text("username"), text("password"))
}

/// Ends a request early.
pub async fn revoke(who: &Caller, request: &str) {
    let path = format!("/api/user/v4/access-requests/{request}/revoke");
    let (status, body) = who.call(Method::POST, &path, None).await;
    assert!((200..300).contains(&status), "{status} {body}");
}

/// A loopback port that was free just now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
