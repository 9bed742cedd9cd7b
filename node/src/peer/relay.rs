//! Streams that are read on another node than their own.
//!
//! Promise: a reader is served as on the stream's node, in order and each chunk once; every wait has an end: an answer,
//! the end of the readers, or the loss of the other node, which both sides notice by its silence.
//!
//! The readers' node has a stream of the same id, which a task (`task`) fills with copies. It asks the stream's node,
//! which sees it as one reader (`serve`).

mod open;
pub(crate) mod serve;
mod task;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;
use vineyard_env::Stream;
use vineyard_wire::InstanceId;
use vineyard_wire::peer::{Answer, Ask, Purpose};

pub(crate) use self::open::{ensure, migrate};
use crate::context::NodeContext;
use crate::peer::frames;

/// The connection to a stream's node. It is dialled again after a failure.
struct Link {
    node: Rc<NodeContext>,
    owner: InstanceId,
    endpoint: String,
    stream: Option<Box<dyn Stream>>,
}

impl Link {
    fn new(node: &Rc<NodeContext>, owner: InstanceId, endpoint: String) -> Self {
        Self {
            node: node.clone(),
            owner,
            endpoint,
            stream: None,
        }
    }

    /// One question, answered in time or failed.
    async fn ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        let limits = &self.node.config.limits;
        let deadline = limits.relay_period + self.node.stretch(limits.connect_deadline);
        let asked = timeout(deadline, self.converse(ask)).await;
        let answer = asked.unwrap_or_else(|_| Err(late(deadline)));
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    async fn converse(&mut self, ask: &Ask) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let dialled = self.node.dialer.dial(&self.endpoint, Purpose::Node);
                dialled.await?.0
            }
        };
        frames::write(stream.as_mut(), ask).await?;
        let answer = frames::read(stream.as_mut(), frames::MESSAGE_BYTES_MAX).await?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

fn late(deadline: Duration) -> io::Error {
    let message = format!("no answer within {} ms", deadline.as_millis());
    io::Error::new(io::ErrorKind::TimedOut, message)
}
