//! What happens: asking, deciding, connecting, ending, proving.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Postgres, wait_until};
use serde_json::{Value, json};

use super::installation::{CONNECTOR, Installation, Person, text_of};
use super::narrator::Narrator;
use super::psql::Login;
use super::shop::{DATABASE, ProvisionerSecret};
use crate::http::Client;

const INTEGRATION: &str = "Shop database";
const REQUESTS: &str = "/api/user/v4/access-requests";

pub(super) fn tell(
    narrator: &mut Narrator,
    server: &Postgres,
    secret: &ProvisionerSecret,
    installation: &Installation,
) -> Result<()> {
    let mut ada = installation.client(&installation.admin)?;
    let mut rosa = installation.client(&installation.requestor)?;
    let mut abel = installation.client(&installation.approver)?;

    narrator.chapter("Ada connects the database and says who may ask for what");
    let integration = connect_database(narrator, &mut ada, server, secret)?;
    make_flow(narrator, &mut ada, &installation.requestor, &integration)?;

    narrator.chapter("Rosa looks up what she may ask for, and asks to read one table");
    let request = ask(narrator, &mut rosa, 3600)?;

    narrator.chapter("Policy and an approver decide");
    decide(narrator, installation, &mut rosa, &mut abel, &request)?;

    narrator.chapter("Rosa connects with the temporary login");
    let login = connect(narrator, &mut rosa, &request)?;
    use_access(narrator, server, &login)?;

    narrator.chapter("Rosa gives the access back while a session is open");
    give_back(narrator, server, &mut rosa, &request, &login)?;

    narrator.chapter("Access that nobody gives back ends on time");
    end_on_time(narrator, server, &mut rosa, &mut abel)?;

    narrator.chapter("All of it is on record");
    show_receipt(narrator, &mut ada, &request)?;
    let verdict = installation.command_line(&["audit", "verify"])?;
    narrator.evidence("latchkey audit verify", &verdict);
    Ok(())
}

fn connect_database(
    narrator: &Narrator,
    ada: &mut Client,
    server: &Postgres,
    secret: &ProvisionerSecret,
) -> Result<String> {
    let made = ada.post(
        "/api/admin/v4/integrations",
        &json!({
            "name": INTEGRATION,
            "type": "postgresql",
            "connector_id": CONNECTOR,
            "integration_config": {
                "hostname": server.host(),
                "port": server.port().to_string(),
                "dbname": DATABASE,
                "databases": DATABASE,
                "sslmode": "disable",
                "role": "latchkey_provisioner",
                "tags": "{\"shop\": {\"env\": \"prod\"}, \"shop/sales/*\": {\"team\": \"sales\"}}",
            },
            "secret_store_config": { "apono": { "parameters": {
                "username": secret.username, "password": secret.password,
            } } },
            "custom_access_details": "Please mind the customers' data.",
        }),
    )?;
    let id = text_of(&made, "id")?;
    let path = format!("/api/admin/v4/integrations/{id}");
    let found = await_member(ada, &path, "status", &["ACTIVE", "WARNING", "ERROR"])?;
    let status = text_of(&found, "status")?;
    narrator.evidence(
        "POST /api/admin/v4/integrations",
        &format!(
            "{INTEGRATION}: {status}, last sync {}",
            found.get("last_sync_time").unwrap_or(&Value::Null)
        ),
    );
    narrator.proof("the connector has read the database's inventory", status == "ACTIVE")?;
    Ok(id)
}

fn make_flow(narrator: &Narrator, ada: &mut Client, who: &Person, integration: &str) -> Result<()> {
    let flow = ada.post(
        "/api/admin/v2/access-flows",
        &json!({
            "name": "Read the shop's tables",
            "active": true,
            "trigger": "SELF_SERVE",
            "requestors": { "logical_operator": "OR", "conditions": [
                { "type": "user", "match_operator": "is", "values": [who.email] },
            ] },
            "request_for_others": false,
            "access_targets": [{ "integration": {
                "integration_reference": integration,
                "resource_type": "postgresql-table",
                "permissions": ["READ_ONLY"],
                "resources_scopes": null,
            } }],
            "approver_policy": { "approval_mode": "ANY_OF", "approver_groups": [
                { "logical_operator": "OR", "approvers": [
                    { "type": "group", "match_operator": "is", "values": ["Shop data owners"] },
                ] },
            ] },
            "grant_duration_in_min": 120,
            "settings": {
                "justification_required": true,
                "require_approver_reason": false,
                "requestor_cannot_approve_himself": true,
                "require_mfa": false,
                "labels": [],
            },
        }),
    )?;
    narrator.evidence(
        "POST /api/admin/v2/access-flows",
        &format!(
            "{}: {} may read tables for up to 2 hours if one of \"Shop data owners\" agrees",
            text_of(&flow, "name")?,
            who.name
        ),
    );
    Ok(())
}

/// Files a request to read `sales.orders` and returns its id.
fn ask(narrator: &Narrator, rosa: &mut Client, seconds: u32) -> Result<String> {
    let path =
        "/api/user/v1/available-access/entitlements?resource_name=orders&permission_name=READ_ONLY";
    let listed = rosa.get(path)?;
    let rows = listed.get("items").and_then(Value::as_array).context("a list of entitlements")?;
    let wanted = rows
        .iter()
        .find(|row| {
            row.pointer("/resource/source_id").and_then(Value::as_str)
                == Some("table:shop/sales/orders")
        })
        .with_context(|| format!("table:shop/sales/orders is not among {listed}"))?;
    let id_at = |pointer: &str| wanted.pointer(pointer).cloned().unwrap_or_default();
    narrator.evidence(
        "GET /api/user/v1/available-access/entitlements?resource_name=orders",
        &format!("READ_ONLY on {}", id_at("/resource/source_id")),
    );
    let made = rosa.post(
        REQUESTS,
        &json!({
            "entitlements": [{
                "resource_id": id_at("/resource/id"),
                "permission_id": id_at("/permission/id"),
            }],
            "justification": "Looking into a customer's complaint about a late parcel",
            "duration_in_sec": seconds,
        }),
    )?;
    let request = made.get(0).context("the answer is an array of requests")?;
    let id = text_of(request, "id")?;
    narrator.evidence(
        &format!("POST {REQUESTS}"),
        &format!("request {id}: {}, {seconds} s", text_of(request, "status")?),
    );
    Ok(id)
}

fn decide(
    narrator: &Narrator,
    installation: &Installation,
    rosa: &mut Client,
    abel: &mut Client,
    request: &str,
) -> Result<()> {
    await_member(rosa, &format!("{REQUESTS}/{request}"), "status", &["Pending"])?;
    let path = format!("/api/client/v1/access-requests/{request}/approve");
    let refused = rosa.call("POST", &path, Some(&json!({})))?;
    narrator.evidence(
        &format!("{}: POST {path}", installation.requestor.name),
        &format!("{} {}", refused.status, refused.body),
    );
    narrator.proof("nobody decides on an own request", refused.status >= 400)?;
    let tasks = abel.get("/api/client/v1/access-requests?scope=MyTasks")?;
    let waiting = ["/items", "/data"].iter().find_map(|list| tasks.pointer(list)?.get(0));
    let task = waiting.with_context(|| format!("Abel has nothing to decide: {tasks}"))?;
    let named = text_of(task, "id")?;
    let why = text_of(task, "justification")?;
    narrator.evidence(
        "Abel: GET /api/client/v1/access-requests?scope=MyTasks",
        &format!("{named}: {why}"),
    );
    let path = format!("/api/client/v1/access-requests/{named}/approve");
    let answer = abel.post(&path, &json!({ "justification": "Fine, for one hour" }))?;
    narrator.evidence(&format!("{}: POST {path}", installation.approver.name), &answer.to_string());
    Ok(())
}

/// Waits for the grant and reads how to connect.
fn connect(narrator: &Narrator, rosa: &mut Client, request: &str) -> Result<Login> {
    let found =
        await_member(rosa, &format!("{REQUESTS}/{request}"), "status", &["Active", "Failed"])?;
    let status = text_of(&found, "status")?;
    narrator.proof(&format!("request {request} is {status}"), status == "Active")?;
    let sessions = rosa.get(&format!("/api/user/v1/access-sessions?request_ids={request}"))?;
    let session = sessions.pointer("/items/0").context("a granted request has a session")?;
    let path = format!("/api/user/v1/access-sessions/{}/access-details", text_of(session, "id")?);
    let details = rosa.get(&path)?;
    let parameters = details.get("parameters").context("connection parameters")?;
    let parameter = |name: &str| {
        parameters
            .get(name)
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .with_context(|| format!("the access details have no {name}"))
    };
    let login = Login {
        host: parameter("host")?,
        port: parameter("port")?,
        database: parameter("database")?,
        username: parameter("username")?,
        password: parameter("password")?,
    };
    let shown = text_of(&details, "instructions")?.replace(&login.password, "…");
    narrator.evidence("GET …/access-details", &shown);
    Ok(login)
}

fn use_access(narrator: &Narrator, server: &Postgres, login: &Login) -> Result<()> {
    for (sql, allowed) in [
        ("SELECT count(*) FROM sales.orders", true),
        ("INSERT INTO sales.orders VALUES (0, 1, now(), 'paid')", false),
        ("SELECT count(*) FROM sales.payments", false),
    ] {
        let outcome = login.run(sql)?;
        narrator.evidence(&format!("psql as {}: {sql}", login.username), &outcome.text);
        let what = if allowed { "that works" } else { "that is refused" };
        narrator.proof(what, outcome.worked == allowed)?;
    }
    let role = server.sql(
        "postgres",
        &format!(
            "SELECT 'valid until ' || rolvaliduntil || ', login ' || rolcanlogin || ', marker '
                 || left(shobj_description(oid, 'pg_authid'), 120) || '…'
             FROM pg_roles WHERE rolname = '{}'",
            login.username
        ),
    )?;
    narrator.evidence("the role, as PostgreSQL sees it", &role);
    Ok(())
}

fn give_back(
    narrator: &Narrator,
    server: &Postgres,
    rosa: &mut Client,
    request: &str,
    login: &Login,
) -> Result<()> {
    let open = login.open()?;
    // `psql` is on its way, and what was left of the sessions before it may still be listed.
    wait_until(Duration::from_secs(10), || sessions_of(server, login) == 1);
    narrator
        .proof("a psql session of the temporary login is open", sessions_of(server, login) == 1)?;
    let path = format!("{REQUESTS}/{request}/revoke");
    let answer = rosa.call("POST", &path, None)?;
    narrator.evidence(&format!("POST {path}"), &format!("{} {}", answer.status, answer.body));
    await_member(rosa, &format!("{REQUESTS}/{request}"), "status", &["Revoked"])?;
    narrator.say("the request is Revoked, which it becomes only after the target was read back");
    match open.use_again()? {
        Some(died_of) => narrator.evidence("the open session's next statement", &died_of),
        None => bail!("the open session was not cut"),
    }
    narrator.proof("the open session was cut", sessions_of(server, login) == 0)?;
    let outcome = login.run("SELECT 1")?;
    narrator.evidence("psql with the same password", &outcome.text);
    narrator.proof("the login is refused", !outcome.worked)?;
    narrator.proof("PostgreSQL has no such role any more", roles_of(server, login) == 0)
}

fn end_on_time(
    narrator: &Narrator,
    server: &Postgres,
    rosa: &mut Client,
    abel: &mut Client,
) -> Result<()> {
    let request = ask(narrator, rosa, 8)?;
    await_member(rosa, &format!("{REQUESTS}/{request}"), "status", &["Pending"])?;
    abel.post(&format!("/api/client/v1/access-requests/{request}/approve"), &json!({}))?;
    let login = connect(narrator, rosa, &request)?;
    let works = login.run("SELECT count(*) FROM sales.orders")?;
    narrator.proof("the login works", works.worked)?;
    let found = await_member(rosa, &format!("{REQUESTS}/{request}"), "status", &["Revoked"])?;
    narrator.say(&format!(
        "request {request}: made {}, ended {}",
        found.get("creation_date").unwrap_or(&Value::Null),
        found.get("revocation_date").unwrap_or(&Value::Null)
    ));
    let outcome = login.run("SELECT 1")?;
    narrator.proof("the login is refused", !outcome.worked)?;
    narrator.proof("PostgreSQL has no such role any more", roles_of(server, &login) == 0)
}

fn sessions_of(server: &Postgres, login: &Login) -> u32 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", login.username);
    server.sql("postgres", &sql).ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
}

fn roles_of(server: &Postgres, login: &Login) -> u32 {
    let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{}'", login.username);
    server.sql("postgres", &sql).ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
}

/// Shows what was read back at the target when the request ended.
fn show_receipt(narrator: &Narrator, ada: &mut Client, request: &str) -> Result<()> {
    let path = format!("/api/admin/v1/access-requests/{request}/receipts");
    let page = ada.get(&path)?;
    let receipts = page.get("items").and_then(Value::as_array);
    let last = receipts.and_then(|receipts| receipts.last()).context("a receipt")?;
    narrator.evidence(&format!("Ada: GET {path}, the last one"), &format!("{last:#}"));
    let is_gone = last.get("principal_exists") == Some(&Value::Bool(false))
        && last.get("open_sessions") == Some(&json!(0));
    narrator.proof("the receipt says that login and sessions are gone", is_gone)
}

/// Reads an object until one of its members has one of these values.
fn await_member(client: &mut Client, path: &str, member: &str, values: &[&str]) -> Result<Value> {
    let mut last = Value::Null;
    let mut failure = None;
    wait_until(Duration::from_secs(45), || match client.get(path) {
        Ok(object) => {
            last = object;
            last.get(member).and_then(Value::as_str).is_some_and(|value| values.contains(&value))
        }
        Err(error) => {
            failure = Some(error);
            true
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    let reached =
        last.get(member).and_then(Value::as_str).is_some_and(|value| values.contains(&value));
    if !reached {
        bail!("{path} did not become {}: {last}", values.join(" or "));
    }
    Ok(last)
}
