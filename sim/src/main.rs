//! The simulator's command line.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use vineyard_sim::injected::InjectedFault;

/// Runs a real cluster in a false world, seed by seed.
#[derive(Parser)]
#[command(name = "vineyard-sim")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every seed of a range and checks the invariants.
    Run {
        #[command(flatten)]
        seeds: Seeds,
        /// Processes that share the work.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Injects a fault, to see whether it is found.
        #[arg(long)]
        inject: Option<InjectedFault>,
        /// Adds the result of each seed to this file, and leaves out the seeds that it has: a run that was ended goes
        /// on. Only for one build.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// One line of JSON instead of a table, nothing about progress.
        #[arg(long, hide = true)]
        child: bool,
    },
    /// Runs every seed of a range in two processes and compares the whole traces.
    Twice {
        #[command(flatten)]
        seeds: Seeds,
    },
    /// Injects every fault, each until an invariant finds it, and writes the table of them into docs/simulation.md.
    /// Fails if one is not found, or if the run that found it is not clean without it.
    Planted {
        /// Processes that share the work.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Prints the table and leaves the file as it is.
        #[arg(long)]
        print: bool,
        /// One line of JSON about this fault alone.
        #[arg(long, hide = true)]
        child: Option<InjectedFault>,
    },
    /// Lets new nodes form a cluster under faults, seed by seed.
    Formation {
        #[command(flatten)]
        seeds: Seeds,
        #[arg(long)]
        inject: Option<InjectedFault>,
    },
    /// Runs one seed and prints what happened.
    Replay {
        #[arg(long)]
        seed: u64,
        /// Also every frame, disk operation and timer.
        #[arg(long)]
        full: bool,
        #[arg(long)]
        inject: Option<InjectedFault>,
    },
}

#[derive(Args)]
struct Seeds {
    /// `A..B`: from A to B, without B.
    #[arg(long, value_parser = range)]
    seeds: std::ops::Range<u64>,
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let bounds = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "expected A..B with A < B".to_owned())
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run {
            seeds,
            inject,
            child: true,
            ..
        } => {
            commands::child(seeds.seeds, inject);
            Ok(())
        }
        Command::Run {
            seeds,
            jobs,
            inject,
            keep,
            child: false,
        } => commands::run(seeds.seeds, jobs.max(1), inject, keep.as_deref()),
        Command::Twice { seeds } => commands::twice(seeds.seeds),
        Command::Planted {
            child: Some(fault), ..
        } => {
            commands::planted::child(fault);
            Ok(())
        }
        Command::Planted { jobs, print, .. } => commands::planted::planted(jobs.max(1), print),
        Command::Formation { seeds, inject } => commands::formation(seeds.seeds, inject),
        Command::Replay { seed, full, inject } => commands::replay(seed, full, inject),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
