//! The command line: its words, its JSON habit, and clear errors for what cannot work.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use latchkey_testkit::DatabaseKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    caller::{Caller, PATIENCE},
    installation::{Installation, free_port},
    process::{self, Process},
    shop::Shop,
};

/// Runs words that are to fail; returns the exit code and what was said.
fn refused(words: &[&str]) -> (i32, String) {
    let output = process::run(words);
    assert!(!output.status.success(), "{words:?} worked");
    assert!(output.stdout.is_empty(), "{words:?} answered on standard output");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn admin_commands_make_what_is_missing_and_answer_one_json_object() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    let admin = |words: &[&str]| -> Value {
        let output = process::run([&["admin"], words, &["--data", path(&data)]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let names = ["--first-name", "Ada", "--last-name", "Lovelace"];
    let made = admin(&[&["bootstrap", "--email", "ada@example.com"], &names[..]].concat());
    assert!(made["user_id"].is_string() && made["expires_at"].is_null(), "{made}");
    assert!(made["token"].as_str().unwrap().starts_with("lk_"), "{made}");
    let key = fs::metadata(data.join("master.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let bob = admin(&[&["user", "create", "--email", "bob@example.com"], &names[..]].concat());
    assert!(bob["user_id"].is_string());
    let group = admin(&["group", "create", "--name", "Engineers"]);
    let member =
        admin(&["group", "add-member", "--group", "Engineers", "--email", "bob@example.com"]);
    assert_eq!(member, json!({ "group_id": group["group_id"], "user_id": bob["user_id"] }));
    let role = admin(&["role", "grant", "--email", "bob@example.com", "--role", "Power User"]);
    assert_eq!(role["roles"], json!(["Power User"]));
    let role = admin(&["role", "revoke", "--email", "bob@example.com", "--role", "power user"]);
    assert_eq!(role["roles"], json!([]));
    let link = admin(&["sign-in-link", "--email", "bob@example.com"]);
    assert_eq!(link["user_id"], bob["user_id"]);
    assert!(link["url_path"].as_str().unwrap().starts_with("/sign-in/link/"), "{link}");
    assert!(link["expires_at"].is_string(), "{link}");
    let reset = admin(&["user", "reset-second-factor", "--email", "bob@example.com"]);
    assert_eq!(reset, json!({ "user_id": bob["user_id"] }));
    let token = admin(&[
        "token",
        "create",
        "--email",
        "bob@example.com",
        "--name",
        "laptop",
        "--scope",
        "read",
        "--scope",
        "request",
        "--expires-in",
        "30d",
    ]);
    assert!(token["expires_at"].is_string() && token["user_id"] == bob["user_id"], "{token}");
    let settings = admin(&["settings", "get"]);
    assert_eq!(settings["approval_expiry_sec"], 86_400);
    assert_eq!(
        admin(&["settings", "set", "flow_selection", "strictest"])["flow_selection"],
        "strictest"
    );
    assert_eq!(
        admin(&["settings", "get", "flow_selection"]),
        json!({ "flow_selection": "strictest" })
    );
    let connector = admin(&["connector-token", "create", "--id", "rack-1"]);
    assert_eq!(connector["connector_id"], "rack-1");
    assert!(connector["token"].as_str().unwrap().starts_with("lkc_"), "{connector}");
    let disabled = admin(&["user", "disable", "--email", "bob@example.com"]);
    assert_eq!(disabled["user_id"], bob["user_id"]);

    let verified = process::run(["audit", "verify", "--data", path(&data)]);
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&report["intact"], &report["unlinked"]), (&json!(true), &json!(0)), "{report}");
}

#[test]
fn refusals_say_what_to_do_and_end_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = path(folder.path());
    let names = ["--first-name", "A", "--last-name", "B", "--data", data];
    let bootstrap = [&["admin", "bootstrap", "--email", "a@example.com"], &names[..]].concat();
    assert!(process::run(&bootstrap).status.success());
    for (words, expected) in [
        (bootstrap.clone(), "there is an Admin already"),
        (
            vec!["admin", "user", "disable", "--email", "a@example.com", "--data", data],
            "last active Admin",
        ),
        (
            vec![
                "admin",
                "role",
                "grant",
                "--email",
                "a@example.com",
                "--role",
                "King",
                "--data",
                data,
            ],
            "use one of Admin, Power User, Deployment, Viewer",
        ),
        (
            vec![
                "admin",
                "token",
                "create",
                "--email",
                "a@example.com",
                "--scope",
                "all",
                "--data",
                data,
            ],
            "use one of read, request, decide",
        ),
        (vec!["admin", "settings", "set", "colour", "red", "--data", data], "unknown setting"),
        (
            vec!["admin", "settings", "set", "approval_expiry_sec", "1", "--data", data],
            "a whole number of seconds from 60",
        ),
        (vec!["admin", "reconcile", "--data", data], "repeat with --confirm"),
        (
            vec!["serve", "--data", data, "--database", "mysql://u:hunter2@h/d"],
            "use sqlite:PATH or postgres://",
        ),
    ] {
        let (code, said) = refused(&words);
        assert_eq!(code, 1, "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let (code, said) = refused(&[
        "admin",
        "token",
        "create",
        "--email",
        "a",
        "--expires-in",
        "90",
        "--data",
        data,
    ]);
    assert!(code == 2 && said.contains("write it like 90d"), "{said}");
}

#[test]
fn an_unknown_key_in_the_file_is_refused_with_line_and_near_match() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("latchkey.toml"), "# ours\nlistne = \"127.0.0.1:1\"\n").unwrap();
    let (code, said) = refused(&["serve", "--data", path(folder.path())]);
    assert_eq!(code, 1);
    assert!(said.contains("line 2") && said.contains("did you mean \"listen\""), "{said}");
}

#[tokio::test]
async fn an_unknown_variable_is_logged_by_name_and_never_by_value() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[("LATCHKEY_LISTNE", "hunter2")]).await;
    let log = installation.server.as_ref().unwrap().log();
    assert!(log.contains("LATCHKEY_LISTNE") && !log.contains("hunter2"), "{log}");
}

#[test]
fn a_busy_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = refused(&["serve", "--data", path(folder.path()), "--listen", &address]);
    assert_eq!(code, 1);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_wrong_database_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/latch");
    let listen = format!("127.0.0.1:{}", free_port());
    let data = path(folder.path());
    for words in [
        vec!["serve", "--data", data, "--listen", &listen, "--database", &url],
        vec!["admin", "settings", "get", "--data", data, "--database", &url],
    ] {
        let (code, said) = refused(&words);
        assert_eq!(code, 1);
        assert!(said.contains("--database") && said.contains(&port.to_string()), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn a_second_server_over_the_same_sqlite_folder_is_refused() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let mut second = installation.start_server(free_port(), &[]);
    let ended = second.wait("the second server's end", PATIENCE).await;
    assert_eq!(ended.code(), Some(1));
    assert!(second.log().contains("another `latchkey serve` uses"), "{}", second.log());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let kind = DatabaseKind::Postgres(latchkey_testkit::systems::PostgresVersion::V15);
    let installation = Installation::create(kind).await;
    let database = crate::shop::connect(&installation.database_url()).await.unwrap();
    database
        .batch_execute("INSERT INTO schema_migrations VALUES (100000, 'from the future', 0)")
        .await
        .unwrap();
    let mut words = vec!["admin".to_owned(), "settings".to_owned(), "get".to_owned()];
    words.extend(installation.place());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (code, said) = refused(&words);
    assert_eq!(code, 1);
    assert!(said.contains("start a newer latchkey"), "{said}");
}

#[tokio::test]
async fn another_master_key_is_refused() {
    let installation = Installation::create(DatabaseKind::Sqlite).await;
    fs::write(installation.data().join("master.key"), "00".repeat(32)).unwrap();
    let data = installation.data();
    let (code, said) = refused(&["admin", "settings", "get", "--data", path(&data)]);
    assert_eq!(code, 1);
    assert!(said.contains("master.key"), "{said}");
}

#[tokio::test]
async fn a_connector_with_a_wrong_token_says_so_and_goes_on_trying() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("http://127.0.0.1:{}", installation.port);
    let data = folder.path().join("agent");
    let words = ["connector", "--server", &server, "--id", "rack-1", "--data", path(&data)];
    let (code, said) = refused(&words);
    assert!(code == 1 && said.contains("LATCHKEY_CONNECTOR_TOKEN"), "{said}");
    let mut command = process::command(words);
    command.env("LATCHKEY_CONNECTOR_TOKEN", "lkc_wrong");
    let mut agent = Process::start(command, &folder.path().join("agent.log"));
    let heard = latchkey_testkit::wait_until("a word about the token", PATIENCE, async || {
        agent.log().contains("connector-token create")
    });
    heard.await.unwrap();
    assert!(agent.ended().is_none(), "it goes on trying");
}

#[tokio::test]
async fn health_readiness_metrics_and_a_graceful_stop() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.launch(&[]);
    let anybody = Caller::new(installation.port, None);
    anybody.wait("health", "/healthz", |_| true).await;
    installation.ready(installation.port).await;
    let local = installation.admin.get("/api/admin/v3/connectors/local").await;
    assert_eq!(local["id"], "local", "registered before the server is ready");
    let (status, metrics) = anybody.call(Method::GET, "/metrics", None).await;
    assert_eq!(status, 200, "{metrics}");
    let (status, body) = anybody.call(Method::GET, "/api/nothing", None).await;
    assert_eq!((status, &body["code"]), (404, &json!("NotFound")), "{body}");
    let stopped = tokio::time::timeout(Duration::from_secs(15), installation.stop()).await;
    stopped.expect("a stop takes no longer than its calls");
    let log = installation.server.as_ref().unwrap().log();
    assert!(log.contains("The server has stopped."), "{log}");
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_in_a_fresh_installation_and_says_what_local_cannot_do() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    let said = doctor(&installation);
    for what in ["config", "folder", "keys", "database", "clock", "audit"] {
        assert!(said.lines().any(|line| line.starts_with("ok") && line.contains(what)), "{said}");
    }
    installation.start(&[]).await;
    let shop = Shop::open().await;
    installation.integrate(&shop, "local", None).await;
    let said = doctor(&installation);
    assert!(said.contains("local is connected; integrations it serves: 1"), "{said}");
    assert!(said.contains("Run a separate `latchkey connector`"), "{said}");
    assert!(said.contains(&format!("{} is ACTIVE", shop.database)), "{said}");
}

/// What `latchkey doctor` says when nothing is wrong.
fn doctor(installation: &Installation) -> String {
    let mut words = vec!["doctor".to_owned()];
    words.extend(installation.place());
    let output = process::run(&words);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[tokio::test]
async fn a_report_is_the_same_by_command_and_over_http() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let report = json!({
        "name": "Week", "filters": {}, "fields": ["request_id", "status"],
        "timeframe": {"relative": {"last": 7, "unit": "day"}},
    });
    let reports = "/api/admin/v1/activity-reports";
    let made = installation.admin.post(reports, &report).await;
    let run = format!("{reports}/{}/run", made["id"].as_str().unwrap());
    let over_http = installation.admin.get(&run).await;
    let over_http = over_http.as_str().unwrap().to_owned();
    assert_eq!(over_http, "\"request_id\",\"status\"\r\n");

    let place = installation.place();
    let run = |words: &[&str]| {
        let words = ["report", "run"].iter().chain(words).map(|word| (*word).to_owned());
        process::run(words.chain(place.clone()).collect::<Vec<_>>())
    };
    let printed = run(&["week"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), over_http);
    let file = installation.folder.path().join("week.pdf");
    let said = run(&["Week", "--format", "pdf", "--output", path(&file)]);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said, json!({ "report": "Week", "format": "pdf", "file": path(&file) }));
    assert!(fs::read(&file).unwrap().starts_with(b"%PDF"));
    let unknown = run(&["Month"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no report with the name"));
    let nowhere = installation.folder.path().join("no/where.csv");
    assert_eq!(run(&["week", "--output", path(&nowhere)]).status.code(), Some(1));
}

#[test]
fn aql_check_and_format_need_no_installation_and_draw_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tables.aql");
    fs::write(&file, "NOT (resource_type   = \"postgresql-table\")\n").unwrap();
    let run = |words: &[&str]| {
        let output = process::run([&["aql"], words].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let valid = "The query is valid.\n".to_owned();
    assert_eq!(run(&["check", "resource = \"a\""]), (0, valid.clone(), String::new()));
    assert_eq!(run(&["check", "-f", path(&file)]), (0, valid.clone(), String::new()));
    let laid_out = "not resource_type = \"postgresql-table\"\n".to_owned();
    assert_eq!(run(&["format", "--file", path(&file)]), (0, laid_out, String::new()));

    let (code, answered, warned) = run(&["check", "resource_risk_level = \"hgih\""]);
    assert_eq!((code, answered), (0, valid));
    assert!(warned.starts_with("warning: there is no risk level `hgih`\n"), "{warned}");

    let wrong = "resource_types = \"a\"\n  or resource_name like \"b\"";
    let drawn = "error: there is no field `resource_types`\n --> line 1, column 1\n  |\n\
                 1 | resource_types = \"a\"\n  | ^^^^^^^^^^^^^^\n  \
                 = did you mean `resource_type`?\n\n\
                 error: there are no patterns\n --> line 2, column 20\n  |\n\
                 2 |   or resource_name like \"b\"\n  |                    ^^^^\n  \
                 = use contains, starts_with or ends_with\n";
    for word in ["check", "format", "run"] {
        assert_eq!(run(&[word, wrong]), (1, String::new(), drawn.to_owned()), "{word}");
    }
    let missing = folder.path().join("missing");
    let (code, _, said) = run(&["check", "-f", path(&missing)]);
    assert!(code == 1 && said.contains("cannot be read"), "{said}");
    assert_eq!(run(&["check"]).0, 2, "a query or a file");
    assert_eq!(run(&["check", "resource = \"a\"", "-f", path(&file)]).0, 2, "not both");
    // What is only read is not made.
    let nowhere = folder.path().join("nowhere");
    let (code, _, said) = run(&["run", "resource = \"a\"", "--data", path(&nowhere)]);
    assert!(code == 1 && said.contains("there is no database"), "{said}");
    assert!(!nowhere.exists());
}

#[test]
fn e06_a_query_does_not_steer_the_terminal_that_its_errors_are_drawn_on() {
    let output = process::run(["aql", "check", "\u{1b}]0;owned\u{7} \u{202e}\u{9b}2J = \"a"]);
    assert_eq!(output.status.code(), Some(1));
    let drawn = String::from_utf8(output.stderr).unwrap();
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(drawn.contains("\\u{1b}]0;owned\\u{7}") && !drawn.contains(steers), "{drawn:?}");
}

#[tokio::test]
async fn aql_run_prints_what_a_query_selects_beside_a_running_server() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let shop = Shop::open().await;
    installation.integrate(&shop, "local", None).await;
    let query = "resource_type = \"postgresql-table\" and permission_name = \"READ_ONLY\" \
                 and resource_name in (\"orders\", \"customers\")";
    let body = json!({ "query": query });
    let preview = installation.admin.post("/api/admin/v1/access-scopes/preview", &body).await;
    let total = preview["total"].as_i64().unwrap();
    assert!(total >= 1, "{preview}");
    let run = |words: &[&str]| {
        let words = [&["aql", "run", query], words].concat().into_iter().map(str::to_owned);
        let output = process::run(words.chain(installation.place()).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = run(&["--json"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last(), Some(&json!({ "total": total })));
    assert_eq!(lines.len(), usize::try_from(total).unwrap() + 1);
    assert_eq!(lines[0]["permission_name"], "READ_ONLY");
    assert_eq!(lines[0]["integration_name"], shop.database);
    assert_eq!(lines[0]["resource_id"], preview["items"][0]["resource"]["id"]);
    let table = run(&[]);
    assert!(table.starts_with("INTEGRATION "), "{table}");
    assert!(table.contains("postgresql-table") && table.contains("READ_ONLY"), "{table}");
    let counted = run(&["--limit", "0"]);
    let noun = if total == 1 { "entitlement" } else { "entitlements" };
    assert_eq!(counted, format!("0 of {total} {noun}; --limit shows more\n"));
    installation.verify_audit().await;
}

#[tokio::test]
async fn doctor_says_what_is_wrong_with_the_mail_server() {
    let installation = Installation::create(DatabaseKind::Sqlite).await;
    let said = doctor(&installation);
    assert!(said.contains("No mail server is configured"), "{said}");
    let settings = format!(
        "smtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\n\
         mail_from = \"latchkey@example.com\"\n",
        free_port()
    );
    fs::write(installation.data().join("latchkey.toml"), settings).unwrap();
    let output = process::run([vec!["doctor".to_owned()], installation.place()].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("The mail server cannot be used"), "{said}");
}

#[test]
fn doctor_names_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let output = process::run(["doctor", "--data", path(&nowhere)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("admin bootstrap"));
    assert!(!nowhere.exists(), "doctor makes nothing");
}

#[test]
fn openapi_prints_the_document() {
    let output = process::run(["openapi"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}
