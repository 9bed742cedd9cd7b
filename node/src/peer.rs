//! Connections between nodes: the handshake, the dialling and the serving side, the transfer of blobs, and relays of
//! streams.

pub(crate) mod describe;
pub(crate) mod dial;
pub(crate) mod encryption;
pub(crate) mod fetch;
pub(crate) mod frames;
pub(crate) mod fresh;
pub(crate) mod handshake;
mod introduction;
pub(crate) mod members;
#[cfg(test)]
pub(crate) mod pipe;
pub(crate) mod places;
pub(crate) mod relay;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod view;
