//! The command line of `vineyardd`, in the style of gflags, which the released server uses.
//!
//! Understood: `--x v`, `--x=v`, `-x v`, `--flag`, `--noflag`, `--a_b` for `--a-b`, `--flagfile=F`. Promise: each flag
//! of the released server is accepted, with one notice if it has no effect any more; an unknown one is an error that
//! names the nearest known flag. Parsing does no I/O: the caller supplies the reader of flag files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vineyard_raft::features::LATEST;
use vineyard_raft::{ROUND_TRIP_MS, ROUND_TRIP_MS_MAX};
use vineyard_wire::limits::ENDPOINT_BYTES_MAX;

use crate::config::{size, with_port};

mod file;
mod table;

pub use table::{ABOUT, Documented, documented, help};
use table::{Meaning, Ours, Spec, Takes};

/// Flag files may name further flag files, this deep.
const FLAGFILE_DEPTH_MAX: usize = 8;

/// The flags of a command line; `None` where a flag was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub help: bool,
    pub version: bool,
    /// The settings file.
    pub config: Option<PathBuf>,
    pub socket: Option<String>,
    pub socket_mode: Option<u32>,
    pub size_bytes: Option<u64>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<String>,
    pub advertise: Option<String>,
    pub rpc_socket_port: Option<u16>,
    pub join: Vec<String>,
    pub expect: Option<u8>,
    pub found: bool,
    pub moved: bool,
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub slow_request_ms: Option<u64>,
    pub name: Option<String>,
    pub stream_threshold_percent: Option<u8>,
    pub deployment: Option<String>,
    pub compression: Option<bool>,
    pub rpc: Option<bool>,
    pub rpc_open_to_anyone: Option<bool>,
    pub insecure: Option<bool>,
    pub require_tls: Option<bool>,
    pub http: Option<bool>,
    pub http_hosts: Option<Vec<String>>,
    pub htpasswd: Option<PathBuf>,
    pub replace_after: Option<Duration>,
    pub round_trip_ms: Option<u64>,
    pub metadata_quota_bytes: Option<u64>,
    pub transient_quota_bytes: Option<u64>,
    pub feature_level: Option<u8>,
    /// Lines for the operator about flags that were accepted and have no effect.
    pub notices: Vec<String>,
}

/// How the log on stderr is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// An invalid command line.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    #[error("unknown flag --{name}{}", hint(.nearest))]
    Unknown {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("{text:?} is not a flag; flags begin with --, see --help")]
    NotAFlag { text: String },
    #[error("--{name} needs a value: {meaning}")]
    NoValue {
        name: &'static str,
        meaning: &'static str,
    },
    #[error("--{name}={value}: {reason}")]
    BadValue {
        name: String,
        value: String,
        reason: String,
    },
    #[error("cannot read the flag file {}: {source}", path.display())]
    FlagFile { path: PathBuf, source: io::Error },
    #[error("--config {}, line {line}: {reason}", path.display())]
    ConfigLine {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("cannot read the settings file {}: {source}", path.display())]
    ConfigFile { path: PathBuf, source: io::Error },
    #[error("flag files name each other more than {FLAGFILE_DEPTH_MAX} deep, at {}", path.display())]
    FlagFileDepth { path: PathBuf },
}

fn hint(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean --{name}? See --help"),
        None => "; see --help".to_owned(),
    }
}

/// Reads a flag file as text.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

impl Flags {
    /// `args` without the program's name. Later flags win over earlier ones.
    pub fn parse<I>(args: I, read_file: ReadFile<'_>) -> Result<Self, FlagError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut flags = Self::default();
        flags.read(args.into_iter().map(Into::into).collect(), read_file, 0)?;
        Ok(flags)
    }

    fn read(
        &mut self,
        args: Vec<String>,
        read: ReadFile<'_>,
        depth: usize,
    ) -> Result<(), FlagError> {
        let mut rest = args.into_iter();
        while let Some(arg) = rest.next() {
            let body = match arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) {
                Some(body) if !body.is_empty() => body,
                _ => return Err(FlagError::NotAFlag { text: arg }),
            };
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let (spec, negated) = find(name)?;
            let value = match (spec.takes, inline) {
                (Takes::Switch, None) => (!negated).to_string(),
                (Takes::Switch, Some(value)) => value,
                (Takes::Value(_), Some(value)) => value,
                (Takes::Value(meaning), None) => {
                    let missing = FlagError::NoValue {
                        name: spec.name,
                        meaning,
                    };
                    rest.next().ok_or(missing)?
                }
            };
            match spec.meaning {
                Meaning::Ours(Ours::FlagFile) => self.read_files(&value, read, depth)?,
                Meaning::Ours(ours) => self.set(ours, spec.name, &value)?,
                Meaning::Nothing(why) => self.notices.push(format!("--{}: {why}", spec.name)),
            }
        }
        Ok(())
    }

    fn read_files(
        &mut self,
        names: &str,
        read: ReadFile<'_>,
        depth: usize,
    ) -> Result<(), FlagError> {
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let path = PathBuf::from(name);
            if depth >= FLAGFILE_DEPTH_MAX {
                return Err(FlagError::FlagFileDepth { path });
            }
            let text = match read(&path) {
                Ok(text) => text,
                Err(source) => return Err(FlagError::FlagFile { path, source }),
            };
            self.read(words(&text), read, depth + 1)?;
        }
        Ok(())
    }

    fn set(&mut self, ours: Ours, name: &str, value: &str) -> Result<(), FlagError> {
        let bad = |reason: String| FlagError::BadValue {
            name: name.to_owned(),
            value: value.to_owned(),
            reason,
        };
        let on = || switch(value).ok_or_else(|| bad(NOT_A_SWITCH.to_owned()));
        let text = || Some(value.to_owned()).filter(|v| !v.is_empty());
        match ours {
            Ours::Help => self.help = on()?,
            Ours::Version => self.version = on()?,
            Ours::Config => self.config = text().map(PathBuf::from),
            Ours::Socket => self.socket = text(),
            Ours::SocketMode => self.socket_mode = Some(mode(value).map_err(bad)?),
            Ours::Size => self.size_bytes = size::parse(value).map_err(|e| bad(e.to_string()))?,
            Ours::DataDir => self.data_dir = text().map(PathBuf::from),
            Ours::Listen => self.listen = text(),
            // An empty value differs from no flag: a data directory may remember one.
            Ours::Advertise => self.advertise = Some(advertise(value).map_err(bad)?),
            Ours::RpcSocketPort => self.rpc_socket_port = Some(port(value).map_err(bad)?),
            Ours::Join => self.join = endpoints(value).map_err(bad)?,
            Ours::Expect => self.expect = Some(expect(value).map_err(bad)?),
            Ours::Found => self.found = on()?,
            Ours::Moved => self.moved = on()?,
            Ours::Token => {
                self.notices.push(TOKEN_IS_SEEN.to_owned());
                self.token = text();
            }
            Ours::TokenFile => self.token_file = text().map(PathBuf::from),
            Ours::Log => self.log = text(),
            Ours::LogFormat => self.log_format = Some(log_format(value).map_err(bad)?),
            Ours::Name => self.name = Some(node_name(value).map_err(bad)?),
            Ours::SlowRequestMs => {
                let ms = value
                    .parse()
                    .map_err(|_| bad("write milliseconds".to_owned()))?;
                self.slow_request_ms = Some(ms);
            }
            Ours::StreamThreshold => {
                let percent = value
                    .parse()
                    .ok()
                    .filter(|percent| (1..=100).contains(percent));
                let percent =
                    percent.ok_or_else(|| bad("write a number from 1 to 100".to_owned()))?;
                self.stream_threshold_percent = Some(percent);
            }
            Ours::Deployment => self.deployment = Some(deployment(value).map_err(bad)?),
            Ours::Compression => {
                self.compression = Some(on()?);
            }
            Ours::Rpc => self.rpc = Some(on()?),
            Ours::RpcOpenToAnyone => {
                self.rpc_open_to_anyone = Some(on()?);
            }
            Ours::Insecure => self.insecure = Some(on()?),
            Ours::RequireTls => self.require_tls = Some(on()?),
            Ours::Http => self.http = Some(on_or_off(value).map_err(bad)?),
            Ours::HttpHost => {
                let names = value.split(',').filter(|name| !name.is_empty());
                self.http_hosts = Some(names.map(str::to_owned).collect());
            }
            // An empty value differs from no flag: a data directory may remember one.
            Ours::Htpasswd => self.htpasswd = Some(PathBuf::from(value)),
            Ours::FeatureLevel => self.feature_level = Some(feature_level(value).map_err(bad)?),
            Ours::ReplaceAfter => self.replace_after = Some(duration(value).map_err(bad)?),
            Ours::RoundTripMs => self.round_trip_ms = Some(round_trip_ms(value).map_err(bad)?),
            Ours::MetadataQuota => self.metadata_quota_bytes = Some(quota(value).map_err(bad)?),
            Ours::TransientQuota => self.transient_quota_bytes = Some(quota(value).map_err(bad)?),
            Ours::FlagFile => unreachable!("flag files are read before values are set"),
        }
        Ok(())
    }
}

fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text or json".to_owned()),
    }
}

fn on_or_off(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

/// Clusters of other sizes are grown from these.
fn expect(value: &str) -> Result<u8, String> {
    let nodes = value.parse().ok();
    let nodes = nodes.filter(|nodes| [1, 3, 5].contains(nodes));
    nodes.ok_or_else(|| {
        "write 1, 3 or 5: of an even number no more nodes may fail than of one less, and more than 5 nodes never vote; \
         nodes beyond these join by --join alone"
            .to_owned()
    })
}

fn feature_level(value: &str) -> Result<u8, String> {
    let level = value.parse().ok().filter(|level| *level <= LATEST);
    level.ok_or_else(|| format!("write a level from 0 to {LATEST}"))
}

/// Milliseconds that a cluster can be set to.
///
/// # Errors
/// What to write instead.
pub fn round_trip_ms(value: &str) -> Result<u64, String> {
    let known = ROUND_TRIP_MS..=ROUND_TRIP_MS_MAX;
    let ms = value.parse().ok().filter(|ms| known.contains(ms));
    ms.ok_or_else(|| {
        format!(
            "write milliseconds from {ROUND_TRIP_MS} to {ROUND_TRIP_MS_MAX}; the least is the usual"
        )
    })
}

/// Bytes of metadata.
///
/// # Errors
/// What to write instead.
pub fn quota(value: &str) -> Result<u64, String> {
    let bytes = size::parse(value).map_err(|error| error.to_string())?;
    let bytes = bytes.filter(|bytes| *bytes >= QUOTA_BYTES_MIN);
    bytes.ok_or_else(|| "write a size of 1M at least, as in 512M or 4G".to_owned())
}

/// Less is hardly meant: a few thousand objects.
const QUOTA_BYTES_MIN: u64 = 1 << 20;

/// As in `90s`, `10m` or `2h`; at least a second.
///
/// # Errors
/// What to write instead.
pub fn duration(value: &str) -> Result<Duration, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &value[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => 0,
    };
    let seconds = digits.parse::<u32>().ok().map(|n| u64::from(n) * factor);
    let seconds = seconds.filter(|seconds| *seconds > 0);
    let duration = seconds.map(Duration::from_secs);
    duration.ok_or_else(|| "write a time as in 90s, 10m or 2h".to_owned())
}

/// Other users can see the arguments of a process.
const TOKEN_IS_SEEN: &str = "--token: other users of this machine can read it in the process list; use --token-file or VINEYARD_TOKEN";
/// As many as a host name may have.
const NAME_CHARS_MAX: usize = 253;
pub(crate) const NOT_A_SWITCH: &str = "write true or false";

/// The flag called `name` in any of its spellings, and whether it was `--noname`.
fn find(name: &str) -> Result<(&'static Spec, bool), FlagError> {
    let plain = name.replace('_', "-");
    if let Some(spec) = table::named(&plain) {
        return Ok((spec, false));
    }
    if let Some(spec) = plain.strip_prefix("no").and_then(table::named)
        && matches!(spec.takes, Takes::Switch)
    {
        return Ok((spec, true));
    }
    Err(FlagError::Unknown {
        name: name.to_owned(),
        nearest: table::nearest(&plain),
    })
}

/// The arguments in a flag file: one flag a line, `--x=v` or `--x v`; `#` begins a comment line.
fn words(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .flat_map(|line| match line.split_once(char::is_whitespace) {
            Some((flag, value)) if !flag.contains('=') => {
                vec![flag.to_owned(), value.trim().to_owned()]
            }
            _ => vec![line.to_owned()],
        })
        .collect()
}

pub(crate) fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

pub(crate) fn mode(value: &str) -> Result<u32, String> {
    let digits = value.strip_prefix("0o").unwrap_or(value);
    let parsed = u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    parsed.ok_or_else(|| "write a file mode in octal, as in 0660".to_owned())
}

fn port(value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_| "write a port from 0 (any free one) to 65535".to_owned())
}

/// A node's name stands in tables, logs and texts for people: one word.
fn node_name(value: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    match (1..=NAME_CHARS_MAX).contains(&value.chars().count()) && value.chars().all(is_plain) {
        true => Ok(value.to_owned()),
        false => Err(format!(
            "write 1 to {NAME_CHARS_MAX} letters, digits, dots, hyphens or underscores"
        )),
    }
}

fn deployment(value: &str) -> Result<String, String> {
    match value {
        "local" | "distributed" => Ok(value.to_owned()),
        _ => Err("write local or distributed".to_owned()),
    }
}

/// `host` or `host:port`, or nothing.
pub(crate) fn advertise(value: &str) -> Result<String, String> {
    let (host, port) = match has_port(value) {
        true => value.rsplit_once(':').unwrap_or((value, "")),
        false => (value, "1"),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = !host.chars().any(char::is_whitespace) && (is_bracketed || !host.contains(':'));
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_whole = !host.is_empty() || value.is_empty();
    if !(is_host && is_port && is_whole) {
        return Err("write host or host:port, as others dial this node".to_owned());
    }
    if value.len() + ":65535".len() > ENDPOINT_BYTES_MAX {
        return Err(format!(
            "a host and its port have at most {ENDPOINT_BYTES_MAX} bytes"
        ));
    }
    Ok(value.to_owned())
}

/// Whether a port follows the host.
pub(crate) fn has_port(value: &str) -> bool {
    let is_bracketed = value.starts_with('[') && value.ends_with(']');
    value.contains(':') && !is_bracketed
}

/// `host:port,host`, each checked and with a port.
pub(crate) fn endpoints(value: &str) -> Result<Vec<String>, String> {
    let list: Vec<String> = value
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty())
        .map(|endpoint| with_port(endpoint).ok_or(format!("{endpoint:?} is not host:port")))
        .collect::<Result<_, _>>()?;
    if list.is_empty() {
        return Err("write host:port of a node of the cluster".to_owned());
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
