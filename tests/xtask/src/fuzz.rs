//! `cargo xtask fuzz`: libFuzzer on what strangers and broken disks can send to a decoder, from a corpus of golden
//! bytes.
//!
//! The coverage that libFuzzer steers by comes from code generation options of the stable compiler. Only our crates get
//! them, by a wrapper around the compiler, so that the crates of others are those that the tests are built with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, Work};

/// What our crates are compiled with in place of what a debug build has: speed, coverage, and its checks.
const OPTIONS: [&str; 8] = [
    "-Copt-level=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];
/// Bytes of an input at most, memory of a target at most, and how long one input may take.
const BOUNDS: [&str; 3] = ["-max_len=65536", "-rss_limit_mb=1024", "-timeout=10"];
/// Places in the code that golden bytes reach at least. A target that sees fewer steers by nothing.
const COVERED_MIN: u64 = 100;

/// A target, and where golden bytes for it are.
struct Target {
    name: &'static str,
    corpus: &'static [&'static str],
}

static TARGETS: [Target; 3] = [
    Target {
        name: "client",
        corpus: &[
            "client/wire/golden/request",
            "client/wire/golden/reply",
            "client/wire/golden/captured/request",
            "client/wire/golden/captured/reply",
        ],
    },
    Target {
        name: "peer",
        corpus: &["client/wire/golden/peer"],
    },
    Target {
        name: "journal",
        corpus: &["tests/fuzz/corpus/journal"],
    },
];

/// Runs each target for `seconds`, or those named `only`, all at the same time.
pub(crate) fn run(seconds: u32, only: Option<&str>) -> Result<()> {
    let chosen: Vec<&'static Target> = TARGETS
        .iter()
        .filter(|target| only.is_none_or(|only| only == target.name))
        .collect();
    ensure!(!chosen.is_empty(), "there is no target {only:?}");
    let programs = build()?;
    let programs = programs.as_path();
    let work =
        |target: &'static Target| -> Work { Box::new(move || fuzz(programs, target, seconds)) };
    shell::at_once(chosen.into_iter().map(work).collect())
}

/// Builds the targets, and returns the folder that they are in.
fn build() -> Result<PathBuf> {
    let folder = shell::target("fuzz")?;
    let wrapper = folder.join("rustc");
    let script = format!("#!/bin/sh\nexec \"$@\" {}\n", OPTIONS.join(" "));
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let mut command = shell::cargo(&["build", "-p", "vineyard-fuzz"]);
    shell::run(command.env("RUSTC_WORKSPACE_WRAPPER", wrapper))?;
    shell::target("debug")
}

fn fuzz(programs: &Path, target: &Target, seconds: u32) -> Result<()> {
    shell::step(&format!("fuzz {} for {seconds} s", target.name));
    let folder = tempfile::Builder::new().prefix("fuzz-").tempdir()?;
    let corpus = folder.path().join("corpus");
    fs::create_dir(&corpus)?;
    for golden in target.corpus {
        gather(&shell::root().join(golden), &corpus)?;
    }
    let failures = shell::target(&format!("fuzz/failures/{}", target.name))?;
    let said = Command::new(programs.join(format!("fuzz-{}", target.name)))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", failures.display()))
        .args(BOUNDS)
        .arg(&corpus)
        .output()?;
    let log = String::from_utf8_lossy(&said.stderr);
    if !said.status.success() {
        eprintln!("{}", end_of(&log));
        bail!("{}: {}", target.name, told(&log, &failures)?);
    }
    let (inputs, covered) = progress(&log).context("the fuzzer did not say how it went")?;
    ensure!(
        covered >= COVERED_MIN,
        "{}: only {covered} places are covered: the fuzzer is blind",
        target.name
    );
    eprintln!("   {inputs} inputs, {covered} places in the code");
    Ok(())
}

/// Copies golden bytes; those that stand as hexadecimal digits become bytes.
fn gather(golden: &Path, corpus: &Path) -> Result<()> {
    let files = fs::read_dir(golden).with_context(|| golden.display().to_string())?;
    for file in files {
        let path = file?.path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        let is_hex = path.extension().is_some_and(|extension| extension == "hex");
        let bytes = match is_hex {
            true => from_hex(&bytes).with_context(|| path.display().to_string())?,
            false => bytes,
        };
        // Files of two folders may have one name.
        let number = fs::read_dir(corpus)?.count();
        fs::write(corpus.join(number.to_string()), bytes)?;
    }
    Ok(())
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let pairs = digits.trim_ascii().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Inputs tried and places covered, from `#1797274 DONE   cov: 2448 ft: 5337 …`.
fn progress(log: &str) -> Option<(u64, u64)> {
    let line = log.lines().rev().find(|line| line.contains("DONE"))?;
    let mut words = line.split_whitespace();
    let inputs = words.next()?.strip_prefix('#')?.parse().ok()?;
    let covered = words.skip_while(|word| *word != "cov:").nth(1)?;
    Some((inputs, covered.parse().ok()?))
}

/// The input that failed, as hexadecimal digits and as text, and how to try it again.
fn told(log: &str, failures: &Path) -> Result<String> {
    let mark = "Test unit written to ";
    let written = log.lines().find_map(|line| line.split(mark).nth(1));
    let Some(file) = written else {
        return Ok(format!(
            "it failed, and left no input in {}",
            failures.display()
        ));
    };
    let input = fs::read(file)?;
    let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = input.escape_ascii();
    Ok(format!(
        "it failed on {} bytes\n  hex: {hex}\n  text: {text}\n  again: give this file to the target: {file}",
        input.len()
    ))
}

/// The last lines, with the panic.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_fuzzer_is_read() {
        let log = "#2\tINITED cov: 7 ft: 8\n#1797274\tDONE   cov: 2448 ft: 5337 corp: 1596/196Kb\nDone 1797274 runs";
        assert_eq!(progress(log), Some((1_797_274, 2448)));
        assert_eq!(progress("#2 INITED cov: 7"), None);
    }

    #[test]
    fn hexadecimal_digits_become_bytes() {
        assert_eq!(from_hex(b"00ff7f\n"), Some(vec![0, 255, 127]));
        assert_eq!(from_hex(b"0x"), None);
    }

    #[test]
    fn an_input_that_failed_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crash-1");
        fs::write(&file, b"a\0").unwrap();
        let log = format!(
            "x\nartifact_prefix='y'; Test unit written to {}\n",
            file.display()
        );
        let text = told(&log, folder.path()).unwrap();
        assert!(
            text.contains("hex: 6100") && text.contains("text: a\\x00"),
            "{text}"
        );
    }
}
