//! Creating and replacing integrations, and asking for a discovery run.

use latchkey_catalog::{IntegrationType, find_type, validate_config};
use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::{Integration, IntegrationStatus},
};
use latchkey_store::{NewTask, SecretValues, TaskKind, Tx};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Format, IntegrationCommand, IntegrationView, owners, secret, view};
use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    config::LOCAL_CONNECTOR,
    error::{AppError, FieldError},
    texts, trail,
};

/// Longest `custom_access_details`, in characters.
const MAX_CUSTOM_DETAILS: usize = 400;

/// Configuration that stays as it is while somebody has access: the rights that were given hang
/// on the role that gave them, and the locks that order all work on the database they are in. On
/// another server nothing would be found, and access that goes on would be called gone.
const FIXED_WHILE_CLAIMED: &[&str] = &["role", "dbname", "hostname", "port", "replicas"];

/// Creates an integration; a discovery run begins at once.
pub async fn create_integration(
    app: &App,
    actor: &Actor,
    integration_type: &str,
    command: IntegrationCommand,
) -> Result<IntegrationView, AppError> {
    actor.require(Operation::ManageIntegrations)?;
    app.store().write(async |tx| create(tx, app, actor, integration_type, command).await).await
}

/// Creates an integration. The caller has asked whether the actor may manage integrations.
pub(crate) async fn create(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    integration_type: &str,
    command: IntegrationCommand,
) -> Result<IntegrationView, AppError> {
    if command.owner.is_some() || command.owners_mapping.is_some() {
        actor.require(Operation::SetIntegrationOwner)?;
    }
    let kind = find_type(integration_type).ok_or_else(|| {
        let known: Vec<&str> = latchkey_catalog::TYPES.iter().map(|known| known.name).collect();
        AppError::invalid("type", format!("is not known; use one of {}", known.join(", ")))
    })?;
    check(kind, &command)?;
    let secret = secret::read(kind, &command, &SecretValues::new())?;
    let connector_id = match &command.connector_id {
        Some(id) => find_connector(app, tx, id).await?,
        None => return Err(AppError::invalid("connector_id", "is needed")),
    };
    name_is_free(tx, &command.name, None).await?;
    let (owner, owners_mapping) = owners::resolve(tx, &command).await?;
    let now = tx.now();
    let integration = Integration {
        id: IntegrationId::generate(now, app.rng()),
        name: command.name,
        integration_type: kind.name.to_owned(),
        category: kind.category.to_owned(),
        connector_id: Some(connector_id),
        status: IntegrationStatus::Initializing,
        status_detail: None,
        config: command.config,
        secret_store: secret.store,
        connected_resource_types: command.connected_resource_types,
        custom_access_details: command.custom_access_details,
        owner,
        owners_mapping,
        last_sync_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    tx.insert_integration(&integration).await?;
    if let Some(values) = &secret.values {
        tx.put_integration_secret(&integration.id, values).await?;
    }
    queue_discovery(tx, &integration).await?;
    let detail = json!({
        "name": integration.name,
        "type": integration.integration_type,
        "connector_id": integration.connector_id,
    });
    let id = integration.id.as_str();
    trail::record(tx, &actor.audit(), "integration.created", "integration", id, detail).await?;
    Ok(view(tx, integration).await?)
}

/// Replaces everything about an integration but its type, as far as the command's format can say
/// it; a discovery run begins at once.
pub async fn update_integration(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
    command: IntegrationCommand,
) -> Result<IntegrationView, AppError> {
    actor.require(Operation::ManageIntegrations)?;
    app.store()
        .write(async |tx| {
            let replacement = Replacement::read(tx, app, actor, id, command).await?;
            replacement.store(tx, actor).await
        })
        .await
}

/// Replaces an integration where a command says something else than it, and tells whether the
/// secret was among that; `None` where it does not. The caller has asked whether the actor may
/// manage integrations.
pub(crate) async fn replace_if_different(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
    command: IntegrationCommand,
) -> Result<Option<(IntegrationView, bool)>, AppError> {
    let replacement = Replacement::read(tx, app, actor, id, command).await?;
    let new_secret = replacement.has_new_secret();
    if !new_secret && changes(&replacement.before, &replacement.after).is_empty() {
        return Ok(None);
    }
    Ok(Some((replacement.store(tx, actor).await?, new_secret)))
}

/// An integration and what is to be stored in its place, checked. Its row is locked.
struct Replacement {
    before: Integration,
    after: Integration,
    /// What the server keeps of the secret now.
    stored: SecretValues,
    /// What it is to keep; `None` if nothing.
    values: Option<SecretValues>,
}

impl Replacement {
    async fn read(
        tx: &mut Tx,
        app: &App,
        actor: &Actor,
        id: &IntegrationId,
        command: IntegrationCommand,
    ) -> Result<Self, AppError> {
        tx.lock_integration(id).await?;
        let before = tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
        let kind = find_type(&before.integration_type)
            .ok_or_else(|| AppError::conflict("this server lacks the integration's type"))?;
        let command = command.completed(&before);
        check(kind, &command)?;
        let stored = tx.find_integration_secret(id).await?.unwrap_or_default();
        let secret = secret::read(kind, &command, &stored)?;
        let connector_id = match &command.connector_id {
            Some(wanted)
                if before.connector_id.as_ref().map(ConnectorId::as_str) != Some(wanted) =>
            {
                actor.require(Operation::MoveIntegration)?;
                Some(find_connector(app, tx, wanted).await?)
            }
            _ => before.connector_id.clone(),
        };
        secret::demand_again(kind, &command, &before, connector_id != before.connector_id)?;
        let (owner, owners_mapping) = match command.format {
            Format::Whole | Format::Document => owners::resolve(tx, &command).await?,
            Format::Older => (before.owner.clone(), before.owners_mapping.clone()),
        };
        if owner != before.owner || owners_mapping != before.owners_mapping {
            actor.require(Operation::SetIntegrationOwner)?;
        }
        name_is_free(tx, &command.name, Some(id)).await?;
        keep_what_claims_hang_on(tx, &before, &command).await?;
        let after = Integration {
            name: command.name,
            connector_id,
            config: command.config,
            secret_store: secret.store,
            connected_resource_types: command.connected_resource_types,
            custom_access_details: command.custom_access_details,
            owner,
            owners_mapping,
            updated_at: tx.now(),
            ..before.clone()
        };
        Ok(Self { before, after, stored, values: secret.values })
    }

    fn has_new_secret(&self) -> bool {
        let Some(values) = &self.values else { return false };
        let is_stored = |(key, value): (&String, &SecretString)| {
            self.stored
                .get(key)
                .is_some_and(|stored| stored.expose_secret() == value.expose_secret())
        };
        values.len() != self.stored.len() || !values.iter().all(is_stored)
    }

    async fn store(self, tx: &mut Tx, actor: &Actor) -> Result<IntegrationView, AppError> {
        let Self { before, after: mut integration, values, .. } = self;
        let id = &before.id;
        tx.update_integration(&mut integration).await?;
        match &values {
            Some(values) => tx.put_integration_secret(id, values).await?,
            None => {
                tx.delete_integration_secret(id).await?;
            }
        }
        if let Some(connector_id) = &integration.connector_id
            && integration.connector_id != before.connector_id
        {
            tx.requeue_tasks_of_integration(id, connector_id).await?;
        }
        let detail = json!({
            "name": integration.name,
            "connector_id": integration.connector_id,
            "changed": changes(&before, &integration),
            "secret_sent": values.is_some(),
        });
        let audit = actor.audit();
        trail::record(tx, &audit, "integration.updated", "integration", id.as_str(), detail)
            .await?;
        if integration.status != IntegrationStatus::Disabled {
            restart_discovery(tx, &mut integration).await?;
        }
        Ok(view(tx, integration).await?)
    }
}

/// Begins a discovery run. 409 while the integration is disabled, or has nobody to do it.
pub async fn refresh_integration(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
) -> Result<IntegrationView, AppError> {
    actor.require(Operation::RefreshIntegration)?;
    app.store()
        .write(async |tx| {
            let mut integration = tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
            if integration.status == IntegrationStatus::Disabled {
                return Err(AppError::conflict("the integration is disabled"));
            }
            if integration.connector_id.is_none() {
                return Err(AppError::conflict("the integration has no connector; give it one"));
            }
            restart_discovery(tx, &mut integration).await?;
            let audit = actor.audit();
            let id = id.as_str();
            trail::record(tx, &audit, "integration.refreshed", "integration", id, json!({}))
                .await?;
            Ok(view(tx, integration).await?)
        })
        .await
}

fn check(kind: &IntegrationType, command: &IntegrationCommand) -> Result<(), AppError> {
    let mut errors: Vec<FieldError> = Vec::new();
    errors.extend(texts::check_name("name", &command.name).err());
    errors.extend(
        validate_config(kind, &command.config, command.connected_resource_types.as_deref())
            .into_iter()
            .map(|error| FieldError::new(error.field, error.message)),
    );
    // A password among the configuration would be shown to everybody who may read it.
    for key in kind.secret_keys.iter().map(|secret| secret.key) {
        if command.config.contains_key(key) {
            errors.push(FieldError::new(
                format!("integration_config.{key}"),
                "belongs to the secret; put it into the secret store",
            ));
        }
    }
    if let Some(text) = &command.custom_access_details {
        if text.chars().count() > MAX_CUSTOM_DETAILS {
            errors.push(FieldError::new(
                "custom_access_details",
                format!("has more than {MAX_CUSTOM_DETAILS} characters"),
            ));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            errors.push(FieldError::new(
                "custom_access_details",
                "must not contain control characters",
            ));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}

async fn find_connector(app: &App, tx: &mut Tx, id: &str) -> Result<ConnectorId, AppError> {
    let id = ConnectorId::new(id);
    let runs_here = id.as_str() != LOCAL_CONNECTOR
        || app.config().local_connector
        || !app.store().is_postgres();
    if !runs_here {
        return Err(AppError::invalid(
            "connector_id",
            "`local` does not run beside a PostgreSQL database; start the server with \
             --local-connector, or name a connector of its own",
        ));
    }
    if tx.find_connector(&id).await?.is_none() {
        return Err(AppError::invalid(
            "connector_id",
            "is the id of no connector; make one with `latchkey admin connector-token create`",
        ));
    }
    Ok(id)
}

async fn name_is_free(
    tx: &mut Tx,
    name: &str,
    except: Option<&IntegrationId>,
) -> Result<(), AppError> {
    let owner = tx.find_integration_by_name(name).await?;
    texts::name_is_free("integration", name, owner.as_ref().map(|other| &other.id), except)
}

async fn keep_what_claims_hang_on(
    tx: &mut Tx,
    before: &Integration,
    command: &IntegrationCommand,
) -> Result<(), AppError> {
    let changed: Vec<&str> = FIXED_WHILE_CLAIMED
        .iter()
        .copied()
        .filter(|key| text_of(&before.config, key) != text_of(&command.config, key))
        .collect();
    if changed.is_empty() || tx.live_claims_of_integration(&before.id).await? == 0 {
        return Ok(());
    }
    Err(AppError::conflict(format!(
        "{} cannot change while somebody has access through this integration; end that access \
         first",
        changed.join(", ")
    )))
}

/// A configured text; absent, null and empty are alike.
fn text_of<'a>(config: &'a serde_json::Map<String, Value>, key: &str) -> &'a str {
    config.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The members that differ, by name; their values may be nobody's business.
fn changes(before: &Integration, after: &Integration) -> Vec<String> {
    let mut names = Vec::new();
    let mut note = |name: &str, differs: bool| {
        if differs {
            names.push(name.to_owned());
        }
    };
    note("name", before.name != after.name);
    note("connector_id", before.connector_id != after.connector_id);
    note("secret_store_config", before.secret_store != after.secret_store);
    note(
        "connected_resource_types",
        before.connected_resource_types != after.connected_resource_types,
    );
    note("custom_access_details", before.custom_access_details != after.custom_access_details);
    note("owner", before.owner != after.owner);
    note("owners_mapping", before.owners_mapping != after.owners_mapping);
    let keys: std::collections::BTreeSet<&String> =
        before.config.keys().chain(after.config.keys()).collect();
    for key in keys {
        note(&format!("integration_config.{key}"), before.config.get(key) != after.config.get(key));
    }
    names
}

/// Sets the status of an integration that is discovered again, and queues the run.
async fn restart_discovery(tx: &mut Tx, integration: &mut Integration) -> Result<(), AppError> {
    // Until its first run has ended, well or badly, it is being initialized.
    if integration.status != IntegrationStatus::Initializing {
        integration.status = IntegrationStatus::Refreshing;
    }
    integration.status_detail = None;
    tx.set_integration_status(&integration.id, integration.status, None, None).await?;
    queue_discovery(tx, integration).await
}

async fn queue_discovery(tx: &mut Tx, integration: &Integration) -> Result<(), AppError> {
    let Some(connector_id) = integration.connector_id.clone() else { return Ok(()) };
    tx.enqueue_task(&NewTask {
        integration_id: integration.id.clone(),
        connector_id,
        kind: TaskKind::Discover,
        session_id: None,
        due: tx.now(),
        priority: 20,
    })
    .await?;
    Ok(())
}
