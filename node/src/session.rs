//! What a connection's two kinds of sessions have in common: who is calling, and the road of one request.
//!
//! A session asks others for everything but its connection and its holder id.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use vineyard_store::HolderId;
use vineyard_wire::{Reply, Request, Status, frame, json};

use crate::shared::Shared;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipc,
    Rpc,
}

/// One connection, as handlers see it.
pub(crate) struct Session {
    pub(crate) node: Rc<Shared>,
    pub(crate) kind: Kind,
    /// Under which the store counts this connection's references; replaced at register.
    pub(crate) holder: Cell<HolderId>,
    pub(crate) registered: Cell<bool>,
    /// Arena numbers whose handle this connection has received.
    pub(crate) sent: RefCell<BTreeSet<i32>>,
}

impl Session {
    pub(crate) async fn open(node: Rc<Shared>, kind: Kind) -> Result<Self, Status> {
        let holder = node.blobs.ask(|store| store.open_holder(false)).await?;
        Ok(Self {
            node,
            kind,
            holder: Cell::new(holder),
            registered: Cell::new(false),
            sent: RefCell::default(),
        })
    }

    /// Gives back everything this connection held. Dead clients leak nothing.
    pub(crate) async fn close(&self) {
        if self.node.env.host.planted() == Some("leaked_reference") {
            return;
        }
        let holder = self.holder.get();
        if let Err(status) = self
            .node
            .blobs
            .ask(move |store| store.close_holder(holder))
            .await
        {
            tracing::debug!(%status, "the store stopped before this connection closed");
        }
    }

    /// The request in `body`, if this connection may ask it now.
    pub(crate) fn admit(&self, body: &[u8]) -> Result<Request, Status> {
        let request = json::decode_request(body)?;
        let open = matches!(request, Request::Register(_) | Request::Exit);
        if !open && !self.registered.get() {
            let name = json::request_type(&request);
            let message = format!("The connection is not registered yet, command is: {name}");
            return Err(Status::invalid(message));
        }
        Ok(request)
    }

    /// The arena numbers in `numbers` that this connection has not seen; they count as sent from now on.
    pub(crate) fn unseen(&self, numbers: impl IntoIterator<Item = i32>) -> Vec<i32> {
        let mut sent = self.sent.borrow_mut();
        numbers
            .into_iter()
            .filter(|number| *number >= 0 && sent.insert(*number))
            .collect()
    }
}

/// A frame ready to be written.
pub(crate) fn encode(outcome: &Result<Reply, Status>) -> Vec<u8> {
    frame::with_header(&match outcome {
        Ok(reply) => json::encode_reply(reply),
        Err(status) => json::encode_status(status),
    })
}

/// Writes one reply in one piece.
pub(crate) async fn write<S>(stream: &mut S, outcome: &Result<Reply, Status>) -> std::io::Result<()>
where
    S: tokio::io::AsyncWrite + Unpin + ?Sized,
{
    stream.write_all(&encode(outcome)).await
}
