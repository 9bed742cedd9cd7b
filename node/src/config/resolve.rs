//! Makes a `Config`: each setting from its flag, else the environment, else the settings file, else `node.json` of the
//! data directory, else the default.
//!
//! Pure: the machine's facts and the remembered settings are arguments.

mod bounds;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::flags::{Flags, NOT_A_SWITCH, advertise, endpoints, mode, switch};
use crate::config::memory::Memory;
use crate::config::size::{self, SizeError};
use crate::config::{Config, Join, Listen, Machine, PORT_DEFAULT, Remembered, tls};

/// Settings that contradict each other or are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}={value}: {reason}")]
    BadVariable {
        name: &'static str,
        value: String,
        reason: String,
    },
    #[error("--listen {listen}: write host, host:port or :port")]
    BadListen { listen: String },
    #[error(
        "--listen {listen}: others are told the address that is bound, and nobody can dial this one; name the \
         address of one interface, or say with --advertise where others dial this node"
    )]
    ListenEverywhere { listen: String },
    #[error(
        "--listen says port {listen}, --rpc_socket_port says {rpc_socket_port}; give one of them"
    )]
    TwoPorts { listen: u16, rpc_socket_port: u16 },
    #[error(
        "--join needs a token: --token-file FILE or VINEYARD_TOKEN; `vineyardctl token` prints it on any node of the \
         cluster"
    )]
    NoToken,
    #[error(
        "a token without --join: name a node of the cluster it belongs to, or found that cluster with --found"
    )]
    NoJoin,
    #[error(
        "--expect without --join: name with --join the nodes that form the cluster, this one among them, on all of them \
         alike"
    )]
    ExpectWithoutJoin,
    #[error("--token and --token-file: give one of them")]
    TwoTokens,
    #[error("--insecure and --require-tls: give one of them")]
    InsecureAndTls,
    #[error("--found and --join: a node founds a cluster or becomes part of one")]
    FoundAndJoin,
    #[error(
        "the socket path {path:?} has {bytes} bytes; the system allows {SOCKET_PATH_BYTES_MAX}"
    )]
    SocketPath { path: String, bytes: usize },
    #[error(
        "--size {}: the machine has {} of memory; give it less",
        size::show(*size_bytes),
        size::show(*machine_bytes)
    )]
    BeyondMachine { size_bytes: u64, machine_bytes: u64 },
}

/// What fits into `sockaddr_un`, less its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// `flags` with the gaps filled from the environment. Numbers in variables are checked like those in flags.
pub fn with_variables(mut flags: Flags, machine: &Machine) -> Result<Flags, ConfigError> {
    let variable = |name: &'static str| {
        machine
            .variables
            .get(name)
            .filter(|v| !v.is_empty())
            .cloned()
    };
    let bad = |name: &'static str, reason: String| {
        let value = variable(name).unwrap_or_default();
        ConfigError::BadVariable {
            name,
            value,
            reason,
        }
    };
    // VINEYARD_CONFIG is the clients': it says where a node is.
    flags.config = flags
        .config
        .or_else(|| variable("VINEYARDD_CONFIG").map(PathBuf::from));
    flags.socket = flags.socket.or_else(|| variable("VINEYARD_SOCKET"));
    flags.data_dir = flags
        .data_dir
        .or_else(|| variable("VINEYARD_DATA_DIR").map(PathBuf::from));
    flags.log = flags.log.or_else(|| variable("VINEYARD_LOG"));
    // A port given by flag overrides the listen address of the environment as well.
    if flags.listen.is_none() && flags.rpc_socket_port.is_none() {
        flags.listen = variable("VINEYARD_LISTEN");
    }
    // A token without a cluster may stand in the environment of every node; it is used by those that join.
    if flags.advertise.is_none()
        && let Some(value) = variable("VINEYARD_ADVERTISE")
    {
        let told = advertise(&value);
        flags.advertise = Some(told.map_err(|reason| bad("VINEYARD_ADVERTISE", reason))?);
    }
    if flags.join.is_empty()
        && let Some(value) = variable("VINEYARD_JOIN")
    {
        flags.join = endpoints(&value).map_err(|reason| bad("VINEYARD_JOIN", reason))?;
    }
    let told = flags.token.is_some() || flags.token_file.is_some();
    if !flags.join.is_empty() && !told {
        flags.token = variable("VINEYARD_TOKEN");
        if flags.token.is_none() {
            flags.token_file = variable("VINEYARD_TOKEN_FILE").map(PathBuf::from);
        }
    }
    if flags.socket_mode.is_none()
        && let Some(value) = variable("VINEYARD_SOCKET_MODE")
    {
        flags.socket_mode =
            Some(mode(&value).map_err(|reason| bad("VINEYARD_SOCKET_MODE", reason))?);
    }
    if flags.rpc_open_to_anyone.is_none()
        && let Some(value) = variable("VINEYARD_RPC_OPEN_TO_ANYONE")
    {
        let parsed = switch(&value);
        let reason = || bad("VINEYARD_RPC_OPEN_TO_ANYONE", NOT_A_SWITCH.to_owned());
        flags.rpc_open_to_anyone = Some(parsed.ok_or_else(reason)?);
    }
    if flags.size_bytes.is_none()
        && let Some(value) = variable("VINEYARD_SIZE")
    {
        let parsed = size::parse(&value);
        flags.size_bytes = parsed.map_err(|e: SizeError| bad("VINEYARD_SIZE", e.to_string()))?;
    }
    Ok(flags)
}

/// Where the node keeps what must survive it. `flags` as `with_variables` returned them.
pub fn data_dir(flags: &Flags, machine: &Machine) -> PathBuf {
    match &flags.data_dir {
        Some(dir) => machine.current_dir.join(dir),
        None => default_data_dir(
            &socket_or_default(flags.socket.as_deref(), machine),
            machine,
        ),
    }
}

/// The whole configuration. `flags` as `with_variables` returned them; `remembered` from `data_dir(flags, machine)`.
pub fn config(
    flags: &Flags,
    machine: &Machine,
    remembered: Option<&Remembered>,
) -> Result<Config, ConfigError> {
    let socket = match (&flags.socket, remembered) {
        (None, Some(remembered)) => remembered.socket.clone(),
        (told, _) => text(&socket_or_default(told.as_deref(), machine)),
    };
    if socket.len() > SOCKET_PATH_BYTES_MAX {
        return Err(ConfigError::SocketPath {
            bytes: socket.len(),
            path: socket,
        });
    }
    let mut config = Config::new(data_dir(flags, machine), socket);
    config.advertise = match &flags.advertise {
        Some(told) => Some(told.clone()).filter(|told| !told.is_empty()),
        None => remembered.and_then(|r| r.advertise.clone()),
    };
    config.listen = listen(flags, remembered, config.advertise.is_some())?;
    config.join = join(flags, remembered)?;
    config.expect = expect(flags, remembered)?;
    config.seeds = seeds(flags, remembered);
    config.found = founds(flags, remembered);
    config.founding_token = founding_token(flags, remembered);
    config.size_bytes = flags
        .size_bytes
        .or(remembered.map(|r| r.size_bytes))
        .or(machine.memory.usable_bytes().map(default_size_bytes))
        .unwrap_or(config.size_bytes);
    let mode = flags.socket_mode.or(remembered.map(|r| r.socket_mode));
    config.ipc_socket_mode = mode.unwrap_or(config.ipc_socket_mode);
    config.rpc = flags
        .rpc
        .or(remembered.map(|r| r.rpc))
        .unwrap_or(config.rpc);
    config.rpc_open_to_anyone = flags
        .rpc_open_to_anyone
        .or(remembered.map(|r| r.rpc_open_to_anyone))
        .unwrap_or(config.rpc_open_to_anyone);
    let known = remembered.and_then(|r| r.replace_after_ms);
    let replace_after = flags.replace_after.or(known.map(Duration::from_millis));
    config.replace_after = replace_after.unwrap_or(config.replace_after);
    bounds::set(&mut config, flags, remembered);
    config.tls = tls::of(flags, remembered)?;
    config.http = flags
        .http
        .or(remembered.map(|r| r.http))
        .unwrap_or(config.http);
    let hosts = flags
        .http_hosts
        .clone()
        .or(remembered.map(|r| r.http_hosts.clone()));
    config.http_hosts = hosts.unwrap_or_default();
    // Not remembered, so that an upgrade ends with a restart without the flag.
    config.feature_level = flags.feature_level.unwrap_or(config.feature_level);
    let compression = flags.compression.or(remembered.map(|r| r.compression));
    config.compression = compression.unwrap_or(config.compression);
    let deployment = flags
        .deployment
        .clone()
        .or(remembered.map(|r| r.deployment.clone()));
    config.deployment = deployment.unwrap_or(config.deployment);
    config.name = flags
        .name
        .clone()
        .or(remembered.and_then(|known| known.name.clone()));
    if let Some(ms) = flags.slow_request_ms {
        config.limits.slow_request = Duration::from_millis(ms);
    }
    if let Some(percent) = flags.stream_threshold_percent {
        config.limits.stream_threshold_percent = percent;
    }
    Ok(config)
}

/// The file of the users that may register; an empty flag turns passwords off again.
pub fn htpasswd(
    flags: &Flags,
    machine: &Machine,
    remembered: Option<&Remembered>,
) -> Option<PathBuf> {
    match &flags.htpasswd {
        Some(told) if told.as_os_str().is_empty() => None,
        Some(told) => Some(machine.current_dir.join(told)),
        None => remembered?.htpasswd.clone(),
    }
}

/// The source of the token; `None` if there is no token. `flags` as `with_variables` returned them.
pub fn token_file(flags: &Flags, machine: &Machine) -> Result<Option<PathBuf>, ConfigError> {
    match &flags.token_file {
        Some(_) if flags.token.is_some() => Err(ConfigError::TwoTokens),
        Some(path) => Ok(Some(machine.current_dir.join(path))),
        None => Ok(None),
    }
}

/// Whether a new data directory becomes a new cluster: with `--found`, which is remembered until the founding has
/// succeeded, or if no directory was named. A directory that was named and is empty is likely the wrong one.
fn founds(flags: &Flags, remembered: Option<&Remembered>) -> bool {
    flags.found || flags.data_dir.is_none() || remembered.is_some_and(|r| r.found)
}

/// The token of a cluster that this node founds.
fn founding_token(flags: &Flags, remembered: Option<&Remembered>) -> Option<String> {
    let told = flags.token.clone().filter(|_| flags.found);
    told.or_else(|| remembered.and_then(|known| known.founding_token.clone()))
}

fn join(flags: &Flags, remembered: Option<&Remembered>) -> Result<Option<Join>, ConfigError> {
    if flags.found && !flags.join.is_empty() {
        return Err(ConfigError::FoundAndJoin);
    }
    match (flags.join.is_empty(), &flags.token) {
        (true, None) => Ok(remembered.and_then(|r| r.join.clone())),
        // The founder of a cluster whose token was made before it.
        (true, Some(_)) if flags.found => Ok(None),
        (true, Some(_)) => Err(ConfigError::NoJoin),
        // A node that a cluster has admitted needs no token: `seeds` has what it asks.
        (false, None) if remembered.is_some_and(|r| r.node.is_some()) => Ok(None),
        (false, None) => match remembered.and_then(|r| r.join.clone()) {
            Some(old) => Ok(Some(Join {
                endpoints: flags.join.clone(),
                token: old.token,
            })),
            None => Err(ConfigError::NoToken),
        },
        (false, Some(token)) => Ok(Some(Join {
            endpoints: flags.join.clone(),
            token: token.clone(),
        })),
    }
}

/// How many nodes form the cluster. A line with `--join` says it anew: without `--expect` the node only joins.
fn expect(flags: &Flags, remembered: Option<&Remembered>) -> Result<Option<u8>, ConfigError> {
    let is_joining = |known: &Remembered| known.join.is_some() || known.node.is_some();
    match (flags.expect, flags.join.is_empty()) {
        (Some(_), true) if !remembered.is_some_and(is_joining) => {
            Err(ConfigError::ExpectWithoutJoin)
        }
        (None, true) => Ok(remembered.and_then(|known| known.expect)),
        (told, _) => Ok(told),
    }
}

/// Whom a node asks where the others are: what it was told last.
fn seeds(flags: &Flags, remembered: Option<&Remembered>) -> Vec<String> {
    if !flags.join.is_empty() {
        return flags.join.clone();
    }
    let Some(remembered) = remembered else {
        return Vec::new();
    };
    // Earlier builds remembered the join alone.
    let joined = remembered.join.iter().flat_map(|join| &join.endpoints);
    match remembered.seeds.is_empty() {
        true => joined.cloned().collect(),
        false => remembered.seeds.clone(),
    }
}

fn listen(
    flags: &Flags,
    remembered: Option<&Remembered>,
    is_advertised: bool,
) -> Result<Listen, ConfigError> {
    let remembered = remembered.and_then(|r| r.listen.clone());
    let everywhere = |listen: &str| ConfigError::ListenEverywhere {
        listen: listen.to_owned(),
    };
    let Some(told) = &flags.listen else {
        let known = match (flags.rpc_socket_port, remembered) {
            (None, Some(bound)) => Listen::At(bound),
            (Some(port), Some(bound)) => match bound.rsplit_once(':') {
                Some((host, _)) => Listen::At(format!("{host}:{port}")),
                None => Listen::Auto { port },
            },
            (port, None) => Listen::Auto {
                port: port.unwrap_or(PORT_DEFAULT),
            },
        };
        return match &known {
            Listen::At(bound) if !is_advertised && is_everywhere(host_of(bound)) => {
                Err(everywhere(bound))
            }
            _ => Ok(known),
        };
    };
    let bad = || ConfigError::BadListen {
        listen: told.clone(),
    };
    let host = host_of(told);
    if is_everywhere(host) && !is_advertised {
        return Err(everywhere(told));
    }
    let port = match told[host.len()..].strip_prefix(':') {
        Some(port) => Some(port.parse::<u16>().map_err(|_| bad())?),
        None => None,
    };
    let port = match (port, flags.rpc_socket_port) {
        (Some(listen), Some(rpc_socket_port)) if listen != rpc_socket_port => {
            return Err(ConfigError::TwoPorts {
                listen,
                rpc_socket_port,
            });
        }
        (one, other) => one.or(other).unwrap_or(PORT_DEFAULT),
    };
    let bare = bare(host);
    let is_address = bare.parse::<IpAddr>().is_ok();
    if (host.contains(':') && !is_address) || host.chars().any(char::is_whitespace) {
        return Err(bad());
    }
    Ok(if host.is_empty() {
        Listen::Auto { port }
    } else if bare.contains(':') {
        Listen::At(format!("[{bare}]:{port}"))
    } else {
        Listen::At(format!("{host}:{port}"))
    })
}

/// The part before the port. An address of IP version 6 stands in brackets if a port follows.
fn host_of(listen: &str) -> &str {
    let is_address = bare(listen).parse::<IpAddr>().is_ok();
    match listen.rsplit_once(':') {
        Some((host, _)) if !is_address => host,
        _ => listen,
    }
}

/// `host` without brackets.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// Whether `host` is the address that stands for every interface.
fn is_everywhere(host: &str) -> bool {
    bare(host)
        .parse()
        .is_ok_and(|address: IpAddr| address.is_unspecified())
}

/// What is said of an arena of `size_bytes` in this much memory. Beyond the machine's it is refused: what the kernel
/// ends for it is not this node alone. Beyond the limit of a control group it is a notice: pages are taken when they
/// are first written, and by the group of the process that writes.
pub fn check_size(size_bytes: u64, memory: &Memory) -> Result<Option<String>, ConfigError> {
    if let Some(machine_bytes) = memory.machine_bytes.filter(|bytes| size_bytes > *bytes) {
        return Err(ConfigError::BeyondMachine {
            size_bytes,
            machine_bytes,
        });
    }
    let needed = Memory::needed_bytes(size_bytes);
    let short = memory
        .group
        .as_ref()
        .filter(|group| needed > group.limit_bytes);
    Ok(short.map(|group| {
        format!(
            "--size {}: with what else a node needs that is {}, and the control group of this process allows {} ({}); \
             the kernel ends the node, or a client of the same group, that writes beyond that",
            size::show(size_bytes),
            size::show(needed),
            size::show(group.limit_bytes),
            group.file
        )
    }))
}

/// Half of the memory: the arena is allocated page by page, and the processes that use it need memory as well.
fn default_size_bytes(memory_bytes: u64) -> u64 {
    (memory_bytes / 2 / 4096).max(1) * 4096
}

/// The socket of a node that belongs to the system rather than to a user.
pub const SOCKET_OF_SERVICE: &str = "/var/run/vineyard.sock";

/// As the released server: `/var/run/vineyard.sock` where one may write there, else a folder of the user.
pub fn default_socket(machine: &Machine) -> PathBuf {
    match &machine.home {
        Some(home) if !machine.run_dir_writable => home.join(".local/vineyard/vineyard.sock"),
        _ => PathBuf::from(SOCKET_OF_SERVICE),
    }
}

fn socket_or_default(told: Option<&str>, machine: &Machine) -> PathBuf {
    match told {
        Some(path) => machine.current_dir.join(path),
        None => default_socket(machine),
    }
}

/// One per socket, so that two nodes of one machine never share it: beside a socket in a temporary folder (removing the
/// folder removes the node), else under the user's data folder, which survives a reboot.
fn default_data_dir(socket: &Path, machine: &Machine) -> PathBuf {
    let temporary = [
        machine.temp_dir.as_path(),
        Path::new("/tmp"),
        Path::new("/dev/shm"),
    ];
    if temporary
        .iter()
        .any(|dir| !dir.as_os_str().is_empty() && socket.starts_with(dir))
    {
        let mut beside = socket.as_os_str().to_owned();
        beside.push(".data");
        return PathBuf::from(beside);
    }
    let user = machine.home.as_ref().map(|home| home.join(".local/share"));
    let base = machine
        .data_home
        .clone()
        .or(user)
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    base.join("vineyard").join(folder_name(socket))
}

/// `path` as one file name. `-` stands for `/`, and `_` escapes, so that different paths have different names.
fn folder_name(path: &Path) -> String {
    let mut name = String::new();
    for c in text(path).trim_start_matches('/').chars() {
        match c {
            '/' => name.push('-'),
            '-' => name.push_str("_-"),
            '_' => name.push_str("__"),
            other => name.push(other),
        }
    }
    name
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
