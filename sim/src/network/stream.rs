//! One side of a connection, as the process that holds it reads and writes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};
use vineyard_env::{BoxFuture, Detached, LocalStream, MemoryHandle, Stream, User};

use super::connection::{Item, WINDOW_BYTES};
use super::packets::{Found, Taken, reset};
use super::{Inner, Net};
use crate::host::USER;
use crate::trace::{Kind, digest};

/// A stream of the false network; also a local socket, which has no delay and can carry memory.
pub struct SimStream {
    net: Net,
    id: u64,
    side: usize,
    local_address: String,
    peer_address: String,
    /// Wakes the reader when the next packet arrives.
    arrival: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    pub(super) fn new(
        net: Net,
        id: u64,
        side: usize,
        local_address: String,
        peer_address: String,
    ) -> Self {
        Self {
            net,
            id,
            side,
            local_address,
            peer_address,
            arrival: None,
        }
    }

    /// Reads into `buf`, or takes the memory that is next.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Found>> {
        let due = {
            let mut inner = self.net.lock();
            match inner.take(self.id, self.side, buf)? {
                Taken::Found(found) => return Poll::Ready(Ok(found)),
                Taken::Later(due) => {
                    let pipe = inner.incoming(self.id, self.side);
                    pipe.reader = Some(cx.waker().clone());
                    due
                }
            }
        };
        let Some(due) = due else { return Poll::Pending };
        let arrival = match &mut self.arrival {
            Some(arrival) => {
                if arrival.deadline() != due {
                    arrival.as_mut().reset(due);
                }
                arrival
            }
            none => none.insert(Box::pin(sleep_until(due))),
        };
        if arrival.as_mut().poll(cx).is_ready() {
            // The timer and the packet are due at the same instant: look again.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Sends `item`; the caller has checked the window.
    fn send(&self, inner: &mut Inner, item: Item, len: usize) {
        inner.send(self.id, self.side, item, len);
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match std::task::ready!(self.poll_next(cx, buf))? {
            Found::Bytes | Found::End => {}
            // A plain read takes the dummy byte and loses what was attached, as the kernel has it.
            Found::Memory(_) => buf.put_slice(&[0]),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (id, side) = (self.id, self.side);
        let mut inner = self.net.lock();
        let connection = &inner.connections[&id];
        if connection.broken[side] {
            return Poll::Ready(Err(reset()));
        }
        let (here, there) = (connection.ip(side), connection.ip(1 - side));
        let gone = connection.closed[1 - side] && (connection.local || !inner.cut(here, there));
        if gone || connection.pipes[side].ended {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "broken pipe",
            )));
        }
        let process = connection.process(side).to_owned();
        let pipe = &mut inner
            .connections
            .get_mut(&id)
            .expect("it was just there")
            .pipes[side];
        let len = bytes
            .len()
            .min(WINDOW_BYTES.saturating_sub(pipe.queued_bytes));
        if len == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let sent = &bytes[..len];
        self.send(
            &mut inner,
            Item::Bytes {
                bytes: sent.to_vec(),
                taken: 0,
            },
            len,
        );
        drop(inner);
        let hash = digest(sent);
        self.net.trace.note(
            Kind::Frame,
            &process,
            format_args!("#{id}.{side} {len} bytes {hash:016x}"),
        );
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.net.lock();
        let connection = &inner.connections[&self.id];
        if !connection.broken[self.side] && !connection.pipes[self.side].ended {
            let connection = inner
                .connections
                .get_mut(&self.id)
                .expect("a stream keeps it");
            connection.pipes[self.side].ended = true;
            self.send(&mut inner, Item::End, 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for SimStream {
    fn local_address(&self) -> String {
        self.local_address.clone()
    }

    fn peer_address(&self) -> String {
        self.peer_address.clone()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(self)
    }
}

impl Detached for SimStream {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(self)
    }

    /// All processes of one machine are one user's.
    fn peer_user(&self) -> io::Result<Option<User>> {
        let inner = self.net.lock();
        let connection = &inner.connections[&self.id];
        let is_here = connection.ip(self.side) == connection.ip(1 - self.side);
        Ok(is_here.then_some(USER))
    }
}

impl LocalStream for SimStream {
    fn peer_user(&self) -> User {
        USER
    }

    fn send_memory<'a>(&'a mut self, handle: &'a MemoryHandle) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let mut inner = self.net.lock();
            let connection = &inner.connections[&self.id];
            if connection.broken[self.side] || connection.closed[1 - self.side] {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "broken pipe"));
            }
            self.send(&mut inner, Item::Memory(handle.clone()), 0);
            Ok(())
        })
    }

    fn receive_memory(&mut self) -> BoxFuture<'_, io::Result<MemoryHandle>> {
        Box::pin(async move {
            let found = poll_fn(|cx| {
                let mut byte = [0];
                self.poll_next(cx, &mut ReadBuf::new(&mut byte))
            });
            match found.await? {
                Found::Memory(handle) => Ok(handle),
                Found::Bytes => Err(io::Error::new(io::ErrorKind::InvalidData, "no memory here")),
                Found::End => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let mut inner = self.net.lock();
        let Some(connection) = inner.connections.get_mut(&self.id) else {
            return;
        };
        connection.closed[self.side] = true;
        let process = connection.process(self.side).to_owned();
        let unread = connection.pipes[1 - self.side].queued_bytes > 0;
        let told = connection.pipes[self.side].ended;
        let over = connection.closed[1 - self.side];
        let ip = connection.ip(self.side).to_owned();
        let silent = !connection.local && inner.dark.contains(&ip);
        if over {
            inner.connections.remove(&self.id);
        } else if silent && inner.left.contains(&ip) {
            inner.keepalive(self.id, self.side);
        } else if !silent {
            let connection = inner
                .connections
                .get_mut(&self.id)
                .expect("the other side keeps it");
            connection.pipes[self.side].ended = true;
            connection.pipes[1 - self.side].wake();
            if unread {
                self.send(&mut inner, Item::Reset, 0);
            } else if !told {
                self.send(&mut inner, Item::End, 0);
            }
        }
        drop(inner);
        self.net.trace.note(
            Kind::Connection,
            &process,
            format_args!("#{}.{} closes", self.id, self.side),
        );
    }
}
