//! Warnings that repeat are counted: each is written once, then at most once a minute with how often it came again.
//!
//! Two warnings are the same if they are of the same place in the code and of the same `source` field; without a
//! `source`, if all their fields are the same. Those of openraft are the same if they are of the same place: their
//! fields have terms and times in them. It must never know who writes the lines.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Pause between two lines about the same warning.
pub(super) const SAID_EVERY: Duration = Duration::from_secs(60);
/// Warnings that are told apart at the same time. Beyond that all of one place in the code are the same.
const WARNINGS_MAX: usize = 4096;
/// Characters of a warning that stand in the line with its count.
const TEXT_CHARS_MAX: usize = 200;
/// By this field alone warnings of one place are told apart.
const SOURCE: &str = "source";
const OPENRAFT: &str = "openraft";

/// The warnings of the last minute.
#[derive(Default)]
pub(super) struct Repeats(Mutex<BTreeMap<u64, Repeat>>);

struct Repeat {
    /// When it is said how often the warning came again.
    due: Instant,
    warning: Repeated,
}

/// A warning that came again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) text: String,
    pub(super) times: u64,
}

impl Repeats {
    /// Whether `event` is written. If not, it was counted.
    fn admits(&self, event: &Event<'_>, now: Instant) -> bool {
        let about = event.metadata();
        if *about.level() > Level::WARN {
            return true;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let place = hash(&about.callsite(), "");
        let key = match &fields.source {
            Some(source) => hash(&about.callsite(), source),
            None if about.target().starts_with(OPENRAFT) => place,
            None => hash(&about.callsite(), &fields.text),
        };
        let mut warnings = self.lock();
        let is_full = warnings.len() >= WARNINGS_MAX && !warnings.contains_key(&key);
        let key = if is_full { place } else { key };
        if let Some(repeat) = warnings.get_mut(&key) {
            repeat.warning.times += 1;
            return false;
        }
        let warning = Repeated {
            level: *about.level(),
            target: about.target(),
            text: fields.text.chars().take(TEXT_CHARS_MAX).collect(),
            times: 0,
        };
        let due = now + SAID_EVERY;
        warnings.insert(key, Repeat { due, warning });
        true
    }

    /// The warnings that came again and whose minute is over. Those that did not are forgotten.
    pub(super) fn due(&self, now: Instant) -> Vec<Repeated> {
        let mut due = Vec::new();
        self.lock().retain(|_, repeat| {
            if repeat.due > now {
                return true;
            }
            let came_again = repeat.warning.times > 0;
            if came_again {
                due.push(repeat.warning.clone());
                repeat.warning.times = 0;
                repeat.due = now + SAID_EVERY;
            }
            came_again
        });
        due
    }

    /// When `due` has something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().values().map(|repeat| repeat.due).min()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Repeat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(place: &impl Hash, rest: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    rest.hash(&mut hasher);
    hasher.finish()
}

/// The fields of an event as text, the message first.
#[derive(Default)]
struct Fields {
    text: String,
    source: Option<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == SOURCE {
            self.source = Some(format!("{value:?}"));
        }
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => {
                self.text = format!("{value:?}{}", self.text);
                Ok(())
            }
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}

/// Formats the events that are not only counted.
pub(super) struct Counting<F> {
    pub(super) repeats: Arc<Repeats>,
    pub(super) inner: F,
}

impl<S, N, F> FormatEvent<S, N> for Counting<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.repeats.admits(event, Instant::now()) {
            true => self.inner.format_event(context, writer, event),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Everything that was written, by any clone.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The lines that `say` writes.
    fn lines(repeats: &Arc<Repeats>, say: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let repeats = repeats.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(written.clone())
            .with_ansi(false)
            .without_time()
            .map_event_format(|inner| Counting { repeats, inner })
            .finish();
        tracing::subscriber::with_default(log, say);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn warn(node: u8) {
        tracing::warn!(node, "away");
    }

    #[tokio::test(start_paused = true)]
    async fn a_warning_that_repeats_is_written_once_and_then_counted_each_minute() {
        let repeats = Arc::new(Repeats::default());
        let begun = Instant::now();
        let said = lines(&repeats, || {
            for node in [1, 2, 1, 1] {
                warn(node);
            }
            tracing::info!("news");
            tracing::info!("news");
        });
        assert_eq!(said.len(), 4, "two nodes, and what is no warning: {said:?}");
        assert_eq!(repeats.next_due(), Some(begun + SAID_EVERY));
        assert_eq!(repeats.due(Instant::now()), []);
        tokio::time::advance(SAID_EVERY).await;
        let due = repeats.due(Instant::now());
        let [one] = due.as_slice() else {
            panic!("node 1 alone came again: {due:?}");
        };
        assert_eq!((one.times, one.text.as_str()), (2, "away node=1"));
        // Still counted in the next minute; node 2 is news again.
        let said = lines(&repeats, || [1, 2].into_iter().for_each(warn));
        assert!(said.len() == 1 && said[0].contains("node=2"), "{said:?}");
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(repeats.due(Instant::now()).len(), 1);
        tokio::time::advance(SAID_EVERY).await;
        assert_eq!(repeats.due(Instant::now()), []);
        assert_eq!(repeats.next_due(), None);
    }

    #[test]
    fn a_source_has_one_line_whatever_it_says() {
        let repeats = Arc::new(Repeats::default());
        let said = lines(&repeats, || {
            for number in 0..10 {
                let source = number % 2;
                tracing::warn!(source, number, "refused");
                tracing::warn!(target: "openraft::engine", term = number, "vote");
            }
        });
        assert_eq!(said.len(), 3, "{said:?}");
    }

    #[test]
    fn sources_without_end_take_no_memory_without_end() {
        let repeats = Arc::new(Repeats::default());
        let said = lines(&repeats, || {
            for source in 0..3 * WARNINGS_MAX {
                tracing::warn!(source, "refused");
            }
        });
        // One more for all those that are no longer told apart.
        assert_eq!(said.len(), WARNINGS_MAX + 1);
        assert!(repeats.lock().len() <= WARNINGS_MAX + 1);
    }
}
