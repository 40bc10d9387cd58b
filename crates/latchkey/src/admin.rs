//! `latchkey admin …`: work on the database directly, whether a server runs or not.
//!
//! Every command makes folder, key and schema when they are not there, goes through the same use
//! cases as the API, has its audit records linked before it ends, and prints exactly one JSON
//! object as the last line of standard output.

use std::{collections::BTreeSet, process::ExitCode};

use latchkey_app::{
    Actor, App, AppError, PageRequest,
    groups::CreateGroup,
    tokens::{CreateToken, CreatedToken},
    users::CreateUser,
};
use latchkey_domain::{
    ids::{GroupId, IntegrationId},
    people::{Role, TokenScope},
};
use latchkey_store::TextMatch;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::{
    answer,
    cli::{
        AdminCommand, BootstrapArgs, ConnectorTokenCommand, GroupCommand, IntegrationCommand,
        ReconcileArgs, RoleArgs, RoleCommand, SettingsCommand, StoreArgs, TokenArgs, TokenCommand,
        UserArgs, UserCommand,
    },
    fault::Fault,
    installation,
    surroundings::Surroundings,
    telemetry,
};

/// Runs `latchkey admin …`.
pub(crate) async fn run(
    command: AdminCommand,
    surroundings: Surroundings,
) -> Result<ExitCode, Fault> {
    let at = &surroundings;
    match command {
        AdminCommand::Bootstrap(args) => {
            on(&args.store, at, async |app| bootstrap(app, &args).await).await
        }
        AdminCommand::User(UserCommand::Create(args)) => {
            on(&args.store, at, async |app| create_user(app, &args).await).await
        }
        AdminCommand::User(UserCommand::Disable(args)) => {
            on(&args.store, at, async |app| {
                let user = latchkey_app::users::disable_user(app, &actor(), &args.email).await?;
                Ok(json!({ "user_id": user.id }))
            })
            .await
        }
        AdminCommand::User(UserCommand::ResetSecondFactor(args)) => {
            on(&args.store, at, async |app| {
                let user =
                    latchkey_app::second_factor::reset_second_factor(app, &actor(), &args.email)
                        .await?;
                Ok(json!({ "user_id": user.id }))
            })
            .await
        }
        AdminCommand::SignInLink(args) => {
            on(&args.store, at, async |app| sign_in_link(app, &args).await).await
        }
        AdminCommand::Group(command) => group(command, at).await,
        AdminCommand::Role(RoleCommand::Grant(args)) => {
            on(&args.store, at, async |app| change_role(app, &args, true).await).await
        }
        AdminCommand::Role(RoleCommand::Revoke(args)) => {
            on(&args.store, at, async |app| change_role(app, &args, false).await).await
        }
        AdminCommand::Token(TokenCommand::Create(args)) => {
            on(&args.store, at, async |app| create_token(app, &args).await).await
        }
        AdminCommand::Settings(command) => settings(command, at).await,
        AdminCommand::Webhook(args) => {
            on(&args.store, at, async |app| {
                let found = match &args.url {
                    None => latchkey_app::notifications::webhook(app, &actor()).await?,
                    Some(url) => latchkey_app::notifications::webhook_secret(app, &actor(), url)?,
                };
                Ok(json!({ "url": found.url, "secret": found.exposed_secret() }))
            })
            .await
        }
        AdminCommand::Integration(IntegrationCommand::Retire(args)) => {
            on(&args.store, at, async |app| {
                let id = IntegrationId::new(args.id.as_str());
                let because = args.because.as_str();
                let retired =
                    latchkey_app::integrations::retire_integration(app, &actor(), &id, because)
                        .await?;
                Ok(json!({
                    "integration_id": retired.id,
                    "claims_not_proven": retired.claims_not_proven,
                    "requests_ended": retired.requests_ended,
                }))
            })
            .await
        }
        AdminCommand::ConnectorToken(ConnectorTokenCommand::Create(args)) => {
            on(&args.store, at, async |app| {
                let made =
                    latchkey_app::connectors::create_connector_token(app, &actor(), &args.id)
                        .await?;
                Ok(json!({
                    "connector_id": made.connector_id,
                    "token": made.token.expose_secret(),
                }))
            })
            .await
        }
        AdminCommand::Reconcile(args) => reconcile(args, at).await,
    }
}

fn actor() -> Actor {
    Actor::command_line()
}

/// Opens the installation, runs `work`, has its audit records linked, and prints its answer.
async fn on(
    args: &StoreArgs,
    surroundings: &Surroundings,
    work: impl AsyncFnOnce(&App) -> Result<Value, AppError>,
) -> Result<ExitCode, Fault> {
    let value = directly(args, surroundings, work).await?;
    answer::object(&value)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the installation, runs `work`, and has its audit records linked.
pub(crate) async fn directly<T>(
    args: &StoreArgs,
    surroundings: &Surroundings,
    work: impl AsyncFnOnce(&App) -> Result<T, AppError>,
) -> Result<T, Fault> {
    let settled = installation::settle(args)?;
    telemetry::start_quiet(&settled)?;
    let store = installation::store(&settled, surroundings).await?;
    let owner = format!("admin-{:016x}", u64::from_be_bytes(surroundings.rng.bytes()));
    let app = installation::app(store, &settled.config, surroundings, owner.clone());
    let worked = work(&app).await.map_err(|error| say(&error));
    // Also after a refusal: it may be on record too.
    let linked = latchkey_app::audit::settle(&app).await.map_err(|error| say(&error));
    let value = worked?;
    linked?;
    Ok(value)
}

/// The error of a use case as one sentence, fields included.
pub(crate) fn say(error: &AppError) -> Fault {
    let fields: Vec<String> =
        error.errors.iter().map(|e| format!("{} {}", e.field, e.message)).collect();
    if fields.is_empty() {
        return Fault::new(error.message.clone());
    }
    Fault::new(fields.join("; "))
}

fn person(args: &BootstrapArgs) -> CreateUser {
    CreateUser {
        email: args.email.clone(),
        email_aliases: Vec::new(),
        first_name: args.first_name.clone(),
        last_name: args.last_name.clone(),
    }
}

fn shown(made: &CreatedToken) -> Value {
    json!({
        "user_id": made.user_id,
        "token": made.token.expose_secret(),
        "expires_at": made.expires_at,
    })
}

async fn bootstrap(app: &App, args: &BootstrapArgs) -> Result<Value, AppError> {
    let made = latchkey_app::bootstrap::bootstrap(app, person(args)).await?;
    Ok(shown(&made))
}

async fn create_user(app: &App, args: &BootstrapArgs) -> Result<Value, AppError> {
    let user = latchkey_app::users::create_user(app, &actor(), person(args)).await?;
    Ok(json!({ "user_id": user.id }))
}

async fn sign_in_link(app: &App, args: &UserArgs) -> Result<Value, AppError> {
    let made = latchkey_app::sign_in::create_sign_in_link(app, &actor(), &args.email).await?;
    Ok(json!({
        "user_id": made.user_id,
        "url_path": format!("/sign-in/link/{}", made.token.expose_secret()),
        "expires_at": made.expires_at,
    }))
}

async fn change_role(app: &App, args: &RoleArgs, grant: bool) -> Result<Value, AppError> {
    let role: Role = args.role.parse().map_err(unknown("role"))?;
    let user = if grant {
        latchkey_app::roles::grant_role(app, &actor(), &args.email, role).await?
    } else {
        latchkey_app::roles::revoke_role(app, &actor(), &args.email, role).await?
    };
    let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
    Ok(json!({ "user_id": user.id, "roles": roles }))
}

async fn create_token(app: &App, args: &TokenArgs) -> Result<Value, AppError> {
    let mut scopes = BTreeSet::new();
    for word in args.scopes.iter().flat_map(|words| words.split([' ', ','])) {
        if !word.is_empty() {
            scopes.insert(word.parse::<TokenScope>().map_err(unknown("scope"))?);
        }
    }
    let command = CreateToken {
        user: Some(args.email.clone()),
        name: args.name.clone().unwrap_or_default(),
        scopes,
        expires_in_sec: args.expires_in.map(|length| length.as_secs()),
    };
    let made = latchkey_app::tokens::create_token(app, &actor(), command).await?;
    Ok(shown(&made))
}

fn unknown<E: std::fmt::Display>(field: &'static str) -> impl Fn(E) -> AppError {
    move |error| AppError::invalid(field, error.to_string())
}

async fn group(command: GroupCommand, at: &Surroundings) -> Result<ExitCode, Fault> {
    match command {
        GroupCommand::Create(args) => {
            on(&args.store, at, async |app| {
                let command = CreateGroup { name: args.name.clone(), ..CreateGroup::default() };
                let view = latchkey_app::groups::create_group(app, &actor(), command).await?;
                Ok(json!({ "group_id": view.group.id }))
            })
            .await
        }
        GroupCommand::AddMember(args) => {
            on(&args.store, at, async |app| {
                let id = find_group(app, &args.group).await?;
                latchkey_app::groups::add_group_member(app, &actor(), &id, &args.email).await?;
                let view = latchkey_app::users::get_user(app, &actor(), &args.email).await?;
                Ok(json!({ "group_id": id, "user_id": view.user.id }))
            })
            .await
        }
        GroupCommand::AddGroup(args) => {
            on(&args.store, at, async |app| {
                let id = find_group(app, &args.group).await?;
                let child = find_group(app, &args.child).await?;
                latchkey_app::nested_groups::add_child_group(app, &actor(), &id, &child).await?;
                Ok(json!({ "group_id": id, "child_id": child }))
            })
            .await
        }
    }
}

/// The group with this name, or else with this id.
async fn find_group(app: &App, reference: &str) -> Result<GroupId, AppError> {
    let name = Some(TextMatch::Exact(reference.to_owned()));
    let found =
        latchkey_app::groups::list_groups(app, &actor(), name, &PageRequest::default()).await?;
    Ok(found.items.into_iter().next().map_or_else(|| GroupId::new(reference), |view| view.group.id))
}

async fn settings(command: SettingsCommand, at: &Surroundings) -> Result<ExitCode, Fault> {
    match command {
        SettingsCommand::Get(args) => {
            on(&args.store, at, async |app| {
                let views = match &args.key {
                    Some(key) => {
                        vec![latchkey_app::settings::get_setting(app, &actor(), key).await?]
                    }
                    None => latchkey_app::settings::list_settings(app, &actor()).await?,
                };
                let members: Map<String, Value> =
                    views.into_iter().map(|view| (view.spec.key.to_owned(), view.value)).collect();
                Ok(Value::Object(members))
            })
            .await
        }
        SettingsCommand::Set(args) => {
            on(&args.store, at, async |app| {
                // A plain word is text; nobody should have to quote quotes in a shell.
                let value = serde_json::from_str(&args.value)
                    .unwrap_or_else(|_| Value::String(args.value.clone()));
                let view =
                    latchkey_app::settings::set_setting(app, &actor(), &args.key, value).await?;
                Ok(json!({ view.spec.key: view.value }))
            })
            .await
        }
    }
}

async fn reconcile(args: ReconcileArgs, at: &Surroundings) -> Result<ExitCode, Fault> {
    if !args.confirm {
        return Err(Fault::new(
            "nothing was done: look at what reconcile runs found (`latchkey doctor`), then repeat \
             with --confirm to let them remove principals that nothing explains",
        ));
    }
    on(&args.store, at, async |app| {
        let started = latchkey_app::reconcile::confirm_reconcile(app, &actor()).await?;
        Ok(json!({ "confirmed": true, "runs_started": started }))
    })
    .await
}
