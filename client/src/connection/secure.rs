//! Whether a connection over TCP is encrypted, and whether the node is known.
//!
//! Promise: with a `ca` nothing is sent before the node has shown a certificate of that authority. Without one a
//! connection that leaves the machine is encrypted if the node's build knows TLS. [`Security`] says what came of it.

use std::env::VarError;
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
    let said = said(ca, || std::env::var(VARIABLE))?;
    let trusted = said.map(|ca| trusted(&ca)).transpose()?;
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

/// What names the authority: the options, else the variable, where empty is as unset.
fn said(
    ca: Option<&str>,
    variable: impl FnOnce() -> Result<String, VarError>,
) -> io::Result<Option<String>> {
    let bad = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    match ca.map_or_else(variable, |ca| Ok(ca.to_owned())) {
        Ok(empty) if empty.is_empty() && ca.is_some() => bad(
            "ca: it is empty and names no authority; leave it out to connect to a node without verifying it",
        ),
        Ok(said) => Ok(Some(said).filter(|said| !said.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bad(
            "VINEYARD_CA: it is not UTF-8; set it to a file, or to what `vineyardctl token ca` prints, or unset it",
        ),
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
    fn nobody_is_verified_only_where_nothing_names_an_authority() {
        let of = |ca: Option<&str>, variable: Result<&str, VarError>| {
            let said = said(ca, || variable.map(str::to_owned));
            said.map_err(|error| error.to_string())
        };
        let unset = || Err(VarError::NotPresent);
        assert_eq!(of(None, unset()), Ok(None));
        assert_eq!(of(None, Ok("")), Ok(None));
        assert_eq!(of(None, Ok("there")), Ok(Some("there".to_owned())));
        assert_eq!(of(Some("here"), Ok("there")), Ok(Some("here".to_owned())));
        for variable in [unset(), Ok("there")] {
            let refused = of(Some(""), variable).unwrap_err();
            assert!(refused.starts_with("ca: it is empty"), "{refused}");
        }
        let refused = of(None, Err(VarError::NotUnicode("?".into()))).unwrap_err();
        assert!(
            refused.starts_with("VINEYARD_CA: it is not UTF-8"),
            "{refused}"
        );
    }

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
