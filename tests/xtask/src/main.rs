//! The chores of this repository: `cargo xtask test`, `check`, `fix`, `dist`, `fuzz`, `bench`, `pairs`, `kill-leader`,
//! `scale`, `values`, `chore`.
//!
//! It starts programs and judges what they print; it must never know how the product works inside.
#![allow(
    clippy::disallowed_methods,
    reason = "chores run real processes on the real clock; nothing here is replayed"
)]

mod bench;
mod check;
mod chores;
mod dist;
mod earlier;
mod fuzz;
mod io;
mod pairs;
mod peer;
mod python;
mod released;
mod shell;
mod suite;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The chores of this repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// All Rust tests, the released client's own tests against our nodes, our Python package.
    Test(test::Options),
    /// Formatting, lints and the house style. Changes no file.
    Check,
    /// Formats, and mends what the linters can.
    Fix,
    /// The released client on the released server and on ours, side by side, and our own client.
    Bench(bench::Options),
    /// Kills the leader again and again under load, and looks for what was acknowledged.
    KillLeader {
        #[arg(long, default_value_t = 20)]
        kills: u32,
    },
    /// Puts, persists, lists and deletes many objects, and compares the last with the first.
    Scale {
        #[arg(long, default_value_t = 100_000)]
        objects: u32,
    },
    /// Measures an earlier build and this one turn by turn, and says which rows are slower.
    Pairs(pairs::Options),
    /// Makes what is given away.
    Dist {
        #[command(subcommand)]
        what: Dist,
    },
    /// Private memory and time of a put and a get of each kind of Python value, and lists beside pickle.
    Values {
        /// Of each value.
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
        /// Of the longest list.
        #[arg(long, default_value_t = 1_000_000)]
        items_max: u64,
    },
    /// Fuzzes the decoders of client frames, peer frames and journal records.
    Fuzz {
        /// For each target.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        /// Only this target: client, peer or journal.
        target: Option<String>,
    },
    /// Makes the environment with the released package, and says where it is.
    Peer {
        /// An environment that holds the released package already.
        #[arg(long, env = "VINEYARD_PEER")]
        peer: Option<PathBuf>,
    },
    /// What takes too long for each change, or needs the history of the repository.
    #[command(name = "chore")]
    WithHistory {
        #[command(subcommand)]
        chore: chores::Chore,
    },
}

#[derive(Subcommand)]
enum Dist {
    /// The Python package's wheel, in target/dist.
    Wheel,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Check => check::run(),
        Chore::Fix => check::fix(),
        Chore::Bench(options) => bench::run(&options),
        Chore::KillLeader { kills } => test::kill_leader(kills),
        Chore::WithHistory { chore } => chores::run(&chore),
        Chore::Pairs(options) => pairs::run(&options),
        Chore::Scale { objects } => test::scale(objects),
        Chore::Dist { what: Dist::Wheel } => dist::wheel().map(drop),
        Chore::Values { bytes, items_max } => python::values(bytes, items_max),
        Chore::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Chore::Peer { peer } => {
            peer::Peer::ready(peer).map(|peer| println!("{}", peer.server().display()))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
