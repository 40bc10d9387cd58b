//! Clients that were generated from the contract document drive every operation of it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use latchkey_testkit::{
    DatabaseKind,
    systems::{PostgresVersion, node_project, python_environment},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{installation::Installation, shop::Shop};

#[tokio::test]
async fn a_generated_python_client_drives_every_operation() {
    let ground = Ground::open(DatabaseKind::Sqlite).await;
    let sources = project().join("e2e/clients/python");
    let python = python_environment("python-client", &sources.join("requirements.txt")).unwrap();
    let scratch = TempDir::new().unwrap();
    let client = scratch.path().join("generated_client");
    let mut generate = Command::new(&python);
    generate.arg(sources.join("generate.py")).arg(contract()).arg(&client);
    ground.run(generate).await;
    let mut drive = Command::new(&python);
    drive.arg("-B").arg(sources.join("drive.py")).arg(&client).arg(contract());
    ground.run(drive).await;
}

#[tokio::test]
async fn a_generated_typescript_client_drives_every_operation() {
    let ground = Ground::open(DatabaseKind::Postgres(PostgresVersion::V15)).await;
    let sources = project().join("e2e/clients/typescript");
    let folder = node_project("typescript-client", &sources).unwrap();
    let node = |words: &[&str]| {
        let mut command = Command::new("node");
        command.current_dir(&folder).args(words);
        command
    };
    let contract = contract();
    ground.run(node(&["generate.mjs", contract.to_str().unwrap()])).await;
    ground.run(node(&["node_modules/typescript/bin/tsc", "-p", "."])).await;
    ground.run(node(&["built/drive.js"])).await;
}

/// A server with an Admin, two people and a connector, and a target database.
struct Ground {
    _installation: Installation,
    given: String,
}

impl Ground {
    async fn open(kind: DatabaseKind) -> Self {
        let mut installation = Installation::create(kind).await;
        installation.start(&[]).await;
        let shop = Shop::open().await;
        shop.add_tables((0..8).map(|number| format!("table_{number}"))).await;
        let (person, colleague) = (installation.person("rita"), installation.person("otto"));
        installation.admin_command(&["connector-token", "create", "--id", "spare"]);
        let connector = match kind {
            DatabaseKind::Sqlite => "local",
            DatabaseKind::Postgres(_) => "rack-1",
        };
        if connector != "local" {
            // It lives as long as the test: the process is ended when the installation is.
            let agent = installation.connector(connector);
            installation.agents.push(agent);
        }
        let path = format!("/api/admin/v3/connectors/{connector}");
        let connected = |row: &serde_json::Value| row["status"] == "CONNECTED";
        installation.admin.wait("a connector", &path, connected).await;
        let given = json!({
            "url": format!("http://127.0.0.1:{}", installation.port),
            "admin": installation.admin.token(),
            "person": person.token(),
            "colleague": colleague.token(),
            "person_email": "rita@example.com",
            "colleague_email": "otto@example.com",
            "connector": connector,
            "spare_connector": "spare",
            "shop": { "config": shop.config(), "secret": shop.secret() },
        });
        Self { _installation: installation, given: given.to_string() }
    }

    /// Runs a program to its end, which has to be a success.
    async fn run(&self, mut command: Command) {
        // Named before the variable is set: it holds tokens.
        let what = format!("{command:?}");
        command.env("LATCHKEY_DRIVE", &self.given).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
        let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        println!("{}", text(&output.stdout));
        assert!(
            output.status.success(),
            "{what}: {}\n{}\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn contract() -> PathBuf {
    project().join("openapi/contract/openapi.json")
}
