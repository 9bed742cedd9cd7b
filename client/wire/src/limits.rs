//! The sizes that decoders enforce before they allocate.

/// Longest JSON frame of the client protocol, bytes. Longer ones close the connection.
pub const CLIENT_FRAME_BYTES_MAX: usize = 256 << 20;
/// Longest frame between nodes, bytes; a snapshot travels in chunks below it.
pub const PEER_FRAME_BYTES_MAX: usize = 64 << 20;
/// Longest single persist (one log entry), bytes of its encoded records.
pub const PERSIST_BYTES_MAX: usize = 32 << 20;
/// Longest compressed chunk on an RPC connection, bytes (zstd's `ZSTD_CStreamOutSize`).
pub const ZSTD_CHUNK_BYTES_MAX: usize = 131_591;
/// Most ids, sizes or contents in one request.
pub const ITEMS_MAX: usize = 1 << 20;
/// Most blobs that one request makes or gets: its reply, which tells of each twice, fits a frame.
pub const BUFFERS_MAX: usize = 1 << 18;
/// Longest address of a node, `host:port`, bytes.
pub const ENDPOINT_BYTES_MAX: usize = 512;
/// Longest name of an object, bytes. Every node keeps all names in memory and in the log. Longer names that an earlier
/// build took stay, and can be read and dropped.
pub const NAME_BYTES_MAX: usize = 64 << 10;
/// Longest pattern of a list, bytes: a regular expression costs many times its length while it is made.
pub const PATTERN_BYTES_MAX: usize = 16 << 10;
/// Most bytes of blobs in the frame of a `PutObject`. More is written in place, or waits for a go-ahead over TCP.
pub const INLINE_BYTES_MAX: u64 = 64 << 10;
/// Client frames shorter than this are decoded without counting what is in them, bytes.
pub const JSON_SCAN_BYTES_MIN: usize = 1 << 20;
/// Most objects in one client frame: each costs several hundred bytes once decoded, and as few as two on the wire.
pub const JSON_OBJECTS_MAX: usize = 2 << 20;
/// Most values in one client frame.
pub const JSON_VALUES_MAX: usize = 16 << 20;
