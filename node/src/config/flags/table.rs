//! Every flag in one table: ours, and the released server's with their present meaning.

/// One flag. Names use `-`; the command line may use `_`.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) meaning: Meaning,
    /// One line for `--help`.
    about: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Takes {
    Switch,
    /// What to write there.
    Value(&'static str),
}

#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Ours(Ours),
    /// Accepted without effect, with this notice.
    Nothing(&'static str),
}

#[derive(Clone, Copy)]
pub(super) enum Ours {
    Help,
    Version,
    FlagFile,
    Config,
    Socket,
    SocketMode,
    Size,
    DataDir,
    Listen,
    Advertise,
    RpcSocketPort,
    Join,
    Expect,
    Found,
    Moved,
    Token,
    TokenFile,
    Log,
    LogFormat,
    Name,
    SlowRequestMs,
    StreamThreshold,
    Deployment,
    Compression,
    Rpc,
    RpcOpenToAnyone,
    Insecure,
    RequireTls,
    Http,
    HttpHost,
    Htpasswd,
    FeatureLevel,
    ReplaceAfter,
    RoundTripMs,
    MetadataQuota,
    TransientQuota,
}

const fn ours(name: &'static str, takes: Takes, ours: Ours, about: &'static str) -> Spec {
    Spec {
        name,
        takes,
        meaning: Meaning::Ours(ours),
        about,
    }
}

const fn value(name: &'static str, why: &'static str) -> Spec {
    Spec {
        name,
        takes: Takes::Value("VALUE"),
        meaning: Meaning::Nothing(why),
        about: why,
    }
}

const fn switch(name: &'static str, why: &'static str) -> Spec {
    Spec {
        name,
        takes: Takes::Switch,
        meaning: Meaning::Nothing(why),
        about: why,
    }
}

const NO_ETCD: &str =
    "not needed any more, nodes keep the metadata themselves; use --join to form a cluster";
const NO_REDIS: &str = "not needed any more, nodes keep the metadata themselves";
const NO_SPILL: &str = "this version does not spill to disk; a full store refuses with the facts";
const NO_METRICS: &str = "this version prints no metrics; see vineyardctl status -o json";
const NO_GLOG: &str = "logging is set by --log, as in --log info or --log vineyard_node=debug";

static TABLE: [Spec; 76] = [
    ours(
        "socket",
        Takes::Value("PATH"),
        Ours::Socket,
        "Unix socket for processes of this machine",
    ),
    ours(
        "socket-mode",
        Takes::Value("OCTAL"),
        Ours::SocketMode,
        "its file mode [0660]",
    ),
    ours(
        "size",
        Takes::Value("SIZE"),
        Ours::Size,
        "shared memory, as in 512M or 64G [half of the memory]",
    ),
    ours(
        "data-dir",
        Takes::Value("DIR"),
        Ours::DataDir,
        "what must survive a restart; alone it restarts a node",
    ),
    ours(
        "listen",
        Takes::Value("HOST[:PORT]"),
        Ours::Listen,
        "TCP address for clients and nodes [127.0.0.1:9600]",
    ),
    ours(
        "advertise",
        Takes::Value("HOST[:PORT]"),
        Ours::Advertise,
        "where others dial this node: a name, or an address of its machine [what is bound]",
    ),
    ours(
        "rpc-socket-port",
        Takes::Value("PORT"),
        Ours::RpcSocketPort,
        "the port alone; 0 is any free one [9600]",
    ),
    ours(
        "join",
        Takes::Value("HOST:PORT,..."),
        Ours::Join,
        "nodes of the cluster to become part of, and to ask for the others later on; at first with --token-file",
    ),
    ours(
        "expect",
        Takes::Value("1|3|5"),
        Ours::Expect,
        "with --join and a token: so many new nodes, started alike, form the cluster that is not there yet",
    ),
    ours(
        "found",
        Takes::Switch,
        Ours::Found,
        "found a new cluster in --data-dir if there is no node yet",
    ),
    ours(
        "moved",
        Takes::Switch,
        Ours::Moved,
        "for one start: --data-dir was copied here whole after its node had stopped",
    ),
    ours(
        "token-file",
        Takes::Value("FILE"),
        Ours::TokenFile,
        "holds what `vineyardctl token` prints; readable by its owner alone",
    ),
    ours(
        "token",
        Takes::Value("TOKEN"),
        Ours::Token,
        "the token itself, which other users can read in the process list",
    ),
    ours(
        "log",
        Takes::Value("FILTER"),
        Ours::Log,
        "what to log on stderr, as in info or vineyard_node=debug [info]",
    ),
    ours(
        "log-format",
        Takes::Value("FORMAT"),
        Ours::LogFormat,
        "text or json, one line an event [text]",
    ),
    ours(
        "name",
        Takes::Value("NAME"),
        Ours::Name,
        "what status calls this node [the name of its host]",
    ),
    ours(
        "slow-request-ms",
        Takes::Value("MS"),
        Ours::SlowRequestMs,
        "log requests that take longer, with what they waited for [1000]",
    ),
    ours(
        "stream-threshold",
        Takes::Value("PERCENT"),
        Ours::StreamThreshold,
        "writers of streams wait before blobs use this much of the memory [80]",
    ),
    ours(
        "deployment",
        Takes::Value("MODE"),
        Ours::Deployment,
        "local or distributed; reported, not acted on [local]",
    ),
    ours(
        "compression",
        Takes::Switch,
        Ours::Compression,
        "compress blobs for clients that ask for it [true]",
    ),
    ours(
        "rpc",
        Takes::Switch,
        Ours::Rpc,
        "serve clients over TCP [true]",
    ),
    ours(
        "rpc-open-to-anyone",
        Takes::Switch,
        Ours::RpcOpenToAnyone,
        "over TCP, serve those whom the Unix socket refuses as well [false]",
    ),
    ours(
        "insecure",
        Takes::Switch,
        Ours::Insecure,
        "between nodes, do not encrypt and take what is not encrypted [false]",
    ),
    ours(
        "require-tls",
        Takes::Switch,
        Ours::RequireTls,
        "take no plain TCP, of clients and of loopback addresses neither [false]",
    ),
    ours(
        "http",
        Takes::Value("on|off"),
        Ours::Http,
        "answer HTTP probes on the TCP port, /healthz and /readyz [on]",
    ),
    ours(
        "http-host",
        Takes::Value("NAME,..."),
        Ours::HttpHost,
        "names by which HTTP requests may ask, beside addresses and localhost",
    ),
    ours(
        "htpasswd",
        Takes::Value("FILE"),
        Ours::Htpasswd,
        "let in only these users, as `htpasswd -B` writes them",
    ),
    ours(
        "replace-after",
        Takes::Value("TIME"),
        Ours::ReplaceAfter,
        "while this node leads: a voter dead for so long loses its vote to a live learner [10m]",
    ),
    ours(
        "round-trip-ms",
        Takes::Value("MS"),
        Ours::RoundTripMs,
        "for a new cluster: the longest usual round trip between its nodes, to which all its times are fitted [30]",
    ),
    ours(
        "metadata-quota",
        Takes::Value("SIZE"),
        Ours::MetadataQuota,
        "for a new cluster: how much metadata of persisted objects and names it keeps [1G]",
    ),
    ours(
        "transient-quota",
        Takes::Value("SIZE"),
        Ours::TransientQuota,
        "how much metadata of objects that are not persisted this node keeps [1G]",
    ),
    ours(
        "feature-level",
        Takes::Value("N"),
        Ours::FeatureLevel,
        "in a rolling upgrade: keep the cluster at this level, so that the node can go back [the newest]",
    ),
    ours(
        "flagfile",
        Takes::Value("FILE,..."),
        Ours::FlagFile,
        "read more flags, one a line",
    ),
    ours(
        "config",
        Takes::Value("FILE"),
        Ours::Config,
        "settings, one a line, as in size = 64G; a flag and the environment win",
    ),
    ours("help", Takes::Switch, Ours::Help, "print this"),
    ours("helpshort", Takes::Switch, Ours::Help, ""),
    ours("helpfull", Takes::Switch, Ours::Help, ""),
    ours("version", Takes::Switch, Ours::Version, "print the version"),
    value(
        "meta",
        "not needed any more, metadata is always kept by the nodes themselves",
    ),
    value("meta-timeout", NO_ETCD),
    value("etcd-endpoint", NO_ETCD),
    value("etcd-prefix", NO_ETCD),
    value("etcd-cmd", NO_ETCD),
    value("etcd-data-dir", NO_ETCD),
    switch("skip-launch-etcd", NO_ETCD),
    value("redis-endpoint", NO_REDIS),
    value("redis-prefix", NO_REDIS),
    value("redis-cmd", NO_REDIS),
    value("allocator", "there is one allocator"),
    switch(
        "reserve-memory",
        "memory is taken when it is first used, and kept warm after that",
    ),
    value("spill-path", NO_SPILL),
    value("spill-lower-rate", NO_SPILL),
    value("spill-upper-rate", NO_SPILL),
    value("rdma-endpoint", "this version speaks TCP only"),
    switch("sync-crds", "nodes do not write to Kubernetes"),
    switch("metrics", NO_METRICS),
    switch("prometheus", NO_METRICS),
    switch("coredump", "set it for the process, with ulimit -c"),
    value("v", NO_GLOG),
    value("vmodule", NO_GLOG),
    value("minloglevel", NO_GLOG),
    value("stderrthreshold", NO_GLOG),
    value("log-dir", NO_GLOG),
    value("log-link", NO_GLOG),
    value("logbufsecs", NO_GLOG),
    value("logbuflevel", NO_GLOG),
    value("max-log-size", NO_GLOG),
    value("log-backtrace-at", NO_GLOG),
    value("logfile-mode", NO_GLOG),
    switch("logtostderr", NO_GLOG),
    switch("alsologtostderr", NO_GLOG),
    switch("colorlogtostderr", NO_GLOG),
    switch("log-prefix", NO_GLOG),
    switch("stop-logging-if-full-disk", NO_GLOG),
    switch("symbolize-stacktrace", NO_GLOG),
    value("undefok", "unknown flags are always errors"),
];

pub(super) fn named(name: &str) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.name == name)
}

/// The known flag nearest to `name`, if one is near enough.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let all = TABLE.iter().filter(|spec| !spec.about.is_empty());
    let best = all
        .map(|spec| (distance(name, spec.name), spec.name))
        .min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

/// Edits (insert, delete, replace) between two short words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// What a newcomer needs to know before the flags.
pub const ABOUT: &str = "Alone it is a cluster of one. `vineyardd --join HOST:PORT --token-file FILE` adds a node; the\n\
     file has what `vineyardctl token` prints. Or give each of three new nodes the same line, with\n\
     `--join A,B,C --expect 3` and a token of `vineyardctl token new`. A restart needs only --data-dir. --socket,\n\
     --socket-mode, --size, --data-dir, --listen, --advertise, --rpc-open-to-anyone, --join, --token-file,\n\
     and --log may also be given in the environment, as in VINEYARD_DATA_DIR, --config in\n\
     VINEYARDD_CONFIG; a flag wins.";

/// A flag, as a manual page describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Documented {
    pub name: &'static str,
    /// What to write behind it; `None` for a switch.
    pub value: Option<&'static str>,
    /// Whether it does something: others are accepted for the released server's sake.
    pub is_ours: bool,
    pub about: &'static str,
}

/// Every flag that `--help` names.
pub fn documented() -> impl Iterator<Item = Documented> {
    let flags = TABLE.iter().filter(|spec| !spec.about.is_empty());
    flags.map(|spec| Documented {
        name: spec.name,
        value: match spec.takes {
            Takes::Switch => None,
            Takes::Value(value) => Some(value),
        },
        is_ours: matches!(spec.meaning, Meaning::Ours(_)),
        about: spec.about,
    })
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = format!("vineyardd: a node of a vineyard cluster.\n\n{ABOUT}\n\nFlags:\n");
    let mut released = String::from("\nFlags of the released server, accepted with a notice:\n");
    for spec in TABLE.iter().filter(|spec| !spec.about.is_empty()) {
        match (spec.meaning, spec.takes) {
            (Meaning::Nothing(_), _) => released.push_str(&format!("  --{}\n", spec.name)),
            (_, Takes::Switch) => line(&mut text, &format!("--[no]{}", spec.name), spec.about),
            (_, Takes::Value(what)) => {
                line(&mut text, &format!("--{} {what}", spec.name), spec.about)
            }
        }
    }
    text + &released
}

fn line(text: &mut String, flag: &str, about: &str) {
    text.push_str(&format!("  {flag:<26} {about}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_dashed() {
        for (index, spec) in TABLE.iter().enumerate() {
            assert!(!spec.name.contains('_'), "{}", spec.name);
            assert!(
                TABLE[index + 1..]
                    .iter()
                    .all(|other| other.name != spec.name),
                "{}",
                spec.name
            );
        }
    }
}
