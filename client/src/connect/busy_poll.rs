//! Looking for an answer for a moment before going to sleep for it.
//!
//! Promise: only after a write, because then the other side's next bytes usually follow within microseconds, and to be
//! woken for them costs more than they take. Other tasks of the thread run in between. For Unix sockets: over TCP bulk
//! bytes are written while a read is pending, and the nodes of one machine would take each other's processors. It must
//! never know what the bytes mean.

use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::ReadBuf;

/// After a write. About twice what a small request takes, there and back.
const WINDOW: Duration = Duration::from_micros(50);
/// The first read only: more than a small message, and the rest is read as always.
const READ_BYTES: usize = 4096;

/// On a single processor the other side could not run meanwhile.
static IS_WORTHWHILE: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1));

/// One per Unix socket.
#[derive(Debug, Default)]
pub(super) struct BusyPoll {
    until: Option<Instant>,
}

impl BusyPoll {
    /// Bytes were written: an answer may follow at once.
    pub(super) fn wrote(&mut self) {
        if *IS_WORTHWHILE {
            self.until = Some(Instant::now() + WINDOW);
        }
    }

    /// Passes on what a read of the stream gave. If that is nothing yet and an answer may follow at once, looks at
    /// `socket` itself, whose readiness the reactor reports only when the thread has nothing else to do.
    pub(super) fn read(
        &mut self,
        given: Poll<io::Result<()>>,
        socket: impl AsFd,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if given.is_ready() {
            self.until = None;
            return given;
        }
        if self.until.is_none_or(|until| until <= Instant::now()) {
            self.until = None;
            return given;
        }
        let mut bytes = [0; READ_BYTES];
        let len = READ_BYTES.min(buf.remaining());
        match rustix::net::recv(socket, &mut bytes[..len], RecvFlags::DONTWAIT) {
            Ok((read, _)) => {
                self.until = None;
                buf.put_slice(&bytes[..read]);
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}
