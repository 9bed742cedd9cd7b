//! What a caller may choose, and the bounds that hold when it does not.

use std::time::Duration;

/// How a client talks to its node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Longest wait for the answer to a call that moves no bytes, and for a connection.
    pub deadline: Duration,
    /// Longest wait for a transfer of no bytes; `transfer_bytes_per_second` adds to it.
    pub transfer: Duration,
    /// The slowest transfer that still counts as alive.
    pub transfer_bytes_per_second: u64,
    /// For a node that asks for a login; empty: none.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// Over TCP, take only nodes whose certificate an authority of these has signed: the path of a file in PEM, PEM
    /// itself, or fingerprints as `vineyardctl token ca` prints them, parted by commas. `None`: what `VINEYARD_CA`
    /// says; without that, or if it is empty, connections that leave the machine are encrypted and nobody is verified.
    pub ca: Option<String>,
    /// Compress blobs on RPC connections (zstd). Off: on a fast network it costs more than it saves.
    pub compression: bool,
    /// Use what the protocol has beyond vineyard 0.24's, where the node offers it. Off: speak as the released client
    /// does, which takes more messages.
    pub additions: bool,
    /// The most threads that copy one blob into the node's memory; small ones are copied by the calling thread alone.
    pub copy_threads_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            transfer: Duration::from_secs(30),
            transfer_bytes_per_second: 50_000_000,
            username: String::new(),
            password: String::new(),
            ca: None,
            compression: false,
            additions: true,
            copy_threads_max: 1,
        }
    }
}

impl Options {
    /// Longest wait for a transfer of `bytes`.
    pub fn transfer_deadline(&self, bytes: u64) -> Duration {
        let millis = bytes.saturating_mul(1000) / self.transfer_bytes_per_second.max(1);
        self.transfer.saturating_add(Duration::from_millis(millis))
    }
}

/// How far a delete goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteOptions {
    /// Also delete what refers to the objects. Without it an object that is referred to is kept, in silence.
    pub force: bool,
    /// Also delete members that nothing else refers to. Blobs of a deleted object go in any case.
    pub deep: bool,
    /// Give the pages of deleted blobs back to the system at once.
    pub memory_trim: bool,
}

impl Default for DeleteOptions {
    fn default() -> Self {
        Self {
            force: false,
            deep: true,
            memory_trim: false,
        }
    }
}
