//! Licences, banned crates and sources of everything we build on, by `deny.toml`.
//!
//! The check reads the dependency graph that cargo has resolved already, so it needs no tool to be
//! installed and no network.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, Package};
use serde::Deserialize;

use crate::workspace::{capture, cargo, metadata_with_all_features, root};

/// The parts of `deny.toml` that are checked.
#[derive(Deserialize)]
struct Rules {
    licenses: LicenceRules,
    bans: BanRules,
}

#[derive(Deserialize)]
struct LicenceRules {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct BanRules {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    name: String,
    /// Packages that may depend on it all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
}

pub(crate) fn check() -> Result<()> {
    let text = std::fs::read_to_string(root()?.join("deny.toml"))?;
    let rules: Rules = toml::from_str(&text).context("deny.toml")?;
    let metadata = metadata_with_all_features()?;
    let used = used_packages()?;
    let faults = faults_in(&metadata, &used, &rules);
    if !faults.is_empty() {
        bail!("deny.toml does not allow:\n  {}", faults.join("\n  "));
    }
    println!("{} packages are allowed by deny.toml", used.len());
    Ok(())
}

/// Names and versions of what is really built on any platform with any feature. The resolved metadata alone also
/// lists optional packages that a feature only mentions.
fn used_packages() -> Result<BTreeSet<String>> {
    let tree = capture(&mut cargo(&[
        "tree",
        "--locked",
        "--workspace",
        "--all-features",
        "--target",
        "all",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ])?)?;
    let mut packages = BTreeSet::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            packages.insert(format!("{name} {}", version.trim_start_matches('v')));
        }
    }
    Ok(packages)
}

fn faults_in(metadata: &Metadata, used: &BTreeSet<String>, rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let named = format!("{} {}", package.name, package.version);
        if !used.contains(&named) {
            continue;
        }
        if let Some(banned) = rules.bans.deny.iter().find(|banned| package.name == banned.name) {
            // Whoever cannot be told is not let through.
            let users = users_of(package).unwrap_or_default();
            if users.is_empty() || !users.is_subset(&banned.wrappers) {
                faults.push(format!("{named} is banned"));
            }
        }
        if !comes_from_the_registry_or_here(package) {
            faults.push(format!("{named} comes from an unknown source"));
        }
        match package.license.as_deref() {
            Some(licence) if is_allowed(licence, &rules.licenses.allow) => {}
            Some(licence) => faults.push(format!("{named} has the licence {licence}")),
            None => faults.push(format!("{named} names no licence")),
        }
    }
    faults
}

/// The names of the packages that depend on one, as far as they are built with it.
fn users_of(package: &Package) -> Result<BTreeSet<String>> {
    let tree = capture(&mut cargo(&[
        "tree",
        "--locked",
        "--workspace",
        "--all-features",
        "--target",
        "all",
        "--edges",
        "normal,build,dev",
        "--invert",
        &format!("{}@{}", package.name, package.version),
        "--depth",
        "1",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ])?)?;
    let names = tree.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

fn comes_from_the_registry_or_here(package: &Package) -> bool {
    match &package.source {
        None => package.publish.as_ref().is_some_and(Vec::is_empty),
        Some(source) => source.is_crates_io(),
    }
}

/// Whether a licence expression (SPDX, appendix on expressions; the older `/` means OR) can be
/// satisfied with allowed licences.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Expression { words: &words, allowed };
    reader.any() && reader.words.is_empty()
}

struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

impl<'a> Expression<'a> {
    fn next_is(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self) -> &'a str {
        let Some((first, rest)) = self.words.split_first() else { return "" };
        self.words = rest;
        first
    }

    fn any(&mut self) -> bool {
        let mut holds = self.all();
        while self.next_is("OR") {
            holds |= self.all();
        }
        holds
    }

    fn all(&mut self) -> bool {
        let mut holds = self.one();
        while self.next_is("AND") {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        if self.next_is("(") {
            let holds = self.any();
            return self.next_is(")") && holds;
        }
        let mut licence = self.take().to_owned();
        if self.next_is("WITH") {
            licence = format!("{licence} WITH {}", self.take());
        }
        // `+` is that version or any later one.
        self.allowed.contains(licence.strip_suffix('+').unwrap_or(&licence))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::is_allowed;

    #[test]
    fn a_licence_expression_is_allowed_if_a_choice_of_allowed_licences_satisfies_it() {
        let allowed: BTreeSet<String> =
            ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only AND MIT", false),
            ("MIT/Apache-2.0", true),
            ("(GPL-3.0-only OR MIT) AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND OpenSSL", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("MIT+", true),
            ("GPL-3.0+", false),
            ("MIT MIT", false),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }
}
