//! The log on stderr: one event, one line, with nothing in it that a terminal obeys.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use vineyard_net::text;

/// Starts the log; a process that starts several nodes has one already.
pub(crate) fn start(filter: EnvFilter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Printable(io::stderr()));
    // It fails if there is one, which then goes on.
    let _ = log.with_ansi(false).try_init();
}

/// Says on stderr, on one line, why this process ends.
pub(crate) fn complain(message: &str) {
    eprintln!("vineyardd: {}", text::printable(message));
}

/// Gets each event in one piece, with the line's end, and passes it on with strangers' text escaped.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(event);
        match line.strip_suffix('\n') {
            Some(line) => {
                let line = format!("{}\n", text::printable(line));
                self.0.write_all(line.as_bytes())?;
            }
            None => self.0.write_all(text::printable(&line).as_bytes())?,
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

    #[test]
    fn an_event_stays_one_line() {
        let mut printed = Vec::new();
        let event = b"WARN at=a\x1b[2J\nERROR forged \xff\n";
        let written = Printable(&mut printed).write(event).unwrap();
        assert_eq!(written, event.len());
        let expected = "WARN at=a\\u{1b}[2J\\u{a}ERROR forged \u{fffd}\n";
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
    }
}
