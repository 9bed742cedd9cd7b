//! What deny.toml says of the packages of others, held against the lock file: bans, duplicates, licences, sources.
//!
//! `cargo deny` reads the same file. It also knows advisories, for which it needs a network; this does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const RULES: &str = "deny.toml";
/// Where a package comes from that the registry of crates has.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Debug, Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Bans {
    multiple_versions: String,
    deny: Vec<Ban>,
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Who may use it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Skip {
    /// `name@version`.
    #[serde(rename = "crate")]
    package: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

/// A package of the lock file, and who depends on it directly.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for one of this repository.
    source: Option<String>,
    /// The oldest compiler that it says it builds with.
    rust_version: Option<String>,
    users: Vec<String>,
}

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join(RULES)).context(RULES)?;
    let rules: Rules = toml::from_str(&text).context(RULES)?;
    let packages = packages(root, &rules.graph.targets)?;
    Ok(broken(&rules, &packages))
}

fn broken(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut found = banned(&rules.bans.deny, packages);
    if rules.bans.multiple_versions == "deny" {
        found.extend(duplicates(&rules.bans.skip, packages));
    }
    let ours = packages.iter().filter(|package| package.source.is_none());
    let silent = ours.filter(|package| package.rust_version.is_none());
    found.extend(
        silent.map(|package| format!("{}: its manifest has no rust-version", package.name)),
    );
    let foreign = packages.iter().filter(|package| package.source.is_some());
    for package in foreign {
        let Package { name, version, .. } = package;
        let license = package.license.as_deref().unwrap_or_default();
        if !satisfies(license, &rules.licenses.allow) {
            found.push(format!(
                "{name} {version}: {RULES} does not allow {license:?}"
            ));
        }
        let source = package.source.as_deref().unwrap_or_default();
        let kind = match source.starts_with("git+") {
            true => &rules.sources.unknown_git,
            false => &rules.sources.unknown_registry,
        };
        if source != REGISTRY && kind == "deny" {
            found.push(format!("{name} {version}: {RULES} does not allow {source}"));
        }
    }
    found
}

fn banned(bans: &[Ban], packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for ban in bans {
        for package in packages.iter().filter(|package| package.name == ban.name) {
            let strangers = package
                .users
                .iter()
                .filter(|user| !ban.wrappers.contains(user));
            found.extend(
                strangers.map(|user| {
                    format!("{user} must not use {}: {} ({RULES})", ban.name, ban.reason)
                }),
            );
        }
    }
    found
}

/// Packages of which two versions are in the build, and exceptions for what is no duplicate.
fn duplicates(skips: &[Skip], packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let mut found = Vec::new();
    for skip in skips {
        let (name, version) = skip.package.split_once('@').unwrap_or((&skip.package, ""));
        let skipped = versions.get_mut(name).and_then(|versions| {
            let at = versions.iter().position(|other| *other == version)?;
            Some(versions.remove(at))
        });
        if skipped.is_none() {
            found.push(format!(
                "{RULES}: {} is no duplicate any more",
                skip.package
            ));
        }
    }
    let double = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1);
    found.extend(
        double.map(|(name, versions)| format!("{name} is there as {}", versions.join(" and as "))),
    );
    found
}

/// Whether an SPDX expression holds if only what is in `allowed` does. `/` is how older manifests write OR.
fn satisfies(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ")
        .replace(" WITH ", "+WITH+");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let holds = any_of(&mut rest, allowed);
    holds && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut holds = all_of(words, allowed);
    while let [first, rest @ ..] = words
        && *first == "OR"
    {
        *words = rest;
        holds |= all_of(words, allowed);
    }
    holds
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut holds = one(words, allowed);
    while let [first, rest @ ..] = words
        && *first == "AND"
    {
        *words = rest;
        holds &= one(words, allowed);
    }
    holds
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if *first != "(" {
        let license = first.replace("+WITH+", " WITH ");
        return allowed
            .iter()
            .any(|allowed| *allowed == license.trim_end_matches('+'));
    }
    let holds = any_of(words, allowed);
    let closed = words.split_first().filter(|(word, _)| **word == ")");
    *words = closed.map_or(&[], |(_, rest)| rest);
    holds && closed.is_some()
}

/// Every package that is built for one of `targets`, as the lock file has it.
fn packages(root: &Path, targets: &[String]) -> Result<Vec<Package>> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        .args(["metadata", "--format-version", "1", "--locked"]);
    for target in targets {
        command.args(["--filter-platform", target]);
    }
    let said = command.output().context("cargo metadata")?;
    let complaint = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success(), "cargo metadata: {complaint}");
    let metadata: Metadata = serde_json::from_slice(&said.stdout)?;
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for listed in metadata.packages {
        let package = Package {
            name: listed.name,
            version: listed.version,
            license: listed.license,
            source: listed.source,
            rust_version: listed.rust_version,
            users: Vec::new(),
        };
        packages.insert(listed.id, package);
    }
    for node in metadata.resolve.nodes {
        let user = packages
            .get(&node.id)
            .context("a node is a package")?
            .name
            .clone();
        for used in node.dependencies {
            let package = packages
                .get_mut(&used)
                .context("a dependency is a package")?;
            package.users.push(user.clone());
        }
    }
    Ok(packages.into_values().collect())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Listed>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    rust_version: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [graph]
        targets = []
        [licenses]
        allow = ["MIT", "Apache-2.0", "Zlib"]
        [bans]
        multiple-versions = "deny"
        deny = [{ crate = "mud", reason = "it sticks" }, { crate = "ink", wrappers = ["pen"], reason = "blots" }]
        skip = [{ crate = "sand@1.0.0", reason = "old" }, { crate = "silt@1.0.0", reason = "old" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn package(name: &str, version: &str, users: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: Some("MIT".to_owned()),
            source: Some(REGISTRY.to_owned()),
            rust_version: None,
            users: users.iter().map(|user| (*user).to_owned()).collect(),
        }
    }

    #[test]
    fn an_expression_holds_if_what_is_allowed_satisfies_it() {
        let allowed = ["MIT", "Apache-2.0", "X WITH E"].map(str::to_owned);
        for fine in [
            "MIT",
            "GPL-3.0 OR MIT",
            "GPL-3.0/MIT",
            "(GPL-3.0 OR MIT) AND Apache-2.0",
            "X WITH E",
            "MIT+",
        ] {
            assert!(satisfies(fine, &allowed), "{fine}");
        }
        for not in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT)",
            "X",
            "MIT AND (GPL-3.0 OR ISC)",
        ] {
            assert!(!satisfies(not, &allowed), "{not}");
        }
    }

    #[test]
    fn bans_duplicates_licences_and_sources_are_found() {
        let rules: Rules = toml::from_str(TEXT).unwrap();
        let packages = [
            package("mud", "1.0.0", &["us"]),
            package("ink", "1.0.0", &["pen", "us"]),
            package("sand", "1.0.0", &[]),
            package("sand", "2.0.0", &[]),
            package("clay", "1.0.0", &[]),
            package("clay", "2.0.0", &[]),
            Package {
                license: Some("GPL-3.0".to_owned()),
                source: Some("git+elsewhere".to_owned()),
                ..package("peat", "1.0.0", &[])
            },
            Package {
                license: None,
                source: None,
                ..package("ours", "1.0.0", &[])
            },
        ];
        assert_eq!(
            broken(&rules, &packages),
            [
                "us must not use mud: it sticks (deny.toml)",
                "us must not use ink: blots (deny.toml)",
                "deny.toml: silt@1.0.0 is no duplicate any more",
                "clay is there as 1.0.0 and as 2.0.0",
                "ours: its manifest has no rust-version",
                "peat 1.0.0: deny.toml does not allow \"GPL-3.0\"",
                "peat 1.0.0: deny.toml does not allow git+elsewhere",
            ]
        );
    }
}
