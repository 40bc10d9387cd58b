//! The same questions to PostgreSQL with every index that helps: what one would build without an
//! index of one's own.

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::Bytes;
use futures::SinkExt as _;
use latchkey_aql::{Condition, Expr, FieldName, Operator, Query, parse};
use latchkey_domain::{
    Clock,
    flow::{AccessFlow, FlowTarget},
    inventory::Resource,
};
use latchkey_inventory::Index;
use latchkey_systems::Postgres;
use serde_json::json;
use tokio_postgres::{Client, NoTls, Statement};

use super::{
    data,
    decisions::Question,
    index::{CONDITIONS, INTEGRATIONS, Measured, QUERY},
    timings::Timings,
};

pub(crate) const SIDE: &str = "PostgreSQL";
/// No statement is waited for longer: what takes so long is counted as if it took just this.
const PATIENCE_MS: u64 = 5_000;

const TABLES: &str = "
CREATE TABLE resources (
    id text PRIMARY KEY, integration text NOT NULL, kind text NOT NULL, name text NOT NULL,
    path text NOT NULL, risk text, tags jsonb NOT NULL, created_at bigint NOT NULL
);
CREATE TABLE permissions (integration text, kind text, name text);
CREATE TABLE targets (
    flow bigint NOT NULL, integration text NOT NULL, kind text NOT NULL,
    permissions text[] NOT NULL, key text, tag_values text[]
);
CREATE TABLE requestors (flow bigint NOT NULL, grp text NOT NULL);
";

const INDEXES: &str = "
CREATE INDEX ON resources (integration, created_at, id);
CREATE INDEX ON resources (kind);
CREATE INDEX ON resources (name text_pattern_ops);
CREATE INDEX ON resources (path text_pattern_ops);
CREATE INDEX ON resources USING gin (tags jsonb_path_ops);
CREATE INDEX ON targets (integration, kind);
CREATE INDEX ON targets (flow);
CREATE INDEX ON requestors (grp, flow);
CREATE INDEX ON requestors (flow, grp);
ANALYZE;
";

/// Indexes over parts of texts, where the server has the module.
const TRIGRAMS: &str = "
CREATE EXTENSION pg_trgm;
CREATE INDEX ON resources USING gin (name gin_trgm_ops);
CREATE INDEX ON resources USING gin (path gin_trgm_ops);
";

/// May this person ask for this entitlement.
const DECIDE: &str = "SELECT EXISTS (SELECT 1 FROM resources r \
    JOIN targets t ON t.integration = r.integration AND t.kind = r.kind \
    AND (t.key IS NULL OR r.tags ->> t.key = ANY (t.tag_values)) \
    JOIN requestors q ON q.flow = t.flow \
    WHERE r.id = $1 AND $2 = ANY (t.permissions) AND q.grp = ANY ($3))";

/// A database with the inventory in it.
pub(crate) struct Sql {
    client: Client,
    decide: Statement,
    /// Read from the server.
    pub(crate) settings: String,
}

impl Sql {
    /// Fills a new database with this many resources.
    pub(crate) async fn fill(server: &Postgres, resources: u64) -> Result<Self> {
        let database = format!("inventory_{resources}");
        server.sql("postgres", &format!("CREATE DATABASE {database}"))?;
        let (client, connection) = tokio_postgres::connect(&server.url(&database), NoTls).await?;
        // Ends with the client.
        tokio::spawn(connection);
        fill(&client, resources).await?;
        client.batch_execute(INDEXES).await?;
        let trigrams = client.batch_execute(TRIGRAMS).await.is_ok();
        if !trigrams {
            println!(
                "PostgreSQL has no pg_trgm here: parts of texts are searched without an index"
            );
        }
        client.batch_execute("VACUUM ANALYZE").await?;
        client.batch_execute(&format!("SET statement_timeout = {PATIENCE_MS}")).await?;
        let decide = client.prepare(DECIDE).await?;
        let shown = client
            .query_one(
                "SELECT format('PostgreSQL %s, fsync %s, shared_buffers %s, work_mem %s', \
                 current_setting('server_version'), current_setting('fsync'), \
                 current_setting('shared_buffers'), current_setting('work_mem'))",
                &[],
            )
            .await?;
        let settings = format!("{}, pg_trgm {trigrams}", shown.get::<_, String>(0));
        Ok(Self { client, decide, settings })
    }

    /// Measures queries, and holds the index to what the database counts.
    pub(crate) async fn queries(
        &self,
        clock: &dyn Clock,
        index: &Index,
        resources: u64,
        repetitions: u64,
        measured: &mut Measured,
    ) -> Result<()> {
        let snapshot = index.snapshot();
        let mut compared = 0;
        for conditions in CONDITIONS {
            let mut timings = Timings::new(format!("{QUERY} {conditions}"), SIDE, resources, 0, 0);
            for number in 0..repetitions {
                let (query, statements) = asked(number, conditions)?;
                let (took, count) = timed(clock, &self.client, &statements).await?;
                timings.add(took);
                if let Some(count) = count {
                    let own = snapshot.select(&query).count();
                    ensure!(own == count, "{query}: the index counts {own}, PostgreSQL {count}");
                    compared += 1;
                }
            }
            measured.timings.push(timings.done());
        }
        println!("  {compared} queries select as much by the index as by PostgreSQL");
        Ok(())
    }

    /// Puts other flows in place.
    pub(crate) async fn set_flows(&self, flows: &[AccessFlow]) -> Result<()> {
        self.client.batch_execute("TRUNCATE targets, requestors").await?;
        fill_flows(&self.client, flows).await?;
        self.client.batch_execute("ANALYZE targets; ANALYZE requestors").await?;
        Ok(())
    }

    /// May this person ask for this entitlement.
    pub(crate) async fn decide(&self, question: &Question) -> Result<bool> {
        let Question { person, resource, permission, .. } = question;
        let groups: Vec<&str> = person.groups.iter().map(|group| group.id.as_str()).collect();
        let id = resource.id.as_str();
        let row = self.client.query_one(&self.decide, &[&id, permission, &groups]).await?;
        Ok(row.get(0))
    }
}

/// A field of COPY's text form.
fn field(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

fn array(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("{{{}}}", quoted.join(","))
}

async fn copy(client: &Client, table: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    let sink = client.copy_in(&format!("COPY {table} FROM STDIN")).await?;
    let mut sink = std::pin::pin!(sink);
    let mut page = String::new();
    for line in lines {
        page.push_str(&line);
        page.push('\n');
        if page.len() > 1 << 20 {
            sink.send(Bytes::from(std::mem::take(&mut page))).await?;
        }
    }
    sink.send(Bytes::from(page)).await?;
    sink.finish().await?;
    Ok(())
}

async fn fill(client: &Client, resources: u64) -> Result<()> {
    client.batch_execute(TABLES).await?;
    let each = resources / INTEGRATIONS;
    let line = |number: u64| {
        let Resource {
            id, integration_id, resource_type, name, path, tags, risk, created_at, ..
        } = data::resource(&data::integration(number / each), number);
        let risk = if risk.is_some() { "high" } else { "\\N" };
        let tags = field(&json!(tags).to_string());
        let seen = created_at.as_second();
        format!("{id}\t{integration_id}\t{resource_type}\t{name}\t{path}\t{risk}\t{tags}\t{seen}")
    };
    copy(client, "resources", (0..resources).map(line)).await?;
    let permissions =
        (0..INTEGRATIONS).flat_map(|number| data::permissions(&data::integration(number)));
    let line = |one: latchkey_domain::inventory::Permission| {
        format!("{}\t{}\t{}", one.integration_id, one.resource_type, one.name)
    };
    copy(client, "permissions", permissions.map(line)).await?;
    Ok(())
}

async fn fill_flows(client: &Client, flows: &[AccessFlow]) -> Result<()> {
    let numbered = || (0u64..).zip(flows);
    let targets = numbered().flat_map(|(number, flow)| {
        flow.policy.access_targets.iter().filter_map(move |target| {
            let FlowTarget::Integration(target) = target else { return None };
            let scope = target.resources_scopes.as_deref().and_then(<[_]>::first);
            let (key, values) = match scope {
                None => ("\\N".to_owned(), "\\N".to_owned()),
                Some(scope) => (scope.key.clone()?, array(&scope.values)),
            };
            let permissions = array(&target.permissions);
            let (integration, kind) = (&target.integration_id, &target.resource_type);
            Some(format!("{number}\t{integration}\t{kind}\t{permissions}\t{key}\t{values}"))
        })
    });
    copy(client, "targets", targets).await?;
    let requestors = numbered().flat_map(|(number, flow)| {
        let named = flow.policy.requestors.conditions.iter().flat_map(|one| &one.pinned_ids);
        named.flatten().map(move |group| format!("{number}\t{group}")).collect::<Vec<_>>()
    });
    copy(client, "requestors", requestors).await
}

/// How long the count and the page take, or [`PATIENCE_MS`]; and the count, if it was waited for.
async fn timed(
    clock: &dyn Clock,
    client: &Client,
    statements: &Statements,
) -> Result<(Duration, Option<u64>)> {
    let began = clock.monotonic();
    let mut counted = None;
    for statement in [&statements.count, &statements.page] {
        match client.query(statement.as_str(), &[]).await {
            Ok(rows) if counted.is_none() => {
                let count: i64 = rows.first().map_or(0, |row| row.get(0));
                counted = Some(u64::try_from(count)?);
            }
            Ok(_) => {}
            Err(error)
                if error.code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED) =>
            {
                return Ok((Duration::from_millis(PATIENCE_MS), counted));
            }
            Err(error) => bail!("{statement}: {error:?}"),
        }
    }
    Ok((clock.monotonic().saturating_sub(began), counted))
}

/// What stands for a query.
struct Statements {
    count: String,
    page: String,
}

fn asked(number: u64, conditions: u64) -> Result<(Query, Statements)> {
    let text = data::query(number, conditions);
    let query = parse(&text).map_err(|faults| anyhow!("{text}: {faults:?}"))?;
    let place = format!(
        "FROM resources r JOIN permissions p ON p.integration = r.integration AND p.kind = r.kind \
         WHERE {}",
        sql(&query.expr)?
    );
    let count = format!("SELECT count(*) {place}");
    let page = format!(
        "SELECT r.*, p.name {place} ORDER BY r.integration, r.created_at, r.id, p.name LIMIT 50"
    );
    Ok((query, Statements { count, page }))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sql(expr: &Expr) -> Result<String> {
    let joined = |parts: &[Expr], word: &str| -> Result<String> {
        let parts: Result<Vec<String>> = parts.iter().map(sql).collect();
        Ok(format!("({})", parts?.join(word)))
    };
    match expr {
        Expr::And(parts) => joined(parts, " AND "),
        Expr::Or(parts) => joined(parts, " OR "),
        Expr::Not(inner) => Ok(format!("NOT coalesce({}, false)", sql(inner)?)),
        Expr::Condition(condition) => condition_sql(condition),
    }
}

fn condition_sql(condition: &Condition) -> Result<String> {
    let column = match condition.field.name {
        FieldName::ResourceTag => {
            let key = condition.field.key.as_deref().unwrap_or_default();
            let alternatives: Vec<String> = condition
                .values
                .iter()
                .map(|value| format!("r.tags @> {}", quoted(&json!({ key: value }).to_string())))
                .collect();
            return Ok(format!("({})", alternatives.join(" OR ")));
        }
        FieldName::ResourceName => "r.name",
        FieldName::ResourcePath => "r.path",
        FieldName::ResourceType => "r.kind",
        FieldName::ResourceRiskLevel => "r.risk",
        FieldName::PermissionName => "p.name",
        FieldName::Integration => "r.integration",
        other => bail!("no column stands for {}", other.as_str()),
    };
    let first = condition.values.first().map_or("", String::as_str);
    let pattern = first.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Ok(match condition.operator {
        Operator::Contains => format!("{column} LIKE {}", quoted(&format!("%{pattern}%"))),
        Operator::StartsWith => format!("{column} LIKE {}", quoted(&format!("{pattern}%"))),
        Operator::EndsWith => format!("{column} LIKE {}", quoted(&format!("%{pattern}"))),
        Operator::Equals | Operator::In => {
            let values: Vec<String> = condition.values.iter().map(|value| quoted(value)).collect();
            format!("{column} IN ({})", values.join(", "))
        }
        other => bail!("the queries measured do not use {}", other.as_str()),
    })
}
