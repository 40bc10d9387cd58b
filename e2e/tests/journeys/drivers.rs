//! Programs of other languages that drive the API: a server for them, and running them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use latchkey_testkit::DatabaseKind;
use serde_json::{Value, json};

use crate::{caller::Caller, installation::Installation, shop::Shop};

/// A server with an Admin, two people and a connector, and a target database.
pub struct Driven {
    pub installation: Installation,
    pub shop: Shop,
    pub person: Caller,
    given: String,
}

impl Driven {
    /// The connector is inside the server on SQLite, and a process of its own on PostgreSQL.
    pub async fn open(kind: DatabaseKind) -> Self {
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
            let agent = installation.connector(connector);
            installation.agents.push(agent);
        }
        let path = format!("/api/admin/v3/connectors/{connector}");
        let connected = |row: &Value| row["status"] == "CONNECTED";
        installation.admin.wait("a connector", &path, connected).await;
        let given = json!({
            "url": installation.url(),
            "admin": installation.admin.token(),
            "person": person.token(),
            "colleague": colleague.token(),
            "person_email": "rita@example.com",
            "colleague_email": "otto@example.com",
            "connector": connector,
            "spare_connector": "spare",
            "shop": { "config": shop.config(), "secret": shop.secret() },
        });
        Self { installation, shop, person, given: given.to_string() }
    }

    /// Runs a program to its end, which has to be a success, with what it may drive in
    /// `LATCHKEY_DRIVE`.
    pub async fn run(&self, mut command: Command) {
        command.env("LATCHKEY_DRIVE", &self.given);
        run(command).await;
    }
}

/// Runs a program to its end, which has to be a success.
pub async fn run(mut command: Command) {
    let what = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout);
    assert!(
        output.status.success(),
        "{what}: {}\n{printed}\n{}",
        output.status,
        text(&output.stderr)
    );
    println!("{printed}");
}

/// The folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The public contract.
pub fn contract() -> PathBuf {
    project().join("openapi/contract/openapi.json")
}
