//! What happened, one line per event, with its simulated time.
//!
//! Promise: two runs of one seed write the same bytes. So nothing here may depend on an address, a real clock, a
//! process id or the order of a hash map; who writes a line must only name logical things.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// What a line is about, so that a reader may leave kinds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process ran because a timer fired or a message came: the first time at this instant.
    Timer,
    /// Bytes handed to a connection.
    Frame,
    /// A batch queued, durable or failed.
    Disk,
    /// A connection opened, refused, closed or reset.
    Connection,
    /// What the fault schedule did.
    Fault,
    /// A client's operation, invoked or answered.
    Operation,
    /// Process starts, ends, leader changes, checks.
    Event,
}

impl Kind {
    fn tag(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Frame => "frame",
            Self::Disk => "disk",
            Self::Connection => "conn",
            Self::Fault => "FAULT",
            Self::Operation => "op",
            Self::Event => "event",
        }
    }
}

/// Which lines are written out. All of them are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything: what `twice` compares.
    Full,
    /// Without timers, frames and disk operations: what a person reads first.
    Story,
}

/// The one trace of a run; clones write to the same one.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    start: Instant,
    hash: Xxh3,
    lines: u64,
    line: Vec<u8>,
    output: Option<(Detail, Box<dyn Write + Send>)>,
    open: bool,
}

impl Trace {
    /// Starts at the current simulated instant.
    pub fn new(output: Option<(Detail, Box<dyn Write + Send>)>) -> Self {
        let inner = Inner {
            start: Instant::now(),
            hash: Xxh3::new(),
            lines: 0,
            line: Vec::with_capacity(256),
            output,
            open: true,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds of simulated time since the start.
    pub fn now_us(&self) -> u64 {
        let start = self.lock().start;
        Instant::now().duration_since(start).as_micros() as u64
    }

    /// Adds one line: when, who, what kind, what.
    pub fn note(&self, kind: Kind, who: &str, what: Arguments<'_>) {
        let mut inner = self.lock();
        if !inner.open {
            return;
        }
        let us = Instant::now().duration_since(inner.start).as_micros() as u64;
        let mut line = std::mem::take(&mut inner.line);
        line.clear();
        let (ms, rest) = (us / 1000, us % 1000);
        writeln!(line, "{ms:>7}.{rest:03} {who:<4} {:<5} {what}", kind.tag())
            .expect("a vector takes every byte");
        inner.hash.update(&line);
        inner.lines += 1;
        let quiet = matches!(kind, Kind::Timer | Kind::Frame | Kind::Disk);
        if let Some((detail, output)) = &mut inner.output
            && (*detail == Detail::Full || !quiet)
        {
            // A reader that went away (a closed pipe) must not change the run.
            let _ = output.write_all(&line);
        }
        inner.line = line;
    }

    /// Ends the trace: the teardown that follows is not part of the run. Returns the hash and the number of lines.
    pub fn close(&self) -> (u64, u64) {
        let mut inner = self.lock();
        inner.open = false;
        if let Some((_, output)) = &mut inner.output {
            let _ = output.flush();
        }
        (inner.hash.digest(), inner.lines)
    }
}

/// How bytes appear in the trace: their length and a hash of them.
pub fn digest(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
