//! What each command does: one function each. `run` and `twice` start this program again as child processes.

pub(crate) mod kept;
pub(crate) mod planted;

use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use vineyard_sim::injected::InjectedFault;
use vineyard_sim::report::{Failure, Report};
use vineyard_sim::scenarios::new_nodes_form_one_cluster;
use vineyard_sim::seed::run_seed;
use vineyard_sim::stage::Settings;
use vineyard_sim::trace::Detail;

use self::kept::Kept;

/// Seeds that one child process runs before another takes over: a process that has to be killed loses no more.
const CHUNK: u64 = 5;

/// Runs the seeds one by one and prints one line of JSON for each.
pub(crate) fn child(seeds: Range<u64>, injected: Option<InjectedFault>) {
    for seed in seeds {
        let mut report = Report::default();
        report.add(&run_seed(Settings {
            seed,
            injected,
            output: None,
        }));
        let line = serde_json::to_string(&report).expect("counts and texts are always JSON");
        println!("{line}");
    }
}

/// Shares the seeds among `jobs` processes, prints the sum, and judges it.
pub(crate) fn run(
    seeds: Range<u64>,
    jobs: usize,
    injected: Option<InjectedFault>,
    keep: Option<&Path>,
) -> Result<(), String> {
    let (mut kept, known) = Kept::open(keep, &seeds)?;
    let missing = seeds.filter(|seed| !known.contains_key(seed));
    let chunks = std::sync::Mutex::new(chunks(missing.collect()));
    let mut sum = Report::default();
    known.into_values().for_each(|report| sum.merge(report));
    let report = std::sync::Mutex::new((sum, &mut kept));
    let lock = || report.lock().expect("no worker panics while it adds");
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = chunks.lock().expect("no worker panics here").next();
                    let Some(chunk) = next else { return };
                    run_chunk(chunk, injected, &mut |seed, part| {
                        let mut shared = lock();
                        let (sum, kept) = &mut *shared;
                        kept.add(seed, &part);
                        sum.merge(part);
                        progress(sum);
                    });
                }
            });
        }
    });
    let (mut report, _) = report.into_inner().expect("every worker has ended well");
    kept.end()?;
    report.failures.sort_by_key(|failure| failure.seed);
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    print!("{report}");
    if !report.failures.is_empty() {
        return Err(tell(&report.failures, injected));
    }
    match report.shortfalls().join("\n") {
        none if none.is_empty() => Ok(()),
        shortfalls => Err(shortfalls),
    }
}

/// Ranges of seeds that follow each other.
fn chunks(seeds: Vec<u64>) -> impl Iterator<Item = Range<u64>> + Send {
    let mut seeds = seeds.into_iter().peekable();
    std::iter::from_fn(move || {
        let from = seeds.next()?;
        let mut to = from + 1;
        while to - from < CHUNK && seeds.next_if_eq(&to).is_some() {
            to += 1;
        }
        Some(from..to)
    })
}

/// Runs a chunk in a child process; a seed that ends the process is a failure of that seed.
fn run_chunk(
    chunk: Range<u64>,
    injected: Option<InjectedFault>,
    add: &mut impl FnMut(u64, Report),
) {
    let mut next = chunk.start;
    while next < chunk.end {
        let mut arguments = vec!["run".to_owned(), "--child".to_owned()];
        arguments.extend(["--seeds".to_owned(), format!("{next}..{}", chunk.end)]);
        if let Some(fault) = injected {
            arguments.extend(["--inject".to_owned(), fault.name().to_owned()]);
        }
        let mut process = itself(&arguments, Stdio::inherit());
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        for line in output.lines().map_while(Result::ok) {
            if let Ok(report) = serde_json::from_str(&line) {
                add(next, report);
                next += 1;
            }
        }
        let status = process.wait();
        if next < chunk.end {
            let detail = format!("the process that ran it ended: {status:?}");
            let failure = Failure {
                seed: next,
                invariant: "nothing_panics".to_owned(),
                detail,
            };
            let report = Report {
                seeds: 1,
                failures: vec![failure],
                ..Report::default()
            };
            add(next, report);
            next += 1;
        }
    }
}

fn itself(arguments: &[String], errors: Stdio) -> Child {
    let program = std::env::current_exe().expect("a running program knows its file");
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("what runs here can be started again")
}

/// Shown on a terminal only, never in a log file.
fn progress(report: &Report) {
    if std::io::stderr().is_terminal() {
        eprint!(
            "\r{} seeds, {} failed ",
            report.seeds,
            report.failures.len()
        );
    }
}

fn tell(failures: &[Failure], injected: Option<InjectedFault>) -> String {
    let mut text = format!("{} seeds failed:", failures.len());
    let fault = injected
        .map(|fault| format!(" --inject {}", fault.name()))
        .unwrap_or_default();
    for Failure { seed, detail, .. } in failures.iter().take(20) {
        text += &format!(
            "\nseed {seed}: {detail}\n  replay: cargo run --release -p vineyard-sim -- replay --seed {seed}{fault}"
        );
    }
    text
}

/// Runs each seed in two processes at once and compares their traces byte by byte; different seeds must differ.
pub(crate) fn twice(seeds: Range<u64>) -> Result<(), String> {
    let mut previous = None;
    let (mut lines, mut bytes) = (0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let arguments = [
            "replay".to_owned(),
            "--seed".to_owned(),
            seed.to_string(),
            "--full".to_owned(),
        ];
        let [mut one, mut other] = [(); 2].map(|()| itself(&arguments, Stdio::null()));
        let read =
            |process: &mut Child| BufReader::new(process.stdout.take().expect("it is piped"));
        let same = compare(read(&mut one), read(&mut other));
        // Their exit codes tell of invariants; only the traces matter here.
        for process in [&mut one, &mut other] {
            process.kill().ok();
            process.wait().ok();
        }
        let same = same.map_err(|difference| format!("seed {seed}: {difference}"))?;
        if previous == Some(same.hash) {
            return Err(format!("seeds {} and {seed} have the same trace", seed - 1));
        }
        previous = Some(same.hash);
        lines += same.lines;
        bytes += same.bytes;
        println!(
            "seed {seed}: {} lines, {} bytes, identical",
            same.lines, same.bytes
        );
    }
    println!("{count} seeds, {lines} lines, {bytes} bytes: identical in two processes each");
    Ok(())
}

struct Same {
    hash: u64,
    lines: u64,
    bytes: u64,
}

fn compare(mut one: impl BufRead, mut other: impl BufRead) -> Result<Same, String> {
    let mut same = Same {
        hash: 0,
        lines: 0,
        bytes: 0,
    };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let read = |from: &mut dyn BufRead, line: &mut Vec<u8>| {
        line.clear();
        from.read_until(b'\n', line)
            .map_err(|error| error.to_string())
    };
    loop {
        read(&mut one, &mut left)?;
        read(&mut other, &mut right)?;
        if left != right {
            let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
            let (left, right) = (text(&left), text(&right));
            return Err(format!(
                "line {} differs:\n  {left}\n  {right}",
                same.lines + 1
            ));
        }
        if left.is_empty() {
            break;
        }
        same.lines += 1;
        same.bytes += left.len() as u64;
        same.hash = same.hash.rotate_left(9) ^ vineyard_sim::trace::digest(&left);
    }

    if same.lines == 0 {
        Err("the trace is empty".to_owned())
    } else {
        Ok(same)
    }
}

/// Runs the scenario of formation with each seed, and says which kinds of faults there were.
pub(crate) fn formation(seeds: Range<u64>, injected: Option<InjectedFault>) -> Result<(), String> {
    let mut report = Report::default();
    for seed in seeds {
        report.add(&new_nodes_form_one_cluster::play(Settings {
            seed,
            injected,
            output: None,
        }));
        progress(&report);
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    println!(
        "{} seeds, {:.1} simulated minutes, {} failed",
        report.seeds,
        report.simulated_ms as f64 / 60_000.0,
        report.failures.len()
    );
    for (kind, count) in &report.faults {
        println!("  {kind:<24} {count}");
    }
    let tell = |failure: &Failure| format!("seed {}: {}", failure.seed, failure.detail);
    let failures: Vec<String> = report.failures.iter().map(tell).collect();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("\n")),
    }
}

/// Prints the trace of one seed, and what it broke.
pub(crate) fn replay(seed: u64, full: bool, injected: Option<InjectedFault>) -> Result<(), String> {
    vineyard_sim::log::start();
    let detail = if full { Detail::Full } else { Detail::Story };
    let output = Some((
        detail,
        Box::new(BufWriter::new(std::io::stdout())) as Box<dyn Write + Send>,
    ));
    let outcome = run_seed(Settings {
        seed,
        injected,
        output,
    });
    let mut report = Report::default();
    report.add(&outcome);
    eprint!("{report}");
    eprintln!(
        "trace            {} lines, hash {:016x}",
        outcome.lines, outcome.hash
    );
    let mut text = String::new();
    for violation in &outcome.violations {
        text += &format!("\nseed {seed} breaks {violation}");
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}
