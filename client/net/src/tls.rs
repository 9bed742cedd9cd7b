//! TLS over any stream of this workspace.
//!
//! Promise: a [`TlsLink`] is a `Stream` like the one below it: it moves between threads, and what was flushed has been
//! handed to the stream below. Who is trusted is the caller's matter; nothing here knows a cluster.

mod link;
mod pinned;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring as provided};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use vineyard_env::Stream;

use self::link::Carrier;
pub use self::link::TlsLink;
pub use self::pinned::{Fingerprint, Trusted, client_config};

/// The algorithms that both ends use, the fastest first.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = provided::default_provider();
    provider.cipher_suites = vec![
        provided::cipher_suite::TLS13_AES_128_GCM_SHA256,
        provided::cipher_suite::TLS13_AES_256_GCM_SHA384,
        provided::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = vec![provided::kx_group::X25519, provided::kx_group::SECP256R1];
    Arc::new(provider)
}

/// Opens TLS from the side that connected. Nodes have no names here: `name` is not sent.
///
/// # Errors
/// Those of the stream; `InvalidData` with a `rustls::Error` in it if the other end is not trusted or does not trust.
pub async fn connect(stream: Box<dyn Stream>, config: Arc<ClientConfig>) -> io::Result<TlsLink> {
    let name = ServerName::try_from("node.vineyard").expect("it is a name of the domain system");
    let connector = TlsConnector::from(config);
    let opened = connector.connect(name, Carrier::new(stream, &[])).await?;
    TlsLink::new(TlsStream::Client(opened))
}

/// Opens TLS from the side that was connected to; `first` are bytes that have been read from the stream.
///
/// # Errors
/// As for `connect`.
pub async fn accept(
    stream: Box<dyn Stream>,
    first: &[u8],
    config: Arc<ServerConfig>,
) -> io::Result<TlsLink> {
    let acceptor = TlsAcceptor::from(config);
    let accepting = acceptor.accept(Carrier::new(stream, first));
    match accepting.into_fallible().await {
        Ok(opened) => TlsLink::new(TlsStream::Server(opened)),
        Err((error, carrier)) => {
            // To close with unread bytes resets the connection, and the other end would not read why.
            tokio::time::timeout(PARTING, part(carrier)).await.ok();
            Err(error)
        }
    }
}

/// For how long the other end may go on to send when it is not trusted.
const PARTING: Duration = Duration::from_millis(500);

/// Says that nothing follows, and reads until the other end says the same.
async fn part(mut carrier: Carrier) -> io::Result<()> {
    carrier.shutdown().await?;
    tokio::io::copy(&mut carrier, &mut tokio::io::sink()).await?;
    Ok(())
}

/// What went wrong in TLS itself, if the error comes from there.
#[must_use]
pub fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
