//! Connections between nodes: the handshake, the dialling and the serving side, and the transfer of blobs.

pub(crate) mod dial;
pub(crate) mod fetch;
pub(crate) mod frames;
pub(crate) mod handshake;
mod introduction;
#[cfg(test)]
pub(crate) mod pipe;
pub(crate) mod serve;
pub(crate) mod stats;
