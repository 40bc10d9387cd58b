//! The words of the command line. Scripts rely on them: a word, once released, keeps its meaning.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Just-in-time access: request, decide, provision, use, expire, audit.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Run a connector: the agent beside the target systems.
    ///
    /// Its token is read from the variable `LATCHKEY_CONNECTOR_TOKEN`; make one with
    /// `latchkey admin connector-token create --id ID` on the server's machine.
    Connector(ConnectorArgs),
    /// Work on the database directly, whether a server runs or not. The last line of standard
    /// output is one JSON object.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The audit trail.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Reports of activity.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Queries of access scopes: check them, lay them out, see what they select.
    #[command(subcommand)]
    Aql(AqlCommand),
    /// Say what a change of policy would do, before it is saved: who gains, who loses, which
    /// requests change, and how the requests of the last weeks would come out. Reads the database
    /// directly and changes nothing.
    WhatIf(WhatIfArgs),
    /// Bring integrations, groups, access scopes, bundles and access flows to what documents say,
    /// all of it or nothing. Works on the database directly, whether a server runs or not.
    ///
    /// Everything that is wrong is told first, each with file, line and column. Documents that say
    /// what is stored already write nothing. docs/policy-as-code.md is the manual.
    ///
    /// Ends with 0 when all is done, 1 when nothing was. With --dry-run: 0 when nothing is to be
    /// changed, 2 when something is, 1 when something is wrong.
    Apply(ApplyArgs),
    /// Print integrations, groups, access scopes, bundles and access flows as the documents that
    /// `latchkey apply` reads. Secrets and groups of identity sources are left out. Reads the
    /// database directly and changes nothing.
    Export(ExportArgs),
    /// Check configuration, database, clock, keys and connectors, and say what to do.
    Doctor(StoreArgs),
    /// Print the description of the HTTP API (OpenAPI 3.1).
    Openapi,
}

/// Where the database is.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArgs {
    /// The data folder: keys, settings file, and the database unless `--database` names another
    /// [default: ./latchkey-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The database: `postgres://…`, or `sqlite:PATH` [default: SQLite in the data folder].
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// `latchkey serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The address to listen on [default: 127.0.0.1:8470].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Run the connector `local` inside the server on PostgreSQL too (on SQLite it always runs).
    #[arg(long)]
    pub local_connector: bool,
}

/// `latchkey connector`.
#[derive(Debug, Args)]
pub struct ConnectorArgs {
    /// The server's URL.
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// The connector's id; several processes with one id share the work.
    #[arg(long, value_name = "ID")]
    pub id: String,
    /// The connector's own folder: journal and `connector.toml` [default: ./latchkey-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `latchkey audit …`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every record, the links between them and the signed heads.
    Verify(StoreArgs),
}

/// `latchkey report …`.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Run a saved report on the database directly, whether a server runs or not.
    Run(ReportRunArgs),
}

/// `latchkey report run`.
#[derive(Debug, Args)]
pub struct ReportRunArgs {
    /// The report's name or id.
    pub name: String,
    /// `csv` or `pdf` [default: the report's own].
    #[arg(long)]
    pub format: Option<String>,
    /// The file to write [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey aql …`. Ends with 1 if the query is wrong, and draws what is wrong with it.
#[derive(Debug, Subcommand)]
pub enum AqlCommand {
    /// Say whether a query is right.
    Check(QueryArgs),
    /// Print a query laid out.
    Format(QueryArgs),
    /// Print what a query selects now, reading the database directly; changes nothing.
    Run(AqlRunArgs),
}

/// A query, or the file that it is in.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct QueryArgs {
    /// The query; docs/aql.md is the manual.
    pub query: Option<String>,
    /// The file that the query is in; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `latchkey aql run`.
#[derive(Debug, Args)]
pub struct AqlRunArgs {
    /// The query.
    #[command(flatten)]
    pub query: QueryArgs,
    /// How many entitlements to print at most; the total counts all.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Print a line of JSON for each entitlement, and one with the total.
    #[arg(long)]
    pub json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey what-if`.
#[derive(Debug, Args)]
pub struct WhatIfArgs {
    /// The file with the access flow, bundle or access scope as it would be saved: the body of the
    /// API as YAML or JSON, with `kind`. `-` is standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "delete_flow")]
    pub file: Option<PathBuf>,
    /// Say instead what deleting this access flow would do, by name or id.
    #[arg(long, value_name = "FLOW", conflicts_with = "file")]
    pub delete_flow: Option<String>,
    /// How many days of requests to replay, up to 366.
    #[arg(long, value_name = "N", default_value_t = 90)]
    pub days: u32,
    /// How many people and requests to print at most, up to 1000; all are counted.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Print one object of JSON, as the API answers.
    #[arg(long)]
    pub json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A file of documents, or a folder: all .yaml, .yml and .json files below it that are not
    /// hidden. `-` is standard input; may be repeated.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
    /// Print the changes and write nothing. Ends with 2 if there are any.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete what has no document, of the kinds that have any. Refused where it is in use;
    /// deleting an access flow ends the requests under it.
    #[arg(long)]
    pub prune: bool,
    /// Print one object of JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder to write a file for each document to [default: all to standard output].
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin …`.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make the first Admin and print a token; refuses once there is one.
    Bootstrap(BootstrapArgs),
    /// People.
    #[command(subcommand)]
    User(UserCommand),
    /// Make a link by which a user sets a password and signs in, once, within 15 minutes.
    SignInLink(UserArgs),
    /// Groups of people.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Roles in the admin area.
    #[command(subcommand)]
    Role(RoleCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Settings of the installation.
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Print where the webhook is, and the secret that receivers check its signatures with.
    Webhook(WebhookArgs),
    /// Integrations.
    #[command(subcommand)]
    Integration(IntegrationCommand),
    /// Tokens of connectors.
    #[command(subcommand)]
    ConnectorToken(ConnectorTokenCommand),
    /// Let reconcile runs remove principals that nothing explains, after a restore.
    Reconcile(ReconcileArgs),
}

/// `latchkey admin webhook`.
#[derive(Debug, Args)]
pub struct WebhookArgs {
    /// Print the secret for this address instead: a program that access flows ask like an
    /// approver.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// E-mail address.
    #[arg(long)]
    pub email: String,
    /// Given name.
    #[arg(long)]
    pub first_name: String,
    /// Family name.
    #[arg(long)]
    pub last_name: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin user …`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user.
    Create(BootstrapArgs),
    /// Switch a user off: tokens, browser sessions, pending requests and access end at once.
    Disable(UserArgs),
    /// Take second factor and recovery codes from a user who has lost them.
    ResetSecondFactor(UserArgs),
}

/// A command about one user.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// The user's e-mail address.
    #[arg(long)]
    pub email: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin group …`.
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make a group.
    Create(GroupArgs),
    /// Add a user to a group.
    AddMember(GroupMemberArgs),
    /// Put a group into another: whoever is in it is in the other as well.
    AddGroup(NestedGroupArgs),
}

/// `latchkey admin group create`.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// The group's name.
    #[arg(long)]
    pub name: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin group add-group`.
#[derive(Debug, Args)]
pub struct NestedGroupArgs {
    /// The name or id of the group that takes the other.
    #[arg(long)]
    pub group: String,
    /// The name or id of the group that is put into it.
    #[arg(long)]
    pub child: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin group add-member`.
#[derive(Debug, Args)]
pub struct GroupMemberArgs {
    /// The group's name or id.
    #[arg(long, alias = "name")]
    pub group: String,
    /// The user's e-mail address.
    #[arg(long)]
    pub email: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin role …`.
#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Give a role.
    Grant(RoleArgs),
    /// Take a role away.
    Revoke(RoleArgs),
}

/// A role of a user.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// The user's e-mail address.
    #[arg(long)]
    pub email: String,
    /// `Admin`, `Power User`, `Deployment` or `Viewer`.
    #[arg(long)]
    pub role: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token of a user and print it; it is shown only here.
    Create(TokenArgs),
}

/// `latchkey admin token create`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The user's e-mail address.
    #[arg(long)]
    pub email: String,
    /// A label.
    #[arg(long)]
    pub name: Option<String>,
    /// What it may be used for: `read`, `request`, `decide`, `admin`, `scim`, `connector`; may be
    /// repeated [default: read request decide, and admin where the user has a role].
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// How long it works, such as `90d`, `12h` or `30m` [default: for ever].
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    pub expires_in: Option<jiff::SignedDuration>,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin settings …`.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Print one setting, or all.
    Get(SettingsGetArgs),
    /// Change a setting.
    Set(SettingsSetArgs),
}

/// `latchkey admin settings get`.
#[derive(Debug, Args)]
pub struct SettingsGetArgs {
    /// The setting's key; all of them without it.
    pub key: Option<String>,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin settings set`.
#[derive(Debug, Args)]
pub struct SettingsSetArgs {
    /// The setting's key.
    pub key: String,
    /// The new value, as JSON; a plain word is taken as text.
    pub value: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin integration …`.
#[derive(Debug, Subcommand)]
pub enum IntegrationCommand {
    /// Close the claims of a target that is gone for good, as not proven.
    Retire(RetireArgs),
}

/// `latchkey admin integration retire`.
#[derive(Debug, Args)]
pub struct RetireArgs {
    /// The integration's id.
    pub id: String,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub because: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin connector-token …`.
#[derive(Debug, Subcommand)]
pub enum ConnectorTokenCommand {
    /// Make a connector's token and print it, registering the connector if it is new. A token
    /// made before stops working.
    Create(ConnectorTokenArgs),
}

/// `latchkey admin connector-token create`.
#[derive(Debug, Args)]
pub struct ConnectorTokenArgs {
    /// The connector's id.
    #[arg(long)]
    pub id: String,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `latchkey admin reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// Confirm: after a restore, principals that nothing explains may be removed.
    #[arg(long)]
    pub confirm: bool,
    /// Where the database is.
    #[command(flatten)]
    pub store: StoreArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_words_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_admin_command_takes_data_and_database_after_its_words() {
        fn walk(command: &clap::Command, words: &str, leaves: &mut Vec<String>) {
            let mut is_leaf = true;
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                is_leaf = false;
                walk(inner, &format!("{words} {}", inner.get_name()), leaves);
            }
            if is_leaf {
                let takes = |name| command.get_arguments().any(|arg| arg.get_long() == Some(name));
                assert!(takes("data") && takes("database"), "{words}");
                leaves.push(words.to_owned());
            }
        }
        let cli = Cli::command();
        let admin = cli.find_subcommand("admin").unwrap();
        let mut leaves = Vec::new();
        walk(admin, "admin", &mut leaves);
        assert_eq!(leaves.len(), 17, "{leaves:?}");
    }
}
