//! `planted`: injects every fault, each in a run that is to find it, and tells how many seeds that took.

#![allow(
    clippy::disallowed_methods,
    reason = "it writes a document of the project, outside of every simulated world"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use vineyard_sim::injected::InjectedFault;
use vineyard_sim::invariants::nothing_panics;
use vineyard_sim::scenarios::PLOT;
use vineyard_sim::stage::{Outcome, Settings};

use super::itself;

/// Seeds within which a fault has to be found.
const SEEDS_TO_FIND: u64 = 150;
/// Where the table is, and the lines around it.
const FILE: &str = "docs/simulation.md";
const BEGIN: &str = "<!-- The table is written by `vineyard-sim planted`. -->\n";
const END: &str = "<!-- The end of the table. -->\n";

/// How a fault was found.
#[derive(Serialize, Deserialize)]
struct Found {
    seeds: u64,
    invariant: String,
    /// What the same run breaks without the fault: nothing.
    clean_run: Option<String>,
}

/// Injects one fault until it is found, and prints that as a line of JSON, `null` if it is not.
pub(crate) fn child(fault: InjectedFault) {
    let run = |seed, injected| -> Outcome {
        (fault.play())(Settings {
            seed,
            injected,
            output: None,
        })
    };
    let found = (0..SEEDS_TO_FIND).find_map(|seed| {
        let outcome = run(seed, Some(fault));
        // An invariant has to see it: a panic, or a story that came out otherwise, may have any cause.
        let mut violations = outcome.violations.iter();
        let seen =
            violations.find(|seen| ![nothing_panics::NAME, PLOT].contains(&seen.invariant))?;
        let clean = run(seed, None).violations.first().map(ToString::to_string);
        Some(Found {
            seeds: seed + 1,
            invariant: seen.invariant.to_owned(),
            clean_run: clean,
        })
    });
    let line = serde_json::to_string(&found).expect("counts and texts are always JSON");
    println!("{line}");
}

/// Injects every fault, `jobs` at a time; prints the table, and writes it into the document unless it is only to print.
pub(crate) fn planted(jobs: usize, only_print: bool) -> Result<(), String> {
    let faults: Vec<InjectedFault> = InjectedFault::all().collect();
    let next = Mutex::new(faults.iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no worker panics here").next();
                    let Some((at, fault)) = taken else { return };
                    let found = search(*fault);
                    let mut outcomes = outcomes.lock().expect("no worker panics here");
                    outcomes.push((at, *fault, found));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("every worker has ended well");
    outcomes.sort_by_key(|(at, ..)| *at);
    let mut table =
        "| name | promise | what | found by | seeds needed |\n|---|---|---|---|---|\n".to_owned();
    let mut wrong = Vec::new();
    for (_, fault, found) in outcomes {
        let (name, breaks, what) = (fault.name(), fault.breaks(), fault.what());
        match found {
            Err(reason) => wrong.push(format!("{name}: {reason}")),
            Ok(None) => wrong.push(format!("{name} is not found within {SEEDS_TO_FIND} seeds")),
            Ok(Some(found)) => {
                let Found {
                    seeds,
                    invariant,
                    clean_run,
                } = found;
                writeln!(
                    table,
                    "| `{name}` | {breaks} | {what} | `{invariant}` | {seeds} |"
                )
                .expect("a text takes what is written");
                if let Some(broken) = clean_run {
                    wrong.push(format!("{name}: the same run without it breaks {broken}"));
                }
            }
        }
    }
    print!("{table}");
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    match only_print {
        true => Ok(()),
        false => write_down(&table),
    }
}

/// In a process of its own: a fault may do what a process does not survive.
fn search(fault: InjectedFault) -> Result<Option<Found>, String> {
    let arguments = ["planted", "--child", fault.name()].map(str::to_owned);
    // What a node with a fault says of it is no news.
    let mut process = itself(&arguments, Stdio::null());
    let mut text = String::new();
    let output = process.stdout.as_mut().expect("it is piped");
    let read = output.read_to_string(&mut text);
    let status = process.wait().map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(text.trim())
        .map_err(|_| format!("the process that ran it ended: {status}"))
}

fn write_down(table: &str) -> Result<(), String> {
    let failed =
        |error: std::io::Error| format!("{FILE}: {error}; run this at the top of the project");
    let text = fs::read_to_string(FILE).map_err(failed)?;
    let around = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = around.ok_or_else(|| format!("{FILE} has no place for the table"))?;
    fs::write(FILE, format!("{before}{BEGIN}\n{table}\n{END}{after}")).map_err(failed)
}
