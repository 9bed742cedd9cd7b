//! The settings file of `--config`: a line a setting, `name = value`, where `#` begins a comment. The names are those
//! of the flags.
//!
//! It is read into `Flags`, which fill the gaps that the command line and the environment leave. Pure: it is given the
//! text.

use std::path::Path;

use super::{FlagError, Flags, Meaning, Ours, find};

impl Flags {
    /// The settings of the file at `path` that has this `text`.
    pub(crate) fn of_file(path: &Path, text: &str) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            flags
                .read_line(line)
                .map_err(|reason| FlagError::ConfigLine {
                    path: path.to_owned(),
                    line: index + 1,
                    reason,
                })?;
        }
        Ok(flags)
    }

    fn read_line(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line
            .split_once('=')
            .ok_or("write name = value, as in size = 64G")?;
        let (name, value) = (name.trim(), value.trim());
        let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        let (spec, negated) = find(name).map_err(|error| error.to_string())?;
        match spec.meaning {
            _ if negated => Err(format!("write {} = false", spec.name)),
            Meaning::Ours(
                Ours::Help
                | Ours::Version
                | Ours::FlagFile
                | Ours::Config
                | Ours::Found
                | Ours::Moved,
            ) => Err(format!("--{} stands on the command line only", spec.name)),
            Meaning::Ours(Ours::Token) => Err(
                "a token stands in a file of its own, which token-file names, or in VINEYARD_TOKEN"
                    .to_owned(),
            ),
            Meaning::Ours(ours) => self
                .set(ours, spec.name, quoted.unwrap_or(value))
                .map_err(|error| error.to_string()),
            Meaning::Nothing(why) => {
                self.notices.push(format!("{}: {why}", spec.name));
                Ok(())
            }
        }
    }

    /// These flags with the gaps filled from `file`, except the token: it is taken where a node joins.
    pub(crate) fn filled_from(self, file: Self) -> Self {
        let listens = self.listen.is_some() || self.rpc_socket_port.is_some();
        let or_port = |file: Option<u16>| file.filter(|_| !listens);
        Self {
            socket: self.socket.or(file.socket),
            socket_mode: self.socket_mode.or(file.socket_mode),
            size_bytes: self.size_bytes.or(file.size_bytes),
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen.filter(|_| !listens)),
            rpc_socket_port: self.rpc_socket_port.or(or_port(file.rpc_socket_port)),
            advertise: self.advertise.or(file.advertise),
            join: match self.join.is_empty() {
                true => file.join,
                false => self.join,
            },
            expect: self.expect.or(file.expect),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            slow_request_ms: self.slow_request_ms.or(file.slow_request_ms),
            name: self.name.or(file.name),
            stream_threshold_percent: self
                .stream_threshold_percent
                .or(file.stream_threshold_percent),
            deployment: self.deployment.or(file.deployment),
            compression: self.compression.or(file.compression),
            rpc: self.rpc.or(file.rpc),
            rpc_open_to_anyone: self.rpc_open_to_anyone.or(file.rpc_open_to_anyone),
            insecure: self.insecure.or(file.insecure),
            require_tls: self.require_tls.or(file.require_tls),
            http: self.http.or(file.http),
            http_hosts: self.http_hosts.or(file.http_hosts),
            htpasswd: self.htpasswd.or(file.htpasswd),
            replace_after: self.replace_after.or(file.replace_after),
            feature_level: self.feature_level.or(file.feature_level),
            notices: self.notices.into_iter().chain(file.notices).collect(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Flags, String> {
        Flags::of_file(Path::new("v.conf"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_a_setting_and_the_command_line_wins() {
        let text =
            "# a node\n\nsize = 64M\nname= \"blue\"\nrpc_open_to_anyone = yes\njoin = a, b:1\n";
        let file = read(text).unwrap();
        assert_eq!(file.size_bytes, Some(64 << 20));
        assert_eq!(file.join, ["a:9600", "b:1"]);
        let told = Flags::parse(["--name=red", "--rpc_socket_port=7"], &|_| unreachable!());
        let merged = told.unwrap().filled_from(file);
        assert_eq!(merged.name.as_deref(), Some("red"));
        assert_eq!(merged.size_bytes, Some(64 << 20));
        assert_eq!(merged.rpc_open_to_anyone, Some(true));
        let listening = read("listen = 10.0.0.1:1").unwrap();
        assert_eq!(
            merged.filled_from(listening).listen,
            None,
            "the port was told"
        );
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for (text, expected) in [
            ("size", "line 1"),
            ("\nsiez = 1M", "line 2"),
            ("siez = 1M", "--size"),
            ("size = much", "much"),
            ("found = true", "command line only"),
            ("token = vy1.x", "token-file"),
            ("norpc = true", "rpc = false"),
        ] {
            let said = read(text).unwrap_err();
            assert!(
                said.contains(expected) && said.contains("v.conf"),
                "{text}: {said}"
            );
            assert!(!said.contains("vy1"), "{said}");
        }
    }
}
