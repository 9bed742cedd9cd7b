//! TLS on the node's port: what speaks it is opened first, and says its protocol within.

use std::io;

use tokio::io::AsyncReadExt;
use vineyard_env::Stream;
use vineyard_wire::opening::{OPENING_BYTES, Opening};

use crate::peer::encryption::{self, Encryption, NO_CERTIFICATE, PLAIN_REFUSED, Side};

/// A connection of which the first bytes were read.
pub(super) struct Begun {
    pub(super) stream: Box<dyn Stream>,
    pub(super) first: [u8; OPENING_BYTES],
    /// A node has shown a certificate of the cluster.
    is_certified: bool,
}

impl Begun {
    pub(super) fn plain(stream: Box<dyn Stream>, first: [u8; OPENING_BYTES]) -> Self {
        Self {
            stream,
            first,
            is_certified: false,
        }
    }

    /// Whether it begins with TLS, and this node knows that.
    pub(super) fn is_tls(&self, encryption: &Encryption) -> bool {
        Opening::of(&self.first) == Opening::Tls && encryption.is_known()
    }

    /// Opens TLS, and reads the first bytes within.
    pub(super) async fn decrypt(self, encryption: &Encryption) -> io::Result<Self> {
        let mut link = encryption.accept(self.stream, &self.first).await?;
        let mut first = [0; OPENING_BYTES];
        let read = link.read_exact(&mut first).await;
        read.map_err(|error| encryption::explained(error, Side::Listener))?;
        Ok(Self {
            is_certified: link.peer_has_certificate(),
            stream: Box::new(link),
            first,
        })
    }

    /// Why a node may not speak on this connection.
    pub(super) fn refused_of_nodes(&self, encryption: &Encryption) -> Option<&'static str> {
        match self.stream.channel() {
            None if encryption.refuses_plain(&self.stream.peer_address()) => Some(PLAIN_REFUSED),
            Some(_) if !self.is_certified => Some(NO_CERTIFICATE),
            _ => None,
        }
    }

    /// Whether a client must open TLS first.
    pub(super) fn is_refused_of_clients(&self, encryption: &Encryption) -> bool {
        self.stream.channel().is_none() && encryption.is_required_of_clients()
    }
}
