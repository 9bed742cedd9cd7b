//! The settings a data directory remembers, so that a restart needs no flag but `--data-dir`.
//!
//! `node.json` in the data directory, version 1, readable by its owner only (it may hold a join token). It is replaced
//! whole: a crash leaves the old file or the new one. It is read and written before and after the node runs, not by the
//! node.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reads and writes the data directory for main"
)]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{
    Config, Join, Listen, REPLACE_AFTER_DEFAULT, TRANSIENT_QUOTA_BYTES_DEFAULT, Tls,
};

const FILE: &str = "node.json";
const VERSION: u32 = 1;

/// What `node.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    version: u32,
    pub socket: String,
    pub socket_mode: u32,
    pub size_bytes: u64,
    /// The address that was bound, so that others find the node again. Absent before the first start succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where others dial the node, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// Nodes to ask where the others are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<String>,
    pub deployment: String,
    /// What the node is called, if not as its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub compression: bool,
    pub rpc: bool,
    /// Absent for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_after_ms: Option<u64>,
    /// What the cluster that is to be founded is set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_quota_bytes: Option<u64>,
    /// Absent for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transient_quota_bytes: Option<u64>,
    #[serde(default)]
    pub rpc_open_to_anyone: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_tls: bool,
    #[serde(default = "on")]
    pub http: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_hosts: Vec<String>,
    /// The users' file, so that a restart still asks for passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htpasswd: Option<PathBuf>,
    /// A join that was begun, so that a restart does not found a cluster instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// How many nodes are to form the cluster, until this one is a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u8>,
    /// A founding that was begun, so that a restart goes on with it.
    #[serde(default)]
    pub found: bool,
    /// The token of a founding that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founding_token: Option<String>,
    /// The name of the node of this directory: a database without a node does not belong to this directory. Absent
    /// before the first start succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Of a file that an earlier build wrote.
fn on() -> bool {
    true
}

/// `node.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        verb: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not a node's settings: {source}", path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{} is of version {found}; this node reads {VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
}

impl Remembered {
    /// The settings that a restart of a node with `config` needs; `bound` is the address that the node listens on, if
    /// it does already.
    pub fn of(config: &Config, bound: Option<&str>) -> Self {
        Self {
            version: VERSION,
            socket: config.ipc_socket.clone(),
            socket_mode: config.ipc_socket_mode,
            size_bytes: config.size_bytes,
            listen: match (bound, &config.listen) {
                (Some(bound), _) => Some(bound.to_owned()),
                (None, Listen::At(told)) => Some(told.clone()),
                (None, Listen::Auto { .. }) => None,
            },
            advertise: config.advertise.clone(),
            seeds: config.seeds.clone(),
            deployment: config.deployment.clone(),
            name: config.name.clone(),
            compression: config.compression,
            rpc: config.rpc,
            replace_after_ms: Some(config.replace_after)
                .filter(|told| *told != REPLACE_AFTER_DEFAULT)
                .map(|told| told.as_millis() as u64),
            round_trip_ms: config.round_trip_ms,
            metadata_quota_bytes: config.metadata_quota_bytes,
            transient_quota_bytes: Some(config.transient_quota_bytes)
                .filter(|told| *told != TRANSIENT_QUOTA_BYTES_DEFAULT),
            rpc_open_to_anyone: config.rpc_open_to_anyone,
            insecure: config.tls == Tls::Never,
            require_tls: config.tls == Tls::Always,
            http: config.http,
            http_hosts: config.http_hosts.clone(),
            htpasswd: config
                .passwords
                .as_ref()
                .map(|users| users.path().to_owned()),
            join: config.join.clone(),
            expect: config.expect,
            found: config.found,
            founding_token: config.founding_token.clone(),
            node: None,
        }
    }

    /// The same, of the node that a cluster has admitted.
    pub fn of_node(self, node: Option<String>) -> Self {
        let founding_token = self.founding_token.filter(|_| node.is_none());
        let expect = self.expect.filter(|_| node.is_none());
        let round_trip_ms = self.round_trip_ms.filter(|_| node.is_none());
        let metadata_quota_bytes = self.metadata_quota_bytes.filter(|_| node.is_none());
        Self {
            node,
            expect,
            founding_token,
            round_trip_ms,
            metadata_quota_bytes,
            ..self
        }
    }
}

/// The settings in `data_dir`; `None` if it is new.
pub fn load(data_dir: &Path) -> Result<Option<Remembered>, RememberError> {
    let path = data_dir.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(RememberError::Io {
                verb: "read",
                path,
                source,
            });
        }
    };
    let remembered: Remembered = match serde_json::from_slice(&bytes) {
        Ok(remembered) => remembered,
        Err(source) => return Err(RememberError::Malformed { path, source }),
    };
    if remembered.version != VERSION {
        return Err(RememberError::Version {
            path,
            found: remembered.version,
        });
    }
    Ok(Some(remembered))
}

/// Writes `remembered` into `data_dir`, which is created (mode 0700) if it is missing. Durable when it returns.
pub fn save(data_dir: &Path, remembered: &Remembered) -> Result<(), RememberError> {
    let path = data_dir.join(FILE);
    let mut text =
        serde_json::to_vec_pretty(remembered).expect("plain fields always have a JSON form");
    text.push(b'\n');
    replace(data_dir, &path, &text).map_err(|source| RememberError::Io {
        verb: "write",
        path,
        source,
    })
}

fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let draft = path.with_extension(format!("json.{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&draft, path)) {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn some() -> Remembered {
        let mut config = Config::new("unused", "/tmp/v.sock");
        config.name = Some("blue".into());
        config.join = Some(Join {
            endpoints: vec!["10.0.0.1:9600".into()],
            token: "vy1.x".into(),
        });
        Remembered::of(&config, Some("127.0.0.1:40001"))
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("a/b");
        assert_eq!(load(&data_dir).unwrap(), None);
        save(&data_dir, &some()).unwrap();
        let mut changed = some();
        changed.size_bytes = 1 << 30;
        save(&data_dir, &changed).unwrap();
        assert_eq!(load(&data_dir).unwrap(), Some(changed));
    }

    #[test]
    fn only_the_owner_reads_it_and_no_draft_is_left() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &some()).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [FILE]);
        let mode = fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_not_a_fresh_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(matches!(
            load(dir.path()),
            Err(RememberError::Malformed { .. })
        ));
        let later = serde_json::to_string(&Remembered {
            version: 2,
            ..some()
        })
        .unwrap();
        fs::write(dir.path().join(FILE), later).unwrap();
        assert!(matches!(
            load(dir.path()),
            Err(RememberError::Version { found: 2, .. })
        ));
    }
}
