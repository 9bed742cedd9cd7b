//! The serving side of a peer connection.

use std::io;
use std::rc::Rc;

use tokio::io::AsyncWriteExt;
use vineyard_env::Stream;
use vineyard_raft::{MayAsk, features};
use vineyard_shm::Slice;
use vineyard_store::Store;
use vineyard_wire::peer::{Answer, Ask, Join, PROOF_BYTES, Purpose, Range};
use vineyard_wire::{NodeId, Status, Trace};
use xxhash_rust::xxh3::Xxh3;

use super::encryption::{self, PLAIN_REFUSED, Side};
use super::fetch::HASH_BYTES;
use super::{frames, handshake, introduction};
use crate::boot::registration::Boot;
use crate::context::audit;
use crate::context::{Counted, NodeContext};
use crate::failure;
use crate::peer::stats;
use crate::peer::{describe, places, relay};

/// Serves a connection whose `MAGIC` has been read, until the other side leaves, unless it is `refused`.
/// `unregistered` counts the connection until the handshake is done; until then it is closed when `displaced` returns.
pub(crate) async fn serve(
    node: Rc<NodeContext>,
    mut stream: Box<dyn Stream>,
    refused: Option<&'static str>,
    unregistered: Counted,
    displaced: impl Future<Output = ()>,
) -> io::Result<()> {
    let me = node.instance.node();
    let credentials = &node.credentials;
    let (random, faults) = (node.env.random.as_ref(), node.env.faults.as_ref());
    let serves = |purpose| refused.map_or_else(|| serves(&node.boot, purpose), Err);
    let shake = handshake::accept(stream.as_mut(), credentials, me, random, faults, serves);
    let deadline = node.stretch(node.config.limits.connect_deadline);
    let hello = {
        tokio::pin!(displaced);
        tokio::select! {
            biased;
            () = displaced => return Err(io::Error::other("closed for a newer connection: too many are unregistered")),
            shaken = tokio::time::timeout(deadline, shake) => shaken
                .map_err(io::Error::other)?
                .map_err(|error| encryption::explained(error, Side::Listener))?,
        }
    };
    drop(unregistered);
    let member_of = hello.from.map(|_| hello.epoch);
    let may_ask = may_ask(&node, stream.as_ref(), hello.nonce);
    match hello.purpose {
        Purpose::Raft => {
            node.meta.serve(stream.detach()?, hello.epoch, may_ask);
            Ok(())
        }
        Purpose::IntroducedRaft => {
            let met = introduction::meet(stream.as_mut(), &node.boot);
            tokio::time::timeout(deadline, met)
                .await
                .map_err(io::Error::other)??;
            node.meta.serve(stream.detach()?, hello.epoch, may_ask);
            Ok(())
        }
        Purpose::Node => converse(&node, stream, member_of, may_ask).await,
    }
}

/// Which connections for raft this node takes: after an introduction only, once every member of the cluster can
/// introduce itself.
fn serves(boot: &Boot, purpose: Purpose) -> Result<(), &'static str> {
    match purpose {
        Purpose::Raft if !boot.accepts_unintroduced() => {
            Err("this cluster's nodes say which process of theirs calls: upgrade the caller")
        }
        Purpose::IntroducedRaft if !boot.introduces() => {
            Err("this node was told not to introduce itself")
        }
        _ => Ok(()),
    }
}

/// A connection is answered while the secret is valid that the caller proved with this `nonce`. If it is plain, it must
/// still be allowed to be.
fn may_ask(node: &NodeContext, stream: &dyn Stream, nonce: [u8; PROOF_BYTES]) -> MayAsk {
    let (secrets, encryption) = (node.credentials.secrets.clone(), node.encryption.clone());
    let (is_plain, caller) = (stream.channel().is_none(), stream.peer_address());
    Box::new(move || {
        secrets.of_caller(&nonce)?;
        match is_plain && encryption.refuses_plain(&caller) {
            true => Err(PLAIN_REFUSED),
            false => Ok(()),
        }
    })
}

/// `member_of` is the epoch of a caller that is a member.
async fn converse(
    node: &Rc<NodeContext>,
    mut stream: Box<dyn Stream>,
    member_of: Option<u64>,
    may_ask: MayAsk,
) -> io::Result<()> {
    let caller = stream.peer_address();
    while let Some(ask) = next_ask(node, stream.as_mut()).await? {
        if member_of.is_some_and(|epoch| epoch != node.credentials.epoch.get()) {
            return Err(io::Error::other(
                "the cluster was recovered without the caller",
            ));
        }
        may_ask().map_err(io::Error::other)?;
        let answer = match ask {
            Ask::Read { ranges } => {
                stream = read(node, stream, ranges, None).await?;
                continue;
            }
            Ask::ReadTraced { trace, ranges } => {
                stream = read(node, stream, ranges, Some(trace)).await?;
                continue;
            }
            Ask::Join(join) => admit(node, &caller, join, features::BASE).await,
            Ask::JoinAt { join, level } => admit(node, &caller, join, level).await,
            Ask::Stats => stats::here(node).await.map(|stats| Answer::Stats {
                instance: node.instance,
                stats,
            }),
            Ask::MemoryStats => stats::with_memory(node).await,
            Ask::StreamStats => stats::with_streams(node).await,
            Ask::About => stats::with_about(node).await,
            Ask::Moved(moved) => places::take(node, moved),
            Ask::Drain { all } => node.drain.step(node, all, false).await.map(Answer::Drain),
            Ask::BeginDrain { all } => node.drain.step(node, all, true).await.map(Answer::Drain),
            Ask::TakeCopies { blobs } => {
                let taken = node.migrator.take_copies(node, blobs).await;
                taken.map(|()| Answer::CopiesTaken)
            }
            Ask::Form { .. } => Err(Status::invalid("it is a member of a cluster")),
            Ask::Describe { held_by } => describe::for_a_peer(node, held_by).await,
            Ask::OpenRelay(open) => relay::serve::open(node, open).await,
            Ask::PullRelay(pull) => relay::serve::pull(node, pull).await,
            Ask::LeaveRelay {
                reader,
                stream: left,
            } => relay::serve::leave(node, reader, left).await,
        };
        frames::write(stream.as_mut(), &answer.unwrap_or_else(Answer::Refused)).await?;
    }
    Ok(())
}

/// `None` once the other side has left.
async fn next_ask(node: &NodeContext, stream: &mut dyn Stream) -> io::Result<Option<Ask>> {
    let asked = frames::read(stream, frames::MESSAGE_BYTES_MAX);
    match tokio::time::timeout(node.config.limits.peer_idle_deadline, asked).await {
        Ok(Ok(ask)) => Ok(Some(ask)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Ok(Err(error)) => Err(error),
        // A machine that lost its power does not close its connections.
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no question in time",
        )),
    }
}

async fn admit(
    node: &Rc<NodeContext>,
    caller: &str,
    join: Join,
    level: u8,
) -> Result<Answer, Status> {
    let deadline = node.stretch(node.config.limits.metadata_deadline);
    let Join { key, endpoint } = join;
    let admitted = node.meta.admit(key, endpoint.clone(), level, deadline);
    let (id, cluster): (NodeId, String) = match admitted.await {
        Ok(admitted) => admitted,
        Err(error) => {
            audit::refused_join(caller, &endpoint, &error);
            return Err(failure::from_raft(error));
        }
    };
    tracing::info!(node = %id, endpoint, caller, "admitted a node, which says its name when it registers");
    Ok(Answer::Joined {
        node: id,
        cluster,
        epoch: node.credentials.epoch.get(),
    })
}

/// Sends the ranges' bytes, large answers from a bulk worker.
async fn read(
    node: &Rc<NodeContext>,
    mut stream: Box<dyn Stream>,
    ranges: Vec<Range>,
    trace: Option<Trace>,
) -> io::Result<Box<dyn Stream>> {
    let slices = match node
        .local
        .ask(move |local, _| pin(&local.store, &ranges))
        .await
    {
        Ok(Ok(slices)) => slices,
        Ok(Err(status)) | Err(status) => {
            frames::write(stream.as_mut(), &Answer::Refused(status)).await?;
            return Ok(stream);
        }
    };
    let bytes = slices.iter().map(|slice| slice.len() as u64).sum();
    tracing::debug!(
        trace = trace.map(tracing::field::display),
        blobs = slices.len(),
        bytes,
        "sending bytes to a node"
    );
    // A peer that stops reading must not pin the bytes for ever, so the deadline of a transfer applies.
    let sending = node
        .bulk
        .transfer(&node.config.limits, stream, bytes, move |stream| {
            Box::pin(send(stream, slices))
        });
    let (stream, ()) = sending.await?;
    Ok(stream)
}

fn pin(store: &Store, ranges: &[Range]) -> Result<Vec<Slice>, Status> {
    let slice = |range: &Range| {
        let whole = store.reader(range.blob)?;
        let end = range
            .offset
            .checked_add(range.len)
            .and_then(|end| usize::try_from(end).ok());
        let part = end.and_then(|end| whole.part(range.offset as usize..end));
        part.ok_or_else(|| {
            let Range { blob, offset, len } = range;
            Status::invalid(format!("{blob} has no {len} bytes from {offset}"))
        })
    };
    ranges.iter().map(slice).collect()
}

async fn send(stream: &mut dyn Stream, slices: Vec<Slice>) -> io::Result<()> {
    let len = slices.iter().map(|slice| slice.len() as u64).sum();
    frames::write(stream, &Answer::Bytes { len }).await?;
    let mut checksum = Xxh3::new();
    for slice in &slices {
        for chunk in slice.chunks(HASH_BYTES) {
            checksum.update(chunk);
            stream.write_all(chunk).await?;
        }
    }
    stream.write_all(&checksum.digest().to_le_bytes()).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests;
