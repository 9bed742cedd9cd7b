//! The command line, as clap reads it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vineyard_node::config::Limits;

mod look;
mod named;

pub(crate) use look::{
    Bundle, By, Completions, Config, ConfigVerb, Doctor, Du, Events, ForAll, Man, Top,
};
pub(crate) use named::{Name, NameVerb, Stream, StreamVerb};

const EXIT_CODES: &str = "Exit codes:\n  \
    0  done\n  \
    1  refused, or failed here\n  \
    2  wrong usage\n  \
    3  no node could be reached\n  \
    4  no such object or name\n  \
    5  no answer within the deadline\n  \
    6  the object is known, but its bytes are lost or out of reach\n  \
    130  interrupted\n\n\
The node is found by --socket or --endpoint, else by VINEYARD_IPC_SOCKET, VINEYARD_RPC_ENDPOINT or\n\
VINEYARD_RPC_SOCKET, else at the default socket (/var/run/vineyard.sock, or ~/.local/vineyard/vineyard.sock).";

#[derive(Debug, Parser)]
#[command(
    name = "vineyardctl",
    version,
    about = "Look into a vineyard cluster and work with its objects"
)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: ConnectArgs,
    /// table for people, json for programs (-o does the same, except for `get`)
    #[arg(long, global = true, value_name = "FORMAT")]
    format: Option<Format>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Arguments {
    /// What was asked for by `--format` or `-o`.
    pub(crate) fn format(&self) -> Format {
        let short = match &self.verb {
            Verb::Status(status) => status.output.output,
            Verb::Wait(wait) => wait.output.output,
            Verb::Demo(o) => o.output,
            Verb::Token(token) => token.output.output,
            Verb::Ls(ls) => ls.output.output,
            Verb::Put(put) => put.output.output,
            Verb::Rm(rm) => rm.output.output,
            Verb::Remove(remove) => remove.output.output,
            Verb::Recover(recover) => recover.output.output,
            Verb::Drain(drain) => drain.output.output,
            Verb::Uncordon(uncordon) => uncordon.output.output,
            Verb::Leave(leave) => leave.output.output,
            Verb::Name(name) => name.output.output,
            Verb::Stream(stream) => stream.output.output,
            Verb::Doctor(doctor) => doctor.output.output,
            Verb::Top(top) => top.output.output,
            Verb::Du(du) => du.output.output,
            Verb::Events(events) => events.output.output,
            Verb::Config(config) => config.output.output,
            Verb::Get(_) | Verb::Bundle(_) | Verb::Completions(_) | Verb::Man(_) | Verb::Node => {
                None
            }
        };
        short.or(self.format).unwrap_or(Format::Table)
    }
}

/// Where the node is, and how long to wait for it.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Unix socket of the node
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "endpoint")]
    pub(crate) socket: Option<String>,
    /// TCP address of the node
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) endpoint: Option<String>,
    /// User of a node that checks passwords
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "VINEYARD_USERNAME",
        default_value = ""
    )]
    pub(crate) username: String,
    /// Their password; better told by the variable, which others do not see
    #[arg(
        long,
        global = true,
        value_name = "TEXT",
        env = "VINEYARD_PASSWORD",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) password: String,
    /// Over TCP, take only nodes of this authority: a file, or the fingerprint of `token ca` [env: VINEYARD_CA=]
    // The client reads the variable itself, and tells an empty one from an empty flag.
    #[arg(long, global = true, value_name = "CA")]
    pub(crate) ca: Option<String>,
    /// Seconds to wait for an answer that moves no bytes [default: 5]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<std::time::Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The cluster and each of its nodes, as the node that is asked knows it now
    Status(Status),
    /// Return once the node serves and a majority of its cluster agrees; exit code 5 if that takes longer than
    /// --timeout (60 s)
    Wait(Wait),
    /// List objects
    Ls(Ls),
    /// Write the bytes of an object to a file
    Get(Get),
    /// Store a file as an object
    Put(Put),
    /// Delete objects; a name goes with its object
    Rm(Rm),
    /// Names of objects, the same on every node
    Name(Name),
    /// Streams of this node
    Stream(Stream),
    /// Move what only a node has to others, and let it take no copies; it goes on to serve. --timeout ends the waiting,
    /// not the drain
    Drain(Drain),
    /// Let a node take copies again
    Uncordon(Uncordon),
    /// Take the node that is asked out of its cluster; what only it has is moved first. Its process ends
    Leave(Leave),
    /// Forget a node that is dead for good
    Remove(Remove),
    /// Go on with the node that is asked alone, when the majority of its cluster is gone for ever
    Recover(Recover),
    /// Print what `vineyardd --join` needs
    Token(Token),
    /// Look for what is wrong, or may soon be: a line a check, with what to do; exit code 1 if something is wrong
    Doctor(Doctor),
    /// What each node has and does, again and again
    Top(Top),
    /// What the memory of the nodes is used for
    Du(Du),
    /// What has changed in the cluster since the node started, as it saw it
    Events(Events),
    /// Write what somebody needs who helps from afar into one file: status, checks, settings, events, the end of the
    /// log. No secrets
    Bundle(Bundle),
    /// The settings of the node, and where they come from
    Config(Config),
    /// Start three nodes and show what they do, step by step
    Demo(Output),
    /// Print what a shell needs to complete words of this command line
    Completions(Completions),
    /// Write the manual pages of vineyardctl, of each of its verbs, and of vineyardd
    Man(Man),
    /// Run a node in this process; takes the flags of vineyardd
    #[command(hide = true)]
    Node,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// table for people, json for programs
    #[arg(short = 'o', long, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Exit with 0 if the cluster is ready, 1 if it is degraded, 2 if there is no quorum
    #[arg(long, conflicts_with = "watch")]
    pub(crate) check: bool,
    /// Look again every second, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Until the node serves and a majority agrees
    #[arg(long, required = true)]
    ready: bool,
    /// And until so many nodes are up
    #[arg(long, value_name = "N")]
    pub(crate) nodes: Option<usize>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Type names to list, as in 'vineyard::Tensor*'
    #[arg(default_value = "*")]
    pub(crate) pattern: String,
    /// At most this many
    #[arg(long, default_value_t = 1000, conflicts_with = "all")]
    pub(crate) limit: u64,
    /// However many there are
    #[arg(long)]
    pub(crate) all: bool,
    /// Only objects without a name, and that are no part of another one that is listed
    #[arg(long)]
    pub(crate) unnamed: bool,
    /// Only objects with bytes on a node that has ended since
    #[arg(long)]
    pub(crate) lost: bool,
    /// Only objects with blobs that a client holds: a session as `du --by client` prints it, as s7, or the id of a
    /// process; of another node as n2/s7
    #[arg(long, value_name = "CLIENT")]
    pub(crate) held_by: Option<String>,
    /// The largest first, or by the name of the type; else by id
    #[arg(long, value_name = "WHAT", default_value = "id")]
    pub(crate) sort: Sort,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Id,
    Size,
    Type,
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) verb: Option<TokenVerb>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// The token of the node's cluster
    Show {
        /// Also until when the token before it is valid
        #[arg(long)]
        expires: bool,
    },
    /// Another token for the node's cluster; the one before is valid for a while more
    Rotate {
        /// For how long, as in 90s, 10m or 24h; 720h at most
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = grace)]
        grace: std::time::Duration,
    },
    /// The fingerprint by which clients verify the nodes of the cluster, for VINEYARD_CA
    Ca {
        /// The certificate itself, for a file
        #[arg(long)]
        pem: bool,
    },
    /// A token for a cluster that is yet to be founded, by `vineyardd --found` or --expect; asks no node
    New,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The node: n2, an instance as `status` prints it, or an endpoint
    pub(crate) node: String,
    /// Also if persisted objects lose bytes that only this node had
    #[arg(long)]
    pub(crate) lose_objects: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Make this node the only member: all others are given up, and can come back with empty data directories alone
    #[arg(long, required = true)]
    from_this_node: bool,
    /// The id of the cluster, instead of typing it
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) confirm: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// The node: n2, an instance as `status` prints it, or an endpoint [default: the one that is asked]
    pub(crate) node: Option<String>,
    /// Transient objects too, which become persistent: a restart then loses nothing but streams and blobs of no object
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Uncordon {
    /// The node: n2, an instance as `status` prints it, or an endpoint [default: the one that is asked]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Leave {
    /// Move what only this node has to others first [default]
    #[arg(long, conflicts_with = "discard")]
    drain: bool,
    /// Give up what only this node has
    #[arg(long)]
    pub(crate) discard: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A name, or an id as `ls` prints it
    pub(crate) object: String,
    /// Where to write; `-` is the standard output
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// What to store; `-` is the standard input
    pub(crate) file: PathBuf,
    /// Persist it and give it this name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Let the other nodes see it
    #[arg(long)]
    pub(crate) persist: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Names or ids
    #[arg(required = true)]
    pub(crate) objects: Vec<String>,
    /// Also delete the objects that refer to them
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Whether a command line that cannot be read asks for JSON.
pub(crate) fn want_json(args: &[OsString]) -> bool {
    let words = args.iter().map(|word| word.to_string_lossy());
    let mut is_value = false;
    for word in words {
        let joined = ["--format=", "--output=", "-o="];
        if (is_value && word == "json")
            || joined
                .iter()
                .any(|flag| word.strip_prefix(flag) == Some("json"))
            || word == "-ojson"
        {
            return true;
        }
        is_value = ["--format", "--output", "-o"].contains(&&*word);
    }
    false
}

fn grace(text: &str) -> Result<std::time::Duration, String> {
    let grace_max = Limits::default().grace_max;
    let hours = grace_max.as_secs() / 3600;
    let given = duration(text)?;
    match given <= grace_max {
        true => Ok(given),
        false => Err(format!("the old token is valid for {hours}h more at most")),
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    vineyard_node::config::flags::duration(text)
}

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let parsed = text
        .parse::<f64>()
        .ok()
        .filter(|s| s.is_finite() && (0.0..=1e9).contains(s));
    parsed
        .map(std::time::Duration::from_secs_f64)
        .ok_or_else(|| "write seconds, as in 2.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn o_is_a_format_except_where_it_is_a_file() {
        assert_eq!(parse("vineyardctl status -o json").format(), Format::Json);
        assert_eq!(
            parse("vineyardctl --format json status").format(),
            Format::Json
        );
        assert_eq!(parse("vineyardctl name ls -o json").format(), Format::Json);
        assert_eq!(
            parse("vineyardctl name set -o json a o1").format(),
            Format::Json
        );
        assert_eq!(parse("vineyardctl status").format(), Format::Table);
        let get = parse("vineyardctl get a -o out --format json");
        assert_eq!(get.format(), Format::Json);
        assert!(
            matches!(get.verb, Verb::Get(Get { file, .. }) if file == std::path::Path::new("out"))
        );
    }

    #[test]
    fn the_place_may_stand_on_either_side_of_the_verb() {
        assert_eq!(
            parse("vineyardctl --socket /s status")
                .place
                .socket
                .as_deref(),
            Some("/s")
        );
        assert_eq!(
            parse("vineyardctl ls --endpoint h:1")
                .place
                .endpoint
                .as_deref(),
            Some("h:1")
        );
        assert!(
            Arguments::try_parse_from(["vineyardctl", "--socket=a", "--endpoint=b:1", "ls"])
                .is_err()
        );
        assert!(Arguments::try_parse_from(["vineyardctl", "--timeout=-1", "ls"]).is_err());
    }
}
