//! A tenant with many people, flows and requests, made row by row through the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use latchkey_domain::{
    Rng,
    flow::{
        AccessFlow, Condition, ConditionSet, FlowPolicy, FlowSettings, FlowTarget, FlowTrigger,
        IntegrationTarget, LegacyPolicy, LogicalOperator, MatchOperator,
    },
    ids::{
        ConnectorId, FlowId, IntegrationId, PermissionId, RequestId, ResourceId, TokenId, UnitId,
        UserId,
    },
    integration::{Connector, Integration, IntegrationStatus},
    people::{ApiToken, Role, TokenScope},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
};
use latchkey_identity::{TokenKey, generate_token};
use latchkey_store::StoreError;
use secrecy::ExposeSecret as _;

use crate::{
    http::Server,
    installation::{Installation, Person, person, store_time},
};

/// Rows in one transaction.
const BATCH: usize = 1_000;
/// People who call, each with as many requests in every tenant.
pub(super) const CALLERS: usize = 50;
/// Requests of each of them: what a page of theirs holds.
pub(super) const REQUESTS_EACH: usize = 20;

/// One installation with its rows; its server may run or not.
pub(crate) struct Tenant {
    installation: Installation,
    /// Tokens of people with requests, and their ids.
    pub(crate) callers: Vec<(Person, UserId)>,
    /// A token of somebody who may read everything.
    pub(crate) reader: Person,
    /// A token of somebody who may make groups.
    pub(crate) writer: Person,
}

impl Tenant {
    /// Makes the data folder and all rows.
    pub(crate) async fn create(
        program: &Path,
        folder: PathBuf,
        people: usize,
        flows: usize,
        requests: usize,
    ) -> Result<Self> {
        let installation = Installation::create(program, folder)?;
        let store = installation.store().await?;
        let maker = Maker::new(&installation);
        let mut users = Vec::with_capacity(people);
        for start in (0..people).step_by(BATCH) {
            let some: Vec<_> = (start..people.min(start + BATCH))
                .map(|number| person(maker.now, maker.rng(), "person", number))
                .collect();
            store
                .write(async |tx| -> Result<(), StoreError> {
                    for user in &some {
                        tx.insert_user(user).await?;
                    }
                    Ok(())
                })
                .await?;
            users.extend(some.into_iter().map(|user| user.id));
        }
        let rows: Vec<AccessFlow> = (0..flows).map(|number| maker.flow(number)).collect();
        store
            .write(async |tx| -> Result<(), StoreError> {
                tx.insert_connector(&maker.connector()).await?;
                tx.insert_integration(&maker.integration()).await?;
                for flow in &rows {
                    tx.insert_flow(flow).await?;
                }
                Ok(())
            })
            .await?;
        let flow = rows.first().context("a flow")?;
        let own = CALLERS * REQUESTS_EACH;
        for start in (0..requests.max(own)).step_by(BATCH) {
            let numbers = start..requests.max(own).min(start + BATCH);
            store
                .write(async |tx| -> Result<(), StoreError> {
                    for number in numbers {
                        // The callers' come in between all others.
                        let user = if number % (requests.max(own) / own) == 0 {
                            users.get(number / (requests.max(own) / own) % CALLERS)
                        } else {
                            users.get(CALLERS + number % (people - CALLERS))
                        };
                        let Some(user) = user else { continue };
                        let (mut request, unit) = maker.request(flow, user, number);
                        request.number = tx.next_request_number().await?;
                        tx.insert_request(&request, &[unit]).await?;
                    }
                    Ok(())
                })
                .await?;
        }
        let key = TokenKey::new(*store.keys().token_key());
        let mut tokens = Vec::new();
        let mut callers = Vec::new();
        for id in users.iter().take(CALLERS) {
            let (person, token) = maker.token(&key, id, &[TokenScope::Read])?;
            tokens.push(token);
            callers.push((person, id.clone()));
        }
        let staff = users.last().context("a person")?;
        let (reader, token) = maker.token(&key, staff, &[TokenScope::Read])?;
        tokens.push(token);
        let (writer, token) = maker.token(&key, staff, &[TokenScope::Read, TokenScope::Admin])?;
        tokens.push(token);
        store
            .write(async |tx| -> Result<(), StoreError> {
                tx.grant_role(staff, Role::Admin).await?;
                for token in &tokens {
                    tx.insert_token(token).await?;
                }
                Ok(())
            })
            .await?;
        store.close().await;
        Ok(Self { installation, callers, reader, writer })
    }

    /// Starts the server.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.installation.start().await.map(drop)
    }

    /// Stops the server.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.installation.stop()
    }

    pub(crate) fn server(&self) -> &Server {
        self.installation.server()
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.installation.pid()
    }

    pub(crate) fn clock(&self) -> std::sync::Arc<dyn latchkey_domain::Clock> {
        std::sync::Arc::clone(&self.installation.surroundings().clock)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.installation.database()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.installation.folder()
    }
}

struct Maker<'a> {
    installation: &'a Installation,
    now: Timestamp,
    integration: IntegrationId,
}

impl<'a> Maker<'a> {
    fn new(installation: &'a Installation) -> Self {
        let now = store_time(installation.surroundings().clock.as_ref());
        let rng = installation.surroundings().rng.as_ref();
        Self { installation, now, integration: IntegrationId::generate(now, rng) }
    }

    fn rng(&self) -> &dyn Rng {
        self.installation.surroundings().rng.as_ref()
    }

    fn connector(&self) -> Connector {
        Connector {
            id: ConnectorId::new("bench"),
            name: "bench".to_owned(),
            token_hash: None,
            created_at: self.now,
            last_connected_at: None,
            version: String::new(),
            cloud_provider_type: "ON_PREM".to_owned(),
            sessions: Vec::new(),
        }
    }

    fn integration(&self) -> Integration {
        Integration {
            id: self.integration.clone(),
            name: "Shop database".to_owned(),
            integration_type: "postgresql".to_owned(),
            category: "RESOURCES".to_owned(),
            connector_id: Some(ConnectorId::new("bench")),
            status: IntegrationStatus::Active,
            status_detail: None,
            config: serde_json::Map::new(),
            secret_store: None,
            connected_resource_types: None,
            custom_access_details: None,
            owner: None,
            owners_mapping: None,
            last_sync_at: Some(self.now),
            created_at: self.now,
            updated_at: self.now,
            version: 1,
        }
    }

    fn flow(&self, number: usize) -> AccessFlow {
        AccessFlow {
            id: FlowId::generate(self.now, self.rng()),
            name: format!("Flow {number}"),
            description: Some("Reading for a team".to_owned()),
            active: true,
            policy: FlowPolicy {
                trigger: FlowTrigger::SelfServe,
                requestors: ConditionSet {
                    logical_operator: LogicalOperator::Or,
                    conditions: vec![Condition {
                        source_integration_id: None,
                        attribute_type: "user".to_owned(),
                        match_operator: Some(MatchOperator::StartsWith),
                        values: Some(vec![format!("team-{number}")]),
                        pinned_ids: vec![None],
                    }],
                },
                request_for: None,
                request_for_others: false,
                access_targets: vec![FlowTarget::Integration(IntegrationTarget {
                    integration_id: self.integration.clone(),
                    resource_type: "postgresql-table".to_owned(),
                    permissions: vec!["READ_ONLY".to_owned()],
                    resources_scopes: None,
                })],
                approver_policy: None,
                escalation_policy: None,
                grant_duration_in_min: Some(60),
                timeframe: None,
                settings: FlowSettings {
                    justification_required: false,
                    require_approver_reason: false,
                    requestor_cannot_approve_himself: true,
                    require_mfa: false,
                    labels: vec!["bench".to_owned()],
                    max_extensions: 0,
                    extension_duration_in_min: 0,
                    require_justification_on_request_again: false,
                },
                legacy: LegacyPolicy::default(),
            },
            version: 1,
            created_at: self.now,
            updated_at: None,
        }
    }

    /// A request that has ended, with its one entitlement.
    fn request(
        &self,
        flow: &AccessFlow,
        user: &UserId,
        number: usize,
    ) -> (AccessRequest, RequestUnit) {
        let now = self.now;
        let request = AccessRequest {
            id: RequestId::generate(now, self.rng()),
            number: 0,
            requestor_id: user.clone(),
            grantee_id: user.clone(),
            asked_as_grantee: false,
            flow_id: flow.id.clone(),
            flow_version: flow.version,
            flow_policy: flow.policy.clone(),
            bundle_id: None,
            state: RequestState::Revoked,
            state_reason: None,
            justification: Some(format!("Ticket OPS-{number}")),
            duration_sec: Some(3600),
            duration_was_asked: true,
            custom_fields: BTreeMap::new(),
            digest: "d".repeat(64),
            escalations: Vec::new(),
            created_at: now,
            decided_at: Some(now),
            ends_at: Some(now),
            extending_to: None,
            extension_count: 0,
            granted_at: Some(now),
            grant_deadline: Some(now),
            ended_at: Some(now),
            revoke_requested_at: None,
            second_factor_at: None,
            version: 3,
        };
        let source = format!("table:shop/sales/table_{}", number % 500);
        let unit = RequestUnit {
            id: UnitId::generate(now, self.rng()),
            request_id: request.id.clone(),
            integration_id: self.integration.clone(),
            resource_id: ResourceId::derive(&self.integration, &source),
            resource_type: "postgresql-table".to_owned(),
            resource_source_id: source,
            resource_name: format!("table_{}", number % 500),
            resource_path: format!("shop/sales/table_{}", number % 500),
            resource_context: BTreeMap::new(),
            permission_id: PermissionId::derive(&self.integration, "postgresql-table", "READ_ONLY"),
            permission: "READ_ONLY".to_owned(),
            state: UnitState::Ended,
            error: None,
            session_id: None,
            ends_at: Some(now),
            extends_to: None,
        };
        (request, unit)
    }

    fn token(
        &self,
        key: &TokenKey,
        user: &UserId,
        scopes: &[TokenScope],
    ) -> Result<(Person, ApiToken)> {
        let id = TokenId::generate(self.now, self.rng());
        let made = generate_token(self.rng(), key, &id).context("a token")?;
        let token = ApiToken {
            id,
            user_id: user.clone(),
            name: "bench".to_owned(),
            secret_hash: made.hash,
            scopes: scopes.iter().copied().collect::<BTreeSet<_>>(),
            created_at: self.now,
            expires_at: None,
            revoked_at: None,
        };
        Ok((Person { token: made.token.expose_secret().to_owned() }, token))
    }
}
