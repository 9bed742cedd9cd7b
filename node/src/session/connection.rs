//! The connection of a session: reading ahead, writing replies, closing.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{LocalStream, Stream};
use vineyard_wire::reply::GotObjects;
use vineyard_wire::stream::PulledChunks;
use vineyard_wire::{Code, Reply, Status, limits};

use super::Session;
use super::frame_reader::{FrameError, FrameReader};
use super::writer;

/// A stream and the bytes that were read ahead from it.
pub(crate) struct Connection {
    socket: Socket,
    reader: FrameReader,
}

enum Socket {
    /// A Unix socket, over which memory handles can be sent.
    Unix(Box<dyn LocalStream>),
    Tcp(Box<dyn Stream>),
}

impl Connection {
    pub(crate) fn unix(stream: Box<dyn LocalStream>) -> Self {
        Self {
            socket: Socket::Unix(stream),
            reader: FrameReader::default(),
        }
    }

    /// `reader` has the bytes that were read already.
    pub(crate) fn tcp(stream: Box<dyn Stream>, reader: FrameReader) -> Self {
        let socket = Socket::Tcp(stream);
        Self { socket, reader }
    }

    /// The other side, for messages.
    pub(crate) fn caller(&mut self) -> String {
        self.parts().0.peer_address()
    }

    /// The parts of a TCP connection, to move bytes on another thread.
    pub(crate) fn into_tcp(self) -> (Box<dyn Stream>, FrameReader) {
        match self.socket {
            Socket::Tcp(stream) => (stream, self.reader),
            Socket::Unix(_) => unreachable!("raw bytes move on TCP connections alone"),
        }
    }

    /// The next request's body; `None` when the other side has closed, the session was refused, or the node stops. A
    /// peer that violates the protocol is sent the reason before this fails.
    pub(crate) async fn next(&mut self, session: &Session) -> Result<Option<Vec<u8>>, FrameError> {
        if session.must_close() {
            self.part(session, None).await;
            return Ok(None);
        }
        let read = tokio::select! {
            biased;
            () = session.node.stopping.begun() => return Ok(None),
            read = self.read(session) => read,
        };
        let reason = match &read {
            Err(FrameError::TooLong(error)) => Status::invalid(error.to_string()),
            Err(error @ FrameError::Stalled { .. }) => {
                Status::new(Code::IoError, error.to_string())
            }
            Err(FrameError::Late { .. }) => {
                Status::new(Code::IoError, "no register_request in time")
            }
            Ok(_) | Err(FrameError::Io(_)) => return read,
        };
        self.part(session, Some(reason)).await;
        read
    }

    async fn read(&mut self, session: &Session) -> Result<Option<Vec<u8>>, FrameError> {
        let own = &session.node.config.limits;
        let (stream, reader) = self.parts();
        if session.registered.get() {
            let (bytes_max, stall_max) = (limits::CLIENT_FRAME_BYTES_MAX, own.frame_stall_max);
            return reader.frame(stream, bytes_max, stall_max).await;
        }
        let bytes_max = own.unregistered_frame_bytes_max;
        let frame = reader.frame(stream, bytes_max, own.frame_stall_max);
        let late = |_| FrameError::Late {
            after: own.register_deadline,
        };
        tokio::time::timeout_at(session.register_by, frame)
            .await
            .map_err(late)?
    }

    /// The result of `work`; `None` if the other side closes before that.
    pub(crate) async fn while_open<T>(
        &mut self,
        session: &Session,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let (stream, reader) = self.parts();
        tokio::select! {
            biased;
            done = work => Some(done),
            () = reader.until_closed(stream, session.node.config.limits.session_read_ahead_bytes) => None,
        }
    }

    /// Writes a reply, and the handles of the memory that it announces.
    pub(crate) async fn write(
        &mut self,
        session: &Session,
        outcome: &Result<Reply, Status>,
    ) -> io::Result<()> {
        writer::write(self.parts().0, outcome).await?;
        match (&mut self.socket, outcome) {
            (Socket::Unix(stream), Ok(reply)) => send_memory(session, stream.as_mut(), reply).await,
            _ => Ok(()),
        }
    }

    /// Sends the reason of the close, if it was not sent yet, and gives the other side time to read it. Closing a TCP
    /// connection that has unread bytes resets it, and the reason could be lost.
    async fn part(&mut self, session: &Session, reason: Option<Status>) {
        let (stream, _) = self.parts();
        let parting = async {
            if let Some(reason) = reason {
                writer::write(stream, &Err(reason)).await?;
            }
            stream.shutdown().await?;
            let mut rest = [0; 4096];
            while stream.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        let deadline = session.node.config.limits.parting_deadline;
        // Best effort: the peer may not read within the deadline.
        tokio::time::timeout(deadline, parting).await.ok();
    }

    fn parts(&mut self) -> (&mut dyn Stream, &mut FrameReader) {
        let stream: &mut dyn Stream = match &mut self.socket {
            Socket::Unix(stream) => &mut **stream,
            Socket::Tcp(stream) => &mut **stream,
        };
        (stream, &mut self.reader)
    }
}

/// After a reply that announces arena numbers, sends one byte with a memory handle for each, in order.
async fn send_memory(
    session: &Session,
    stream: &mut dyn LocalStream,
    reply: &Reply,
) -> io::Result<()> {
    let numbers = match reply {
        Reply::CreateBuffer { fd, .. } | Reply::GetNextStreamChunk { fd, .. } => {
            std::slice::from_ref(fd)
        }
        Reply::PullNextStreamChunk(PulledChunks {
            batch: Some(batch), ..
        }) => batch.fds.as_slice(),
        Reply::CreateBuffers { fds, .. }
        | Reply::GetBuffers { fds, .. }
        | Reply::GetObject(GotObjects { fds, .. }) => fds.as_slice(),
        _ => return Ok(()),
    };
    for number in numbers.iter().filter(|number| **number >= 0) {
        stream
            .send_memory(session.node.arena.handle(*number))
            .await?;
    }
    Ok(())
}
