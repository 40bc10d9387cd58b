//! The side that is measured: the released program as `latchkey serve` runs it by default, with
//! SQLite in its data folder and the connector `local` inside. Everything goes over HTTP.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use latchkey_domain::Clock;
use serde_json::{Value, json};

use super::target::{DATABASE, Login, PROVISIONER, TABLE, Target, use_login};
use crate::{
    http::{Server, text_of},
    installation::{Installation, Person},
    samples::Sample,
};

pub(super) const SIDE: &str = "Latchkey";
pub(super) const ISSUE_PARTS: &[&str] = &["until Active", "access details", "login"];
pub(super) const REVOKE_PARTS: &[&str] = &["revoke call", "until Revoked"];

const INTEGRATION: &str = "Shop database";
const REQUESTS: &str = "/api/user/v4/access-requests";
const FLOWS: &str = "/api/admin/v2/access-flows";
const PATIENCE: Duration = Duration::from_mins(1);

/// What a grant is asked with.
#[derive(Debug, Clone)]
pub(super) struct Entitlement {
    resource: String,
    permission: String,
}

impl Installation {
    /// Connects the target's database and waits until its inventory is known.
    pub(super) async fn connect_database(&self, target: &Target) -> Result<String> {
        let made = self
            .server()
            .post(
                self.admin(),
                "/api/admin/v4/integrations",
                json!({
                    "name": INTEGRATION,
                    "type": "postgresql",
                    "connector_id": "local",
                    "integration_config": {
                        "hostname": target.server.host(),
                        "port": target.server.port().to_string(),
                        "dbname": DATABASE,
                        "databases": DATABASE,
                        "sslmode": "disable",
                        "role": PROVISIONER,
                    },
                    "secret_store_config": { "apono": { "parameters": {
                        "username": target.username, "password": target.password,
                    } } },
                }),
            )
            .await?;
        let id = text_of(&made, "id")?;
        let path = format!("/api/admin/v4/integrations/{id}");
        let began = self.surroundings().clock.monotonic();
        loop {
            let found = self.server().get(self.admin(), &path).await?;
            match text_of(&found, "status")?.as_str() {
                "ACTIVE" => return Ok(id),
                "ERROR" | "WARNING" => bail!("the integration did not become ACTIVE: {found}"),
                _ if self.surroundings().clock.monotonic().saturating_sub(began) > PATIENCE => {
                    bail!("the integration was not discovered in time: {found}")
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Makes a flow that gives the members of a group, without an approval, what they ask for.
    pub(super) async fn add_flow(
        &self,
        group: &str,
        integration: &str,
        timeframe: Option<Value>,
    ) -> Result<String> {
        let made = self
            .server()
            .post(
                self.admin(),
                FLOWS,
                json!({
                    "name": format!("Flow of {group}"),
                    "active": true,
                    "trigger": "SELF_SERVE",
                    "requestors": { "logical_operator": "OR", "conditions": [
                        { "type": "group", "match_operator": "is", "values": [group] },
                    ] },
                    "request_for_others": false,
                    "access_targets": [{ "integration": {
                        "integration_reference": integration,
                        "resource_type": "postgresql-table",
                        "permissions": ["READ_ONLY"],
                        "resources_scopes": null,
                    } }],
                    "grant_duration_in_min": 120,
                    "timeframe": timeframe,
                    "settings": {
                        "justification_required": false,
                        "require_approver_reason": false,
                        "requestor_cannot_approve_himself": true,
                        "require_mfa": false,
                        "labels": [],
                    },
                }),
            )
            .await?;
        text_of(&made, "id")
    }

    /// Deletes a flow, which ends everything that it gave.
    pub(super) async fn delete_flow(&self, id: &str) -> Result<()> {
        self.server().delete(self.admin(), &format!("{FLOWS}/{id}")).await.map(drop)
    }

    /// Looks up what everybody will ask for.
    pub(super) async fn entitlement(&self, person: &Person) -> Result<Entitlement> {
        let table = TABLE.split('.').next_back().unwrap_or_default();
        let path = format!(
            "/api/user/v1/available-access/entitlements?resource_name={table}\
             &permission_name=READ_ONLY"
        );
        let listed = self.server().get(&person.token, &path).await?;
        let wanted = format!("table:{DATABASE}/{}", TABLE.replace('.', "/"));
        let rows = listed.get("items").and_then(Value::as_array).context("entitlements")?;
        let row = rows
            .iter()
            .find(|row| {
                row.pointer("/resource/source_id").and_then(Value::as_str) == Some(wanted.as_str())
            })
            .with_context(|| format!("{wanted} is not among {listed}"))?;
        let id_at = |pointer: &str| {
            row.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context("an id")
        };
        Ok(Entitlement { resource: id_at("/resource/id")?, permission: id_at("/permission/id")? })
    }

    /// How many requests have entered a state since the server was started.
    pub(super) async fn entered(&self, state: &str) -> Result<u64> {
        let label = format!("latchkey_request_transitions_total{{to=\"{state}\"}} ");
        let metrics = self.server().text("/metrics").await?;
        Ok(metrics
            .lines()
            .find_map(|line| line.strip_prefix(&label))
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0))
    }

    /// What clients call.
    pub(super) fn side(&self, target: &Target, entitlement: &Entitlement) -> Side {
        Side {
            server: self.server().clone(),
            clock: Arc::clone(&self.surroundings().clock),
            entitlement: entitlement.clone(),
            host: target.server.host().to_owned(),
            port: target.server.port(),
        }
    }
}

/// What one phase does at one load.
#[derive(Clone)]
pub(super) struct Side {
    server: Server,
    clock: Arc<dyn Clock>,
    entitlement: Entitlement,
    host: String,
    port: u16,
}

/// A grant in force.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    person: Person,
    id: String,
}

impl Side {
    /// Files a request, which needs no approval, and waits for access.
    pub(super) async fn ask(&self, person: Person, seconds: Option<i64>) -> Result<Grant> {
        let body = json!({
            "entitlements": [{
                "resource_id": self.entitlement.resource,
                "permission_id": self.entitlement.permission,
            }],
            "justification": "Measured",
            "duration_in_sec": seconds,
        });
        let made = self.server.patient().post(&person.token, REQUESTS, body).await?;
        let made = made.get(0).context("the answer is an array of requests")?;
        let grant = Grant { person, id: text_of(made, "id")? };
        if text_of(made, "status")? != "Active" {
            self.await_state(&grant, "Active").await?;
        }
        Ok(grant)
    }

    /// From nothing to a login that was used.
    pub(super) async fn issue(self, person: Person) -> Result<(Grant, Sample)> {
        let began = self.clock.monotonic();
        let grant = self.ask(person, Some(3600)).await?;
        let active = self.clock.monotonic();
        let login = self.login(&grant).await?;
        let known = self.clock.monotonic();
        use_login(&login).await?;
        let used = self.clock.monotonic();
        let sample = Sample(vec![
            active.saturating_sub(began),
            known.saturating_sub(active),
            used.saturating_sub(known),
        ]);
        Ok((grant, sample))
    }

    /// Gives a grant back and waits for the state that a receipt is needed for.
    pub(super) async fn revoke(self, grant: Grant) -> Result<Sample> {
        let began = self.clock.monotonic();
        let path = format!("{REQUESTS}/{}/revoke", grant.id);
        self.server.post(&grant.person.token, &path, json!({})).await?;
        let asked = self.clock.monotonic();
        self.await_state(&grant, "Revoked").await?;
        let revoked = self.clock.monotonic();
        Ok(Sample(vec![asked.saturating_sub(began), revoked.saturating_sub(asked)]))
    }

    /// Waits for a state: the server answers when nothing about the request is under way.
    async fn await_state(&self, grant: &Grant, state: &str) -> Result<()> {
        let path = format!("{REQUESTS}/{}", grant.id);
        let server = self.server.patient();
        let began = self.clock.monotonic();
        loop {
            let found = server.get(&grant.person.token, &path).await?;
            let now = text_of(&found, "status")?;
            if now == state {
                return Ok(());
            }
            let waited = self.clock.monotonic().saturating_sub(began);
            if matches!(now.as_str(), "Failed" | "Rejected" | "Cancelled" | "Revoked")
                || waited > PATIENCE
            {
                bail!("request {} is {now} instead of {state}", grant.id);
            }
        }
    }

    /// Reads the credentials, which are shown once.
    async fn login(&self, grant: &Grant) -> Result<Login> {
        let token = &grant.person.token;
        let path = format!("/api/user/v1/access-sessions?request_ids={}", grant.id);
        let sessions = self.server.get(token, &path).await?;
        let session = sessions.pointer("/items/0").context("a granted request has a session")?;
        let path =
            format!("/api/user/v1/access-sessions/{}/access-details", text_of(session, "id")?);
        let details = self.server.get(token, &path).await?;
        let parameters = details.get("parameters").context("connection parameters")?;
        Ok(Login {
            host: self.host.clone(),
            port: self.port,
            username: text_of(parameters, "username")?,
            password: text_of(parameters, "password")?,
        })
    }
}
