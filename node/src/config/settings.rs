//! Every setting of a node with its value and where that comes from, for `vineyardctl config show`.
//!
//! Promise: the values are those that a start with this command line would use, and no secret is among them.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::load::{LOG_DEFAULT, LoadError, complete};
use super::remembered::{self, Remembered};
use super::{Config, Flags, Listen, LogFormat, Machine, Tls, resolve, size};

/// From the nearest to the farthest: the first that says something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Flag,
    Environment,
    /// That of `--config`.
    File,
    /// In the data directory, by an earlier start.
    Remembered,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Remembered => "remembered",
            Self::Default => "default",
        })
    }
}

/// One setting, named as its flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub name: &'static str,
    pub value: String,
    pub origin: Origin,
}

/// What a start would use.
#[derive(Clone, Debug)]
pub struct Settings {
    pub list: Vec<Setting>,
    pub config: Config,
    pub token_file: Option<PathBuf>,
    /// The token itself stands on the command line, where all users of the machine can read it.
    pub token_is_seen: bool,
}

/// `args` without the program's name. Reads what a start reads, except the token.
pub fn settings(args: Vec<String>, machine: &Machine) -> Result<Settings, LoadError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it reads flag files, as a start does"
    )]
    let line = Flags::parse(args, &|path| std::fs::read_to_string(path))?;
    let stages = complete(line, machine)?;
    let mut all = stages.all.clone();
    let token_file = resolve::token_file(&all, machine)?;
    if token_file.is_some() {
        // That there is one is enough here.
        all.token = Some(String::new());
    }
    let remembered = remembered::load(&resolve::data_dir(&all, machine))?;
    let config = resolve::config(&all, machine, remembered.as_ref())?;
    let known = Known {
        htpasswd: resolve::htpasswd(&all, machine, remembered.as_ref()),
        token_file: token_file.clone(),
        flags: all,
        config,
    };
    let origin = |row: &Row| match () {
        () if (row.told)(&stages.line) => Origin::Flag,
        () if (row.told)(&stages.environment) => Origin::Environment,
        () if (row.told)(&stages.all) => Origin::File,
        () if remembered.as_ref().is_some_and(row.kept) => Origin::Remembered,
        () => Origin::Default,
    };
    let list = ROWS.iter().map(|row| Setting {
        name: row.name,
        value: (row.value)(&known),
        origin: origin(row),
    });
    Ok(Settings {
        list: list.collect(),
        token_file,
        token_is_seen: stages.line.token.is_some(),
        config: known.config,
    })
}

struct Known {
    config: Config,
    flags: Flags,
    htpasswd: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

struct Row {
    name: &'static str,
    told: fn(&Flags) -> bool,
    /// Whether a data directory that remembers this has a value for it.
    kept: fn(&Remembered) -> bool,
    value: fn(&Known) -> String,
}

const fn row(
    name: &'static str,
    told: fn(&Flags) -> bool,
    kept: fn(&Remembered) -> bool,
    value: fn(&Known) -> String,
) -> Row {
    Row {
        name,
        told,
        kept,
        value,
    }
}

fn always(_: &Remembered) -> bool {
    true
}

fn never(_: &Remembered) -> bool {
    false
}

fn path(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string())
        .unwrap_or_default()
}

static ROWS: [Row; 28] = [
    row(
        "socket",
        |f| f.socket.is_some(),
        always,
        |k| k.config.ipc_socket.clone(),
    ),
    row(
        "socket-mode",
        |f| f.socket_mode.is_some(),
        always,
        |k| format!("{:04o}", k.config.ipc_socket_mode),
    ),
    row(
        "size",
        |f| f.size_bytes.is_some(),
        always,
        |k| size::show(k.config.size_bytes),
    ),
    row(
        "data-dir",
        |f| f.data_dir.is_some(),
        never,
        |k| k.config.data_dir.display().to_string(),
    ),
    row(
        "listen",
        |f| f.listen.is_some() || f.rpc_socket_port.is_some(),
        |r| r.listen.is_some(),
        |k| match &k.config.listen {
            Listen::At(listen) => listen.clone(),
            Listen::Auto { port } => format!("127.0.0.1:{port}"),
        },
    ),
    row(
        "advertise",
        |f| f.advertise.is_some(),
        |r| r.advertise.is_some(),
        |k| k.config.advertise.clone().unwrap_or_default(),
    ),
    row(
        "join",
        |f| !f.join.is_empty(),
        |r| r.join.is_some() || !r.seeds.is_empty(),
        |k| k.config.seeds.join(","),
    ),
    row(
        "expect",
        |f| f.expect.is_some(),
        |r| r.expect.is_some(),
        |k| {
            let nodes = k.config.expect.map(|nodes| nodes.to_string());
            nodes.unwrap_or_default()
        },
    ),
    row(
        "token-file",
        |f| f.token_file.is_some(),
        never,
        |k| path(k.token_file.as_ref()),
    ),
    row(
        "log",
        |f| f.log.is_some(),
        never,
        |k| {
            k.flags
                .log
                .clone()
                .unwrap_or_else(|| LOG_DEFAULT.to_owned())
        },
    ),
    row(
        "log-format",
        |f| f.log_format.is_some(),
        never,
        |k| match k.flags.log_format.unwrap_or_default() {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        },
    ),
    row(
        "name",
        |f| f.name.is_some(),
        |r| r.name.is_some(),
        |k| k.config.name.clone().unwrap_or_default(),
    ),
    row(
        "slow-request-ms",
        |f| f.slow_request_ms.is_some(),
        never,
        |k| k.config.limits.slow_request.as_millis().to_string(),
    ),
    row(
        "stream-threshold",
        |f| f.stream_threshold_percent.is_some(),
        never,
        |k| k.config.limits.stream_threshold_percent.to_string(),
    ),
    row(
        "replace-after",
        |f| f.replace_after.is_some(),
        |r| r.replace_after_ms.is_some(),
        |k| format!("{}s", k.config.replace_after.as_secs()),
    ),
    row(
        "round-trip-ms",
        |f| f.round_trip_ms.is_some(),
        |r| r.round_trip_ms.is_some(),
        |k| {
            let told = k.config.round_trip_ms.map(|ms| ms.to_string());
            told.unwrap_or_default()
        },
    ),
    row(
        "metadata-quota",
        |f| f.metadata_quota_bytes.is_some(),
        |r| r.metadata_quota_bytes.is_some(),
        |k| {
            let told = k.config.metadata_quota_bytes.map(size::show);
            told.unwrap_or_default()
        },
    ),
    row(
        "transient-quota",
        |f| f.transient_quota_bytes.is_some(),
        |r| r.transient_quota_bytes.is_some(),
        |k| size::show(k.config.transient_quota_bytes),
    ),
    row(
        "feature-level",
        |f| f.feature_level.is_some(),
        never,
        |k| k.config.feature_level.to_string(),
    ),
    row(
        "rpc",
        |f| f.rpc.is_some(),
        always,
        |k| k.config.rpc.to_string(),
    ),
    row(
        "rpc-open-to-anyone",
        |f| f.rpc_open_to_anyone.is_some(),
        always,
        |k| k.config.rpc_open_to_anyone.to_string(),
    ),
    row(
        "insecure",
        |f| f.insecure.is_some(),
        always,
        |k| (k.config.tls == Tls::Never).to_string(),
    ),
    row(
        "require-tls",
        |f| f.require_tls.is_some(),
        always,
        |k| (k.config.tls == Tls::Always).to_string(),
    ),
    row(
        "http",
        |f| f.http.is_some(),
        always,
        |k| if k.config.http { "on" } else { "off" }.to_owned(),
    ),
    row(
        "http-host",
        |f| f.http_hosts.is_some(),
        |r| !r.http_hosts.is_empty(),
        |k| k.config.http_hosts.join(","),
    ),
    row(
        "htpasswd",
        |f| f.htpasswd.is_some(),
        |r| r.htpasswd.is_some(),
        |k| path(k.htpasswd.as_ref()),
    ),
    row(
        "compression",
        |f| f.compression.is_some(),
        always,
        |k| k.config.compression.to_string(),
    ),
    row(
        "deployment",
        |f| f.deployment.is_some(),
        always,
        |k| k.config.deployment.clone(),
    ),
];

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "it makes the files that a start reads"
)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_the_nearest_of_its_origins() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("conf"), "name = filed\nsize = 32M\nhttp = off\n").unwrap();
        let data_dir = at("data");
        let mut before = Config::new(&data_dir, "/tmp/before.sock");
        before.ipc_socket_mode = 0o600;
        before.advertise = Some("blue".into());
        remembered::save(&data_dir, &Remembered::of(&before, None)).unwrap();
        let variables = [("VINEYARD_SIZE", "16M"), ("VINEYARD_LOG", "warn")];
        let machine = Machine {
            variables: variables.map(|(n, v)| (n.into(), v.into())).into(),
            ..Machine::here()
        };
        let conf = format!("--config={}", at("conf").display());
        let data_dir = format!("--data-dir={}", data_dir.display());
        let args = [conf, data_dir, "--log=debug".into(), "--token=vy1.s".into()];
        let found = settings(args.to_vec(), &machine);
        assert!(found.is_err(), "a token without a cluster");
        let found = settings(args[..3].to_vec(), &machine).unwrap();
        let of = |name: &str| {
            let one = found.list.iter().find(|one| one.name == name).unwrap();
            (one.value.as_str(), one.origin)
        };
        assert_eq!(of("log"), ("debug", Origin::Flag));
        assert_eq!(of("size"), ("16 MiB", Origin::Environment));
        assert_eq!(of("name"), ("filed", Origin::File));
        assert_eq!(of("http"), ("off", Origin::File));
        assert_eq!(of("socket"), ("/tmp/before.sock", Origin::Remembered));
        assert_eq!(of("advertise"), ("blue", Origin::Remembered));
        assert_eq!(of("slow-request-ms"), ("1000", Origin::Default));
        assert!(!found.token_is_seen && found.token_file.is_none());
    }

    #[test]
    fn every_flag_that_sets_something_has_a_row() {
        // For one start, or about the command line itself.
        let others = ["config", "flagfile", "found", "help", "moved", "version"];
        let same = [("rpc-socket-port", "listen"), ("token", "token-file")];
        let ours = super::super::flags::documented().filter(|flag| flag.is_ours);
        for flag in ours.filter(|flag| !others.contains(&flag.name)) {
            let name = same.iter().find(|(name, _)| *name == flag.name);
            let name = name.map_or(flag.name, |(_, row)| row);
            assert!(ROWS.iter().any(|row| row.name == name), "{name}");
        }
    }
}
