//! The arguments of the verbs that look after a cluster, and of those that help with the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::Output;
use super::named::NameOutput;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
    /// table for people, json for programs
    #[command(flatten)]
    pub(crate) output: NameOutput,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Every setting with its value
    Show {
        /// Also where each comes from: flag, environment, file, remembered or default
        #[arg(long)]
        origin: bool,
        /// Of a node that is started with these flags [default: with those of the node that is asked]
        #[arg(last = true, value_name = "FLAGS")]
        flags: Vec<String>,
    },
    /// Set something for the whole cluster
    Set {
        setting: ForAll,
        /// Milliseconds, or a size as in 4G
        value: String,
    },
}

/// What is set for the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForAll {
    /// The longest usual round trip between its nodes
    RoundTripMs,
    /// How much metadata of persisted objects and names it keeps
    MetadataQuota,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell that reads them
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// A folder, which is made if it is missing
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = super::seconds)]
    pub(crate) every: std::time::Duration,
    /// End after so many looks
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Du {
    /// What a line stands for
    #[arg(long, value_name = "WHAT", default_value = "type")]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Node,
    Type,
    Name,
    Client,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Wait for more, until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// At most so many of the latest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// What to write; it must not exist
    pub(crate) file: PathBuf,
    /// Write a hash in the place of each name of a host, a node, a user and an object
    #[arg(long)]
    pub(crate) redact: bool,
}
