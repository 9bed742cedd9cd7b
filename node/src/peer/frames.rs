//! Frames of the peer protocol on a stream. Nothing is read ahead, so that raw bytes may follow a frame.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use vineyard_wire::frame::{self, HEADER_BYTES};
use vineyard_wire::peer;

/// Longest message, except for raft's. Many times the size of an `Ask` with as many ranges as `plan::asks` puts into
/// one, and less than one with the `limits::ITEMS_MAX` ranges that the decoder would allow.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn write<S, T>(stream: &mut S, message: &T) -> io::Result<()>
where
    S: AsyncWrite + Unpin + ?Sized,
    T: Serialize,
{
    stream
        .write_all(&frame::with_header(&peer::encode(message)))
        .await?;
    stream.flush().await
}

/// The next message of at most `bytes_max` bytes; `UnexpectedEof` at the end of the stream.
pub(crate) async fn read<S, T>(stream: &mut S, bytes_max: usize) -> io::Result<T>
where
    S: AsyncRead + Unpin + ?Sized,
    T: DeserializeOwned,
{
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let len = frame::body_bytes(header, bytes_max).map_err(invalid)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    peer::decode(&body).map_err(invalid)
}

pub(crate) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
