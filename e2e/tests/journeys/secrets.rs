//! Canary secrets: the provisioner's password, a generated password and tokens are in no file, no
//! log line and no answer but the one they are meant for, with every log line switched on.

use std::{fs, path::Path};

use latchkey_testkit::{DatabaseKind, systems::PostgresVersion};
use reqwest::Method;

use crate::{
    caller::Caller,
    installation::{Installation, ask, revoke},
    shop::Shop,
};

/// Everything that the processes say.
const LOUD: &[(&str, &str)] = &[("LATCHKEY_LOG_FILTER", "trace")];

#[tokio::test]
async fn e03_e04_no_secret_is_in_any_file_log_or_metric() {
    let kind = DatabaseKind::Sqlite;
    let mut installation = Installation::create(kind).await;
    installation.start(LOUD).await;
    let mut agent = installation.connector("rack-1");
    agent.kill();
    agent.start(LOUD);
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "rack-1", None).await;
    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    rita.wait_for_status(&request, "Active").await;
    let (_, password) = crate::installation::credentials(&rita, &request).await;
    revoke(&rita, &request).await;
    rita.wait_for_status(&request, "Revoked").await;
    let metrics = Caller::new(installation.port, None).call(Method::GET, "/metrics", None).await;
    let metrics = metrics.1.to_string();

    let secrets = [
        ("the provisioner's password", shop.password.as_str()),
        ("the generated password", password.as_str()),
        ("a person's token", rita.token().unwrap()),
        ("the connector's token", agent.token.as_str()),
    ];
    let mut files = 0;
    search(installation.folder.path(), &mut |file, content| {
        files += 1;
        for (what, secret) in secrets {
            let is_in = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_in, "{what} is in {}", file.display());
        }
    });
    assert!(files > 6, "database, journal and logs were looked at: {files}");
    for (what, secret) in secrets {
        assert!(!metrics.contains(secret), "{what} is in the metrics");
    }
}

#[tokio::test]
async fn e05_credentials_are_shown_once_to_the_grantee_alone_and_never_cached() {
    let mut installation = Installation::create(DatabaseKind::Postgres(PostgresVersion::V15)).await;
    installation.start(&[]).await;
    let _agent = installation.connector("rack-1");
    let shop = Shop::open().await;
    let (rita, otto) = (installation.person("rita"), installation.person("otto"));
    installation.integrate(&shop, "rack-1", None).await;
    let request = ask(&rita, "orders", "READ_ONLY", None).await;
    rita.wait_for_status(&request, "Active").await;
    let list = rita.get(&format!("/api/user/v1/access-sessions?request_ids={request}")).await;
    let session = list["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/user/v1/access-sessions/{session}/access-details");
    for other in [&otto, &installation.admin] {
        let (status, answer) = other.call(Method::GET, &path, None).await;
        let shown = answer["parameters"]["password"].as_str();
        assert!(status == 404 || (status == 200 && shown.is_none()), "{status} {answer}");
    }
    let (headers, first) = rita.get_whole(&path).await;
    assert!(first["parameters"]["password"].is_string(), "{first:#}");
    let cache = headers["cache-control"].to_str().unwrap();
    assert!(cache.contains("no-store"), "{cache}");
    let (_, second) = rita.get_whole(&path).await;
    assert!(second["parameters"]["password"].is_null(), "shown once");
}

/// Hands over every file below a folder.
fn search(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, look);
        } else if let Ok(content) = fs::read(&path) {
            look(&path, &content);
        }
    }
}
