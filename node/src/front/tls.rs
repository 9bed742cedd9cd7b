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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vineyard_env::NoFaults;
    use vineyard_net::tls::{self, Trusted};
    use vineyard_wire::NodeId;
    use vineyard_wire::peer::Purpose;

    use super::*;
    use crate::boot::secrets::tests::Stands;
    use crate::boot::token::SECRET_BYTES;
    use crate::peer::encryption::tests::{credentials, of};
    use crate::peer::handshake;
    use crate::peer::pipe::{pipes, random};

    #[tokio::test]
    async fn a_node_that_shows_no_certificate_is_refused_even_if_it_knows_the_secret() {
        let member = credentials("c", [7; SECRET_BYTES], &Arc::new(Stands::default()));
        let encryption = of(&member);
        let (near, mut far) = pipes();
        let dials = async {
            let mut link = tls::connect(Box::new(near), tls::client_config(Trusted::Any)).await?;
            let (secret, random) = (member.secrets.current(), random(0));
            handshake::dial(&mut link, &member, &secret, Purpose::Node, &random).await
        };
        let listens = async {
            let mut first = [0; OPENING_BYTES];
            far.read_exact(&mut first).await?;
            let begun = Begun::plain(Box::new(far), first);
            assert!(begun.is_tls(&encryption));
            let mut begun = begun.decrypt(&encryption).await?;
            assert_eq!(Opening::of(&begun.first), Opening::Node);
            let refused = begun.refused_of_nodes(&encryption);
            let serves = |_| refused.map_or(Ok(()), Err);
            let (stream, random) = (begun.stream.as_mut(), random(1_000));
            handshake::accept(stream, &member, NodeId(7), &random, &NoFaults, serves).await
        };
        let (dialled, listened) = tokio::join!(dials, listens);
        for said in [dialled.map(drop), listened.map(drop)] {
            let error = said.expect_err(NO_CERTIFICATE);
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            assert_eq!(error.to_string(), NO_CERTIFICATE);
        }
    }
}
