//! The rival: handlers on the same database file with nothing around them.
//!
//! Each is a route, the statements that its answer needs, and JSON of the same members as
//! Latchkey's. No caller is asked for, nothing is checked, nothing is recorded.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Args;
use futures::{StreamExt as _, stream};
use latchkey_systems::{Program, free_port};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use super::data::Tenant;
use crate::http::Server;

/// How the process of the bare handlers is started.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The database file.
    #[arg(long)]
    database: PathBuf,
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
}

/// The running process.
pub(super) struct Bare {
    pub(super) server: Server,
    program: Program,
}

impl Bare {
    /// Starts it over the database of a tenant.
    pub(super) async fn start(tenant: &Tenant) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg("--database").arg(tenant.database());
        command.args(["--listen", &address.to_string()]);
        let mut program = Program::start(&mut command, &tenant.folder().join("bare.log"))?;
        let server = Server::new(address, ("authorization", "Bearer "))?;
        for _ in 0..500 {
            if server.is_ok("/ready").await {
                return Ok(Self { server, program });
            }
            if let Some(status) = program.ended()? {
                bail!("the bare handlers ended with {status}: {}", program.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the bare handlers are not ready: {}", program.log())
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<()> {
        self.program.stop()
    }
}

/// Serves the bare handlers until the process is ended.
pub(crate) async fn serve(options: Options) -> Result<()> {
    let connect = SqliteConnectOptions::new()
        .filename(&options.database)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new()
        .max_connections(8)
        .connect_with(connect)
        .await
        .context("cannot open the database")?;
    let app = Router::new()
        .route("/ready", get(async || "ready"))
        .route("/requests", get(requests))
        .route("/users", get(users))
        .route("/flows", get(flows))
        .route("/groups", post(create_group))
        .route("/all-users", get(all_users))
        .route("/all-requests", get(all_requests))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    axum::serve(listener, app).await.context("the bare handlers")
}

/// Any error is the benchmark's: it is shown and ends the run.
struct Failure(sqlx::Error);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (axum::http::StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    person: String,
    limit: i64,
}

fn time(micros: Option<i64>) -> Option<String> {
    let time = jiff::Timestamp::from_microsecond(micros?).ok()?;
    Some(time.to_string())
}

fn page(items: Vec<Value>, limit: i64) -> Json<Value> {
    let more = i64::try_from(items.len()).unwrap_or(0) > limit;
    let next = more.then(|| items.last().and_then(|item| item.get("id").cloned()));
    let items: Vec<Value> = items.into_iter().take(usize::try_from(limit).unwrap_or(0)).collect();
    Json(json!({ "items": items, "pagination": { "next_page_token": next } }))
}

async fn requests(
    State(pool): State<SqlitePool>,
    Query(page_of): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let rows = sqlx::query(
        "SELECT r.id, r.state, r.duration_sec, r.justification, r.created_at, r.ended_at, \
         r.custom_fields, r.requestor_id, r.grantee_id, u.resource_type, i.id AS integration, \
         i.name AS integration_name FROM requests r \
         JOIN request_units u ON u.request_id = r.id JOIN integrations i ON i.id = u.integration_id \
         WHERE r.requestor_id = $1 AND r.grantee_id = $1 ORDER BY r.created_at, r.id LIMIT $2",
    )
    .bind(&page_of.person)
    .bind(page_of.limit + 1)
    .fetch_all(&pool)
    .await?;
    let items = rows
        .iter()
        .map(|row| {
            let fields: String = row.get("custom_fields");
            json!({
                "id": row.get::<String, _>("id"),
                "status": row.get::<String, _>("state"),
                "duration_in_sec": row.get::<Option<i64>, _>("duration_sec"),
                "justification": row.get::<Option<String>, _>("justification"),
                "creation_date": time(row.get("created_at")),
                "revocation_date": time(row.get("ended_at")),
                "custom_fields": serde_json::from_str::<Value>(&fields).unwrap_or_default(),
                "access_groups": [{
                    "integration": {
                        "id": row.get::<String, _>("integration"),
                        "name": row.get::<String, _>("integration_name"),
                    },
                    "resource_types": [{
                        "id": row.get::<String, _>("resource_type"),
                        "label": row.get::<String, _>("resource_type"),
                    }],
                }],
                "requestor": { "id": row.get::<String, _>("requestor_id"), "source_id": "" },
                "grantee": { "id": row.get::<String, _>("grantee_id"), "source_id": "" },
                "bundle": null,
            })
        })
        .collect();
    Ok(page(items, page_of.limit))
}

async fn users(
    State(pool): State<SqlitePool>,
    Query(page_of): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let rows = sqlx::query(
        "SELECT u.id, u.email, u.email_aliases, u.first_name, u.last_name, u.status, \
         (SELECT group_concat(role) FROM user_roles r WHERE r.user_id = u.id) AS roles \
         FROM users u ORDER BY u.created_at, u.id LIMIT $1",
    )
    .bind(page_of.limit + 1)
    .fetch_all(&pool)
    .await?;
    let items = rows
        .iter()
        .map(|row| {
            let aliases: String = row.get("email_aliases");
            let roles: Option<String> = row.get("roles");
            let roles = roles.unwrap_or_default();
            json!({
                "id": row.get::<String, _>("id"),
                "email": row.get::<String, _>("email"),
                "email_aliases": serde_json::from_str::<Value>(&aliases).unwrap_or_default(),
                "first_name": row.get::<String, _>("first_name"),
                "last_name": row.get::<String, _>("last_name"),
                "active": row.get::<String, _>("status") == "active",
                "roles": roles.split(',').filter(|role| !role.is_empty()).collect::<Vec<_>>(),
                "source_integration_id": null,
                "source_integration_name": null,
                "attributes": null,
            })
        })
        .collect();
    Ok(page(items, page_of.limit))
}

async fn flows(
    State(pool): State<SqlitePool>,
    Query(page_of): Query<Page>,
) -> Result<Json<Value>, Failure> {
    let rows = sqlx::query(
        "SELECT id, name, description, active, policy, created_at, updated_at FROM access_flows \
         ORDER BY created_at, id LIMIT $1",
    )
    .bind(page_of.limit + 1)
    .fetch_all(&pool)
    .await?;
    let items = rows
        .iter()
        .map(|row| {
            let policy: String = row.get("policy");
            let mut item = json!({
                "id": row.get::<String, _>("id"),
                "name": row.get::<String, _>("name"),
                "description": row.get::<Option<String>, _>("description"),
                "active": row.get::<bool, _>("active"),
                "creation_date": time(row.get("created_at")),
                "update_date": time(row.get("updated_at")),
            });
            if let (Some(item), Ok(Value::Object(policy))) =
                (item.as_object_mut(), serde_json::from_str(&policy))
            {
                item.extend(policy);
            }
            item
        })
        .collect();
    Ok(page(items, page_of.limit))
}

#[derive(Debug, Deserialize)]
struct NewGroup {
    name: String,
}

async fn create_group(
    State(pool): State<SqlitePool>,
    Json(new): Json<NewGroup>,
) -> Result<Json<Value>, Failure> {
    let id = format!("bare-{}", new.name);
    sqlx::query(
        "INSERT INTO user_groups (id, name, name_lower, created_at) VALUES ($1, $2, $3, 0)",
    )
    .bind(&id)
    .bind(&new.name)
    .bind(new.name.to_lowercase())
    .execute(&pool)
    .await?;
    Ok(Json(json!({
        "id": id, "name": new.name,
        "source_id": null, "source_integration_id": null, "source_integration_name": null,
    })))
}

/// Rows as an array in an envelope, written as they are read.
fn streamed(pool: SqlitePool, sql: &'static str, item: fn(&SqliteRow) -> Value) -> Response {
    let body = stream::once(async { Bytes::from_static(b"{\"data\":[") })
        .chain(async_rows(pool, sql).ready_chunks(200).enumerate().map(move |(chunk, rows)| {
            let mut text = Vec::new();
            for (at, row) in rows.iter().flatten().enumerate() {
                if chunk > 0 || at > 0 {
                    text.push(b',');
                }
                let _ = serde_json::to_writer(&mut text, &item(row));
            }
            Bytes::from(text)
        }))
        .chain(stream::once(async { Bytes::from_static(b"]}") }))
        .map(Ok::<_, std::convert::Infallible>);
    ([("content-type", "application/json")], Body::from_stream(body)).into_response()
}

/// The rows of a statement, with a connection of their own.
fn async_rows(
    pool: SqlitePool,
    sql: &'static str,
) -> impl futures::Stream<Item = Result<SqliteRow, sqlx::Error>> + Send {
    let (send, receive) = futures::channel::mpsc::channel(256);
    tokio::spawn(async move {
        let mut rows = sqlx::query(sql).fetch(&pool);
        let mut send = send;
        while let Some(row) = rows.next().await {
            if futures::SinkExt::send(&mut send, row).await.is_err() {
                break;
            }
        }
    });
    receive
}

async fn all_users(State(pool): State<SqlitePool>) -> Response {
    streamed(
        pool,
        "SELECT id, email, first_name, last_name, status FROM users ORDER BY created_at, id",
        |row| {
            json!({
                "id": row.get::<String, _>("id"),
                "email": row.get::<String, _>("email"),
                "first_name": row.get::<String, _>("first_name"),
                "last_name": row.get::<String, _>("last_name"),
                "active": row.get::<String, _>("status") == "active",
            })
        },
    )
}

async fn all_requests(State(pool): State<SqlitePool>) -> Response {
    streamed(
        pool,
        "SELECT r.id, r.number, r.grantee_id, r.state, r.justification, u.integration_id, \
         u.resource_id, u.permission FROM requests r JOIN request_units u ON u.request_id = r.id \
         ORDER BY r.created_at, r.id",
        |row| {
            json!({
                "request_id": row.get::<String, _>("id"),
                "friendly_request_id": row.get::<i64, _>("number").to_string(),
                "user_id": row.get::<String, _>("grantee_id"),
                "status": row.get::<String, _>("state"),
                "integration_id": row.get::<String, _>("integration_id"),
                "resource_ids": [row.get::<String, _>("resource_id")],
                "permissions": [row.get::<String, _>("permission")],
                "justification": row.get::<Option<String>, _>("justification"),
            })
        },
    )
}
