//! Which TCP connections of a node must be encrypted.

use crate::config::{ConfigError, Flags, Remembered};

/// What a node asks of its TCP connections, once every member of its cluster knows TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Nodes encrypt, except between loopback addresses; clients may.
    #[default]
    ExceptLoopback,
    /// Nodes and clients encrypt, wherever they are.
    Always,
    /// Nodes call in plain; nobody must encrypt.
    Never,
}

/// What was told last, by either flag.
pub(super) fn of(flags: &Flags, remembered: Option<&Remembered>) -> Result<Tls, ConfigError> {
    let kept = |kept: fn(&Remembered) -> bool| remembered.is_some_and(kept);
    match (flags.insecure, flags.require_tls) {
        (Some(true), Some(true)) => Err(ConfigError::InsecureAndTls),
        (Some(true), _) => Ok(Tls::Never),
        (_, Some(true)) => Ok(Tls::Always),
        (None, _) if kept(|known| known.insecure) => Ok(Tls::Never),
        (_, None) if kept(|known| known.require_tls) => Ok(Tls::Always),
        _ => Ok(Tls::ExceptLoopback),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_last_that_was_told_counts() {
        let told = |insecure, require_tls| Flags {
            insecure,
            require_tls,
            ..Flags::default()
        };
        let kept = |tls| {
            let config = Config {
                tls,
                ..Config::new("/data", "/sock")
            };
            Remembered::of(&config, None)
        };
        for (flags, known, expected) in [
            (told(None, None), None, Tls::ExceptLoopback),
            (told(Some(true), None), None, Tls::Never),
            (told(None, Some(true)), Some(Tls::Never), Tls::Always),
            (told(None, None), Some(Tls::Never), Tls::Never),
            (
                told(Some(false), None),
                Some(Tls::Never),
                Tls::ExceptLoopback,
            ),
            (told(None, None), Some(Tls::Always), Tls::Always),
            (
                told(None, Some(false)),
                Some(Tls::Always),
                Tls::ExceptLoopback,
            ),
            (told(Some(true), None), Some(Tls::Always), Tls::Never),
        ] {
            let known = known.map(kept);
            assert_eq!(of(&flags, known.as_ref()).unwrap(), expected, "{flags:?}");
        }
        assert!(of(&told(Some(true), Some(true)), None).is_err());
    }
}
