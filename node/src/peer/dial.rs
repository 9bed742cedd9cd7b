//! The dialling side: connects to another node, proves who calls, and says what for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vineyard_env::{BoxFuture, Env, Network, Random, Stream};
use vineyard_wire::NodeId;
use vineyard_wire::peer::{Answer, Ask, Purpose};

use super::frames;
use super::handshake::{self, Credentials};

/// Dials on behalf of one node. May be used from any of its threads.
#[derive(Clone)]
pub(crate) struct Dialer {
    network: Arc<dyn Network>,
    random: Arc<dyn Random>,
    credentials: Credentials,
    connect_deadline: Duration,
}

impl Dialer {
    pub(crate) fn new(env: &Env, credentials: Credentials, connect_deadline: Duration) -> Self {
        let (network, random) = (env.network.clone(), env.random.clone());
        Self {
            network,
            random,
            credentials,
            connect_deadline,
        }
    }

    /// A stream to the node at `endpoint`, ready for `purpose`. Fails by the connect deadline.
    pub(crate) async fn dial(
        &self,
        endpoint: &str,
        purpose: Purpose,
    ) -> io::Result<(Box<dyn Stream>, NodeId)> {
        let open = async {
            let mut stream = self.network.connect(endpoint).await?;
            let random = self.random.as_ref();
            let node = handshake::dial(stream.as_mut(), &self.credentials, purpose, random).await?;
            Ok((stream, node))
        };
        match tokio::time::timeout(self.connect_deadline, open).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{endpoint} did not answer within {} ms",
                    self.connect_deadline.as_millis()
                ),
            )),
        }
    }

    /// One question and its answer, on a connection of their own.
    pub(crate) async fn ask(&self, endpoint: &str, ask: &Ask) -> io::Result<Answer> {
        let (mut stream, _) = self.dial(endpoint, Purpose::Node).await?;
        frames::write(&mut stream, ask).await?;
        frames::read(&mut stream, frames::MESSAGE_BYTES_MAX).await
    }
}

impl vineyard_raft::Dial for Dialer {
    fn dial(
        &self,
        node: NodeId,
        endpoint: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let dialer = self.clone();
        Box::pin(async move {
            let (stream, answered) = Dialer::dial(&dialer, &endpoint, Purpose::Raft).await?;
            if answered != node {
                let message = format!("{endpoint} is node {answered}, not {node}");
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
            Ok(stream)
        })
    }
}

#[cfg(test)]
mod tests;
