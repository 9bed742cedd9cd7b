//! Which way dependencies point between our crates.

use super::Source;

/// Which of our crates each of our crates may use in the product (design: direction of dependencies).
const MAY_USE: [(&str, &[&str]); 12] = [
    ("node/env", &[]),
    ("client/wire", &["vineyard-env"]),
    ("store/shm", &["vineyard-env"]),
    ("store", &["vineyard-env", "vineyard-shm", "vineyard-wire"]),
    ("raft", &["vineyard-env", "vineyard-wire"]),
    (
        "client/net",
        &["vineyard-env", "vineyard-shm", "vineyard-wire"],
    ),
    (
        "client",
        &[
            "vineyard-env",
            "vineyard-net",
            "vineyard-shm",
            "vineyard-wire",
        ],
    ),
    (
        "node",
        &[
            "vineyard-env",
            "vineyard-net",
            "vineyard-raft",
            "vineyard-shm",
            "vineyard-store",
            "vineyard-wire",
        ],
    ),
    (
        "client/cli",
        &[
            "vineyard-client",
            "vineyard-env",
            "vineyard-net",
            "vineyard-node",
            "vineyard-wire",
        ],
    ),
    (
        "client/python",
        &[
            "vineyard-client",
            "vineyard-node",
            "vineyard-wire",
            "vineyardctl",
        ],
    ),
    ("tests", &[]),
    ("tests/xtask", &["vineyard-tests"]),
];

/// Product dependencies that point the wrong way, and actix anywhere but in node.
pub(super) fn wrong_direction(source: &Source) -> Vec<String> {
    let Some(folder) = source.path.strip_suffix("/Cargo.toml") else {
        return Vec::new();
    };
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == folder) else {
        return Vec::new();
    };
    let mut section = "";
    let mut found = Vec::new();
    for (line, text) in source.numbered() {
        if text.starts_with('[') {
            section = text.trim();
        }
        let used = text.split(['.', ' ', '=']).next().unwrap_or_default();
        let ours = used.starts_with("vineyard");
        if used == "actix" && folder != "node" {
            found.push(format!("{}:{line}: only node knows actix", source.path));
        }
        if section == "[dependencies]" && ours && !allowed.contains(&used) {
            found.push(format!(
                "{}:{line}: {folder} must not use {used}",
                source.path
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_below_uses_none_above_and_only_node_knows_actix() {
        let text = "[dependencies]\nvineyard-store.workspace = true\nactix = 1\n[dev-dependencies]\nvineyard-node = 1";
        let manifest = Source {
            path: "raft/Cargo.toml".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(wrong_direction(&manifest).len(), 2);
    }
}
