//! Makes a `Config` from a command line on this machine. It reads files and the environment.
#![allow(
    clippy::disallowed_methods,
    reason = "a maker: it reads flag files before the node exists"
)]

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::passwords::{Passwords, PasswordsError};
use crate::config::remembered::{self, RememberError, Remembered};
use crate::config::{Config, ConfigError, FlagError, Flags, LogFormat, Machine, flags, resolve};
use crate::system::ownership;

/// The consensus library logs each of its steps at `info`, and what does not answer at `warn`, without names: the raft
/// crate says that in words of its own.
pub(super) const LOG_DEFAULT: &str = "info,openraft=error";

/// What a command line asks for.
#[derive(Debug)]
pub enum Loaded {
    /// Print this and exit with code 0.
    Print(String),
    Run(Box<Startup>),
}

/// A node to be started.
#[derive(Debug)]
pub struct Startup {
    pub config: Config,
    /// The filter for the log on stderr, as `tracing_subscriber::EnvFilter` reads it.
    pub log: String,
    pub log_format: LogFormat,
    /// Lines to log first.
    pub notices: Vec<String>,
    /// The content of `node.json`; `None` if there is none.
    pub remembered: Option<Remembered>,
    /// Whether the operator says that the data directory was copied here whole.
    pub moved: bool,
}

/// Why no node can be started from a command line. All of these are usage errors (exit code 2).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Flag(#[from] FlagError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Remembered(#[from] RememberError),
    #[error("--htpasswd {}: {source}", path.display())]
    Passwords {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Password(#[from] PasswordsError),
    #[error("--token-file {}: {source}", path.display())]
    TokenFile {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// `args` without the program's name.
pub fn load(args: Vec<String>, machine: &Machine) -> Result<Loaded, LoadError> {
    let told = Flags::parse(args, &|path| std::fs::read_to_string(path))?;
    if told.help {
        return Ok(Loaded::Print(flags::help()));
    }
    if told.version {
        return Ok(Loaded::Print(format!(
            "vineyardd version {}\n",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let stages = complete(told, machine)?;
    if let Some(path) = stages.file {
        let trusted = ownership::check_trusted(&path);
        trusted.map_err(|source| FlagError::ConfigFile { path, source })?;
    }
    let mut flags = stages.all;
    if let Some(path) = resolve::token_file(&flags, machine)? {
        flags.token = Some(token(path)?);
    }
    let remembered = remembered::load(&resolve::data_dir(&flags, machine))?;
    let mut config = resolve::config(&flags, machine, remembered.as_ref())?;
    if let Some(path) = resolve::htpasswd(&flags, machine, remembered.as_ref()) {
        config.passwords = Some(Arc::new(passwords(path)?));
    }
    let mut notices = std::mem::take(&mut flags.notices);
    notices.extend(resolve::check_size(config.size_bytes, &machine.memory)?);
    let log_format = flags.log_format.unwrap_or_default();
    let log = flags.log.unwrap_or_else(|| LOG_DEFAULT.to_owned());
    Ok(Loaded::Run(Box::new(Startup {
        config,
        log,
        log_format,
        notices,
        remembered,
        moved: flags.moved,
    })))
}

/// What was told, from the nearest source to the farthest: each has the gaps of the one before filled.
pub(super) struct Stages {
    pub(super) line: Flags,
    pub(super) environment: Flags,
    pub(super) all: Flags,
    /// The settings file.
    pub(super) file: Option<PathBuf>,
}

/// Fills the gaps of a command line from the environment, then from the settings file.
pub(super) fn complete(line: Flags, machine: &Machine) -> Result<Stages, LoadError> {
    let environment = resolve::with_variables(line.clone(), machine)?;
    let file = environment.config.as_ref();
    let file = file.map(|path| machine.current_dir.join(path));
    let all = match file.clone() {
        None => environment.clone(),
        Some(path) => {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|source| FlagError::ConfigFile {
                path: path.clone(),
                source,
            })?;
            let file = Flags::of_file(&path, &text)?;
            let token_file = file.token_file.clone();
            // The file may say that this node joins; then the environment may have the token.
            let mut all = resolve::with_variables(environment.clone().filled_from(file), machine)?;
            let is_told = all.token.is_some() || all.token_file.is_some();
            if !is_told && (all.found || !all.join.is_empty()) {
                all.token_file = token_file;
            }
            all
        }
    };
    Ok(Stages {
        line,
        environment,
        all,
        file,
    })
}

fn token(path: PathBuf) -> Result<String, LoadError> {
    match ownership::read_secret(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(LoadError::TokenFile { path, source }),
    }
}

fn passwords(path: PathBuf) -> Result<Passwords, LoadError> {
    let trusted = std::fs::metadata(&path).and_then(|_| ownership::check_trusted(&path));
    match trusted.and_then(|()| std::fs::read_to_string(&path)) {
        Ok(text) => Ok(Passwords::parse(path, &text)?),
        Err(source) => Err(LoadError::Passwords { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::memory::{Group, Memory};
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
    fn an_arena_beyond_the_memory_is_refused_and_one_beyond_the_group_a_notice() {
        let start = |size: &str| {
            let memory = Memory {
                machine_bytes: Some(24 << 30),
                group: Some(Group {
                    limit_bytes: 2 << 30,
                    file: "/groups/job".to_owned(),
                }),
            };
            let machine = Machine {
                memory,
                variables: Default::default(),
                ..Machine::here()
            };
            let dir = tempfile::tempdir().unwrap();
            let data_dir = format!("--data-dir={}", dir.path().join("data").display());
            match load(vec![data_dir, format!("--size={size}")], &machine) {
                Ok(Loaded::Run(startup)) => Ok(startup.notices),
                Ok(Loaded::Print(text)) => panic!("{text}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let said = start("10T").unwrap_err();
        assert!(said.contains("10 TiB") && said.contains("24 GiB"), "{said}");
        let said = start("2G").unwrap();
        let names = ["2 GiB", "2.3 GiB", "/groups/job"];
        assert!(
            said.len() == 1 && names.iter().all(|name| said[0].contains(name)),
            "{said:?}"
        );
        assert_eq!(start("1G").unwrap(), Vec::<String>::new());
        assert_eq!(
            start("0").unwrap(),
            Vec::<String>::new(),
            "half of the group's"
        );
    }

    #[test]
    fn a_settings_file_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let text = format!("data-dir = {}\nsize = 8M\nname = blue\n", at("data"));
        std::fs::write(at("conf"), text).unwrap();
        let conf = format!("--config={}", at("conf"));
        match load_here(&[&conf, "--size=4M"]) {
            Ok(Loaded::Run(startup)) => {
                assert_eq!(startup.config.size_bytes, 4 << 20);
                assert_eq!(startup.config.name.as_deref(), Some("blue"));
            }
            other => panic!("{other:?}"),
        }
        let open = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(at("conf"), open).unwrap();
        let said = load_here(&[&conf]).unwrap_err().to_string();
        assert!(said.contains(&at("conf")), "{said}");
        let said = load_here(&["--config=/no/such"]).unwrap_err().to_string();
        assert!(said.contains("/no/such"), "{said}");
    }

    #[test]
    fn a_node_with_passwords_restarts_with_them_until_told_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (data_dir, users) = (at("data"), at("users"));
        let start = |more: &[&str]| {
            let mut args = vec!["--data-dir", &data_dir, "--size=8M"];
            args.extend(more);
            match load_here(&args) {
                Ok(Loaded::Run(startup)) => Ok(startup.config),
                Ok(Loaded::Print(text)) => panic!("{text}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let flag = format!("--htpasswd={users}");
        let absent = start(&[&flag]).unwrap_err();
        assert!(absent.contains(&users), "{absent}");
        std::fs::write(&users, "ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n").unwrap();
        let config = start(&[&flag]).unwrap();
        assert!(config.passwords.as_ref().unwrap().admits("ann", "test"));
        remembered::save(&config.data_dir, &Remembered::of(&config, None)).unwrap();
        assert_eq!(start(&[]).unwrap().passwords, config.passwords);
        assert_eq!(start(&["--htpasswd="]).unwrap().passwords, None);
        std::fs::write(&users, "ann:plain").unwrap();
        let error = start(&[]).unwrap_err();
        assert!(
            error.contains("line 1") && !error.contains("plain"),
            "{error}"
        );
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
