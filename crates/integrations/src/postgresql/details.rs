//! How to connect, in words, as one shell command, and as parameters. Never with a password.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::provisioning::{AccessDetails, DesiredClaim};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::source::Source;
use crate::Target;

/// Everything but letters, digits and these is encoded in a connection URI.
const URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// Access details for `principal`. The database is the first one that its claims name.
pub(super) fn access_details(
    target: &Target,
    principal: &str,
    claims: &[DesiredClaim],
) -> AccessDetails {
    let get = |key: &str| target.config.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let host = get("hostname").unwrap_or_default();
    let port = get("port").unwrap_or("5432");
    let databases: BTreeSet<String> = claims
        .iter()
        .filter_map(|claim| Source::parse(&claim.source_id).ok())
        .filter_map(|source| source.database().map(str::to_owned))
        .collect();
    let database = databases
        .first()
        .cloned()
        .unwrap_or_else(|| get("dbname").unwrap_or("postgres").to_owned());
    let encode = |text: &str| utf8_percent_encode(text, URI).to_string();
    let shown_host = if host.contains(':') { format!("[{host}]") } else { encode(host) };
    let mode = match get("sslmode").unwrap_or("prefer") {
        // What the connector trusts is not what a person's machine trusts.
        "verify-full" => "require",
        other => other,
    };
    let uri = format!(
        "postgresql://{}@{shown_host}:{}/{}?sslmode={}",
        encode(principal),
        encode(port),
        encode(&database),
        encode(mode)
    );
    let others = if databases.len() > 1 {
        let rest: Vec<String> = databases.iter().skip(1).map(|name| format!("{name:?}")).collect();
        format!(" Your access also covers the databases {}.", rest.join(", "))
    } else {
        String::new()
    };
    AccessDetails {
        instructions: format!(
            "Connect to PostgreSQL ({}) at {host}, port {port}, database {database:?}, as \
             {principal} with the password shown once with these details.{others} Connections \
             end when your access does.",
            target.name
        ),
        cli: Some(format!("psql {}", sh_quote(&uri))),
        parameters: BTreeMap::from([
            ("host".to_owned(), host.to_owned()),
            ("port".to_owned(), port.to_owned()),
            ("database".to_owned(), database),
            ("username".to_owned(), principal.to_owned()),
        ]),
    }
}

/// One word for `sh`, whatever is in it.
fn sh_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use latchkey_domain::ids::{InstallationId, IntegrationId, UnitId};

    use super::*;

    #[test]
    fn hostile_names_stay_inside_one_word() {
        let target = Target {
            installation_id: InstallationId::new("i"),
            integration_id: IntegrationId::new("t"),
            name: "n".into(),
            config: BTreeMap::from([("hostname".into(), "db'; rm -rf /".into())]),
            secret: BTreeMap::new(),
            connected_resource_types: None,
        };
        let source = Source::Table("a'$(x)`y`\n/b".into(), "s".into(), "t".into());
        let claim = DesiredClaim {
            unit_id: UnitId::new("u"),
            resource_type: "postgresql-table".into(),
            source_id: source.id(),
            path: source.path(),
            context: BTreeMap::new(),
            permission: "READ_ONLY".into(),
            ends_at: None,
        };
        let details = access_details(&target, "lk_u_x_1", &[claim]);
        let cli = details.cli.unwrap();
        let inner = cli.strip_prefix("psql '").unwrap().strip_suffix('\'').unwrap();
        assert!(!inner.contains(['\'', '$', '`', '\n', ' ', ';']), "{cli}");
        assert_eq!(details.parameters["database"], "a'$(x)`y`\n/b");
    }
}
