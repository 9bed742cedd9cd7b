//! Whether a connection over TCP is encrypted, and whether the node is known.
//!
//! Promise: with a `ca` nothing is sent before the node has shown a certificate of that authority. Without one a
//! connection that leaves the machine is encrypted if the node's build knows TLS. [`Security`] says what came of it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use vineyard_env::Stream;
use vineyard_net::tls::{self, Fingerprint, Trusted};

use crate::World;

/// The variable that names the authority where the options do not.
const VARIABLE: &str = "VINEYARD_CA";

/// How a client's connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Security {
    /// A Unix socket: nothing leaves the machine.
    Local,
    /// Not at all.
    Plain,
    /// Encrypted, and nobody knows for whom.
    Unverified,
    /// Encrypted, for a node of the authority that was named.
    Verified,
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::Plain => "plain",
            Self::Unverified => "TLS, node not verified",
            Self::Verified => "TLS, node verified",
        })
    }
}

/// A connection to `address`. With `must_encrypt` it is not plain, wherever the node is.
pub(super) async fn connect(
    world: &World,
    address: &str,
    ca: Option<&str>,
    must_encrypt: bool,
) -> io::Result<(Box<dyn Stream>, Security)> {
    let said = match ca {
        Some(ca) => Some(ca.to_owned()),
        None => std::env::var(VARIABLE).ok(),
    };
    let trusted = said.filter(|ca| !ca.is_empty()).map(|ca| trusted(&ca));
    let trusted = trusted.transpose()?;
    let stream = world.network.connect(address).await?;
    if let Some(trusted) = trusted {
        let opened = tls::connect(stream, tls::client_config(trusted)).await;
        let link = opened.map_err(|error| refused(address, error))?;
        return Ok((Box::new(link), Security::Verified));
    }
    if !must_encrypt && (!world.encrypts || is_loopback(&stream.peer_address())) {
        return Ok((stream, Security::Plain));
    }
    match tls::connect(stream, tls::client_config(Trusted::Any)).await {
        Ok(link) => Ok((Box::new(link), Security::Unverified)),
        // A build that knows no TLS closes at its first bytes.
        Err(error) if is_unknown_there(&error) && !must_encrypt => {
            Ok((world.network.connect(address).await?, Security::Plain))
        }
        Err(error) => Err(error),
    }
}

/// Whether the node closed as a build does that knows no TLS.
fn is_unknown_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

fn is_loopback(address: &str) -> bool {
    let address: Option<SocketAddr> = address.parse().ok();
    address.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

fn refused(address: &str, error: io::Error) -> io::Error {
    let reason = match tls::cause(&error) {
        Some(cause) => format!(
            "{address} is no node of the authority in ca: {cause}; `vineyardctl token ca` prints the one of a cluster"
        ),
        None => format!(
            "{address} closed the connection at the beginning of TLS ({error}): its build may know none, and with a ca \
             nothing is sent in plain"
        ),
    };
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

/// The authorities that `ca` names.
#[expect(
    clippy::disallowed_methods,
    reason = "the caller names a file of this machine; the simulator names none"
)]
fn trusted(ca: &str) -> io::Result<Trusted> {
    let bad = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
    let fingerprints: Result<Vec<Fingerprint>, _> = ca.split(',').map(str::parse).collect();
    if let Ok(fingerprints) = fingerprints {
        return Ok(Trusted::Authorities(fingerprints));
    }
    let pem = match ca.contains("-----BEGIN") {
        true => ca.as_bytes().to_vec(),
        false => std::fs::read(ca).map_err(|error| {
            bad(format!(
                "ca: {ca:?} is no fingerprint as in sha256:..., no PEM, and no file that can be read: {error}"
            ))
        })?,
    };
    let fingerprints = Fingerprint::all_in_pem(&pem);
    let fingerprints = fingerprints.map_err(|error| bad(format!("ca: {error}")))?;
    Ok(Trusted::Authorities(fingerprints))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_authority_is_refused_with_the_forms_there_are() {
        let of = |ca: &str| trusted(ca).map_err(|error| error.to_string());
        let print = Fingerprint::of(b"one").to_string();
        assert!(matches!(of(&print), Ok(Trusted::Authorities(all)) if all.len() == 1));
        let two = format!("{print},{print}");
        assert!(matches!(of(&two), Ok(Trusted::Authorities(all)) if all.len() == 2));
        assert!(of("/no/such").unwrap_err().contains("no fingerprint"));
        let empty = of("-----BEGIN NOTHING").unwrap_err();
        assert!(empty.contains("ca: "), "{empty}");
    }
}
