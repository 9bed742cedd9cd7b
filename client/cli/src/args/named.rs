//! The arguments of `name` and of `stream`.

use clap::{Args, Subcommand};
use vineyard_client::stream::ReaderStart;

use super::{Format, seconds};

#[derive(Debug, Args)]
pub(crate) struct Name {
    #[command(subcommand)]
    pub(crate) verb: NameVerb,
    /// table for people, json for programs
    #[command(flatten)]
    pub(crate) output: NameOutput,
}

/// `-o` that may also stand after `name ls` and `stream ls`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct NameOutput {
    /// table for people, json for programs
    #[arg(short = 'o', long, value_name = "FORMAT", global = true)]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NameVerb {
    /// Let a name point to an object, which is persisted
    Set {
        name: String,
        id: String,
        /// Refuse if the name exists
        #[arg(long, conflicts_with = "if_equals")]
        if_absent: bool,
        /// Refuse unless the name points to this object now
        #[arg(long, value_name = "ID")]
        if_equals: Option<String>,
    },
    /// Print the id a name points to
    Get {
        name: String,
        /// Wait so many seconds for the name to appear
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        wait: Option<std::time::Duration>,
    },
    /// List names
    Ls {
        #[arg(default_value = "*")]
        pattern: String,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: u64,
    },
    /// Remove names; their objects stay
    Rm {
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Stream {
    #[command(subcommand)]
    pub(crate) verb: StreamVerb,
    /// table for people, json for programs
    #[command(flatten)]
    pub(crate) output: NameOutput,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StreamVerb {
    /// List the streams of this node
    Ls,
    /// One stream: chunks, bytes, cursors, who waits
    Status {
        /// Its id, or its name
        stream: String,
    },
    /// Write the bytes of a stream's chunks as they come, until its end. It reads: nobody else gets what one of several
    /// readers, or the only one, has got
    Cat {
        /// Its id, or its name
        stream: String,
        /// Which of several readers this is
        #[arg(long)]
        cursor: Option<String>,
        /// Where to begin: next, start or the number of a chunk
        #[arg(long, default_value = "next", value_parser = start)]
        from: ReaderStart,
        /// Leave after so many chunks; the stream takes it as the end of a reader
        #[arg(long)]
        chunks: Option<u64>,
    },
    /// Drop streams with their chunks; those who wait are told
    Rm {
        /// Ids or names
        #[arg(required = true)]
        streams: Vec<String>,
    },
}

fn start(text: &str) -> Result<ReaderStart, String> {
    match (text, text.parse()) {
        ("next", _) => Ok(ReaderStart::Next),
        ("start", _) => Ok(ReaderStart::Start),
        (_, Ok(number)) => Ok(ReaderStart::Number(number)),
        _ => Err("write next, start or the number of a chunk".to_owned()),
    }
}
