//! The length prefix of both protocols.

/// A frame announced more bytes than its protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {announced} bytes; at most {allowed} are allowed")]
pub struct TooLong {
    /// Bytes that the prefix says.
    pub announced: u64,
    /// Bytes that a body may have.
    pub allowed: usize,
}

/// Bytes of the length prefix: a little-endian u64.
pub const HEADER_BYTES: usize = 8;

/// Reads a frame's header, refusing before anything is allocated.
pub fn body_bytes(header: [u8; HEADER_BYTES], allowed: usize) -> Result<usize, TooLong> {
    let announced = u64::from_le_bytes(header);
    match usize::try_from(announced) {
        Ok(len) if len <= allowed => Ok(len),
        _ => Err(TooLong { announced, allowed }),
    }
}

/// `body` with its header in front, ready for one write.
pub fn with_header(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&(body.len() as u64).to_le_bytes());
    frame.extend_from_slice(body);
    frame
}
