//! The product's own log lines, on standard error with simulated times, when `VINEYARD_SIM_LOG` names a level.

use std::fmt;
use std::sync::OnceLock;

use tokio::time::Instant;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Simulated milliseconds since the first line.
struct Simulated(OnceLock<Instant>);

impl FormatTime for Simulated {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = Instant::now();
        let start = *self.0.get_or_init(|| now);
        write!(writer, "{:>7}", now.duration_since(start).as_millis())
    }
}

/// Shows what the product logs; a second call does nothing.
pub fn start() {
    let Ok(filter) = EnvFilter::try_from_env("VINEYARD_SIM_LOG") else {
        return;
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_timer(Simulated(OnceLock::new()));
    // It fails only if the log was started already.
    let _ = lines.try_init();
}
