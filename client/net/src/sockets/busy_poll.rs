//! Busy polling: a reader spins for some microseconds before its task sleeps.
//!
//! Promise: only after a write, because then the other side's next bytes usually follow within microseconds, and to be
//! woken for them costs more than they take; only as long as bytes keep coming that soon; and seldom while other
//! threads need the processor, because one of them may be the other side. Other tasks of the thread run in between. For
//! Unix sockets: over TCP bulk bytes are written while a read is pending, and the nodes of one machine would take each
//! other's processors. It must never know what the bytes mean.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::ReadBuf;

/// After the first write. About twice what a small request takes, there and back.
const WINDOW: Duration = Duration::from_micros(50);
/// After a write, if the last bytes came within it. About twice what a client in Python takes until it asks again, or a
/// node to answer with a small data frame, and less than anything that waits for a disk.
const LONG_WINDOW: Duration = Duration::from_micros(150);
/// It offers the processor to others when it has looked for so long, which small requests seldom take.
const OFFERS_AFTER: Duration = Duration::from_micros(15);
/// An offer that nobody takes is over sooner.
const OFFER_TAKEN: Duration = Duration::from_micros(5);
/// At most so many writes in a row are not looked after, because looking was in vain.
const SKIPPED_MAX: u32 = 16;
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
    /// Whether it still looks for what follows that write.
    looks: bool,
    /// How long after it nothing had come yet.
    waited: Duration,
    /// So long it looks; not at all after something that came late.
    window: Duration,
    /// Writes that no look follows.
    skips: u32,
    /// How many will be skipped the next time that looking was in vain.
    skips_next: u32,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self {
            wrote: None,
            looks: false,
            waited: Duration::ZERO,
            window: WINDOW,
            skips: 0,
            skips_next: 1,
        }
    }
}

impl BusyPoll {
    /// Bytes were written: an answer may follow at once.
    pub(super) fn wrote(&mut self) {
        if !*IS_WORTHWHILE {
            return;
        }
        self.wrote = Some(Instant::now());
        self.waited = Duration::ZERO;
        self.looks = self.skips == 0 && !self.window.is_zero();
        self.skips = self.skips.saturating_sub(1);
    }

    /// Something came so long after the write. If that was soon, so may the next, else not.
    fn came_after(&mut self, waited: Duration) {
        let soon = waited <= LONG_WINDOW;
        self.window = if soon { LONG_WINDOW } else { Duration::ZERO };
        if soon && self.looks {
            self.skips_next = 1;
        }
        self.looks = false;
    }

    /// Nothing came within the window, or another thread has run on this processor meanwhile.
    fn gives_up(&mut self, is_contended: bool) {
        self.looks = false;
        // If the one before came sooner, this thread may have kept the other side from its processor.
        if is_contended || self.window == LONG_WINDOW {
            self.skips = self.skips_next;
            self.skips_next = (self.skips_next * 2).min(SKIPPED_MAX);
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
        let Some(wrote) = self.wrote else {
            return given;
        };
        if given.is_ready() {
            self.wrote = None;
            self.came_after(wrote.elapsed());
            return given;
        }
        if !self.looks {
            return given;
        }
        // What comes is passed on before anything else is done, without a look at the clock.
        let mut room = [MaybeUninit::<u8>::uninit(); READ_BYTES];
        let len = READ_BYTES.min(buf.remaining());
        match rustix::net::recv(socket, &mut room[..len], RecvFlags::DONTWAIT) {
            Ok(((bytes, _), _)) => {
                self.wrote = None;
                self.came_after(self.waited);
                buf.put_slice(bytes);
                Poll::Ready(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.waited = wrote.elapsed();
                if self.waited >= self.window {
                    self.gives_up(false);
                } else if self.waited >= OFFERS_AFTER && is_taken(wrote, self.waited) {
                    self.gives_up(true);
                } else {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

/// Offers this thread's processor to others, `waited` after `wrote`. Whether one of them has used it.
fn is_taken(wrote: Instant, waited: Duration) -> bool {
    std::thread::yield_now();
    wrote.elapsed().saturating_sub(waited) >= OFFER_TAKEN
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    use super::*;

    /// Which of `count` exchanges it looks for, each answered so long after the write.
    fn looks(link: &mut BusyPoll, count: usize, answered: Duration) -> Vec<usize> {
        let mut looked = Vec::new();
        for exchange in 0..count {
            link.wrote();
            if link.looks {
                looked.push(exchange);
                if answered > link.window {
                    link.gives_up(false);
                }
            }
            link.wrote = None;
            link.came_after(answered);
        }
        looked
    }

    #[test]
    fn it_looks_while_answers_come_soon() {
        let mut link = BusyPoll::default();
        assert_eq!(link.window, WINDOW);
        assert_eq!(looks(&mut link, 3, WINDOW * 2), [0, 1, 2]);
        assert_eq!(link.window, LONG_WINDOW);
        assert_eq!(looks(&mut link, 40, LONG_WINDOW * 2), [0]);
        // It learns from an answer for which it did not look.
        assert_eq!(looks(&mut link, 3, WINDOW * 2), [1, 2]);
    }

    #[test]
    fn it_looks_seldom_while_only_those_answers_come_soon_for_which_it_does_not_look() {
        let mut link = BusyPoll::default();
        looks(&mut link, 1, Duration::ZERO);
        let mut looked = Vec::new();
        for exchange in 0..20 {
            link.wrote();
            let waited = match link.looks {
                true => {
                    looked.push(exchange);
                    link.gives_up(false);
                    LONG_WINDOW * 2
                }
                false => WINDOW,
            };
            link.came_after(waited);
        }
        assert_eq!(looked, [0, 2, 5, 10, 19]);
    }

    #[test]
    fn it_looks_seldom_while_others_need_the_processor() {
        let mut link = BusyPoll::default();
        let mut looked = Vec::new();
        for exchange in 0..20 {
            link.wrote();
            if link.looks {
                looked.push(exchange);
                link.gives_up(true);
            }
            link.came_after(WINDOW);
        }
        assert_eq!(looked, [0, 2, 5, 10, 19]);
        looks(&mut link, 17, WINDOW);
        link.wrote();
        link.gives_up(true);
        assert_eq!(link.skips, 1, "something came soon meanwhile");
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
        link.wrote();
        assert_eq!(
            read(&mut link, Poll::Pending, &socket),
            Poll::Ready(b"one".to_vec())
        );
        assert_eq!(link.window, LONG_WINDOW, "it came soon");
        link.wrote();
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
