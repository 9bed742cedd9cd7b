//! The dialling side: connects to another node, authenticates this one, and names the purpose of the connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vineyard_env::{BoxFuture, Env, Network, Random, Stream};
use vineyard_raft::Pace;
use vineyard_wire::NodeId;
use vineyard_wire::peer::{Answer, Ask, Purpose};

use super::encryption::{self, Encryption, Opened, PLAIN_REFUSED, Side};
use super::handshake::{self, Credentials};
use super::{frames, introduction};
use crate::boot::registration::Boot;
use crate::boot::secrets::Secret;

/// Dials on behalf of one node. May be used from any of its threads.
#[derive(Clone)]
pub(crate) struct Dialer {
    network: Arc<dyn Network>,
    random: Arc<dyn Random>,
    credentials: Credentials,
    encryption: Encryption,
    pace: Arc<Pace>,
    connect_deadline: Duration,
}

impl Dialer {
    /// `connect_deadline` at the usual pace.
    pub(crate) fn new(
        env: &Env,
        credentials: Credentials,
        encryption: Encryption,
        pace: Arc<Pace>,
        connect_deadline: Duration,
    ) -> Self {
        let (network, random) = (env.network.clone(), env.random.clone());
        Self {
            network,
            random,
            credentials,
            encryption,
            pace,
            connect_deadline,
        }
    }

    /// How long a connection may take to open.
    pub(crate) fn deadline(&self) -> Duration {
        self.pace.stretch(self.connect_deadline)
    }

    /// A stream to the node at `endpoint`, ready for `purpose`. Fails at the connect deadline.
    pub(crate) async fn dial(
        &self,
        endpoint: &str,
        purpose: Purpose,
    ) -> io::Result<(Box<dyn Stream>, NodeId)> {
        let open = async {
            let mut refused = None;
            for secret in self.credentials.secrets.to_call_with() {
                match self.open(endpoint, &secret, purpose).await {
                    Ok(opened) => return Ok(opened),
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        // What was said to the node's own secret says most.
                        refused.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(refused.expect("there is a secret to call with"))
        };
        let deadline = self.deadline();
        match tokio::time::timeout(deadline, open).await {
            Ok(opened) => opened,
            Err(_) => Err(late(endpoint, deadline)),
        }
    }

    /// Connects and shakes hands, in TLS where it must be, or may be and the other side knows it.
    async fn open(
        &self,
        endpoint: &str,
        secret: &Secret,
        purpose: Purpose,
    ) -> io::Result<(Box<dyn Stream>, NodeId)> {
        let stream = self.network.connect(endpoint).await?;
        let opened = self.encryption.of_call(&stream.peer_address());
        if opened == Opened::Plain {
            let shaken = self.shake(stream, secret, purpose).await;
            let is_refused = |error: &io::Error| error.to_string() == PLAIN_REFUSED;
            return match shaken {
                Err(error) if is_refused(&error) && self.encryption.is_known() => {
                    let stream = self.network.connect(endpoint).await?;
                    let link = self.encryption.connect(stream).await?;
                    self.shake(Box::new(link), secret, purpose).await
                }
                shaken => shaken,
            };
        }
        match self.encryption.connect(stream).await {
            Ok(link) => self.shake(Box::new(link), secret, purpose).await,
            Err(error) if !encryption::is_unknown_there(&error) => Err(error),
            Err(_) if opened == Opened::Offered => {
                tracing::debug!(endpoint, "the other side knows no TLS: calling in plain");
                let stream = self.network.connect(endpoint).await?;
                self.shake(stream, secret, purpose).await
            }
            Err(error) => {
                let reason = format!(
                    "it closed the connection at the beginning of TLS ({error}): it is of a build that knows none, or no \
                     node"
                );
                Err(io::Error::new(error.kind(), reason))
            }
        }
    }

    async fn shake(
        &self,
        mut stream: Box<dyn Stream>,
        secret: &Secret,
        purpose: Purpose,
    ) -> io::Result<(Box<dyn Stream>, NodeId)> {
        let (mine, random) = (&self.credentials, self.random.as_ref());
        let shaken = handshake::dial(stream.as_mut(), mine, secret, purpose, random).await;
        let node = shaken.map_err(|error| encryption::explained(error, Side::Dialler))?;
        Ok((stream, node))
    }

    /// Asks one question on a connection of its own. Returns the answer and the id of the node that answered.
    pub(crate) async fn ask(&self, endpoint: &str, ask: &Ask) -> io::Result<(NodeId, Answer)> {
        let (mut stream, node) = self.dial(endpoint, Purpose::Node).await?;
        frames::write(&mut stream, ask).await?;
        let answer = frames::read(&mut stream, frames::MESSAGE_BYTES_MAX).await?;
        Ok((node, answer))
    }
}

/// Dials other members for the raft thread, and introduces this process to them.
pub(crate) struct RaftDialer {
    dialer: Dialer,
    boot: Arc<Boot>,
}

impl RaftDialer {
    pub(crate) fn new(dialer: Dialer, boot: Arc<Boot>) -> Self {
        Self { dialer, boot }
    }
}

impl vineyard_raft::Dial for RaftDialer {
    fn may_keep(&self, stream: &dyn Stream) -> bool {
        let encryption = &self.dialer.encryption;
        stream.channel().is_some() || !encryption.refuses_plain(&stream.peer_address())
    }

    fn dial(
        &self,
        node: NodeId,
        endpoint: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (dialer, boot) = (self.dialer.clone(), self.boot.clone());
        Box::pin(async move {
            let (mut stream, answered, purpose) =
                dial_raft(&dialer, &boot, node, &endpoint).await?;
            if answered != node {
                let message = format!("{endpoint} is node {answered}, not {node}");
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
            if purpose == Purpose::Raft {
                return Ok(stream);
            }
            let introduced = introduction::introduce(stream.as_mut(), &boot);
            let deadline = dialer.deadline();
            match tokio::time::timeout(deadline, introduced).await {
                Ok(introduced) => introduced.map(|()| stream),
                Err(_) => Err(late(&endpoint, deadline)),
            }
        })
    }
}

/// A connection for raft messages, after an introduction if the other side's build supports it. An older build refuses
/// the purpose that it does not know; a node that was upgraded since this node heard of it may refuse the old purpose.
async fn dial_raft(
    dialer: &Dialer,
    boot: &Boot,
    node: NodeId,
    endpoint: &str,
) -> io::Result<(Box<dyn Stream>, NodeId, Purpose)> {
    let purposes = match (boot.introduces(), boot.accepts_unintroduced()) {
        (false, _) => vec![Purpose::Raft],
        (true, false) => vec![Purpose::IntroducedRaft],
        (true, true) if boot.cannot_introduce_itself(node) => {
            vec![Purpose::Raft, Purpose::IntroducedRaft]
        }
        (true, true) => vec![Purpose::IntroducedRaft, Purpose::Raft],
    };
    let mut outcome = Err(io::ErrorKind::PermissionDenied.into());
    for purpose in purposes {
        let dialled = dialer.dial(endpoint, purpose).await;
        let is_denied =
            matches!(&dialled, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
        outcome = dialled.map(|(stream, answered)| (stream, answered, purpose));
        if !is_denied {
            break;
        }
    }
    outcome
}

fn late(endpoint: &str, deadline: Duration) -> io::Error {
    let message = format!(
        "{endpoint} did not answer within {} ms",
        deadline.as_millis()
    );
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests;
