//! The log on stderr: one line per event, without control characters.
//!
//! Promise: no other thread ever waits for the reader of the log. A thread of its own writes; what it cannot write in
//! time is dropped and counted (`queue`), and warnings that repeat are counted (`repeats`).

mod queue;
mod repeats;

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use vineyard_net::text;

use self::queue::{Batch, Queue};
use self::repeats::{Counting, Repeated, Repeats};
use crate::config::LogFormat;
use crate::system;

/// Lines that wait for the writer, bytes.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long the end of the process waits for the reader of the log.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// The log of this process, once it has begun.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// Starts the log of this process.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<()> {
    let queue = QUEUE.get_or_init(|| Arc::new(Queue::new(QUEUE_BYTES_MAX)));
    let repeats = Arc::new(Repeats::default());
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let counting = repeats.clone();
    // It fails if the process has a log already, which stays in use.
    let started = match format {
        LogFormat::Text => log
            .with_writer(|| Lines(queue, text::printable))
            .with_ansi(false)
            .map_event_format(|inner| Counting {
                repeats: counting,
                inner,
            })
            .try_init(),
        LogFormat::Json => log
            .json()
            .fmt_fields(JsonFields::new())
            .with_writer(|| Lines(queue, text::printable_json))
            .map_event_format(|inner| Counting {
                repeats: counting,
                inner,
            })
            .try_init(),
    };
    if started.is_err() {
        return Ok(());
    }
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        let name = thread.name().unwrap_or("without a name");
        let said = format!("thread {name} {panic}\n{backtrace}");
        said.lines().for_each(complain);
    }));
    system::start_plain_thread("log", move || write(queue, &repeats, format))
}

/// Writes until the log is finished.
fn write(queue: &Queue, repeats: &Repeats, format: LogFormat) {
    while let Some(Batch { lines, dropped }) = queue.take(repeats.next_due()) {
        let mut failed = 0;
        let missing = (dropped > 0).then(|| missing(format, dropped));
        let again = repeats.due(Instant::now());
        let again = again.iter().map(|repeated| again_line(format, repeated));
        for line in lines.into_iter().chain(missing).chain(again) {
            failed += u64::from(io::stderr().write_all(line.as_bytes()).is_err());
        }
        if failed > 0 {
            queue.lost(failed);
        }
    }
}

/// The line that stands where lines are missing.
fn missing(format: LogFormat, dropped: u64) -> String {
    let message = "lines of the log were dropped: they were not read in time";
    line(
        format,
        Level::WARN,
        module_path!(),
        message,
        &[("dropped", dropped)],
    )
}

fn again_line(format: LogFormat, repeated: &Repeated) -> String {
    let Repeated {
        level,
        target,
        text,
        times,
    } = repeated;
    let figures = [
        ("times", *times),
        ("within_s", repeats::SAID_EVERY.as_secs()),
    ];
    line(format, *level, target, &format!("again: {text}"), &figures)
}

/// A line as `tracing` writes it.
fn line(
    format: LogFormat,
    level: Level,
    target: &str,
    message: &str,
    figures: &[(&str, u64)],
) -> String {
    let mut now = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    match format {
        LogFormat::Text => {
            let figures = figures
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            let figures: String = figures.collect();
            let text = format!("{now} {level:>5} {target}: {message}{figures}");
            format!("{}\n", text::printable(&text))
        }
        LogFormat::Json => {
            let mut fields = serde_json::Map::new();
            fields.insert("message".to_owned(), message.into());
            fields.extend(
                figures
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).into())),
            );
            let line = json!({"timestamp": now, "level": level.as_str(), "fields": fields, "target": target});
            format!("{}\n", text::printable_json(&line.to_string()))
        }
    }
}

/// Prints on stderr, on one line, why this process ends.
pub(crate) fn complain(message: &str) {
    let line = format!("vineyardd: {}\n", text::printable(message));
    match QUEUE.get() {
        Some(queue) => queue.push(line),
        None => eprint!("{line}"),
    }
}

/// Waits until the log is written, but not for a reader that does not read.
pub(crate) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish(WRITTEN_WITHIN);
    }
}

/// Receives each event in one piece, with its newline, and passes it on with control characters escaped.
struct Lines<'a>(&'a Queue, fn(&str) -> Cow<'_, str>);

impl Write for Lines<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(event);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        self.0.push(format!("{}\n", (self.1)(line)));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(event: &[u8], harmless: fn(&str) -> Cow<'_, str>) -> String {
        let queue = Queue::new(QUEUE_BYTES_MAX);
        let written = Lines(&queue, harmless).write(event).unwrap();
        assert_eq!(written, event.len());
        queue.take(None).unwrap().lines.concat()
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

    #[test]
    fn what_the_log_says_of_itself_has_the_form_of_its_other_lines() {
        let repeated = Repeated {
            level: Level::WARN,
            target: "here",
            text: "away node=1\n".to_owned(),
            times: 7,
        };
        let line = again_line(LogFormat::Text, &repeated);
        let (_, said) = line.split_once("Z ").expect("a time");
        assert_eq!(
            said,
            " WARN here: again: away node=1\\u{a} times=7 within_s=60\n"
        );
        let line = again_line(LogFormat::Json, &repeated);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = json!({"message": "again: away node=1\n", "times": 7, "within_s": 60});
        assert_eq!(
            (&read["fields"], &read["target"]),
            (&fields, &json!("here"))
        );
        assert!(missing(LogFormat::Text, 3).ends_with(" dropped=3\n"));
    }
}
