//! The encrypted stream, and the buffered one below it.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;
use vineyard_env::{Detached, Stream, User};

/// Bytes that are read from the stream below at once. The TLS library asks for 4 KiB at a time, a quarter of a record.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// What both ends derive their shared secret for.
const CHANNEL_LABEL: &[u8] = b"EXPORTER-vineyard-channel";

/// An open TLS connection.
pub struct TlsLink {
    stream: TlsStream<Carrier>,
    channel: [u8; 32],
    local: String,
    peer: String,
}

impl TlsLink {
    pub(super) fn new(stream: TlsStream<Carrier>) -> io::Result<Self> {
        let (carrier, _) = stream.get_ref();
        let (local, peer) = (
            carrier.stream()?.local_address(),
            carrier.stream()?.peer_address(),
        );
        let exported = match &stream {
            TlsStream::Client(opened) => {
                let connection = opened.get_ref().1;
                connection.export_keying_material([0; 32], CHANNEL_LABEL, None)
            }
            TlsStream::Server(opened) => {
                let connection = opened.get_ref().1;
                connection.export_keying_material([0; 32], CHANNEL_LABEL, None)
            }
        };
        let channel = exported.map_err(io::Error::other)?;
        Ok(Self {
            stream,
            channel,
            local,
            peer,
        })
    }

    /// Whether the other end has shown a certificate; it was verified then.
    #[must_use]
    pub fn peer_has_certificate(&self) -> bool {
        self.stream.get_ref().1.peer_certificates().is_some()
    }
}

impl AsyncRead for TlsLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A write is done when the library has the bytes. Who reads next waits for an answer to them.
        if self.stream.get_ref().1.wants_write()
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Stream for TlsLink {
    fn local_address(&self) -> String {
        self.local.clone()
    }

    fn peer_address(&self) -> String {
        self.peer.clone()
    }

    fn channel(&self) -> Option<[u8; 32]> {
        Some(self.channel)
    }

    fn detach(mut self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        let carrier = self.stream.get_mut().0;
        let below = carrier.below.take().ok_or_else(no_stream)?.detach()?;
        Ok(Box::new(Loose { below, link: self }))
    }
}

/// A link whose stream below no reactor watches.
struct Loose {
    below: Box<dyn Detached>,
    link: Box<TlsLink>,
}

impl Detached for Loose {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let Self { below, mut link } = *self;
        link.stream.get_mut().0.below = Some(below.attach()?);
        Ok(link)
    }

    fn peer_user(&self) -> io::Result<Option<User>> {
        self.below.peer_user()
    }
}

/// The stream below, with what was read of it and not asked for yet.
pub(super) struct Carrier {
    /// Absent while the link is between two threads.
    below: Option<Box<dyn Stream>>,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not asked for yet.
    waiting: Range<usize>,
}

impl Carrier {
    pub(super) fn new(below: Box<dyn Stream>, first: &[u8]) -> Self {
        Self {
            below: Some(below),
            buffer: first.to_vec(),
            waiting: 0..first.len(),
        }
    }

    fn stream(&self) -> io::Result<&dyn Stream> {
        self.below.as_deref().ok_or_else(no_stream)
    }

    fn below(&mut self) -> io::Result<Pin<&mut dyn Stream>> {
        let below = self.below.as_deref_mut().ok_or_else(no_stream)?;
        Ok(Pin::new(below))
    }
}

fn no_stream() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the stream moves to another thread",
    )
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.waiting.is_empty() {
            this.buffer.resize(READ_AHEAD_BYTES, 0);
            let mut ahead = ReadBuf::new(&mut this.buffer);
            let below = this.below.as_deref_mut().ok_or_else(no_stream)?;
            ready!(Pin::new(below).poll_read(cx, &mut ahead))?;
            this.waiting = 0..ahead.filled().len();
        }
        let part = this.waiting.len().min(buf.remaining());
        let end = this.waiting.start + part;
        buf.put_slice(&this.buffer[this.waiting.start..end]);
        this.waiting.start = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.below()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.below()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.below
            .as_ref()
            .is_some_and(|below| below.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below()?.poll_shutdown(cx)
    }
}
