//! Busy polling: a reader spins for some microseconds before its task sleeps.
//!
//! Promise: only after a write, because then the other side's next bytes usually follow within microseconds, and to be
//! woken for them costs more than they take; longer as long as bytes keep coming that soon. Other tasks of the thread
//! run in between. For Unix sockets: over TCP bulk bytes are written while a read is pending, and the nodes of one
//! machine would take each other's processors. It must never know what the bytes mean.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::ReadBuf;

/// After a write. About twice what a small request takes, there and back.
const WINDOW: Duration = Duration::from_micros(50);
/// After a write, if the last bytes came within it. About twice what a client in Python takes until it asks again, or a
/// node to answer with a small data frame, and less than anything that waits for a disk.
const LONG_WINDOW: Duration = Duration::from_micros(150);
/// The first read only: more than a small message, and the rest is read as always.
const READ_BYTES: usize = 4096;

/// On a single processor the other side could not run meanwhile.
static IS_WORTHWHILE: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1));

/// One per Unix socket.
#[derive(Debug)]
pub(super) struct BusyPoll {
    /// The last write, until something is read.
    wrote: Option<Instant>,
    /// How long after it nothing had come yet.
    waited: Duration,
    window: Duration,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self {
            wrote: None,
            waited: Duration::ZERO,
            window: WINDOW,
        }
    }
}

impl BusyPoll {
    /// Bytes were written: an answer may follow at once.
    pub(super) fn wrote(&mut self) {
        if *IS_WORTHWHILE {
            self.wrote = Some(Instant::now());
            self.waited = Duration::ZERO;
        }
    }

    /// As soon as this one came, so may the next.
    fn expect_after(&mut self, waited: Duration) {
        let soon = waited <= LONG_WINDOW;
        self.window = if soon { LONG_WINDOW } else { WINDOW };
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
        let Some(wrote) = self.wrote else {
            return given;
        };
        if given.is_ready() {
            self.wrote = None;
            self.expect_after(wrote.elapsed());
            return given;
        }
        // What comes is passed on before anything else is done, without a look at the clock.
        let mut room = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let len = READ_BYTES.min(buf.remaining());
        match rustix::net::recv(socket, &mut room[..len], RecvFlags::DONTWAIT) {
            Ok(((bytes, _), _)) => {
                self.wrote = None;
                self.expect_after(self.waited);
                buf.put_slice(bytes);
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.waited = wrote.elapsed();
                if self.waited < self.window {
                    if self.waited >= WINDOW {
                        // It takes longer than most: perhaps because the other side has no processor to run on.
                        std::thread::yield_now();
                    }
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    use super::*;

    #[test]
    fn it_looks_longer_while_bytes_come_soon() {
        let mut link = BusyPoll::default();
        assert_eq!(link.window, WINDOW);
        for (waited, window) in [
            (WINDOW * 2, LONG_WINDOW),
            (LONG_WINDOW * 2, WINDOW),
            (Duration::ZERO, LONG_WINDOW),
        ] {
            link.expect_after(waited);
            assert_eq!(link.window, window);
        }
    }

    /// What a reader gets to whom the reactor has reported nothing, or that `given`.
    fn read(
        link: &mut BusyPoll,
        given: Poll<io::Result<()>>,
        socket: &UnixStream,
    ) -> Poll<Vec<u8>> {
        let mut bytes = [0; 16];
        let mut buf = ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        let read = link.read(given, socket, &mut cx, &mut buf);
        read.map(|read| {
            read.unwrap();
            buf.filled().to_vec()
        })
    }

    #[test]
    fn after_a_write_it_looks_itself() {
        let (mut other, socket) = UnixStream::pair().unwrap();
        let mut link = BusyPoll::default();
        other.write_all(b"one").unwrap();
        assert!(read(&mut link, Poll::Pending, &socket).is_pending());
        link.wrote = Some(Instant::now());
        assert_eq!(
            read(&mut link, Poll::Pending, &socket),
            Poll::Ready(b"one".to_vec())
        );
        assert_eq!(link.window, LONG_WINDOW, "it came soon");
        link.wrote = Some(Instant::now());
        assert!(read(&mut link, Poll::Pending, &socket).is_pending());
    }

    #[test]
    fn what_nobody_waited_for_says_nothing() {
        let (_other, socket) = UnixStream::pair().unwrap();
        let mut link = BusyPoll::default();
        assert!(read(&mut link, Poll::Ready(Ok(())), &socket).is_ready());
        assert_eq!(link.window, WINDOW);
    }
}
