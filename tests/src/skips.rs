//! Tests that this machine cannot run. They say so on stderr, past the capture of the test runner, and never in
//! silence.

use std::io::Write;
use std::process::{Command, Stdio};

/// Every test that may be left out somewhere, with its reason.
const LISTED: &str = include_str!("../skips.txt");

/// Whether the test `name` must be left out, because one of `needs` fails here. Says so if it must.
pub fn skipped(name: &str, needs: &[(&str, bool)]) -> bool {
    let Some((reason, _)) = needs.iter().find(|(_, met)| !met) else {
        return false;
    };
    let listed = LISTED.lines().any(|line| {
        line.split_once(' ')
            .is_some_and(|(listed, _)| listed == name)
    });
    assert!(
        listed,
        "{name} needs {reason}, and is not in tests/skips.txt"
    );
    // `eprintln!` would be swallowed. That the terminal is gone is nothing a test can mend.
    writeln!(std::io::stderr(), "SKIPPED {name}: needs {reason}").ok();
    true
}

/// Whether `command` runs here and succeeds.
pub fn works(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
