//! An API fuzzer calls every operation of the document that the server serves: with data that the
//! document allows and with data that it forbids, bounded in time.
//!
//! No answer may be a 5xx, have a status or a shape that the document does not list, or take what
//! the document forbids. What the fuzzer finds is mended and becomes a test of its own beside the
//! code.

use std::process::Command;

use latchkey_testkit::{DatabaseKind, systems::python_environment};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    drivers::{Driven, project, run},
    installation::ask,
};

/// What is not asked of an answer. The document cannot say which ids and names exist, so data that
/// it allows may rightly be refused.
const NOT_CHECKED: &str =
    "positive_data_acceptance,ensure_resource_availability,object_level_authorization";

#[tokio::test]
async fn a_fuzzer_finds_no_answer_that_the_document_does_not_allow() {
    let (seconds, examples) =
        if std::env::var_os("LATCHKEY_TEST_SOAK").is_some() { (1_200, 300) } else { (120, 6) };
    let driven = Driven::open(DatabaseKind::Sqlite).await;
    let places = stored_objects(&driven).await;
    let requirements = project().join("e2e/clients/schemathesis/requirements.txt");
    let python = python_environment("schemathesis", &requirements).unwrap();
    let scratch = TempDir::new().unwrap();
    let settings = scratch.path().join("schemathesis.toml");
    std::fs::write(&settings, settings_for(&places)).unwrap();
    let url = driven.installation.url();
    let token = driven.installation.admin.token().unwrap();
    let mut fuzzer = Command::new(python.with_file_name("schemathesis"));
    fuzzer
        .current_dir(scratch.path())
        .arg("--config-file")
        .arg(&settings)
        .args(["run", &format!("{url}/openapi.json"), "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "2"])
        .args(["--checks", "all", "--exclude-checks", NOT_CHECKED])
        .args(["--max-examples", &examples.to_string(), "--max-time", &seconds.to_string()])
        // What connectors say needs a token of another kind, and holds calls for half a minute.
        .args(["--exclude-path-regex", "^/api/connector/"])
        // Every change meets the same calls; the long run looks further.
        .args(if seconds > 120 { &[][..] } else { &["--seed", "1"][..] })
        .args(["--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"]);
    run(fuzzer).await;
    let log = driven.installation.server.as_ref().unwrap().log();
    assert!(!log.contains("panicked"), "{log}");
}

/// One object of each kind: the path's beginning and the id.
async fn stored_objects(driven: &Driven) -> Vec<(&'static str, String)> {
    let (installation, admin) = (&driven.installation, &driven.installation.admin);
    let integration = installation.integrate(&driven.shop, "local", None).await;
    let request = ask(&driven.person, "orders", "READ_ONLY", None).await;
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let group = json!({ "name": "Fuzzed", "members_emails": ["rita@example.com"] });
    let group = id(&admin.post("/api/admin/v1/groups", &group).await);
    let flow = id(&installation.flow("fuzzed", &integration, Some("otto@example.com")).await);
    vec![
        ("/api/admin/v4/integrations/", integration.clone()),
        ("/api/v2/integrations/", integration.clone()),
        ("/api/v3/integrations/", integration),
        ("/api/admin/v1/groups/", group),
        ("/api/admin/v2/access-flows/", flow.clone()),
        ("/api/v1/access-flows/", flow),
        ("/api/v3/access-requests/", request.clone()),
        ("/api/client/v1/access-requests/", request),
        ("/api/v2/users/", "rita@example.com".to_owned()),
    ]
}

/// Calls of a path with an id go to an object that is there; deletions go nowhere.
fn settings_for(places: &[(&str, String)]) -> String {
    let rules = places.iter().map(|(path, id)| {
        format!(
            "[[operations]]\ninclude-path-regex = \"^{path}\\\\{{id\\\\}}\"\n\
             include-method = [\"GET\", \"PUT\", \"PATCH\"]\n\
             parameters = {{ \"path.id\" = \"{id}\" }}\n"
        )
    });
    rules.collect::<Vec<_>>().join("\n")
}
