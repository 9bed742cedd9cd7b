//! The readers' node: the task that copies a stream of another node into the one that is read here.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tokio::time::{Instant, sleep, timeout};
use vineyard_raft::state::State;
use vineyard_wire::peer::{Answer, Ask, PullRelay, RelayedChunk};
use vineyard_wire::{Code, ObjectId, Status};

use super::open::{lost, unanswered, unexpected};
use super::{Link, late};
use crate::context::NodeContext;
use crate::local::streams::Origin;
use crate::local::{Local, Standing};

/// Copies until the stream ends there or nobody reads it here.
pub(super) async fn run(link: Link, id: ObjectId, origin: Origin) {
    let mut relay = Relay { link, id, origin };
    let told = match relay.copy_all().await {
        Err(told) => told,
        Ok(never) => match never {},
    };
    if told.code != Code::StreamDrained {
        tracing::debug!(stream = %id, status = %told, "a relay ended");
    }
    let end = move |local: &mut Local, state: &State| local.end_relayed(state, id, origin, told);
    if let Err(status) = relay.link.node.local.ask(end).await {
        tracing::debug!(%status, "the node stopped before a relay ended");
    }
    let leave = Ask::LeaveRelay {
        reader: relay.link.node.instance,
        stream: origin.stream,
    };
    // If it does not arrive, the other node notices the silence.
    if let Err(error) = relay.link.ask(&leave).await {
        tracing::debug!(stream = %id, %error, "could not say that a relay ended");
    }
}

/// What does not come back but by an error.
enum Never {}

struct Relay {
    link: Link,
    /// Here.
    id: ObjectId,
    origin: Origin,
}

impl Relay {
    /// Returns what the readers are told.
    async fn copy_all(&mut self) -> Result<Never, Status> {
        loop {
            let standing = self.standing().await?;
            let (is_read, credit_bytes) = (standing.copied == standing.read, standing.credit_bytes);
            let (chunks, is_last) = self.pull(&standing, credit_bytes).await?;
            if !chunks.is_empty() {
                self.copy(chunks).await?;
            } else if is_last || !is_read {
                let period = self.link.node.config.limits.relay_period;
                // Readers that read wake it; without them it only says that it is there.
                let _period_passed = timeout(period, standing.waiter.woken()).await;
            }
        }
    }

    async fn standing(&self) -> Result<Standing, Status> {
        let (id, origin) = (self.id, self.origin);
        let turn = move |local: &mut Local, _: &State| local.relay_standing(id, origin);
        self.link.node.local.ask(turn).await?
    }

    /// Asks until there is an answer, or the stream's node has been silent for too long.
    async fn pull(
        &mut self,
        standing: &Standing,
        credit_bytes: u64,
    ) -> Result<(Vec<RelayedChunk>, bool), Status> {
        let ask = Ask::PullRelay(PullRelay {
            reader: self.link.node.instance,
            stream: self.origin.stream,
            copied: standing.copied,
            read: standing.read,
            credit_bytes,
        });
        let owner = self.link.owner;
        let begun = Instant::now();
        loop {
            let error = match self.link.ask(&ask).await {
                Ok(Answer::Relayed { chunks, is_last }) => return Ok((chunks, is_last)),
                Ok(Answer::Refused(status)) => return Err(status),
                Ok(other) => return Err(unexpected(owner, &other)),
                Err(error) => error,
            };
            self.check_owner(begun, &error)?;
            sleep(self.link.node.config.limits.relay_retry).await;
        }
    }

    /// Fails once the stream's node counts as lost.
    fn check_owner(&self, since: Instant, error: &io::Error) -> Result<(), Status> {
        let (node, owner) = (&self.link.node, self.link.owner);
        if let Some(status) = lost(&node.meta.state(), self.origin.stream, owner) {
            return Err(status);
        }
        match since.elapsed() >= node.stretch(node.config.limits.unreachable_after) {
            true => Err(unanswered(self.origin.stream, owner, error)),
            false => Ok(()),
        }
    }

    /// Copies the bytes of `chunks`, waiting for memory if there is too little, and queues them.
    async fn copy(&mut self, chunks: Vec<RelayedChunk>) -> Result<(), Status> {
        let wanted = wanted(&chunks);
        let bytes = wanted.values().sum();
        let limits = self.link.node.config.limits.clone();
        let begun = Instant::now();
        let copies = loop {
            let id = self.id;
            let room = move |local: &mut Local, _: &State| local.wait_to_copy(id, bytes);
            if let Some(waiter) = self.link.node.local.ask(room).await?? {
                let _looks_again = timeout(limits.stream_memory_recheck, waiter.woken()).await;
                self.is_there().await?;
                if begun.elapsed() >= limits.stream_memory_wait {
                    return Err(no_memory(bytes));
                }
                continue;
            }
            match self.fetch(wanted.clone()).await? {
                Ok(copies) => break copies,
                // The bytes may be gone with the stream, which the next answer says.
                Err(status) => {
                    self.is_there().await?;
                    let (error, is_memory) = (
                        io::Error::other(status.message),
                        status.code == Code::NotEnoughMemory,
                    );
                    match is_memory {
                        true if begun.elapsed() < limits.stream_memory_wait => {}
                        true => return Err(no_memory(bytes)),
                        false => self.check_owner(begun, &error)?,
                    }
                    sleep(limits.relay_retry).await;
                }
            }
        };
        let (id, origin) = (self.id, self.origin);
        let now_ms = self.link.node.env.clock.unix_ms();
        let queue = move |local: &mut Local, state: &State| {
            local.queue_copies(state, (id, origin), &chunks, &copies, now_ms)
        };
        self.link.node.local.ask(queue).await?
    }

    /// Tells the stream's node that this one is there, and hears whether the stream is.
    async fn is_there(&mut self) -> Result<(), Status> {
        let standing = self.standing().await?;
        self.pull(&standing, 0).await.map(drop)
    }

    /// The copies by the blob that they are of. The outer error is the relay's end.
    async fn fetch(
        &mut self,
        wanted: BTreeMap<ObjectId, u64>,
    ) -> Result<Result<BTreeMap<ObjectId, ObjectId>, Status>, Status> {
        let (node, owner) = (self.link.node.clone(), self.link.owner);
        let period = node.config.limits.relay_period;
        // A task of its own, so that what it has allocated is freed when the relay ends meanwhile.
        let fetching = async move { node.migrator.copy_blobs(&node, wanted, owner).await };
        let mut fetching = tokio::task::spawn_local(fetching);
        loop {
            match timeout(period, &mut fetching).await {
                Ok(Ok(copied)) => return Ok(copied),
                Ok(Err(_)) => {
                    return Ok(Err(unanswered(
                        self.origin.stream,
                        self.link.owner,
                        &late(period),
                    )));
                }
                Err(_) => {
                    if let Err(told) = self.is_there().await {
                        discard_when_there(self.link.node.clone(), fetching);
                        return Err(told);
                    }
                }
            }
        }
    }
}

type Fetching = tokio::task::JoinHandle<Result<BTreeMap<ObjectId, ObjectId>, Status>>;

/// Nobody reads the copies any more.
fn discard_when_there(node: Rc<NodeContext>, fetching: Fetching) {
    tokio::task::spawn_local(async move {
        if let Ok(Ok(copies)) = fetching.await {
            let copies: Vec<_> = copies.into_values().collect();
            let discard = move |local: &mut Local, _: &State| local.discard(&copies);
            if let Err(status) = node.local.ask(discard).await {
                tracing::debug!(%status, "the node stopped before copies were discarded");
            }
        }
    });
}

/// The blobs of `chunks`, each once, with their sizes.
fn wanted(chunks: &[RelayedChunk]) -> BTreeMap<ObjectId, u64> {
    let blobs = chunks.iter().flat_map(|chunk| &chunk.blobs);
    let real = blobs.filter(|(blob, _)| *blob != ObjectId::EMPTY_BLOB);
    real.copied().collect()
}

fn no_memory(bytes: u64) -> Status {
    Status::new(
        Code::NotEnoughMemory,
        format!(
            "{bytes} bytes of another node's stream do not fit here, and no memory was freed for them"
        ),
    )
}
