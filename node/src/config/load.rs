//! The whole way from a command line to a `Config`, on this machine. A maker: it reads files and the environment.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reads flag files before the node exists"
)]

use crate::config::remembered::{self, RememberError};
use crate::config::{Config, ConfigError, FlagError, Flags, Machine, flags, resolve};

/// The consensus library tells each of its steps at `info`.
const LOG_DEFAULT: &str = "info,openraft=warn";

/// What a command line asks for.
#[derive(Debug)]
pub enum Loaded {
    /// Print this and end well.
    Print(String),
    Run(Box<Startup>),
}

/// A node to be started.
#[derive(Debug)]
pub struct Startup {
    pub config: Config,
    /// The filter for the log on stderr, as `tracing_subscriber::EnvFilter` reads it.
    pub log: String,
    /// Lines to log first.
    pub notices: Vec<String>,
}

/// Why a command line does not lead to a node. All of these are usage errors (exit code 2).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Flag(#[from] FlagError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Remembered(#[from] RememberError),
}

/// `args` without the program's name.
pub fn load(args: Vec<String>, machine: &Machine) -> Result<Loaded, LoadError> {
    let flags = Flags::parse(args, &|path| std::fs::read_to_string(path))?;
    if flags.help {
        return Ok(Loaded::Print(flags::help()));
    }
    if flags.version {
        return Ok(Loaded::Print(format!(
            "vineyardd version {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let mut flags = resolve::with_variables(flags, machine)?;
    let remembered = remembered::load(&resolve::data_dir(&flags, machine))?;
    let config = resolve::config(&flags, machine, remembered.as_ref())?;
    let notices = std::mem::take(&mut flags.notices);
    let log = flags.log.unwrap_or_else(|| LOG_DEFAULT.to_owned());
    Ok(Loaded::Run(Box::new(Startup {
        config,
        log,
        notices,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listen, Remembered};

    fn load_here(args: &[&str]) -> Result<Loaded, LoadError> {
        let machine = Machine {
            variables: Default::default(),
            ..Machine::here()
        };
        load(args.iter().map(|arg| (*arg).to_owned()).collect(), &machine)
    }

    #[test]
    fn help_and_version_are_printed() {
        for args in [["--help"], ["-version"]] {
            assert!(
                matches!(load_here(&args), Ok(Loaded::Print(text)) if text.contains("vineyardd"))
            );
        }
    }

    #[test]
    fn a_started_node_restarts_with_its_data_dir_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data").display().to_string();
        let socket = dir.path().join("v.sock").display().to_string();
        let first = load_here(&[
            "--data-dir",
            &data_dir,
            "--socket",
            &socket,
            "--listen=127.0.0.1:0",
            "--size=8M",
        ]);
        let Ok(Loaded::Run(first)) = first else {
            panic!("{first:?}")
        };
        assert_eq!(first.config.listen, Listen::At("127.0.0.1:0".into()));
        remembered::save(
            &first.config.data_dir,
            &Remembered::of(&first.config, Some("127.0.0.1:4567")),
        )
        .unwrap();
        let second = load_here(&["--data-dir", &data_dir]);
        let Ok(Loaded::Run(second)) = second else {
            panic!("{second:?}")
        };
        let expected = Config {
            listen: Listen::At("127.0.0.1:4567".into()),
            ..first.config
        };
        assert_eq!(second.config, expected);
    }
}
