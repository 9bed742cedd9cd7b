//! The log on stderr: one line per event, without control characters.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use vineyard_net::text;

use crate::config::LogFormat;

/// Starts the log; a process that starts several nodes calls this several times.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) {
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    // It fails if the process has a log already, which stays in use.
    let _ = match format {
        LogFormat::Text => log
            .with_writer(|| Lines(io::stderr(), text::printable))
            .with_ansi(false)
            .try_init(),
        LogFormat::Json => log
            .json()
            .with_writer(|| Lines(io::stderr(), text::printable_json))
            .try_init(),
    };
}

/// Prints on stderr, on one line, why this process ends.
pub(crate) fn complain(message: &str) {
    eprintln!("vineyardd: {}", text::printable(message));
}

/// Receives each event in one piece, with its newline, and passes it on with control characters escaped.
struct Lines<W>(W, fn(&str) -> Cow<'_, str>);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(event);
        match line.strip_suffix('\n') {
            Some(line) => self
                .0
                .write_all(format!("{}\n", (self.1)(line)).as_bytes())?,
            None => self.0.write_all((self.1)(&line).as_bytes())?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(event: &[u8], harmless: fn(&str) -> Cow<'_, str>) -> String {
        let mut printed = Vec::new();
        let written = Lines(&mut printed, harmless).write(event).unwrap();
        assert_eq!(written, event.len());
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn an_event_stays_one_line() {
        let event = b"WARN at=a\x1b[2J\nERROR forged \xff\n";
        let expected = "WARN at=a\\u{1b}[2J\\u{a}ERROR forged \u{fffd}\n";
        assert_eq!(printed(event, text::printable), expected);
    }

    #[test]
    fn an_event_as_json_stays_json() {
        let event = "{\"at\":\"a\u{9b}2J\u{202e}\"}\n";
        let line = printed(event.as_bytes(), text::printable_json);
        assert_eq!(line, "{\"at\":\"a\\u009b2J\\u202e\"}\n");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["at"], "a\u{9b}2J\u{202e}");
    }
}
