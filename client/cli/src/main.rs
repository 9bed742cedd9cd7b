//! The binary `vineyardctl`. Everything is in the library, so that tests can call it.

use std::process::ExitCode;

fn main() -> ExitCode {
    vineyardctl::main(std::env::args_os().collect()).into()
}
