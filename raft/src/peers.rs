//! How members reach each other: one question and one answer at a time on an authenticated stream.

mod absences;
pub(crate) mod link;
pub(crate) mod message;
pub(crate) mod network;
pub(crate) mod serve;

use std::io;

use vineyard_env::{BoxFuture, Stream};
use vineyard_wire::NodeId;

/// Asked before each answer on an accepted connection: why it is answered no more, if so.
pub type MayAsk = Box<dyn Fn() -> Result<(), &'static str> + Send>;

/// Connects to other members; implemented by the node, which shakes hands before it returns.
pub trait Dial: Send + Sync {
    /// A connected and authenticated stream to `node`, last known at `endpoint` (`host:port`).
    fn dial(
        &self,
        node: NodeId,
        endpoint: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;

    /// Whether a stream that was dialled earlier may be used for another question.
    fn may_keep(&self, stream: &dyn Stream) -> bool {
        let _any = stream;
        true
    }
}
