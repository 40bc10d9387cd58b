//! Clients that were generated from the contract document drive every operation of it.

use std::process::Command;

use latchkey_testkit::{
    DatabaseKind,
    systems::{PostgresVersion, node_project, python_environment},
};
use tempfile::TempDir;

use crate::drivers::{Driven, contract, project, run};

#[tokio::test]
async fn a_generated_python_client_drives_every_operation() {
    let driven = Driven::open(DatabaseKind::Sqlite).await;
    let sources = project().join("e2e/clients/python");
    let python = python_environment("python-client", &sources.join("requirements.txt")).unwrap();
    let scratch = TempDir::new().unwrap();
    let client = scratch.path().join("generated_client");
    let mut generate = Command::new(&python);
    generate.arg(sources.join("generate.py")).arg(contract()).arg(&client);
    run(generate).await;
    let mut drive = Command::new(&python);
    drive.arg("-B").arg(sources.join("drive.py")).arg(&client).arg(contract());
    driven.run(drive).await;
}

#[tokio::test]
async fn a_generated_typescript_client_drives_every_operation() {
    let driven = Driven::open(DatabaseKind::Postgres(PostgresVersion::V15)).await;
    let sources = project().join("e2e/clients/typescript");
    let folder = node_project("typescript-client", &sources).unwrap();
    let node = |words: &[&str]| {
        let mut command = Command::new("node");
        command.current_dir(&folder).args(words);
        command
    };
    let contract = contract();
    run(node(&["generate.mjs", contract.to_str().unwrap()])).await;
    run(node(&["node_modules/typescript/bin/tsc", "-p", "."])).await;
    driven.run(node(&["built/drive.js"])).await;
}
