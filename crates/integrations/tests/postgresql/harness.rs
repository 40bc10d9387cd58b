//! Real PostgreSQL servers with the least-privilege provisioner that the shipped script makes.

use std::collections::BTreeMap;

use latchkey_domain::{
    Rng,
    ids::{InstallationId, IntegrationId, UnitId},
    provisioning::DesiredClaim,
};
use latchkey_integrations::{GeneratedCredentials, Integration, Target, postgresql::PostgreSql};
use latchkey_testkit::systems::{Postgres, PostgresVersion};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::contract::{Entitlement, Harness, Probe, work};

/// The script that people run.
const SCRIPT: &str = include_str!("../../../../docs/integrations/postgresql/provisioner.sql");

/// The login's password; the same in every test, because the cluster is shared.
const PASSWORD: &str = "test-password-of-the-connector";

/// Where a server is, and its superuser.
#[derive(Debug, Clone)]
pub struct Place {
    pub host: String,
    pub port: u16,
    superuser: String,
    password: String,
}

impl Place {
    pub fn of(server: &Postgres) -> Self {
        Self {
            host: server.host().into(),
            port: server.port(),
            superuser: server.superuser().into(),
            password: server.password().into(),
        }
    }
}

/// Databases of one test on a shared server.
pub struct PgHarness {
    server: Place,
    module: PostgreSql,
    target: Target,
    /// Where roles are managed; holds `public.orders` and `public.items`.
    pub main: String,
    /// Another database, with `public.invoices`.
    pub second: String,
    owner: String,
    /// The superuser, in the main database.
    pub admin: Client,
}

impl PgHarness {
    pub async fn start(version: PostgresVersion) -> Self {
        let find = move || Place::of(Postgres::shared(version).unwrap());
        Self::on(tokio::task::spawn_blocking(find).await.unwrap()).await
    }

    pub async fn on(server: Place) -> Self {
        let random = hex::encode(<dyn Rng>::bytes::<5>(work().rng.as_ref()));
        let (main, second) = (format!("lkt_{random}_a"), format!("lkt_{random}_b"));
        let owner = format!("lkt_{random}_owner");
        let maintenance = superuser(&server, "postgres").await;
        run(&maintenance, &format!("CREATE ROLE {owner}")).await;
        for database in [&main, &second] {
            run(&maintenance, &format!("CREATE DATABASE {database} OWNER {owner}")).await;
        }
        let admin = superuser(&server, &main).await;
        run(
            &admin,
            &format!(
                "SET ROLE {owner}; CREATE TABLE public.orders (id serial PRIMARY KEY, what text); \
                 CREATE TABLE public.items (id int); INSERT INTO public.orders(what) VALUES \
                 ('a'); RESET ROLE;"
            ),
        )
        .await;
        let other = superuser(&server, &second).await;
        run(
            &other,
            &format!("SET ROLE {owner}; CREATE TABLE public.invoices (id int); RESET ROLE;"),
        )
        .await;
        let config = BTreeMap::from([
            ("hostname".into(), server.host.clone()),
            ("port".into(), server.port.to_string()),
            ("dbname".into(), main.clone()),
            ("role".into(), "latchkey_provisioner".into()),
            ("databases".into(), format!("{main},{second}")),
        ]);
        let harness = Self {
            server,
            module: PostgreSql::new(),
            target: Target {
                installation_id: InstallationId::new(format!("installation-{random}")),
                integration_id: IntegrationId::new(format!("integration-{random}")),
                name: "test".into(),
                config,
                secret: BTreeMap::from([
                    ("username".into(), SecretString::from("latchkey_connector")),
                    ("password".into(), SecretString::from(PASSWORD)),
                ]),
                connected_resource_types: None,
            },
            main,
            second,
            owner,
            admin,
        };
        harness.provision(&harness.main.clone()).await;
        harness.provision(&harness.second.clone()).await;
        harness
    }

    /// Runs the shipped script in a database.
    pub async fn provision(&self, database: &str) {
        let script = SCRIPT
            .replace(
                "SET latchkey.password = 'change-me';",
                &format!("SET latchkey.password = '{PASSWORD}';"),
            )
            .replace(
                "SET latchkey.owners = '';",
                &format!("SET latchkey.owners = '{}';", self.owner),
            );
        let client = superuser(&self.server, database).await;
        // Test processes share the cluster and its roles; the script is for one person at a time.
        let lock = superuser(&self.server, "postgres").await;
        run(&lock, "SELECT pg_advisory_lock(4711)").await;
        run(&client, &script).await;
        run(&lock, "SELECT pg_advisory_unlock(4711)").await;
    }

    /// The owner of everything in the test's databases.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn module(&self) -> &PostgreSql {
        &self.module
    }

    /// The superuser in some database.
    pub async fn admin_in(&self, database: &str) -> Client {
        superuser(&self.server, database).await
    }

    /// One value, as the superuser in the main database.
    pub async fn value(&self, sql: &str) -> String {
        value(&self.admin, sql).await
    }

    /// A table's entitlement, with its oid as discovery would have noted it.
    pub async fn table(&self, database: &str, table: &str, permission: &str) -> Entitlement {
        let client = superuser(&self.server, database).await;
        let oid = value(&client, &format!("SELECT 'public.{table}'::regclass::oid")).await;
        Entitlement {
            claim: DesiredClaim {
                unit_id: UnitId::new("-"),
                resource_type: "postgresql-table".into(),
                source_id: format!("table:{database}/public/{table}"),
                path: format!("{database}/public/{table}"),
                context: BTreeMap::from([("oid".into(), oid)]),
                permission: permission.into(),
                ends_at: None,
            },
            probe: Probe { object: format!("public.{table}"), change: permission != "READ_ONLY" },
        }
    }

    /// An entitlement on anything.
    #[expect(clippy::unused_self, reason = "reads like its neighbours")]
    pub fn entitlement(&self, kind: &str, source_id: &str, permission: &str) -> Entitlement {
        Entitlement {
            claim: DesiredClaim {
                unit_id: UnitId::new("-"),
                resource_type: format!("postgresql-{kind}"),
                source_id: source_id.into(),
                path: source_id.into(),
                context: BTreeMap::new(),
                permission: permission.into(),
                ends_at: None,
            },
            probe: Probe { object: String::new(), change: false },
        }
    }

    /// Logs in to a database.
    pub async fn connect(
        &self,
        credentials: &GeneratedCredentials,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host(&self.server.host)
            .port(self.server.port)
            .user(&credentials.username)
            .password(credentials.password.expose_secret())
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Takes away everything that the test made.
    pub async fn clean(self) {
        let maintenance = superuser(&self.server, "postgres").await;
        for database in [&self.main, &self.second] {
            run(&maintenance, &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await;
        }
        let made = format!(
            "SELECT string_agg(format('DROP ROLE %I', rolname), ';') FROM pg_roles WHERE rolname \
             ~ '^lk_' AND strpos(shobj_description(oid, 'pg_authid'), '{}') > 0",
            self.target.installation_id
        );
        let drops = value(&maintenance, &made).await;
        if !drops.is_empty() {
            run(&maintenance, &drops).await;
        }
        run(&maintenance, &format!("DROP ROLE IF EXISTS {}", self.owner)).await;
    }
}

pub async fn superuser(server: &Place, database: &str) -> Client {
    let mut config = Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .user(&server.superuser)
        .password(&server.password)
        .dbname(database);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| {
        let detail = error.as_db_error().map(|e| format!("{e:?}"));
        panic!("{sql}: {error} {detail:?}")
    });
}

pub async fn value(client: &Client, sql: &str) -> String {
    let rows = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = rows.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    row.unwrap_or_default()
}

/// An open session and the database it is in.
pub struct PgSession(pub Client);

impl Harness for PgHarness {
    type Session = PgSession;

    fn integration(&self) -> &dyn Integration {
        &self.module
    }

    fn target(&self) -> Target {
        self.target.clone()
    }

    fn low_and_high(&self) -> (Entitlement, Entitlement) {
        let on_orders = |permission: &str| {
            let source = format!("table:{}/public/orders", self.main);
            let mut entitlement = self.entitlement("table", &source, permission);
            let change = permission != "READ_ONLY";
            entitlement.probe = Probe { object: "public.orders".into(), change };
            entitlement
        };
        (on_orders("READ_ONLY"), on_orders("READ_WRITE"))
    }

    fn other(&self) -> Entitlement {
        let source = format!("table:{}/public/invoices", self.second);
        let mut entitlement = self.entitlement("table", &source, "READ_ONLY");
        entitlement.probe = Probe { object: "public.invoices".into(), change: false };
        entitlement
    }

    async fn log_in(
        &self,
        credentials: &GeneratedCredentials,
        to: &Entitlement,
    ) -> Option<PgSession> {
        let path = to.claim.source_id.split_once(':').unwrap().1;
        let database = path.split('/').next().unwrap();
        self.connect(credentials, database).await.ok().map(PgSession)
    }

    async fn can(&self, session: &PgSession, probe: &Probe) -> bool {
        let sql = if probe.change {
            format!("INSERT INTO {} DEFAULT VALUES", probe.object)
        } else {
            format!("SELECT count(*) FROM {}", probe.object)
        };
        session.0.simple_query(&sql).await.is_ok()
    }

    async fn is_open(&self, session: &PgSession) -> bool {
        session.0.simple_query("SELECT 1").await.is_ok()
    }

    async fn left_of(&self, principal: &str) -> Vec<String> {
        let left = self
            .value(&format!(
                "SELECT string_agg(what, ';') FROM (SELECT 'role' AS what FROM pg_roles WHERE \
                 rolname = '{principal}' UNION ALL SELECT 'member of ' || m.roleid::regrole FROM \
                 pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = \
                 '{principal}' UNION ALL SELECT 'session' FROM pg_stat_activity WHERE usename = \
                 '{principal}') x"
            ))
            .await;
        left.split(';').filter(|what| !what.is_empty()).map(str::to_owned).collect()
    }

    async fn reset(&self) {
        let names = format!(
            "SELECT string_agg(quote_ident(rolname), ',') FROM pg_roles WHERE rolname ~ '^lk_g_' \
             AND strpos(shobj_description(oid, 'pg_authid'), '{}') > 0",
            self.target.installation_id
        );
        let groups = self.value(&names).await;
        if !groups.is_empty() {
            // Only who granted can take back.
            for database in [&self.second, &self.main] {
                let sql = format!(
                    "SET ROLE latchkey_provisioner; REVOKE CONNECT ON DATABASE {database} FROM {groups}; \
                     REVOKE ALL ON SCHEMA public FROM {groups}; REVOKE ALL ON ALL TABLES IN SCHEMA \
                     public FROM {groups}; RESET ROLE; DROP OWNED BY {groups}"
                );
                run(&self.admin_in(database).await, &sql).await;
            }
            run(&self.admin, &format!("DROP ROLE {groups}")).await;
        }
    }

    async fn drop_by_hand(&self, principal: &str) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = \
             '{principal}'; DROP ROLE {principal}"
        );
        run(&self.admin, &sql).await;
    }
}
