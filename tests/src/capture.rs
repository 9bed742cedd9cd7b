//! A wire between nodes that keeps what goes over it: nodes advertise its address, and it passes all on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// See the module. It ends with the process.
#[derive(Clone, Debug)]
pub struct Capture {
    address: String,
    /// Where it passes the bytes on to; nowhere at first.
    target: Arc<Mutex<Option<String>>>,
    seen: Arc<Mutex<Vec<u8>>>,
    /// The ways of connections that have not ended.
    open: Arc<AtomicUsize>,
}

impl Capture {
    /// Listens on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let capture = Self {
            address: listener.local_addr()?.to_string(),
            target: Arc::default(),
            seen: Arc::default(),
            open: Arc::default(),
        };
        let wire = capture.clone();
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                // Who calls too early, or too late, is closed.
                let _ended = wire.pass(caller);
            }
        });
        Ok(capture)
    }

    /// `host:port` to dial.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on it passes to this address.
    pub fn pass_to(&self, address: &str) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(address.to_owned());
    }

    /// How many ways of connections have not ended. What went over these is not kept yet.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How many bytes went over it, both ways.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing went over it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these bytes went over it, in one piece.
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.lock().windows(bytes.len()).any(|seen| seen == bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, caller: TcpStream) -> Result<()> {
        let target = self
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(target) = target else {
            return Ok(());
        };
        let called = TcpStream::connect(target)?;
        for (from, to) in [(caller.try_clone()?, called.try_clone()?), (called, caller)] {
            let wire = self.clone();
            self.open.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || wire.copy(from, to));
        }
        Ok(())
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = vec![0; 64 << 10];
        let mut way = Vec::new();
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            way.extend_from_slice(&bytes[..read]);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // Each way of a connection is kept in one piece.
        self.lock().append(&mut way);
        let _closed = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}
