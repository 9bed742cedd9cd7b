//! Which connections between nodes are encrypted, and what the sides say where one is refused for it.
//!
//! Promise: once this node has seen that every member knows TLS, it exchanges nothing in plain with a node at an
//! address that is not loopback, unless it was told `--insecure`; its disk remembers it. Plain code over the clock and
//! what the cluster has agreed on; clones share it.

pub(crate) mod authority;
mod trust;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rcgen::{KeyPair, PKCS_ED25519};
use rustls::{AlertDescription, CertificateError};
use vineyard_env::{Clock, Stream};
use vineyard_net::tls;
use vineyard_raft::{Reader, features};
use vineyard_wire::NodeId;

use self::authority::{Authority, RENEWED_AFTER};
use self::trust::Settings;
use crate::boot::secrets::{self, Secret, Secrets};
use crate::boot::token::Token;
use crate::peer::handshake::{self, Credentials};

/// What a node is told that calls in plain.
pub(crate) const PLAIN_REFUSED: &str = "the nodes of this cluster encrypt their connections, and the caller calls in \
                                        plain: replace its build, or start this node with --insecure";

/// What a node is told that opens TLS and shows no certificate.
pub(crate) const NO_CERTIFICATE: &str = "the caller has shown no certificate of this cluster";

/// Which connections need no encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exempt {
    /// Those between loopback addresses.
    Loopback,
    None,
    All,
}

/// How a call is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Plain,
    /// In TLS, and in plain if the other side does not know it: its build may be older.
    Offered,
    Encrypted,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Encryption(Arc<Parts>);

struct Parts {
    exempt: Exempt,
    level_max: u8,
    cluster: String,
    secrets: Secrets,
    is_member: bool,
    clock: Arc<dyn Clock>,
    /// Every member knows TLS, or did once.
    has_begun: AtomicBool,
    /// The beginning was noticed, in this process or before.
    is_noticed: AtomicBool,
    /// Reads what each member knows; set once the state can be read.
    known: OnceLock<Reader>,
    made: Mutex<Option<Made>>,
}

/// What was made for these secrets at this time.
struct Made {
    valid: Vec<Secret>,
    replaced: Vec<Secret>,
    unix_ms: u64,
    settings: Settings,
}

impl Encryption {
    /// `level_max` is the feature level that this node announces, `has_begun` as the disk remembers.
    pub(crate) fn new(
        exempt: Exempt,
        level_max: u8,
        credentials: &Credentials,
        has_begun: bool,
    ) -> Self {
        Self(Arc::new(Parts {
            exempt,
            level_max,
            cluster: credentials.cluster.clone(),
            secrets: credentials.secrets.clone(),
            is_member: credentials.node.is_some(),
            clock: credentials.secrets.clock(),
            has_begun: AtomicBool::new(has_begun),
            is_noticed: AtomicBool::new(has_begun),
            known: OnceLock::new(),
            made: Mutex::new(None),
        }))
    }

    /// From now on this node heeds what the state says of each member.
    pub(crate) fn judge_by(&self, reader: Reader) {
        // The start of the node sets it, once.
        let _set_before = self.0.known.set(reader);
    }

    /// Whether this node speaks TLS with others. One that was told to know no more than an older build does not.
    pub(crate) fn is_known(&self) -> bool {
        self.0.level_max >= features::TLS || self.0.has_begun.load(Ordering::Relaxed)
    }

    /// Whether every member knows TLS, or did once.
    pub(crate) fn has_begun(&self) -> bool {
        if self.0.has_begun.load(Ordering::Relaxed) {
            return true;
        }
        let has_begun = self.is_known()
            && self.knows_members()
            && self
                .state_level()
                .is_some_and(|level| level >= features::TLS);
        if has_begun {
            self.0.has_begun.store(true, Ordering::Relaxed);
        }
        has_begun
    }

    /// True once: when encryption has begun and did not before.
    pub(crate) fn begins(&self) -> bool {
        self.0.exempt != Exempt::All
            && self.has_begun()
            && !self.0.is_noticed.swap(true, Ordering::Relaxed)
    }

    fn state_level(&self) -> Option<u8> {
        Some(self.0.known.get()?.state().feature_level())
    }

    /// A node that was just admitted knows none.
    fn knows_members(&self) -> bool {
        let known = self.0.known.get().map(Reader::state);
        known.is_some_and(|state| state.nodes().next().is_some())
    }

    /// Whether this address needs no encryption: what is sent to it never leaves the machine.
    fn is_exempt(&self, address: &str) -> bool {
        self.0.exempt == Exempt::Loopback && is_loopback(address)
    }

    /// How to open a call to the node at this `ip:port`.
    pub(crate) fn of_call(&self, address: &str) -> Opened {
        if self.0.exempt == Exempt::All || !self.is_known() || self.is_exempt(address) {
            return Opened::Plain;
        }
        match () {
            () if self.has_begun() => Opened::Encrypted,
            () if self.0.is_member && self.knows_members() => Opened::Plain,
            // A node that asks to be admitted, or has heard nothing since, does not know what the members know.
            () if self.0.exempt == Exempt::None && !self.0.is_member => Opened::Encrypted,
            () => Opened::Offered,
        }
    }

    /// Whether a node must not call in plain from this `ip:port`, or be called there.
    pub(crate) fn refuses_plain(&self, address: &str) -> bool {
        let is_told = self.0.exempt == Exempt::None && !self.0.is_member;
        self.0.exempt != Exempt::All && !self.is_exempt(address) && (is_told || self.has_begun())
    }

    /// Whether a client over TCP must use TLS.
    pub(crate) fn is_required_of_clients(&self) -> bool {
        self.0.exempt == Exempt::None
    }

    /// What `status` says of the connections between nodes. `endpoint` is where this node is dialled, `name` what
    /// people call another one.
    pub(crate) fn described(&self, endpoint: &str, name: impl Fn(NodeId) -> String) -> String {
        if self.0.exempt == Exempt::All {
            return "plain: this node was started with --insecure".to_owned();
        }
        if self.has_begun() {
            return match self.is_exempt(endpoint) {
                true => "plain between loopback addresses, else encrypted".to_owned(),
                false => "encrypted".to_owned(),
            };
        }
        if !self.is_known() {
            return "plain: this node was started with a --feature-level of before".to_owned();
        }
        let state = self.0.known.get().map(Reader::state);
        let old: Vec<String> = state.map_or_else(Vec::new, |state| {
            let nodes = state.nodes().map(|known| known.id);
            let old = nodes.filter(|id| state.level_of(*id) < features::TLS);
            old.map(&name).collect()
        });
        match old.is_empty() {
            true => "plain: no member is known yet".to_owned(),
            false => format!(
                "plain until these have a build that knows TLS: {}",
                old.join(", ")
            ),
        }
    }

    /// Opens TLS on a stream to a node.
    pub(crate) async fn connect(&self, stream: Box<dyn Stream>) -> io::Result<tls::TlsLink> {
        let settings = self.settings()?;
        let opened = tls::connect(stream, settings.client).await;
        opened.map_err(|error| explained(error, Side::Dialler))
    }

    /// Opens TLS on a stream that begins with `first`.
    pub(crate) async fn accept(
        &self,
        stream: Box<dyn Stream>,
        first: &[u8],
    ) -> io::Result<tls::TlsLink> {
        let settings = self.settings()?;
        let opened = tls::accept(stream, first, settings.server).await;
        opened.map_err(|error| explained(error, Side::Listener))
    }

    /// The settings of now: other secrets and an old certificate make new ones.
    fn settings(&self) -> io::Result<Settings> {
        let Parts { secrets, clock, .. } = &*self.0;
        let now = clock.unix_ms();
        let (valid, replaced) = (secrets.valid(), secrets.replaced());
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed_ms = RENEWED_AFTER.as_millis() as u64;
        if let Some(made) = &*made
            && (&made.valid, &made.replaced) == (&valid, &replaced)
            && now.abs_diff(made.unix_ms) < renewed_ms
        {
            return Ok(made.settings.clone());
        }
        let authorities = |secrets: &[Secret]| {
            let authority = |secret: &Secret| {
                Authority::of(&Token {
                    cluster: self.0.cluster.clone(),
                    secret: *secret,
                })
            };
            secrets.iter().map(authority).collect::<Vec<_>>()
        };
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(io::Error::other)?;
        let (valid_now, replaced_now) = (authorities(&valid), authorities(&replaced));
        let settings = trust::settings(&self.0.cluster, &valid_now, &replaced_now, &key, clock);
        let settings = settings.map_err(io::Error::other)?;
        *made = Some(Made {
            valid,
            replaced,
            unix_ms: now,
            settings: settings.clone(),
        });
        Ok(settings)
    }
}

fn is_loopback(address: &str) -> bool {
    let address: Option<SocketAddr> = address.parse().ok();
    address.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Whether the other side closed as a build does that knows no TLS.
pub(crate) fn is_unknown_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[derive(Clone, Copy)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

/// The error in words for the side that meets it. `PermissionDenied` if one side does not trust the other; as it is if
/// TLS has nothing to do with it.
pub(crate) fn explained(error: io::Error, side: Side) -> io::Error {
    let reason = match (tls::cause(&error), side) {
        (Some(rustls::Error::InvalidCertificate(wrong)), side) => not_trusted(wrong, side),
        (Some(rustls::Error::AlertReceived(alert)), side) => does_not_trust(*alert, side),
        _ => return error,
    };
    handshake::denied(reason)
}

/// Why this side refuses the certificate of the other one.
fn not_trusted(wrong: &CertificateError, side: Side) -> String {
    let (other, reason) = match side {
        Side::Dialler => ("the node that answered", handshake::UNKNOWN_SECRET),
        Side::Listener => ("the caller", handshake::WRONG_SECRET),
    };
    match (wrong, side) {
        (CertificateError::UnknownIssuer, _) => reason.to_owned(),
        (CertificateError::NotValidForName, _) => format!("{other} belongs to another cluster"),
        (CertificateError::Revoked, Side::Dialler) => secrets::OTHER_REPLACED.to_owned(),
        (CertificateError::Revoked, Side::Listener) => secrets::REPLACED.to_owned(),
        (wrong, _) => format!("the certificate of {other} does not hold here: {wrong}. {CLOCKS}"),
    }
}

/// Why the other side refuses the certificate of this one.
fn does_not_trust(alert: AlertDescription, side: Side) -> String {
    let other = match side {
        Side::Dialler => "the node that answered",
        Side::Listener => "the caller",
    };
    match (alert, side) {
        (AlertDescription::UnknownCA, Side::Dialler) => handshake::UNKNOWN_SECRET.to_owned(),
        (AlertDescription::UnknownCA, Side::Listener) => {
            "the caller takes no certificate of this cluster: its token, or its ca, is another one"
                .to_owned()
        }
        (AlertDescription::BadCertificate, _) => {
            format!("{other} takes no certificate of this node: it may belong to another cluster")
        }
        (AlertDescription::CertificateRevoked, Side::Dialler) => secrets::REPLACED_HERE.to_owned(),
        (AlertDescription::CertificateRevoked, Side::Listener) => {
            secrets::REPLACED_AT_LISTENER.to_owned()
        }
        (AlertDescription::CertificateExpired, _) => {
            format!(
                "{other} finds that the certificate of this node has expired, or is not valid yet. {CLOCKS}"
            )
        }
        (alert, _) => format!("{other} refuses to encrypt with this node: {alert:?}"),
    }
}

/// Both sides read it.
const CLOCKS: &str = "Compare the clocks of both machines";

#[cfg(test)]
pub(crate) mod tests;
