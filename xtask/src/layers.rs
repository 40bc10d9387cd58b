//! Which crate may use which, over `cargo metadata`; docs/architecture.md explains the table.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata, Package};

use crate::workspace::{capture, cargo, metadata};

/// The arrows. `domain` holds the words that everybody speaks, so everybody may use it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("latchkey-domain", &[]),
    ("latchkey-aql", &["domain"]),
    ("latchkey-inventory", &["domain", "aql"]),
    ("latchkey-store", &["domain"]),
    (
        "latchkey-app",
        &["domain", "aql", "inventory", "store", "identity", "reports", "catalog", "protocol"],
    ),
    ("latchkey-catalog", &["domain"]),
    ("latchkey-integrations", &["domain", "catalog"]),
    ("latchkey-protocol", &["domain"]),
    ("latchkey-connector", &["domain", "protocol", "integrations"]),
    ("latchkey-identity", &["domain"]),
    ("latchkey-reports", &["domain"]),
    ("latchkey-api", &["domain", "app", "identity", "protocol"]),
    ("latchkey-web", &["domain", "app", "identity"]),
    ("latchkey", &["*"]),
    ("latchkey-testkit", &["*"]),
    ("latchkey-systems", &[]),
    ("latchkey-bench", &["*"]),
    ("latchkey-e2e", &["*"]),
    ("xtask", &["systems"]),
];

/// Crates that only some of ours may name, in any kind of dependency. `bench` names them for the
/// bare handler that it measures Latchkey against.
const RESERVED: &[(&[&str], &[&str])] = &[
    (
        &["sea-orm", "sea-orm-migration", "sea-query", "sqlx", "rusqlite", "libsqlite3-sys"],
        &["latchkey-store", "latchkey-bench"],
    ),
    (
        &["axum", "axum-extra", "axum-core", "aide", "hyper"],
        &["latchkey-api", "latchkey-web", "latchkey", "latchkey-e2e", "latchkey-bench"],
    ),
];

/// What has no I/O names none of these.
const PURE: &[&str] = &["latchkey-domain", "latchkey-aql", "latchkey-inventory"];
const IMPURE: &[&str] =
    &["tokio", "async-trait", "futures", "reqwest", "nix", "getrandom", "rand", "tracing", "axum"];

/// Crates that tests and tools only may use.
const FOR_TESTS: &[&str] = &["latchkey-testkit", "latchkey-systems"];
const TESTS_AND_TOOLS: &[&str] = &["latchkey-testkit", "latchkey-bench", "latchkey-e2e", "xtask"];

pub(crate) fn check() -> Result<()> {
    let metadata = metadata()?;
    let faults = faults_in(&metadata);
    if !faults.is_empty() {
        bail!("the layers do not hold:\n  {}", faults.join("\n  "));
    }
    println!("{} crates keep their layers", metadata.workspace_packages().len());
    check_crash_points()
}

fn faults_in(metadata: &Metadata) -> Vec<String> {
    let arrows: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        match arrows.get(name) {
            Some(may_use) => faults.extend(forbidden_arrows(package, may_use, &ours)),
            None => faults.push(format!("{name} has no row in the table of xtask/src/layers.rs")),
        }
        faults.extend(reserved_names(name, package));
    }
    faults
}

fn forbidden_arrows(package: &Package, may_use: &[&str], ours: &BTreeSet<&str>) -> Vec<String> {
    let name = package.name.as_str();
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .filter(|dependency| ours.contains(dependency.name.as_str()))
        .filter(|dependency| {
            let used = dependency.name.as_str();
            let short = used.strip_prefix("latchkey-").unwrap_or(used);
            let for_tests = FOR_TESTS.contains(&used) && !TESTS_AND_TOOLS.contains(&name);
            for_tests || !(may_use.contains(&short) || may_use.contains(&"*"))
        })
        .map(|dependency| format!("{name} may not use {}", dependency.name))
        .collect()
}

fn reserved_names(name: &str, package: &Package) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in &package.dependencies {
        let used = dependency.name.as_str();
        for (reserved, for_whom) in RESERVED {
            if reserved.contains(&used) && !for_whom.contains(&name) {
                faults
                    .push(format!("{name} may not name {used}: only {} may", for_whom.join(", ")));
            }
        }
        let for_product = dependency.kind != DependencyKind::Development;
        if for_product && PURE.contains(&name) && IMPURE.contains(&used) {
            faults.push(format!("{name} has no I/O, so it may not use {used}"));
        }
    }
    faults
}

/// The shipped binary is built without the feature that makes crash points.
fn check_crash_points() -> Result<()> {
    let tree = capture(&mut cargo(&[
        "tree",
        "--locked",
        "--package",
        "latchkey",
        "--edges",
        "normal,build,features",
        "--prefix",
        "none",
    ])?)?;
    if let Some(line) = tree.lines().find(|line| line.contains("feature \"faults\"")) {
        bail!("the binary `latchkey` enables crash points: {line}");
    }
    println!("the binary `latchkey` is built without crash points");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{faults_in, reserved_names};
    use crate::workspace::metadata;

    #[test]
    fn the_layers_hold() {
        assert_eq!(faults_in(&metadata().unwrap()), Vec::<String>::new());
    }

    #[test]
    fn a_crate_that_names_what_is_reserved_for_another_is_told() {
        let metadata = metadata().unwrap();
        let packages = metadata.workspace_packages();
        let store = packages.iter().find(|package| package.name == "latchkey-store").unwrap();
        assert_eq!(reserved_names("latchkey-store", store), Vec::<String>::new());
        assert!(!reserved_names("latchkey-app", store).is_empty());
    }
}
