//! The fetching side of a blob transfer: asks for ranges and reads them straight into the arena.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use vineyard_env::Stream;
use vineyard_shm::SliceMut;
use vineyard_wire::Trace;
use vineyard_wire::peer::{Answer, Ask, Purpose, Range};
use xxhash_rust::xxh3::Xxh3;

use super::dial::Dialer;
use super::frames;

/// One ask and the slices that its bytes fill, one per range.
pub(crate) struct Piece {
    pub(crate) ranges: Vec<Range>,
    pub(crate) targets: Vec<SliceMut>,
}

/// The node to fetch from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) endpoint: String,
    /// The trace of the request, if the source's build knows traces.
    pub(crate) trace: Option<Trace>,
}

/// Fetches `pieces` one after the other on one new connection to `source`, within `deadline`. The targets are dropped
/// when this returns. Returns the xxh3 of each range.
pub(crate) async fn fetch(
    dialer: Dialer,
    source: Source,
    pieces: Vec<Piece>,
    deadline: Duration,
) -> io::Result<Vec<(Range, u64)>> {
    let fetched = async {
        let (mut stream, _) = dialer.dial(&source.endpoint, Purpose::Node).await?;
        let mut checksums = Vec::new();
        for piece in pieces {
            checksums.extend(fetch_piece(stream.as_mut(), piece, source.trace).await?);
        }
        Ok(checksums)
    };
    let late = |_| {
        let message = format!(
            "the bytes did not arrive within {} ms",
            deadline.as_millis()
        );
        io::Error::new(io::ErrorKind::TimedOut, message)
    };
    tokio::time::timeout(deadline, fetched)
        .await
        .map_err(late)?
}

async fn fetch_piece(
    stream: &mut dyn Stream,
    piece: Piece,
    trace: Option<Trace>,
) -> io::Result<Vec<(Range, u64)>> {
    let Piece { ranges, targets } = piece;
    let wanted: u64 = ranges.iter().map(|range| range.len).sum();
    let asked = ranges.clone();
    let ask = match trace {
        None => Ask::Read { ranges: asked },
        Some(trace) => Ask::ReadTraced {
            trace,
            ranges: asked,
        },
    };
    frames::write(stream, &ask).await?;
    match frames::read(stream, frames::MESSAGE_BYTES_MAX).await? {
        Answer::Bytes { len } if len == wanted => {}
        Answer::Bytes { len } => {
            return Err(frames::invalid(format!(
                "asked for {wanted} bytes, was offered {len}"
            )));
        }
        Answer::Refused(status) => return Err(io::Error::other(status)),
        other => {
            return Err(frames::invalid(format!(
                "not an answer to a read: {other:?}"
            )));
        }
    }
    let is_alone = targets.len() == 1;
    let (mut checksum, mut checksums) = (Xxh3::new(), Vec::with_capacity(targets.len()));
    for (range, mut target) in ranges.into_iter().zip(targets) {
        let mut own = Xxh3::new();
        // Hash while the bytes are still in the cache.
        for chunk in target.chunks_mut(HASH_BYTES) {
            stream.read_exact(chunk).await?;
            checksum.update(chunk);
            if !is_alone {
                own.update(chunk);
            }
        }
        let own = if is_alone { &checksum } else { &own };
        checksums.push((range, own.digest()));
    }
    let expected = stream.read_u64_le().await?;
    if checksum.digest() != expected {
        return Err(frames::invalid(
            "the checksum of the bytes that arrived does not match",
        ));
    }
    Ok(checksums)
}

/// Bytes read and hashed at a time.
pub(crate) const HASH_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
