//! An installation with a hundred thousand live grants, made row by row through the store and
//! line by line in the connector's journal, as if they had been granted one after the other.

use std::{fs, io::Write as _, sync::Arc};

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use latchkey_app::jobs;
use latchkey_connector::journal::{Holder, JournalClaim, Record};
use latchkey_domain::{
    Rng,
    audit::{AuditActor, AuditEvent},
    flow::AccessFlow,
    ids::{FlowId, IntegrationId, PermissionId, ReceiptId, RequestId, SessionId, TaskId, UnitId},
    inventory::Resource,
    provisioning::{AccessDetails, Receipt},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_store::{NewJob, ReceiptRecord, Store, StoreError, Tx};
use serde_json::json;

use crate::installation::{Installation, person, store_time};

/// Grants in one transaction.
const BATCH: usize = 500;

/// Adds `count` live grants of `flow` to an installation whose server is stopped.
pub(super) async fn add_grants(
    installation: &Installation,
    integration: &str,
    flow: &str,
    count: usize,
) -> Result<()> {
    let store = installation.store().await?;
    let maker = Maker::new(installation, &store, integration, flow).await?;
    // The server has made the journal, with its first line.
    let file = installation.folder().join("connector-local").join("journal.log");
    let mut journal = fs::File::options()
        .append(true)
        .open(&file)
        .with_context(|| format!("cannot open {}", file.display()))?;
    let mut made = 0;
    while made < count {
        let some = BATCH.min(count - made);
        let lines = store
            .write(async |tx| -> Result<String, StoreError> {
                let mut lines = String::new();
                for number in made..made + some {
                    lines.push_str(&maker.add(tx, number).await?);
                }
                Ok(lines)
            })
            .await?;
        journal.write_all(lines.as_bytes())?;
        made += some;
        if made % 20_000 == 0 {
            println!("  {made} live grants are in place");
        }
    }
    journal.sync_all()?;
    while store.link_audit("bench").await? > 0 {}
    store.sign_audit_head().await?;
    store.close().await;
    Ok(())
}

struct Maker {
    now: Timestamp,
    rng: Arc<dyn Rng>,
    integration: IntegrationId,
    flow: AccessFlow,
    resource: Resource,
}

impl Maker {
    async fn new(
        installation: &Installation,
        store: &Store,
        integration: &str,
        flow: &str,
    ) -> Result<Self> {
        let integration = IntegrationId::new(integration);
        let flow_id = FlowId::new(flow);
        let (flow, resources) = store
            .read(async |tx| -> Result<_, StoreError> {
                let flow = tx.find_flow(&flow_id).await?;
                Ok((flow, tx.resources_of(&integration, "postgresql-table").await?))
            })
            .await?;
        Ok(Self {
            now: store_time(installation.surroundings().clock.as_ref()),
            rng: Arc::clone(&installation.surroundings().rng),
            integration,
            flow: flow.context("the flow")?,
            resource: resources.into_iter().next().context("a discovered table")?,
        })
    }

    /// One person with one live grant; returns the connector's line about it.
    async fn add(&self, tx: &mut Tx, number: usize) -> Result<String, StoreError> {
        let (now, rng) = (self.now, self.rng.as_ref());
        let user = person(now, rng, "live", number);
        tx.insert_user(&user).await?;
        let generation = tx.next_generation(&self.integration, &user.id).await?;
        let session = self.session(&user.id, generation);
        tx.insert_session(&session).await?;
        let minutes = 60 + i64::try_from(number % 1_440).unwrap_or(0);
        let end = now.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
        let mut request = self.request(&user.id, end);
        request.number = tx.next_request_number().await?;
        let unit = self.unit(&request, &session);
        tx.insert_request(&request, std::slice::from_ref(&unit)).await?;
        tx.enqueue_job(&NewJob {
            kind: jobs::EXPIRE_REQUEST,
            dedupe_key: Some(format!("{}:{}", jobs::EXPIRE_REQUEST, request.id)),
            payload: json!({ "request_id": request.id }),
            run_at: end,
        })
        .await?;
        let password = "0123456789abcdef0123456789abcdef".into();
        tx.put_credentials(&session.id, &session.principal, &password).await?;
        tx.put_access_details(&session.id, &details(&session)).await?;
        tx.insert_receipt(&self.receipt(&session, &request.id)).await?;
        tx.append_audit(&AuditEvent {
            actor: AuditActor::System,
            action: "access_request.active",
            object_type: "access_request",
            object_id: request.id.to_string(),
            detail: json!({ "from": "Granting", "detail": { "units_held": 1 } }),
        })
        .await?;
        let record = Record::Leased {
            holder: Holder {
                integration: self.integration.clone(),
                principal: session.principal.clone(),
            },
            session: session.id.clone(),
            fence: 1,
            claims: vec![JournalClaim { unit: unit.id, ends_at: Some(end) }],
        };
        record.to_line().map_err(|error| StoreError::Database(error.to_string()))
    }

    fn session(&self, grantee: &latchkey_domain::ids::UserId, generation: i64) -> AccessSession {
        let id = SessionId::generate(self.now, self.rng.as_ref());
        let label = u64::from_be_bytes(self.rng.bytes::<8>());
        AccessSession {
            principal: format!("lk_u_{label:016x}_{generation}"),
            id,
            integration_id: self.integration.clone(),
            grantee_id: grantee.clone(),
            generation,
            state: SessionState::Live,
            fence: 1,
            desired_version: 1,
            applied_version: 1,
            credentials_status: CredentialsStatus::Viewed,
            can_reset_credentials: true,
            created_at: self.now,
            ended_at: None,
        }
    }

    fn request(&self, grantee: &latchkey_domain::ids::UserId, end: Timestamp) -> AccessRequest {
        let now = self.now;
        AccessRequest {
            id: RequestId::generate(now, self.rng.as_ref()),
            number: 0,
            requestor_id: grantee.clone(),
            grantee_id: grantee.clone(),
            asked_as_grantee: false,
            flow_id: self.flow.id.clone(),
            flow_version: self.flow.version,
            flow_policy: self.flow.policy.clone(),
            bundle_id: None,
            state: RequestState::Active,
            state_reason: None,
            justification: Some("Measured".to_owned()),
            duration_sec: Some(3600),
            duration_was_asked: true,
            custom_fields: std::collections::BTreeMap::new(),
            digest: "d".repeat(64),
            escalations: Vec::new(),
            created_at: now,
            decided_at: Some(now),
            ends_at: Some(end),
            extending_to: None,
            extension_count: 0,
            granted_at: Some(now),
            grant_deadline: Some(now),
            ended_at: None,
            revoke_requested_at: None,
            second_factor_at: None,
            version: 1,
        }
    }

    fn unit(&self, request: &AccessRequest, session: &AccessSession) -> RequestUnit {
        let resource = &self.resource;
        RequestUnit {
            id: UnitId::generate(self.now, self.rng.as_ref()),
            request_id: request.id.clone(),
            integration_id: self.integration.clone(),
            resource_id: resource.id.clone(),
            resource_type: resource.resource_type.clone(),
            resource_source_id: resource.source_id.clone(),
            resource_name: resource.name.clone(),
            resource_path: resource.path.clone(),
            resource_context: resource.context.clone(),
            permission_id: PermissionId::derive(
                &self.integration,
                &resource.resource_type,
                "READ_ONLY",
            ),
            permission: "READ_ONLY".to_owned(),
            state: UnitState::Held,
            error: None,
            session_id: Some(session.id.clone()),
            ends_at: request.ends_at,
            extends_to: None,
        }
    }

    fn receipt(&self, session: &AccessSession, request: &RequestId) -> ReceiptRecord {
        ReceiptRecord {
            id: ReceiptId::generate(self.now, self.rng.as_ref()),
            session_id: session.id.clone(),
            request_id: Some(request.clone()),
            task_id: TaskId::generate(self.now, self.rng.as_ref()),
            receipt: Receipt {
                principal: session.principal.clone(),
                observed_at: self.now,
                principal_exists: true,
                can_log_in: true,
                open_sessions: 0,
                sessions_ended: 0,
                holds: vec![format!("READ_ONLY on {}", self.resource.source_id)],
                leftover: Vec::new(),
                notes: Vec::new(),
            },
            fence: 1,
            at: self.now,
        }
    }
}

fn details(session: &AccessSession) -> AccessDetails {
    AccessDetails {
        instructions: format!(
            "Connect as {} with the password {{{{password}}}}.",
            session.principal
        ),
        cli: Some(format!("psql -U {}", session.principal)),
        parameters: [("username".to_owned(), session.principal.clone())].into(),
    }
}
